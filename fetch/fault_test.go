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
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
)

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
		r.up.guard.dialer.Resolver = names(t)
		_, err := r.up.Get(t.Context(), Request{URL: "http://nowhere.invalid/secret?token=hush"})
		wantError(t, err, millpond.BadUpstream, "up could not be found (no such host nowhere.invalid) twice")
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("the error tells the query: %v", err)
		}
	})
}
