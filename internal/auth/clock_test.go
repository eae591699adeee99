package auth

import (
	"net/http"
	"testing"
	"time"

	"millpond"
)

// TestF39ClockSetBack: what has expired stays so when the clock is set back, and after a start then; what has not is good.
func TestF39ClockSetBack(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	ann := r.user("ann", "owner team *")
	used, unused, lasting := r.token(ann, token{Name: "used"}), r.token(ann, token{Name: "unused"}), ""
	s, err := r.LogIn(ctx, "192.0.2.7", "ann", "canary-password-ann")
	r.must(err)
	bearer := func(secret string) *http.Request { return with("/team/x", "Authorization: Bearer "+secret) }
	cookie := with("/-/x", "Cookie: "+CookieName+"="+s.Cookie)
	for what, q := range map[string]*http.Request{"a token": bearer(used), "another": bearer(unused), "a login": cookie} {
		if _, err := r.identify(q); err != nil {
			t.Fatalf("%s, before: %v", what, err)
		}
	}
	r.clock.add(31 * 24 * time.Hour)
	_, err = r.identify(bearer(used))
	r.kind("an expired token", err, millpond.Unauthenticated)
	_, err = r.identify(cookie)
	r.kind("a login that has ended", err, millpond.Unauthenticated)
	lasting = r.token(r.as("ann"), token{Name: "lasting"})

	r.clock.add(-31 * 24 * time.Hour)
	_, err = r.identify(bearer(used))
	r.kind("the clock is set back: an expired token", err, millpond.Unauthenticated)
	_, err = r.identify(cookie)
	r.kind("the clock is set back: a login that has ended", err, millpond.Unauthenticated)
	r.clock.add(31 * 24 * time.Hour)
	r.must(r.Flush(ctx)) // as each minute
	r.clock.add(-31 * 24 * time.Hour)
	for name, on := range map[string]*rig{"the same node": r, "after a start": startOn(t, r.records, r.clock)} {
		for what, q := range map[string]*http.Request{"a token": bearer(used), "one that nobody used": bearer(unused), "a login": cookie} {
			_, err := on.identify(q)
			r.kind(name+", the clock is set back: "+what, err, millpond.Unauthenticated)
		}
		if _, err := on.identify(bearer(lasting)); err != nil {
			t.Errorf("%s: a token that has not expired: %v", name, err)
		}
	}
}
