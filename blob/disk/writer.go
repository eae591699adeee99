package disk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/disk/durable"
)

// A Writer is an unfinished blob on disk.
type Writer struct {
	s    *Store
	id   string
	f    *durable.File
	size atomic.Int64

	placing sync.RWMutex // held by who places, and by who lets nothing be placed any more; taken after mu
	reach   atomic.Int64 // the end of what was placed; 0 if nothing was
	full    bool         // nothing can be placed: guarded by placing
	named   atomic.Bool  // its name among the unfinished is durable

	mu     sync.Mutex // guards what follows; held across I/O, for only one goroutine writes
	sums   sums
	left   int64 // of what was reserved
	ragged bool  // a write failed: the file may be longer than size
	hard   bool  // the file may be a blob already, and is never written again
	ended  bool  // committed or discarded
	closed bool
	sealed millpond.Digest // of a committed blob
}

// ahead is in what steps bytes are sent on to the disk while more are coming: the last bytes of a download leave only when
// all are there, and should not wait for the disk to begin then.
const ahead = 8 << 20

var errEnded = &millpond.Error{Kind: millpond.Conflict, Why: "the blob is already committed or discarded"}

// Create begins a blob. Full if the disk has less than Low free.
func (s *Store) Create(ctx context.Context) (blob.Writer, error) {
	if err := errors.Join(ctx.Err(), s.Stopped()); err != nil {
		return nil, err
	}
	if err := s.room(1); err != nil {
		return nil, err
	}
	w := &Writer{s: s, id: rand.Text(), sums: newSums()}
	s.mu.Lock()
	s.writing[w.id] = true // before it is there, lest Tidy take it
	s.mu.Unlock()
	f, err := s.dir.Create(w.name())
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.writing, w.id)
		return nil, fault("begin a blob", err)
	}
	w.f = f
	return w, nil
}

// Resume goes on with a blob that was closed without Commit. After a power cut its bytes may not be those that were
// written: who goes on then, commits with a digest.
func (s *Store) Resume(ctx context.Context, id string) (blob.Writer, error) {
	if err := errors.Join(ctx.Err(), s.Stopped()); err != nil {
		return nil, err
	}
	gone := &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("there is no unfinished blob %q", id)}
	if len(id) < 20 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return nil, gone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing[id] {
		return nil, &millpond.Error{Kind: millpond.Conflict, Why: fmt.Sprintf("unfinished blob %q is being written", id)}
	}
	w := &Writer{s: s, id: id, sums: newSums()}
	info, err := s.dir.Stat(w.name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, gone
	}
	if err != nil {
		return nil, fault("resume a blob", err)
	}
	if links(info) > 1 { // a crash came after it was sealed, and before this name was dropped
		if err := s.dir.Remove(w.name()); err != nil {
			return nil, fault("resume a blob", err)
		}
		return nil, gone
	}
	if info.Mode()&0o200 == 0 { // a crash came just before it was sealed
		if err := s.dir.Chmod(w.name(), 0o600); err != nil {
			return nil, fault("resume a blob", err)
		}
	}
	f, err := s.dir.Edit(w.name())
	if err != nil {
		return nil, fault("resume a blob", err)
	}
	w.f = f
	w.size.Store(info.Size())
	if kept, ok := s.sums[id]; ok && kept[0].n <= info.Size() { // less, if more was placed than taken
		w.sums = kept
	}
	delete(s.sums, id)
	s.writing[id] = true
	return w, nil
}

func (w *Writer) name() string { return incoming + "/" + w.id }

// ID names the unfinished blob for Resume.
func (w *Writer) ID() string { return w.id }

// Size is how many bytes were written.
func (w *Writer) Size() int64 { return w.size.Load() }

// ReadAt reads what was written so far.
func (w *Writer) ReadAt(p []byte, off int64) (int, error) {
	size := max(w.size.Load(), w.reach.Load())
	switch {
	case off < 0:
		return 0, errors.New("disk: negative offset")
	case len(p) == 0:
		return 0, nil
	}
	short := off >= size || int64(len(p)) > size-off
	if short {
		p = p[:max(0, size-off)]
	}
	n, err := w.f.ReadAt(p, off)
	switch {
	case err == nil && short:
		return n, io.EOF
	case err == io.EOF && n < len(p):
		return n, io.ErrUnexpectedEOF // it was written, and is not there
	}
	return n, err
}

// File is the file that the bytes are in.
func (w *Writer) File() *os.File { return w.f.Shared() }

// Declare makes the Writer hash with further algorithms.
func (w *Writer) Declare(algorithms ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range algorithms {
		w.sums.add(name)
	}
}

// Expect is Full if n more bytes would leave less than Low free. Until they are written others cannot have that room.
func (w *Writer) Expect(n int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.release()
	if err := w.s.reserve(n); err != nil {
		return err
	}
	w.left = n
	return nil
}

// release gives back what was reserved. The caller holds mu.
func (w *Writer) release() {
	w.s.unreserve(w.left)
	w.left = 0
}

// usable is why the Writer cannot be written to. The caller holds mu.
func (w *Writer) usable() error {
	switch {
	case w.closed:
		return fs.ErrClosed
	case w.ended || w.hard:
		return errEnded
	}
	return w.s.Stopped()
}

// Write appends p. Full if that would leave less than Low free, or the disk is full.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil || len(p) == 0 {
		return 0, err
	}
	if int64(len(p)) > w.left {
		w.release()
		n, err := w.s.step(int64(len(p)))
		if err != nil {
			return 0, err
		}
		w.left = n
	}
	size := w.size.Load()
	if err := w.sums.catchUp(context.Background(), w.f, size); err != nil { // nothing, but for the first after Resume
		return 0, fault("read what was written", err)
	}
	n, err := w.f.WriteAt(p, size)
	w.sums.write(p[:n])
	w.left -= int64(n)
	w.s.unreserve(int64(n))
	w.size.Store(size + int64(n))
	if from, to := size/ahead*ahead, (size+int64(n))/ahead*ahead; from < to {
		w.f.Start(from, to-from)
	}
	if err != nil {
		w.ragged = true
		return n, fault("write a blob", err)
	}
	return n, nil
}

// Discard drops the bytes.
func (w *Writer) Discard() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.discard()
}

func (w *Writer) discard() error {
	if w.ended {
		return nil
	}
	w.ended = true
	w.endPlacing()
	w.release()
	if err := w.s.dir.Remove(w.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault("discard a blob", err) // Tidy will find it
	}
	return nil
}

// Close ends the use of the Writer.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	w.endPlacing()
	w.release()
	var err error
	if w.ragged && !w.ended && w.reach.Load() == 0 {
		err = w.f.Truncate(w.Size()) // Resume goes by the length of the file
	}
	err = errors.Join(err, w.f.Close())
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	delete(w.s.writing, w.id)
	if !w.ended && w.sums.at(w.Size()) {
		w.s.remember(w.id, w.sums)
	}
	return fault("close a blob", err)
}

// remember keeps what was hashed of an unfinished blob: an upload in a thousand chunks would be read a thousand times
// otherwise. The caller holds mu.
func (s *Store) remember(id string, sums sums) {
	for other := range s.sums {
		if len(s.sums) < 1000 {
			break
		}
		delete(s.sums, other) // it will be read again
	}
	s.sums[id] = sums
}

// now is the time in whole seconds.
func (s *Store) now() time.Time { return s.options.Now().Truncate(time.Second) }
