package repo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/disk"
	"millpond/blob/mem"
	"millpond/catalog"
	"millpond/catalog/catalogtest"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/fetch/faulty"
	"millpond/format/npm"
	"millpond/format/pypi"
	"millpond/policy"
	"millpond/repo"
)

var long = flag.Bool("long", false, "kill a thousand times, and let the stress run for a minute")

// A rig is a whole pond with one repository "r" of Python packages, over an upstream that misbehaves on order. It can be
// stopped and started anew on the same store and catalog.
type rig struct {
	t       testing.TB
	up      *faulty.Server
	blobs   blob.Store
	catalog *sql.Catalog
	engine  *fetch.Engine
	pond    *repo.Pond
	dir     string // of the catalog, and of the store if it is on disk
	URL     string // of the pond, without a slash at its end

	settings repo.Settings
	config   repo.Config
	setUp    func(*fetch.Engine)                // before each start; nil does nothing
	wrap     func(*sql.Catalog) catalog.Catalog // at each start; nil takes the catalog as it is
	server   *httptest.Server
	clock    atomic.Int64 // unix nanoseconds
	pages    map[string][]entry
}

// A release of the upstream: one wheel.
type entry struct {
	pkg, version string
	body         io.ReaderAt
	size         int64
	sum          millpond.Digest
	published    time.Time
	mute         bool // its date is not told
	bare         bool // its digest is not told
}

// began is when the clock of every rig begins.
var began = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) // never changed

var catalogs catalogtest.Template

// newRig starts a pond on a store in memory. Each change is applied before it starts.
func newRig(t testing.TB, changes ...func(*rig)) *rig {
	t.Helper()
	r := &rig{t: t, up: faulty.New(t), dir: t.TempDir(), pages: map[string][]entry{}}
	r.clock.Store(began.UnixNano())
	u, err := url.Parse(r.up.URL + "/simple/")
	if err != nil {
		t.Fatal(err)
	}
	r.config = repo.Config{Name: "r", Format: pypi.Format{}, Public: true, Upstreams: []repo.Upstream{
		{Settings: fetch.Settings{Name: "up", URL: u}},
	}}
	for _, change := range changes {
		change(r)
	}
	catalogs.Lay(t, r.dir, func(dir string) error {
		c, err := sql.Open(t.Context(), dir, sql.Options{Now: r.now})
		if err != nil {
			return err
		}
		return c.Close()
	})
	if r.blobs == nil {
		r.blobs = &mem.Store{Now: r.now}
	}
	r.start()
	t.Cleanup(func() {
		r.stop(10 * time.Second)
		if d, ok := r.blobs.(*disk.Store); ok {
			if err := d.Close(); err != nil {
				t.Errorf("close the store: %v", err)
			}
		}
	})
	return r
}

// impatient lets the pond wait less for an upstream that says nothing. Of others a busy machine makes such ones, too, and what is
// asked again then is asked twice.
func impatient(r *rig) {
	up := &r.config.Upstreams[0]
	up.FirstByte, up.Idle = 2*time.Second, time.Second
}

// onDisk keeps the blobs in a directory.
func onDisk(o disk.Options) func(*rig) {
	return func(r *rig) {
		r.t.Helper()
		o.Now = r.now
		s, err := disk.Open(r.dir, o)
		if err != nil {
			r.t.Fatal(err)
		}
		r.blobs = s
	}
}

// rules are the repository's.
func rules(rs ...map[string]any) func(*rig) {
	return func(r *rig) { r.config.Policy = r.policy(rs...) }
}

func (r *rig) policy(rs ...map[string]any) *policy.Policy {
	r.t.Helper()
	p, err := policy.Parse(rs)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *rig) now() time.Time       { return time.Unix(0, r.clock.Load()).UTC() }
func (r *rig) pass(d time.Duration) { r.clock.Add(int64(d)) }

// start opens the catalog and the pond on what is there.
func (r *rig) start() {
	r.t.Helper()
	ctx := r.t.Context()
	var err error
	if r.catalog, err = sql.Open(ctx, r.dir, sql.Options{Now: r.now}); err != nil {
		r.t.Fatal(err)
	}
	r.engine = &fetch.Engine{Blobs: r.blobs, Now: r.now}
	if r.setUp != nil {
		r.setUp(r.engine)
	}
	var records catalog.Catalog = r.catalog
	if r.wrap != nil {
		records = r.wrap(r.catalog)
	}
	if r.pond, err = repo.New(ctx, repo.Parts{Blobs: r.blobs, Catalog: records, Fetch: r.engine, Now: r.now, Scratch: filepath.Join(r.dir, "scratch")}); err != nil {
		r.t.Fatal(err)
	}
	r.configure()
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	r.URL = r.server.URL
}

// configure puts settings and config in force.
func (r *rig) configure(more ...repo.Config) {
	r.t.Helper()
	if err := r.pond.Configure(r.t.Context(), r.settings, append([]repo.Config{r.config}, more...)); err != nil {
		r.t.Fatal(err)
	}
}

// stop ends the pond; what still runs after a while is stopped. It returns what Pond.Close said.
func (r *rig) stop(patience time.Duration) error {
	r.t.Helper()
	if r.server == nil {
		return nil
	}
	r.server.CloseClientConnections()
	r.server.Close()
	r.server = nil
	// A test's own context has ended when it is cleaned up.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := r.pond.Close(ctx)
	if err := r.catalog.Close(); err != nil {
		r.t.Errorf("close the catalog: %v", err)
	}
	return err
}

// serve mounts the repositories as the server does.
func (r *rig) serve(w http.ResponseWriter, req *http.Request) {
	path := req.URL.EscapedPath()
	for _, one := range r.pond.Repositories() {
		rest, ok := strings.CutPrefix(path, "/"+one.Config().Name)
		if !ok || !strings.HasPrefix(rest, "/") {
			continue
		}
		trace := &repo.Trace{Anew: repo.Anew(req.Header)}
		inner := req.WithContext(repo.WithTrace(fetch.WithVia(req.Context(), req.Header["Cdn-Loop"]), trace))
		u := *req.URL
		u.RawPath = rest
		var err error
		if u.Path, err = url.PathUnescape(rest); err != nil {
			http.Error(w, "bad path", http.StatusBadRequest)
			return
		}
		inner.URL = &u
		one.Config().Format.Handler(one.For(repo.Caller{})).ServeHTTP(traced{w, trace}, inner)
		return
	}
	http.NotFound(w, req)
}

// traced shows the trace's result as a header, as the server does with Cache-Status.
type traced struct {
	http.ResponseWriter
	trace *repo.Trace
}

func (w traced) WriteHeader(status int) {
	w.Header().Set("X-Result", w.trace.Result)
	w.Header().Set("X-Upstream", w.trace.Upstream.String())
	w.ResponseWriter.WriteHeader(status)
}

func (w traced) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// noise is n bytes of a wheel: a zip's magic, and what looks random.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	faulty.Noise(seed, int64(n)).ReadAt(b, 0) // never fails
	copy(b, "PK\x03\x04")
	return b
}

// put publishes a wheel upstream, a year before the clock begins. A version that was there is replaced.
func (r *rig) put(pkg, version string, body []byte) entry {
	return r.publish(entry{pkg: pkg, version: version, body: bytes.NewReader(body), size: int64(len(body)), sum: millpond.SHA256(body), published: began.AddDate(-1, 0, 0)})
}

func (r *rig) publish(e entry) entry {
	r.t.Helper()
	r.pages[e.pkg] = slices.DeleteFunc(r.pages[e.pkg], func(old entry) bool { return old.version == e.version })
	r.pages[e.pkg] = append(r.pages[e.pkg], e)
	r.up.Put(e.upstream(), faulty.Object{At: e.body, Size: e.size, ETag: fmt.Sprintf("%q", e.sum.Short())})
	r.page(e.pkg)
	return e
}

// withdraw takes a release off the upstream, file and all.
func (r *rig) withdraw(e entry) {
	r.t.Helper()
	r.pages[e.pkg] = slices.DeleteFunc(r.pages[e.pkg], func(old entry) bool { return old.version == e.version })
	r.up.Remove(e.upstream())
	r.page(e.pkg)
}

func (r *rig) page(pkg string) {
	r.t.Helper()
	files := []map[string]any{}
	for _, e := range r.pages[pkg] {
		f := map[string]any{"filename": e.name(), "url": "../.." + e.upstream(), "size": e.size, "hashes": map[string]string{}}
		if !e.bare {
			f["hashes"] = map[string]string{"sha256": e.sum.Hex()}
		}
		if !e.mute {
			f["upload-time"] = e.published.Format("2006-01-02T15:04:05Z")
		}
		files = append(files, f)
	}
	text, err := json.Marshal(map[string]any{"meta": map[string]any{"api-version": "1.4"}, "name": pkg, "files": files})
	if err != nil {
		r.t.Fatal(err)
	}
	r.up.Put("/simple/"+pkg+"/", faulty.Object{Body: text, Type: "application/vnd.pypi.simple.v1+json", ETag: fmt.Sprintf("%q", millpond.SHA256(text).Short())})
}

func (e entry) name() string     { return e.pkg + "-" + e.version + "-py3-none-any.whl" }
func (e entry) upstream() string { return "/files/" + e.pkg + "/" + e.name() }
func (e entry) key() millpond.Key {
	return millpond.Key{Package: e.pkg, Version: e.version, File: e.name()}
}

// path is where the pond serves the wheel.
func (e entry) path() string { return "/r/packages/" + e.pkg + "/-/" + e.name() }

// bytes are the whole wheel.
func (e entry) bytes() []byte {
	b, err := io.ReadAll(io.NewSectionReader(e.body, 0, e.size))
	if err != nil {
		panic(err) // memory does not fail
	}
	return b
}

// asNPM makes the repository one of npm, whose documents are written from the upstream's own text.
func asNPM(r *rig) {
	u := *r.config.Upstreams[0].URL
	u.Path = "/"
	r.config.Format, r.config.Upstreams[0].URL = npm.Format{}, &u
}

// putPackument lays a packument of alpha on the upstream.
func (r *rig) putPackument(versions int) {
	var b bytes.Buffer
	b.WriteString(`{"name":"alpha","dist-tags":{"latest":"1.0.0"},"versions":{`)
	for i := range versions {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"1.0.%d":{"name":"alpha","version":"1.0.%d","description":"%x","dist":{"tarball":"%s/alpha/-/alpha-1.0.%d.tgz","shasum":"%040x"}}`,
			i, i, noise(uint64(i), 200), r.up.URL, i, i)
	}
	b.WriteString(`}}`)
	r.up.Put("/alpha", faulty.Object{Body: b.Bytes(), Type: "application/json", ETag: fmt.Sprintf("%q", millpond.SHA256(b.Bytes()).Short())})
}

// versions is how many versions a packument has.
func versions(packument []byte) int { return bytes.Count(packument, []byte(`"version":"1.0.`)) }

// restart stops the pond and starts it anew: memory is empty.
func (r *rig) restart() {
	r.t.Helper()
	r.stop(10 * time.Second)
	r.start()
}

// A reply is an answer, read whole.
type reply struct {
	Status int
	Header http.Header
	Body   []byte
	Err    error // the body did not end cleanly, or there was no answer
}

func (a reply) String() string {
	return fmt.Sprintf("%d (%s) %d bytes %.200q err %v", a.Status, a.Header.Get("X-Result"), len(a.Body), a.Body, a.Err)
}

// client behaves like a package client that does nothing by itself.
var client = &http.Client{ // never changed
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// open sends a request and returns the answer with its body still to be read.
func (r *rig) open(ctx context.Context, method, path string, header http.Header) (*http.Response, error) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, r.URL, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.URL.Opaque = "//" + req.URL.Host + path // sent as it is
	for k, vs := range header {
		req.Header[k] = vs
	}
	return client.Do(req)
}

func (r *rig) do(method, path string, header http.Header) reply {
	r.t.Helper()
	resp, err := r.open(r.t.Context(), method, path, header)
	if err != nil {
		return reply{Err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, b, err}
}

func (r *rig) get(path string) reply { r.t.Helper(); return r.do("GET", path, nil) }

func (r *rig) index(pkg string) reply {
	r.t.Helper()
	return r.do("GET", "/r/simple/"+pkg+"/", http.Header{"Accept": {"application/vnd.pypi.simple.v1+json"}})
}

// good fails the test unless the answer is 200, whole and (if want is not nil) these bytes.
func (r *rig) good(what string, a reply, want []byte) reply {
	r.t.Helper()
	if a.Err != nil || a.Status != http.StatusOK || want != nil && !bytes.Equal(a.Body, want) {
		r.t.Errorf("%s: got %s, want 200 and %d bytes", what, a, len(want))
	}
	return a
}

// want fails the test unless the answer has that status.
func (r *rig) want(what string, a reply, status int) reply {
	r.t.Helper()
	if a.Status != status || a.Err != nil {
		r.t.Errorf("%s: got %s, want %d", what, a, status)
	}
	return a
}

// hold gets a package's index and a wheel of it, so that both are held.
func (r *rig) hold(es ...entry) {
	r.t.Helper()
	for _, e := range es {
		r.good("index of "+e.pkg, r.index(e.pkg), nil)
		r.good("first "+e.name(), r.get(e.path()), e.bytes())
	}
}

// forget drops what memory has, by configuring the same anew.
func (r *rig) forget() { r.t.Helper(); r.configure() }

// held returns the digests in the store.
func (r *rig) held() []millpond.Digest {
	r.t.Helper()
	var out []millpond.Digest
	for d, err := range r.blobs.List(context.Background(), millpond.Digest{}) {
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

func (r *rig) holds(e entry) bool { r.t.Helper(); return slices.Contains(r.held(), e.sum) }

// holding is the catalog's record of a wheel, nil if there is none.
func (r *rig) holding(e entry) *catalog.Holding {
	r.t.Helper()
	h, err := r.catalog.Holding(r.t.Context(), "r/up", e.key())
	if err != nil {
		if millpond.Is(err, millpond.NotFound) {
			return nil
		}
		r.t.Fatal(err)
	}
	return h
}

// events are the verbs of all events so far.
func (r *rig) events() []string {
	r.t.Helper()
	var verbs []string
	for _, e := range r.eventsOf("") {
		verbs = append(verbs, e.Verb)
	}
	return verbs
}

// eventsOf are the events of one verb; with "" all but those which tell that a file of the rig is no archive.
func (r *rig) eventsOf(verb string) (out []millpond.Event) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 100*time.Millisecond)
	defer cancel()
	for e, err := range r.catalog.Events(ctx, 0) {
		if err != nil {
			break
		}
		if verb == "" && e.Verb != "flagged" || e.Verb == verb {
			out = append(out, e)
		}
	}
	return out
}

// check looks for damage and fails the test if there is any.
func (r *rig) check(what string) {
	r.t.Helper()
	report, err := r.pond.Check(r.t.Context(), repo.CheckOptions{ReadData: true})
	if err != nil {
		r.t.Errorf("%s: check: %v", what, err)
		return
	}
	for _, d := range report.Damage {
		r.t.Errorf("%s: check found that %s: %s %v", what, d.What, d.Digest, d.Names)
	}
}

// await waits until f holds: for what happens behind a reader's back, and leaves no channel to wait on.
func await(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); {
		if time.Now().After(end) {
			t.Fatalf("waited 20 s in vain until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// contains reports whether a text has a word in it.
func contains(text []byte, word string) bool { return bytes.Contains(text, []byte(word)) }
