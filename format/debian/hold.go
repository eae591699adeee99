package debian

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
