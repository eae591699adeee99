package golang

import (
	"bytes"
	"context"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
)

// A repository is the least that a format.Repo can be: one upstream, and the rules as a list of hidden versions.
type repository struct {
	format.Repo // what the handler does not use
	remote      *remote
	hidden      map[string]string // version → why
	claimed     string
	held        bool
	ahead       *[]millpond.Key
	listings    map[string]*millpond.Package
	derived     map[format.Derivation]string
	wrote       *int
}

func newRepository(r *remote) *repository {
	return &repository{remote: r, hidden: map[string]string{}, ahead: new([]millpond.Key), listings: map[string]*millpond.Package{},
		derived: map[format.Derivation]string{}, wrote: new(int)}
}

func (r *repository) Option(name string) string { return r.remote.options[name] }
func (r *repository) Now() time.Time            { return r.remote.now }
func (r *repository) Public() bool              { return true }
func (r *repository) Claimed(name string) bool {
	return r.claimed != "" && Format{}.Covers(r.claimed, name)
}
func (r *repository) Ahead(_ context.Context, keys ...millpond.Key) {
	*r.ahead = append(*r.ahead, keys...)
}

func (r *repository) Held() format.Repo {
	held := *r
	held.held = true
	return &held
}

func (r *repository) blocked(k millpond.Key) error {
	why, hidden := r.hidden[k.Version]
	if !hidden || k.File != "" && (Format{}).Exempt(k, r.Option) {
		return nil
	}
	return &millpond.Error{Kind: millpond.Blocked, Key: k, Why: why, Hint: "ask the pond's owners"}
}

func (r *repository) Package(ctx context.Context, name string) (*millpond.Package, error) {
	p := r.listings[name]
	if p == nil {
		if r.held {
			return nil, &millpond.Error{Kind: millpond.Offline, Why: "not held"}
		}
		var err error
		if p, err = (Format{}).Source(r.remote).Package(ctx, name); err != nil {
			return nil, err
		}
		r.listings[name] = p
	}
	shown := *p
	shown.Versions = nil
	for _, v := range p.Versions {
		if why, hidden := r.hidden[v.Name]; hidden {
			shown.Hidden = append(shown.Hidden, millpond.Hidden{Version: v, Why: why})
		} else if !r.held || r.remote.holds(Info, name, v.Name) || r.remote.holds(Zip, name, v.Name) {
			shown.Versions = append(shown.Versions, v)
		}
	}
	return &shown, nil
}

func (r *repository) Stamp(ctx context.Context, name string) (string, time.Time, error) {
	_, err := r.Package(ctx, name)
	return "stamp", r.Now(), err
}

func (r *repository) Names(context.Context) iter.Seq2[format.Change, error] {
	return func(yield func(format.Change, error) bool) {
		names := []string{sumPackage + sumName, "git.example/listed/only"}
		for name := range r.listings {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if !yield(format.Change{Name: name}, nil) {
				return
			}
		}
	}
}

func (r *repository) Open(ctx context.Context, k millpond.Key) (*millpond.Content, error) {
	if err := r.blocked(k); err != nil {
		return nil, err
	}
	r.remote.mu.Lock()
	_, held := r.remote.kept[k]
	r.remote.mu.Unlock()
	if r.held && !held {
		return nil, &millpond.Error{Kind: millpond.Offline, Key: k, Why: "not held"}
	}
	c, err := r.remote.Open(ctx, k)
	if err == nil {
		c.Growing = !held
	}
	return c, err
}

func (r *repository) Stat(ctx context.Context, k millpond.Key) (*millpond.Content, error) {
	c, err := r.Open(ctx, k)
	if err != nil {
		return nil, err
	}
	c.ReadSeekCloser = nil
	return c, nil
}

func (r *repository) Ref(ctx context.Context, pkg, name string) (millpond.Ref, error) {
	if r.held {
		return millpond.Ref{}, &millpond.Error{Kind: millpond.Offline, Why: "not held"}
	}
	ref, err := (Format{}).Source(r.remote).Ref(ctx, pkg, name)
	if err != nil {
		return ref, err
	}
	return ref, r.blocked(millpond.Key{Package: pkg, Version: ref.Target})
}

func (r *repository) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	return (Format{}).Source(r.remote).Document(ctx, k)
}

func (r *repository) Derive(_ context.Context, d format.Derivation, write func(io.Writer) error) (*millpond.Content, error) {
	d.Encoding = ""
	text, ok := r.derived[d]
	if !ok {
		*r.wrote++
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return nil, err
		}
		text = b.String()
		r.derived[d] = text
	}
	return &millpond.Content{
		ReadSeekCloser: struct {
			*strings.Reader
			io.Closer
		}{strings.NewReader(text), io.NopCloser(nil)},
		Size: int64(len(text)), Digest: millpond.SHA256([]byte(text)), Type: d.Type,
	}, nil
}

func (r *repository) do(t testing.TB, method, path string, header ...string) *http.Response {
	t.Helper()
	req := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Format{}.Handler(r).ServeHTTP(w, req)
	return w.Result()
}

// get returns the status and body of an answer.
func (r *repository) get(t testing.TB, path string, header ...string) (int, string) {
	t.Helper()
	resp := r.do(t, http.MethodGet, path, header...)
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

const at = "/git.example/team/x/@v/"

func TestHandlerServesFiles(t *testing.T) {
	u := newUpstream(t)
	m := u.publish(t, testPath, "v1.0.0", testMod)
	u.set(at+"v1.0.0.info", golden(t, "origin.info"))
	r := newRepository(newRemote(t, u, map[string]string{"sumdb": u.Database}))
	for _, c := range []struct{ file, body, kind string }{
		{"v1.0.0.info", golden(t, "origin.info"), "application/json"},
		{"v1.0.0.mod", m.Mod, "text/plain; charset=utf-8"},
		{"v1.0.0.zip", m.Zip, "application/zip"},
	} {
		get, head := r.do(t, "GET", at+c.file), r.do(t, "HEAD", at+c.file)
		body, err := io.ReadAll(get.Body)
		if err != nil || get.StatusCode != 200 || string(body) != c.body {
			t.Errorf("GET %s: %d, %d bytes, %v; want them byte for byte", c.file, get.StatusCode, len(body), err)
		}
		if got := get.Header.Get("Content-Type"); got != c.kind {
			t.Errorf("%s: Content-Type %q; want %q", c.file, got, c.kind)
		}
		if got := get.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control %q", c.file, got)
		}
		for name := range get.Header {
			if get.Header.Get(name) != head.Header.Get(name) {
				t.Errorf("%s: HEAD has %s: %q, GET %q", c.file, name, head.Header.Get(name), get.Header.Get(name))
			}
		}
		if rest, _ := io.ReadAll(head.Body); len(rest) > 0 {
			t.Errorf("%s: HEAD has a body: %q", c.file, rest)
		}
		if code, _ := r.get(t, at+c.file, "If-None-Match", get.Header.Get("Etag")); code != 304 {
			t.Errorf("%s with its own tag: %d; want 304", c.file, code)
		}
	}
	if code, part := r.get(t, at+"v1.0.0.zip", "Range", "bytes=0-3"); code != 206 || part != "PK\x03\x04" {
		t.Errorf("range: %d %q; want 206 and the zip's first bytes", code, part)
	}
}

func TestHandlerList(t *testing.T) {
	u := newUpstream(t)
	u.set(at+"list", golden(t, "list.txt"))
	u.set("/git.example/none/@v/list", "")
	r := newRepository(newRemote(t, u, nil))
	want := "v1.0.0\nv1.1.0\nv1.2.0-rc.1\nv1.10.0\nv2.0.0+incompatible\n"
	for range 2 {
		resp := r.do(t, "GET", at+"list")
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != want || resp.Header.Get("Cache-Control") != "max-age=60" || resp.Header.Get("Content-Type") != typeText {
			t.Errorf("list %q, %v, %v; want %q", body, resp.Header, err, want)
		}
	}
	if *r.wrote != 1 {
		t.Errorf("the list was written %d times; want once", *r.wrote)
	}
	if code, body := r.get(t, "/git.example/none/@v/list"); code != 200 || body != "" {
		t.Errorf("a module without tags: %d %q; want 200 and nothing", code, body)
	}
	if code, _ := r.get(t, "/git.example/absent/@v/list"); code != 404 {
		t.Errorf("no module: %d; want 404", code)
	}
}

func TestHandlerLatest(t *testing.T) {
	u := newUpstream(t)
	pseudo := func(day string) string { return "v0.0.0-202601" + day + "030405-0123456789ab" }
	for _, v := range []string{"v1.0.0", "v1.1.0", "v1.2.0-rc.1", "v1.2.0-rc.2"} {
		u.publish(t, testPath, v, testMod)
	}
	u.publish(t, "git.example/pre", "v0.1.0-rc.1", "module git.example/pre\n")
	u.publish(t, "git.example/tagless", pseudo("02"), "module git.example/tagless\n")
	u.set("/git.example/tagless/@v/list", "")
	u.set("/git.example/tagless/@latest", `{"Version":"`+pseudo("02")+`"}`)
	for _, day := range []string{"05", "07", "06"} {
		u.publish(t, "git.example/old", pseudo(day), "module git.example/old\n")
	}
	u.publish(t, "git.example/held", "v1.0.0", "module git.example/held\n")
	r := newRepository(newRemote(t, u, nil))
	for path, want := range map[string]string{
		testPath:              "v1.1.0",
		"git.example/pre":     "v0.1.0-rc.1",
		"git.example/tagless": pseudo("02"),
		"git.example/old":     pseudo("07"), // @latest is 404, and the list has pseudo-versions
	} {
		resp := r.do(t, "GET", "/"+path+"/@latest")
		body, err := io.ReadAll(resp.Body)
		if err != nil || !strings.Contains(string(body), `"`+want+`"`) || resp.Header.Get("Cache-Control") != "max-age=60" {
			t.Errorf("%s@latest: %s %q %q, %v; want %s", path, resp.Status, body, resp.Header.Get("Cache-Control"), err, want)
		}
	}
	r.hidden["v1.1.0"] = "too new"
	if code, body := r.get(t, "/"+testPath+"/@latest"); code != 200 || !strings.Contains(body, `"v1.0.0"`) {
		t.Errorf("with the newest hidden: %d %q; want v1.0.0", code, body)
	}
	r.hidden["v1.0.0"] = "too new as well"
	r.hidden["v1.2.0-rc.1"], r.hidden["v1.2.0-rc.2"] = "no", "no"
	u.set("/git.example/team/x/@latest", `{"Version":"v1.1.0"}`)
	if code, body := r.get(t, "/"+testPath+"/@latest"); code != 403 || !strings.HasPrefix(body, "too new\n") {
		t.Errorf("with all hidden: %d %q; want 403 and the words", code, body)
	}
}

func TestHandlerQuery(t *testing.T) {
	u := newUpstream(t)
	m := u.publish(t, testPath, "v1.0.0", testMod)
	u.set(at+"master.info", `{"Version":"v1.0.0","Origin":{"Ref":"refs/heads/master"}}`)
	r := newRepository(newRemote(t, u, nil))
	resp := r.do(t, "GET", at+"master.info")
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != m.Info || resp.Header.Get("Cache-Control") != "max-age=60" {
		t.Errorf("master: %q, %v, %v; want %q for a minute", body, resp.Header, err, m.Info)
	}
	if !r.remote.holds(Info, testPath, "v1.0.0") {
		t.Errorf("the .info of the version is not kept")
	}
	r.hidden["v1.0.0"] = "blocked for a reason"
	if code, body := r.get(t, at+"master.info"); code != 403 || !strings.Contains(body, "blocked for a reason") {
		t.Errorf("a branch at a blocked version: %d %q; want 403", code, body)
	}
}

func TestHandlerBlocked(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	u.publish(t, testPath, "v1.1.0", testMod)
	r := newRepository(newRemote(t, u, nil))
	r.hidden["v1.1.0"] = "v1.1.0 has a known hole"
	for file, want := range map[string]int{"v1.1.0.info": 403, "v1.1.0.zip": 403, "v1.1.0.mod": 200, "v1.0.0.zip": 200} {
		if code, body := r.get(t, at+file); code != want || want == 403 && body != "v1.1.0 has a known hole\nask the pond's owners\n" {
			t.Errorf("%s: %d %q; want %d", file, code, body, want)
		}
	}
	if _, list := r.get(t, at+"list"); list != "v1.0.0\n" {
		t.Errorf("list %q; want v1.0.0 only", list)
	}
	r.remote.options["mod"] = "refuse"
	if code, _ := r.get(t, at+"v1.1.0.mod"); code != 403 {
		t.Errorf("v1.1.0.mod with mod: refuse: %d; want 403", code)
	}
}

// A hold must not hide a warning.
func TestHandlerRetractions(t *testing.T) {
	u := newUpstream(t)
	for _, v := range []string{"v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"} {
		u.publish(t, testPath, v, testMod)
	}
	u.publish(t, testPath, "v1.4.0", testMod+"retract v1.1.0 // broken\nretract [v1.3.0, v1.4.0]\n")
	u.publish(t, testPath, "v1.5.0-rc.1", testMod)
	for _, c := range []struct {
		name   string
		hidden []string
		ill    int
		want   string
	}{
		{"nothing is hidden: the client reads them", nil, 0, "v1.0.0\nv1.1.0\nv1.2.0\nv1.3.0\nv1.4.0\nv1.5.0-rc.1\n"},
		{"the version that retracts is hidden", []string{"v1.4.0"}, 0, "v1.0.0\nv1.2.0\nv1.5.0-rc.1\n"},
		{"another is hidden", []string{"v1.2.0"}, 0, "v1.0.0\nv1.1.0\nv1.3.0\nv1.4.0\nv1.5.0-rc.1\n"},
		{"its go.mod cannot be read now", []string{"v1.4.0"}, 500, "v1.0.0\nv1.1.0\nv1.2.0\nv1.3.0\nv1.5.0-rc.1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u.ill(at+"v1.4.0.mod", c.ill)
			r := newRepository(newRemote(t, u, nil))
			for _, v := range c.hidden {
				r.hidden[v] = "held back"
			}
			if code, list := r.get(t, at+"list"); code != 200 || list != c.want {
				t.Errorf("list: %d %q; want %q", code, list, c.want)
			}
			if c.ill == 0 {
				return
			}
			u.ill(at+"v1.4.0.mod", 0)
			if _, list := r.get(t, at+"list"); strings.Contains(list, "v1.1.0\n") {
				t.Errorf("list %q once its go.mod can be read; want it without v1.1.0", list)
			}
			if _, latest := r.get(t, "/"+testPath+"/@latest"); !strings.Contains(latest, `"v1.2.0"`) {
				t.Errorf("latest %q; want v1.2.0", latest)
			}
		})
	}
}

func TestHandlerErrors(t *testing.T) {
	u := newUpstream(t)
	r := newRepository(newRemote(t, u, nil))
	for path, status := range map[string]int{
		"/": 404, "/nothing/here": 404, at + "latest.info": 404, at + "master.zip": 404, "/Git.example/X/@v/list": 404, at + "": 404,
		at + "v1.0.0.info": 404, "/index?since=yesterday": 404, "/sumdb/else.example/supported": 404,
	} {
		resp := r.do(t, "GET", path)
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status || resp.Header.Get("Cache-Control") != "max-age=60" || resp.Header.Get("Content-Type") != typeText {
			t.Errorf("%s: %s %v, %v; want %d as plain text for a minute", path, resp.Status, resp.Header, err, status)
		}
		if !strings.HasSuffix(string(body), "\n") || strings.Contains(string(body), "\n\n") {
			t.Errorf("%s: body %q; want lines without an empty one", path, body)
		}
	}
	for _, method := range []string{"PUT", "POST", "DELETE", "PATCH"} {
		if resp := r.do(t, method, at+"v1.0.0.zip"); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %s, Allow %q; want 405", method, resp.Status, resp.Header.Get("Allow"))
		}
	}
	u.ill(at+"v1.0.0.info", 500)
	if resp := r.do(t, "GET", at+"v1.0.0.info"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("upstream 500: %s %v; want 503, Retry-After, no-store", resp.Status, resp.Header)
	}
}

func TestFail(t *testing.T) {
	h := handler{repo: newRepository(newRemote(t, newUpstream(t), nil))}
	cached := h
	cached.held = true
	for _, c := range []struct {
		name   string
		h      handler
		err    error
		status int
		body   string
	}{
		{"not found", h, &millpond.Error{Kind: millpond.NotFound, Why: "no x"}, 404, "no x\n"},
		{"invalid is not the end of the client's walk", h, &millpond.Error{Kind: millpond.Invalid, Why: "odd"}, 404, "odd\n"},
		{"a takedown is", h, &millpond.Error{Kind: millpond.Gone, Why: "taken down"}, 403, "taken down\n"},
		{"denied", h, &millpond.Error{Kind: millpond.Denied, Why: "no", Hint: "ask"}, 403, "no\nask\n"},
		{"no credential", h, &millpond.Error{Kind: millpond.Unauthenticated, Why: "who?"}, 401, "who?\n"},
		{"throttled", h, &millpond.Error{Kind: millpond.Throttled, Why: "slow down"}, 429, "slow down\n"},
		{"offline", h, &millpond.Error{Kind: millpond.Offline, Why: "offline"}, 503, "offline\n"},
		{"corrupt", h, &millpond.Error{Kind: millpond.Corrupt, Why: "other bytes"}, 503, "other bytes\n"},
		{"full", h, &millpond.Error{Kind: millpond.Full, Why: "no room"}, 507, "no room\n"},
		{"what the client would not show", h, &millpond.Error{Kind: millpond.Denied, Why: "a\n\nb\tc\x1b[1m\xff"}, 403, "a  b c[1m?\n"},
		{"cached-only, not held", cached, &millpond.Error{Kind: millpond.Offline, Why: "offline"}, 404, "not held here\n"},
		{"cached-only, blocked", cached, &millpond.Error{Kind: millpond.Blocked, Why: "no"}, 403, "no\n"},
	} {
		w := httptest.NewRecorder()
		c.h.fail(w, httptest.NewRequest("GET", "/", nil), c.err)
		if w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s: %d %q; want %d %q", c.name, w.Code, w.Body.String(), c.status, c.body)
		}
		want := "no-store"
		if c.status == 404 && !c.h.held {
			want = "max-age=60"
		}
		if got := w.Header().Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control %q; want %q", c.name, got, want)
		}
	}
}

func TestHandlerCachedOnly(t *testing.T) {
	u := newUpstream(t)
	m := u.publish(t, testPath, "v1.0.0", testMod)
	u.publish(t, testPath, "v1.1.0", testMod)
	r := newRepository(newRemote(t, u, nil))
	r.get(t, at+"list")
	r.get(t, at+"v1.0.0.info")
	r.get(t, at+"v1.0.0.zip")
	before := u.requests("")
	for _, way := range []struct {
		prefix string
		header []string
	}{{"/cached-only", nil}, {"", []string{"Disable-Module-Fetch", "true"}}} {
		if code, body := r.get(t, way.prefix+at+"v1.0.0.zip", way.header...); code != 200 || body != m.Zip {
			t.Errorf("%q: the held zip: %d; want it", way.prefix, code)
		}
		if code, body := r.get(t, way.prefix+at+"list", way.header...); code != 200 || body != "v1.0.0\n" {
			t.Errorf("%q: list: %d %q; want what is held", way.prefix, code, body)
		}
		if code, body := r.get(t, way.prefix+"/"+testPath+"/@latest", way.header...); code != 200 || body != m.Info {
			t.Errorf("%q: latest: %d %q; want the newest held", way.prefix, code, body)
		}
		for _, path := range []string{at + "v1.1.0.zip", at + "master.info", "/git.example/absent/@v/list"} {
			resp := r.do(t, "GET", way.prefix+path, way.header...)
			if resp.StatusCode != 404 || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%q: %s: %s, %q; want 404, no-store", way.prefix, path, resp.Status, resp.Header.Get("Cache-Control"))
			}
		}
	}
	if after := u.requests(""); after != before {
		t.Errorf("%d requests reached the upstream: %q", after-before, u.asked[before:])
	}
	if _, list := r.get(t, at+"list"); list != "v1.0.0\nv1.1.0\n" {
		t.Errorf("list with upstreams: %q; want both versions", list)
	}
}

func TestHandlerSum(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	u.publish(t, "git.acme.example/x", "v1.0.0", "module git.acme.example/x\n")
	r := newRepository(newRemote(t, u, map[string]string{"sumdb": u.Database, "no_sum": "git.private.example"}))
	r.claimed = "git.acme.example/*"
	const sum = "/sumdb/" + sumName
	for _, c := range []struct {
		path         string
		status       int
		kind, prefix string
		cache        string
	}{
		{sum + "/supported", 200, typeText, "", "max-age=60"},
		{sum + "/latest", 200, typeText, "go.sum database tree\n", "max-age=60"},
		{sum + "/lookup/git.example/team/x@v1.0.0", 200, typeText, "0\ngit.example/team/x v1.0.0 h1:", "public, max-age=31536000, immutable"},
		{sum + "/tile/8/0/000.p/1", 200, typeTile, "", "public, max-age=31536000, immutable"},
		{sum + "/tile/8/data/000.p/1", 200, typeTile, "git.example/team/x v1.0.0 h1:", "public, max-age=31536000, immutable"},
		{sum + "/lookup/git.example/absent@v1.0.0", 404, typeText, "", "max-age=60"},
		{sum + "/lookup/git.acme.example/x@v1.0.0", 403, typeText, "git.acme.example/x is private", "no-store"},
		{sum + "/lookup/git.private.example/x@v1.0.0", 403, typeText, "git.private.example/x is private", "no-store"},
		{"/sumdb/sum.example/supported", 404, typeText, "", "max-age=60"},
		{"/sumdb/sum.example/latest", 404, typeText, "", "max-age=60"},
		{"/sumdb/sum.example/lookup/git.example/team/x@v1.0.0", 404, typeText, "", "max-age=60"},
		{"/sumdb/sum.example/tile/8/0/000.p/1", 404, typeText, "", "max-age=60"},
	} {
		resp := r.do(t, "GET", c.path)
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != c.status || !strings.HasPrefix(string(body), c.prefix) {
			t.Errorf("%s: %s %q, %v; want %d %q…", c.path, resp.Status, body, err, c.status, c.prefix)
		}
		if resp.Header.Get("Content-Type") != c.kind || resp.Header.Get("Cache-Control") != c.cache {
			t.Errorf("%s: %v; want %q, %q", c.path, resp.Header, c.kind, c.cache)
		}
	}
	if n := u.requests("acme") + u.requests("private"); n != 0 {
		t.Errorf("the database heard of private names: %q", u.asked)
	}
	u.Close()
	for _, path := range []string{"/supported", "/lookup/git.example/team/x@v1.0.0", "/tile/8/0/000.p/1"} {
		if code, _ := r.get(t, sum+path); code != 200 {
			t.Errorf("%s with the upstream dead: %d; want 200", path, code)
		}
	}
	if code, _ := r.get(t, sum+"/tile/8/0/000.p/2"); code != 503 {
		t.Errorf("a tile that is not held, with the upstream dead: %d; want 503", code)
	}
}

func TestHandlerAhead(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	mod, zip := keyOf(Mod), keyOf(Zip)
	for option, want := range map[string][]millpond.Key{"off": nil, "mod": {mod}, "all": {mod, zip}} {
		r := newRepository(newRemote(t, u, map[string]string{"ahead": option}))
		r.get(t, at+"v1.0.0.info")
		if !slices.Equal(*r.ahead, want) {
			t.Errorf("ahead: %s: %q; want %q", option, *r.ahead, want)
		}
	}
}

func TestHandlerIndex(t *testing.T) {
	u := newUpstream(t)
	r := newRepository(newRemote(t, u, nil))
	seen := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := &millpond.Package{Name: testPath}
	for _, v := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
		u.publish(t, testPath, v, testMod)
		r.get(t, at+v+".info")
		p.Versions = append(p.Versions, millpond.Version{Name: v, Seen: seen})
	}
	p.Versions = append(p.Versions, millpond.Version{Name: "v1.3.0", Seen: seen}) // not held
	r.listings[testPath] = p
	const lines = `{"Path":"git.example/team/x","Version":"v1.0.0","Timestamp":"2026-01-02T03:04:05Z"}
{"Path":"git.example/team/x","Version":"v1.1.0","Timestamp":"2026-01-02T03:04:05.000000001Z"}
{"Path":"git.example/team/x","Version":"v1.2.0","Timestamp":"2026-01-02T03:04:05.000000002Z"}
`
	all := strings.SplitAfter(lines, "\n")
	for query, want := range map[string]string{
		"": lines, "?limit=2": all[0] + all[1], "?since=2026-01-02T03:04:05.000000001Z": all[1] + all[2],
		"?since=2026-01-02T03:04:05.000000001Z&limit=1": all[1], "?since=2027-01-01T00:00:00Z": "",
	} {
		if code, body := r.get(t, "/index"+query); code != 200 || body != want {
			t.Errorf("/index%s: %d\n%s; want\n%s", query, code, body, want)
		}
	}
	r.hidden["v1.1.0"] = "blocked"
	if _, body := r.get(t, "/index"); strings.Contains(body, "v1.1.0") {
		t.Errorf("a hidden version is in the index: %s", body)
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("/git.example/team/x/v2/@v/v2.10.3.mod"); err != nil {
			b.Fatal(err)
		}
	}
}
