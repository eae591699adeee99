package npm

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/blob/mem"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/fetch/faulty"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/repo"
)

// A press is a real repository that a team publishes to, with callers who may do what they may.
type press struct {
	t        *testing.T
	pond     *repo.Pond
	up       *faulty.Server
	url      string // of the repository, with a slash at its end
	accounts *book
	records  catalog.Catalog
}

// rights are verbs.
type rights []millpond.Verb

func (r rights) May(v millpond.Verb, _, _ string) bool {
	for _, one := range r {
		if one == v {
			return true
		}
	}
	return false
}

func (r rights) Scope(v millpond.Verb, _ string) string {
	if r.May(v, "", "") {
		return "*"
	}
	return ""
}

func (r rights) Now(catalog.Tx) (repo.Rights, error) { return r, nil }

// callers are by token.
var callers = map[string]struct { // never changed
	name string
	may  rights
}{
	"ada-token":    {"ada", millpond.Verbs()},
	"pub-token":    {"pub", rights{millpond.VerbRead, millpond.VerbPublish}},
	"reader-token": {"reader", rights{millpond.VerbRead}},
}

// secrets are in memory.
type secrets struct {
	mu   sync.Mutex // guards kept
	kept map[string][]byte
}

func (s *secrets) Secret(_ context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.kept[name]; b != nil {
		return b, nil
	}
	b, err := make()
	if err == nil {
		s.kept[name] = b
	}
	return b, err
}

func newPress(t *testing.T, changes ...func(*repo.Config)) *press {
	t.Helper()
	ctx := context.Background()
	p := &press{t: t, up: faulty.New(t), accounts: &book{tokens: map[string]*format.Token{}}}
	records, err := sql.Open(ctx, t.TempDir(), sql.Options{})
	p.records = records
	if err != nil {
		t.Fatal(err)
	}
	blobs := mem.New()
	p.pond, err = repo.New(ctx, repo.Parts{
		Blobs: blobs, Catalog: records, Fetch: &fetch.Engine{Blobs: blobs, Now: formattest.Epoch}, Now: formattest.Epoch,
		Secrets: &secrets{kept: map[string][]byte{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(p.up.URL + root)
	if err != nil {
		t.Fatal(err)
	}
	c := repo.Config{
		Name: "r", Format: Format{}, Public: true, Unpublish: true, Union: true, Claims: []string{"@acme/*"},
		Upstreams: []repo.Upstream{{Settings: fetch.Settings{Name: "up", URL: at, FirstByte: 2 * time.Second, Idle: time.Second}}},
	}
	for _, change := range changes {
		change(&c)
	}
	if err := p.pond.Configure(ctx, repo.Settings{}, []repo.Config{c}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(p.serve))
	p.url = server.URL + "/r/"
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := p.pond.Close(ctx); err != nil {
			t.Errorf("close the pond: %v", err)
		}
		if err := records.Close(); err != nil {
			t.Errorf("close the catalog: %v", err)
		}
	})
	return p
}

// as is the repository as the owner of a token uses it.
func (p *press) as(token string) format.Repo {
	caller := repo.Caller{Accounts: &door{book: p.accounts}}
	if c, ok := callers[token]; ok {
		caller.Actor, caller.Rights = millpond.Actor{Name: c.name}, c.may
		caller.Accounts = &door{book: p.accounts, name: c.name}
	} else if owner := p.accounts.owner(token); owner != "" {
		caller.Actor, caller.Rights = millpond.Actor{Name: owner}, rights(millpond.Verbs())
		caller.Accounts = &door{book: p.accounts, name: owner}
	}
	return p.pond.Repository("r").For(caller)
}

func (p *press) serve(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/r")
	if !ok {
		http.NotFound(w, r)
		return
	}
	u := *r.URL
	u.RawPath = rest
	u.Path, _ = url.PathUnescape(rest)
	inner := r.WithContext(repo.WithTrace(r.Context(), &repo.Trace{}))
	inner.URL = &u
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	Format{}.Handler(p.as(token)).ServeHTTP(w, inner)
}

// ask sends a request with a token and returns status and body.
func (p *press) ask(token, method, path string, body []byte, header ...string) (int, string) {
	p.t.Helper()
	req, err := http.NewRequest(method, p.url+path, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// want asks and fails the test if the status is another.
func (p *press) want(status int, token, method, path string, body []byte, header ...string) string {
	p.t.Helper()
	got, text := p.ask(token, method, path, body, header...)
	if got != status {
		p.t.Errorf("%s %s as %q: got %d %.300s, want %d", method, path, token, got, text, status)
	}
	return text
}

// doc is a packument that is to be had.
func (p *press) doc(path string, header ...string) map[string]any {
	p.t.Helper()
	return object(p.t, []byte(p.want(200, "ada-token", "GET", path, nil, header...)))
}

// A job is a publish, which a test spoils.
type job struct {
	name, version string
	tags          map[string]string
	tgz           []byte
	manifest      map[string]any
	doc           map[string]any // what the body has besides; nil members are left out
	bundle        string
	first         bool // _attachments come first
}

func newJob(name, version string) *job {
	return &job{
		name: name, version: version, tgz: tarball(name, formattest.Release{Version: version}),
		tags: map[string]string{"latest": version}, manifest: map[string]any{}, doc: map[string]any{},
	}
}

// body is what npm sends.
func (j *job) body() []byte {
	sum1, sum512 := sha1.Sum(j.tgz), sha512.Sum512(j.tgz)
	manifest := map[string]any{
		"_id": j.name + "@" + j.version, "name": j.name, "version": j.version, "description": "pressed", "license": "MIT",
		"readme": "# of the manifest",
		"dist": map[string]any{
			"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum512[:]), "shasum": hex.EncodeToString(sum1[:]),
			"tarball": "http://elsewhere.example/" + j.name + ".tgz",
		},
	}
	for key, value := range j.manifest {
		manifest[key] = value
	}
	attachments := map[string]any{
		"../../" + j.name + ".tgz": map[string]any{
			"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(j.tgz), "length": len(j.tgz),
		},
	}
	if j.bundle != "" {
		attachments[j.name+".sigstore"] = map[string]any{"content_type": "application/vnd.dev.sigstore.bundle+json", "data": j.bundle, "length": len(j.bundle)}
	}
	doc := map[string]any{
		"_id": j.name, "name": j.name, "dist-tags": j.tags, "versions": map[string]any{j.version: manifest}, "access": nil,
		"_attachments": attachments,
	}
	for key, value := range j.doc {
		if doc[key] = value; value == nil {
			delete(doc, key)
		}
	}
	text, err := json.Marshal(doc) // "_attachments" sorts first
	if err != nil {
		panic(err)
	}
	if j.first {
		return text
	}
	at, ok := doc["_attachments"]
	if !ok {
		return text
	}
	delete(doc, "_attachments")
	rest, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	last, err := json.Marshal(at)
	if err != nil {
		panic(err)
	}
	return append(append(append(rest[:len(rest)-1], `,"_attachments":`...), last...), '}')
}

func (p *press) put(status int, token string, j *job) string {
	p.t.Helper()
	return p.want(status, token, "PUT", escapeName(j.name), j.body())
}

// A book keeps the accounts of these tests: one person, ada, whose password is "correct".
type book struct {
	mu      sync.Mutex // guards what follows
	tokens  map[string]*format.Token
	tickets map[string]bool // whether the person has logged in
	made    int
}

func (b *book) owner(secret string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.tokens[secret]; t != nil {
		return t.Owner
	}
	return ""
}

func (b *book) make(t format.Token, owner string) *format.Token {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made++
	t.ID, t.Owner, t.Created = string(rune('a'+b.made))+"id", owner, formattest.Epoch()
	t.Secret = "mp_" + t.ID + "_secret"
	b.tokens[t.Secret] = &t
	return &t
}

// A door is the book as one caller has it.
type door struct {
	*book
	name string
}

var errTest = &millpond.Error{Kind: millpond.Unauthenticated, Why: "not this"}

func (d *door) Who() millpond.Actor { return millpond.Actor{Name: d.name} }

func (d *door) Login(_ context.Context, name, password string, _ format.Token) (*format.Token, error) {
	if name != "ada" || password != "correct" {
		return nil, errTest
	}
	return d.make(format.Token{Name: "login"}, name), nil
}

func (d *door) BeginLogin(context.Context) (*format.LoginTicket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tickets == nil {
		d.tickets = map[string]bool{}
	}
	d.tickets["t1"] = false
	return &format.LoginTicket{ID: "t1", URL: "http://pond.example/-/login?t1"}, nil
}

func (d *door) PollLogin(_ context.Context, ticket string) (*format.Token, error) {
	d.mu.Lock()
	in, known := d.tickets[ticket]
	d.mu.Unlock()
	switch {
	case !known:
		return nil, &millpond.Error{Kind: millpond.NotFound, Why: "no such login"}
	case !in:
		return nil, &millpond.Error{Kind: millpond.Throttled, Why: "not yet", After: formattest.Epoch().Add(3 * time.Second)}
	}
	return d.make(format.Token{Name: "web"}, "ada"), nil
}

func (d *door) Tokens(context.Context) ([]format.Token, error) {
	if d.name == "" {
		return nil, errTest
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []format.Token
	for _, t := range d.tokens {
		one := *t
		one.Secret = ""
		all = append(all, one)
	}
	return all, nil
}

func (d *door) NewToken(_ context.Context, t format.Token) (*format.Token, error) {
	if d.name == "" {
		return nil, errTest
	}
	return d.make(t, d.name), nil
}

func (d *door) Revoke(_ context.Context, token string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for secret, t := range d.tokens {
		if secret == token || t.ID == token {
			delete(d.tokens, secret)
			return nil
		}
	}
	return &millpond.Error{Kind: millpond.NotFound, Why: "no such token"}
}

func (d *door) Exchange(_ context.Context, identity, pkg string) (*format.Token, error) {
	if identity != "job-identity" || pkg != "@acme/ci" {
		return nil, &millpond.Error{Kind: millpond.Denied, Why: "no publisher rule fits"}
	}
	return d.make(format.Token{Name: "ci", Names: []string{pkg}, Expires: formattest.Epoch().Add(15 * time.Minute)}, "ci"), nil
}

func releaseOf(version string) formattest.Release { return formattest.Release{Version: version} }

func keysObject() faulty.Object {
	return faulty.Object{Body: []byte(`{"keys":[{"keyid":"SHA256:theirs","key":"AAAA"}]}`), Type: "application/json"}
}
