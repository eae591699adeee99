package disk

import (
	"context"
	"fmt"
	"io/fs"

	"millpond"
)

func notPlaced(off, size int64) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("byte %d cannot be, with %d of the blob's own", off, size)}
}

// PlaceAt implements blob.Placer.
func (w *Writer) PlaceAt(p []byte, off int64) error {
	w.placing.RLock()
	defer w.placing.RUnlock()
	if w.full {
		return errEnded
	}
	if err := w.s.Stopped(); err != nil {
		return err
	}
	if size := w.size.Load(); off < size {
		return notPlaced(off, size)
	}
	if err := w.s.room(int64(len(p))); err != nil {
		return err
	}
	n, err := w.f.WriteAt(p, off)
	end := off + int64(n)
	for reach := w.reach.Load(); end > reach && !w.reach.CompareAndSwap(reach, end); {
		reach = w.reach.Load()
	}
	if from, to := off/ahead*ahead, end/ahead*ahead; from < to {
		w.f.Start(from, to-from)
	}
	return fault("write a blob", err)
}

// endPlacing waits for who places, and lets nobody place any more.
func (w *Writer) endPlacing() {
	w.placing.Lock()
	defer w.placing.Unlock()
	w.full = true
}

// Flush implements blob.Placer.
func (w *Writer) Flush() error {
	w.placing.RLock()
	defer w.placing.RUnlock()
	if w.full {
		return errEnded
	}
	err := w.s.sync(w.f)
	if err == nil && !w.named.Load() {
		if err = w.s.syncNames(); err == nil {
			w.named.Store(true)
		}
	}
	return fault("make a blob durable", err)
}

// syncNames makes durable which unfinished blobs there are.
func (s *Store) syncNames() error {
	dir, err := s.dir.OpenDir(incoming)
	if err != nil {
		return err
	}
	defer dir.Close()
	return s.sync(dir)
}

// Take implements blob.Placer.
func (w *Writer) Take(ctx context.Context, size int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	if size > w.Size() {
		if size > w.reach.Load() {
			return notPlaced(size, w.Size())
		}
		w.placing.Lock() // nobody writes there any more when it is hashed
		w.size.Store(size)
		w.placing.Unlock()
	}
	return fault("read what was placed", w.sums.catchUp(ctx, w.f, w.Size()))
}

// Rewind implements blob.Placer.
func (w *Writer) Rewind(size int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	was := w.Size()
	if size < 0 || size > was {
		return notPlaced(size, was)
	}
	w.placing.Lock()
	defer w.placing.Unlock()
	w.reach.Store(max(w.reach.Load(), was))
	w.size.Store(size)
	for i, sum := range w.sums {
		if sum.n > size { // it cannot forget
			w.sums[i] = sum.anew()
		}
	}
	return nil
}

// Sum implements blob.Placer.
func (w *Writer) Sum(ctx context.Context) (millpond.Digest, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return millpond.Digest{}, fs.ErrClosed
	}
	if err := w.sums.catchUp(ctx, w.f, w.Size()); err != nil {
		return millpond.Digest{}, fault("read what was written", err)
	}
	return w.sums.digest("sha256"), nil
}
