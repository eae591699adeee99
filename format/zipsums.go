package format

import (
	"archive/zip"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"millpond/manysum"
)

const (
	fewMembers  = 4  // of so few each is hashed by itself
	manyMembers = 16 // that one goroutine hashes at once
	mostHashing = 4  // goroutines that do, each of which needs two megabytes
)

// ErrUnpacked is what SumMembers says of members that are larger together than they may be.
var ErrUnpacked = errors.New("unpacks to more than it may")

// SumMembers puts the SHA-256 of what each member unpacks to into sums, which is as long as members is. It gives up when
// they have more than limit bytes together, or ctx ends: what a directory says of a size may be a lie.
func SumMembers(ctx context.Context, members []*zip.File, sums [][sha256.Size]byte, limit int64) error {
	s := &summing{members: members, sums: sums, limit: limit, order: make([]int, len(members))}
	for i := range s.order {
		s.order[i] = i
	}
	if !manysum.Fast() || len(members) < fewMembers {
		return s.run(ctx, min(runtime.GOMAXPROCS(0), len(members)), s.one)
	}
	// What takes long comes first, so that all end together.
	slices.SortFunc(s.order, func(a, b int) int { return cmp.Compare(members[b].UncompressedSize64, members[a].UncompressedSize64) })
	return s.run(ctx, min(runtime.GOMAXPROCS(0), mostHashing, (len(members)+manyMembers-1)/manyMembers), s.many)
}

// A summing is one call of SumMembers.
type summing struct {
	members  []*zip.File
	sums     [][sha256.Size]byte
	order    []int // in which the members are hashed
	limit    int64
	workers  int
	next     atomic.Int64 // of order
	unpacked atomic.Int64
}

// run has goroutines do their work, each of which is told which one it is.
func (s *summing) run(ctx context.Context, workers int, work func(context.Context, int) error) error {
	s.workers = workers
	g, ctx := errgroup.WithContext(ctx)
	for worker := range workers {
		g.Go(func() error { return work(ctx, worker) })
	}
	return g.Wait()
}

// one hashes a member after another.
func (s *summing) one(ctx context.Context, _ int) error {
	buf := make([]byte, 64<<10)
	h := sha256.New()
	for {
		at := int(s.next.Add(1) - 1)
		if at >= len(s.order) {
			return nil
		}
		r, err := s.open(ctx, s.order[at])
		if err != nil {
			return err
		}
		h.Reset()
		_, err = io.CopyBuffer(struct{ io.Writer }{h}, r, buf)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
		h.Sum(s.sums[s.order[at]][:0])
	}
}

// many hashes members side by side. The first are dealt out: all of the largest would else be one goroutine's.
func (s *summing) many(ctx context.Context, worker int) error {
	dealt := s.workers * manyMembers
	mine := worker
	return manysum.All(func() (manysum.Text, bool, error) {
		at := mine
		if mine += s.workers; at >= dealt {
			at = dealt + int(s.next.Add(1)-1)
		}
		if at >= len(s.order) {
			return manysum.Text{}, false, nil
		}
		r, err := s.open(ctx, s.order[at])
		if err != nil {
			return manysum.Text{}, false, err
		}
		return manysum.Text{ReadCloser: r, Sum: &s.sums[s.order[at]]}, true, nil
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
