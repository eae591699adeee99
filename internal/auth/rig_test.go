package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/repo"
)

// records is a small catalog in memory: entries, settings and events, with transactions that can be undone.
type records struct {
	mu       sync.Mutex
	now      func() time.Time
	entries  map[[2]string]catalog.Entry
	settings map[string]json.RawMessage
	events   []millpond.Event
	ill      error // what every transaction answers
}

type recordsTx struct {
	catalog.Hosted
	*records
	by millpond.Actor
}

func newRecords(now func() time.Time) *records {
	return &records{now: now, entries: map[[2]string]catalog.Entry{}, settings: map[string]json.RawMessage{}}
}

func (r *records) View(_ context.Context, f func(catalog.Tx) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ill != nil {
		return r.ill
	}
	return f(&recordsTx{records: r})
}

func (r *records) Update(_ context.Context, by millpond.Actor, f func(catalog.Tx) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ill != nil {
		return r.ill
	}
	entries, settings, events := maps.Clone(r.entries), maps.Clone(r.settings), len(r.events)
	err := f(&recordsTx{records: r, by: by})
	if err != nil {
		r.entries, r.settings, r.events = entries, settings, r.events[:events]
	}
	return err
}

func (t *recordsTx) Emit(e millpond.Event) error {
	e.Actor, e.Seq, e.Time = t.by, int64(len(t.events)+1), t.now()
	t.events = append(t.events, e)
	return nil
}

func (t *recordsTx) Setting(name string) (json.RawMessage, error) { return t.settings[name], nil }

func (t *recordsTx) SetSetting(name string, v json.RawMessage) error {
	t.settings[name] = v
	return nil
}

func (t *recordsTx) live(e catalog.Entry) bool { return e.Expires.IsZero() || e.Expires.After(t.now()) }

func (t *recordsTx) Entry(kind, id string) (*catalog.Entry, error) {
	e, ok := t.entries[[2]string{kind, id}]
	if !ok || !t.live(e) {
		return nil, &millpond.Error{Kind: millpond.NotFound}
	}
	return &e, nil
}

func (t *recordsTx) some(want func(e catalog.Entry) bool) iter.Seq2[*catalog.Entry, error] {
	return func(yield func(*catalog.Entry, error) bool) {
		for _, k := range slices.SortedFunc(maps.Keys(t.entries), func(a, b [2]string) int { return strings.Compare(a[1], b[1]) }) {
			if e := t.entries[k]; want(e) && t.live(e) && !yield(&e, nil) {
				return
			}
		}
	}
}

func (t *recordsTx) EntriesOf(kind, owner string) iter.Seq2[*catalog.Entry, error] {
	return t.some(func(e catalog.Entry) bool { return e.Kind == kind && e.Owner == owner })
}

func (t *recordsTx) Entries(kind, after string) iter.Seq2[*catalog.Entry, error] {
	return t.some(func(e catalog.Entry) bool { return e.Kind == kind && e.ID > after })
}

func (t *recordsTx) PutEntry(e *catalog.Entry) error {
	t.entries[[2]string{e.Kind, e.ID}] = *e
	return nil
}

func (t *recordsTx) AddEntry(e *catalog.Entry) error {
	if _, err := t.Entry(e.Kind, e.ID); err == nil {
		return &millpond.Error{Kind: millpond.Conflict}
	}
	return t.PutEntry(e)
}

func (t *recordsTx) DropEntry(kind, id string) error {
	if _, err := t.Entry(kind, id); err != nil {
		return err
	}
	delete(t.entries, [2]string{kind, id})
	return nil
}

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rig is an Auth with an administrator "root", and all that it logs.
type rig struct {
	t *testing.T
	*Auth
	records *records
	clock   *clock
	logged  *bytes.Buffer
	root    repo.Caller
	secrets []string // all that were ever handed out
}

const rootPassword = "canary-root-password"

func settings() Settings {
	return Settings{
		PublicURL: "https://pond.example/", Passwords: true,
		Repositories: []Repository{
			{Name: "open", Format: "pypi", Read: []string{"anonymous"}},
			{Name: "team", Format: "npm", Audience: "npm", Read: []string{"authenticated"}, Publish: []string{"group:dev"}},
			{Name: "secret", Format: "npm", Audience: "npm", Own: []string{"user:olga"}},
		},
	}
}

func start(t *testing.T) *rig {
	t.Helper()
	c := &clock{now: time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)}
	return startOn(t, newRecords(c.Now), c)
}

func startOn(t *testing.T, on *records, c *clock) *rig {
	t.Helper()
	r := &rig{t: t, records: on, clock: c, logged: new(bytes.Buffer)}
	var err error
	r.Auth, err = New(t.Context(), Parts{Catalog: on, Now: c.Now, Log: slog.New(slog.NewTextHandler(r.logged, nil))})
	r.must(err)
	r.must(r.Configure(settings()))
	secret, err := r.SetupSecret(t.Context())
	r.must(err)
	if secret == "" {
		return r // another node of a pond that is set up
	}
	s, err := r.SetUp(t.Context(), "127.0.0.1", secret, "root", rootPassword)
	r.must(err)
	r.root = s.Caller
	r.secrets = append(r.secrets, secret, s.Cookie, rootPassword)
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) kind(what string, err error, want millpond.Kind) {
	r.t.Helper()
	if err == nil || !millpond.Is(err, want) {
		r.t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// user makes somebody with grants "role repository names", and returns a caller with no token.
func (r *rig) user(name string, grants ...string) repo.Caller {
	r.t.Helper()
	r.must(r.AddUser(r.t.Context(), r.root, User{Name: name}, "canary-password-"+name))
	r.secrets = append(r.secrets, "canary-password-"+name)
	for _, g := range grants {
		f := strings.Fields(g)
		_, err := r.AddGrant(r.t.Context(), r.root, Grant{Subject: "user:" + name, Role: Role(f[0]), Repository: f[1], Names: f[2]})
		r.must(err)
	}
	return r.as(name)
}

// as is a user's caller as a password makes it.
func (r *rig) as(name string) repo.Caller {
	r.t.Helper()
	i := r.state.Load().byUser(name)
	if i == nil {
		r.t.Fatalf("there is no %s", name)
	}
	return r.caller(i, "192.0.2.7")
}

// token makes a token of a caller's and returns the secret.
func (r *rig) token(c repo.Caller, t token) string {
	r.t.Helper()
	made, err := r.newToken(r.t.Context(), c, c.Name, shownForTest(t))
	r.must(err)
	r.secrets = append(r.secrets, made.Secret)
	return made.Secret
}

// with is a request with headers "Name: value".
func with(target string, headers ...string) *http.Request {
	req := httptest.NewRequest(http.MethodGet, target, nil)
	req.RemoteAddr = "192.0.2.7:4711"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	return req
}

func basicOf(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// identify is who a request comes from.
func (r *rig) identify(req *http.Request) (repo.Caller, error) { return r.Identify(r.t.Context(), req) }

// bearer is the caller that a token stands for.
func (r *rig) bearer(secret string) repo.Caller {
	r.t.Helper()
	c, err := r.identify(with("/team/x", "Authorization: Bearer "+secret))
	r.must(err)
	return c
}

var errIll = errors.New("the disk is gone")
