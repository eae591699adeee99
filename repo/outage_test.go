package repo_test

import (
	"net/http"
	"testing"
	"time"

	"millpond/repo"
)

// While the upstream hangs, one reader waits for it in vain; the others, and all who want what is held, wait for nobody.
func TestP04HeldIsServedWhileTheUpstreamHangs(t *testing.T) {
	r := newRig(t, func(r *rig) { r.config.Upstreams[0].FirstByte = 300 * time.Millisecond })
	e := r.put("alpha", "1.0", noise(1, 200*kib))
	r.hold(e)
	page := r.index("alpha").Body
	r.up.Order("*", "always hang")
	r.pass(time.Hour)
	if a := r.good("the first reader", r.index("alpha"), page); a.Header.Get("X-Result") != "stale" || a.Header.Get("X-Upstream") == "0s" {
		t.Errorf("the first reader: result %q after waiting %s, want stale after some time", a.Header.Get("X-Result"), a.Header.Get("X-Upstream"))
	}
	for range 20 {
		if a := r.good("another reader", r.index("alpha"), page); a.Header.Get("X-Result") != "stale" || a.Header.Get("X-Upstream") != "0s" {
			t.Errorf("another reader: result %q after waiting %s, want stale after 0s", a.Header.Get("X-Result"), a.Header.Get("X-Upstream"))
		}
		if a := r.good("the held file", r.get(e.path()), e.bytes()); a.Header.Get("X-Result") != "hit" || a.Header.Get("X-Upstream") != "0s" {
			t.Errorf("the held file: result %q after waiting %s, want a hit after 0s", a.Header.Get("X-Result"), a.Header.Get("X-Upstream"))
		}
	}
	for range 8 {
		r.pass(6 * time.Second)
		r.good("a reader now and then", r.index("alpha"), page)
	}
	if state := r.pond.Repository("r").Upstreams()[0]; !state.Open {
		t.Fatalf("after so many failures the breaker is still closed: %+v", state)
	}
	asked := r.up.Count("", "")
	for range 20 {
		r.good("with the breaker open", r.index("alpha"), page)
		r.good("with the breaker open", r.get(e.path()), e.bytes())
		r.want("nothing held, with the breaker open", r.index("beta"), http.StatusServiceUnavailable)
	}
	if more := r.up.Count("", "") - asked; more != 0 {
		t.Errorf("with the breaker open the upstream was asked %d times", more)
	}
	r.up.Order("*", "always ok")
	r.put("alpha", "2.0", noise(2, kib))
	r.pass(10 * time.Minute)
	if a := r.good("well again", r.index("alpha"), nil); string(a.Body) == string(page) {
		t.Error("the upstream is well and the old page is served")
	}
}

// pip gives up on a server that is silent for 15 s.
func TestP04NothingHeldIsSaidInTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.config.Upstreams[0].FirstByte = time.Hour })
	r.up.Order("*", "always hang")
	begun := time.Now()
	a := r.want("nothing held", r.index("alpha"), http.StatusServiceUnavailable)
	if took := time.Since(begun); took > 14*time.Second {
		t.Errorf("it took %s to say so; pip had left", took)
	}
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	r.stop(10 * time.Millisecond) // it would wait for the upstream
}

// P05: a pond serves what it holds at once, though its upstream, and everything else, is away when it starts.
func TestP05StartDependsOnNobody(t *testing.T) {
	r := newRig(t)
	e := r.put("alpha", "1.0", noise(1, 200*kib))
	r.hold(e)
	page := r.index("alpha").Body
	r.up.Refuse()
	r.stop(time.Second)
	r.pass(30 * 24 * time.Hour)
	r.start()
	r.good("the held file", r.get(e.path()), e.bytes())
	r.good("the kept page", r.index("alpha"), page)
}

func TestF16AVanishedVersionIsServedAndNeverEvicted(t *testing.T) {
	r := newRig(t)
	gone, stays := r.put("alpha", "1.0", noise(1, 200*kib)), r.put("alpha", "2.0", noise(2, 200*kib))
	r.hold(gone, stays)
	r.withdraw(gone)
	r.pass(time.Hour)
	r.good("the page without it", r.index("alpha"), nil)
	if h := r.holding(gone); h == nil || !h.Keep {
		t.Errorf("the holding of what vanished is %+v, want Keep", h)
	}
	r.settings.MaxBytes = 1
	r.configure()
	r.pass(365 * 24 * time.Hour)
	if _, err := r.pond.Evict(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !r.holds(gone) || r.holds(stays) {
		t.Errorf("after an eviction of all that may go: what vanished is held: %t, want true; the other: %t, want false", r.holds(gone), r.holds(stays))
	}
	r.good("what vanished", r.get(gone.path()), gone.bytes())
	if n := len(r.eventsOf("vanished")); n != 1 {
		t.Errorf("%d events tell that it vanished, want 1", n)
	}
}

// F39: whatever a clock does, no version gets out before its hold has run, and an index that was read by a wrong clock is
// read again by the right one.
func TestF39ClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	hold := rules(map[string]any{"hold": "7d"})
	yesterday := func(r *rig, mute bool) entry {
		e := r.put("alpha", "2.0", noise(2, kib))
		e.published, e.mute = began.Add(-24*time.Hour), mute
		return r.publish(e)
	}
	t.Run("back and forth", func(t *testing.T) {
		for _, jump := range []time.Duration{time.Hour, year} {
			r := newRig(t, hold)
			old, held := r.put("alpha", "1.0", noise(1, kib)), yesterday(r, false)
			r.hold(old)
			r.want("before", r.get(held.path()), http.StatusForbidden)
			r.pass(-jump)
			r.want("a clock that is behind", r.get(held.path()), http.StatusForbidden)
			r.pass(2 * jump)
			ahead := http.StatusForbidden
			if jump == year {
				ahead = http.StatusOK // by that clock it is a year old
			}
			r.want("a clock that is ahead", r.get(held.path()), ahead)
			r.good("the page by a clock that is ahead", r.index("alpha"), nil)
			r.pass(-jump)
			r.want("the clock is right again", r.get(held.path()), http.StatusForbidden)
			page := r.good("the page", r.index("alpha"), nil)
			if got := lists(page.Body, held); got {
				t.Errorf("jump of %s: the page lists what is held: %s", jump, page)
			}
			r.good("what is not held", r.get(old.path()), old.bytes())
		}
	})
	t.Run("an index read by a clock that was ahead", func(t *testing.T) {
		r := newRig(t)
		r.hold(r.put("alpha", "1.0", noise(1, kib)))
		r.pass(year)
		r.good("a year ahead", r.index("alpha"), nil)
		r.want("absent, a year ahead", r.index("beta"), http.StatusNotFound)
		r.pass(-year)
		e := r.put("alpha", "2.0", noise(2, kib))
		b := r.put("beta", "1.0", noise(3, kib))
		r.pass(10 * time.Minute)
		if a := r.good("right again", r.index("alpha"), nil); !lists(a.Body, e) {
			t.Errorf("ten minutes after the clock was set right, the page is still the old one: %s", a)
		}
		r.hold(e, b)
		r.stop(time.Second)
		r.start()
		r.hold(e, b)
	})
	t.Run("no date, and a clock that was behind", func(t *testing.T) {
		r := newRig(t, hold)
		r.hold(r.put("alpha", "1.0", noise(1, kib)))
		r.pass(-year)
		e := yesterday(r, true)
		r.good("the page", r.index("alpha"), nil)
		r.pass(year + time.Hour)
		r.good("the page", r.index("alpha"), nil)
		r.want("an hour after it was first seen", r.get(e.path()), http.StatusForbidden)
		r.pass(8 * 24 * time.Hour)
		r.good("a week after", r.get(e.path()), e.bytes())
	})
}

// lists reports whether a page names a wheel.
func lists(page []byte, e entry) bool { return contains(page, e.name()) }

// F44: a configuration that cannot be is not taken, and what was there goes on.
func TestF44ABadConfigurationChangesNothing(t *testing.T) {
	r := newRig(t)
	e := r.put("alpha", "1.0", noise(1, kib))
	r.hold(e)
	good := r.config
	for name, bad := range map[string][]repo.Config{
		"two of one name":             {good, good},
		"a sibling that is not there": {good, {Name: "s", Format: good.Format, Upstreams: []repo.Upstream{{Sibling: "nobody"}}}},
		"a fill that is none":         {good, {Name: "s", Format: good.Format, Fill: []repo.Fill{{Mode: "sometimes"}}}},
		"a claim that cannot be read": {good, {Name: "s", Format: good.Format, Claims: []string{"["}}},
		"an upstream without address": {good, {Name: "s", Format: good.Format, Upstreams: []repo.Upstream{{}}}},
		"only the last is wrong":      {{Name: "other", Format: good.Format}, {Name: "s", Format: good.Format, Upstreams: []repo.Upstream{{Merge: "mix", Sibling: "other"}}}},
	} {
		if err := r.pond.Configure(t.Context(), repo.Settings{Offline: true}, bad); err == nil {
			t.Errorf("%s: taken", name)
		}
		if n := len(r.pond.Repositories()); n != 1 || r.pond.Repository("r") == nil {
			t.Errorf("%s: there are %d repositories now", name, n)
		}
		r.good(name, r.get(e.path()), e.bytes())
	}
	if err := r.pond.Configure(t.Context(), repo.Settings{PublicURL: "ftp://pond.example"}, []repo.Config{good}); err == nil {
		t.Error("a public_url that is no http address was taken")
	}
	fresh := r.put("beta", "1.0", noise(2, kib))
	r.hold(fresh) // still online
}

// What is not held and what an offline pond does not ask about is not called ill, nor absent where an upstream has it.
func TestWhyOffline(t *testing.T) {
	r := newRig(t)
	held, other := r.put("alpha", "1.0", noise(1, kib)), r.put("alpha", "2.0", noise(2, kib))
	r.hold(held)
	r.settings.Offline = true
	r.configure()
	r.pass(time.Hour)
	for _, c := range []struct{ name, pkg, version, words, layer string }{
		{"a held version", "alpha", "1.0", "", "has it, by its last word: it is not asked, the pond is offline"},
		{"a known version", "alpha", "2.0", "alpha 2.0 is not held here, and nobody is asked: the pond is offline", "has it, by its last word: it is not asked, the pond is offline"},
		{"a version of nobody's", "alpha", "3.0", "no version 3.0 of alpha in r", "has no such version, by its last word: it is not asked, the pond is offline"},
		{"an unknown package", "beta", "", "beta is not held here, and up is not asked: the pond is offline. ask again when it is online, or fetch it there first", "is not asked: the pond is offline"},
	} {
		why, err := r.pond.Repository("r").Why(t.Context(), c.pkg, c.version)
		if err != nil || why.Words != c.words || len(why.Layers) != 1 || why.Layers[0].State != c.layer {
			t.Errorf("%s: Why = %+v, %v, want the words %q and the layer's %q", c.name, why, err, c.words, c.layer)
		}
	}
	if a := r.get(other.path()); a.Status != http.StatusServiceUnavailable {
		t.Errorf("a known version's file = %d, want 503", a.Status)
	}
}
