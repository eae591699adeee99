package catalogtest

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

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

func testHostedRefs(t *testing.T, open Open) {
	c := fresh(t, open)
	put := func(f *catalog.HostedRef) error {
		return c.Update(t.Context(), by, func(tx catalog.Tx) error { return tx.PutHostedRef("r", "p", f) })
	}
	kind(t, "put without the package's record", put(&catalog.HostedRef{Name: "latest", Target: "1"}), millpond.NotFound)
	each(t, c, func(t *testing.T, tx catalog.Tx) {
		_, err := tx.HostedRef("r", "p", "latest")
		kind(t, "ref of no package", err, millpond.NotFound)
		if got := all(t, tx.HostedRefs("r", "p", "", "")); got != nil {
			t.Errorf("refs of no package: got %s", show(got))
		}
	})
	publish(t, c, "r", "p")
	publish(t, c, "r", "other")
	t.Run("all fields, replaced, removed", func(t *testing.T) {
		f := &catalog.HostedRef{Name: "latest", Target: "1.0", Moved: at(1), By: "ci", Meta: json.RawMessage(`{"x": 1}`)}
		must(t, put(f))
		check := func(f *catalog.HostedRef) {
			each(t, c, func(t *testing.T, tx catalog.Tx) {
				got, err := tx.HostedRef("r", "p", "latest")
				must(t, err)
				same(t, "ref", got, f)
				_, err = tx.HostedRef("r", "other", "latest")
				kind(t, "the other's", err, millpond.NotFound)
			})
		}
		check(f)
		f = &catalog.HostedRef{Name: "latest", Target: "2.0"}
		must(t, put(f))
		check(f)
		for range 2 { // the second time there is none
			must(t, put(&catalog.HostedRef{Name: "latest"}))
			each(t, c, func(t *testing.T, tx catalog.Tx) {
				_, err := tx.HostedRef("r", "p", "latest")
				kind(t, "removed", err, millpond.NotFound)
			})
		}
		kind(t, "a record that is not JSON", put(&catalog.HostedRef{Name: "x", Target: "y", Meta: json.RawMessage(`{`)}), millpond.Invalid)
	})
	t.Run("by prefix, in order", func(t *testing.T) {
		names := append([]string{"a/", "a/b", "a/b/c", "a0", "b", "B", "a/\xff", "a/\xff\xff", "é", "%", "_"}, "")
		for i := range 600 {
			names = append(names, fmt.Sprintf("many/%04d", i))
		}
		update(t, c, func(tx catalog.Tx) error {
			for _, n := range names {
				must(t, tx.PutHostedRef("r", "p", &catalog.HostedRef{Name: n, Target: "t"}))
			}
			return nil
		})
		slices.Sort(names)
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			for _, test := range []struct{ prefix, after string }{
				{"", ""}, {"a/", ""}, {"a/", "a/b"}, {"a/", "a"}, {"a/", "b"}, {"many/", ""}, {"many/", "many/0299"}, {"many/05", "many/0299"},
				{"%", ""}, {"_", ""}, {"none", ""}, {"a/\xff", ""}, {"", "many/0300"}, {"B", ""},
			} {
				var want, got []string
				for _, n := range names {
					if strings.HasPrefix(n, test.prefix) && (test.after == "" || n > test.after) {
						want = append(want, n)
					}
				}
				for _, f := range all(t, tx.HostedRefs("r", "p", test.prefix, test.after)) {
					got = append(got, f.Name)
				}
				same(t, fmt.Sprintf("prefix %q after %q", test.prefix, test.after), got, want)
			}
		})
	})
}

func testHostedSums(t *testing.T, open Open) {
	c := fresh(t, open)
	totals := func(t *testing.T, repository string, want catalog.HostedTotals) {
		t.Helper()
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			got, err := tx.HostedTotals(repository)
			must(t, err)
			same(t, "totals of "+repository, got, want)
		})
		sound(t, c)
	}
	free := func(repository, name string) error {
		return c.Update(t.Context(), by, func(tx catalog.Tx) error { return tx.FreeHostedPackage(repository, name) })
	}
	totals(t, "", catalog.HostedTotals{})
	v1, v2, loose := fullVersion("1", "a", "b"), fullVersion("2", "a"), fullVersion("", "l")
	v2.HostedFiles[0].Size = -1
	publish(t, c, "r", "p", v1, v2)
	publish(t, c, "r", "empty")
	publish(t, c, "r", "loose", loose)
	publish(t, c, "s", "p", v1)
	totals(t, "r", catalog.HostedTotals{Packages: 2, Versions: 2, Files: 4, Bytes: 300})
	totals(t, "s", catalog.HostedTotals{Packages: 1, Versions: 1, Files: 2, Bytes: 200})
	totals(t, "none", catalog.HostedTotals{})
	totals(t, "", catalog.HostedTotals{Packages: 3, Versions: 3, Files: 6, Bytes: 500})

	update(t, c, func(tx catalog.Tx) error { // an update sees its own
		v1.HostedFiles[0].Deleted = at(1)
		must(t, tx.PutHostedVersion("r", "p", v1))
		got, err := tx.HostedTotals("r")
		same(t, "within the update", got, catalog.HostedTotals{Packages: 2, Versions: 2, Files: 3, Bytes: 200})
		return err
	})
	kind(t, "free with two versions", free("r", "p"), millpond.Conflict)
	v1.Deleted, v2.Deleted = at(2), at(2)
	publish(t, c, "r", "p", v1)
	kind(t, "free with one version", free("r", "p"), millpond.Conflict)
	publish(t, c, "r", "p", v2)
	totals(t, "r", catalog.HostedTotals{Packages: 1, Files: 1, Bytes: 100})
	v2.Deleted = time.Time{} // restored
	publish(t, c, "r", "p", v2)
	totals(t, "r", catalog.HostedTotals{Packages: 2, Versions: 1, Files: 2, Bytes: 100})
	update(t, c, func(tx catalog.Tx) error { return tx.DropHostedVersion("r", "p", "2") })
	update(t, c, func(tx catalog.Tx) error {
		return tx.PutHostedRef("r", "p", &catalog.HostedRef{Name: "latest", Target: "1"})
	})
	must(t, free("r", "p"))
	kind(t, "free with loose files", free("r", "loose"), millpond.Conflict)
	loose.HostedFiles[0].Deleted = at(3)
	publish(t, c, "r", "loose", loose)
	must(t, free("r", "loose"))
	totals(t, "r", catalog.HostedTotals{})
	totals(t, "s", catalog.HostedTotals{Packages: 1, Versions: 1, Files: 2, Bytes: 200})
	publish(t, c, "r", "p")
	each(t, c, func(t *testing.T, tx catalog.Tx) { // nothing of the name that was freed is back
		p, err := tx.HostedPackage("r", "p")
		must(t, err)
		same(t, "changes", p.Changes, int64(1))
		if v, f := all(t, tx.HostedVersions("r", "p")), all(t, tx.HostedRefs("r", "p", "", "")); v != nil || f != nil {
			t.Errorf("got %s and %s; want nothing of before", show(v), show(f))
		}
	})
}

func testHostedBlobs(t *testing.T, open Open) {
	c := fresh(t, open)
	ctx := t.Context()
	d, other := sha("hosted"), sha("hosted too")
	v := fullVersion("1", "a", "b", "c")
	v.HostedFiles[0].Blob, v.HostedFiles[1].Blob, v.HostedFiles[2].Blob = d, d, other
	publish(t, c, "r", "p", v)
	w := fullVersion("2", "a")
	w.HostedFiles[0].Blob = d
	publish(t, c, "s", "q", w)
	for _, blob := range []string{"hosted", "hosted too", "pulled"} { // their bytes came from an upstream too
		put(t, c, "l", blob, blob, at(1))
	}
	check := func(t *testing.T, places []catalog.Place, named, evictable []string) {
		t.Helper()
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			same(t, "places", all(t, tx.HostedBlob(d)), places)
			if got := all(t, tx.HostedBlob(millpond.Digest{})); got != nil {
				t.Errorf("places of no digest: got %v", got)
			}
		})
		var oldest []string
		for u, err := range c.Oldest(ctx) {
			must(t, err)
			for _, name := range []string{"hosted", "hosted too", "pulled"} {
				if u.Blob == sha(name) {
					oldest = append(oldest, name)
				}
			}
		}
		slices.Sort(oldest)
		same(t, "evictable", oldest, evictable)
		got, err := c.Named(ctx, []millpond.Digest{d, sha("only hosted")})
		must(t, err)
		var names []string
		for _, name := range []string{"hosted", "only hosted"} {
			if got[sha(name)] {
				names = append(names, name)
			}
		}
		same(t, "named", names, named)
	}
	x := fullVersion("3", "x")
	x.HostedFiles[0].Blob = sha("only hosted")
	publish(t, c, "r", "p", x)
	place := func(r, p, v, f string) catalog.Place {
		return catalog.Place{Repository: r, Key: millpond.Key{Package: p, Version: v, File: f}}
	}
	check(t, []catalog.Place{place("r", "p", "1", "a"), place("r", "p", "1", "b"), place("s", "q", "2", "a")}, []string{"hosted", "only hosted"}, []string{"pulled"})

	v.HostedFiles[0].Deleted, v.HostedFiles[2].Deleted = at(1), at(1)
	w.Deleted = at(1)
	x.HostedFiles[0].Deleted = at(1)
	publish(t, c, "r", "p", v, x)
	publish(t, c, "s", "q", w)
	check(t, []catalog.Place{place("r", "p", "1", "b")}, []string{"hosted", "only hosted"}, []string{"pulled"})

	v.HostedFiles[2].Purged, x.HostedFiles[0].Purged = true, true
	publish(t, c, "r", "p", v, x)
	check(t, []catalog.Place{place("r", "p", "1", "b")}, []string{"hosted"}, []string{"hosted too", "pulled"})
}

// testHostedLast: a directory is read in order from any name on, each with the youngest record that is not deleted.
func testHostedLast(t *testing.T, open Open) {
	c := fresh(t, open)
	const names = 40
	for i := range names {
		publish(t, c, "last", fmt.Sprintf("dir/%02d", i), fullVersion("2", "b", "a"), fullVersion("1", "c"))
	}
	publish(t, c, "last", "dir.x", fullVersion("1", "f"))
	publish(t, c, "last", "dir0", fullVersion("1", "f"))
	publish(t, c, "last other", "dir/00", fullVersion("9", "f"))
	gone := fullVersion("1", "c")
	gone.Deleted = at(9)
	publish(t, c, "last", "dir/07", gone)
	publish(t, c, "last", "dir/08x", gone)
	publish(t, c, "last", "dir/08y", fullVersion("", "loose"))
	each(t, c, func(t *testing.T, tx catalog.Tx) {
		var got, want []string
		for one, err := range tx.HostedLast("last", "dir/", "") {
			must(t, err)
			got = append(got, one.Name+" "+one.Version+" "+one.File.Name)
		}
		for i := range names {
			line := fmt.Sprintf("dir/%02d 1 c", i)
			if i == 7 {
				line = "dir/07 2 a"
			}
			want = append(want, line)
		}
		if !slices.Equal(got, want) {
			t.Errorf("below dir/: got %q, want %q", got, want)
		}
		got = nil
		for one, err := range tx.HostedLast("last", "", "dir/38") {
			must(t, err)
			got = append(got, one.Name)
		}
		if want := []string{"dir/39", "dir0"}; !slices.Equal(got, want) {
			t.Errorf("after dir/38: got %q, want %q", got, want)
		}
	})
}
