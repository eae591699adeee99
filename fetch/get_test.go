package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/blob/seekable"
	"millpond/fetch/faulty"
)

// get reads a document and its text.
func (r *rig) get(q Request) (*Document, []byte, error) {
	r.t.Helper()
	if strings.HasPrefix(q.URL, "/") {
		q.URL = r.srv.URL + q.URL
	}
	d, err := r.up.Get(r.t.Context(), q)
	if err != nil {
		return nil, nil, err
	}
	r.t.Cleanup(func() { d.Close() })
	if d.NotModified {
		return d, nil, nil
	}
	b, err := io.ReadAll(io.NewSectionReader(d, 0, d.Size))
	if err != nil {
		r.t.Errorf("read the text: %v", err)
	}
	return d, b, nil
}

func (r *rig) badGet(q Request, kind millpond.Kind, words string) {
	r.t.Helper()
	_, b, err := r.get(q)
	wantError(r.t, err, kind, words)
	if err == nil {
		r.t.Errorf("got a document of %d bytes", len(b))
	}
}

// page is a text of n bytes that can be packed.
func page(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d of a page\n", i)
	}
	return b.Bytes()[:n]
}

func TestGetDocuments(t *testing.T) {
	for _, n := range []int{1, spoolMemory, spoolMemory + 1, 3 << 20} {
		for _, order := range []string{"ok", "gzip-body", "zstd-body", "close 99999999"} {
			t.Run(fmt.Sprintf("%d %s", n, order), func(t *testing.T) {
				r, text := newRig(t), page(n)
				r.srv.Put("/d", faulty.Object{Body: text, ETag: `W/"7"`, Type: "application/json",
					Modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
				r.srv.Order("/d", order)
				d, got, err := r.get(Request{URL: "/d", Accept: "application/json"})
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, text) || d.Size != int64(n) || d.Text != millpond.SHA256(text) {
					t.Errorf("text of %d bytes, size %d, digest %v", len(got), d.Size, d.Text)
				}
				if d.ETag != `W/"7"` || d.Modified != "Fri, 02 Jan 2026 03:04:05 GMT" || d.Type != "application/json" ||
					d.URL.String() != r.srv.URL+"/d" || d.Wire != r.srv.Sent() {
					t.Errorf("document %+v", d)
				}
				h := r.srv.Requests("/d")[0].Header
				for name, want := range map[string]string{"Accept": "application/json", "Accept-Encoding": "zstd, gzip",
					"User-Agent": "millpond/1.0", "Cdn-Loop": "millpond; id=pond-1"} {
					if h.Get(name) != want {
						t.Errorf("%s: %q, want %q", name, h.Get(name), want)
					}
				}
				r.held()
				form, err := d.Keep(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if again, err := d.Keep(t.Context()); again != form || err != nil {
					t.Errorf("kept twice: %v, %v; want %v", again, err, form)
				}
				packed, err := r.store.Open(t.Context(), form, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				defer packed.Close()
				kept, err := io.ReadAll(packed)
				if err != nil {
					t.Fatal(err)
				}
				s, err := seekable.NewReader(bytes.NewReader(kept), int64(len(kept)))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size())); err != nil || !bytes.Equal(got, text) {
					t.Errorf("kept %d bytes of text, %v", len(got), err)
				}
				tail := make([]byte, 1)
				if _, err := d.ReadAt(tail, int64(n-1)); err != nil && err != io.EOF || tail[0] != text[n-1] {
					t.Errorf("after Keep the last byte reads %q, %v", tail, err)
				}
			})
		}
	}
}

func TestGetLeavesNothingUnlessKept(t *testing.T) {
	r := newRig(t) // which looks for writers left over
	r.srv.Put("/d", faulty.Object{Body: page(3 << 20)})
	d, _, err := r.get(Request{URL: "/d"})
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	r.held()
	if _, err := d.Keep(t.Context()); err == nil {
		t.Error("kept a closed document")
	}
}

func TestGetConditional(t *testing.T) {
	r := newRig(t)
	r.srv.Put("/d", faulty.Object{Body: []byte("hello"), ETag: `"1"`, Modified: time.Unix(1e9, 0)})
	for _, q := range []Request{{ETag: `"1"`}, {Modified: "Sun, 09 Sep 2001 01:46:40 GMT"}} {
		q.URL = "/d"
		d, _, err := r.get(q)
		if err != nil || !d.NotModified || d.Header.Get("Etag") != `"1"` {
			t.Fatalf("%+v: got %+v, %v; want not modified", q, d, err)
		}
		if _, err := d.Keep(t.Context()); err == nil {
			t.Error("kept what has no text")
		}
	}
	if d, b, err := r.get(Request{URL: "/d", ETag: `"0"`}); err != nil || d.NotModified || string(b) != "hello" {
		t.Errorf("got %q, %v for an older tag", b, err)
	}
	if _, _, err := r.get(Request{URL: "/d", Fresh: true}); err != nil {
		t.Error(err)
	}
	if reqs := r.srv.Requests("/d"); reqs[3].Header.Get("Cache-Control") != "no-cache" || reqs[2].Header.Get("Cache-Control") != "" {
		t.Error("no-cache is sent where it was not asked for, or not where it was")
	}
}

func TestF01CutDocuments(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		r, text := newRig(t), page(3<<20)
		r.srv.Put("/d", faulty.Object{Body: text, Chunked: chunked})
		r.srv.Order("/d", "cut 2000000", "reset 10")
		if _, got, err := r.get(Request{URL: "/d"}); err != nil || !bytes.Equal(got, text) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		r.srv.Want(t, "/d", 3)
		r.srv.Order("/d", "always cut 2000000")
		r.badGet(Request{URL: "/d"}, millpond.BadUpstream, "up ended a body early three times")
	}
	t.Run("packed", func(t *testing.T) { // a close-delimited body cut short: its packing tells
		r := newRig(t)
		r.srv.Put("/d", faulty.Object{Body: page(100000), Header: http.Header{"Content-Encoding": {"gzip"}}})
		r.srv.Order("/d", "always close 50")
		r.badGet(Request{URL: "/d"}, millpond.BadUpstream, "cannot be unpacked")
	})
}

func TestF04EmptyDocuments(t *testing.T) {
	r := newRig(t)
	r.srv.Order("/d", "empty-200 x2")
	r.badGet(Request{URL: "/d"}, millpond.BadUpstream, "answered 200 with nothing")
	if d, b, err := r.get(Request{URL: "/d", Empty: true}); err != nil || len(b) != 0 || d.Text != millpond.SHA256(nil) {
		t.Errorf("got %q, %v where nothing is an answer", b, err)
	}
	r.srv.Put("/d", faulty.Object{Body: []byte("abc")})
	r.srv.Order("/d", "close 0")
	r.badGet(Request{URL: "/d", Empty: true}, millpond.BadUpstream, "answered 200 with nothing")
}

func TestGetAnswers(t *testing.T) {
	for _, tt := range []struct {
		order string
		kind  millpond.Kind
		words string
		asked int
	}{
		{"404", millpond.NotFound, "up does not have it (404)", 1},
		{"410", millpond.NotFound, "(410)", 1},
		{"451", millpond.NotFound, "(451)", 1},
		{"401", millpond.BadUpstream, "up refused access (401)", 1},
		{"403", millpond.BadUpstream, "up refused access (403)", 1},
		{"400", millpond.BadUpstream, "up answered 400", 1},
		{"429 60", millpond.Throttled, "up asked for patience", 1},
		{"500", millpond.BadUpstream, "up answered 500 three times", 3},
		{"204", millpond.BadUpstream, "up answered 204", 1},
		{"206-plain", millpond.BadUpstream, "answered a part (206)", 1},
		{"304-bare", millpond.BadUpstream, "up answered 304", 2},
		{"hang", millpond.BadUpstream, "up did not answer in time", 1},
		{"refuse", millpond.BadUpstream, "connection twice", 2},
		{"loop", millpond.BadUpstream, "up is this pond itself", 1},
		{"redirect /d", millpond.BadUpstream, "up redirects without end", 6},
		{"redirect ftp://upstream.example/", millpond.BadUpstream, "neither http nor https", 1},
		{"redirect http://169.254.169.254/latest", millpond.BadUpstream, "another origin and not https", 1},
		{"redirect https://169.254.169.254/latest?key=hush", millpond.BadUpstream, "where a cloud keeps its secrets", 1},
		{"redirect https://[::ffff:127.0.0.1]/", millpond.BadUpstream, "127.0.0.1, which is not a public address", 1},
		{"redirect https://0x7f.1/", millpond.BadUpstream, "not a public address", 1},
		{"redirect https://localhost/", millpond.BadUpstream, "which is this machine", 1},
		{"redirect :%", millpond.BadUpstream, "redirects to an address that cannot be read", 1},
	} {
		t.Run(tt.order, func(t *testing.T) {
			r := newRig(t, func(_ *Engine, s *Settings) {
				s.FirstByte = 200 * time.Millisecond
				s.Username, s.Password = "ci", "hush"
			})
			r.srv.Put("/d", faulty.Object{Body: []byte("hello")})
			r.srv.Order("/d", "always "+tt.order)
			_, _, err := r.get(Request{URL: "/d?key=hush"})
			if tt.order == "redirect https://0x7f.1/" && strings.Contains(fmt.Sprint(err), "odd spelling") {
				tt.words = "odd spelling" // judged before anybody resolves it
			}
			wantError(t, err, tt.kind, tt.words)
			if strings.Contains(fmt.Sprint(err), "hush") {
				t.Errorf("the error tells a secret: %v", err)
			}
			r.srv.Want(t, "/d", tt.asked)
			if tt.order == "loop" && r.Stats().Loops != 1 {
				t.Errorf("counted %d loops", r.Stats().Loops)
			}
			r.clock.pass(time.Hour)
			r.srv.Order("/d")
			if _, b, err := r.get(Request{URL: "/d"}); err != nil || string(b) != "hello" {
				t.Errorf("after it cleared: %q, %v", b, err)
			}
		})
	}
}

func TestF20NotModifiedUnasked(t *testing.T) {
	r := newRig(t)
	r.srv.Put("/d", faulty.Object{Body: []byte("hello"), ETag: `"1"`})
	r.srv.Order("/d", "304-bare")
	if _, b, err := r.get(Request{URL: "/d"}); err != nil || string(b) != "hello" {
		t.Errorf("got %q, %v", b, err)
	}
	reqs := r.srv.Requests("/d")
	if len(reqs) != 2 || reqs[1].Header.Get("If-None-Match") != "" || reqs[1].Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("asked %d times, the second with %v", len(reqs), reqs[len(reqs)-1].Header)
	}
}

func TestF21Limits(t *testing.T) {
	r := newRig(t)
	r.srv.Order("/big", "always big 9000000")
	r.badGet(Request{URL: "/big", Limit: 8 << 20}, millpond.BadUpstream, "up sent a document of more than 8 MiB")
	if d, _, err := r.get(Request{URL: "/big"}); err != nil || d.Size != 9000000 {
		t.Errorf("got %v, %v within the limit", d, err)
	}
	r.srv.Put("/known", faulty.Object{Body: page(1000)})
	r.badGet(Request{URL: "/known", Limit: 999}, millpond.BadUpstream, "more than 999 bytes")
	before := r.Stats().Bytes
	r.srv.Order("/bomb", "bomb 500000000")
	r.badGet(Request{URL: "/bomb", Limit: 1 << 30}, millpond.BadUpstream, "unpacks to more than 200 times its size")
	if got := r.Stats().Bytes - before; got > 1<<20 {
		t.Errorf("read %d bytes over the wire", got)
	}
	r.srv.Order("/br", "ok")
	r.srv.Put("/br", faulty.Object{Body: page(10), Header: http.Header{"Content-Encoding": {"br"}}})
	r.badGet(Request{URL: "/br"}, millpond.BadUpstream, `encoding "br"`)
	r.held()
}

func TestGetWithoutRoom(t *testing.T) {
	full := &millpond.Error{Kind: millpond.Full, Why: "no room"}
	r := newRig(t)
	r.store.full = func(int64) error { return full }
	text := page(3 << 20)
	r.srv.Put("/d", faulty.Object{Body: text})
	d, got, err := r.get(Request{URL: "/d"})
	if err != nil || !bytes.Equal(got, text) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	_, err = d.Keep(t.Context())
	wantError(t, err, millpond.Full, "no room")
	r.srv.Put("/n", faulty.Object{Body: noise(20 << 20)})
	r.badGet(Request{URL: "/n"}, millpond.Full, "no room")
}

func TestGetEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	r.srv.Put("/d", faulty.Object{Body: page(100)})
	gate := r.srv.Gate("/d", 50)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-gate.Reached
		cancel()
	}()
	_, err := r.up.Get(ctx, Request{URL: r.srv.URL + "/d"})
	wantError(t, err, millpond.Canceled, "")
	if s := r.up.State(); s.Failures != 0 || s.InFlight != 0 {
		t.Errorf("state %+v: a reader who leaves is no failure of the upstream", s)
	}
	gate.Open()
}

func TestF52Loop(t *testing.T) {
	r := newRig(t)
	r.srv.Put("/f", faulty.Object{Body: page(100)})
	r.srv.Order("/f", "loop")
	r.bad(r.file("/f", nil), millpond.BadUpstream, "up is this pond itself")
	ctx := WithVia(t.Context(), []string{"cdn.example", "millpond; id=pond-2"})
	b, err := r.up.Open(ctx, r.file("/f", nil))
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	if got, want := r.srv.Requests("/f")[1].Header.Get("Cdn-Loop"), "cdn.example, millpond; id=pond-2, millpond; id=pond-1"; got != want {
		t.Errorf("CDN-Loop %q, want %q", got, want)
	}
}

func TestCloseStopsDocuments(t *testing.T) {
	r := newRig(t)
	r.srv.Order("/d", "hang")
	failed := make(chan error)
	go func() {
		_, err := r.up.Get(context.Background(), Request{URL: r.srv.URL + "/d"})
		failed <- err
	}()
	for r.srv.Count("GET", "/d") == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Engine.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	wantError(t, <-failed, millpond.Offline, "this pond is stopping")
	_, err := r.up.Get(t.Context(), Request{URL: r.srv.URL + "/d"})
	wantError(t, err, millpond.Offline, "this pond is stopping")
}
