package debian

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"millpond"
	"millpond/format"
)

// hold has all indexes of the new snapshot here that are held of the last one; at first contact with an archive that forgets
// what it replaces those that clients will ask for.
func (s source) hold(ctx context.Context, name string, v, last *millpond.Version, byHash bool, k format.Keeper) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range v.Files {
		f := &v.Files[i]
		if isRelease(f.Name) {
			continue
		}
		wanted := false
		var old *millpond.File
		if last == nil {
			wanted = !byHash && s.expected(name, f.Name, v.Files)
		} else if old = last.File(f.Name); old != nil {
			held, err := k.Held(ctx, millpond.Key{Package: name, Version: last.Name, File: f.Name})
			if err != nil {
				return err
			}
			wanted = held
		}
		if !wanted {
			continue
		}
		g.Go(func() error {
			err := k.Hold(gctx, millpond.Key{Package: name, Version: v.Name, File: f.Name}, f)
			if millpond.Is(err, millpond.NotFound) {
				return fmt.Errorf("%w: %w", errTorn, err)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if last == nil {
		return nil
	}
	return s.sightings(ctx, name, v, last, k)
}

// expected reports whether an index will be wanted: by clients of the configured architectures, or because its suite is
// curated; of the forms of one, the best packed.
func (s source) expected(suite, path string, all []millpond.File) bool {
	plain, n := unpackedName(path)
	dir, file := split(plain)
	_, last := split(dir)
	arch := strings.TrimPrefix(last, "binary-")
	wanted, read := strings.Fields(s.remote.Option("architectures")), curates(s.remote, suite)
	switch {
	case n < 0:
		return false
	case file == "Packages":
		if dir != "" && arch != "all" && !slices.Contains(wanted, arch) && (!read || len(wanted) > 0) {
			return false
		}
	case file != "Sources" || !read:
		return false
	}
	for i := range all {
		if other, m := unpackedName(all[i].Name); other == plain && m > n {
			return false
		}
	}
	return true
}

// errTorn says that a file of a new Release cannot be had.
var errTorn = errors.New("an index of the new Release is not there")

// waits are the times after which a suite is looked at again whose indexes do not belong to its Release: its archive is most often
// in the middle of being changed, and some stay so. Never changed.
var waits = [...]time.Duration{5 * time.Second, 15 * time.Second, time.Minute}

// torn notes that a suite was found so once more, or that it is whole again, and says when to look again.
func (s source) torn(ctx context.Context, name string, torn bool) (after time.Time, err error) {
	times, err := s.remote.State(ctx, "torn "+name)
	if err != nil || !torn && len(times) == 0 {
		return after, err
	}
	if !torn {
		return after, s.remote.SetState(ctx, "torn "+name, nil)
	}
	n := min(len(times), len(waits)-1)
	return s.remote.Now().Add(waits[n]), s.remote.SetState(ctx, "torn "+name, append(times[:n:n], '.')) // one for each time
}
