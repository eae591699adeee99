package disk

import (
	"context"
	"hash"
	"io"

	"millpond"
)

// sums hash the bytes of an unfinished blob. Each sum has seen the bytes up to n, so that one which comes late, or a blob
// that is resumed, can catch up.
type sums []sum

type sum struct {
	algorithm string
	hash      hash.Hash
	n         int64
}

// newSums are those that every blob needs.
func newSums() sums {
	var s sums
	s.add("sha256")
	return s
}

// add begins a sum, unless there is one. It reports whether the algorithm can be computed.
func (s *sums) add(algorithm string) bool {
	for _, sum := range *s {
		if sum.algorithm == algorithm {
			return true
		}
	}
	h := millpond.NewHash(algorithm)
	if h == nil {
		return false
	}
	*s = append(*s, sum{algorithm: algorithm, hash: h})
	return true
}

// anew is the same sum of nothing.
func (s sum) anew() sum { return sum{algorithm: s.algorithm, hash: millpond.NewHash(s.algorithm)} }

// at reports whether every sum has seen n bytes.
func (s sums) at(n int64) bool {
	for _, sum := range s {
		if sum.n != n {
			return false
		}
	}
	return true
}

// write hashes the bytes that come next. Every sum must have seen those before.
func (s sums) write(p []byte) {
	for i := range s {
		s[i].hash.Write(p)
		s[i].n += int64(len(p))
	}
}

// catchUp hashes what some sums have not seen of the first size bytes of r, in one reading.
func (s sums) catchUp(ctx context.Context, r io.ReaderAt, size int64) error {
	if s.at(size) {
		return nil
	}
	buf := make([]byte, min(size, 256<<10))
	from := size
	for _, sum := range s {
		from = min(from, sum.n)
	}
	for from < size {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:min(int64(len(buf)), size-from)]
		n, err := r.ReadAt(p, from)
		if err == io.EOF {
			err = nil
		}
		if n < len(p) && err == nil {
			err = io.ErrUnexpectedEOF // it was written, and is not there
		}
		if err != nil {
			return err
		}
		for i := range s {
			if seen := s[i].n - from; seen < int64(n) {
				s[i].hash.Write(p[seen:])
				s[i].n = from + int64(n)
			}
		}
		from += int64(n)
	}
	return nil
}

// digest is the sum of an algorithm that was added.
func (s sums) digest(algorithm string) millpond.Digest {
	for _, sum := range s {
		if sum.algorithm == algorithm {
			d, err := millpond.NewDigest(algorithm, sum.hash.Sum(nil))
			if err != nil {
				panic(err) // an algorithm that is known has sums of the length that is known
			}
			return d
		}
	}
	return millpond.Digest{}
}
