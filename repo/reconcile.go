package repo

import (
	"context"
	"time"

	"millpond"
	"millpond/catalog"
)

// sayAgain is how often it is told that an upstream gives other bytes than those that are kept.
const sayAgain = 24 * time.Hour

// reconcile carries over from the last listing what the upstream cannot know: when this pond first saw each version, which
// bytes are held under a name that it now gives other digests, and the held files that it no longer lists.
func (l *upstream) reconcile(ctx context.Context, before, pkg *millpond.Package, seen time.Time) error {
	for i := range pkg.Versions {
		pkg.Versions[i].Seen = seen
	}
	if before == nil {
		return nil
	}
	held, err := l.holdings(ctx, pkg.Name)
	if err != nil {
		return err
	}
	index := make(map[string]int, len(pkg.Versions))
	for i := range pkg.Versions {
		index[pkg.Versions[i].Name] = i
	}
	for i := range before.Versions {
		old := &before.Versions[i]
		at, listed := index[old.Name]
		if !listed && l.format.Info().Moving {
			continue
		}
		if !listed {
			if gone := keepHeld(old.Name, old.Files, held); len(gone) > 0 {
				if err := l.vanished(ctx, pkg.Name, old, gone, held); err != nil {
					return err
				}
				v := *old
				v.Files = gone
				pkg.Versions = append(pkg.Versions, v)
			}
			continue
		}
		v := &pkg.Versions[at]
		v.Seen = old.Seen
		if v.Published.IsZero() && v.Partial {
			v.Published = old.Published
		}
		if err := l.reconcileFiles(ctx, pkg.Name, old, v, held, seen); err != nil {
			return err
		}
	}
	return l.release(ctx, pkg, held)
}

// reconcileFiles does for the files of one version what reconcile does for versions.
func (l *upstream) reconcileFiles(ctx context.Context, pkg string, old, v *millpond.Version, held map[[2]string]*catalog.Holding, seen time.Time) error {
	var was map[string]*millpond.File
	if len(old.Files) > 0 {
		was = make(map[string]*millpond.File, len(old.Files))
		for i := range old.Files {
			was[old.Files[i].Name] = &old.Files[i]
		}
	}
	for i := range v.Files {
		f := &v.Files[i]
		o := was[f.Name]
		delete(was, f.Name)
		if o == nil {
			if len(old.Files) > 0 {
				f.Seen = seen
			}
			continue
		}
		f.Seen = o.Seen
		if sameDigests(o.Digests, f.Digests) {
			f.Corrupt = o.Corrupt
			continue
		}
		if len(o.Digests) == 0 || len(f.Digests) == 0 {
			continue
		}
		h := held[[2]string{v.Name, f.Name}]
		kept := h != nil && !h.Blob.IsZero()
		// Of bytes that are kept each listing tells anew that they were replaced.
		if is := f.Digests[0].String(); !kept || l.anew.once("replaced\x00"+pkg+"\x00"+v.Name+"\x00"+f.Name+"\x00"+is, l.pond.now(), sayAgain) {
			l.pond.event(ctx, millpond.Event{
				Verb: "replaced", Repository: l.repo.config.Name, Layer: l.name,
				Key:    millpond.Key{Package: pkg, Version: v.Name, File: f.Name},
				Detail: detail("was", o.Digests[0].String(), "is", is, "kept", kept),
			})
		}
		if kept {
			f.Digests, f.Size = o.Digests, o.Size // the first bytes stay
		} else {
			f.Seen = seen
		}
	}
	var rest []millpond.File
	for i := range old.Files {
		if _, missing := was[old.Files[i].Name]; missing {
			rest = append(rest, old.Files[i])
		}
	}
	if gone := keepHeld(v.Name, rest, held); len(gone) > 0 {
		if err := l.vanished(ctx, pkg, old, gone, held); err != nil {
			return err
		}
		v.Files = append(v.Files, gone...)
	}
	return nil
}

// keepHeld returns those files whose bytes are held, marked as vanished.
func keepHeld(version string, files []millpond.File, held map[[2]string]*catalog.Holding) []millpond.File {
	var gone []millpond.File
	for _, f := range files {
		if h := held[[2]string{version, f.Name}]; h != nil && !h.Blob.IsZero() {
			f.Vanished = true
			gone = append(gone, f)
		}
	}
	return gone
}

// vanished marks the holdings of files that the upstream no longer has, so that they are not evicted, and tells.
func (l *upstream) vanished(ctx context.Context, pkg string, old *millpond.Version, gone []millpond.File, held map[[2]string]*catalog.Holding) error {
	told := false
	for _, f := range gone {
		h := held[[2]string{old.Name, f.Name}]
		if h.Keep {
			continue
		}
		kept := *h
		kept.Keep = true
		if err := l.pond.catalog.PutHolding(ctx, &kept); err != nil {
			return err
		}
		told = true
	}
	if told {
		l.pond.event(ctx, millpond.Event{
			Verb: "vanished", Repository: l.repo.config.Name, Layer: l.name, Key: millpond.Key{Package: pkg, Version: old.Name},
		})
	}
	return nil
}

// keepAll keeps what is held of a package from being evicted: its upstream has it no more.
func (l *upstream) keepAll(ctx context.Context, pkg string) error {
	held, err := l.holdings(ctx, pkg)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.Keep || h.Blob.IsZero() {
			continue
		}
		h.Keep = true
		if err := l.pond.catalog.PutHolding(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

func sameDigests(a, b []millpond.Digest) bool {
	// Two publishers' lists agree if no algorithm that both name differs.
	for _, x := range a {
		for _, y := range b {
			if x.Algorithm() == y.Algorithm() && x != y {
				return false
			}
		}
	}
	return true
}
