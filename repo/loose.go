package repo

import (
	"bytes"
	"context"
	"io"
	"math"

	"millpond"
	"millpond/blob/seekable"
)

// looseWeight is how much memory keeps, in bytes, of documents that the store does not take.
const looseWeight = 32 << 20

// loose are documents in their kept form that the store did not take: its disk is full, or may not be written to. They are
// lost with the process, and read anew then.
type loose struct {
	cache[millpond.Digest, []byte]
}

func newLoose() (loose, error) {
	c, err := newCache(looseWeight, func(d millpond.Digest) cacheKey { return cacheKey{d.String()} }, func(b []byte) uint32 { return uint32(min(100+len(b), math.MaxUint32)) })
	return loose{c}, err
}

// add takes a text and returns the digest of its kept form.
func (l loose) add(text io.ReaderAt, size int64) (millpond.Digest, error) {
	var b bytes.Buffer
	pack := seekable.NewWriter(&b)
	if _, err := io.Copy(pack, io.NewSectionReader(text, 0, size)); err != nil {
		return millpond.Digest{}, err
	}
	if err := pack.Close(); err != nil {
		return millpond.Digest{}, err
	}
	d := millpond.SHA256(b.Bytes())
	l.Set(d, b.Bytes())
	return d, nil
}

func (l loose) get(d millpond.Digest) ([]byte, bool) { return l.GetIfPresent(d) }

// unkeepable reports whether an error says that nothing more can be written now. What was read is right all the same.
func unkeepable(err error) bool {
	switch {
	case err == nil:
		return false
	case millpond.Is(err, millpond.Full), millpond.Is(err, millpond.Unready), millpond.Is(err, millpond.Throttled):
		return true
	}
	return false
}

// unkept says in the log that something could not be written down which can be read again.
func (p *Pond) unkept(ctx context.Context, what string, err error) {
	if err != nil {
		p.log.ErrorContext(ctx, "not kept; it will be read again", "what", what, "error", err)
	}
}

// spare is err, but nil, with a line in the log, where it only says that nothing can be written now.
func (p *Pond) spare(ctx context.Context, what string, err error) error {
	if unkeepable(err) {
		p.unkept(ctx, what, err)
		return nil
	}
	return err
}
