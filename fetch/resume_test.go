package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
)

func TestF13Resume(t *testing.T) {
	const n = 12 << 20
	b := noise(n)
	r := newRig(t)
	r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
	r.srv.Order("/f", fmt.Sprintf("reset %d", n*6/10), "reset 100000", "reset 100000", "ok")
	f := r.file("/f", b)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() { r.good(f, b) })
	}
	readers.Wait()
	r.held(b)
	if got := r.Stats().Bytes; got > n*105/100 { // what a reset destroys on its way is the network's affair
		t.Errorf("took %d bytes for %d, want at most 1.05×", got, n)
	}
	reqs := r.srv.Requests("/f")
	if len(reqs) != 4 {
		t.Fatalf("%d requests, want 4", len(reqs))
	}
	for _, q := range reqs[1:] {
		if q.Header.Get("Range") == "" || q.Header.Get("If-Range") != `"1"` {
			t.Errorf("resumed with Range %q, If-Range %q", q.Header.Get("Range"), q.Header.Get("If-Range"))
		}
	}
}

func TestF14Changed(t *testing.T) {
	const n = 3 << 20
	b := noise(n)
	changed := make([]byte, n)
	for i := range b {
		changed[i] = b[i] ^ 0x5a
	}
	for _, tt := range []struct {
		name, tag string
		noRange   bool
	}{
		{"with a tag", `"1"`, false},
		{"with a tag, ranges ignored", `"1"`, true},
		{"without a tag", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.srv.Put("/f", faulty.Object{Body: b, ETag: tt.tag, NoRange: tt.noRange})
			r.srv.Order("/f", fmt.Sprintf("cut %d", n/2), "always replace")
			gate := r.srv.Gate("/f", n/2-1)
			f := r.file("/f", nil)
			first, err := r.up.Open(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			defer first.Close()
			if _, err := io.CopyN(io.Discard, first, 1000); err != nil {
				t.Fatal(err)
			}
			late, err := r.up.Open(t.Context(), f) // has read nothing when the object changes
			if err != nil {
				t.Fatal(err)
			}
			defer late.Close()
			gate.Open()
			rest, err := io.ReadAll(first)
			wantError(t, err, millpond.BadUpstream, "changed")
			if got := append(b[:1000:1000], rest...); len(got) > n/2 || !bytes.Equal(got, b[:len(got)]) {
				t.Errorf("the first reader got a splice: %d bytes", len(got))
			}
			got, err := io.ReadAll(late)
			if err != nil {
				t.Logf("the object changes at every request, so the download gave up: %v", err)
			} else if !bytes.Equal(got, changed) && !bytes.Equal(got, b) {
				t.Errorf("the late reader got a splice of %d bytes", len(got))
			}
		})
	}
	t.Run("once, then it stays", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		r.srv.Order("/f", fmt.Sprintf("cut %d", n/2), "change-mid-resume", "ok")
		f, sealed := r.file("/f", changed), make(chan struct{})
		f.Sealed = func(context.Context, Sealed) error { close(sealed); return nil }
		r.bad(f, millpond.BadUpstream, "changed") // this reader has seen the old one
		<-sealed
		r.good(f, changed)
		r.held(changed)
	})
	t.Run("range ignored, same object", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`, NoRange: true})
		r.srv.Order("/f", fmt.Sprintf("cut %d", n/2))
		r.good(r.file("/f", nil), b)
		r.held(b)
	})
	t.Run("another size", func(t *testing.T) { // a reader who has told the old size must not get a part of the new
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		r.srv.Order("/f", fmt.Sprintf("cut %d", n/2))
		gate := r.srv.Gate("/f", n/2-1)
		body, err := r.up.Open(t.Context(), r.file("/f", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		if size := body.Size(); size != n {
			t.Fatalf("size %d, want %d", size, n)
		}
		r.srv.Put("/f", faulty.Object{Body: noise(n + 5), ETag: `"2"`})
		gate.Open()
		_, err = io.Copy(io.Discard, body)
		wantError(t, err, millpond.BadUpstream, "changed")
	})
}

func TestF19ContentEncoding(t *testing.T) {
	tgz := append([]byte{0x1f, 0x8b}, noise(2<<20)...) // looks packed, and is not
	sniff := func(head []byte) error {
		if !bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
			return &millpond.Error{Kind: millpond.BadUpstream, Why: "no tgz"}
		}
		return nil
	}
	for _, order := range []string{"gzip-body", "zstd-body", "gzip-label"} {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s digest known=%v", order, known), func(t *testing.T) {
				r := newRig(t)
				r.srv.Put("/f", faulty.Object{Body: tgz, ETag: `"1"`})
				r.srv.Order("/f", "always "+order)
				f := r.file("/f", nil)
				if known {
					f = r.file("/f", tgz)
				}
				f.Sniff = sniff
				r.good(f, tgz)
				r.held(tgz)
				for _, q := range r.srv.Requests("/f") {
					if got := q.Header.Get("Accept-Encoding"); got != "identity" {
						t.Errorf("asked with Accept-Encoding %q", got)
					}
				}
			})
		}
	}
}

func TestF20Parts(t *testing.T) {
	r, b := newRig(t), noise(2<<20)
	r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
	r.srv.Order("/f", "206-plain")
	r.bad(r.file("/f", b), millpond.BadUpstream, "answered a part (206)")
	r.held()
	r.srv.Order("/f", "304-bare")
	r.bad(r.file("/f", b), millpond.BadUpstream, "answered 304")
	r.good(r.file("/f", b), b)
}

func TestCloseLeavesWhatCanBeResumed(t *testing.T) {
	const n = 4 << 20
	b := noise(n)
	first := newRig(t)
	first.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
	first.srv.Gate("/f", 3<<20)
	body, err := first.up.Open(t.Context(), first.file("/f", b))
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	body.Await(t.Context(), 3<<20-lastBytes)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := first.Engine.Close(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v, want the context's error, for something was stopped", err)
	}
	_, err = io.Copy(io.Discard, body)
	wantError(t, err, millpond.Offline, "stopping")
	if _, err := first.up.Open(t.Context(), first.file("/g", b)); !millpond.Is(err, millpond.Offline) {
		t.Errorf("open after close: %v", err)
	}
	left := first.Leftovers()
	if len(left) != 1 || left[0].ID != "/f" || left[0].ETag != `"1"` || left[0].Size != n {
		t.Fatalf("left over: %+v", left)
	}
	second := newRig(t, func(e *Engine, _ *Settings) { e.Blobs = first.store })
	second.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
	second.TakeUp(left)
	second.good(second.file("/f", b), b)
	if sent := second.srv.Sent(); sent >= 2<<20 {
		t.Errorf("the upstream sent %d bytes again, want about %d", sent, 1<<20)
	}
	first.store.mu.Lock() // the first writer was left for the second: that is no leak
	first.store.writers = first.store.writers[1:]
	first.store.mu.Unlock()
}

func TestWhatFailedLateIsResumedByTheNextReader(t *testing.T) {
	const n = 12 << 20
	r, b := newRig(t), noise(n)
	r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
	r.srv.Order("/f", fmt.Sprintf("cut %d", 10<<20), "always 500")
	f := r.file("/f", b)
	r.bad(f, millpond.BadUpstream, "up answered 500")
	for r.Stats().Fills > 0 {
		time.Sleep(time.Millisecond) // the download puts its bytes by after its readers are told
	}
	if left := r.Leftovers(); len(left) != 1 || left[0].ID != "/f" {
		t.Fatalf("left over: %+v", left)
	}
	r.srv.Order("/f")
	r.srv.Forget()
	r.clock.pass(time.Minute)
	r.good(f, b)
	r.held(b)
	if sent := r.srv.Sent(); sent > 3<<20 {
		t.Errorf("the upstream sent %d bytes again, want about %d", sent, 2<<20)
	}
	r.store.mu.Lock() // the first writer was left for the second: that is no leak
	r.store.writers = r.store.writers[1:]
	r.store.mu.Unlock()
}

func TestLeftoversThatCannotBeResumed(t *testing.T) {
	const n = 3 << 20
	b := noise(n)
	for name, spoil := range map[string]func(r *rig, l *Leftover){
		"gone":            func(_ *rig, l *Leftover) { l.Writer = "nothing" },
		"of another size": func(_ *rig, l *Leftover) { l.Size = n - 5000 },
		"of another object": func(r *rig, l *Leftover) {
			r.srv.Put("/f", faulty.Object{Body: b, ETag: `"2"`})
		},
		"not what it should be": func(r *rig, l *Leftover) {
			w, err := r.store.Store.Create(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w.Write(make([]byte, n/2))
			l.Writer = w.ID()
			w.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
			w, err := r.store.Store.Create(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w.Write(b[:n/2])
			l := Leftover{ID: "/f", Writer: w.ID(), ETag: `"1"`, Size: n}
			w.Close()
			spoil(r, &l)
			r.TakeUp([]Leftover{l})
			f := r.file("/f", b)
			f.Sniff = func(head []byte) error {
				if !bytes.HasPrefix(head, b[:8]) {
					return &millpond.Error{Kind: millpond.BadUpstream, Why: "no such file"}
				}
				return nil
			}
			r.good(f, b)
			r.held(b)
		})
	}
}
