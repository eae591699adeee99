package repo_test

import (
	"io"
	"slices"
	"testing"
	"time"

	"millpond"
	"millpond/format"
)

// publishFiles makes a release of several files, each with its name for its bytes.
func (r *rig) publishFiles(to format.Repo, pkg, version string, names ...string) {
	r.t.Helper()
	var files []millpond.File
	for _, name := range names {
		u, err := to.Upload(r.t.Context(), format.Uploading{Package: pkg, Size: int64(len(name))})
		if err != nil {
			r.t.Fatal(err)
		}
		defer u.Close()
		if _, err := io.WriteString(u, name); err != nil {
			r.t.Fatal(err)
		}
		d, err := u.Commit(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		files = append(files, millpond.File{Name: name, Blob: d, Size: int64(len(name)), Digests: []millpond.Digest{d}})
	}
	if _, err := to.Publish(r.t.Context(), format.Release{Package: pkg, Version: millpond.Version{Name: version, Files: files}}); err != nil {
		r.t.Fatalf("publish %s %s: %v", pkg, version, err)
	}
}

// A version can be restored for a week, whatever of it, or beside it, was deleted long before.
func TestWhatWasDeletedLongBeforeKeepsNothingElseDeleted(t *testing.T) {
	const first, second, other = "widget-1.0-1-py3-none-any.whl", "widget-1.0-2-py3-none-any.whl", "widget-0.9-py3-none-any.whl"
	r := newRig(t, func(r *rig) { r.config.Unpublish = true })
	to := r.ours("r")
	r.publishFiles(to, "widget", "0.9", other)
	r.publishFiles(to, "widget", "1.0", first, second)
	remove := func(k millpond.Key) {
		t.Helper()
		if err := to.Delete(t.Context(), format.Deletion{Key: k, Why: "the test"}); err != nil {
			t.Fatal(err)
		}
	}
	restore := func(what string, k millpond.Key) {
		t.Helper()
		if err := to.Restore(t.Context(), k); err != nil {
			t.Errorf("restore %s: %v", what, err)
		}
	}
	shows := func(what string, want ...string) {
		t.Helper()
		p, err := to.Package(t.Context(), "widget")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var got []string
		for _, v := range p.Versions {
			for _, f := range v.Files {
				got = append(got, f.Name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the files are %q, want %q", what, got, want)
		}
	}
	remove(millpond.Key{Package: "widget", Version: "0.9"})
	remove(millpond.Key{Package: "widget", Version: "1.0", File: first})
	r.pass(8 * 24 * time.Hour)
	if _, err := r.pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	shows("a week later", second)

	remove(millpond.Key{Package: "widget", Version: "1.0"})
	restore("the version", millpond.Key{Package: "widget", Version: "1.0"})
	shows("the version restored", second)

	remove(millpond.Key{Package: "widget"})
	restore("the package", millpond.Key{Package: "widget"})
	shows("the package restored", second)

	wantKind(t, "restore the file", to.Restore(t.Context(), millpond.Key{Package: "widget", Version: "1.0", File: first}), millpond.Gone)
	wantKind(t, "restore what is gone", to.Restore(t.Context(), millpond.Key{Package: "widget", Version: "0.9"}), millpond.Gone)
	wantKind(t, "restore the rest", to.Restore(t.Context(), millpond.Key{Package: "widget"}), millpond.Gone)
	r.check("after all")
}
