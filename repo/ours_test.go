package repo_test

import (
	"testing"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format"
	"millpond/repo"
)

// TestNamesOfAKeptList: what the list of all names of an upstream says is known, through a sibling too, though nobody has read
// any of them; and nobody is asked.
func TestNamesOfAKeptList(t *testing.T) {
	r := newRig(t)
	r.up.Put("/simple/", faulty.Object{Type: "application/vnd.pypi.simple.v1+json",
		Body: []byte(`{"meta":{"api-version":"1.4"},"projects":[{"name":"Alpha"},{"name":"gamma"}]}`)})
	r.configure(repo.Config{Name: "group", Format: r.config.Format, Public: true, Upstreams: []repo.Upstream{{Sibling: "r"}}})
	alice := func(name string) format.Repo { return r.pond.Repository(name).For(r.as("alice", "* * *")) }
	if err := alice("r").May(t.Context(), millpond.VerbPublish, "alpha"); err != nil {
		t.Errorf("nobody has read anything: %v", err)
	}
	for _, err := range r.ours("r").Names(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
	}
	asked := len(r.up.Requests(""))
	for _, repository := range []string{"r", "group"} {
		wantKind(t, "a listed name, to "+repository, alice(repository).May(t.Context(), millpond.VerbPublish, "alpha"), millpond.Denied)
		if err := alice(repository).May(t.Context(), millpond.VerbPublish, "beta"); err != nil {
			t.Errorf("a name that is not listed, to %s: %v", repository, err)
		}
	}
	if n := len(r.up.Requests("")); n != asked {
		t.Errorf("asking who may publish cost %d upstream requests", n-asked)
	}
}
