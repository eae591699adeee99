package repo

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// succeed reads a listing that grows out of the one before. Nothing is carried over that it does not carry over itself.
func (l *upstream) succeed(ctx context.Context, s *session, src format.Successor, before *millpond.Package, name string) ([]byte, error) {
	pkg, err := src.Succeed(ctx, name, before, keeper{l})
	if err != nil {
		return nil, err
	}
	if len(pkg.Parts) == 0 {
		pkg.Parts = make([]millpond.Part, 1)
	}
	if pkg.Parts[0].Document, err = s.document(ctx, 0); err != nil {
		return nil, err
	}
	pkg.Name = name
	return encodeListing(pkg), nil
}

// A keeper is the format.Keeper of an upstream.
type keeper struct{ l *upstream }

// Held implements format.Keeper.
func (k keeper) Held(ctx context.Context, key millpond.Key) (bool, error) {
	h, err := k.l.pond.catalog.Holding(ctx, k.l.id, key)
	if millpond.Is(err, millpond.NotFound) {
		return false, nil
	}
	return err == nil && !h.Blob.IsZero(), err
}

// Hold implements format.Keeper.
func (k keeper) Hold(ctx context.Context, key millpond.Key, f *millpond.File) error {
	if held, err := k.Held(ctx, key); held || err != nil {
		return err
	}
	if linked, err := k.link(ctx, key, f); linked || err != nil {
		return err
	}
	c, err := k.l.open(ctx, key, f, opening{asking: true, ahead: true})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.Copy(io.Discard, c); err != nil {
		return fmt.Errorf("hold %s: %w", key, err)
	}
	return nil
}

// link makes bytes that are held of the package under another key those of this one.
func (k keeper) link(ctx context.Context, key millpond.Key, f *millpond.File) (bool, error) {
	i := slices.IndexFunc(f.Digests, func(d millpond.Digest) bool { return d.Algorithm() == "sha256" })
	if i < 0 {
		return false, nil
	}
	for h, err := range k.l.pond.catalog.Held(ctx, k.l.id, key.Package) {
		if err != nil {
			return false, err
		}
		if h.Blob != f.Digests[i] {
			continue
		}
		if _, err := k.l.pond.blobs.Stat(ctx, h.Blob); err != nil {
			continue
		}
		same := *h
		same.Key, same.Digests, same.Type, same.URL, same.Keep = key, f.Digests, f.Type, redacted(f.URL), false
		return true, k.l.pond.catalog.PutHolding(ctx, &same)
	}
	return false, nil
}

// Open implements format.Keeper.
func (k keeper) Open(ctx context.Context, key millpond.Key) (*millpond.Content, error) {
	h, err := k.l.pond.catalog.Holding(ctx, k.l.id, key)
	if err == nil && h.Blob.IsZero() {
		err = &millpond.Error{Kind: millpond.NotFound, Key: key, Why: "it is not held"}
	}
	if err != nil {
		return nil, err
	}
	return k.l.pond.openHeld(ctx, h, false)
}

// Put implements format.Keeper.
func (k keeper) Put(ctx context.Context, key millpond.Key, body []byte, kind string, modified time.Time) error {
	p := k.l.pond
	err := func() error {
		w, err := p.blobs.Create(ctx)
		if err != nil {
			return err
		}
		defer w.Close()
		if _, err := w.Write(body); err != nil {
			return err
		}
		d, err := w.Commit(ctx)
		if err != nil {
			return err
		}
		return p.catalog.PutHolding(ctx, &catalog.Holding{
			Layer: k.l.id, Key: key, Blob: d, Size: int64(len(body)), SHA256: d, Digests: []millpond.Digest{d}, Type: kind,
			Modified: modified, Keep: true,
		})
	}()
	return p.spare(ctx, key.String(), err)
}

// Drop implements format.Keeper.
func (k keeper) Drop(ctx context.Context, pkg, version string) error {
	return k.l.pond.spare(ctx, "that "+version+" is held no more", k.l.pond.catalog.DropHoldings(ctx, k.l.id, pkg, version))
}

// Known implements format.Knower.
func (b *bound) Known(ctx context.Context) ([]string, error) {
	names, err := b.Repository.known(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(names, func(name string) bool { return b.readable(name) != nil }), nil
}

func (r *Repository) known(ctx context.Context) ([]string, error) {
	var names []string
	for _, l := range r.layers {
		switch l := l.(type) {
		case *sibling:
			below, err := l.repo.known(ctx)
			if err != nil {
				return nil, err
			}
			names = append(names, below...)
		case *upstream:
			for name, err := range r.pond.catalog.Answered(ctx, l.id, "package") {
				if err != nil {
					return nil, err
				}
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// moving reports whether held bytes of a package may be no longer what its upstream has under their name: also those of an
// index of others, which stands for a listing.
func (r *Repository) moving(pkg string) bool {
	i, ok := r.config.Format.(millpond.Indexer)
	return r.info.Moving || ok && i.IsIndex(pkg)
}
