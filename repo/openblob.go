package repo

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"

	"millpond"
	"millpond/catalog"
)

// openHeld opens held bytes.
func (p *Pond) openHeld(ctx context.Context, h *catalog.Holding, stat bool) (*millpond.Content, error) {
	c := &millpond.Content{Size: h.Size, Digest: h.Blob, Digests: h.Digests, Type: h.Type, Modified: h.Modified}
	if stat {
		return c, nil
	}
	return c, p.openBlob(ctx, c)
}

// openBlob gives c the bytes of its digest.
func (p *Pond) openBlob(ctx context.Context, c *millpond.Content) error {
	body, err := p.blobs.Open(ctx, c.Digest, 0, -1)
	if err != nil {
		return err
	}
	p.used(c.Digest, c.Size)
	if seeker, ok := body.(io.ReadSeekCloser); ok {
		c.ReadSeekCloser = seeker
	} else {
		body.Close()
		c.ReadSeekCloser = &ranged{ctx: ctx, pond: p, digest: c.Digest, size: c.Size}
	}
	var opened fs.FileInfo
	if file, ok := body.(*os.File); ok {
		// A size that differs from the record's is damage that can be seen before anything was sent.
		if opened, err = file.Stat(); err != nil || opened.Size() != c.Size {
			file.Close()
			p.damaged(c.Digest, fmt.Errorf("the file has another size than its record"))
			return &millpond.Error{Kind: millpond.NotFound, Why: "the held bytes are damaged"}
		}
	}
	digest := c.Digest
	c.Damaged = func(err error) {
		if !p.sealedAnew(digest, opened) {
			p.damaged(digest, err)
		}
	}
	return nil
}

// sealedAnew reports whether a blob is another file than the one that a reader opened: the damage that it met was seen to by
// those who met it earlier, and what is there now has right bytes.
func (p *Pond) sealedAnew(d millpond.Digest, opened fs.FileInfo) bool {
	if opened == nil {
		return false // of a store that keeps no files
	}
	body, err := p.blobs.Open(p.life, d, 0, -1)
	if err != nil {
		return false
	}
	defer body.Close()
	file, ok := body.(*os.File)
	if !ok {
		return false
	}
	now, err := file.Stat()
	return err == nil && !os.SameFile(opened, now)
}

// damaged sets a blob aside that cannot be read as it was written, and forgets that it was held: the next reader has it
// fetched again.
func (p *Pond) damaged(d millpond.Digest, err error) {
	ctx := p.life
	p.log.ErrorContext(ctx, "held bytes are damaged; set aside", "digest", d.String(), "error", err)
	if err := p.catalog.LoseBlob(ctx, d); err != nil {
		p.log.ErrorContext(ctx, "cannot forget damaged bytes", "digest", d.String(), "error", err)
	}
	if err := p.setAside(ctx, d); err != nil && !millpond.Is(err, millpond.NotFound) {
		p.log.ErrorContext(ctx, "cannot set damaged bytes aside", "digest", d.String(), "error", err)
	}
	p.forgetBlob(d)
	p.event(ctx, millpond.Event{Verb: "damaged", Detail: detail("digest", d.String())})
}

// A ranged reads a blob of a store that cannot seek, by asking for the rest at each new position.
type ranged struct {
	ctx    context.Context
	pond   *Pond
	digest millpond.Digest
	size   int64
	off    int64
	body   io.ReadCloser
}

func (r *ranged) Read(b []byte) (int, error) {
	if r.body == nil {
		body, err := r.pond.blobs.Open(r.ctx, r.digest, r.off, -1)
		if err != nil {
			return 0, err
		}
		r.body = body
	}
	n, err := r.body.Read(b)
	r.off += int64(n)
	return n, err
}

func (r *ranged) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += r.off
	case io.SeekEnd:
		off += r.size
	}
	if off < 0 {
		return 0, fmt.Errorf("seek to %d: before the start", off)
	}
	if r.body != nil && off != r.off {
		r.body.Close()
		r.body = nil
	}
	r.off = off
	return off, nil
}

func (r *ranged) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}
