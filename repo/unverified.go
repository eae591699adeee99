package repo

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// A doubtful is a file that is kept though whoever vouches for it could not be asked.
type doubtful struct {
	Version string    `json:"version"`
	File    string    `json:"file"`
	Looks   int       `json:"looks"` // how often it was asked about again
	Next    time.Time `json:"next"`
}

// again are the pauses before a doubtful file is asked about anew; behind the last it is left as it is.
var again = []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} // never changed

// unverified are the doubtful files of a package.
func (l *upstream) unverified(ctx context.Context, pkg string) (all []doubtful, err error) {
	a, err := l.pond.catalog.Answer(ctx, catalog.Question{Layer: l.id, Kind: "unverified", Package: pkg})
	if millpond.Is(err, millpond.NotFound) || err == nil && a.Absent {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(a.Record, &all)
	}
	return all, err
}

// doubts changes which files of a package are doubtful.
func (l *upstream) doubts(ctx context.Context, pkg string, change func(all []doubtful) []doubtful) error {
	l.pond.doubting.Lock()
	defer l.pond.doubting.Unlock()
	all, err := l.unverified(ctx, pkg)
	if err != nil {
		return err
	}
	before := len(all)
	all = change(all)
	if before+len(all) == 0 {
		return nil
	}
	now := l.pond.now()
	a := &catalog.Answer{Question: catalog.Question{Layer: l.id, Kind: "unverified", Package: pkg}, Checked: now, Changed: now}
	if a.Absent = len(all) == 0; !a.Absent {
		if a.Record, err = json.Marshal(all); err != nil {
			return err
		}
	}
	return l.pond.catalog.PutAnswer(ctx, a)
}

// vouched notes of a file that was just kept whether it is doubtful, and why.
func (l *upstream) vouched(ctx context.Context, k millpond.Key, doubt error) error {
	if doubt != nil {
		why, _ := format.Words(doubt)
		l.pond.log.WarnContext(ctx, "kept unverified; it is asked about again", "repository", l.repo.config.Name, "key", k.String(), "why", why)
	}
	if before, err := l.unverified(ctx, k.Package); err != nil || doubt == nil && len(before) == 0 {
		return err
	}
	return l.doubts(ctx, k.Package, func(all []doubtful) []doubtful {
		all = slices.DeleteFunc(all, func(d doubtful) bool { return d.Version == k.Version && d.File == k.File })
		if doubt != nil {
			all = append(all, doubtful{Version: k.Version, File: k.File, Next: l.pond.now().Add(again[0])})
		}
		return all
	})
}

// Reverify asks again about the files that are due of those that are kept though nobody could vouch for them. What is refused
// now is dropped, with an event. It returns how many are no longer in doubt, or gone.
func (p *Pond) Reverify(ctx context.Context) (int, error) {
	if p.settings().Offline {
		return 0, nil
	}
	settled := 0
	var errs []error
	for _, r := range p.Repositories() {
		for _, one := range r.layers {
			l, ok := one.(*upstream)
			if !ok {
				continue
			}
			var names []string
			for name, err := range p.catalog.Answered(ctx, l.id, "unverified") {
				if err != nil {
					return settled, err
				}
				names = append(names, name)
			}
			for _, name := range names {
				n, err := l.reverify(ctx, name)
				settled += n
				if errs = append(errs, err); ctx.Err() != nil {
					return settled, errors.Join(errs...)
				}
			}
		}
	}
	return settled, errors.Join(errs...)
}

func (l *upstream) reverify(ctx context.Context, pkg string) (settled int, err error) {
	all, err := l.unverified(ctx, pkg)
	if err != nil {
		return 0, err
	}
	for _, d := range all {
		if now := l.pond.now(); now.Before(d.Next) {
			continue
		}
		k := millpond.Key{Package: pkg, Version: d.Version, File: d.File}
		doubt := l.judgeAgain(ctx, k)
		open := errors.Is(doubt, format.Unverified)
		switch {
		case open:
		case millpond.Is(doubt, millpond.Corrupt):
			if err := l.drop(ctx, k, doubt); err != nil {
				return settled, err
			}
		case doubt != nil:
			return settled, doubt // nothing was learnt
		}
		err := l.doubts(ctx, pkg, func(all []doubtful) []doubtful {
			i := slices.Index(all, d)
			if i < 0 {
				return all // it was fetched anew meanwhile
			}
			if all[i].Looks++; !open || all[i].Looks == len(again) {
				return slices.Delete(all, i, i+1)
			}
			all[i].Next = l.pond.now().Add(again[all[i].Looks])
			return all
		})
		if err != nil {
			return settled, err
		}
		if !open {
			settled++
		}
	}
	return settled, nil
}

// judgeAgain is what the upstream's Verifier says of held bytes; nil of what is not held.
func (l *upstream) judgeAgain(ctx context.Context, k millpond.Key) error {
	s := l.session(ctx)
	defer s.close()
	verifier, ok := l.format.Source(s).(format.Verifier)
	h, err := l.pond.catalog.Holding(ctx, l.id, k)
	if !ok || millpond.Is(err, millpond.NotFound) || err == nil && h.Blob.IsZero() {
		return nil
	}
	if err != nil {
		return err
	}
	at := &blobAt{ctx: ctx, pond: l.pond, digest: h.Blob}
	if err := at.begin(); err != nil {
		if millpond.Is(err, millpond.NotFound) {
			return nil
		}
		return err
	}
	defer at.Close()
	return verifier.Verify(ctx, k, at, h.Size)
}

// drop forgets what is held of a version, because a file of it is not what it should be: it is fetched anew when it is asked
// for.
func (l *upstream) drop(ctx context.Context, k millpond.Key, why error) error {
	if err := l.pond.catalog.DropHoldings(ctx, l.id, k.Package, k.Version); err != nil {
		return err
	}
	l.pond.forgetViewsIn(l.repo, k.Package)
	l.pond.forgetHeld(k.Package)
	words, _ := format.Words(why)
	l.pond.event(ctx, millpond.Event{Verb: "corrupt", Repository: l.repo.config.Name, Layer: l.name, Key: k, Detail: detail("why", words)})
	return nil
}
