package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/fetch"
	"millpond/format"
	"millpond/internal/http1"
	"millpond/repo"
)

// echo is a format whose handler answers with the request as it saw it.
type echo struct {
	name  string
	roots []string
	serve func(http.ResponseWriter, *http.Request)
}

func (e echo) Canon(name string) (string, error)  { return strings.ToLower(name), nil }
func (e echo) Compare(a, b string) int            { return strings.Compare(a, b) }
func (e echo) Match(spec, v string) (bool, error) { return spec == v, nil }
func (e echo) Source(format.Remote) format.Source { return format.NoSource{} }
func (e echo) Handler(format.Repo) http.Handler   { return http.HandlerFunc(e.answer) }
func (e echo) Info() format.Info {
	return format.Info{Name: e.name, Title: "Packages of " + e.name, PURL: e.name, Roots: e.roots, SetUp: func(base *url.URL) []format.Snippet {
		return []format.Snippet{{Client: e.name, Text: "use " + base.String()}}
	}}
}

func (e echo) answer(w http.ResponseWriter, r *http.Request) {
	if e.serve != nil {
		e.serve(w, r)
		return
	}
	fmt.Fprintf(w, "%s %s base=%s://%s", e.name, r.URL.EscapedPath(), repo.TraceOf(r.Context()).Scheme, r.Host)
}

// place is a repository of the format echo.
type place struct {
	config    repo.Config
	upstreams []fetch.State
	why       error
}

func (p *place) Config() repo.Config         { return p.config }
func (p *place) For(repo.Caller) format.Repo { return nil }
func (p *place) Upstreams() []fetch.State    { return p.upstreams }
func (p *place) Why(_ context.Context, pkg, version string) (*repo.Explanation, error) {
	return &repo.Explanation{Repository: p.config.Name, Package: pkg, Version: version, Words: "served"}, p.why
}

// water is a pond with figures that a test chooses.
type water struct {
	Hosting // of a pond that hosts nothing: no test asks it
	stats   repo.Stats
	err     error
	stuck   error
}

func (w *water) Instance() string                          { return "pond-1234" }
func (w *water) Stats(context.Context) (repo.Stats, error) { return w.stats, w.err }
func (w *water) Stuck(time.Time, time.Duration) error      { return w.stuck }
func (w *water) Canary(context.Context, []byte) (*repo.Canary, error) {
	return nil, errors.New("there is no disk")
}
func (w *water) Check(context.Context, repo.CheckOptions) (*repo.Report, error) {
	return &repo.Report{Blobs: 3}, nil
}

func public(name string, f echo) *place {
	return &place{config: repo.Config{Name: name, Format: f, Public: true}}
}

// start makes a server that is ready, and returns it with what it logs.
func start(t *testing.T, settings Settings, places ...*place) (*Server, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	s := New(Parts{Pond: &water{}, Version: "test", Access: slog.NewJSONHandler(log, nil), Log: slog.New(slog.NewJSONHandler(log, nil))})
	var list []Repository
	for _, p := range places {
		list = append(list, p)
	}
	if err := s.Configure(settings, list); err != nil {
		t.Fatalf("Configure: %v", err)
	}
	s.SetReady("")
	return s, log
}

func get(t *testing.T, s http.Handler, target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", "http://127.0.0.1:8080/", nil)
	path, query, _ := strings.Cut(target, "?")
	raw, err := url.PathUnescape(path)
	if err != nil {
		t.Fatalf("path %q: %v", path, err)
	}
	r.URL = &url.URL{Path: raw, RawPath: path, RawQuery: query}
	r.RemoteAddr = "127.0.0.1:5000"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}
func host(h string) func(*http.Request)   { return func(r *http.Request) { r.Host = h } }
func from(a string) func(*http.Request)   { return func(r *http.Request) { r.RemoteAddr = a } }
func method(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }

func TestPathsReachTheirRepositoryUncleaned(t *testing.T) {
	public1 := &url.URL{Scheme: "https", Host: "pond.example", Path: "/pond/"}
	s, _ := start(t, Settings{PublicURL: public1},
		public("alpha", echo{name: "one", roots: []string{"/packages/"}}), public("beta", echo{name: "two"}), public("gamma", echo{name: "one", roots: []string{"/packages/"}}))
	for _, c := range []struct {
		name, path string
		status     int
		want       string // within the body
	}{
		{"below a mount", "/alpha/simple/x/", 200, "one /simple/x/ "},
		{"the mount itself", "/alpha/", 200, "one / "},
		{"escaped slash is kept", "/beta/@s%2fname", 200, "two /@s%2fname "},
		{"dots are kept", "/beta/./a/../b", 200, "two /./a/../b "},
		{"escaped dots are kept", "/beta/a/%2e%2e/b", 200, "two /a/%2e%2e/b "},
		{"double slash is kept", "/beta//a", 200, "two //a "},
		{"escaped traversal stays in its mount", "/beta/..%2fsecret", 200, "two /..%2fsecret "},
		{"NUL is the format's to refuse", "/beta/a%00b", 200, "two /a%00b "},
		{"root of a protocol", "/packages/alpha/x/y.whl", 200, "one /packages/x/y.whl "},
		{"root of a protocol, other repository", "/packages/gamma/x%2fy", 200, "one /packages/x%2fy "},
		{"root of a protocol, no such repository", "/packages/beta/x", 404, `no repository "beta"`},
		{"root of a protocol alone", "/packages/", 404, "no repository"},
		{"front server leaves its path", "/pond/alpha/simple/", 200, "one /simple/ "},
		{"front server leaves its path, at a root", "/pond/packages/alpha/z", 200, "one /packages/z "},
		{"front server leaves its path, own route", "/pond/-/livez", 200, "ok"},
		{"unknown repository names the others", "/delta/x", 404, "repositories of this pond: alpha, beta, gamma"},
		{"another spelling of a mount is no mount", "/%61lpha/x", 404, "no repository"},
		{"another case of a mount is no mount", "/Alpha/x", 404, "no repository"},
		{"reserved word", "/v2/", 404, `no repository "v2"`},
		{"unknown own route", "/-/nothing", 404, "no repository"},
		{"own route by another spelling", "/%2d/livez", 404, "no repository"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := get(t, s, c.path, header("Cdn-Loop", "another"))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("GET %s = %d %q, want %d with %q", c.path, w.Code, w.Body, c.status, c.want)
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Millpond-Instance") != "pond-1234" || w.Header().Get("X-Request-Id") == "" {
				t.Errorf("GET %s: header %v lacks nosniff, instance or id", c.path, w.Header())
			}
		})
	}
}

func TestMountWithoutSlashRedirects(t *testing.T) {
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one"}))
	w := get(t, s, "/alpha?x=1")
	if w.Code != 301 || w.Header().Get("Location") != "alpha/?x=1" {
		t.Errorf("GET /alpha?x=1 = %d to %q, want 301 to alpha/?x=1", w.Code, w.Header().Get("Location"))
	}
	w = get(t, s, "/alpha", method("POST"))
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), "one / ") {
		t.Errorf("POST /alpha = %d %q, want the handler's answer at its root", w.Code, w.Body)
	}
}

func TestRepositoryNamesThatCannotBe(t *testing.T) {
	for _, name := range []string{"-", "_", "v2", ".well-known", "", "a/b", "a b", "..", "packages"} {
		s := New(Parts{Pond: &water{}})
		err := s.Configure(Settings{}, []Repository{public("ok", echo{name: "one", roots: []string{"/packages/"}}), public(name, echo{name: "one"})})
		if !millpond.Is(err, millpond.Invalid) {
			t.Errorf("Configure with a repository %q: %v, want Invalid", name, err)
		}
		if w := get(t, s, "/ok/"); w.Code != 404 {
			t.Errorf("after a failed Configure with %q, GET /ok/ = %d, want 404: nothing may have changed", name, w.Code)
		}
	}
	s := New(Parts{Pond: &water{}})
	if err := s.Configure(Settings{}, []Repository{public("a", echo{}), public("a", echo{})}); !millpond.Is(err, millpond.Invalid) {
		t.Errorf("two repositories of one name: %v, want Invalid", err)
	}
}

func TestUnreadableRepositoryAnswersAsAnAbsentOne(t *testing.T) {
	secret := public("secret", echo{name: "one", roots: []string{"/packages/"}})
	secret.config.Public = false
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", roots: []string{"/packages/"}}), secret)
	for _, pair := range [][2]string{{"/secret/x", "/absent/x"}, {"/packages/secret/x", "/packages/absent/x"}, {"/secret", "/absent"}} {
		there, absent := get(t, s, pair[0]), get(t, s, pair[1])
		gotBody := strings.ReplaceAll(there.Body.String(), "secret", "absent")
		if there.Code != 401 || absent.Code != 401 || gotBody != absent.Body.String() {
			t.Errorf("GET %s = %d %q, GET %s = %d %q; want the same 401", pair[0], there.Code, there.Body, pair[1], absent.Code, absent.Body)
		}
		if there.Header().Get("Www-Authenticate") == "" {
			t.Errorf("GET %s: 401 without a challenge", pair[0])
		}
	}
	if body := get(t, s, "/").Body.String(); strings.Contains(body, "secret") {
		t.Errorf("the landing page names a repository that its reader may not read:\n%s", body)
	}
	if w := get(t, s, "/-/api/stats", from("192.0.2.1:4000")); w.Code != 403 {
		t.Errorf("GET /-/api/stats from elsewhere with a private repository = %d, want 403", w.Code)
	}
	if w := get(t, s, "/-/readyz?verbose", from("192.0.2.1:4000")); strings.Contains(w.Body.String(), "secret") {
		t.Errorf("/-/readyz?verbose names a private repository: %q", w.Body)
	}
}

func TestForeignHostIsRefusedOnLoopback(t *testing.T) {
	s, _ := start(t, Settings{Loopback: true, PublicURL: &url.URL{Scheme: "http", Host: "pond.example:8080", Path: "/"}}, public("alpha", echo{name: "one"}))
	for _, c := range []struct {
		host   string
		status int
	}{
		{"127.0.0.1:8080", 200}, {"localhost", 200}, {"LOCALHOST.:8080", 200}, {"[::1]:8080", 200}, {"127.9.9.9", 200}, {"[::ffff:127.0.0.1]:80", 200},
		{"pond.example", 200}, {"pond.example:9999", 200},
		{"evil.example", 400}, {"127.0.0.1.evil.example", 400}, {"localhost.evil.example", 400}, {"192.0.2.1", 400}, {"", 400}, {"0.0.0.0", 400}, {"evil.example:127", 400},
	} {
		for _, path := range []string{"/alpha/x", "/", "/-/livez", "/-/api/stats"} {
			if w := get(t, s, path, host(c.host)); w.Code != c.status {
				t.Errorf("GET %s with Host %q = %d %q, want %d", path, c.host, w.Code, w.Body, c.status)
			}
		}
	}
	open, _ := start(t, Settings{}, public("alpha", echo{name: "one"}))
	if w := get(t, open, "/alpha/x", host("any.example")); w.Code != 200 {
		t.Errorf("a server that listens to the network refused Host any.example: %d", w.Code)
	}
}

func TestForwardedCountsFromTrustedFrontsOnly(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	s, log := start(t, Settings{Trusted: trusted}, public("alpha", echo{name: "one"}))
	for _, c := range []struct {
		name, remote string
		header       [][2]string
		base, client string
	}{
		{"not trusted", "192.0.2.7:1", [][2]string{{"X-Forwarded-Host", "evil.example"}, {"X-Forwarded-Proto", "https"}, {"X-Forwarded-For", "1.2.3.4"}}, "http://127.0.0.1:8080", "192.0.2.7"},
		{"trusted", "10.0.0.1:1", [][2]string{{"X-Forwarded-Host", "pond.example"}, {"X-Forwarded-Proto", "https"}, {"X-Forwarded-For", "198.51.100.9"}}, "https://pond.example", "198.51.100.9"},
		{"rightmost hop that is not trusted", "10.0.0.1:1", [][2]string{{"X-Forwarded-For", "6.6.6.6, 198.51.100.9, 10.1.1.1"}}, "http://127.0.0.1:8080", "198.51.100.9"},
		{"several fields", "10.0.0.1:1", [][2]string{{"X-Forwarded-For", "6.6.6.6"}, {"X-Forwarded-For", "198.51.100.9"}, {"X-Forwarded-Host", "evil.example"}, {"X-Forwarded-Host", "pond.example"}}, "http://pond.example", "198.51.100.9"},
		{"nonsense", "10.0.0.1:1", [][2]string{{"X-Forwarded-For", "<script>"}, {"X-Forwarded-Proto", "javascript"}}, "http://127.0.0.1:8080", "10.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log.Reset()
			change := []func(*http.Request){from(c.remote)}
			for _, h := range c.header {
				change = append(change, header(h[0], h[1]))
			}
			w := get(t, s, "/alpha/x", change...)
			if !strings.HasSuffix(w.Body.String(), "base="+c.base) {
				t.Errorf("the handler saw %q, want base=%s", w.Body, c.base)
			}
			var line struct{ Client string }
			if err := json.Unmarshal(log.Bytes(), &line); err != nil || line.Client != c.client {
				t.Errorf("logged client %q (%v), want %q", line.Client, err, c.client)
			}
		})
	}
	if w := get(t, s, "/alpha/x", from("10.0.0.1:1"), header("X-Forwarded-Host", "a/b")); w.Code != 400 {
		t.Errorf("X-Forwarded-Host with a slash = %d, want 400", w.Code)
	}
}

func TestOperatorsRoutesWantThePondsOwnMachine(t *testing.T) {
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one"}))
	post := method("POST")
	for _, c := range []struct {
		name   string
		path   string
		change []func(*http.Request)
		status int
	}{
		{"check from here", "/-/api/check", []func(*http.Request){post}, 200},
		{"check from here by its name", "/-/api/check", []func(*http.Request){post, host("localhost:8080")}, 200},
		{"check by a name that somebody leads here", "/-/api/check", []func(*http.Request){post, host("evil.example")}, 403},
		{"check from elsewhere", "/-/api/check", []func(*http.Request){post, from("192.0.2.1:1")}, 403},
		{"check through a front server here", "/-/api/check", []func(*http.Request){post, header("X-Forwarded-For", "192.0.2.1")}, 403},
		{"check from a page of another origin", "/-/api/check", []func(*http.Request){post, header("Sec-Fetch-Site", "cross-site")}, 403},
		{"check by GET", "/-/api/check", nil, 405},
		{"metrics where they are off", "/-/metrics", nil, 404},
		{"stats from elsewhere, all public", "/-/api/stats", []func(*http.Request){from("192.0.2.1:1")}, 200},
		{"health from elsewhere", "/-/livez", []func(*http.Request){from("192.0.2.1:1")}, 200},
	} {
		if w := get(t, s, c.path, c.change...); w.Code != c.status {
			t.Errorf("%s: %d %q, want %d", c.name, w.Code, w.Body, c.status)
		}
	}
	secret := public("secret", echo{name: "one"})
	secret.config.Public = false
	for _, c := range []struct {
		name   string
		place  *place
		from   string
		status int
	}{
		{"all public, from elsewhere", public("open", echo{name: "one"}), "192.0.2.1:1", 200},
		{"something private, from elsewhere", secret, "192.0.2.1:1", 403},
		{"something private, from here", secret, "127.0.0.1:1", 200},
	} {
		s, _ := start(t, Settings{Metrics: true}, c.place)
		if w := get(t, s, "/-/metrics", from(c.from)); w.Code != c.status {
			t.Errorf("metrics, %s: %d, want %d", c.name, w.Code, c.status)
		}
	}
}

func TestLoopIsCut(t *testing.T) {
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one"}))
	w := get(t, s, "/alpha/x", header("CDN-Loop", "other; v=1, millpond-pond-1234"))
	if w.Code != 503 || !strings.Contains(w.Body.String(), "through this pond before") || w.Header().Get("Retry-After") == "" {
		t.Errorf("looped request = %d %q, want 503 with the words and Retry-After", w.Code, w.Body)
	}
	var via []string
	s, _ = start(t, Settings{}, public("alpha", echo{name: "one", serve: func(_ http.ResponseWriter, r *http.Request) { via = fetch.Via(r.Context()) }}))
	if w := get(t, s, "/alpha/x", header("CDN-Loop", "other")); w.Code != 200 || fmt.Sprint(via) != "[other]" {
		t.Errorf("request that went through another cache = %d, its fetches tell upstreams of %q; want 200 and [other]", w.Code, via)
	}
}

func TestCacheStatus(t *testing.T) {
	for _, c := range []struct {
		name      string
		trace     repo.Trace
		want, age string
	}{
		{"refused", repo.Trace{Result: "miss"}, "millpond; fwd=miss", ""},
		{"held", repo.Trace{Result: "hit"}, "millpond; hit", ""},
		{"derived", repo.Trace{Result: "derived"}, "millpond; hit", ""},
		{"fetched", repo.Trace{Result: "miss"}, "millpond; fwd=miss; stored", ""},
		{"followed", repo.Trace{Result: "coalesced"}, "millpond; fwd=miss; stored; collapsed", ""},
		{"not kept", repo.Trace{Result: "unstored"}, "millpond; fwd=miss", ""},
		{"stale, upstream answered", repo.Trace{Result: "stale", Status: 500, Checked: time.Now().Add(-412 * time.Second)}, "millpond; fwd=stale; fwd-status=500", "412"},
		{"stale, upstream silent", repo.Trace{Result: "stale", Upstream: time.Second, Checked: time.Now().Add(-412 * time.Second)}, "millpond; fwd=stale", "412"},
		{"stale, nobody asked", repo.Trace{Result: "stale", Checked: time.Now().Add(-412 * time.Second)}, "millpond; hit; ttl=-412", "412"},
		{"no records", repo.Trace{}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
				*repo.TraceOf(r.Context()) = c.trace
				if c.name == "refused" {
					w.WriteHeader(http.StatusBadGateway)
				}
				io.WriteString(w, "x")
			}}))
			h := get(t, s, "/alpha/x").Header()
			if h.Get("Cache-Status") != c.want || h.Get("Age") != c.age {
				t.Errorf("trace %+v: Cache-Status %q, Age %q; want %q, %q", c.trace, h.Get("Cache-Status"), h.Get("Age"), c.want, c.age)
			}
			if got := h.Get("Warning"); (got != "") != (c.age != "") || c.age != "" && !strings.HasPrefix(got, `299 - "kept from 412 seconds ago: its upstream `) {
				t.Errorf("trace %+v: Warning %q", c.trace, got)
			}
		})
	}
}

func TestPackagesAreInertInABrowser(t *testing.T) {
	const policy = "sandbox; default-src 'none'"
	for kind, want := range map[string]string{
		"image/svg+xml": policy, "text/html": policy, "text/html; charset=utf-8": policy, "application/xhtml+xml": policy,
		"text/xml": policy, "application/xml": policy, "application/pdf": policy, "multipart/related": policy, "": policy,
		"text/plain; charset=utf-8, text/html": policy, "TEXT/PLAIN": policy, "made/up": policy,
		"application/json": "", "application/octet-stream": "", "text/plain; charset=utf-8": "", // where nothing runs
	} {
		s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = nil
			if kind != "" {
				w.Header().Set("Content-Type", kind)
			}
			io.WriteString(w, "<svg><script>alert(1)</script></svg>")
		}}))
		h := get(t, s, "/alpha/x.svg").Header()
		if got := h.Get("Content-Security-Policy"); got != want || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("a package's %q has the policy %q, want %q, and may not be guessed: %q", kind, got, want, h.Get("X-Content-Type-Options"))
		}
	}
}

// TestSmallAnswersHaveTheirLength, whoever says it: over HTTP/1.1 and 2, from memory and from a file; and one that is shorter
// than was said never ends cleanly.
func TestSmallAnswersHaveTheirLength(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(path.Base(r.URL.Path), 10, 64)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		w.Header().Set("Content-Type", "text/plain")
		switch path.Dir(r.URL.Path) {
		case "/short":
			n--
			fallthrough
		case "/memory":
			w.Write(bytes.Repeat([]byte("x"), int(n)))
		case "/file":
			f, err := os.Open(file)
			if err != nil {
				t.Error(err)
			}
			defer f.Close()
			io.CopyN(w, f, n)
		}
	}}))
	web := httptest.NewUnstartedServer(s)
	web.EnableHTTP2 = true
	web.StartTLS()
	defer web.Close()
	plain := httptest.NewServer(s)
	defer plain.Close()
	l := listen(t)
	own := http1.New(&http.Server{Handler: s})
	go own.Serve(l)
	defer own.Close()
	for _, at := range []struct {
		URL  string
		from *http.Client
	}{{plain.URL, plain.Client()}, {web.URL, web.Client()}, {"http://" + l.Addr().String(), plain.Client()}} {
		for _, n := range []int64{1, 2047, 2048, 2049, 4097} {
			for _, from := range []string{"memory", "file"} {
				for _, method := range []string{"GET", "HEAD"} {
					req, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("%s/alpha/%s/%d", at.URL, from, n), nil)
					if err != nil {
						t.Fatal(err)
					}
					resp, err := at.from.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || resp.ContentLength != n || method == "GET" && int64(len(body)) != n || len(resp.TransferEncoding) > 0 {
						t.Errorf("%s %s: %s %v, length %d and %d bytes, %v, want %d", method, req.URL, resp.Proto, resp.TransferEncoding, resp.ContentLength, len(body), err, n)
					}
				}
			}
			resp, err := at.from.Get(fmt.Sprintf("%s/alpha/short/%d", at.URL, n))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err == nil {
				t.Errorf("%s: an answer of %d bytes of which one is missing ended cleanly", at.URL, n)
			}
		}
	}
}

func TestPanicIsAnsweredAndLogged(t *testing.T) {
	s, log := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		panic("secret words")
	}}))
	w := get(t, s, "/alpha/x")
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("panic = %d %q, want 500 without its words", w.Code, w.Body)
	}
	if id := w.Header().Get("X-Request-Id"); !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "secret words") || !strings.Contains(log.String(), "server_test.go") {
		t.Errorf("the log has not the id %s, the words and the stack:\n%s", id, log)
	}
}

func TestCutAnswerIsCutAndLogged(t *testing.T) {
	s, log := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		format.Report(w, &millpond.Error{Kind: millpond.Corrupt, Why: "other bytes"})
		panic(http.ErrAbortHandler)
	}}))
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("panic %v came out of the server, want http.ErrAbortHandler", p)
			}
		}()
		get(t, s, "/alpha/x")
	}()
	for _, want := range []string{`"cut":true`, `"kind":"corrupt"`, `"error":"other bytes"`, `"bytes":4`, `"status":200`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log line %s lacks %s", log, want)
		}
	}
}

func TestAccessLineTellsAndEscapes(t *testing.T) {
	s, log := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		tr := repo.TraceOf(r.Context())
		tr.Package, tr.Version, tr.File, tr.Layer, tr.Result, tr.Verdict = "p", "1", "f", "up", "miss", "hold"
		tr.Upstream = 12 * time.Millisecond
		w.Write(make([]byte, 10))
	}}))
	get(t, s, "/alpha/-/user/token/mp_84gnlvxpflnd_oEr4RKOoPWgmTRAUpckra6qxpBFT9sMaj8MdZAaTM9s4DkgiE/x")
	if !strings.Contains(log.String(), `"path":"/alpha/-/user/token/mp_84gnlvxpflnd_…/x"`) {
		t.Errorf("log %q: want the token's id, and not its secret", log)
	}
	log.Reset()
	get(t, s, "/alpha/a%0ab%1b[31m?token=secret", header("User-Agent", "pip\x1b[2J"), header("Traceparent", "00-abc"))
	if bytes.Count(log.Bytes(), []byte("\n")) != 1 || bytes.ContainsAny(log.Bytes(), "\x1b\r") || strings.Contains(log.String(), "secret") {
		t.Errorf("log %q: want one line, no escape, no query", log)
	}
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("line %s: %v", log, err)
	}
	want := map[string]any{"msg": "request", "client": "127.0.0.1", "method": "GET", "path": "/alpha/a%0ab%1b[31m", "format": "one", "repository": "alpha",
		"package": "p", "version": "1", "file": "f", "layer": "up", "result": "miss", "verdict": "hold", "upstream_ms": 12.0, "status": 200.0, "bytes": 10.0, "traceparent": "00-abc"}
	for k, v := range want {
		if line[k] != v {
			t.Errorf("log line: %s = %v, want %v\n%s", k, line[k], v, log)
		}
	}
}

func TestReadiness(t *testing.T) {
	w := &water{}
	s := New(Parts{Pond: w})
	if err := s.Configure(Settings{}, []Repository{&place{config: repo.Config{Name: "a", Format: echo{name: "one"}, Public: true},
		upstreams: []fetch.State{{Name: "up", Open: true, Why: "refused"}, {Name: "bad", Alarm: "credentials of bad refused"}}}}); err != nil {
		t.Fatal(err)
	}
	check := func(name string, status int, words ...string) {
		t.Helper()
		s.figures.Store(nil)
		r := get(t, s, "/-/readyz?verbose")
		if r.Code != status {
			t.Errorf("%s: /-/readyz = %d %q, want %d", name, r.Code, r.Body, status)
		}
		for _, word := range words {
			if !strings.Contains(r.Body.String(), word) {
				t.Errorf("%s: /-/readyz?verbose = %q, want %q in it", name, r.Body, word)
			}
		}
		if r := get(t, s, "/-/livez"); r.Code != 200 {
			t.Errorf("%s: /-/livez = %d, want 200 whatever else", name, r.Code)
		}
	}
	check("starting", 503, "not ready: starting")
	s.SetReady("")
	check("upstreams ill", 200, "ready\n", "upstream a/up", "refused", "credentials of bad refused")
	w.stats.Low = true
	check("disk low", 200, "degraded store", "the disk is low")
	w.stats.Stopped = "fsync failed"
	check("writes stopped", 200, "writes have stopped: fsync failed")
	w.err = errors.New("catalog is gone")
	check("records gone", 503, "records cannot be read")
	w.err = nil
	s.SetReady("stopping")
	check("stopping", 503, "not ready: stopping")
}

func TestMetrics(t *testing.T) {
	s, _ := start(t, Settings{Metrics: true}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		tr := repo.TraceOf(r.Context())
		tr.Result = strings.TrimPrefix(r.URL.Path, "/")
		if tr.Result == "blocked" {
			w.WriteHeader(403)
			return
		}
		w.Write(make([]byte, 100))
	}}))
	s.parts.Pond.(*water).stats = repo.Stats{Free: 7, Low: true, Layers: map[string]int64{"alpha/up": 5}, Fetch: fetch.Stats{Bytes: 11, Corrupt: 2, Followers: 3},
		Writing: catalog.Writing{Waiting: 4, Log: 4096, Count: 5, Took: 2 * time.Second, Commits: []catalog.CommitTime{{Most: time.Millisecond, Count: 3}, {Most: time.Second, Count: 5}}},
		Seq:     77, Evicted: 6, Freed: 600, Orphans: 12, Leaks: 1, Holds: map[string]int{"one": 8}, Done: map[string]time.Time{"sweep": time.Unix(1_700_000_000, 0)}}
	s.parts.Jobs = func() map[string]time.Time { return map[string]time.Time{"backup": time.Unix(1_800_000_000, 0)} }
	s.table.Load().order[0].repository.(*place).upstreams = []fetch.State{{Name: "up", Open: true, Requests: 9, Failures: 4, Limit: 100, Left: 0}, {Name: "other"}}
	for _, result := range []string{"hit", "hit", "miss", "blocked", "stale"} {
		get(t, s, "/alpha/"+result)
	}
	get(t, s, "/alpha/hit", method("BREW"))
	body := get(t, s, "/-/metrics").Body.String()
	if strings.Contains(body, `ratelimit{upstream="alpha/other"}`) {
		t.Error("an upstream that says nothing of a limit has one")
	}
	for _, want := range []string{
		`millpond_http_requests_total{format="one",status="200",verb="GET"} 4`,
		`millpond_http_requests_total{format="one",status="403",verb="GET"} 1`,
		`millpond_http_requests_total{format="one",status="200",verb="other"} 1`,
		`millpond_cache_requests_total{format="one",result="hit"} 3`,
		`millpond_cache_requests_total{format="one",result="miss"} 1`,
		`millpond_ttfb_seconds_count{result="hit"} 3`,
		`millpond_http_request_seconds_count{format="one"} 6`,
		`millpond_served_bytes_total 500`,
		`millpond_saved_bytes_total 400`,
		`millpond_saved_requests_total 4`,
		`millpond_disk_free_bytes 7`, `millpond_disk_low 1`, `millpond_held_bytes{layer="alpha/up"} 5`,
		`millpond_fetched_bytes_total 11`, `millpond_corrupt_total 2`, `millpond_followers 3`,
		`millpond_upstream_state{upstream="alpha/up"} 1`,
		`millpond_upstream_requests_total{status="failed",upstream="alpha/up"} 4`,
		`millpond_upstream_requests_total{status="ok",upstream="alpha/up"} 5`,
		`millpond_commit_seconds_bucket{le="0.001"} 3`, `millpond_commit_seconds_bucket{le="+Inf"} 5`, `millpond_commit_seconds_count 5`, `millpond_commit_seconds_sum 2`,
		`millpond_write_queue 4`, `millpond_wal_bytes 4096`, `millpond_event_seq 77`, `millpond_evicted_total 6`, `millpond_evicted_bytes_total 600`, `millpond_orphan_bytes 12`,
		`millpond_upstream_url_leaks_total 1`, `millpond_holds{format="one"} 8`,
		`millpond_last_success_timestamp{job="sweep"} 1.7e+09`, `millpond_last_success_timestamp{job="backup"} 1.8e+09`,
		`millpond_upstream_ratelimit{upstream="alpha/up"} 100`, `millpond_upstream_ratelimit_remaining{upstream="alpha/up"} 0`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("metrics lack %s\n%s", want, ours(body))
		}
	}
}

func ours(metrics string) string {
	var b strings.Builder
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "millpond_") && !strings.Contains(line, "_bucket") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestLandingPage(t *testing.T) {
	up, _ := url.Parse("https://ci:hunter2@upstream.example/simple/?key=hunter2")
	p := public("alpha", echo{name: "one"})
	p.config.Claims = []string{"acme-*"}
	p.config.Upstreams = []repo.Upstream{{Settings: fetch.Settings{Name: "<script>up", URL: up}}, {Sibling: "beta"}}
	p.upstreams = []fetch.State{{Name: "<script>up", Open: true, Why: "answered 500"}}
	s, _ := start(t, Settings{PublicURL: &url.URL{Scheme: "https", Host: "pond.example", Path: "/pond"}}, p, public("beta", echo{name: "one"}))
	w := get(t, s, "/")
	body := w.Body.String()
	for _, want := range []string{"alpha", "Packages of one", "use https://pond.example/pond/alpha/", "https://upstream.example/simple/", "answered 500", "acme-*", "&lt;script&gt;up", "another repository of this pond"} {
		if !strings.Contains(body, want) {
			t.Errorf("the landing page lacks %q:\n%s", want, body)
		}
	}
	for _, not := range []string{"hunter2", "<script>up", " style=", "onclick"} {
		if strings.Contains(body, not) {
			t.Errorf("the landing page has %q:\n%s", not, body)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("Content-Security-Policy of the landing page: %q", csp)
	}
	for name, kind := range map[string]string{"style.css": "text/css", "copy.js": "text/javascript", "pond.svg": "image/svg"} {
		w := get(t, s, "/-/ui/"+name)
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || w.Body.Len() == 0 {
			t.Errorf("GET /-/ui/%s = %d %s, %d bytes", name, w.Code, w.Header().Get("Content-Type"), w.Body.Len())
		}
	}
	for _, bad := range []string{"/-/ui/", "/-/ui/..%2fui.go", "/-/ui/nothing.css", "/-/ui/page.html"} {
		if w := get(t, s, bad); w.Code != 404 {
			t.Errorf("GET %s = %d, want 404", bad, w.Code)
		}
	}
}

func TestWhy(t *testing.T) {
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one"}), public("gamma", echo{name: "one"}))
	for _, c := range []struct {
		query  string
		status int
		want   []string // repository package version
	}{
		{"in=alpha&package=Requests&version=1.0", 200, []string{"alpha requests 1.0"}},
		{"in=one&package=x", 200, []string{"alpha x ", "gamma x "}},
		{"purl=" + url.QueryEscape("pkg:one/%40acme/widget@1.0.0?arch=x#sub"), 200, []string{"alpha @acme/widget 1.0.0", "gamma @acme/widget 1.0.0"}},
		{"purl=pkg:one", 400, nil},
		{"in=alpha", 400, nil},
		{"in=nothing&package=x", 404, nil},
	} {
		w := get(t, s, "/-/api/why?"+c.query)
		var a Answer
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Errorf("%s: %v in %q", c.query, err, w.Body)
			continue
		}
		var got []string
		for _, e := range a.Why {
			got = append(got, e.Repository+" "+e.Package+" "+e.Version)
		}
		if w.Code != c.status || fmt.Sprint(got) != fmt.Sprint(c.want) || (c.status != 200) != (a.Error != "") {
			t.Errorf("%s: %d %q (error %q), want %d %q", c.query, w.Code, got, a.Error, c.status, c.want)
		}
	}
}

func TestBodyIsBounded(t *testing.T) {
	s, _ := start(t, Settings{MaxBody: 10}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %v", len(b), err)
	}}))
	post := func(n int) string {
		return get(t, s, "/alpha/x", method("POST"), func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", n))) }).Body.String()
	}
	if got := post(10); got != "10 <nil>" {
		t.Errorf("a body of 10: %q, want it whole", got)
	}
	if got := post(11); !strings.Contains(got, "too large") {
		t.Errorf("a body of 11 with a limit of 10: %q, want it refused", got)
	}
}

func FuzzPaths(f *testing.F) {
	for _, seed := range []string{"/", "/alpha/", "/alpha", "//", "/packages/alpha", "/packages/alpha/%2e%2e/x", "/-/ui/..%2f", "/alpha/\x00", "/pond/alpha/x", "*", ""} {
		f.Add(seed)
	}
	s := New(Parts{Pond: &water{}})
	if err := s.Configure(Settings{PublicURL: &url.URL{Scheme: "http", Host: "h", Path: "/pond"}}, []Repository{public("alpha", echo{name: "one", roots: []string{"/packages/"}})}); err != nil {
		f.Fatal(err)
	}
	t := s.table.Load()
	f.Fuzz(func(tt *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		to, err := t.resolve("GET", u, &repo.Caller{})
		if err != nil || to.mount == nil {
			return
		}
		// What the handler sees is the end of what the client sent.
		inner := url.URL{Path: to.path, RawPath: to.rawPath}
		if got := inner.EscapedPath(); to.redirect == "" && !strings.HasSuffix(u.EscapedPath(), strings.TrimPrefix(got, "/packages")) {
			tt.Errorf("%q: the handler sees %q, which is not the end of %q", target, got, u.EscapedPath())
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	lines := NewLines(io.Discard)
	body := []byte("hello")
	for _, access := range []slog.Handler{nil, slog.NewJSONHandler(lines, nil)} {
		b.Run(fmt.Sprintf("log=%t", access != nil), func(b *testing.B) {
			s := New(Parts{Pond: &water{}, Access: access})
			p := public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
				t := repo.TraceOf(r.Context())
				t.Package, t.File, t.Result, t.Digest, t.Layer = "requests", "requests-2.31.0-py3-none-any.whl", "hit", "sha256:58cd2187c01e70e6e26505bca751777aa9f2ee0b7f4300988b709f44e013003f", "up"
				w.Write(body)
			}})
			if err := s.Configure(Settings{Loopback: true}, []Repository{p}); err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequest("GET", "http://127.0.0.1:8080/alpha/packages/requests-2.31.0-py3-none-any.whl", nil)
			r.Header.Set("User-Agent", "pip/23.2.1")
			w := &nowhere{h: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				s.ServeHTTP(w, r)
			}
		})
	}
}

type nowhere struct{ h http.Header }

func (w *nowhere) Header() http.Header         { return w.h }
func (w *nowhere) WriteHeader(int)             {}
func (w *nowhere) Write(b []byte) (int, error) { return len(b), nil }
