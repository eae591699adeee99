package repo

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"millpond"
)

// TestGentleQuestions: of ten at once one goes at once, one each second after it, and those that would wait long are told.
func TestGentleQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gentle
		began := time.Now()
		var gone, told atomic.Int64
		var last atomic.Int64
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				switch err := g.wait(t.Context(), began, time.Second); {
				case err == nil:
					gone.Add(1)
					last.Store(max(last.Load(), int64(time.Since(began))))
				case millpond.Is(err, millpond.Throttled):
					told.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if gone.Load() != 3 || told.Load() != 7 || time.Duration(last.Load()) != 2*time.Second {
			t.Errorf("%d went, the last after %v, and %d were told to wait; want 3, 2s and 7", gone.Load(), time.Duration(last.Load()), told.Load())
		}
		if err := g.wait(t.Context(), time.Now(), 0); err != nil {
			t.Errorf("who may always ask waits: %v", err)
		}
		// the clock is set back by a day
		if err := g.wait(t.Context(), began.Add(-24*time.Hour), time.Second); err != nil {
			t.Errorf("after the clock was set back: %v", err)
		}
	})
}

// TestLull: looking waits for downloads, but for a while in all.
func TestLull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lull
		began := time.Now()
		if busy := func() bool { return time.Since(began) < time.Second }; !l.wait(t.Context(), nil, busy) || time.Since(began) != time.Second {
			t.Errorf("it waited %v for downloads of a second", time.Since(began))
		}
		began = time.Now()
		for range 2 { // the second time for nothing
			if !l.wait(t.Context(), nil, func() bool { return true }) || time.Since(began) != longestLull-time.Second {
				t.Errorf("it waited %v for downloads without end, want %v", time.Since(began), longestLull-time.Second)
			}
		}
		closing := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(closing) })
		if l = (lull{}); l.wait(t.Context(), closing, func() bool { return true }) {
			t.Error("a pond that was closed let it go on")
		}
	})
}
