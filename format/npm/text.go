package npm

import (
	"fmt"
	"io"

	"millpond/format"
)

// A text is a kept document with one window over it, so that reading it in order costs few calls whatever the pieces.
type text struct {
	doc *format.Document
	buf []byte
	at  int64 // offset of buf[0]
	n   int   // how much of buf is filled
}

const window = 256 << 10

func newText(doc *format.Document) *text { return &text{doc: doc} }

// from returns bytes at off, at least one of n and at most n; they are good until the next call.
func (t *text) from(off, n int64) ([]byte, error) {
	if off < t.at || off >= t.at+int64(t.n) {
		if t.buf == nil {
			t.buf = make([]byte, min(window, max(t.doc.Size, 1)))
		}
		got, err := t.doc.ReadAt(t.buf, off)
		if t.at, t.n = off, got; got == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("read kept document at %d: %w", off, err)
		}
	}
	b := t.buf[off-t.at : t.n]
	return b[:min(int64(len(b)), n)], nil
}

// copy writes a range.
func (t *text) copy(w io.Writer, c cut) error {
	for c.from < c.to {
		b, err := t.from(c.from, c.to-c.from)
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		c.from += int64(len(b))
	}
	return nil
}

// reader reads a range.
func (t *text) reader(c cut) io.Reader { return &rangeReader{t, c} }

type rangeReader struct {
	t *text
	c cut
}

func (r *rangeReader) Read(p []byte) (int, error) {
	if r.c.empty() {
		return 0, io.EOF
	}
	b, err := r.t.from(r.c.from, min(int64(len(p)), r.c.to-r.c.from))
	if err != nil {
		return 0, err
	}
	n := copy(p, b)
	r.c.from += int64(n)
	return n, nil
}
