package mem

import (
	"context"
	"fmt"

	"millpond"
)

func notPlaced(off, size int64) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("byte %d cannot be, with %d of the blob's own", off, size)}
}

// PlaceAt implements blob.Placer.
func (w *Writer) PlaceAt(p []byte, off int64) error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	if off < w.size {
		return notPlaced(off, w.size)
	}
	return w.place(p, off)
}

// Flush implements blob.Placer: memory keeps nothing longer.
func (w *Writer) Flush() error {
	w.s.mu.RLock()
	defer w.s.mu.RUnlock()
	return w.usable()
}

// Take implements blob.Placer.
func (w *Writer) Take(ctx context.Context, size int64) error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	if size > int64(len(w.bytes)) {
		return notPlaced(size, w.size)
	}
	w.size = max(w.size, size)
	return ctx.Err()
}

// Rewind implements blob.Placer.
func (w *Writer) Rewind(size int64) error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	if size < 0 || size > w.size {
		return notPlaced(size, w.size)
	}
	w.size = size
	return nil
}

// Sum implements blob.Placer.
func (w *Writer) Sum(ctx context.Context) (millpond.Digest, error) {
	w.s.mu.RLock()
	err, b := w.usable(), w.bytes[:w.size:w.size]
	w.s.mu.RUnlock()
	if err != nil {
		return millpond.Digest{}, err
	}
	return millpond.SHA256(b), ctx.Err()
}
