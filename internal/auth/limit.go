package auth

import (
	"net/netip"
	"sync"
	"time"

	"millpond"
)

// A limiter lets each key fail a few times, and then makes it wait: twice as long after each further failure.
type limiter struct {
	now    func() time.Time
	free   int           // failures without waiting
	first  time.Duration // the first wait
	most   time.Duration // the longest
	forget time.Duration // after which a key is as if it had never failed

	mu    sync.Mutex // guards tries
	tries map[string]tries
}

type tries struct {
	failed int
	last   time.Time
}

// maxKeys bounds what strangers can make a limiter remember.
const maxKeys = 100_000

// try counts a try as a failure, until forgive or clear says otherwise: so a hundred at once are not a hundred tries. It
// is Throttled, and not counted, while the key must wait.
func (l *limiter) try(key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	key = network(key)
	if err := l.wait(key); err != nil {
		return err
	}
	l.failed(key)
	return nil
}

func (l *limiter) wait(key string) error {
	t, ok := l.tries[key]
	if !ok || t.failed < l.free {
		return nil
	}
	wait := l.most
	if n := t.failed - l.free; n < 20 && l.first<<n < l.most {
		wait = l.first << n
	}
	if until := t.last.Add(wait); l.now().Before(until) {
		return &millpond.Error{Kind: millpond.Throttled, Why: "too many failed logins", Hint: "wait", After: until}
	}
	return nil
}

func (l *limiter) failed(key string) {
	now := l.now()
	if l.tries == nil {
		l.tries = map[string]tries{}
	}
	if len(l.tries) >= maxKeys {
		looked := 0
		for k, t := range l.tries { // in no order; to look at all of them at each failure would be what strangers want
			if looked == 0 || now.Sub(t.last) > l.most {
				delete(l.tries, k)
			}
			if looked++; looked == 50 {
				break
			}
		}
	}
	t := l.tries[key]
	if now.Sub(t.last) > l.forget {
		t.failed = 0
	}
	l.tries[key] = tries{t.failed + 1, now}
}

// forgive takes back one try, which was no failure.
func (l *limiter) forgive(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key = network(key)
	t := l.tries[key]
	if t.failed--; t.failed <= 0 {
		delete(l.tries, key)
		return
	}
	l.tries[key] = t
}

// clear takes back all of them.
func (l *limiter) clear(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tries, network(key))
}

// network is what an address counts as: of IPv6 the network that one customer has, from which they can come by any address.
// A key that is no address counts as itself.
func network(key string) string {
	addr, err := netip.ParseAddr(key)
	if err != nil || !addr.Is6() || addr.Is4In6() {
		return key
	}
	net, err := addr.Prefix(64)
	if err != nil {
		return key
	}
	return net.String()
}
