package npm

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/format"
)

// upstreamBase is the address that the upstream of these tests has.
const upstreamBase = "http://upstream.example/"

// A remote is one upstream, over http, that remembers nothing.
type remote struct {
	name    string
	base    *url.URL
	options map[string]string
	asked   []string // what it was asked for
}

func newRemote(t *testing.T, h http.HandlerFunc) *remote {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL + "/registry/")
	if err != nil {
		t.Fatal(err)
	}
	return &remote{name: "up", base: base}
}

func (r *remote) Name() string              { return r.name }
func (r *remote) URL() *url.URL             { u := *r.base; return &u }
func (r *remote) Option(name string) string { return r.options[name] }
func (r *remote) Now() time.Time            { return now }
func (r *remote) Open(context.Context, millpond.Key) (*millpond.Content, error) {
	return nil, errors.New("no files here")
}
func (r *remote) State(context.Context, string) ([]byte, error)  { return nil, nil }
func (r *remote) SetState(context.Context, string, []byte) error { return nil }

func (r *remote) Document(ctx context.Context, q format.Request) (*format.Document, error) {
	ref, err := url.Parse(q.URL)
	if err != nil {
		return nil, err
	}
	u := r.base.ResolveReference(ref)
	r.asked = append(r.asked, strings.TrimPrefix(u.EscapedPath(), r.base.Path))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", q.Accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "no answer", Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, q.Limit))
	if err != nil || resp.StatusCode != http.StatusOK {
		kind := millpond.BadUpstream
		if resp.StatusCode == http.StatusNotFound {
			kind = millpond.NotFound
		}
		return nil, &millpond.Error{Kind: kind, Why: resp.Status, Err: err}
	}
	return document(body, resp.Request.URL), nil
}

func document(body []byte, at *url.URL) *format.Document {
	return &format.Document{
		ReaderAt: bytes.NewReader(body), Closer: io.NopCloser(nil), Size: int64(len(body)), Digest: millpond.SHA256(body), URL: at,
	}
}

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A layer is a package as one upstream gave it.
type layer struct {
	name string
	text []byte
}

// A shelf is a small repository: the merging and the rules are done by whoever fills it.
type shelf struct {
	said        sync.Map // words of Seldom
	format.Repo          // what these tests do not use is nil
	packages    map[string]*millpond.Package
	texts       map[millpond.Digest][]byte
	files       map[string][]byte // package, a space, file name
	documents   map[millpond.Key][]byte
	failing     map[string]error // by package
	options     map[string]string
	claims      []string
	relay       func(format.Question) (*http.Response, error)
	derived     map[format.Derivation][]byte
	derivations int
	base        string
	private     bool
}

func newShelf() *shelf {
	return &shelf{
		packages: map[string]*millpond.Package{}, texts: map[millpond.Digest][]byte{}, files: map[string][]byte{},
		documents: map[millpond.Key][]byte{}, failing: map[string]error{}, options: map[string]string{},
		derived: map[format.Derivation][]byte{}, base: "http://pond.example/npm/",
	}
}

// put reads the layers' packuments and shows the package as their union.
func (s *shelf) put(t *testing.T, name string, layers ...layer) *millpond.Package {
	t.Helper()
	out := &millpond.Package{Name: name}
	for _, l := range layers {
		p := read(t, name, l.text)
		digest := millpond.SHA256(l.text)
		s.texts[digest] = l.text
		out.Parts = append(out.Parts, millpond.Part{Layer: l.name, Document: digest, Meta: p.Parts[0].Meta})
		for _, v := range p.Versions {
			if v.Layer = l.name; out.Version(v.Name) == nil {
				out.Versions = append(out.Versions, v)
			}
		}
		for _, ref := range p.Refs {
			if ref.Layer = l.name; !slices.ContainsFunc(out.Refs, func(r millpond.Ref) bool { return r.Name == ref.Name }) {
				out.Refs = append(out.Refs, ref)
			}
		}
	}
	slices.SortStableFunc(out.Versions, func(a, b millpond.Version) int { return compareVersions(b.Name, a.Name) })
	s.packages[name] = out
	s.stamp(name)
	return out
}

// stamp gives the package the stamp of what it shows now.
func (s *shelf) stamp(name string) {
	p := s.packages[name]
	p.Stamp = ""
	text, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	p.Stamp = millpond.SHA256(text).Short()
}

// hide keeps versions from readers, as a rule does.
func (s *shelf) hide(name, why string, after time.Time, versions ...string) {
	p := s.packages[name]
	var shown []millpond.Version
	for _, v := range p.Versions {
		if slices.Contains(versions, v.Name) {
			p.Hidden = append(p.Hidden, millpond.Hidden{Version: v, Why: why, After: after})
		} else {
			shown = append(shown, v)
		}
	}
	p.Versions = shown
	s.stamp(name)
}

func read(t *testing.T, name string, text []byte) *millpond.Package {
	t.Helper()
	p, err := readText(name, text)
	if err != nil {
		t.Fatalf("read packument of %s: %v\n%.200s", name, err, text)
	}
	return p
}

func readText(name string, text []byte) (*millpond.Package, error) {
	base, err := url.Parse(upstreamBase + "registry/" + name)
	if err != nil {
		return nil, err
	}
	return readPackument(context.Background(), name, io.NewSectionReader(bytes.NewReader(text), 0, int64(len(text))), int64(len(text)), base)
}

func golden(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(text)
}

func (s *shelf) Package(ctx context.Context, name string) (*millpond.Package, error) {
	if err := s.failing[name]; err != nil {
		return nil, err
	}
	if p := s.packages[name]; p != nil {
		return p, nil
	}
	return nil, &millpond.Error{Kind: millpond.NotFound, Why: "no layer has " + name}
}

func (s *shelf) Stamp(ctx context.Context, name string) (string, time.Time, error) {
	p, err := s.Package(ctx, name)
	if err != nil {
		return "", time.Time{}, err
	}
	return p.Stamp, now.Add(time.Minute), nil
}

func (s *shelf) Kept(_ context.Context, p millpond.Part) (*format.Document, error) {
	return document(s.texts[p.Document], nil), nil
}

func (s *shelf) Document(_ context.Context, k millpond.Key) (*format.Document, error) {
	if body, ok := s.documents[k]; ok {
		return document(body, nil), nil
	}
	return nil, &millpond.Error{Kind: millpond.NotFound, Key: k}
}

func (s *shelf) Open(_ context.Context, k millpond.Key) (*millpond.Content, error) {
	body, ok := s.files[k.Package+" "+k.File]
	if !ok {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: "no such file"}
	}
	return &millpond.Content{ReadSeekCloser: whole{bytes.NewReader(body)}, Size: int64(len(body)), Digest: millpond.SHA256(body)}, nil
}

func (s *shelf) Stat(ctx context.Context, k millpond.Key) (*millpond.Content, error) {
	c, err := s.Open(ctx, k)
	if err != nil {
		return nil, err
	}
	c.ReadSeekCloser = nil
	return c, nil
}

func (s *shelf) Derive(_ context.Context, d format.Derivation, write func(io.Writer) error) (*millpond.Content, error) {
	body, ok := s.derived[d]
	if !ok {
		var out bytes.Buffer
		s.derivations++
		if d.Encoding == "gzip" {
			z := gzip.NewWriter(&out)
			if err := write(z); err != nil {
				return nil, err
			}
			if err := z.Close(); err != nil {
				return nil, err
			}
		} else if err := write(&out); err != nil {
			return nil, err
		}
		body = out.Bytes()
		s.derived[d] = body
	}
	return &millpond.Content{
		ReadSeekCloser: whole{bytes.NewReader(body)}, Size: int64(len(body)), Digest: millpond.SHA256(body), Type: d.Type,
		Encoding: d.Encoding, Modified: now,
	}, nil
}

func (s *shelf) Relay(_ context.Context, q format.Question) (*http.Response, error) {
	if s.relay == nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "the upstream is down"}
	}
	return s.relay(q)
}

func (s *shelf) Claimed(name string) bool {
	return slices.ContainsFunc(s.claims, func(claim string) bool {
		prefix, _ := strings.CutSuffix(claim, "*")
		return strings.HasPrefix(name, prefix)
	})
}

func (s *shelf) Names(context.Context) iter.Seq2[format.Change, error] {
	return func(func(format.Change, error) bool) {}
}
func (s *shelf) Held() format.Repo   { return s }
func (s *shelf) Who() millpond.Actor { return millpond.Actor{} }
func (s *shelf) Tokens(context.Context) ([]format.Token, error) {
	return nil, &millpond.Error{Kind: millpond.Unauthenticated, Why: "nobody is logged in"}
}
func (s *shelf) May(context.Context, millpond.Verb, string) error { return errReadOnly }
func (s *shelf) Hosted(context.Context, string) (*format.Hosting, error) {
	return nil, errReadOnly
}
func (s *shelf) Move(context.Context, string, ...millpond.Ref) error { return errReadOnly }
func (s *shelf) BeginLogin(context.Context) (*format.LoginTicket, error) {
	return nil, errReadOnly
}
func (s *shelf) Revoke(context.Context, string) error { return errReadOnly }
func (s *shelf) Secret(context.Context, string, func() ([]byte, error)) ([]byte, error) {
	return nil, errReadOnly
}

// errReadOnly is what a shelf answers to every change.
var errReadOnly = &millpond.Error{Kind: millpond.Unsupported, Why: "nothing can be put on this shelf"}

func (s *shelf) Refresh(context.Context, string) error { return nil }

func (s *shelf) Seldom(word string, _ time.Duration) bool {
	_, before := s.said.LoadOrStore(word, true)
	return !before // the clock of a shelf stands
}

func (s *shelf) Option(name string) string { return s.options[name] }
func (s *shelf) Name() string              { return "npm" }
func (s *shelf) Now() time.Time            { return now }
func (s *shelf) Public() bool              { return !s.private }
func (s *shelf) Base(*http.Request) *url.URL {
	u, err := url.Parse(s.base)
	if err != nil {
		panic(err)
	}
	return u
}

// full and short are the two forms as they are derived.
func (s *shelf) full(t *testing.T, name string) []byte { return s.form(t, name, (*writer).full) }
func (s *shelf) short(t *testing.T, name string) []byte {
	return s.form(t, name, (*writer).abbreviated)
}

func (s *shelf) form(t *testing.T, name string, write func(*writer, io.Writer) error) []byte {
	t.Helper()
	w, err := newWriter(context.Background(), s, newView(s.packages[name]), s.base)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	var out bytes.Buffer
	if err := write(w, &out); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(out.Bytes()) {
		t.Fatalf("what was written is not JSON: %s", out.Bytes())
	}
	return out.Bytes()
}

// ask sends a request to the handler.
func (s *shelf) ask(method, path string, body io.Reader, header ...string) *http.Response {
	r := newRequest(method, path, header...)
	if body != nil {
		r.Body = io.NopCloser(body)
	}
	return serve(Format{}.Handler(s), r)
}

func askOf(repo format.Repo, method, path string) *http.Response {
	return serve(Format{}.Handler(repo), newRequest(method, path))
}

func newRequest(method, path string, header ...string) *http.Request {
	r := httptest.NewRequest(method, "http://pond.example"+path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			r.Header.Add(header[i], header[i+1])
		}
	}
	return r
}

func serve(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// A moving shelf changes once, after it was asked for a stamp.
type moving struct {
	*shelf
	change func()
}

func (m *moving) Stamp(ctx context.Context, name string) (string, time.Time, error) {
	stamp, fresh, err := m.shelf.Stamp(ctx, name)
	if m.change != nil {
		m.change()
		m.change = nil
	}
	return stamp, fresh, err
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// object decodes a JSON object.
func object(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%v in %.300s", err, text)
	}
	return m
}

// at is a member of nested objects, as JSON; "" if there is none.
func at(m map[string]any, path ...string) string {
	var v any = m
	for _, key := range path {
		o, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		if v, ok = o[key]; !ok {
			return ""
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(b)
}
