package golang

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/blob/mem"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/policy"
	"millpond/repo"
)

// A pond is a real one over an upstream on loopback, served below /golang/ with plain http.
type pond struct {
	*httptest.Server
	t        testing.TB
	repo     *repo.Pond
	config   repo.Config
	settings repo.Settings
	records  *sql.Catalog
	rights   repo.Rights // of every caller; nil is anonymous
	scratch  string
	stop     func() // ends what still runs

	mu    sync.Mutex
	clock time.Duration // how far its clock is ahead
}

func newPond(t testing.TB, at []string, change ...func(*repo.Config)) *pond {
	t.Helper()
	p := &pond{t: t, scratch: filepath.Join(t.TempDir(), "scratch")}
	records, err := sql.Open(t.Context(), t.TempDir(), sql.Options{Now: p.now})
	if err != nil {
		t.Fatal(err)
	}
	p.records = records
	engine := &fetch.Engine{Blobs: mem.New(), Now: p.now}
	p.repo, err = repo.New(t.Context(), repo.Parts{Blobs: engine.Blobs, Catalog: records, Fetch: engine, Now: p.now, Scratch: p.scratch})
	if err != nil {
		t.Fatal(err)
	}
	p.config = repo.Config{Name: "golang", Format: Format{}, Public: true, Options: map[string]string{}}
	for _, one := range at {
		u, err := url.Parse(one + "/")
		if err != nil {
			t.Fatal(err)
		}
		p.config.Upstreams = append(p.config.Upstreams, repo.Upstream{Settings: fetch.Settings{URL: u}})
	}
	for _, f := range change {
		f(&p.config)
	}
	p.configure()
	p.Server = httptest.NewServer(http.StripPrefix("/golang", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Format{}.Handler(p.repo.Repository("golang").For(p.caller())).ServeHTTP(w, r)
	})))
	p.stop = sync.OnceFunc(func() {
		p.Server.CloseClientConnections()
		p.Server.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what still downloads is stopped
		p.repo.Close(ctx)
		engine.Close(ctx)
	})
	t.Cleanup(func() {
		p.stop()
		if err := records.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// configure puts the pond's config and settings in force.
func (p *pond) configure() {
	p.t.Helper()
	if err := p.repo.Configure(p.t.Context(), p.settings, []repo.Config{p.config}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pond) now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Add(p.clock)
}

// pass lets time go by.
func (p *pond) pass(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock += d
}

// An answer is one as a client has it.
type answer struct {
	Status int
	Header http.Header
	Body   string
	Err    error // of the body: a cut one ends in an error
}

func (p *pond) caller() repo.Caller {
	if p.rights == nil {
		return repo.Caller{}
	}
	return repo.Caller{Actor: millpond.Actor{Name: "owner"}, Rights: p.rights}
}

func (p *pond) do(method, path string, header ...string) answer {
	p.t.Helper()
	return p.send(method, path, nil, header...)
}

func (p *pond) send(method, path string, body []byte, header ...string) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.URL+"/golang"+path, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return answer{Err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b), err}
}

func (p *pond) get(path string, header ...string) answer {
	return p.do(http.MethodGet, path, header...)
}

// want fails the test unless a GET has the status and the body; body "*" is any.
func (p *pond) want(path string, status int, body string, header ...string) answer {
	p.t.Helper()
	a := p.get(path, header...)
	if a.Err != nil || a.Status != status || body != "*" && a.Body != body {
		p.t.Errorf("GET %s: %d %.300q, %v; want %d %.300q", path, a.Status, a.Body, a.Err, status, body)
	}
	return a
}

// event waits for the next event of a verb after a number.
func (p *pond) event(verb string, after int64) millpond.Event {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	var seen []string
	for e, err := range p.records.Events(ctx, after) {
		if err != nil {
			break
		}
		if e.Verb == verb {
			return e
		}
		seen = append(seen, e.Verb)
	}
	p.t.Fatalf("no event %q after %d; there were %q", verb, after, seen)
	return millpond.Event{}
}

// rules puts rules in force, each a map as YAML has them.
func (p *pond) rules(rules ...map[string]any) {
	p.t.Helper()
	parsed, err := policy.Parse(rules)
	if err != nil {
		p.t.Fatal(err)
	}
	p.config.Policy = parsed
	p.configure()
}

func option(name, value string) func(*repo.Config) {
	return func(c *repo.Config) { c.Options[name] = value }
}

func verifiedBy(u *upstream) func(*repo.Config) { return option("sumdb", u.Database) }
