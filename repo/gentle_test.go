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
