package golang

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"millpond/format"
)

// A narrow remote lets one in at a time, and knows who is inside.
type narrow struct {
	*remote
	place  chan struct{}
	inside atomic.Int64
	passed atomic.Int64
}

func (n *narrow) Enter(ctx context.Context) (func(), error) {
	n.place <- struct{}{}
	n.inside.Add(1)
	n.passed.Add(1)
	return func() { n.inside.Add(-1); <-n.place }, ctx.Err()
}

// A zip that must be read by one who is inside.
type guarded struct {
	io.ReaderAt
	n       *narrow
	outside *atomic.Int64
}

func (g guarded) ReadAt(p []byte, off int64) (int, error) {
	if g.n.inside.Load() != 1 {
		g.outside.Add(1)
	}
	return g.ReaderAt.ReadAt(p, off)
}

// The table of a large zip takes megabytes: as many are hashed at once as the pond has places for.
func TestZipsAreHashedInTurn(t *testing.T) {
	u := newUpstream(t)
	n := &narrow{remote: newRemote(t, u, map[string]string{"sumdb": u.Database, "verify": "required"}), place: make(chan struct{}, 1)}
	const many = 6
	zips := make([]string, many)
	for i := range zips {
		zips[i] = u.publish(t, testPath, fmt.Sprintf("v1.%d.0", i), testMod).Zip
	}
	var outside atomic.Int64
	var all sync.WaitGroup
	for i, zip := range zips {
		all.Go(func() {
			k := Path{Kind: Zip, Module: testPath, Version: fmt.Sprintf("v1.%d.0", i)}.Key()
			err := Format{}.Source(n).(format.Verifier).Verify(t.Context(), k, guarded{strings.NewReader(zip), n, &outside}, int64(len(zip)))
			if err != nil {
				t.Errorf("%s: %v", k, err)
			}
		})
	}
	all.Wait()
	if n.passed.Load() != many || outside.Load() != 0 {
		t.Errorf("%d of %d zips were hashed in turn, and %d times one was read by who had no place", n.passed.Load(), many, outside.Load())
	}
	mod := keyOf(Mod)
	u.publish(t, testPath, "v1.0.0", testMod)
	if err := (Format{}).Source(n).(format.Verifier).Verify(t.Context(), mod, strings.NewReader(testMod), int64(len(testMod))); err != nil || n.passed.Load() != many {
		t.Errorf("%s: %v; %d have entered, want no more than %d", mod, err, n.passed.Load(), many)
	}
}
