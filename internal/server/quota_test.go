package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"millpond"
)

// S42: who asks for everything that upstreams could have is told to wait, and asks no upstream and keeps nothing meanwhile;
// others, and what is held, are not touched by it.
func TestS42MissesOfOneClient(t *testing.T) {
	h := newHouse(t)
	var list []Repository
	for _, one := range h.pond.Repositories() {
		list = append(list, one)
	}
	const most = 20
	if err := h.server.Configure(Settings{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Misses: most}, list); err != nil {
		t.Fatal(err)
	}
	crawler, other := h.user("crawler", "reader py"), h.user("other", "reader py")
	get := func(token string, n int, change ...func(*http.Request)) (int, string) {
		w := h.send(bearer(token), "GET", fmt.Sprintf("/py/simple/p%d/", n), nil, change...)
		return w.Code, w.Header().Get("Retry-After")
	}
	before := h.upstream.Load()
	for n := range most {
		if code, _ := get(crawler, n); code != 404 {
			t.Fatalf("request %d = %d, want 404", n, code)
		}
	}
	asked := h.upstream.Load()
	if asked-before != most {
		t.Fatalf("the upstream was asked %d times, want %d", asked-before, most)
	}
	for n := most; n < most+100; n++ {
		if code, after := get(crawler, n); code != 429 || after == "" {
			t.Fatalf("request %d = %d, Retry-After %q, want 429", n, code, after)
		}
	}
	if n := h.upstream.Load() - asked; n != 0 {
		t.Errorf("the upstream was asked %d times more", n)
	}
	if code, _ := get(crawler, 3); code != 404 {
		t.Errorf("what is known to be absent = %d, want 404", code)
	}
	if code, _ := get(other, most+1); code != 404 {
		t.Errorf("another client = %d, want 404", code)
	}
	local := func(r *http.Request) { r.RemoteAddr = "127.0.0.1:4711" }
	for n := range 3 * most {
		if code, _ := get(crawler, 1000+n, local); code != 404 {
			t.Fatalf("the pond's own machine, request %d = %d, want 404", n, code)
		}
	}
	front := func(r *http.Request) { local(r); r.Header.Set("X-Forwarded-For", "192.0.2.7") }
	if code, _ := get(crawler, most+2, front); code != 429 {
		t.Errorf("by way of a front server = %d, want 429", code)
	}
}

func TestQuota(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var q quota
	ask := func(addr string, caller string, at time.Time) bool {
		err := (&budget{&q, caller, netip.MustParseAddr(addr), 2, at}).Spend()
		if err != nil && !millpond.Is(err, millpond.Throttled) {
			t.Errorf("got %v, want Throttled", err)
		}
		return err == nil
	}
	for _, c := range []struct {
		name, addr, caller string
		at                 time.Duration
		want               bool
	}{
		{"one", "192.0.2.1", "", 0, true}, {"two", "192.0.2.1", "", 0, true}, {"three", "192.0.2.1", "", 0, false},
		{"another address", "192.0.2.2", "", 0, true}, {"somebody there", "192.0.2.1", "ann", 0, true},
		{"a minute before it is over", "192.0.2.1", "", 9 * time.Minute, false}, {"when it is over", "192.0.2.1", "", 11 * time.Minute, true},
		{"IPv6", "2001:db8::1", "", 0, true}, {"its network", "2001:db8::2", "", 0, true}, {"is one client", "2001:db8::3", "", 0, false},
		{"another network", "2001:db8:0:1::1", "", 0, true},
		{"a clock that was set back a year", "192.0.2.1", "", -365 * 24 * time.Hour, true},
	} {
		if got := ask(c.addr, c.caller, now.Add(c.at)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	for i := range quotaClients + 1000 {
		ask("192.0.2.1", fmt.Sprint(i), now)
	}
	if len(q.clients) > quotaClients {
		t.Errorf("%d clients are remembered, want %d at most", len(q.clients), quotaClients)
	}
}
