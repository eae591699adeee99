package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"millpond"
)

// A body is one reader of a flight. Read and Seek are for one goroutine; Close may be called by another, and ends a Read
// that waits.
type body struct {
	f      *flight
	joined bool

	once   sync.Once
	closed chan struct{}

	pos int64 // the reading goroutine's own, but changed under the flight's mu

	// Guarded by the flight's mu:
	told int64 // the size that the reader may have told others; -1 if none
	took bool  // was given bytes of the object that the flight downloads now
	lost error // the object is no longer the one whose bytes or size this reader has seen
}

// Size is the length, or -1 while it is not known.
func (b *body) Size() int64 {
	b.f.mu.Lock()
	defer b.f.mu.Unlock()
	b.told = b.f.size
	return b.f.size
}

// Type is the Content-Type as the upstream sent it.
func (b *body) Type() string {
	b.f.mu.Lock()
	defer b.f.mu.Unlock()
	return b.f.kind
}

// Joined reports whether this reader follows a download that another began.
func (b *body) Joined() bool { return b.joined }

// Arrived is how many bytes from the start can be read without waiting.
func (b *body) Arrived() int64 {
	b.f.mu.Lock()
	defer b.f.mu.Unlock()
	return b.f.readable()
}

// Await waits until Arrived is at least n or the bytes are complete and verified, and reports whether that came to be.
func (b *body) Await(ctx context.Context, n int64) bool {
	f := b.f
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case b.lost != nil:
			return false
		case f.over:
			return f.err == nil
		case f.readable() >= n:
			return true
		}
		ch := f.change()
		f.mu.Unlock()
		ended := false
		select {
		case <-ch:
		case <-ctx.Done():
			ended = true
		case <-b.closed:
			ended = true
		}
		f.mu.Lock()
		if ended {
			return false
		}
	}
}

// Read waits for bytes that may be read, and returns io.EOF only behind the last of a verified body.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, gen, err := b.next(int64(len(p)))
		if err != nil {
			return 0, err
		}
		b.f.use.RLock()
		if b.f.gen != gen {
			b.f.use.RUnlock()
			continue // it started over in between: next knows what that means for us
		}
		k, err := b.f.readAt(p[:n], b.pos)
		b.f.use.RUnlock()
		if k > 0 {
			b.move(b.pos + int64(k))
			return k, nil
		}
		return 0, b.why(err)
	}
}

// Piece waits for bytes that may be read, and says where in the store's file they are.
func (b *body) Piece(n int64) (*os.File, int64, int64, error) {
	for {
		n, gen, err := b.next(n)
		if err != nil {
			return nil, 0, 0, err
		}
		f, same := b.f.shared(gen)
		if !same {
			continue
		}
		if f == nil {
			return nil, 0, 0, errors.ErrUnsupported
		}
		return f, b.pos, n, nil
	}
}

// next waits until there is something to read at the reader's position, at most n bytes.
func (b *body) next(n int64) (int64, int, error) {
	f := b.f
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		select {
		case <-b.closed:
			return 0, 0, os.ErrClosed
		default:
		}
		limit := f.readable()
		switch {
		case b.lost != nil:
			return 0, 0, b.lost
		case f.err != nil:
			return 0, 0, f.err
		case b.pos < limit:
			b.took = true
			return min(n, limit-b.pos), f.gen, nil
		case f.over:
			return 0, 0, io.EOF
		}
		ch := f.change()
		f.mu.Unlock()
		select {
		case <-ch:
		case <-b.closed:
		}
		f.mu.Lock()
	}
}

// why is the reason behind a failed read of bytes that should be there.
func (b *body) why(err error) error {
	b.f.mu.Lock()
	defer b.f.mu.Unlock()
	switch {
	case b.lost != nil:
		return b.lost
	case b.f.err != nil:
		return b.f.err
	case err == nil || err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read a download: %w", err)
}

// move sets the position, and tells a writer who waits for its slowest reader.
func (b *body) move(to int64) {
	b.f.mu.Lock()
	b.pos = to
	if b.f.pacing {
		b.f.wake()
	}
	b.f.mu.Unlock()
}

// Seek sets where the next Read begins. Seeking from the end needs a known size.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.pos
	case io.SeekEnd:
		size := b.Size()
		if size < 0 {
			return 0, errors.New("fetch: the size is not known yet")
		}
		offset += size
	}
	if offset < 0 {
		return 0, errors.New("fetch: negative position")
	}
	b.move(offset)
	return offset, nil
}

// WriteTo writes all that is left, in large pieces.
func (b *body) WriteTo(w io.Writer) (n int64, err error) {
	buf := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(buf)
	for {
		k, err := b.Read(buf[:])
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		k, err = w.Write(buf[:k])
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
}

const pieceSize = 64 << 10

// pieces are what readers copy through: small, for there are many.
var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// Close ends the reading. The download goes on.
func (b *body) Close() error {
	b.once.Do(func() {
		close(b.closed)
		f := b.f
		f.mu.Lock()
		delete(f.bodies, b)
		f.mu.Unlock()
		f.e.followers.Add(-1)
		f.part()
	})
	return nil
}

// changedUnder is what a reader is told who has seen another object than the one that is downloaded now.
func changedUnder(name, file string) error {
	return &millpond.Error{Kind: millpond.BadUpstream, Why: name + " changed " + file + " while it was being read"}
}
