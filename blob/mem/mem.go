// Package mem keeps blobs in memory: for tests, and for what is small and need not last.
package mem

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"millpond"
	"millpond/blob"
)

// A Store is a blob.Store in memory. The zero Store is empty and ready for use.
type Store struct {
	Limit int64            // bytes that blobs and unfinished blobs may have together; 0 is no limit
	Now   func() time.Time // nil is time.Now

	mu         sync.RWMutex // guards what follows, and the fields of writers
	blobs      map[millpond.Digest]held
	unfinished map[string]*Writer
	used       int64
}

type held struct {
	bytes  []byte // never changed
	sealed time.Time
}

var (
	_ blob.Store   = (*Store)(nil)
	_ blob.Aside   = (*Store)(nil)
	_ blob.Sweeper = (*Store)(nil)
	_ blob.Hint    = (*Writer)(nil)
	_ blob.Placer  = (*Writer)(nil)
)

// New returns an empty Store.
func New() *Store { return new(Store) }

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now().Truncate(time.Second)
	}
	return time.Now().Truncate(time.Second)
}

// find returns a blob, or NotFound. The caller holds mu.
func (s *Store) find(d millpond.Digest) (held, error) {
	h, ok := s.blobs[d]
	if !ok {
		return held{}, &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("blob %s is not held", d)}
	}
	return h, nil
}

// Open returns bytes of a blob; what it returns is an io.Seeker. Range if off is behind the end.
func (s *Store) Open(ctx context.Context, d millpond.Digest, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	h, err := s.find(d)
	if err != nil {
		return nil, err
	}
	size := int64(len(h.bytes))
	if off < 0 || off > size {
		return nil, &millpond.Error{Kind: millpond.Range, Why: fmt.Sprintf("blob %s has %d bytes, none at %d", d, size, off)}
	}
	if n < 0 || n > size-off {
		n = size - off
	}
	return reader{bytes.NewReader(h.bytes[off : off+n])}, nil
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

// Stat is the blob's size and when it was last sealed.
func (s *Store) Stat(ctx context.Context, d millpond.Digest) (blob.Info, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h, err := s.find(d)
	if err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Size: int64(len(h.bytes)), Sealed: h.sealed}, ctx.Err()
}

// List yields the digests that are held when it is called.
func (s *Store) List(ctx context.Context, after millpond.Digest) iter.Seq2[millpond.Digest, error] {
	return func(yield func(millpond.Digest, error) bool) {
		s.mu.RLock()
		all := slices.Collect(maps.Keys(s.blobs))
		s.mu.RUnlock()
		slices.SortFunc(all, func(a, b millpond.Digest) int { return strings.Compare(a.String(), b.String()) })
		for _, d := range all {
			if d.String() <= after.String() {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(millpond.Digest{}, err)
				return
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

// Delete removes a blob.
func (s *Store) Delete(ctx context.Context, d millpond.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(ctx, d)
}

// SetAside removes a blob: memory does not rot, and nobody could look at it.
func (s *Store) SetAside(ctx context.Context, d millpond.Digest) error { return s.Delete(ctx, d) }

// DeleteOlder removes a blob unless it was sealed at or after before.
func (s *Store) DeleteOlder(ctx context.Context, d millpond.Digest, before time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h, err := s.find(d); err == nil && !h.sealed.Before(before) {
		if h.sealed.After(s.now().Add(time.Hour)) { // the clock was wrong then
			s.blobs[d] = held{bytes: h.bytes, sealed: s.now()}
		}
		return &millpond.Error{Kind: millpond.Conflict, Why: fmt.Sprintf("blob %s was sealed again", d)}
	}
	return s.remove(ctx, d)
}

// remove removes a blob. The caller holds mu.
func (s *Store) remove(ctx context.Context, d millpond.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h, err := s.find(d)
	if err != nil {
		return err
	}
	s.used -= int64(len(h.bytes))
	delete(s.blobs, d)
	return nil
}

// Room is what Limit leaves.
func (s *Store) Room(ctx context.Context) (blob.Room, error) {
	if s.Limit <= 0 {
		return blob.Room{Free: -1, Total: -1}, ctx.Err()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return blob.Room{Free: max(0, s.Limit-s.used), Total: s.Limit}, ctx.Err()
}

// room is Full if n more bytes are over the limit. The caller holds mu.
func (s *Store) room(n int64) error {
	if s.Limit > 0 && n > s.Limit-s.used {
		return &millpond.Error{Kind: millpond.Full, Why: fmt.Sprintf("there is room for %d bytes, not for %d", max(0, s.Limit-s.used), n)}
	}
	return nil
}

// Create begins a blob.
func (s *Store) Create(ctx context.Context) (blob.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.room(1); err != nil {
		return nil, err
	}
	w := &Writer{s: s, part: &part{id: rand.Text(), touched: s.now()}}
	if s.unfinished == nil {
		s.unfinished = make(map[string]*Writer)
	}
	s.unfinished[w.id] = w
	return w, nil
}

// Resume goes on with a blob that was closed without Commit.
func (s *Store) Resume(ctx context.Context, id string) (blob.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.unfinished[id]
	switch {
	case !ok:
		return nil, &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("there is no unfinished blob %q", id)}
	case !w.closed:
		return nil, &millpond.Error{Kind: millpond.Conflict, Why: fmt.Sprintf("unfinished blob %q is being written", id)}
	}
	w = &Writer{s: s, part: w.part}
	w.size = int64(len(w.bytes))
	s.unfinished[id] = w
	return w, nil
}

// Tidy drops unfinished blobs that were last written before a time, but those that stay.
func (s *Store) Tidy(ctx context.Context, before time.Time, stays func(id string) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, w := range s.unfinished {
		if w.closed && w.touched.Before(before) && (stays == nil || !stays(id)) {
			w.drop()
		}
	}
	return ctx.Err()
}
