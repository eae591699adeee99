package catalogtest

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"millpond"
	"millpond/catalog"
)

// by is who makes the suite's changes.
var by = millpond.Actor{Name: "me"} // never changed

// update runs one and fails the test if it fails.
func update(t testing.TB, c catalog.Catalog, f func(tx catalog.Tx) error) {
	t.Helper()
	must(t, c.Update(contextOf(t), by, f))
}

// each runs the same reads in a view and in an update, which must not differ.
func each(t *testing.T, c catalog.Catalog, read func(t *testing.T, tx catalog.Tx)) {
	t.Helper()
	run := func(tx catalog.Tx) error { read(t, tx); return nil }
	must(t, c.View(t.Context(), run))
	update(t, c, run)
}

// all collects what a loop yields.
func all[T any](t testing.TB, seq iter.Seq2[T, error]) (got []T) {
	t.Helper()
	for v, err := range seq {
		must(t, err)
		got = append(got, v)
	}
	return got
}

// fullPackage has all fields set.
func fullPackage(repository, name string) *catalog.HostedPackage {
	return &catalog.HostedPackage{
		Repository: repository, Name: name, Display: "Na/me of " + name, Merge: "union", Meta: json.RawMessage(`{"owners": ["é"]}`),
		Created: at(1), Changed: at(2),
	}
}

// fullVersion has all fields set that are kept.
func fullVersion(name string, files ...string) *catalog.HostedVersion {
	v := &catalog.HostedVersion{
		Version: millpond.Version{
			Name: name, Published: at(1), Seen: at(2), Prerelease: true, Yanked: true, YankedWhy: "too é", Partial: true, Licence: "MIT",
			Meta: json.RawMessage(`{"v": 1}`),
		},
		By: "ci", From: "staging", Display: "v" + name,
	}
	for _, f := range files {
		v.HostedFiles = append(v.HostedFiles, fullFile(name, f))
	}
	return v
}

// fullFile has all fields set, and 100 bytes of its own.
func fullFile(version, name string) catalog.HostedFile {
	d := sha("bytes of " + version + " " + name)
	return catalog.HostedFile{
		File: millpond.File{
			Name: name, Of: "another", Platform: "any", Size: 100, Digests: []millpond.Digest{d}, Blob: d, URL: "https://upstream.example/f",
			Type: "application/zip", Published: at(3), Seen: at(4), Yanked: true, YankedWhy: "broken", Vanished: true, Corrupt: true,
			Meta: json.RawMessage(`[1]`),
		},
		By: "ci", Expires: at(6),
	}
}

// publish keeps the package's record and versions of it.
func publish(t testing.TB, c catalog.Catalog, repository, name string, versions ...*catalog.HostedVersion) {
	t.Helper()
	update(t, c, func(tx catalog.Tx) error {
		if err := tx.PutHostedPackage(fullPackage(repository, name)); err != nil {
			return err
		}
		for _, v := range versions {
			if err := tx.PutHostedVersion(repository, name, v); err != nil {
				return err
			}
		}
		return nil
	})
}

func testHostedPackages(t *testing.T, open Open) {
	c := fresh(t, open)
	t.Run("none", func(t *testing.T) {
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			_, err := tx.HostedPackage("r", "p")
			kind(t, "package", err, millpond.NotFound)
			if got := all(t, tx.HostedNames("r", "")); got != nil {
				t.Errorf("names: got %s; want none", show(got))
			}
		})
		kind(t, "free", c.Update(t.Context(), by, func(tx catalog.Tx) error { return tx.FreeHostedPackage("r", "p") }), millpond.NotFound)
	})
	t.Run("all fields, and changes are counted", func(t *testing.T) {
		p := fullPackage("r", "p")
		update(t, c, func(tx catalog.Tx) error { p.Changes = 41; return tx.PutHostedPackage(p) })
		if p.Changes != 1 {
			t.Errorf("the first time: changes is %d; want 1", p.Changes)
		}
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			got, err := tx.HostedPackage("r", "p")
			must(t, err)
			same(t, "package", got, p)
		})
		p = &catalog.HostedPackage{Repository: "r", Name: "p", Created: at(7)}
		update(t, c, func(tx catalog.Tx) error {
			must(t, tx.PutHostedPackage(p))
			return tx.PutHostedPackage(p)
		})
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			got, err := tx.HostedPackage("r", "p")
			must(t, err)
			p.Changes = 3
			same(t, "replaced whole", got, p)
		})
	})
	t.Run("a record that is not JSON", func(t *testing.T) {
		kind(t, "put", c.Update(t.Context(), by, func(tx catalog.Tx) error {
			return tx.PutHostedPackage(&catalog.HostedPackage{Repository: "r", Name: "bad", Meta: json.RawMessage(`{`)})
		}), millpond.Invalid)
	})
	t.Run("names are not mixed up", func(t *testing.T) {
		want := map[[2]string]string{}
		update(t, c, func(tx catalog.Tx) error {
			for _, s := range near {
				for _, k := range [][2]string{{"near" + s, "b"}, {"near", s}} {
					want[k] = fmt.Sprintf("%q", k)
					must(t, tx.PutHostedPackage(&catalog.HostedPackage{Repository: k[0], Name: k[1], Display: want[k]}))
				}
			}
			return nil
		})
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			for k, display := range want {
				if p, err := tx.HostedPackage(k[0], k[1]); err != nil || p.Display != display {
					t.Errorf("%q: got %v, %v; want %s", k, p, err, display)
				}
			}
		})
	})
	t.Run("in order, from a name, and the loop may change and stop", func(t *testing.T) {
		var want []string
		for i := range 600 { // more than any page
			want = append(want, fmt.Sprintf("p%04d", i))
		}
		update(t, c, func(tx catalog.Tx) error {
			for _, i := range rand.Perm(len(want)) {
				must(t, tx.PutHostedPackage(&catalog.HostedPackage{Repository: "order", Name: want[i]}))
			}
			return tx.PutHostedPackage(&catalog.HostedPackage{Repository: "order2", Name: "other"})
		})
		names := func(tx catalog.Tx, after string) (names []string) {
			for p, err := range tx.HostedNames("order", after) {
				must(t, err)
				names = append(names, p.Name)
			}
			return names
		}
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			repositories, err := tx.HostedRepositories()
			must(t, err)
			for _, name := range []string{"order", "order2"} { // other tests have made more
				if !slices.Contains(repositories, name) {
					t.Errorf("repositories: got %q, want %s among them", repositories, name)
				}
			}
			if !slices.IsSorted(repositories) || len(slices.Compact(slices.Clone(repositories))) != len(repositories) {
				t.Errorf("repositories: got %q, want them sorted, each once", repositories)
			}
			same(t, "all", names(tx, ""), want)
			same(t, "after one", names(tx, "p0300"), want[301:])
			same(t, "after one that is not there", names(tx, "p03000"), want[301:])
			if got := names(tx, "p0599"); got != nil {
				t.Errorf("after the last: got %v", got)
			}
		})
		update(t, c, func(tx catalog.Tx) error {
			n := 0
			for p, err := range tx.HostedNames("order", "") {
				must(t, err)
				p.Display = "changed"
				must(t, tx.PutHostedPackage(p))
				if n++; n == 300 {
					break
				}
			}
			p, err := tx.HostedPackage("order", want[299])
			same(t, "changed in the loop", p.Display, "changed")
			return err
		})
	})
}

func testHostedVersions(t *testing.T, open Open) {
	c := fresh(t, open)
	get := func(t *testing.T, pkg string, want *catalog.HostedVersion) {
		t.Helper()
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			got, err := tx.HostedVersion("r", pkg, want.Name)
			must(t, err)
			same(t, "version", got, want)
		})
	}
	t.Run("none", func(t *testing.T) {
		publish(t, c, "r", "empty")
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			for _, pkg := range []string{"none", "empty"} {
				_, err := tx.HostedVersion("r", pkg, "1")
				kind(t, "version of "+pkg, err, millpond.NotFound)
				_, _, err = tx.HostedFile("r", pkg, "f")
				kind(t, "file of "+pkg, err, millpond.NotFound)
				if got := all(t, tx.HostedVersions("r", pkg)); got != nil {
					t.Errorf("versions of %s: got %s; want none", pkg, show(got))
				}
			}
		})
		for what, f := range map[string]func(tx catalog.Tx) error{
			"put without the package's record":  func(tx catalog.Tx) error { return tx.PutHostedVersion("r", "none", fullVersion("1")) },
			"drop without the package's record": func(tx catalog.Tx) error { return tx.DropHostedVersion("r", "none", "1") },
			"drop":                              func(tx catalog.Tx) error { return tx.DropHostedVersion("r", "empty", "1") },
		} {
			kind(t, what, c.Update(t.Context(), by, f), millpond.NotFound)
		}
	})
	t.Run("all fields, files in order", func(t *testing.T) {
		v := fullVersion("1", "c", "a", "b")
		v.Deleted, v.DeletedBy, v.DeletedWhy = at(8), "owner", "a mistake"
		v.HostedFiles[1].Deleted, v.HostedFiles[1].Purged = at(9), true
		publish(t, c, "r", "p", v)
		slices.SortFunc(v.HostedFiles, func(a, b catalog.HostedFile) int { return strings.Compare(a.Name, b.Name) })
		get(t, "p", v)
	})
	t.Run("replaced whole", func(t *testing.T) {
		v := fullVersion("2", "a", "b", "c")
		publish(t, c, "r", "p", v)
		v = &catalog.HostedVersion{Version: millpond.Version{Name: "2"}, HostedFiles: []catalog.HostedFile{v.HostedFiles[1], {File: millpond.File{Name: "d", Size: -1}}}}
		v.HostedFiles[0].Yanked = false
		publish(t, c, "r", "p", v)
		get(t, "p", v)
		v.HostedFiles = nil
		publish(t, c, "r", "p", v)
		get(t, "p", v)
	})
	t.Run("what was returned is the caller's own", func(t *testing.T) {
		v := fullVersion("own", "f")
		publish(t, c, "r", "p", v)
		must(t, c.View(t.Context(), func(tx catalog.Tx) error {
			got, err := tx.HostedVersion("r", "p", "own")
			must(t, err)
			got.Meta[1], got.HostedFiles[0].Meta[1], got.HostedFiles[0].Digests[0] = 'X', 'X', sha("x")
			return nil
		}))
		get(t, "p", v)
	})
	t.Run("refused", func(t *testing.T) {
		twice, bad, badFile := fullVersion("twice", "f", "f"), fullVersion("bad"), fullVersion("badfile", "f")
		bad.Meta, badFile.HostedFiles[0].Meta = json.RawMessage(`{`), json.RawMessage(`{`)
		for _, v := range []*catalog.HostedVersion{twice, bad, badFile} {
			kind(t, v.Name, c.Update(t.Context(), by, func(tx catalog.Tx) error { return tx.PutHostedVersion("r", "p", v) }), millpond.Invalid)
			each(t, c, func(t *testing.T, tx catalog.Tx) {
				_, err := tx.HostedVersion("r", "p", v.Name)
				kind(t, "after that, "+v.Name, err, millpond.NotFound)
			})
		}
	})
	t.Run("dropped as if it had never been", func(t *testing.T) {
		publish(t, c, "r", "drop", fullVersion("1", "f"), fullVersion("2", "g"))
		update(t, c, func(tx catalog.Tx) error { return tx.DropHostedVersion("r", "drop", "1") })
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			_, err := tx.HostedVersion("r", "drop", "1")
			kind(t, "version", err, millpond.NotFound)
			_, _, err = tx.HostedFile("r", "drop", "f")
			kind(t, "file", err, millpond.NotFound)
		})
		get(t, "drop", fullVersion("2", "g"))
	})
	t.Run("keys are not mixed up", func(t *testing.T) {
		var versions []*catalog.HostedVersion
		for _, s := range near {
			versions = append(versions, fullVersion(s, near...))
		}
		publish(t, c, "r", "near", versions...)
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			for _, want := range versions {
				got, err := tx.HostedVersion("r", "near", want.Name)
				must(t, err)
				blobs := map[string]millpond.Digest{}
				for _, f := range got.HostedFiles {
					blobs[f.Name] = f.Blob
				}
				for _, f := range want.HostedFiles {
					if blobs[f.Name] != f.Blob || len(blobs) != len(near) {
						t.Errorf("%q %q: got %v among %d; want %v among %d", want.Name, f.Name, blobs[f.Name], len(blobs), f.Blob, len(near))
					}
				}
			}
		})
	})
	t.Run("in order, and the loop may change and stop", func(t *testing.T) {
		var versions []*catalog.HostedVersion
		for i := range 600 { // more than any page
			versions = append(versions, fullVersion(fmt.Sprintf("%04d", i), "a", "b")) // bytewise
		}
		shuffled := slices.Clone(versions)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		publish(t, c, "r", "order", shuffled...)
		publish(t, c, "r", "order2", fullVersion("other"))
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			same(t, "versions", all(t, tx.HostedVersions("r", "order")), versions)
		})
		update(t, c, func(tx catalog.Tx) error {
			n := 0
			for v, err := range tx.HostedVersions("r", "order") {
				must(t, err)
				v.Deleted = at(n)
				must(t, tx.PutHostedVersion("r", "order", v))
				if n++; n == 300 {
					return nil
				}
			}
			return nil
		})
	})
	t.Run("a file by its name alone", func(t *testing.T) {
		old, young, gone := fullVersion("old", "f"), fullVersion("young", "f", "g"), fullVersion("gone", "f", "only")
		old.HostedFiles[0].Published, young.HostedFiles[0].Published, gone.HostedFiles[0].Published = at(10), at(20), at(30)
		gone.Deleted = at(31)
		publish(t, c, "r", "byname", young, gone, old)
		find := func(t *testing.T, file, want string) {
			t.Helper()
			each(t, c, func(t *testing.T, tx catalog.Tx) {
				version, f, err := tx.HostedFile("r", "byname", file)
				if err != nil || version != want || f.Name != file || f.Blob != sha("bytes of "+want+" "+file) {
					t.Errorf("%s: got it of %q, %s, %v; want it of %q", file, version, show(f), err, want)
				}
			})
		}
		find(t, "f", "young")
		find(t, "only", "gone")
		young.HostedFiles[0].Deleted = at(32)
		publish(t, c, "r", "byname", young)
		find(t, "f", "old")
		old.HostedFiles[0].Published = at(0)
		old.HostedFiles[0].Deleted = at(33)
		publish(t, c, "r", "byname", old)
		find(t, "f", "gone")
	})
}
