package mem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"millpond"
)

// A Writer is an unfinished blob in memory.
type Writer struct {
	s *Store
	*part
	closed bool
	ended  bool            // committed or discarded
	sealed millpond.Digest // of a committed blob
}

// A part is what outlives a Writer until it is committed or dropped.
type part struct {
	id      string
	bytes   []byte // with what was placed
	size    int64  // of bytes, how much is the blob's
	touched time.Time
}

var errEnded = &millpond.Error{Kind: millpond.Conflict, Why: "the blob is already committed or discarded"}

// ID names the unfinished blob for Resume.
func (w *Writer) ID() string { return w.id }

// Size is how many bytes were written.
func (w *Writer) Size() int64 {
	w.s.mu.RLock()
	defer w.s.mu.RUnlock()
	return w.size
}

// Write appends p. Full if that is over the limit.
func (w *Writer) Write(p []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if err := w.usable(); err != nil {
		return 0, err
	}
	if err := w.place(p, w.size); err != nil {
		return 0, err
	}
	w.size += int64(len(p))
	return len(p), nil
}

// place keeps p at off. The caller holds mu.
func (w *Writer) place(p []byte, off int64) error {
	more := max(0, off+int64(len(p))-int64(len(w.bytes)))
	if err := w.s.room(more); err != nil {
		return err
	}
	if off == int64(len(w.bytes)) {
		w.bytes = append(w.bytes, p...)
	} else {
		w.bytes = append(w.bytes, make([]byte, more)...)
		copy(w.bytes[off:], p)
	}
	w.s.used += more
	w.touched = w.s.now()
	return nil
}

// usable is why the Writer cannot be written to. The caller holds mu.
func (w *Writer) usable() error {
	if w.closed {
		return fs.ErrClosed
	}
	if w.ended {
		return errEnded
	}
	return nil
}

// Expect is Full if n more bytes are over the limit.
func (w *Writer) Expect(n int64) error {
	w.s.mu.RLock()
	defer w.s.mu.RUnlock()
	return w.s.room(n)
}

// ReadAt reads what was written so far.
func (w *Writer) ReadAt(p []byte, off int64) (int, error) {
	w.s.mu.RLock()
	defer w.s.mu.RUnlock()
	if w.closed {
		return 0, fs.ErrClosed
	}
	if off < 0 {
		return 0, errors.New("mem: negative offset")
	}
	if off >= int64(len(w.bytes)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, w.bytes[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Commit seals the blob.
func (w *Writer) Commit(ctx context.Context, want ...millpond.Digest) (millpond.Digest, error) {
	if err := ctx.Err(); err != nil {
		return millpond.Digest{}, err
	}
	w.s.mu.RLock()
	err, b := w.usable(), w.bytes[:w.size:w.size]
	w.s.mu.RUnlock()
	if err != nil {
		if !w.sealed.IsZero() {
			return w.sealed, nil
		}
		return millpond.Digest{}, err
	}
	for _, d := range want {
		h := d.Hash()
		if h == nil {
			return millpond.Digest{}, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("a store cannot compute %q", d)}
		}
		h.Write(b)
		if got, err := millpond.NewDigest(d.Algorithm(), h.Sum(nil)); err != nil || got != d {
			w.Discard()
			return millpond.Digest{}, &millpond.Error{Kind: millpond.Corrupt, Why: fmt.Sprintf("the bytes have %s, not %s as declared; nothing was kept", got, d), Err: err}
		}
	}
	d := millpond.SHA256(b)
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	delete(w.s.unfinished, w.id)
	w.s.used -= int64(len(w.bytes) - len(b)) // what was placed and not taken
	if w.s.blobs == nil {
		w.s.blobs = make(map[millpond.Digest]held)
	}
	if _, ok := w.s.blobs[d]; ok {
		w.s.used -= int64(len(b)) // they were already held
	}
	w.s.blobs[d] = held{bytes: b, sealed: w.s.now()}
	w.ended, w.sealed = true, d
	return d, nil
}

// Discard drops the bytes.
func (w *Writer) Discard() error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if !w.ended {
		w.drop()
	}
	return nil
}

// drop forgets the unfinished blob. The caller holds mu.
func (w *Writer) drop() {
	delete(w.s.unfinished, w.id)
	w.s.used -= int64(len(w.bytes))
	w.ended = true
}

// Close ends the use of the Writer.
func (w *Writer) Close() error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.closed = true
	return nil
}
