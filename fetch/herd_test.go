package fetch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"millpond"
	"millpond/fetch/faulty"
)

func TestF23SlowReadersSlowNobody(t *testing.T) {
	const n = 6 << 20
	r, b := newRig(t), noise(n)
	r.srv.Put("/f", faulty.Object{Body: b})
	f, sealed := r.file("/f", b), make(chan struct{})
	f.Sealed = func(context.Context, Sealed) error { close(sealed); return nil }
	slow, err := r.up.Open(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	one := make([]byte, 1)
	if _, err := io.ReadFull(slow, one); err != nil {
		t.Fatal(err)
	}
	r.good(f, b)
	<-sealed // though the slow reader has read one byte
	if got, err := io.ReadAll(slow); err != nil || !bytes.Equal(append(one, got...), b) {
		t.Errorf("the slow reader got %d bytes, %v", len(got), err)
	}
}

func TestF24ReadersLeave(t *testing.T) {
	r, b := newRig(t), noise(3<<20)
	r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
	gate := r.srv.Gate("/f", 2<<20)
	f := r.file("/f", b)
	done := make(chan struct{})
	f.Sealed = func(context.Context, Sealed) error { close(done); return nil }
	ctx, cancel := context.WithCancel(t.Context())
	first, err := r.up.Open(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.up.Open(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if first.Joined() || !second.Joined() {
		t.Errorf("joined: first %v, second %v", first.Joined(), second.Joined())
	}
	cancel()
	first.Close()
	second.Close()
	gate.Open()
	<-done
	r.held(b)
	r.good(f, b)
	r.srv.Want(t, "/f", 1)
}

func TestF25OneDownloadManyReaders(t *testing.T) {
	const n, clients = 8 << 20, 200
	r, b := newRig(t), noise(n)
	r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
	f := r.file("/f", b)
	var readers sync.WaitGroup
	for i := range clients {
		readers.Go(func() {
			body, err := r.up.Open(t.Context(), f)
			if err != nil {
				t.Error(err)
				return
			}
			defer body.Close()
			h := f.Want[0].Hash()
			if i%2 == 0 {
				_, err = io.Copy(h, body)
			} else {
				_, err = io.Copy(h, struct{ io.Reader }{body})
			}
			if got, _ := millpond.NewDigest("sha256", h.Sum(nil)); err != nil || got != f.Want[0] {
				t.Errorf("reader %d: %v, %v", i, got, err)
			}
		})
	}
	readers.Wait()
	r.srv.Want(t, "/f", 1)
	if sent := r.srv.Sent(); sent != n {
		t.Errorf("the upstream sent %d bytes, want %d", sent, n)
	}
}

func TestF26Bounds(t *testing.T) {
	r := newRig(t, func(e *Engine, s *Settings) { e.Most, e.Waiting, s.Connections = 3, 4, 2 })
	b := noise(1000)
	var gates []*faulty.Gate
	for i := range 20 {
		path := fmt.Sprintf("/%d", i)
		r.srv.Put(path, faulty.Object{Body: b})
		gates = append(gates, r.srv.Gate(path, 0))
	}
	var readers sync.WaitGroup
	results := make(chan error, 20)
	for i := range 20 {
		readers.Go(func() {
			_, err := r.read(r.file(fmt.Sprintf("/%d", i), b))
			results <- err
		})
	}
	shed := 0
	for range 14 { // all but two that run and four that wait
		if err := <-results; !millpond.Is(err, millpond.Throttled) || !strings.Contains(err.Error(), "busy") {
			t.Errorf("got %v, want Throttled", err)
		}
		shed++
	}
	if s := r.Stats(); s.Waiting != 4 || s.Fills != 6 {
		t.Errorf("stats %+v, want 6 fills of which 4 wait", s)
	}
	if n := r.up.State().InFlight; n > 2 {
		t.Errorf("%d requests in flight, want at most 2", n)
	}
	for _, g := range gates {
		g.Open()
	}
	readers.Wait()
	for range 20 - shed {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestAnIllUpstreamKeepsNobodyWaiting(t *testing.T) {
	r := newRig(t, func(_ *Engine, s *Settings) { s.Connections = 1 })
	r.srv.Put("/f", faulty.Object{Body: noise(100)})
	r.srv.Put("/slow", faulty.Object{Body: noise(100)})
	gate := r.srv.Gate("/slow", 0)
	body := make(chan error)
	go func() {
		_, err := r.read(r.file("/slow", nil)) // has the only place
		body <- err
	}()
	<-gate.Reached
	b := r.up.breaker(r.up.origin)
	for range rowLimit {
		p, err := b.allow(r.clock.Now(), "up")
		if err != nil {
			t.Fatal(err)
		}
		p.fail(r.clock.Now(), "up is ill")
	}
	r.bad(r.file("/f", nil), millpond.BadUpstream, "up is ill and is not asked until")
	r.badGet(Request{URL: "/f"}, millpond.BadUpstream, "up is ill and is not asked until")
	gate.Open()
	if err := <-body; err != nil {
		t.Error(err)
	}
}
