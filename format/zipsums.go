package format

import (
	"archive/zip"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"millpond/manysum"
)

const (
	sideBySide  = 16 // members that one goroutine hashes at once, where the processor can
	mostHashing = 4  // goroutines that do: each needs two megabytes
	sooner      = 6  // times so much is hashed then in the same time
)

// ErrUnpacked is what SumMembers says of members that are larger together than they may be.
var ErrUnpacked = errors.New("unpacks to more than it may")

// SumMembers puts the SHA-256 of what each member unpacks to into sums, which is as long as members is. It gives up when
// they have more than limit bytes together, or ctx ends: what a directory says of a size may be a lie.
func SumMembers(ctx context.Context, members []*zip.File, sums [][sha256.Size]byte, limit int64) error {
	s := &summing{members: members, sums: sums, limit: limit, order: make([]int, len(members)), alone: len(members)}
	for i := range s.order {
		s.order[i] = i
	}
	workers := min(runtime.GOMAXPROCS(0), len(members))
	if manysum.Fast() {
		s.sort()
		workers = min(workers, mostHashing, s.alone+(len(members)-s.alone+sideBySide-1)/sideBySide)
	}
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error {
			first, err := s.apart(ctx)
			if err != nil || first >= len(s.order) {
				return err
			}
			return s.together(ctx, first)
		})
	}
	return g.Wait()
}

// A summing is one call of SumMembers.
type summing struct {
	members  []*zip.File
	sums     [][sha256.Size]byte
	limit    int64
	order    []int        // in which the members are hashed
	alone    int          // so many of them by themselves
	next     atomic.Int64 // of order
	unpacked atomic.Int64
}

// sort puts what takes longest first, and says how many members are larger than what is to be hashed beside them: they are done
// sooner by themselves.
func (s *summing) sort() {
	slices.SortFunc(s.order, func(a, b int) int {
		return cmp.Compare(s.members[b].UncompressedSize64, s.members[a].UncompressedSize64)
	})
	rest := 0.0
	for i := range s.members {
		rest += s.size(i)
	}
	apart, best := 0.0, math.Inf(1)
	for i := range len(s.order) + 1 {
		together := 0.0
		if i < len(s.order) {
			together = max(s.size(i), rest/sideBySide)
		}
		if takes := apart*sooner/sideBySide + together; takes < best {
			s.alone, best = i, takes
		}
		if i < len(s.order) {
			apart, rest = apart+s.size(i), rest-s.size(i)
		}
	}
}

// size is what a member seems to be to those who hash it: of the smallest they take a block too.
func (s *summing) size(i int) float64 {
	return float64(s.members[s.order[i]].UncompressedSize64) + sha256.BlockSize
}

// apart hashes one member after another, of those that are hashed alone. It returns the place of the first that is not, which
// is the caller's.
func (s *summing) apart(ctx context.Context) (first int, err error) {
	var buf []byte
	h := sha256.New()
	for {
		at := int(s.next.Add(1) - 1)
		if at >= s.alone {
			return at, nil
		}
		if buf == nil {
			buf = make([]byte, 64<<10)
		}
		r, err := s.open(ctx, s.order[at])
		if err != nil {
			return 0, err
		}
		h.Reset()
		_, err = io.CopyBuffer(struct{ io.Writer }{h}, r, buf)
		if err = errors.Join(err, r.Close()); err != nil {
			return 0, err
		}
		h.Sum(s.sums[s.order[at]][:0])
	}
}

// together hashes members side by side, the one at that place first.
func (s *summing) together(ctx context.Context, at int) error {
	begun := false
	return manysum.All(func() (manysum.Text, bool, error) {
		if begun {
			at = int(s.next.Add(1) - 1)
		}
		if begun = true; at >= len(s.order) {
			return manysum.Text{}, false, nil
		}
		i := s.order[at]
		r, err := s.open(ctx, i)
		if err != nil {
			return manysum.Text{}, false, err
		}
		return manysum.Text{ReadCloser: r, Sum: &s.sums[i]}, true, nil
	})
}

func (s *summing) open(ctx context.Context, i int) (io.ReadCloser, error) {
	r, err := s.members[i].Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.members[i].Name, err)
	}
	return &counted{r, s, ctx, s.members[i].Name}, nil
}

// A counted is a member that is read, its bytes counted with those of all.
type counted struct {
	io.ReadCloser
	s    *summing
	ctx  context.Context // of the one SumMembers
	name string
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.s.unpacked.Add(int64(n)) > c.s.limit {
		return 0, fmt.Errorf("%s: %w", c.name, ErrUnpacked)
	}
	if err != nil && err != io.EOF {
		return n, fmt.Errorf("%s: %w", c.name, err)
	}
	if wrong := c.ctx.Err(); err == nil && wrong != nil {
		return n, wrong
	}
	return n, err
}
