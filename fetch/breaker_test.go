package fetch

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
)

func TestBreakerOpensAfterARow(t *testing.T) {
	b, now := new(breaker), time.Unix(1e9, 0)
	fail := func() {
		t.Helper()
		p, err := b.allow(now, "up")
		if err != nil {
			t.Fatal(err)
		}
		p.fail(now, "up is ill")
	}
	for range rowLimit {
		fail()
	}
	_, err := b.allow(now, "up")
	wantError(t, err, millpond.BadUpstream, "up is ill and is not asked until 01:46:50 UTC: up is ill")
	for _, span := range []time.Duration{10, 20, 40, 80, 160, 300, 300} { // seconds
		if want := now.Add(span * time.Second); !b.until.Equal(want) || !b.open {
			t.Fatalf("open until %v, want %v", b.until, want)
		}
		now = b.until
		probe, err := b.allow(now, "up")
		if err != nil {
			t.Fatalf("no probe after %v: %v", span*time.Second, err)
		}
		if _, err := b.allow(now, "up"); err == nil {
			t.Fatal("two probes at once")
		}
		probe.fail(now, "up is ill")
	}
	now = b.until
	probe, _ := b.allow(now, "up")
	probe.ok(now)
	for range rowLimit - 1 { // it begins anew
		fail()
	}
	if open, _, why := b.state(now); open || why != "up is ill" {
		t.Errorf("open %v, why %q after %d failures", open, why, rowLimit-1)
	}
	p, err := b.allow(now, "up")
	if err != nil {
		t.Fatal(err)
	}
	p.ok(now)
	if _, _, why := b.state(now); why != "" {
		t.Errorf("why %q after a success", why)
	}
}

func TestBreakerOpensAtHalf(t *testing.T) {
	for _, tt := range []struct {
		name  string
		every time.Duration
		bad   int // of each 4
		open  bool
	}{
		{"half within the time", time.Second, 2, true},
		{"half, too slowly", 3 * time.Second, 2, false},
		{"a quarter", time.Second, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, now := new(breaker), time.Unix(1e9, 0)
			for i := range 2 * ringSize {
				p, err := b.allow(now, "up")
				if err != nil {
					break
				}
				if i%4 < tt.bad {
					p.fail(now, "ill")
				} else {
					p.ok(now)
				}
				now = now.Add(tt.every)
			}
			if b.open != tt.open {
				t.Errorf("open %v, want %v", b.open, tt.open)
			}
		})
	}
}

func TestBreakerProbeCannotWedge(t *testing.T) {
	b, now := new(breaker), time.Unix(1e9, 0)
	for range rowLimit {
		p, _ := b.allow(now, "up")
		p.fail(now, "ill")
	}
	now = b.until
	gone, err := b.allow(now, "up")
	if err != nil {
		t.Fatal(err)
	}
	gone.drop() // its reader left
	silent, err := b.allow(now, "up")
	if err != nil {
		t.Fatalf("no probe after one was dropped: %v", err)
	}
	if _, err := b.allow(now.Add(probeLimit-1), "up"); err == nil {
		t.Error("a second probe while the first may still answer")
	}
	now = now.Add(probeLimit)
	third, err := b.allow(now, "up")
	if err != nil {
		t.Fatalf("a silent probe wedges the breaker: %v", err)
	}
	third.ok(now)
	silent.fail(now, "late") // which is one failure, no more
	if b.open {
		t.Error("open after a probe went well")
	}
}

func TestBreakerIgnoresWhatWasSentBefore(t *testing.T) {
	b, now := new(breaker), time.Unix(1e9, 0)
	var early []*pass
	for range 8 {
		p, _ := b.allow(now, "up")
		early = append(early, p)
	}
	for _, p := range early[:7] {
		p.fail(now, "ill")
	}
	early[7].ok(now)
	if !b.open || b.span != firstOpen {
		t.Errorf("open %v for %v; want %v", b.open, b.span, firstOpen)
	}
}

func TestBreakerPauses(t *testing.T) {
	b, now := new(breaker), time.Unix(1e9, 0)
	for _, tt := range []struct{ said, want time.Duration }{{0, firstPause}, {7 * time.Second, 7 * time.Second}, {time.Hour, mostPause}} {
		p, err := b.allow(now, "up")
		if err != nil {
			t.Fatal(err)
		}
		if got := p.pause(now, tt.said).Sub(now); got != tt.want {
			t.Errorf("told %v: pauses %v, want %v", tt.said, got, tt.want)
		}
		_, err = b.allow(now, "up")
		wantError(t, err, millpond.Throttled, "asked for patience")
		now = b.paused
	}
}

func TestBudget(t *testing.T) {
	b, now := new(budget), time.Unix(1e9, 0)
	taken := 0
	for range 1000 {
		b.earn()
		if b.take(now) {
			taken++
		}
	}
	if want := 1000/10 + budgetFloor; taken > want || taken < want-2 {
		t.Errorf("%d retries for 1000 requests, want about %d", taken, want)
	}
	if now = now.Add(budgetEvery); !b.take(now) || b.take(now) {
		t.Error("an upstream that is seldom asked has no retry, or too many")
	}
}

func TestRate(t *testing.T) {
	for _, rate := range []float64{0.2, 1, 50} {
		var p pace
		now := time.Unix(1e9, 0)
		var last time.Duration
		n := int(rate*10) + 1
		for range n {
			last = p.wait(now, rate)
		}
		want := time.Duration((float64(n) - max(rate, 1)) / rate * float64(time.Second))
		if d := last - want; d < -time.Millisecond || d > time.Millisecond {
			t.Errorf("at %v a second, request %d waits %v, want %v", rate, n, last, want)
		}
	}
	if d := new(pace).wait(time.Now(), 0); d != 0 {
		t.Errorf("without a rate a request waits %v", d)
	}
}

func TestBreakerKeepsRequestsAway(t *testing.T) {
	r, b := newRig(t), noise(1000)
	r.srv.Put("/f", faulty.Object{Body: b})
	r.srv.Order("/f", "always 500")
	for i := range 20 {
		f := r.file("/f", b)
		f.ID = fmt.Sprint(i)
		if _, err := r.read(f); !millpond.Is(err, millpond.BadUpstream) {
			t.Fatal(err)
		}
	}
	if n := r.srv.Count("", ""); n > 2*3 {
		t.Errorf("an ill upstream was asked %d times", n)
	}
	s := r.up.State()
	if !s.Open || !strings.Contains(s.Why, "answered 500") || s.Until.Before(r.clock.Now()) {
		t.Errorf("state %+v", s)
	}
	r.srv.Forget()
	r.srv.Order("/f", "hang")
	r.clock.pass(11 * time.Second)
	var waiting sync.WaitGroup
	ctxErrs := make(chan error, 20)
	for i := range 20 {
		waiting.Go(func() {
			_, err := r.up.Get(t.Context(), Request{URL: r.srv.URL + fmt.Sprintf("/f?%d", i)})
			ctxErrs <- err
		})
	}
	for range 19 { // all but the probe
		wantError(t, <-ctxErrs, millpond.BadUpstream, "is not asked until")
	}
	for r.srv.Count("", "") == 0 {
		time.Sleep(time.Millisecond) // the probe is on its way
	}
	r.srv.Want(t, "", 1)
	r.srv.Refuse() // ends the probe, badly
	<-ctxErrs
	waiting.Wait()
	if err := r.srv.Accept(); err != nil {
		t.Fatal(err)
	}
	r.clock.pass(30 * time.Second)
	r.good(r.file("/f", b), b)
	if s := r.up.State(); s.Open || s.Why != "" {
		t.Errorf("state %+v after it is well", s)
	}
}

func TestOneOriginIllTheOtherWell(t *testing.T) {
	files := faulty.New(t)
	r := newRig(t, func(_ *Engine, s *Settings) {
		s.Also, s.AllowAddresses = []string{files.URL}, []string{"127.0.0.0/8"}
	})
	r.srv.Put("/d", faulty.Object{Body: []byte("hello")})
	files.Order("/f", "always 500")
	for i := range 3 {
		f := r.file("/f", nil)
		f.ID, f.URL = fmt.Sprint(i), files.URL+"/f"
		r.bad(f, millpond.BadUpstream, "")
	}
	files.Order("/f")
	if _, _, err := r.get(Request{URL: "/d"}); err != nil {
		t.Errorf("the upstream's own origin: %v", err)
	}
	s := r.up.State()
	if s.Open || !strings.Contains(s.Why, "up's 127.0.0.1 answered 500") {
		t.Errorf("state %+v", s)
	}
}

// TestBreakersAreForgotten: of origins that somebody's documents have named once, and that have never answered, none is remembered for
// ever; of one that is ill now all is.
func TestBreakersAreForgotten(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	u := &Upstream{e: &Engine{Now: func() time.Time { return now }}, breakers: map[string]*breaker{}}
	for i := range 1000 {
		b := u.breaker(fmt.Sprintf("http://%d.example", i))
		p, err := b.allow(now, "x")
		if err != nil {
			t.Fatal(err)
		}
		p.fail(now, "no such host")
		now = now.Add(time.Minute)
	}
	if n := len(u.breakers); n > mostBreakers {
		t.Errorf("%d breakers are remembered, want at most %d", n, mostBreakers)
	}
	ill := u.breaker("http://999.example")
	if ill.row != 1 {
		t.Errorf("the latest has %d failures in a row, want 1", ill.row)
	}
}
