package catalogtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
)

func testEntries(t *testing.T, open Open) {
	c := fresh(t, open)
	entry := func(kind, id, owner string) *catalog.Entry {
		value, err := json.Marshal(kind + id)
		must(t, err)
		return &catalog.Entry{Kind: kind, ID: id, Owner: owner, Value: value}
	}
	change := func(f func(tx catalog.Tx) error) error { return c.Update(t.Context(), by, f) }
	put := func(e *catalog.Entry) error { return change(func(tx catalog.Tx) error { return tx.PutEntry(e) }) }
	add := func(e *catalog.Entry) error { return change(func(tx catalog.Tx) error { return tx.AddEntry(e) }) }
	drop := func(kind, id string) error {
		return change(func(tx catalog.Tx) error { return tx.DropEntry(kind, id) })
	}
	is := func(t *testing.T, want *catalog.Entry) {
		t.Helper()
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			got, err := tx.Entry(want.Kind, want.ID)
			must(t, err)
			same(t, "entry", got, want)
		})
	}
	isNot := func(t *testing.T, id string) {
		t.Helper()
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			_, err := tx.Entry("k", id)
			kind(t, id, err, millpond.NotFound)
			for _, e := range slices.Concat(all(t, tx.Entries("k", "")), all(t, tx.EntriesOf("k", "ann"))) {
				if e.ID == id {
					t.Errorf("%s: is among the entries", id)
				}
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		isNot(t, "none")
		kind(t, "drop", drop("k", "none"), millpond.NotFound)
	})
	t.Run("all fields, replaced whole, dropped", func(t *testing.T) {
		e := entry("k", "full", "ann")
		e.Expires = time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		must(t, put(e))
		is(t, e)
		e = &catalog.Entry{Kind: "k", ID: "full"}
		must(t, put(e))
		is(t, e)
		must(t, drop("k", "full"))
		isNot(t, "full")
		kind(t, "dropped twice", drop("k", "full"), millpond.NotFound)
		kind(t, "a value that is not JSON", put(&catalog.Entry{Kind: "k", ID: "bad", Value: json.RawMessage(`{`)}), millpond.Invalid)
		isNot(t, "bad")
	})
	t.Run("added once", func(t *testing.T) {
		e := entry("k", "added", "ann")
		must(t, add(e))
		kind(t, "again", add(entry("k", "added", "bob")), millpond.Conflict)
		is(t, e)
		must(t, drop("k", "added"))
		must(t, add(e))
	})
	t.Run("expired", func(t *testing.T) {
		e := entry("k", "expired", "ann")
		e.Expires = time.Now().Add(-time.Millisecond).UTC().Truncate(time.Millisecond)
		must(t, put(e))
		isNot(t, "expired")
		kind(t, "drop", drop("k", "expired"), millpond.NotFound)
		e.Expires = time.Time{}
		must(t, add(e))
		is(t, e)
	})
	t.Run("kinds, ids and owners are not mixed up", func(t *testing.T) {
		want := map[[2]string]string{}
		must(t, change(func(tx catalog.Tx) error {
			for i, s := range near {
				for _, k := range [][2]string{{"near" + s, "b"}, {"near", s}} {
					want[k] = near[(i+1)%len(near)]
					must(t, tx.PutEntry(entry(k[0], k[1], want[k])))
				}
			}
			return nil
		}))
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			for k, owner := range want {
				if e, err := tx.Entry(k[0], k[1]); err != nil || e.Owner != owner {
					t.Errorf("%q: got %s, %v; want owner %q", k, show(e), err, owner)
				}
			}
			for _, owner := range near {
				var ids, got []string
				for k, o := range want {
					if k[0] == "near" && o == owner {
						ids = append(ids, k[1])
					}
				}
				for _, e := range all(t, tx.EntriesOf("near", owner)) {
					got = append(got, e.ID)
				}
				slices.Sort(ids)
				same(t, fmt.Sprintf("entries of %q", owner), got, ids)
			}
		})
	})
	t.Run("in order, after one, and the loop may change", func(t *testing.T) {
		var want []string
		for i := range 600 { // more than any page
			want = append(want, fmt.Sprintf("%04d", i))
		}
		must(t, change(func(tx catalog.Tx) error {
			for _, i := range rand.Perm(len(want)) {
				must(t, tx.PutEntry(entry("order", want[i], fmt.Sprint("owner", i%2))))
			}
			return tx.PutEntry(entry("order2", "x", "owner1"))
		}))
		ids := func(entries []*catalog.Entry) (ids []string) {
			for _, e := range entries {
				ids = append(ids, e.ID)
			}
			return ids
		}
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			same(t, "all", ids(all(t, tx.Entries("order", ""))), want)
			same(t, "after one", ids(all(t, tx.Entries("order", "0299"))), want[300:])
			odd := ids(all(t, tx.EntriesOf("order", "owner1")))
			if len(odd) != 300 || !slices.IsSorted(odd) || odd[0] != "0001" {
				t.Errorf("of an owner: got %d, %v; want the 300 odd ones in order", len(odd), odd[:min(3, len(odd))])
			}
		})
		must(t, change(func(tx catalog.Tx) error {
			for e, err := range tx.EntriesOf("order", "owner1") {
				must(t, err)
				must(t, tx.DropEntry(e.Kind, e.ID))
			}
			if left := all(t, tx.Entries("order", "")); len(left) != 300 {
				t.Errorf("left: got %d; want 300", len(left))
			}
			return nil
		}))
	})
	t.Run("a view changes nothing", func(t *testing.T) {
		must(t, c.View(t.Context(), func(tx catalog.Tx) error {
			for what, err := range map[string]error{
				"PutEntry": tx.PutEntry(entry("k", "view", "")), "AddEntry": tx.AddEntry(entry("k", "view", "")), "DropEntry": tx.DropEntry("k", "added"),
				"PutHostedPackage": tx.PutHostedPackage(fullPackage("r", "view")), "FreeHostedPackage": tx.FreeHostedPackage("r", "view"),
				"PutHostedVersion": tx.PutHostedVersion("r", "view", fullVersion("1")), "DropHostedVersion": tx.DropHostedVersion("r", "view", "1"),
				"PutHostedFiles": tx.PutHostedFiles("r", "view", fullVersion("1")),
				"PutHostedRef":   tx.PutHostedRef("r", "view", &catalog.HostedRef{Name: "x", Target: "y"}),
			} {
				if err == nil || millpond.Is(err, millpond.NotFound) {
					t.Errorf("%s in a view: got %v; want an error that says so", what, err)
				}
			}
			return nil
		}))
	})
	t.Run("none is left after its end", func(t *testing.T) {
		var kept catalog.Tx
		must(t, change(func(tx catalog.Tx) error { kept = tx; return nil }))
		_, entry := kept.Entry("k", "added")
		_, pkg := kept.HostedPackage("r", "p")
		for what, err := range map[string]error{"Entry": entry, "HostedPackage": pkg, "PutEntry": kept.PutEntry(&catalog.Entry{Kind: "k", ID: "late"})} {
			if err == nil || millpond.Is(err, millpond.NotFound) {
				t.Errorf("%s after the end: got %v; want an error that says so", what, err)
			}
		}
	})
}

// testInjection is S40: what looks like SQL or a pattern is a name like any other.
func testInjection(t *testing.T, open Open) {
	c := fresh(t, open)
	evil := []string{
		`'; DROP TABLE packages; --`, `' OR '1'='1`, `" OR ""="`, `1); DELETE FROM events; --`, `%`, `_`, `a%`, `[a-z]*`, `\`, `\'`, "x\x00y", `?`, `:name`, `$1`,
		`name) UNION SELECT name FROM sqlite_schema --`, `seq DESC; --`, `ＳＥＬＥＣＴ`,
	}
	for _, name := range evil {
		v := fullVersion(name, name)
		publish(t, c, name, name, v)
		update(t, c, func(tx catalog.Tx) error {
			must(t, tx.PutHostedRef(name, name, &catalog.HostedRef{Name: name, Target: name}))
			must(t, tx.PutEntry(&catalog.Entry{Kind: name, ID: name, Owner: name}))
			return tx.Emit(millpond.Event{Verb: name, Repository: name, Key: millpond.Key{Package: name, Version: name, File: name}})
		})
	}
	events := past(t, c, 0)
	for i, name := range evil {
		each(t, c, func(t *testing.T, tx catalog.Tx) {
			same(t, "packages of "+name, len(all(t, tx.HostedNames(name, ""))), 1)
			same(t, "versions of "+name, len(all(t, tx.HostedVersions(name, name))), 1)
			same(t, "refs of "+name, len(all(t, tx.HostedRefs(name, name, name, ""))), 1)
			same(t, "entries of "+name, len(all(t, tx.EntriesOf(name, name))), 1)
			same(t, "entries of the kind "+name, len(all(t, tx.Entries(name, ""))), 1)
			_, f, err := tx.HostedFile(name, name, name)
			must(t, err)
			same(t, "file", f.Name, name)
			total, err := tx.HostedTotals(name)
			must(t, err)
			same(t, "totals of "+name, total, catalog.HostedTotals{Packages: 1, Versions: 1, Files: 1, Bytes: 100})
		})
		for _, f := range []catalog.Filter{{Verb: name}, {Repository: name}, {Package: name}, {Version: name}, {Package: name, Version: name, Verb: name, Repository: name, Actor: "me"}} {
			got := all(t, c.Find(t.Context(), f))
			if len(got) != 1 || got[0].Seq != events[i].Seq {
				t.Errorf("%s: found %s; want event %d alone", show(f), show(got), events[i].Seq)
			}
		}
		if got := all(t, c.Find(t.Context(), catalog.Filter{Actor: name})); got != nil {
			t.Errorf("actor %q: found %s; want nothing", name, show(got))
		}
	}
}
