package repo_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"millpond/repo"
)

// TestAClientThatWantsNothingOld asks for an index with Cache-Control: the upstream is asked once in a while, however many
// want it, and stays the only reason for a wait.
func TestAClientThatWantsNothingOld(t *testing.T) {
	r := newRig(t)
	r.put("alpha", "1.0", []byte("PK\x03\x04one"))
	index := func(control string) reply {
		t.Helper()
		return r.do("GET", "/r/simple/alpha/", http.Header{"Accept": {"application/vnd.pypi.simple.v1+json"}, "Cache-Control": {control}})
	}
	asked := func(what string, want int, do func()) {
		t.Helper()
		before := len(r.up.Requests("/simple/alpha/"))
		do()
		if got := len(r.up.Requests("/simple/alpha/")) - before; got != want {
			t.Errorf("%s: %d upstream requests, want %d", what, got, want)
		}
	}
	shows := func(what string, a reply, want bool) {
		t.Helper()
		if got := contains(a.Body, "alpha-2.0"); a.Status != 200 || got != want {
			t.Errorf("%s: got %s, want the new version in it: %t", what, a, want)
		}
	}
	asked("cold", 1, func() { index("no-cache") })
	r.put("alpha", "2.0", []byte("PK\x03\x04two"))
	asked("what is young enough", 0, func() { shows("young", index("no-cache"), false) })
	r.pass(6 * time.Second)
	asked("pip's max-age=0", 0, func() { shows("max-age", index("max-age=0"), false) })
	asked("fifty at once", 1, func() {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { shows("one of fifty", index("max-age=0, No-Cache"), true) })
		}
		all.Wait()
	})
	r.withdraw(r.pages["alpha"][1])
	r.pass(6 * time.Second)
	asked("again too soon", 0, func() { shows("too soon", index("no-cache"), true) })
	r.pass(6 * time.Second)
	asked("again later", 1, func() { shows("later", index("no-cache"), false) })
	r.pass(11 * time.Second)
	asked("nobody wants it", 0, func() { index("") })
	r.up.Order("/simple/alpha/", "always 500")
	if a := index("no-cache"); a.Status != 200 || a.Header.Get("X-Result") != "stale" {
		t.Errorf("an upstream that is ill: %s (%s), want what is kept, marked stale", a, a.Header.Get("X-Result"))
	}
	if a := r.do("GET", "/r/simple/beta/", nil); a.Status != 404 {
		t.Fatalf("a name that is not there: %s", a)
	}
	r.put("beta", "1.0", []byte("PK\x03\x04one"))
	r.pass(6 * time.Second)
	if a := r.do("GET", "/r/simple/beta/", nil); a.Status != 404 {
		t.Errorf("an absence that is believed still: %s, want 404", a)
	}
	if a := r.do("GET", "/r/simple/beta/", http.Header{"Pragma": {"no-cache"}}); a.Status != 200 {
		t.Errorf("an absence, by a client that wants nothing old: %s, want 200", a)
	}
	if err := r.pond.AddClaim(t.Context(), r.as("alice", "* * *"), "r", "ours", "", false); err != nil {
		t.Fatal(err)
	}
	before := len(r.up.Requests(""))
	r.do("GET", "/r/simple/ours/", http.Header{"Cache-Control": {"no-cache"}})
	if n := len(r.up.Requests("")) - before; n != 0 {
		t.Errorf("%d upstream requests for a claimed name, want none", n)
	}
}

func TestAnew(t *testing.T) {
	for _, c := range []struct {
		name            string
		control, pragma []string
		want            bool
	}{
		{"nothing", nil, nil, false}, {"no-cache", []string{"no-cache"}, nil, true}, {"among others", []string{"max-age=0,NO-CACHE"}, nil, true},
		{"in a second field", []string{"max-age=0", " no-cache "}, nil, true}, {"max-age=0", []string{"max-age=0"}, nil, false},
		{"no-store", []string{"no-store"}, nil, false}, {"with a field's name", []string{`no-cache="x"`}, nil, false},
		{"pragma", nil, []string{"No-Cache"}, true}, {"pragma beside the newer field", []string{"max-age=60"}, []string{"no-cache"}, false},
	} {
		h := http.Header{}
		if c.control != nil {
			h["Cache-Control"] = c.control
		}
		if c.pragma != nil {
			h["Pragma"] = c.pragma
		}
		if got := repo.Anew(h); got != c.want {
			t.Errorf("%s: Anew(%v) = %t, want %t", c.name, h, got, c.want)
		}
	}
}
