package catalogtest

import (
	"context"
	"testing"

	"millpond"
	"millpond/catalog"
)

// testHostedSome: some files of a version are read and put without its others, and the sums stay right.
func testHostedSome(t *testing.T, open Open) {
	c := fresh(t, open)
	get := func(t *testing.T, pkg string, want *catalog.HostedVersion) {
		t.Helper()
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			got, err := tx.HostedVersion("r", pkg, want.Name)
			must(t, err)
			same(t, "version", got, want)
		})
	}
	for _, name := range []string{"", "1"} {
		pkg := "some" + name
		publish(t, c, "r", pkg)
		before, err := totalsOf(c, "r")
		must(t, err)
		put := func(files ...string) *catalog.HostedVersion {
			v := fullVersion(name, files...)
			update(t, c, func(tx catalog.Tx) error { return tx.PutHostedFiles("r", pkg, v) })
			return v
		}
		put("a/1", "b/1")
		put("a/2", "a")
		put("a/1") // again
		gone := fullVersion(name, "b/1")
		gone.HostedFiles[0].Deleted = at(5)
		update(t, c, func(tx catalog.Tx) error { return tx.PutHostedFiles("r", pkg, gone) })
		want := fullVersion(name, "a", "a/1", "a/2")
		want.HostedFiles = append(want.HostedFiles, gone.HostedFiles[0])
		get(t, pkg, want)
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			got, err := tx.HostedSome("r", pkg, name, "a/")
			must(t, err)
			same(t, "those below a/", got, fullVersion(name, "a/1", "a/2"))
			got, err = tx.HostedSome("r", pkg, name, "none")
			must(t, err)
			same(t, "none of them", got, fullVersion(name))
			_, err = tx.HostedSome("r", pkg, "other", "")
			kind(t, "of a version that never was", err, millpond.NotFound)
		})
		after, err := totalsOf(c, "r")
		must(t, err)
		versions := int64(len(name)) // none, or one
		same(t, "totals", after, catalog.HostedTotals{Packages: before.Packages + 1, Versions: before.Versions + versions, Files: before.Files + 3, Bytes: before.Bytes + 300})
		update(t, c, func(tx catalog.Tx) error {
			v := fullVersion(name, "a", "a/1", "a/2")
			for i := range v.HostedFiles {
				v.HostedFiles[i].Deleted = at(6)
			}
			return tx.PutHostedFiles("r", pkg, v)
		})
		after, err = totalsOf(c, "r")
		must(t, err)
		same(t, "totals with all of them deleted", after, catalog.HostedTotals{Packages: before.Packages + versions, Versions: before.Versions + versions, Files: before.Files, Bytes: before.Bytes})
	}
	kind(t, "without the package's record", c.Update(t.Context(), by, func(tx catalog.Tx) error { return tx.PutHostedFiles("r", "none", fullVersion("", "f")) }), millpond.NotFound)
}

func totalsOf(c catalog.Catalog, repository string) (sums catalog.HostedTotals, err error) {
	err = c.View(context.Background(), func(tx catalog.Tx) error {
		sums, err = tx.HostedTotals(repository)
		return err
	})
	return sums, err
}
