package repo

import (
	"context"
	"io"
	"time"

	"millpond"
)

// A hotFile is a held file as memory keeps it: enough to answer without asking catalog or rules again.
type hotFile struct {
	content millpond.Content // without a body
	body    []byte           // nil if it is too large
	layer   string
	of      uint64 // the package's generation
	stamp   string // of the view whose verdict it rests on; "" if it was judged by itself
	judged  time.Time
	until   time.Time // until when the verdict stands; zero is for ever
}

// fromMemory answers for a held file whose verdict stands.
func (b *bound) fromMemory(ctx context.Context, k millpond.Key) *millpond.Content {
	f, ok := b.hot.GetIfPresent(k)
	if !ok {
		return nil
	}
	now := b.pond.now()
	if !f.until.IsZero() && !now.Before(f.until) || f.of != b.generation(k.Package) || f.judged.After(now.Add(leap)) || f.stamp != "" && !b.current(k.Package, f.stamp) {
		b.hot.Invalidate(k)
		return nil
	}
	c := f.content
	if f.body != nil {
		c.ReadSeekCloser = newMemory(f.body)
		b.pond.used(c.Digest, c.Size)
	} else if err := b.pond.openBlob(ctx, &c); err != nil {
		b.hot.Invalidate(k) // the long way finds out what is wrong
		return nil
	} else if c.Size <= warmSize {
		if c.ReadSeekCloser, err = b.warm(k, f, &c); err != nil {
			b.hot.Invalidate(k)
			return nil
		}
	}
	t := TraceOf(ctx)
	t.Layer = f.layer
	t.hit(c.Digest, b.moving(k.Package))
	return &c
}

// warm keeps the body of a file that is asked for again, and returns it.
func (b *bound) warm(k millpond.Key, f *hotFile, c *millpond.Content) (io.ReadSeekCloser, error) {
	defer c.Close()
	kept := *f
	kept.body = make([]byte, c.Size)
	if _, err := io.ReadFull(c, kept.body); err != nil {
		return nil, err
	}
	b.hot.Set(k, &kept)
	return newMemory(kept.body), nil
}

// current reports whether a view is still what the repository shows.
func (b *bound) current(name, stamp string) bool {
	now, ok := b.shown.GetIfPresent(viewKey{name, b.scope(known) == held})
	return ok && now.stamp == stamp
}

// toMemory keeps a held file for the next reader and returns c. A small body is read into memory, where c then reads from;
// if that fails the bytes are set aside and the error is errDamaged.
func (b *bound) toMemory(k millpond.Key, c *millpond.Content, of uint64, f *hotFile) (*millpond.Content, error) {
	f.of = of
	if c.Growing || c.Location != "" || c.ReadSeekCloser == nil || c.Digest.IsZero() {
		return c, nil
	}
	if c.Size <= hotSize {
		body := make([]byte, c.Size)
		_, err := io.ReadFull(c, body)
		c.Close()
		if err != nil && c.Damaged != nil && !millpond.Is(err, millpond.Canceled) {
			c.Damaged(err)
			return nil, errDamaged
		}
		if err != nil {
			return nil, err
		}
		f.body = body
		c.ReadSeekCloser = newMemory(body)
	}
	f.content = *c
	f.content.ReadSeekCloser, f.content.Damaged = nil, nil
	b.hot.Set(k, f)
	return c, nil
}
