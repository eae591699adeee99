package repo_test

import (
	"slices"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/repo"
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

// TestPartsAloneMakeNoVersion: of a name of which parts wait for the rest nothing is there yet, and nothing was deleted; when they
// have expired it is nobody's again.
func TestPartsAloneMakeNoVersion(t *testing.T) {
	r := newRig(t)
	to := r.ours("r")
	u, err := to.Upload(t.Context(), format.Uploading{Package: "acme", Size: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if _, err := u.Write([]byte("part")); err != nil {
		t.Fatal(err)
	}
	blob, err := u.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	part := format.Release{Package: "acme", Loose: time.Hour, Version: millpond.Version{Files: []millpond.File{{Name: "part", Blob: blob}}}}
	if _, err := to.Publish(t.Context(), part); err != nil {
		t.Fatal(err)
	}
	_, err = to.Package(t.Context(), "acme")
	wantKind(t, "while a part waits", err, millpond.NotFound)
	if n := len(r.up.Requests("")); n != 0 {
		t.Errorf("%d upstream requests for a name that is being published", n)
	}
	r.put("acme", "9.0", noise(1, kib))
	r.pass(2 * time.Hour)
	if _, err := r.pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := versionsOf(t, to, "acme"); !slices.Equal(got, []string{"9.0"}) {
		t.Errorf("when it has expired: versions %v, want the upstream's", got)
	}

	r.config.Unpublish = true
	r.configure()
	to = r.ours("r")
	r.published(to, "widget", "1.0", "ours")
	if err := to.Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "widget"}}); err != nil {
		t.Fatal(err)
	}
	part.Package = "widget"
	if _, err := to.Publish(t.Context(), part); err != nil {
		t.Fatal(err)
	}
	r.pass(30 * 24 * time.Hour)
	if _, err := r.pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = to.Package(t.Context(), "widget")
	wantKind(t, "deleted, and a part of another expired", err, millpond.Gone)
}

// TestNothingIsPromotedToWhatHostsNothing: the configuration says that nothing is hosted there, to those who promote as well.
func TestNothingIsPromotedToWhatHostsNothing(t *testing.T) {
	r := newRig(t)
	closed := repo.Config{Name: "closed", Format: r.config.Format, ReadOnly: true}
	r.configure(closed)
	r.published(r.ours("r"), "widget", "1.0", "ours")
	_, err := r.pond.Promote(t.Context(), r.as("alice", "* * *"), repo.Promotion{From: "r", To: "closed", Items: []millpond.Key{{Package: "widget"}}})
	wantKind(t, "promoted to what hosts nothing", err, millpond.Unsupported)
	_, err = r.ours("closed").Package(t.Context(), "widget")
	wantKind(t, "there", err, millpond.NotFound)
}
