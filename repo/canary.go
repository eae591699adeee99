package repo

import (
	"context"
	"errors"
	"io"

	"millpond"
)

// A Canary is a few bytes that were written as those of a package are, and that nothing names.
type Canary struct {
	pond   *Pond
	digest millpond.Digest
}

// Canary keeps a text that nobody else has. It is no change and has no event; the caller drops it. If the process ends before,
// a sweep does. Full if the disk is, Unready if writes have stopped.
func (p *Pond) Canary(ctx context.Context, text []byte) (*Canary, error) {
	w, err := p.blobs.Create(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, errors.Join(err, w.Discard(), w.Close())
	}
	d, err := w.Commit(ctx)
	if err != nil {
		return nil, errors.Join(err, w.Discard(), w.Close())
	}
	return &Canary{p, d}, w.Close()
}

// Open reads it back.
func (c *Canary) Open(ctx context.Context) (io.ReadCloser, error) {
	return c.pond.blobs.Open(ctx, c.digest, 0, -1)
}

// Drop removes it.
func (c *Canary) Drop(ctx context.Context) error { return c.pond.blobs.Delete(ctx, c.digest) }
