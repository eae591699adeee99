package repo_test

import (
	"slices"
	"testing"

	"millpond"
	"millpond/format"
)

// TestOwnersFreeDeletedNames: a name that was hosted stays hidden after its last version is deleted, until an owner frees it;
// that is an event.
func TestOwnersFreeDeletedNames(t *testing.T) {
	r := newRig(t, func(r *rig) { r.config.Unpublish = true })
	to := r.ours("r")
	r.published(to, "alpha", "1.0", "ours")
	if err := to.Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "alpha"}, Why: "a mistake"}); err != nil {
		t.Fatal(err)
	}
	r.put("alpha", "9.0", []byte("PK\x03\x04from whoever registered it"))
	_, err := to.Package(t.Context(), "alpha")
	wantKind(t, "a deleted name", err, millpond.Gone)
	wantKind(t, "freed by a maintainer", r.pond.SetMerge(t.Context(), r.as("bot", "read r *", "publish r *", "delete r *"), "r", "alpha", "union"), millpond.Denied)
	if n := len(r.up.Requests("")); n != 0 {
		t.Errorf("%d upstream requests for a deleted name", n)
	}
	if err := r.pond.SetMerge(t.Context(), r.as("alice", "* * *"), "r", "alpha", "union"); err != nil {
		t.Fatal(err)
	}
	if got := versionsOf(t, to, "alpha"); !slices.Equal(got, []string{"9.0"}) {
		t.Errorf("freed: versions %v, want the upstream's", got)
	}
	if n := len(r.eventsOf("merge")); n != 1 {
		t.Errorf("%d events of freeing it, want 1", n)
	}
}
