package server

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"millpond"
)

// A quota bounds how often a client may send the pond to its upstreams: an install of thousands of packages that nobody had
// asked for passes, and who asks for every name that there is does not, nor fills the cache with what nobody wants.
type quota struct {
	mu      sync.Mutex // guards all
	clients map[quotaKey]spent
}

// quotaEvery is the time for which Settings.Misses is. A client has them all again when it is over.
const quotaEvery = 10 * time.Minute

// quotaClients bounds what strangers can make a quota remember.
const quotaClients = 100_000

// A quotaKey is who asks: a name that was proven, else an address, of IPv6 the network that one customer has.
type quotaKey struct {
	name string
	net  netip.Prefix
}

type spent struct {
	misses int
	until  time.Time
}

// spend counts a miss, or is Throttled if the client has had its share.
func (q *quota) spend(who quotaKey, most int, now time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.clients == nil {
		q.clients = map[quotaKey]spent{}
	}
	s, known := q.clients[who]
	if now.After(s.until) || s.until.After(now.Add(2*quotaEvery)) { // or the clock was set back
		s = spent{until: now.Add(quotaEvery)}
	}
	if s.misses >= most {
		return &millpond.Error{
			Kind: millpond.Throttled, After: s.until,
			Why:  fmt.Sprintf("you have asked for %d things within %d minutes that nobody had asked for before", most, quotaEvery/time.Minute),
			Hint: "what is held is served all the same; limits.misses of the configuration says how many may be asked for",
		}
	}
	if s.misses++; !known && len(q.clients) >= quotaClients {
		q.forget(now)
	}
	q.clients[who] = s
	return nil
}

// forget makes room: first of those whose time is over, else of anybody.
func (q *quota) forget(now time.Time) {
	for who, s := range q.clients {
		if now.After(s.until) {
			delete(q.clients, who)
		}
	}
	for who := range q.clients {
		if len(q.clients) < quotaClients*3/4 { // not for each that comes
			return
		}
		delete(q.clients, who)
	}
}

// A budget is the quota as one request has it.
type budget struct {
	quota  *quota
	caller string
	addr   netip.Addr
	most   int
	at     time.Time
}

// Spend implements repo.Budget.
func (b *budget) Spend() error {
	who := quotaKey{name: b.caller}
	if who.name == "" {
		bits := 32
		if b.addr.Is6() {
			bits = 64
		}
		who.net, _ = b.addr.Prefix(bits) // of an address that is not known the zero Prefix
	}
	return b.quota.spend(who, b.most, b.at)
}
