package fetch

import (
	"fmt"
	"sync"
	"time"

	"millpond"
)

// The breaker's figures (docs: faults, "Serving").
const (
	rowLimit    = 5                // failures in a row that open it
	ringSize    = 20               // or half of so many
	ringSpan    = 30 * time.Second // within so long
	firstOpen   = 10 * time.Second
	longestOpen = 5 * time.Minute
	probeLimit  = 20 * time.Second // after which a probe that has not reported is given up
	firstPause  = 5 * time.Second  // after a 429 that does not say how long
	mostPause   = 10 * time.Minute
)

// A breaker keeps requests from an origin that is ill, and a pause those that asked for patience.
type breaker struct {
	mu     sync.Mutex // guards the fields below
	row    int        // failures in a row
	ring   [ringSize]outcome
	next   int           // where the next outcome goes in ring
	open   bool          // until a probe succeeds
	span   time.Duration // of the present opening
	until  time.Time     // when a probe may go
	probe  *pass         // the running probe; nil if none runs
	probed time.Time     // when it began
	paused time.Time     // until when a 429 asked for patience
	why    string        // the last failure; "" after a success
}

type outcome struct {
	at time.Time
	ok bool
}

// A pass is leave to send one request. What became of it is reported with one of its methods; only the first report counts,
// except that a failure may follow an ok.
type pass struct {
	b    *breaker
	used bool
}

// allow gives leave to send a request, or the error to answer with.
func (b *breaker) allow(now time.Time, name string) (*pass, *millpond.Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refusal(now, name); err != nil {
		return nil, err
	}
	if !b.open {
		return &pass{b: b}, nil
	}
	b.probe, b.probed = &pass{b: b}, now
	return b.probe, nil
}

// refuses is allow's error for a request that would only be refused, without giving leave to any.
func (b *breaker) refuses(now time.Time, name string) *millpond.Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusal(now, name)
}

// refusal is the error to answer with, nil if a request may go. It is called with mu held.
func (b *breaker) refusal(now time.Time, name string) *millpond.Error {
	if now.Before(b.paused) {
		return &millpond.Error{Kind: millpond.Throttled, After: b.paused,
			Why: fmt.Sprintf("%s asked for patience until %s", name, clock(b.paused))}
	}
	if !b.open || !now.Before(b.until) && (b.probe == nil || now.Sub(b.probed) >= probeLimit) {
		return nil
	}
	after := b.until
	if !after.After(now) {
		after = now.Add(2 * time.Second)
	}
	return &millpond.Error{Kind: millpond.BadUpstream, After: after,
		Why: fmt.Sprintf("%s is ill and is not asked until %s: %s", name, clock(after), b.why)}
}

// ok reports an answer, of whatever kind, from an origin that is well.
func (p *pass) ok(now time.Time) {
	if p.used {
		return
	}
	p.used = true
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		if b.probe != p {
			return // sent before it opened: only a probe closes it
		}
		b.open, b.span, b.probe, b.ring = false, 0, nil, [ringSize]outcome{}
	}
	b.row, b.why = 0, ""
	b.note(outcome{now, true})
}

// fail reports a failure, in words. It may be called after ok, for an answer that then broke off.
func (p *pass) fail(now time.Time, why string) {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	probe := b.probe == p
	p.used = true
	b.why = why
	if b.open && !probe {
		return
	}
	b.row++
	b.note(outcome{now, false})
	bad := 0
	for _, o := range b.ring {
		if !o.ok && !o.at.IsZero() && now.Sub(o.at) <= ringSpan {
			bad++
		}
	}
	oldest := b.ring[b.next].at
	full := !oldest.IsZero() && now.Sub(oldest) <= ringSpan
	if probe || b.row >= rowLimit || full && bad*2 >= ringSize {
		b.open, b.probe = true, nil
		b.span = min(max(b.span*2, firstOpen), longestOpen)
		b.until = now.Add(b.span)
	}
}

// drop reports that the request ended without saying anything about the origin.
func (p *pass) drop() {
	if p.used {
		return
	}
	p.used = true
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	if p.b.probe == p {
		p.b.probe = nil
	}
}

// pause reports a 429.
func (p *pass) pause(now time.Time, wait time.Duration) time.Time {
	p.ok(now)
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait <= 0 {
		wait = firstPause
	}
	if until := now.Add(min(wait, mostPause)); until.After(b.paused) {
		b.paused = until
	}
	return b.paused
}

func (b *breaker) note(o outcome) {
	b.ring[b.next] = o
	b.next = (b.next + 1) % ringSize
}

// state is what Upstream.State tells.
func (b *breaker) state(now time.Time) (open bool, until time.Time, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Before(b.paused) {
		return true, b.paused, "it asked for patience"
	}
	if b.open {
		return true, b.until, b.why
	}
	return false, time.Time{}, b.why
}

// idle reports whether nothing would be lost by forgetting the breaker: what failed so long ago may be asked anew.
func (b *breaker) idle(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := b.ring[(b.next+ringSize-1)%ringSize].at
	old := now.Sub(last) > ringSpan+longestOpen && (b.probe == nil || now.Sub(b.probed) >= probeLimit)
	return (!b.open && b.row == 0 || old) && !now.Before(b.paused)
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// A budget keeps retries to a tenth of an upstream's requests, and a few more where there are few.
type budget struct {
	mu     sync.Mutex // guards the fields below
	spent  float64    // retries taken and not yet earned back
	filled time.Time
}

const (
	budgetFloor = 10              // retries that need not be earned
	budgetEvery = 5 * time.Second // how long an upstream that is seldom asked waits for one more
)

// earn counts a request.
func (b *budget) earn() {
	b.mu.Lock()
	b.spent = max(b.spent-0.1, 0)
	b.mu.Unlock()
}

// take asks for a retry.
func (b *budget) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.filled.IsZero() && now.After(b.filled) {
		b.spent = max(b.spent-float64(now.Sub(b.filled))/float64(budgetEvery), 0)
	}
	b.filled = now
	if b.spent+1 > budgetFloor {
		return false
	}
	b.spent++
	return true
}

// A pace spreads requests over time.
type pace struct {
	mu   sync.Mutex // guards next
	next time.Time
}

// wait is how long the next request has to wait, at rate requests a second. A second's worth may go at once.
func (p *pace) wait(now time.Time, rate float64) time.Duration {
	if rate <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	each := time.Duration(float64(time.Second) / rate)
	if burst := now.Add(-max(each, time.Second)); p.next.Before(burst) {
		p.next = burst
	}
	p.next = p.next.Add(each)
	return max(p.next.Sub(now), 0)
}
