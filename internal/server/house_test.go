package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/mem"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/format"
	"millpond/format/golang"
	"millpond/format/npm"
	"millpond/format/pypi"
	"millpond/internal/auth"
	"millpond/repo"
)

// paper is a format that is as small as can be, and does all that a format can: it reads no upstream, and serves
// /<package>/<version>. PUT publishes there, PATCH yanks, DELETE removes.
type paper struct{ format.Format }

func (paper) Info() format.Info { return format.Info{Name: "paper", Title: "Papers", PURL: "paper"} }
func (paper) Canon(name string) (string, error) {
	if name == "" || strings.ContainsAny(name, " /\\\x00") {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: "that is no name"}
	}
	return strings.ToLower(name), nil
}
func (paper) Compare(a, b string) int            { return strings.Compare(a, b) }
func (paper) Match(spec, v string) (bool, error) { return spec == v, nil }
func (paper) Source(format.Remote) format.Source { return format.NoSource{} }
func (paper) Handler(r format.Repo) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := servePaper(w, req, r); err != nil {
			why, _ := format.Words(err)
			format.Fail(w, req, r.Now(), err, format.Failure{Type: "text/plain", Body: why + "\n"})
		}
	})
}

func servePaper(w http.ResponseWriter, req *http.Request, r format.Repo) error {
	name, version, _ := strings.Cut(strings.TrimPrefix(req.URL.EscapedPath(), "/"), "/")
	name, err := url.PathUnescape(name)
	if err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: "escapes"}
	}
	if name, err = (paper{}).Canon(name); err != nil {
		return err
	}
	if strings.ContainsAny(version, "/%") {
		return &millpond.Error{Kind: millpond.Invalid, Why: "that is no version"}
	}
	k := millpond.Key{Package: name, Version: version, File: "text"}
	switch req.Method {
	case "PUT":
		done, err := (paper{}).PublishFile(req.Context(), r, format.PublishedFile{Name: name + "-" + version, Size: req.ContentLength, Body: req.Body})
		if err == nil {
			fmt.Fprint(w, done.Key.Version)
		}
		return err
	case "DELETE":
		return r.Delete(req.Context(), format.Deletion{Key: millpond.Key{Package: name, Version: version}})
	case "PATCH":
		return r.Amend(req.Context(), format.Amendment{Package: name, Version: version, Verb: "yank", Edit: func(now *format.Hosting) error {
			v := now.Version(version)
			if v == nil {
				return &millpond.Error{Kind: millpond.NotFound, Why: "no such version"}
			}
			v.Yanked = true
			return nil
		}})
	}
	c, err := format.Find(req, r, k)
	if err != nil {
		return err
	}
	return format.Serve(w, req, c)
}

func (paper) PublishFile(ctx context.Context, r format.Repo, f format.PublishedFile) (*format.Published, error) {
	name, version := strings.TrimSuffix(f.Name, ".paper"), ""
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		name, version = name[:i], name[i+1:]
	}
	if version == "" {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "a paper is called name-version"}
	}
	name, err := (paper{}).Canon(name)
	if err != nil {
		return nil, err
	}
	if err := r.May(ctx, millpond.VerbPublish, name); err != nil {
		return nil, err
	}
	up, err := r.Upload(ctx, format.Uploading{Package: name, Size: f.Size})
	if err != nil {
		return nil, err
	}
	defer up.Close()
	if _, err := io.Copy(up, f.Body); err != nil {
		return nil, errors.Join(err, up.Discard())
	}
	size := up.Size()
	d, err := up.Commit(ctx)
	if err != nil {
		return nil, err
	}
	k := millpond.Key{Package: name, Version: version, File: "text"}
	done, err := r.Publish(ctx, format.Release{Package: name, Version: millpond.Version{Name: version, Files: []millpond.File{{Name: "text", Size: size, Blob: d, Type: "text/plain"}}}})
	if err != nil {
		return nil, err
	}
	return &format.Published{Key: k, New: done.New}, nil
}

// A house is a whole pond in memory but for its catalog, with people, behind a Server.
type house struct {
	t        testing.TB
	catalog  *sql.Catalog
	pond     *repo.Pond
	auth     *auth.Auth
	server   *Server
	log      bytes.Buffer
	clock    atomic.Int64
	upstream atomic.Int64 // requests that reached an upstream
	upURL    *url.URL
	admin    string // a token
	people   auth.Settings
}

func (h *house) now() time.Time { return time.Unix(0, h.clock.Load()) }

// wide settings of houses.
const housePublic = "https://pond.example/"

// newHouse starts one: public "pub", private "priv" and "other" of papers, volatile "draft", and private repositories of the real formats with
// an upstream that counts.
func newHouse(t testing.TB, change ...func(*Parts)) *house {
	t.Helper()
	return newHouseOn(t, mem.New(), change...)
}

// newHouseOn is newHouse with a store of the test's.
func newHouseOn(t testing.TB, store blob.Store, change ...func(*Parts)) *house {
	t.Helper()
	ctx := t.Context()
	h := &house{t: t}
	h.clock.Store(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).UnixNano())
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.upstream.Add(1)
		http.NotFound(w, r)
	}))
	t.Cleanup(up.Close)
	h.upURL, _ = url.Parse(up.URL + "/")
	var err error
	if h.catalog, err = sql.Open(ctx, t.TempDir(), sql.Options{Now: h.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.catalog.Close() })
	engine := &fetch.Engine{Blobs: store}
	if h.pond, err = repo.New(ctx, repo.Parts{Blobs: store, Catalog: h.catalog, Fetch: engine, Now: h.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.pond.Close(context.WithoutCancel(ctx)) })
	upstream := []repo.Upstream{{Settings: fetch.Settings{Name: "up", URL: h.upURL}}}
	configs := []repo.Config{
		{Name: "pub", Format: paper{}, Public: true}, {Name: "priv", Format: paper{}, Unpublish: true}, {Name: "other", Format: paper{}}, {Name: "draft", Format: paper{}, Volatile: true},
		{Name: "py", Format: pypi.Format{}, Upstreams: upstream}, {Name: "node", Format: npm.Format{}, Upstreams: upstream}, {Name: "mods", Format: golang.Format{}, Upstreams: upstream},
	}
	if err := h.pond.Configure(ctx, repo.Settings{}, configs); err != nil {
		t.Fatal(err)
	}
	if h.auth, err = auth.New(ctx, auth.Parts{Catalog: h.catalog, Secrets: keys{}, Now: h.now}); err != nil {
		t.Fatal(err)
	}
	settings := auth.Settings{PublicURL: housePublic, Passwords: true}
	var list []Repository
	for _, one := range h.pond.Repositories() {
		c := one.Config()
		a := auth.Repository{Name: c.Name, Format: c.Format.Info().Name, Audience: c.Format.Info().Audience}
		if c.Public {
			a.Read = []string{"anonymous"}
		}
		settings.Repositories = append(settings.Repositories, a)
		list = append(list, one)
	}
	h.people = settings
	if err := h.auth.Configure(settings); err != nil {
		t.Fatal(err)
	}
	parts := Parts{Pond: h.pond, Callers: h.auth, People: h.auth, Records: h.catalog, Version: "test",
		Access: slog.NewJSONHandler(&h.log, nil), Log: slog.New(slog.NewJSONHandler(&h.log, nil))}
	for _, f := range change {
		f(&parts)
	}
	h.server = New(parts)
	public, _ := url.Parse(housePublic)
	if err := h.server.Configure(Settings{PublicURL: public, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, list); err != nil {
		t.Fatal(err)
	}
	h.server.SetReady("")
	secret, err := h.auth.SetupSecret(ctx)
	if err != nil || secret == "" {
		t.Fatalf("setup secret: %q, %v", secret, err)
	}
	var made TokenDocument
	h.ask("", "POST", "/-/api/setup", SetupDocument{Secret: secret, Name: "root", Password: "correct horse battery"}, 200, &made)
	h.admin = made.Secret
	return h
}

// send sends a request with a credential, an Authorization header or nothing.
func (h *house) send(authorization, method, path string, body io.Reader, change ...func(*http.Request)) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequest(method, "http://pond.example/", body)
	p, query, _ := strings.Cut(path, "?")
	raw, err := url.PathUnescape(p)
	if err != nil {
		h.t.Fatalf("path %q: %v", p, err)
	}
	r.URL = &url.URL{Path: raw, RawPath: p, RawQuery: query}
	r.RemoteAddr = "192.0.2.7:5000"
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.server.ServeHTTP(w, r)
	return w
}

// keys keeps one key.
type keys struct{}

func (keys) Secret(_ context.Context, name string, _ func() ([]byte, error)) ([]byte, error) {
	return []byte("key of " + name), nil
}

func bearer(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}

func basicAuth(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// ask sends a document to the API, wants a status, and reads the answer into out if it is not nil.
func (h *house) ask(token, method, path string, in any, status int, out any) *httptest.ResponseRecorder {
	h.t.Helper()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			h.t.Fatal(err)
		}
		body = bytes.NewReader(raw)
	}
	w := h.send(bearer(token), method, path, body)
	if w.Code != status {
		h.t.Fatalf("%s %s = %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			h.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return w
}

// user makes a service with roles in repositories, "role repository names" each, and a token of it.
func (h *house) user(name string, grants ...string) string {
	h.t.Helper()
	h.ask(h.admin, "POST", "/-/api/services", NewService{Name: name}, 204, nil)
	for _, g := range grants {
		f := strings.Fields(g + " *")
		h.ask(h.admin, "POST", "/-/api/grants", NewGrant{Subject: "user:" + name, Role: auth.Role(f[0]), Repository: f[1], Names: f[2]}, 200, nil)
	}
	var made TokenDocument
	h.ask(h.admin, "POST", "/-/api/services/"+name+"/tokens", NewToken{Name: "t"}, 200, &made)
	return made.Secret
}

// events counts those in the log.
func (h *house) events() int64 {
	head, err := h.catalog.Head(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return head.Seq
}
