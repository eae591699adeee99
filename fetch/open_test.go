package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
)

func TestOpenReadsVerifiesAndKeeps(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, small, small + 1, small + lastBytes + 1, 3 << 20} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d chunked=%v", n, chunked), func(t *testing.T) {
				r, b := newRig(t), noise(n)
				r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`, Chunked: chunked, Type: "application/x-thing"})
				f := r.file("/f", b)
				var sealed Sealed
				f.Sealed = func(_ context.Context, s Sealed) error { sealed = s; return nil }
				r.good(f, b)
				r.held(b)
				if sealed.Blob != millpond.SHA256(b) || sealed.Size != int64(n) || sealed.Type != "application/x-thing" ||
					sealed.URL.String() != f.URL || sealed.Wire != int64(n) || sealed.Duration <= 0 {
					t.Errorf("told %+v", sealed)
				}
				r.srv.Want(t, "/f", 1)
				r.good(f, b) // of what has just ended
				r.srv.Want(t, "/f", 1)
			})
		}
	}
}

func TestF01CutAtEveryOffset(t *testing.T) {
	const n = 2 << 20
	b := noise(n)
	for _, at := range []int{0, 1, n / 2, n - 1} {
		for _, chunked := range []bool{false, true} {
			for _, tag := range []string{`"1"`, ""} {
				t.Run(fmt.Sprintf("cut %d chunked=%v tag=%s", at, chunked, tag), func(t *testing.T) {
					r := newRig(t)
					r.srv.Put("/f", faulty.Object{Body: b, ETag: tag, Chunked: chunked})
					r.srv.Order("/f", fmt.Sprintf("cut %d", at))
					r.good(r.file("/f", b), b)
					r.held(b)
					r.srv.Want(t, "/f", 2)
					if sent := r.srv.Sent(); sent > n {
						t.Errorf("the upstream sent %d bytes, want no more than %d: it was not resumed", sent, n)
					}
				})
			}
		}
	}
	t.Run("always", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		r.srv.Order("/f", "always cut 100")
		r.bad(r.file("/f", b), millpond.BadUpstream, "up ended a body early three times")
		r.held()
		r.srv.Want(t, "/f", 3)
		r.srv.Order("/f")
		r.clock.pass(time.Minute)
		r.good(r.file("/f", b), b)
	})
	t.Run("nobody declared anything", func(t *testing.T) { // then it is compared, not put together
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b})
		r.srv.Order("/f", "cut 1500000")
		r.good(r.file("/f", nil), b)
		if got := r.srv.Requests("/f")[1].Header.Get("Range"); got != "" {
			t.Errorf("asked for the range %q with nothing to vouch for it", got)
		}
	})
}

func TestF02WithoutALength(t *testing.T) {
	b := noise(2 << 20)
	t.Run("cut, digest known", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		r.srv.Order("/f", "always close 1500000")
		r.bad(r.file("/f", b), millpond.Corrupt, "not the declared ones")
		r.held()
	})
	t.Run("cut, size known", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		r.srv.Order("/f", "close 1500000")
		f := r.file("/f", nil)
		f.Size = int64(len(b))
		r.good(f, b)
	})
	t.Run("nothing known", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b})
		r.srv.Order("/f", "close 9999999")
		r.bad(r.file("/f", nil), millpond.BadUpstream, "without its length")
		r.held()
	})
	t.Run("whole, digest known", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b})
		r.srv.Order("/f", "close 9999999")
		r.good(r.file("/f", b), b)
	})
	t.Run("longer than announced", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b})
		r.srv.Put("/g", faulty.Object{Body: b[:100]})
		r.srv.Order("/f", "extra 1000")
		log.SetOutput(io.Discard) // net/http tells of the bytes too many
		defer log.SetOutput(os.Stderr)
		r.good(r.file("/f", b), b)
		r.good(r.file("/g", b[:100]), b[:100])
		if n := r.srv.Connections(); n != 2 {
			t.Errorf("%d connections, want 2: one with bytes left in it is not used again", n)
		}
	})
}

func TestF03OtherBytes(t *testing.T) {
	t.Run("once, when a reader has some of it", func(t *testing.T) {
		const n = 3 << 20
		r, b := newRig(t), noise(n)
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		r.srv.Order("/f", "lie")
		gate := r.srv.Gate("/f", n-1)
		body, err := r.up.Open(t.Context(), r.file("/f", b))
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		if _, err := io.CopyN(io.Discard, body, 1<<20); err != nil {
			t.Fatal(err)
		}
		gate.Open()
		_, err = io.Copy(io.Discard, body)
		wantError(t, err, millpond.Corrupt, "not the declared ones")
		r.held()
		r.srv.Want(t, "/f", 1)
	})
	for _, n := range []int{1000, 3 << 20} {
		b := noise(n)
		t.Run(fmt.Sprintf("for ever, %d bytes", n), func(t *testing.T) {
			r := newRig(t)
			r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
			r.srv.Order("/f", "always lie")
			f := r.file("/f", b)
			var failed []error
			f.Failed = func(err error) { failed = append(failed, err) }
			f.Sealed = func(context.Context, Sealed) error { t.Error("sealed wrong bytes"); return nil }
			r.bad(f, millpond.Corrupt, "not the declared ones")
			r.held()
			if len(failed) != 1 || !millpond.Is(failed[0], millpond.Corrupt) {
				t.Errorf("told failures %v, want one of kind corrupt", failed)
			}
		})
	}
	t.Run("asked once more, past caches", func(t *testing.T) {
		r, b := newRig(t), noise(1000)
		r.srv.Put("/f", faulty.Object{Body: b})
		r.srv.Order("/f", "lie")
		r.good(r.file("/f", b), b)
		r.srv.Want(t, "/f", 2)
		if got := r.srv.Requests("/f")[1].Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("the second request says Cache-Control %q, want no-cache", got)
		}
		if n := r.Stats().Corrupt; n != 1 {
			t.Errorf("counted %d corrupt bodies, want 1", n)
		}
	})
	t.Run("weaker and several digests", func(t *testing.T) {
		r, b := newRig(t), noise(1000)
		r.srv.Put("/f", faulty.Object{Body: b})
		f := r.file("/f", nil)
		for _, algorithm := range []string{"sha512", "md5"} {
			f.Want = append(f.Want, digest(algorithm, b))
		}
		r.good(f, b)
		f.ID, f.Want[1] = "other", digest("md5", b[1:])
		r.bad(f, millpond.Corrupt, "")
	})
}

func digest(algorithm string, b []byte) millpond.Digest {
	for _, n := range []int{16, 20, 32, 48, 64} { // the sum's length is the algorithm's
		d, err := millpond.NewDigest(algorithm, make([]byte, n))
		if err != nil {
			continue
		}
		h := d.Hash()
		h.Write(b)
		d, err = millpond.NewDigest(algorithm, h.Sum(nil))
		if err != nil {
			panic(err)
		}
		return d
	}
	panic("no algorithm " + algorithm)
}

func TestF04PagesInPlaceOfFiles(t *testing.T) {
	sniff := func(head []byte) error {
		if !bytes.HasPrefix(head, []byte("PK")) {
			return &millpond.Error{Kind: millpond.BadUpstream, Why: "no archive"}
		}
		return nil
	}
	for _, order := range []string{"html-200", "empty-200", "listing"} {
		t.Run(order, func(t *testing.T) {
			r, b := newRig(t), append([]byte("PK"), noise(2<<20)...)
			r.srv.Put("/f", faulty.Object{Body: b})
			r.srv.Order("/f", order)
			f := r.file("/f", nil)
			f.Sniff = sniff
			r.bad(f, millpond.BadUpstream, "")
			r.held()
			r.good(f, b)
		})
	}
	t.Run("nobody sniffs", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{})
		r.bad(r.file("/f", nil), millpond.BadUpstream, "answered 200 with nothing")
		empty := r.file("/f", nil)
		empty.ID, empty.Size = "declared", 0
		r.good(empty, nil)
	})
	t.Run("a head in pieces", func(t *testing.T) {
		r, b := newRig(t), append([]byte("PK"), noise(5000)...)
		r.srv.Put("/f", faulty.Object{Body: b})
		r.srv.Order("/f", "drip 300 1ms")
		f := r.file("/f", b)
		var heads []int
		f.Sniff = func(head []byte) error { heads = append(heads, len(head)); return sniff(head) }
		r.good(f, b)
		if fmt.Sprint(heads) != "[512]" {
			t.Errorf("sniffed heads of %v bytes, want one of 512", heads)
		}
	})
}

func TestF05Failures(t *testing.T) {
	b := noise(1000)
	t.Run("twice", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b})
		r.srv.Order("/f", "500", "503")
		r.good(r.file("/f", b), b)
		r.srv.Want(t, "/f", 3)
	})
	t.Run("always", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b})
		r.srv.Order("/f", "always 500")
		r.bad(r.file("/f", b), millpond.BadUpstream, "up answered 500 three times")
		r.held()
		r.srv.Want(t, "/f", 3)
	})
	t.Run("Retry-After is obeyed", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b})
		r.srv.Order("/f", "always 503 60")
		_, err := r.read(r.file("/f", b))
		e, _ := errors.AsType[*millpond.Error](err)
		if e == nil || e.Kind != millpond.BadUpstream || e.After.Sub(r.clock.Now()) < 50*time.Second {
			t.Errorf("got %#v, want BadUpstream with an After in a minute", err)
		}
		r.srv.Want(t, "/f", 1)
	})
}

func TestF06Throttled(t *testing.T) {
	r, b := newRig(t), noise(1000)
	r.srv.Put("/f", faulty.Object{Body: b})
	r.srv.Put("/g", faulty.Object{Body: b})
	r.srv.Order("/f", "429 30")
	_, err := r.read(r.file("/f", b))
	wantError(t, err, millpond.Throttled, "up asked for patience")
	if e, _ := errors.AsType[*millpond.Error](err); e == nil || e.After.Sub(r.clock.Now()).Round(time.Second) != 30*time.Second {
		t.Errorf("got %#v, want an After in 30 s", err)
	}
	for range 50 {
		r.bad(r.file("/g", b), millpond.Throttled, "up asked for patience until")
	}
	r.srv.Want(t, "", 1)
	if s := r.up.State(); !s.Open || s.Why == "" || s.Until.IsZero() {
		t.Errorf("state %+v, want it paused", s)
	}
	r.clock.pass(31 * time.Second)
	r.good(r.file("/g", b), b)
}

func TestF07Refused(t *testing.T) {
	for _, status := range []string{"401", "403"} {
		t.Run(status, func(t *testing.T) {
			r, b := newRig(t), noise(1000)
			r.srv.Put("/f", faulty.Object{Body: b})
			r.srv.Order("/f", status)
			r.bad(r.file("/f", b), millpond.BadUpstream, "up refused access ("+status+")")
			if got := r.up.State().Alarm; got != "credentials of up refused" {
				t.Errorf("alarm %q", got)
			}
			r.srv.Want(t, "/f", 1)
			r.good(r.file("/f", b), b)
			if got := r.up.State().Alarm; got != "" {
				t.Errorf("alarm %q after it went well", got)
			}
		})
	}
}

func TestF08Absent(t *testing.T) {
	r, b := newRig(t), noise(1000)
	for _, status := range []string{"404", "410", "451"} {
		r.srv.Order("/f", status)
		r.bad(r.file("/f", b), millpond.NotFound, "up does not have it ("+status+")")
	}
	r.srv.Want(t, "/f", 3)
	r.srv.Put("/f", faulty.Object{Body: b})
	r.good(r.file("/f", b), b)
	if s := r.up.State(); s.Open || s.Alarm != "" {
		t.Errorf("absences made the upstream ill: %+v", s)
	}
}

func TestF09Silence(t *testing.T) {
	b := noise(3 << 20)
	quick := func(e *Engine, s *Settings) {
		s.FirstByte, s.Idle, s.MinRate = 100*time.Millisecond, 100*time.Millisecond, 1<<20
		e.tune.window = 100 * time.Millisecond
	}
	t.Run("no header", func(t *testing.T) {
		r := newRig(t, quick)
		r.srv.Put("/f", faulty.Object{Body: b})
		r.srv.Put("/g", faulty.Object{Body: b})
		r.srv.Order("/f", "hang")
		began := time.Now()
		r.bad(r.file("/f", b), millpond.BadUpstream, "up did not answer in time")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("gave up after %v", took)
		}
		r.srv.Want(t, "/f", 1)
		r.good(r.file("/g", b), b)
		r.good(r.file("/f", b), b)
	})
	t.Run("stall, then resumed", func(t *testing.T) {
		r := newRig(t, quick)
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		r.srv.Order("/f", "stall 2000000")
		r.good(r.file("/f", b), b)
		r.srv.Want(t, "/f", 2)
	})
	t.Run("stall for ever", func(t *testing.T) {
		r := newRig(t, quick)
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		r.srv.Order("/f", "always stall 10")
		r.bad(r.file("/f", b), millpond.BadUpstream, "fell silent within a body three times")
		r.held()
	})
	t.Run("drip", func(t *testing.T) {
		r := newRig(t, quick)
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		r.srv.Order("/f", "drip 10 5ms")
		r.good(r.file("/f", b), b)
		r.srv.Want(t, "/f", 2)
		r.srv.Forget()
		r.srv.Order("/g", "always drip 10 5ms")
		r.srv.Put("/g", faulty.Object{Body: b, ETag: `"1"`})
		r.bad(r.file("/g", b), millpond.BadUpstream, "sends too slowly three times")
	})
}

func TestF12Connections(t *testing.T) {
	b := noise(1000)
	t.Run("refused", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b})
		r.srv.Refuse()
		r.bad(r.file("/f", b), millpond.BadUpstream, "up refused the connection twice")
		if n := r.Stats().Requests; n != 2 {
			t.Errorf("tried %d times, want 2", n)
		}
		if err := r.srv.Accept(); err != nil {
			t.Fatal(err)
		}
		r.good(r.file("/f", b), b)
	})
	t.Run("reset before the header", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b})
		r.srv.Order("/f", "always refuse")
		r.bad(r.file("/f", b), millpond.BadUpstream, "connection")
		r.srv.Order("/f")
		r.good(r.file("/f", b), b)
	})
	t.Run("no such host", func(t *testing.T) {
		r := newRig(t, func(e *Engine, s *Settings) { s.URL = mustParse("http://nowhere.invalid/") })
		_, err := r.up.Get(t.Context(), Request{URL: "http://nowhere.invalid/secret?token=hush"})
		wantError(t, err, millpond.BadUpstream, "nowhere.invalid")
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("the error tells the query: %v", err)
		}
	})
}

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

func TestLastBytesWaitForTheSeal(t *testing.T) {
	const n = 3 << 20
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprintf("chunked=%v", chunked), func(t *testing.T) {
			r, b := newRig(t), noise(n)
			r.srv.Put("/f", faulty.Object{Body: b, Chunked: chunked})
			f := r.file("/f", b)
			sealing, seal := make(chan struct{}), make(chan struct{})
			f.Sealed = func(context.Context, Sealed) error {
				close(sealing)
				<-seal
				return nil
			}
			body, err := r.up.Open(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			<-sealing
			if got := body.Arrived(); got != n-lastBytes {
				t.Errorf("%d bytes may be read before the seal, want %d", got, n-lastBytes)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if body.Await(ctx, n) || !body.Await(ctx, n-lastBytes) {
				t.Error("Await lets the end be read before the seal, or does not let the rest be read")
			}
			close(seal)
			if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, b) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			if !body.Await(ctx, n) || body.Size() != n {
				t.Errorf("after the end: size %d", body.Size())
			}
		})
	}
	t.Run("an error of Sealed fails the download", func(t *testing.T) {
		r, b := newRig(t), noise(n)
		r.srv.Put("/f", faulty.Object{Body: b})
		f := r.file("/f", b)
		f.Sealed = func(context.Context, Sealed) error { return errors.New("catalog is on fire") }
		r.bad(f, millpond.Internal, "catalog is on fire")
		r.held(b) // which the sweep takes
	})
}

func TestVerifyIsAskedBeforeTheSeal(t *testing.T) {
	r, b := newRig(t), noise(2<<20)
	r.srv.Put("/f", faulty.Object{Body: b})
	f := r.file("/f", b)
	f.Verify = func(_ context.Context, ra io.ReaderAt, size int64) error {
		got, err := io.ReadAll(io.NewSectionReader(ra, 0, size))
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("Verify sees %d bytes, %v", len(got), err)
		}
		r.held()
		return &millpond.Error{Kind: millpond.Corrupt, Why: "h1 differs"}
	}
	r.bad(f, millpond.Corrupt, "h1 differs")
	r.held()
	f.Want = []millpond.Digest{millpond.SHA256([]byte("x"))}
	f.Verify = func(context.Context, io.ReaderAt, int64) error { t.Error("asked about wrong bytes"); return nil }
	r.bad(f, millpond.Corrupt, "not the declared ones")
}

func TestCallbacksThatPanic(t *testing.T) {
	r, b := newRig(t), noise(1000)
	r.srv.Put("/f", faulty.Object{Body: b})
	f := r.file("/f", b)
	f.Sniff = func(head []byte) error { _ = head[1<<20]; return nil }
	r.bad(f, millpond.Internal, "a download panicked")
	f.Sniff, f.Verify = nil, func(context.Context, io.ReaderAt, int64) error { panic("not a zip") }
	r.bad(f, millpond.Internal, "a download panicked")
	f.Verify = nil
	r.good(f, b)
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

func TestDropKeepsNothing(t *testing.T) {
	for _, n := range []int{1000, 3 << 20} {
		r, b := newRig(t), noise(n)
		r.srv.Put("/f", faulty.Object{Body: b})
		f := r.file("/f", b)
		f.Drop = true
		f.Sealed = func(context.Context, Sealed) error { t.Error("sealed"); return nil }
		r.good(f, b)
		r.held()
		r.srv.Order("/f", "always lie")
		r.bad(f, millpond.Corrupt, "not the declared ones")
		r.held()
	}
}

func TestGetWritesTheBytes(t *testing.T) {
	r, b := newRig(t), noise(2<<20)
	f := File{ID: "built", URL: "x", Size: -1, Want: []millpond.Digest{millpond.SHA256(b)}}
	f.Get = func(_ context.Context, w io.Writer) error { _, err := w.Write(b); return err }
	r.good(f, b)
	r.held(b)
	f.ID = "fails"
	f.Get = func(_ context.Context, w io.Writer) error { w.Write(b[:100]); return errors.New("the build broke") }
	r.bad(f, millpond.Internal, "the build broke")
	r.srv.Want(t, "", 0)
}

func TestSizesAndLimits(t *testing.T) {
	b := noise(2 << 20)
	for _, chunked := range []bool{false, true} {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b, Chunked: chunked})
		f := r.file("/f", nil)
		f.Size = int64(len(b)) + 1
		r.bad(f, millpond.Corrupt, "where 2097153 were declared")
		f.Size = int64(len(b)) - 1
		r.bad(f, millpond.Corrupt, "where 2097151 were declared")
		f.Size, f.Limit = -1, 1<<20
		r.bad(f, millpond.BadUpstream, "larger than the limit of 1 MiB")
		f.Limit = int64(len(b))
		r.good(f, b)
	}
}

func TestSeekAndCloseWhileItGrows(t *testing.T) {
	const n = 4 << 20
	r, b := newRig(t), noise(n)
	r.srv.Put("/f", faulty.Object{Body: b})
	gate := r.srv.Gate("/f", 2<<20)
	body, err := r.up.Open(t.Context(), r.file("/f", b))
	if err != nil {
		t.Fatal(err)
	}
	if at, err := body.Seek(-100, io.SeekEnd); at != n-100 || err != nil {
		t.Errorf("seek to %d, %v", at, err)
	}
	waiting, err := r.up.Open(t.Context(), r.file("/f", b))
	if err != nil {
		t.Fatal(err)
	}
	waiting.Seek(3<<20, io.SeekStart)
	ended := make(chan error)
	go func() {
		_, err := waiting.Read(make([]byte, 10))
		ended <- err
	}()
	waiting.Close()
	if err := <-ended; err == nil {
		t.Error("a Read of a closed body had no error")
	}
	gate.Open()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, b[n-100:]) {
		t.Errorf("the end: %d bytes, %v", len(got), err)
	}
	body.Close()
	if _, err := body.Read(make([]byte, 1)); err == nil {
		t.Error("read from a closed body")
	}
}

func TestF32NoRoom(t *testing.T) {
	full := &millpond.Error{Kind: millpond.Full, Why: "no room"}
	for _, tt := range []struct {
		name string
		at   int64
	}{{"at once", 0}, {"half-way", 5 << 20}} {
		t.Run(tt.name, func(t *testing.T) {
			const n = 12 << 20
			r, b := newRig(t), noise(n)
			r.store.full = func(written int64) error {
				if written >= tt.at {
					return full
				}
				return nil
			}
			r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
			r.srv.Order("/f", "cut 9000000")
			f := r.file("/f", b)
			f.Sealed = func(context.Context, Sealed) error { t.Error("sealed"); return nil }
			var readers sync.WaitGroup
			for range 5 {
				readers.Go(func() { r.good(f, b) })
			}
			readers.Wait()
			r.held()
			r.srv.Order("/f", "always lie")
			r.bad(f, millpond.Corrupt, "not the declared ones")
			r.store.full = nil
			r.srv.Order("/f")
			f.Sealed = nil
			r.good(f, b)
			r.held(b)
		})
	}
	t.Run("a reader who stands still is cut, the other is served", func(t *testing.T) {
		const n = 12 << 20
		r, b := newRig(t, func(e *Engine, _ *Settings) { e.tune.grace = 100 * time.Millisecond }), noise(n)
		r.store.full = func(int64) error { return full }
		r.srv.Put("/f", faulty.Object{Body: b})
		gate := r.srv.Gate("/f", 3<<20)
		f := r.file("/f", b)
		still, err := r.up.Open(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		defer still.Close()
		moving, err := r.up.Open(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		gate.Open()
		got, err := io.ReadAll(moving)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("the moving reader: %d bytes, %v", len(got), err)
		}
		moving.Close()
		_, err = io.Copy(io.Discard, still)
		wantError(t, err, millpond.Full, "no room")
	})
	t.Run("at the seal", func(t *testing.T) {
		r, b := newRig(t), noise(2<<20)
		r.store.seal = func() error { return full }
		r.srv.Put("/f", faulty.Object{Body: b})
		r.good(r.file("/f", b), b)
		r.held()
	})
	t.Run("to be verified", func(t *testing.T) {
		r, b := newRig(t), noise(6<<20)
		r.store.full = func(int64) error { return full }
		r.srv.Put("/f", faulty.Object{Body: b})
		f := r.file("/f", nil)
		f.Verify = func(_ context.Context, ra io.ReaderAt, size int64) error {
			if got, err := io.ReadAll(io.NewSectionReader(ra, 0, size)); err != nil || !bytes.Equal(got, b) {
				t.Errorf("Verify sees %d bytes, %v", len(got), err)
			}
			return nil
		}
		r.good(f, b)
	})
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
