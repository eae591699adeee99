package repo_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"millpond/format"
	"millpond/format/pypi"
	"millpond/repo"
)

// TestChanged: who keeps a text about all names hears of those that changed, here and below, and of no other; when too many
// have, or all may have, that is said.
func TestChanged(t *testing.T) {
	r := newRig(t)
	r.config.Upstreams = append(r.config.Upstreams, repo.Upstream{Sibling: "below"})
	r.configure(repo.Config{Name: "below", Format: pypi.Format{}, Public: true})
	seen := r.pond.Repository("r").For(repo.Caller{}).(format.Observer)
	_, mark, ok := seen.Changed("")
	if ok {
		t.Error("the beginning is told as if something were known of it")
	}
	below, err := seen.Below(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	publish := func(repository, name string) {
		t.Helper()
		if _, err := release(t.Context(), r.ours(repository), name, "1.0", name); err != nil {
			t.Fatal(err)
		}
	}
	changed := func(what string, want ...string) {
		t.Helper()
		names, next, ok := seen.Changed(mark)
		if !ok || !slices.Equal(names, want) {
			t.Errorf("%s: Changed(%q) = %q, %t; want %q", what, mark, names, ok, want)
		}
		mark = next
	}
	changed("nothing has")
	publish("r", "acme")
	publish("r", "acme-b")
	changed("published here", "acme", "acme-b")
	if got, err := seen.Below(t.Context()); err != nil || got != below {
		t.Errorf("a publish here has changed what is below: %q, %v; it was %q", got, err, below)
	}
	changed("told already")
	publish("below", "zoo")
	changed("published below", "zoo")
	if got, err := seen.Below(t.Context()); err != nil || got == below {
		t.Errorf("a publish below has not changed what is below: %q, %v", got, err)
	}
	for _, bad := range []string{"x", "1.1", "1.1 1.1", mark + " 1.1"} {
		if names, _, ok := seen.Changed(bad); ok || names != nil {
			t.Errorf("Changed(%q) = %q, %t; want that it cannot tell", bad, names, ok)
		}
	}
	// all may have
	r.configure(repo.Config{Name: "below", Format: pypi.Format{}, Public: true})
	seen = r.pond.Repository("r").For(repo.Caller{}).(format.Observer)
	if _, _, ok := seen.Changed(mark); ok {
		t.Error("a repository that was set up anew takes the mark of the one before")
	}
}

// TestRecall: what a handler remembers is there after a restart, for callers who may read all names.
func TestRecall(t *testing.T) {
	r := newRig(t)
	open := func() format.Observer { return r.pond.Repository("r").For(repo.Caller{}).(format.Observer) }
	if got, err := open().Recall(t.Context(), "log"); got != nil || err != nil {
		t.Errorf("Recall = %q, %v; want nothing", got, err)
	}
	for i := range 2 {
		if err := open().Remember(t.Context(), "log", fmt.Append(nil, "text ", i)); err != nil {
			t.Fatal(err)
		}
	}
	some := r.pond.Repository("r").For(r.as("bob", "read * acme-b")).(format.Observer)
	if err := some.Remember(t.Context(), "log", []byte("bob's")); err != nil {
		t.Fatal(err)
	}
	if got, err := some.Recall(t.Context(), "log"); got != nil || err != nil {
		t.Errorf("who may read some names recalls %q, %v", got, err)
	}
	if err := open().Remember(t.Context(), "log", bytes.Repeat([]byte("x"), 1<<20+1)); err == nil {
		t.Error("more than a MiB is remembered")
	}
	r.restart()
	if got, err := open().Recall(t.Context(), "log"); string(got) != "text 1" || err != nil {
		t.Errorf("after a restart Recall = %q, %v; want text 1", got, err)
	}
}
