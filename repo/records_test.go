package repo_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/format/pypi"
	"millpond/repo"
)

// TestRecords lists what is hosted by the beginning of its name: what the caller may see, and of siblings too.
func TestRecords(t *testing.T) {
	r := newRig(t)
	r.configure(repo.Config{Name: "below", Format: pypi.Format{}, Public: true})
	r.config.Upstreams = append(r.config.Upstreams, repo.Upstream{Sibling: "below"})
	r.configure(repo.Config{Name: "below", Format: pypi.Format{}, Public: true})
	for repository, names := range map[string][]string{"r": {"acme-a", "acme-b", "acme", "other"}, "below": {"acme-z", "zoo"}} {
		for _, name := range names {
			if _, err := release(t.Context(), r.ours(repository), name, "1.0", name); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := func(c repo.Caller, prefix string) (names []string) {
		t.Helper()
		for one, err := range r.pond.Repository("r").For(c).Records(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, one.Name)
		}
		return names
	}
	for _, c := range []struct {
		name, prefix string
		rights       []string
		want         []string
	}{
		{"a prefix", "acme-", []string{"* * *"}, []string{"acme-a", "acme-b", "acme-z"}},
		{"nothing", "none-", []string{"* * *"}, nil},
		{"who may read some", "acme-", []string{"read * acme-b"}, []string{"acme-b"}},
	} {
		if got := list(r.as("bob", c.rights...), c.prefix); !slices.Equal(got, c.want) {
			t.Errorf("%s: Records(%q) = %q, want %q", c.name, c.prefix, got, c.want)
		}
	}
}

// TestHostingTellsLooseFiles: whoever makes a version of files that came one by one finds them in the transaction.
func TestHostingTellsLooseFiles(t *testing.T) {
	r := newRig(t)
	to := r.ours("r")
	u, err := to.Upload(t.Context(), format.Uploading{Package: "acme", Size: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if _, err := io.Copy(u, strings.NewReader("part")); err != nil {
		t.Fatal(err)
	}
	blob, err := u.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	loose := format.Release{Package: "acme", Loose: time.Hour, Version: millpond.Version{Files: []millpond.File{{Name: "part", Blob: blob}}}}
	if _, err := to.Publish(t.Context(), loose); err != nil {
		t.Fatal(err)
	}
	r.config.Unpublish = true
	r.configure()
	to = r.ours("r")
	if err := to.Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "acme"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Publish(t.Context(), loose); err != nil {
		t.Errorf("a loose file, after its package was deleted: %v; it belongs to no number that would be taken", err)
	}
	var seen []millpond.File
	stop := errors.New("only looking")
	_, err = to.Publish(t.Context(), format.Release{Package: "acme", Version: millpond.Version{Name: "1.0"}, Settle: func(now *format.Hosting, _ *format.Release) error {
		seen = now.Loose
		return stop
	}})
	if !errors.Is(err, stop) || len(seen) != 1 || seen[0].Name != "part" || seen[0].Blob != blob {
		t.Errorf("Settle was shown the loose files %+v, %v; want part with %s", seen, err, blob)
	}
}

// A deletion is settled with what is hosted when it is made, not with what its maker saw.
func TestDeletionIsSettledInItsTransaction(t *testing.T) {
	r := newRig(t, func(r *rig) { r.config.Unpublish = true })
	to := r.ours("r")
	r.published(to, "widget", "1.0", "one")
	r.published(to, "widget", "1.1", "two")
	key := millpond.Key{Package: "widget", Version: "1.1"}
	refusal := &millpond.Error{Kind: millpond.Conflict, Why: "too late"}
	err := to.Delete(t.Context(), format.Deletion{Key: key, Settle: func(now *format.Hosting, d *format.Deletion) error {
		if len(now.Versions) != 2 || d.Key != key {
			t.Errorf("settled with %d versions and %v, want both and %v", len(now.Versions), d.Key, key)
		}
		return refusal
	}})
	if !errors.Is(err, refusal) {
		t.Errorf("refused: got %v, want %v", err, refusal)
	}
	if got := versionsOf(t, to, "widget"); len(got) != 2 {
		t.Errorf("after the refusal: %v, want both versions", got)
	}
	err = to.Delete(t.Context(), format.Deletion{Key: key, Settle: func(_ *format.Hosting, d *format.Deletion) error {
		d.Refs = []millpond.Ref{{Name: "latest", Target: "1.0"}}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if now, err := to.Hosted(t.Context(), "widget"); err != nil || len(now.Versions) != 1 || len(now.Refs) != 1 || now.Refs[0].Target != "1.0" {
		t.Errorf("after it: %+v, %v; want 1.0 alone, and latest there", now, err)
	}
}
