package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"millpond"
	"millpond/blob"
	"millpond/blob/mem"
)

// fullStore is a store that may have no room.
type fullStore struct {
	blob.Store
	full bool
}

func (s *fullStore) Create(ctx context.Context) (blob.Writer, error) {
	if s.full {
		return nil, &millpond.Error{Kind: millpond.Full, Why: "the disk is full"}
	}
	return s.Store.Create(ctx)
}

// TestCanary: a file goes out through the public URL, and what becomes of it there is said in words; nothing of it is left, and
// nobody's figures or log count it.
func TestCanary(t *testing.T) {
	store := &fullStore{Store: mem.New()}
	h := newHouseOn(t, store)
	addr, _ := serve(t, h.server, Listening{})
	pond, err := url.Parse("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	// through passes a request on to the pond, with its path changed, and its answer back, changed.
	through := func(path func(string) string, answer func(*http.Response) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			proxy := &httputil.ReverseProxy{FlushInterval: -1, ModifyResponse: answer, Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(pond)
				p.SetXForwarded()
				p.Out.URL.Path = path(p.In.URL.Path)
			}}
			proxy.ServeHTTP(w, r)
		}
	}
	asIs := func(p string) string { return p }
	whole := func(r *http.Response) error {
		b, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(b))
		return err
	}
	rows := []struct {
		name, path string
		front      http.HandlerFunc
		want       string // of /-/readyz?verbose
	}{
		{"passed on", "/", through(asIs, nil), "ok       canary     through public_url\n"},
		{"a path, cut off", "/tools/pond/", through(func(p string) string { return strings.TrimPrefix(p, "/tools/pond") }, nil), "ok       canary     through public_url\n"},
		{"a path, passed on", "/tools/pond", through(asIs, nil), "ok       canary     through public_url\n"},
		{"a path, added", "/", through(func(p string) string { return "/added" + p }, nil), "degraded canary     public_url leads here, but not to its path /:"},
		{"kept back until it is whole", "/", through(asIs, whole), "ok       canary     through public_url; the front server passes answers on when they are whole"},
		{"a page instead", "/", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, "<!doctype html><title>Welcome</title>"+strings.Repeat(" ", 100))
		}, `degraded canary     public_url answers something else: "text/html" "<!doctype html>`},
		{"a login", "/", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example/", http.StatusFound)
		}, `degraded canary     public_url answers something else: 302 Found, to "https://login.example/"`},
		{"nothing there", "/", http.NotFound, `degraded canary     public_url answers something else: 404 Not Found, "text/plain"`},
		{"other bytes", "/", through(asIs, func(r *http.Response) error {
			r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", 52)))
			return nil
		}), "degraded canary     public_url answers with other bytes than were sent"},
		{"more bytes", "/", through(asIs, func(r *http.Response) error {
			r.Body = io.NopCloser(io.MultiReader(r.Body, strings.NewReader("<!-- added -->")))
			return nil
		}), "degraded canary     public_url answers with other bytes than were sent"},
		{"another pond", "/", through(asIs, func(r *http.Response) error { r.Header.Set("Millpond-Instance", "pond-of-others"); return nil }), `degraded canary     public_url leads to another pond, "pond-of-others"`},
		{"cut", "/", through(asIs, func(r *http.Response) error {
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(io.LimitReader(r.Body, 30), broken{}), r.Body}
			return nil
		}), "degraded canary     public_url cuts answers short"},
	}
	read := func() string { return h.send("", "GET", "/-/readyz?verbose", nil).Body.String() }
	send := func(public string) string {
		t.Helper()
		u, err := url.Parse(public)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.server.Configure(Settings{PublicURL: u, Metrics: true}, nil); err != nil {
			t.Fatal(err)
		}
		h.server.sendCanary(t.Context())
		return read()
	}
	before := h.events()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			front := httptest.NewServer(row.front)
			defer front.Close()
			if got := send(front.URL + row.path); !strings.Contains(got, row.want) {
				t.Errorf("readyz?verbose = %q; want %q in it", got, row.want)
			}
		})
	}
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	if got, want := send(dead.URL), "degraded canary     public_url does not answer: "; !strings.Contains(got, want) {
		t.Errorf("nobody there: readyz?verbose = %q; want %q in it", got, want)
	}
	if m := get(t, h.server, "/-/metrics").Body.String(); !strings.Contains(m, "millpond_canary_ok 0\n") {
		t.Errorf("nobody there: the metrics do not say so:\n%s", ours(m))
	}
	store.full = true
	if got, want := send(pond.String()), "degraded canary     a file cannot be written: the disk is full"; !strings.Contains(got, want) {
		t.Errorf("a full disk: readyz?verbose = %q; want %q in it", got, want)
	}
	store.full = false
	send(pond.String())
	m := get(t, h.server, "/-/metrics").Body.String()
	for _, want := range []string{"millpond_canary_ok 1\n", "millpond_canary_buffered 0\n", `millpond_last_success_timestamp{job="canary"} 1`} {
		if !strings.Contains(m, want) {
			t.Errorf("the metrics lack %q:\n%s", want, ours(m))
		}
	}
	if h.events() != before {
		t.Errorf("%d events are new, want none", h.events()-before)
	}
	for d, err := range store.List(t.Context(), millpond.Digest{}) {
		t.Errorf("%v is left in the store, %v; want nothing", d, err)
	}
	if r := h.send("", "GET", "/-/canary/guessed", nil); r.Code != 404 {
		t.Errorf("a name that nobody was given = %d %s, want 404", r.Code, r.Body)
	}
	if err := h.server.Configure(Settings{}, nil); err != nil {
		t.Fatal(err)
	}
	h.server.sendCanary(t.Context())
	if got := read(); strings.Contains(got, "canary") {
		t.Errorf("without a public_url readyz?verbose = %q; want nothing of it", got)
	}
}

// broken cuts an answer short.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut") }

// TestCanaryIsNobodysRequest: it stands in no access log, and its request in no figure; the log tells once when it fails and once
// when it is well again.
func TestCanaryIsNobodysRequest(t *testing.T) {
	s, log := start(t, Settings{Metrics: true})
	s.parts.Pond = newHouse(t).pond
	s.instance = []string{s.parts.Pond.Instance()}
	var mu sync.Mutex
	ill := false
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if ill {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		s.ServeHTTP(w, r)
	}))
	defer front.Close()
	u, err := url.Parse(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Configure(Settings{PublicURL: u, Metrics: true}, nil); err != nil {
		t.Fatal(err)
	}
	for _, now := range []bool{false, false, true, true, false, false} {
		mu.Lock()
		ill = now
		mu.Unlock()
		s.sendCanary(t.Context())
	}
	front.Close()
	var lines []string
	for line := range strings.Lines(log.String()) {
		lines = append(lines, line)
	}
	if len(lines) != 2 || !strings.Contains(lines[0], "502 Bad Gateway") || !strings.Contains(lines[1], "again") {
		t.Errorf("the log is %q; want one line when it fails, and one when it is well again", lines)
	}
	if m := get(t, s, "/-/metrics").Body.String(); strings.Contains(m, "millpond_http_requests_total") {
		t.Errorf("its requests are counted:\n%s", ours(m))
	}
}

// TestCanaryTrustsThePond: a certificate of the pond's own authority, and one that nobody has signed, are those to be expected at
// its public URL.
func TestCanaryTrustsThePond(t *testing.T) {
	a, err := OpenAuthority(t.TempDir(), []string{"127.0.0.1"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	own, err := a.certificate()
	if err != nil {
		t.Fatal(err)
	}
	certs := &Certificates{}
	certs.Use(own)
	for name, of := range map[string]*tls.Config{"its authority's": a.Config(), "a file's": certs.Config()} {
		t.Run(name, func(t *testing.T) {
			s, _ := start(t, Settings{})
			s.parts.Pond = newHouse(t).pond
			s.instance = []string{s.parts.Pond.Instance()}
			if name == "its authority's" {
				s.parts.CA = a.PEM()
			}
			addr, _ := serve(t, s, Listening{TLS: of})
			if err := s.Configure(Settings{PublicURL: &url.URL{Scheme: "https", Host: addr}}, nil); err != nil {
				t.Fatal(err)
			}
			<-s.entrances.begun
			s.sendCanary(t.Context())
			if r := s.bird.Load(); r == nil || r.err != nil {
				t.Errorf("the canary = %+v; want it back", r)
			}
		})
	}
}
