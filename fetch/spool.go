package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"sync"

	"millpond"
	"millpond/blob"
	"millpond/blob/seekable"
)

const (
	spoolMemory = 1 << 20  // of a text that is held as it is
	spoolPacked = 16 << 20 // of a packed text that the store had no room for
)

// A spool takes the text of a document: in memory while it is small, then packed into a blob that is not yet sealed.
type spool struct {
	blobs blob.Store
	ctx   context.Context
	sum   hash.Hash
	size  int64

	small  []byte
	pack   *seekable.Writer // nil while the text is small
	w      blob.Writer      // where it packs to; nil if the store had no room
	memory *memory          // where it packs to then
	reader io.ReaderAt      // of the text, once it is complete

	once   sync.Once // guards the two below
	kept   millpond.Digest
	failed error
}

func newSpool(ctx context.Context, blobs blob.Store) *spool {
	return &spool{blobs: blobs, ctx: ctx, sum: sha256.New()}
}

// expect makes room for a small text whose length is known: grown from nothing it would be copied a dozen times.
func (s *spool) expect(n int64) {
	if n > 0 && n <= spoolMemory {
		s.small = make([]byte, 0, n)
	}
}

// Write takes text.
func (s *spool) Write(p []byte) (int, error) {
	s.sum.Write(p)
	s.size += int64(len(p))
	if s.pack == nil && s.size <= spoolMemory {
		s.small = append(s.small, p...)
		return len(p), nil
	}
	if s.pack == nil {
		w, err := s.blobs.Create(s.ctx)
		switch {
		case noPlace(err):
			s.memory = &memory{most: spoolPacked, full: err}
		case err != nil:
			return 0, err
		default:
			s.w = w
		}
		s.pack = seekable.NewWriter(packed{s})
		if _, err := s.pack.Write(s.small); err != nil {
			return 0, err
		}
		s.small = nil
	}
	return s.pack.Write(p)
}

// noPlace reports whether a store says that it takes nothing now.
func noPlace(err error) bool {
	return millpond.Is(err, millpond.Full) || millpond.Is(err, millpond.Unready)
}

// packed takes the packed text, past the store once that takes no more.
type packed struct{ s *spool }

func (p packed) Write(b []byte) (int, error) {
	s := p.s
	if s.memory != nil {
		return s.memory.Write(b)
	}
	n, err := s.w.Write(b)
	if !noPlace(err) {
		return n, err
	}
	m := &memory{most: spoolPacked, full: err}
	if _, err := io.Copy(m, io.NewSectionReader(s.w, 0, s.w.Size())); err != nil {
		return n, err
	}
	discard(s.w)
	s.w, s.memory = nil, m
	k, err := m.Write(b[n:])
	return n + k, err
}

// end is called when the text is complete: it can be read from then on.
func (s *spool) end() error {
	if s.pack == nil {
		s.reader = bytes.NewReader(s.small)
		return nil
	}
	if err := s.pack.Close(); err != nil {
		return err
	}
	var packed io.ReaderAt = s.memory
	size := int64(0)
	if s.w != nil {
		packed, size = s.w, s.w.Size()
	} else {
		size = int64(len(s.memory.b))
	}
	r, err := seekable.NewReader(packed, size)
	if err != nil {
		return err
	}
	s.reader = r
	return nil
}

func (s *spool) digest() millpond.Digest {
	d, err := millpond.NewDigest("sha256", s.sum.Sum(nil))
	if err != nil {
		panic(err) // a sha256 has the length of a sha256
	}
	return d
}

// keep seals the packed text. Further calls return what the first did.
func (s *spool) keep(ctx context.Context) (millpond.Digest, error) {
	s.once.Do(func() { s.kept, s.failed = s.seal(ctx) })
	return s.kept, s.failed
}

func (s *spool) seal(ctx context.Context) (millpond.Digest, error) {
	if s.memory != nil {
		return millpond.Digest{}, s.memory.full
	}
	if s.w != nil {
		return s.w.Commit(ctx)
	}
	w, err := s.blobs.Create(ctx)
	if err != nil {
		return millpond.Digest{}, err
	}
	defer w.Close()
	pack := seekable.NewWriter(w)
	_, err = pack.Write(s.small)
	if err = errors.Join(err, pack.Close()); err != nil {
		return millpond.Digest{}, errors.Join(err, w.Discard())
	}
	return w.Commit(ctx)
}

// close ends the use of the text; what was not kept is dropped.
func (s *spool) close() error {
	dropped := false
	s.once.Do(func() { dropped, s.failed = true, errors.New("fetch: the document is closed") })
	if s.w == nil {
		return nil
	}
	w := s.w
	s.w = nil
	var err error
	if dropped {
		err = w.Discard()
	}
	return errors.Join(err, w.Close())
}

// memory is a blob.Writer's bytes without a store.
type memory struct {
	b    []byte
	most int
	full error // what Write says when it has no room, and Keep in any case
}

func (m *memory) Write(p []byte) (int, error) {
	if len(m.b)+len(p) > m.most {
		return 0, m.full
	}
	m.b = append(m.b, p...)
	return len(p), nil
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(m.b).ReadAt(p, off) }
