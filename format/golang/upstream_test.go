package golang

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"

	"millpond"
	"millpond/format"
)

// An upstream is a module mirror on loopback that relays a checksum database of its own.
type upstream struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string]string // by escaped path
	fail  map[string]int    // path → status
	asked []string
	held  map[string]chan struct{} // path → until when its answer waits

	Database string // its verifier key
	signer   string
	db       http.Handler
	sums     map[string]string // what the database says: module@version → lines
}

const sumName = "sum.example/db"

func newUpstream(t testing.TB) *upstream {
	u := &upstream{files: map[string]string{}, fail: map[string]int{}, held: map[string]chan struct{}{}, sums: map[string]string{}}
	var err error
	u.signer, u.Database, err = note.GenerateKey(nil, sumName)
	if err != nil {
		t.Fatal(err)
	}
	u.db = u.database()
	u.Server = httptest.NewServer(u)
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) database() http.Handler {
	return http.StripPrefix("/sumdb/"+sumName, sumdb.NewServer(sumdb.NewTestServer(u.signer, func(path, version string) ([]byte, error) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if lines, ok := u.sums[path+"@"+version]; ok {
			return []byte(lines), nil
		}
		return nil, fs.ErrNotExist
	})))
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.ReplaceAll(r.URL.EscapedPath(), "%21", "!") // the go command escapes it, which says the same
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	u.mu.Lock()
	u.asked = append(u.asked, path)
	status, body, ok := u.fail[path], "", false
	if status == 0 {
		body, ok = u.files[path]
	}
	db, wait := u.db, u.held[path]
	u.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-r.Context().Done():
		}
	}
	switch {
	case status != 0:
		http.Error(w, "no", status)
	case ok:
		io.WriteString(w, body)
	case path == "/sumdb/"+sumName+"/supported":
	case strings.HasPrefix(path, "/sumdb/"+sumName+"/"):
		db.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// set serves a body at an escaped path.
func (u *upstream) set(path, body string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files[path] = body
}

// ill answers a path with a status; 0 mends it.
func (u *upstream) ill(path string, status int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fail[path] = status
}

// hold makes the answers to a path wait until release is called.
func (u *upstream) hold(path string) (release func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	wait := make(chan struct{})
	u.held[path] = wait
	return func() { close(wait) }
}

// paths are those asked for, oldest first.
func (u *upstream) paths() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.asked)
}

// forget drops the record of what was asked for.
func (u *upstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked = nil
}

// requests are how often paths were asked for that contain part.
func (u *upstream) requests(part string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, path := range u.asked {
		if strings.Contains(path, part) {
			n++
		}
	}
	return n
}

// A module is what an author tagged.
type testModule struct{ Path, Version, Mod, Info, Zip string }

// publish serves a module's version, lists it, and tells the database its hashes. More files are given as name and text.
func (u *upstream) publish(t testing.TB, path, version, gomod string, more ...string) testModule {
	t.Helper()
	m := testModule{Path: path, Version: version, Mod: gomod}
	m.Info = fmt.Sprintf(`{"Version":%q,"Time":"2026-01-02T03:04:05Z"}`, version)
	files := map[string]string{
		path + "@" + version + "/go.mod": gomod,
		path + "@" + version + "/x.go":   "package x // " + version + "\n",
	}
	for i := 0; i < len(more); i += 2 {
		files[path+"@"+version+"/"+more[i]] = more[i+1]
	}
	m.Zip = zipOf(t, files)
	for kind, body := range map[Kind]string{Info: m.Info, Mod: m.Mod, Zip: m.Zip} {
		u.set(Path{Kind: kind, Module: path, Version: version}.String(), body)
	}
	modHash, err := hashMod([]byte(gomod))
	if err != nil {
		t.Fatal(err)
	}
	zipHash, err := hashZip(t.Context(), strings.NewReader(m.Zip), int64(len(m.Zip)), zipLimit)
	if err != nil {
		t.Fatal(err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files[Path{Kind: List, Module: path}.String()] += version + "\n"
	u.sums[path+"@"+version] = fmt.Sprintf("%s %s %s\n%s %s/go.mod %s\n", path, version, zipHash, path, version, modHash)
	return m
}

// grow adds a version to the database's log, which knows what it was asked about.
func (u *upstream) grow(t testing.TB, path, version string) {
	t.Helper()
	resp, err := http.Get(u.URL + "/sumdb/" + sumName + "/lookup/" + path + "@" + version)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the database answers %s about %s@%s", resp.Status, path, version)
	}
}

func zipOf(t testing.TB, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A remote is the least that a format.Remote can be: it asks, judges and keeps, in memory.
type remote struct {
	t       testing.TB
	base    string
	options map[string]string
	offline bool
	now     time.Time

	mu     sync.Mutex
	kept   map[millpond.Key]string
	states map[string]string
}

func newRemote(t testing.TB, u *upstream, options map[string]string) *remote {
	all := map[string]string{}
	for _, o := range (Format{}).Info().Options {
		all[o.Name] = o.Default
	}
	for name, value := range options {
		if _, ok := all[name]; !ok {
			t.Fatalf("there is no option %q", name)
		}
		all[name] = value
	}
	return &remote{t: t, base: u.URL + "/", options: all, now: time.Now(),
		kept: map[millpond.Key]string{}, states: map[string]string{}}
}

func (r *remote) Name() string              { return "upstream" }
func (r *remote) Option(name string) string { return r.options[name] }
func (r *remote) Now() time.Time            { return r.now }

func (r *remote) URL() *url.URL {
	u, err := url.Parse(r.base)
	if err != nil {
		r.t.Fatal(err)
	}
	return u
}

func (r *remote) get(ctx context.Context, at string) (string, *url.URL, error) {
	if r.offline {
		return "", nil, &millpond.Error{Kind: millpond.Offline, Why: "offline"}
	}
	u, err := r.URL().Parse(at)
	if err != nil {
		return "", nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "no answer", Err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return "", nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "cut", Err: err}
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		return "", nil, &millpond.Error{Kind: millpond.NotFound, Why: "the upstream has no " + u.Path}
	case resp.StatusCode != http.StatusOK:
		return "", nil, &millpond.Error{Kind: millpond.BadUpstream, Why: resp.Status}
	}
	return string(b), u, nil
}

func (r *remote) Document(ctx context.Context, q format.Request) (*format.Document, error) {
	text, u, err := r.get(ctx, q.URL)
	if err != nil {
		return nil, err
	}
	return &format.Document{
		ReaderAt: strings.NewReader(text), Closer: io.NopCloser(nil),
		Size: int64(len(text)), Digest: millpond.SHA256([]byte(text)), URL: u,
	}, nil
}

func (r *remote) Open(ctx context.Context, k millpond.Key) (*millpond.Content, error) {
	r.mu.Lock()
	text, held := r.kept[k]
	r.mu.Unlock()
	if !held {
		src := Format{}.Source(r).(source)
		f, err := src.File(ctx, k)
		if err != nil {
			return nil, err
		}
		if text, _, err = r.get(ctx, f.URL); err != nil {
			return nil, err
		}
		if err := src.Sniff(k, []byte(text[:min(512, len(text))])); err != nil {
			return nil, err
		}
		if err := src.Verify(ctx, k, strings.NewReader(text), int64(len(text))); err != nil && !errors.Is(err, format.Unverified) {
			return nil, err
		}
		r.mu.Lock()
		r.kept[k] = text
		r.mu.Unlock()
	}
	return &millpond.Content{
		ReadSeekCloser: struct {
			*strings.Reader
			io.Closer
		}{strings.NewReader(text), io.NopCloser(nil)},
		Size: int64(len(text)), Digest: millpond.SHA256([]byte(text)),
	}, nil
}

func (r *remote) State(_ context.Context, name string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.states[name]; ok {
		return []byte(s), nil
	}
	return nil, nil
}

func (r *remote) SetState(_ context.Context, name string, state []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if state == nil {
		delete(r.states, name)
	} else {
		r.states[name] = string(state)
	}
	return nil
}

func (r *remote) holds(kind Kind, path, version string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.kept[Path{Kind: kind, Module: path, Version: version}.Key()]
	return ok
}

// read is the whole of a file, or the error with which it was refused.
func (r *remote) read(k millpond.Key) (string, error) {
	c, err := r.Open(r.t.Context(), k)
	if err != nil {
		return "", err
	}
	b, err := readAll(c, zipLimit)
	return string(b), err
}
