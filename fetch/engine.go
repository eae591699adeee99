package fetch

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"golang.org/x/sync/semaphore"

	"millpond/blob"
)

// An Engine does all of a pond's fetching. Set its fields before its first use.
type Engine struct {
	Blobs    blob.Store
	Log      *slog.Logger     // nil discards
	Now      func() time.Time // nil is time.Now
	Version  string           // for the User-Agent
	Instance string           // this pond's id: answers that passed through it are refused as a loop
	Most     int              // downloads at once, of all upstreams; 0 is 256
	Waiting  int              // readers waiting for a download to begin; 0 is 1,024

	begin sync.Once
	stop  context.CancelCauseFunc // ends all work
	ctx   context.Context         // of all work
	most  *semaphore.Weighted
	log   *slog.Logger
	tune  tune

	mu        sync.Mutex                        // guards the fields below; never held across I/O
	upstreams map[string]weak.Pointer[Upstream] // by their settings
	flights   map[string]*flight                // downloads under way, by ID
	passed    int                               // downloads that go on, and whose place in flights a later one has
	ended     map[string]ended                  // downloads that have just ended well, by ID
	left      map[string]Leftover               // downloads that can be resumed, by ID
	closed    bool
	work      sync.WaitGroup // every flight and every document under way; Add only while mu is held and closed is false

	fills, followers, waiting                 atomic.Int64
	requests, failures, bytes, corrupt, loops atomic.Int64
	memory                                    atomic.Int64 // held by bodies that could not be stored
}

// tune are figures that tests make smaller. Zero values mean the real ones.
type tune struct {
	window time.Duration // over which the least rate is judged; 1 min
	pause  time.Duration // before the first retry; 200 ms
	grace  time.Duration // how long a body that is not stored waits for its slowest reader; 10 s
	relay  time.Duration // how long a relayed answer waits for its reader in all; 30 s
}

// Stats are an engine's figures.
type Stats struct {
	Fills     int   `json:"fills"`
	Followers int   `json:"followers"`
	Waiting   int   `json:"waiting"`
	Requests  int64 `json:"requests"`
	Failures  int64 `json:"failures"`
	Bytes     int64 `json:"bytes"`
	Corrupt   int64 `json:"corrupt"`
	Loops     int64 `json:"loops"`
}

func (e *Engine) init() {
	e.begin.Do(func() {
		e.ctx, e.stop = context.WithCancelCause(context.Background())
		e.most = semaphore.NewWeighted(int64(orDefault(e.Most, 256)))
		e.log = e.Log
		if e.log == nil {
			e.log = slog.New(slog.DiscardHandler)
		}
		e.upstreams = map[string]weak.Pointer[Upstream]{}
		e.flights = map[string]*flight{}
		e.ended = map[string]ended{}
		e.left = map[string]Leftover{}
	})
}

func (e *Engine) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

func (e *Engine) window() time.Duration { return orDefault(e.tune.window, time.Minute) }
func (e *Engine) pause() time.Duration  { return orDefault(e.tune.pause, 200*time.Millisecond) }
func (e *Engine) grace() time.Duration  { return orDefault(e.tune.grace, 10*time.Second) }

func orDefault[T int | int64 | time.Duration](v, standard T) T {
	if v > 0 {
		return v
	}
	return standard
}

// backoff is how long to wait before another try: twice as long each time, and never quite the same.
func backoff(first time.Duration, tries int) time.Duration {
	d := first << min(tries-1, 6)
	return d/2 + rand.N(d)
}

// Stats are the engine's figures now.
func (e *Engine) Stats() Stats {
	return Stats{
		Fills: int(e.fills.Load()), Followers: int(e.followers.Load()), Waiting: int(e.waiting.Load()),
		Requests: e.requests.Load(), Failures: e.failures.Load(), Bytes: e.bytes.Load(),
		Corrupt: e.corrupt.Load(), Loops: e.loops.Load(),
	}
}

// enlist counts work that Close waits for. It reports false once the engine is closed.
func (e *Engine) enlist() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.work.Add(1)
	return true
}

// Close lets downloads end until ctx does, then stops them; what they have is kept for Resume. It returns ctx's error if
// something was stopped. Nothing can be asked through the engine after it.
func (e *Engine) Close(ctx context.Context) error {
	e.init()
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	done := make(chan struct{})
	go func() {
		e.work.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
		e.stop(errStopping)
		<-done
	}
	e.stop(errStopping)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.upstreams {
		if u := w.Value(); u != nil {
			u.transport.CloseIdleConnections()
		}
	}
	return err
}

// enter waits for a place among the downloads of the upstream and of the engine. It is Throttled if too many wait already.
func (u *Upstream) enter(ctx context.Context) (leave func(), err error) {
	e := u.e
	leave = func() {
		e.most.Release(1)
		u.slots.Release(1)
	}
	if u.slots.TryAcquire(1) {
		if e.most.TryAcquire(1) {
			return leave, nil
		}
		u.slots.Release(1)
	}
	if most := int64(orDefault(e.Waiting, 1024)); e.waiting.Add(1) > most {
		e.waiting.Add(-1)
		return nil, busy(e.now())
	}
	defer e.waiting.Add(-1)
	if err := u.slots.Acquire(ctx, 1); err != nil {
		return nil, canceled(ctx)
	}
	if err := e.most.Acquire(ctx, 1); err != nil {
		u.slots.Release(1)
		return nil, canceled(ctx)
	}
	return leave, nil
}

type viaKey struct{}

// WithVia returns a context whose fetches tell upstreams, in CDN-Loop, which ponds a request has passed through already:
// the values of the CDN-Loop header it came with.
func WithVia(ctx context.Context, passed []string) context.Context {
	if len(passed) == 0 {
		return ctx
	}
	return context.WithValue(ctx, viaKey{}, passed)
}

// Via is what WithVia put into a context.
func Via(ctx context.Context) []string {
	passed, _ := ctx.Value(viaKey{}).([]string)
	return passed
}
