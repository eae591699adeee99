package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"millpond"
	"millpond/format"
)

func (h handler) getMadeIndex(w http.ResponseWriter, r *http.Request, pkg *millpond.Package, file string, at time.Time) error {
	m, err := h.makeAt(r.Context(), pkg, at)
	if err != nil {
		return err
	}
	f := m.file(file)
	if f == nil && at.IsZero() && !made(pkg) {
		return h.getUnlisted(w, r, pkg, file)
	}
	if f == nil {
		return noIndex(pkg.Name, file)
	}
	return h.sendMade(w, r, pkg.Name, m, *f, revalidate)
}

// getMadeHash looks an index up in the Release of now, and in those before that are kept.
func (h handler) getMadeHash(w http.ResponseWriter, r *http.Request, pkg *millpond.Package, d millpond.Digest) error {
	m, err := h.make(r.Context(), pkg)
	if err != nil {
		return err
	}
	is := func(f madeFile) bool { return f.digest(d.Algorithm()) == d.Hex() }
	if i := slices.IndexFunc(m.Files, is); i >= 0 {
		return h.sendMade(w, r, pkg.Name, m, m.Files[i], format.Immutable(h.repo))
	}
	forms, err := h.forms(r.Context(), pkg.Name)
	if err != nil {
		return err
	}
	for _, one := range forms {
		m, err := h.form(r.Context(), pkg.Name, one.Stamp)
		if errors.Is(err, error(errLost)) {
			continue
		}
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(m.Files, is); i >= 0 {
			return h.sendMade(w, r, pkg.Name, m, m.Files[i], format.Immutable(h.repo))
		}
	}
	return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: pkg.Name}, Why: "no Release of " + pkg.Name + " that is kept lists an index of that digest"}
}

func (h handler) sendMade(w http.ResponseWriter, r *http.Request, suite string, m *madeRelease, f madeFile, cache string) error {
	if f.From != "" {
		c, err := format.Find(r, h.repo, millpond.Key{Package: suite, Version: f.From, File: f.Path})
		if err != nil {
			return err
		}
		return h.send(w, r, c, typeOf(f.Path), cache)
	}
	d, err := millpond.ParseDigest("sha256:" + f.SHA256)
	if err != nil {
		return err
	}
	c := &millpond.Content{Size: f.Size, Digest: d, Modified: m.Date}
	if r.Method != http.MethodHead {
		j := &joined{ctx: r.Context(), h: h, buckets: m.Buckets, pieces: f.Pieces, size: f.Size}
		if f.Size > 0 {
			if err := j.open(); err != nil { // before anything is answered
				return err
			}
		}
		c.ReadSeekCloser = j
	}
	return h.send(w, r, c, typeOf(f.Path), cache)
}

// A joined reads the pieces of an index, one behind the other.
type joined struct {
	ctx     context.Context
	h       handler
	buckets []bucketRef
	pieces  []piece
	size    int64
	off     int64
	body    *millpond.Content // of the piece at off; nil if none is open
	left    int64             // of it
}

// open opens the piece at off.
func (j *joined) open() error {
	at := int64(0)
	for _, p := range j.pieces {
		if j.off >= at+p.Length {
			at += p.Length
			continue
		}
		c, err := j.h.openBucket(j.ctx, j.buckets[p.Bucket])
		if err != nil {
			return err
		}
		if _, err := c.Seek(p.Offset+j.off-at, io.SeekStart); err != nil {
			c.Close()
			return err
		}
		j.body, j.left = c, at+p.Length-j.off
		return nil
	}
	return io.EOF
}

func (j *joined) Read(b []byte) (int, error) {
	if j.body == nil {
		if j.off >= j.size {
			return 0, io.EOF
		}
		if err := j.open(); err != nil {
			return 0, err
		}
	}
	n, err := j.body.Read(b[:min(int64(len(b)), j.left)])
	j.off += int64(n)
	if j.left -= int64(n); j.left == 0 {
		j.Close()
		return n, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (j *joined) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += j.off
	case io.SeekEnd:
		off += j.size
	}
	if off < 0 {
		return 0, fmt.Errorf("seek to %d: before the start", off)
	}
	if off != j.off {
		j.Close()
	}
	j.off = off
	return off, nil
}

func (j *joined) Close() error {
	if j.body == nil {
		return nil
	}
	err := j.body.Close()
	j.body = nil
	return err
}
