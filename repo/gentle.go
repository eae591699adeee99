package repo

import (
	"context"
	"sync"
	"time"

	"millpond"
)

// patient is how long a question waits for its turn among those that an upstream should not be bothered with.
const patient = 2 * time.Second

// gentle keeps such questions apart. The zero value has asked none.
type gentle struct {
	mu   sync.Mutex // guards next
	next time.Time
}

// wait waits for a turn, every being the time between two; 0 waits for nothing. Throttled if it would take long: then no turn
// is taken.
func (g *gentle) wait(ctx context.Context, now time.Time, every time.Duration) error {
	if every <= 0 {
		return nil
	}
	g.mu.Lock()
	at := g.next
	if at.Before(now) || at.Sub(now) > every+patient+time.Minute { // the clock was set back
		at = now
	}
	if at.Sub(now) > patient {
		g.mu.Unlock()
		return &millpond.Error{Kind: millpond.Throttled, Why: "the upstream is asked such questions one by one, and too many wait", After: at}
	}
	g.next = at.Add(every)
	g.mu.Unlock()
	if at.Equal(now) {
		return nil
	}
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
