package catalogtest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
)

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
		for one, err := range tx.HostedLast("last", "dir/", "", 1000) {
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
		for one, err := range tx.HostedLast("last", "", "dir/37", 2) {
			must(t, err)
			got = append(got, one.Name)
		}
		if want := []string{"dir/38", "dir/39"}; !slices.Equal(got, want) {
			t.Errorf("two after dir/37: got %q, want %q", got, want)
		}
	})
}
