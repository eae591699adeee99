package formattest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/mem"
	"millpond/catalog/catalogtest"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/fetch/faulty"
	"millpond/policy"
	"millpond/repo"
)

// A House is a pond with one repository of the ecosystem, called "r", and its upstream, for tests of a format that go
// beyond the suite.
type House struct {
	T       testing.TB
	Up      *faulty.Server
	Pond    *repo.Pond
	Blobs   blob.Store
	Catalog *sql.Catalog
	URL     string      // of the pond, without a slash at its end
	Caller  repo.Caller // who asks, where a Client says nobody; the zero Caller is anonymous

	e     Ecosystem
	clock atomic.Int64 // unix nanoseconds
	blobs func(now func() time.Time) (blob.Store, error)
	dir   string // of the catalog
	fault *fault // nil if all writes succeed
	lost  bool   // the catalog was taken away
	// configs and settings are those in force.
	configs  []repo.Config
	settings repo.Settings
	callers  map[string]repo.Caller
	secrets  secrets
}

// secrets are kept in memory for as long as the House stands.
type secrets struct {
	mu  sync.Mutex // guards all
	all map[string][]byte
}

// Secret implements repo.Secrets.
func (s *secrets) Secret(_ context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.all[name]; ok {
		return b, nil
	}
	b, err := make()
	if err != nil {
		return nil, err
	}
	if s.all == nil {
		s.all = map[string][]byte{}
	}
	s.all[name] = b
	return b, nil
}

// LoseSecrets forgets every secret, as a pond that was restored without them has.
func (h *House) LoseSecrets() {
	h.secrets.mu.Lock()
	defer h.secrets.mu.Unlock()
	h.secrets.all = nil
}

// epoch is when the clock of every House begins; never changed.
var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// Epoch is when the clock of every House begins.
func Epoch() time.Time { return epoch }

// New opens a House with one upstream. Each change is applied to the repository's configuration before it is opened.
func New(t testing.TB, e Ecosystem, changes ...func(*repo.Config)) *House {
	t.Helper()
	store := mem.New()
	return newOn(t, e, func(now func() time.Time) (blob.Store, error) {
		if store.Now == nil {
			store.Now = now
		}
		return store, nil
	}, changes...)
}

var catalogs catalogtest.Template

// newOn is New on a store that is opened with the pond, and closed with it if it can be.
func newOn(t testing.TB, e Ecosystem, blobs func(now func() time.Time) (blob.Store, error), changes ...func(*repo.Config)) *House {
	t.Helper()
	e.defaults()
	h := &House{T: t, Up: faulty.New(t), blobs: blobs, e: e, dir: t.TempDir(), callers: callers(e)}
	h.clock.Store(epoch.UnixNano())
	catalogs.Lay(t, h.dir, func(dir string) error {
		c, err := sql.Open(t.Context(), dir, sql.Options{Now: h.Now})
		if err != nil {
			return err
		}
		return c.Close()
	})
	c := h.Config("r", h.Up)
	for _, change := range changes {
		change(&c)
	}
	h.settle(repo.Settings{}, c)
	return h
}

// Config is a repository that reads through to the upstreams, in order. They are called up, up2 and so on.
func (h *House) Config(name string, ups ...*faulty.Server) repo.Config {
	c := repo.Config{Name: name, Format: h.e.Format, Public: true, Options: h.e.Options}
	for i, up := range ups {
		u, err := url.Parse(up.URL + h.e.Root)
		if err != nil {
			h.T.Fatal(err)
		}
		name := "up"
		if i > 0 {
			name = fmt.Sprintf("up%d", i+1)
		}
		c.Upstreams = append(c.Upstreams, repo.Upstream{Settings: fetch.Settings{
			Name: name, URL: u,
		}})
	}
	return c
}

// Rules sets rules.
func Rules(t testing.TB, rules ...map[string]any) func(*repo.Config) {
	p, err := policy.Parse(rules)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *repo.Config) { c.Policy = p }
}

// settle opens the pond and serves it until the test ends.
func (h *House) settle(s repo.Settings, configs ...repo.Config) {
	h.settings, h.configs = s, configs
	h.open()
	server := httptest.NewServer(http.HandlerFunc(h.serve))
	server.Config.ErrorLog = nil
	h.URL = server.URL
	h.T.Cleanup(func() {
		server.Close()
		h.close()
	})
}

// open opens catalog and pond, over the bytes and records that there are.
func (h *House) open() {
	h.T.Helper()
	ctx := context.Background()
	var err error
	if h.Catalog, err = sql.Open(ctx, h.dir, sql.Options{Now: h.Now}); err != nil {
		h.T.Fatal(err)
	}
	if h.Blobs, err = h.blobs(h.Now); err != nil {
		h.T.Fatal(err)
	}
	engine := &fetch.Engine{Blobs: h.Blobs, Now: h.Now}
	parts := repo.Parts{Blobs: h.Blobs, Catalog: h.Catalog, Fetch: engine, Secrets: &h.secrets, Now: h.Now}
	if h.fault != nil {
		parts.Blobs, parts.Catalog = faultyBlobs{h.Blobs, h.fault}, faultyCatalog{h.Catalog, h.fault}
	}
	if h.Pond, err = repo.New(ctx, parts); err != nil {
		h.T.Fatal(err)
	}
	h.Configure(h.settings, h.configs...)
}

func (h *House) close() {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := h.Pond.Close(ctx); err != nil && !h.lost {
		h.T.Errorf("close the pond: %v", err)
	}
	if err := h.Catalog.Close(); err != nil && !h.lost {
		h.T.Errorf("close the catalog: %v", err)
	}
	if c, ok := h.Blobs.(io.Closer); ok {
		if err := c.Close(); err != nil {
			h.T.Errorf("close the store: %v", err)
		}
	}
}

// Restart closes the pond and opens it again: memory has nothing then.
func (h *House) Restart() {
	h.T.Helper()
	h.close()
	h.lost = false
	h.open()
}

// Configure replaces all repositories.
func (h *House) Configure(s repo.Settings, configs ...repo.Config) {
	h.T.Helper()
	h.settings, h.configs = s, configs
	if err := h.Pond.Configure(context.Background(), s, configs); err != nil {
		h.T.Fatal(err)
	}
}

// Now is the House's time.
func (h *House) Now() time.Time { return time.Unix(0, h.clock.Load()).UTC() }

// Pass moves the clock on.
func (h *House) Pass(d time.Duration) { h.clock.Add(int64(d)) }

// serve mounts the repositories and the formats' roots, as the server does.
func (h *House) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	for _, one := range h.Pond.Repositories() {
		name := one.Config().Name
		rest, ok := strings.CutPrefix(path, "/"+name)
		for _, root := range one.Config().Format.Info().Roots {
			if below, is := strings.CutPrefix(path, root+name); is {
				rest, ok = strings.TrimSuffix(root, "/")+below, true
			}
		}
		if !ok || !strings.HasPrefix(rest, "/") {
			continue
		}
		u := *r.URL
		u.Scheme, u.Host = "", "" // the pond's own, as the server knows: it is asked for nothing of others here
		u.RawPath = rest
		var err error
		if u.Path, err = url.PathUnescape(rest); err != nil {
			http.Error(w, "bad path", http.StatusBadRequest)
			return
		}
		trace := &repo.Trace{Anew: repo.Anew(r.Header)}
		inner := r.WithContext(repo.WithTrace(r.Context(), trace))
		inner.URL = &u
		caller := h.Caller
		if name := r.Header.Get(callerHeader); name != "" {
			caller = h.callers[name]
		}
		one.Config().Format.Handler(one.For(caller)).ServeHTTP(traced{w, trace}, inner)
		return
	}
	http.Error(w, "no such repository", http.StatusNotFound)
}

// traced shows the trace's result as a header, as the server does with Cache-Status.
type traced struct {
	http.ResponseWriter
	trace *repo.Trace
}

// Unwrap lets http.ResponseController reach the connection, as it does in the server.
func (w traced) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Result is the header that tells how an answer came to be.
const Result = "X-Result"

func (w traced) WriteHeader(status int) {
	w.Header().Set(Result, w.trace.Result)
	w.ResponseWriter.WriteHeader(status)
}

// A Reply is an answer, read whole.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
	Err    error // the body did not end cleanly, or there was no answer
}

// String is the reply as a failure message shows it.
func (r Reply) String() string {
	return fmt.Sprintf("%d (%s) %d bytes %.300q err %v", r.Status, r.Header.Get(Result), len(r.Body), r.Body, r.Err)
}

// Do sends a request for a path below the pond. It follows no redirect and unpacks nothing.
func (h *House) Do(method, path string, header http.Header) Reply {
	h.T.Helper()
	return h.send(method, path, header, nil)
}

func (h *House) send(method, path string, header http.Header, body []byte) Reply {
	h.T.Helper()
	req, err := http.NewRequest(method, h.URL, bytes.NewReader(body))
	if err != nil {
		h.T.Fatal(err)
	}
	req.URL.Opaque = "//" + req.URL.Host + path // sent as it is
	for k, vs := range header {
		req.Header[k] = vs
	}
	resp, err := client.Do(req)
	if err != nil {
		return Reply{Err: err}
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return Reply{resp.StatusCode, resp.Header, body, err}
}

// client behaves like a package client that does nothing by itself.
var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       time.Minute,
}

// Get is a GET of a path below the repository "r".
func (h *House) Get(path string) Reply { h.T.Helper(); return h.Do("GET", "/r"+path, nil) }

// Index gets the index of a package.
func (h *House) Index(pkg string) Reply {
	h.T.Helper()
	return h.Do("GET", "/r"+h.e.Index(pkg), h.e.Header)
}

// File gets a release's main file.
func (h *House) File(pkg string, r Release) Reply { h.T.Helper(); return h.Get(h.e.File(pkg, r)) }

// Good fails the test unless the reply is 200, whole, and (if want is not nil) these bytes.
func (h *House) Good(what string, r Reply, want []byte) Reply {
	h.T.Helper()
	if r.Err != nil || r.Status != http.StatusOK || want != nil && string(r.Body) != string(want) {
		h.T.Errorf("%s: got %s, want 200 and %d bytes", what, r, len(want))
	}
	return r
}

// Want fails the test unless the reply has that status.
func (h *House) Want(what string, r Reply, status int) Reply {
	h.T.Helper()
	if r.Status != status || r.Err != nil {
		h.T.Errorf("%s: got %s, want %d", what, r, status)
	}
	return r
}

// Shows fails the test unless the index lists, or does not list, a version.
func (h *House) Shows(what string, r Reply, version string, want bool) {
	h.T.Helper()
	if got := h.e.Lists(r.Body, version); got != want {
		h.T.Errorf("%s: index lists %s: %v, want %v; got %s", what, version, got, want, r)
	}
}

// Events are the verbs of all events so far.
func (h *House) Events() []string {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	var verbs []string
	for e, err := range h.Catalog.Events(ctx, 0) {
		if err != nil {
			break
		}
		verbs = append(verbs, e.Verb)
	}
	return verbs
}

// Idle waits until what the pond fetches ahead of its clients has come, or failed.
func (h *House) Idle() {
	h.T.Helper()
	if err := h.Pond.Idle(h.T.Context()); err != nil {
		h.T.Fatal(err)
	}
}

// Kept is how many blobs the store has, once the pond is idle.
func (h *House) Kept() int {
	h.Idle()
	n := 0
	for _, err := range h.Blobs.List(context.Background(), millpond.Digest{}) {
		if err != nil {
			h.T.Fatal(err)
		}
		n++
	}
	return n
}
