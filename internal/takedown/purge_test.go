package takedown_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/internal/takedown"
	"millpond/repo"
)

// takeDown writes what the pond writes of a takedown.
func takeDown(t *testing.T, c *sql.Catalog, id string) {
	t.Helper()
	raw, err := json.Marshal(repo.Takedown{ID: id, Format: "npm", Package: "x", Why: "harm", By: "ann"})
	must(t, err)
	must(t, c.Update(t.Context(), millpond.Actor{Name: "ann"}, func(tx catalog.Tx) error {
		return tx.Emit(millpond.Event{Verb: repo.VerbTakedown, Detail: raw})
	}))
}

func count(t *testing.T, c *sql.Catalog, verb string) (n int) {
	t.Helper()
	for _, err := range c.Find(t.Context(), catalog.Filter{Verb: verb}) {
		must(t, err)
		n++
	}
	return n
}

// The address is told of every takedown once, those of before it was named and those while nobody ran it too; that it does
// not hear is tried again, and an event.
func TestPurge(t *testing.T) {
	c, err := sql.Open(t.Context(), t.TempDir(), sql.Options{})
	must(t, err)
	defer c.Close()
	told := make(chan takedown.Notice, 10)
	var refuse atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse.Add(-1) >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var n takedown.Notice
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil || r.Method != "POST" || r.Header.Get("Authorization") != "Bearer abc" {
			t.Errorf("got %s, %v, %v", r.Method, r.Header, err)
		}
		told <- n
	}))
	defer server.Close()
	at, err := url.Parse(server.URL + "/purge?key=hunter2")
	must(t, err)
	post, err := fetch.PostTo(at, "abc", 10*time.Second)
	must(t, err)
	run := func() (stop func()) {
		p := &takedown.Purge{URL: at, Post: post, Catalog: c, Log: slog.New(slog.DiscardHandler), Wait: time.Millisecond,
			Places: func(format string) []string { return []string{"/" + format + "/"} }}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.Run(ctx) }()
		return func() { cancel(); <-done }
	}
	wantNext := func(what string, ids ...string) {
		t.Helper()
		var got []string
		for len(got) < len(ids) {
			select {
			case n := <-told:
				for _, one := range n.Takedowns {
					if one.Package != "x" || one.Why != "harm" || len(one.Paths) != 1 || one.Paths[0] != "/npm/" {
						t.Errorf("%s: told %+v", what, one)
					}
					got = append(got, one.ID)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s: told %q; want %q", what, got, ids)
			}
		}
		if strings.Join(got, " ") != strings.Join(ids, " ") {
			t.Errorf("%s: told %q; want %q", what, got, ids)
		}
	}
	takeDown(t, c, "t1")
	takeDown(t, c, "t2")
	stop := run()
	wantNext("from before", "t1", "t2")
	takeDown(t, c, "t3")
	wantNext("while it runs", "t3")
	refuse.Store(5)
	takeDown(t, c, "t4")
	wantNext("after five failures", "t4")
	for e, err := range c.Events(t.Context(), 0) {
		must(t, err)
		if e.Verb == "purged" {
			break
		}
	}
	stop()
	if failed, well := count(t, c, "purge failed"), count(t, c, "purged"); failed != 1 || well != 1 {
		t.Errorf("%d events of failure and %d of recovery; want one each", failed, well)
	}
	for e, err := range c.Find(t.Context(), catalog.Filter{Verb: "purge failed"}) {
		must(t, err)
		if s := string(e.Detail); !strings.Contains(s, "503") || !strings.Contains(s, "t4") || strings.Contains(s, "hunter2") || e.Actor.Name != "pond" {
			t.Errorf("the event: %s of %s", s, e.Actor.Name)
		}
	}
	takeDown(t, c, "t5")
	stop = run()
	wantNext("from while nobody ran it, and nothing twice", "t5")
	stop()
	if len(told) > 0 {
		t.Errorf("told once more: %+v", <-told)
	}
}
