package repo

import (
	"context"
	"iter"
	"strings"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// List implements format.Lister: what is hosted, what is held of upstreams, and what siblings list, brought together in
// order. A name that is ours is shown of nobody else.
func (b *bound) List(ctx context.Context, w format.Walk) iter.Seq2[format.Listed, error] {
	return func(yield func(format.Listed, error) bool) {
		rights := b.rights()
		if err := b.readable(""); err != nil {
			yield(format.Listed{}, err)
			return
		}
		everything := rights.Scope(millpond.VerbRead, b.config.Name) == "*"
		for one, err := range b.Repository.list(ctx, w) {
			if err != nil {
				yield(format.Listed{}, err)
				return
			}
			if !everything && !rights.May(millpond.VerbRead, b.config.Name, one.Name) {
				continue
			}
			if b.nameVerdict(one.Name) != nil || b.takenDown(millpond.Key{Package: one.Name, Version: one.Version}) != nil {
				continue
			}
			if !yield(one, nil) {
				return
			}
		}
	}
}

// list is what the layers have, the first that has a name tells of it.
func (r *Repository) list(ctx context.Context, w format.Walk) iter.Seq2[format.Listed, error] {
	merged := r.hosted.list(ctx, w)
	for _, l := range r.layers {
		switch l := l.(type) {
		case *upstream:
			merged = inOrder(merged, r.outside(l, l.listHeld(ctx, w)))
		case *sibling:
			merged = inOrder(merged, r.outside(l, l.repo.list(ctx, w)))
		}
	}
	return merged
}

// outside leaves out of what another layer lists what is ours, and what it is not asked about.
func (r *Repository) outside(l layer, all iter.Seq2[format.Listed, error]) iter.Seq2[format.Listed, error] {
	return func(yield func(format.Listed, error) bool) {
		for one, err := range all {
			if err == nil && (r.claimed(one.Name) || !r.hears(l, one.Name)) {
				continue
			}
			if !yield(one, err) {
				return
			}
		}
	}
}

// inOrder yields two ordered lists as one, and of names that both have the first's.
func inOrder(a, b iter.Seq2[format.Listed, error]) iter.Seq2[format.Listed, error] {
	return func(yield func(format.Listed, error) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		other, err, more := next()
		for one, oneErr := range a {
			for oneErr == nil && more && err == nil && other.Name < one.Name {
				if !yield(other, nil) {
					return
				}
				other, err, more = next()
			}
			if more && err == nil && other.Name == one.Name {
				other, err, more = next()
			}
			if err != nil || oneErr != nil {
				yield(format.Listed{}, firstError(oneErr, err))
				return
			}
			if !yield(one, nil) {
				return
			}
		}
		for more {
			if !yield(other, err) || err != nil {
				return
			}
			other, err, more = next()
		}
	}
}

// list reads page by page, each in a view of its own: whoever takes the names may take his time.
func (l *hosted) list(ctx context.Context, w format.Walk) iter.Seq2[format.Listed, error] {
	return func(yield func(format.Listed, error) bool) {
		after, size := w.After, 16
		if w.Few {
			size = 1
		}
		for ; ; size = min(16*size, 256) {
			page, err := l.page(ctx, pageOf{w.Prefix, after, size})
			if err != nil {
				yield(format.Listed{}, err)
				return
			}
			for _, one := range page {
				if !yield(one, nil) {
					return
				}
			}
			if len(page) < size {
				return
			}
			after = page[len(page)-1].Name
		}
	}
}

// page is one page, which nobody may change.
func (l *hosted) page(ctx context.Context, of pageOf) ([]format.Listed, error) {
	page, ok, mark := l.repo.shelf.get(&l.repo.changes, of)
	if ok {
		return page, nil
	}
	err := l.repo.pond.catalog.View(ctx, func(tx catalog.Tx) error {
		page = nil
		for one, err := range tx.HostedLast(l.name(), of.prefix, of.after, of.most) {
			if err != nil {
				return err
			}
			page = append(page, format.Listed{Name: one.Name, Version: one.Version, File: one.File})
		}
		return nil
	})
	if err == nil {
		l.repo.shelf.put(&l.repo.changes, of, page, mark)
	}
	return page, err
}

// listHeld yields the names that anything is held of, each with what came last.
func (l *upstream) listHeld(ctx context.Context, w format.Walk) iter.Seq2[format.Listed, error] {
	return func(yield func(format.Listed, error) bool) {
		after := w.After
		if after < w.Prefix {
			after = before(w.Prefix)
		}
		var last *catalog.Holding
		show := func() bool {
			h := last
			last = nil
			return h == nil || yield(format.Listed{Name: h.Key.Package, Layer: l.name, Version: h.Key.Version, File: millpond.File{
				Name: h.Key.File, Size: h.Size, Digests: h.Digests, Blob: h.Blob, Type: h.Type, Published: h.Modified,
			}}, nil)
		}
		for h, err := range l.pond.catalog.HeldAfter(ctx, l.id, after) {
			if err != nil {
				yield(format.Listed{}, err)
				return
			}
			if h.Blob.IsZero() || h.Key.Package < w.Prefix {
				continue
			}
			if !strings.HasPrefix(h.Key.Package, w.Prefix) {
				break
			}
			if last != nil && last.Key.Package != h.Key.Package && !show() {
				return
			}
			if last == nil || h.Modified.After(last.Modified) {
				last = h
			}
		}
		show()
	}
}

// before is a name that comes before all names that begin with prefix, and after nearly all others.
func before(prefix string) string {
	if prefix == "" {
		return ""
	}
	return prefix[:len(prefix)-1]
}

// Loose implements format.Looser.
func (b *bound) Loose(ctx context.Context, pkg, prefix string) ([]millpond.File, error) {
	if err := b.allowed(b.rights(), millpond.VerbPublish, pkg); err != nil {
		return nil, err
	}
	v, err := b.hosted.some(ctx, pkg, prefix)
	if err != nil {
		return nil, err
	}
	var out []millpond.File
	for i := range v.HostedFiles {
		f := &v.HostedFiles[i]
		if strings.HasPrefix(f.Name, prefix) && f.Deleted.IsZero() && (f.Expires.IsZero() || b.pond.now().Before(f.Expires)) {
			out = append(out, f.File)
		}
	}
	return out, nil
}
