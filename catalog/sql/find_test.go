package sql

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
)

// F53: no search of the log reads rows that an index could have told not to match, or sorts what it found.
func TestSearchesUseAnIndex(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	for _, q := range []struct {
		f    catalog.Filter
		want string
	}{
		{catalog.Filter{}, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		{catalog.Filter{Package: "p", Verb: "yank"}, "INDEX events_package (package=? AND rowid>? AND rowid<?)"},
		{catalog.Filter{Version: "1.0", Repository: "r"}, "INDEX events_version (version=? AND rowid>? AND rowid<?)"},
		{catalog.Filter{Actor: "a", Verb: "yank", Repository: "r"}, "INDEX events_actor (actor=? AND seq>? AND seq<?)"},
		{catalog.Filter{Verb: "yank", Repository: "r"}, "INDEX events_verb (verb=? AND seq>? AND seq<?)"},
		{catalog.Filter{Repository: "r", Newest: true}, "INDEX events_repository (repository=? AND seq>? AND seq<?)"},
	} {
		text, args := query(q.f, nil, nil)
		rows, err := c.changes.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, append(args, 0, 9, 10)...)
		must(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var words string
			must(t, rows.Scan(&id, &parent, &unused, &words))
			plan = append(plan, words)
		}
		must(t, rows.Err())
		if len(plan) != 1 || !strings.HasSuffix(plan[0], q.want) {
			t.Errorf("%+v: the plan is %q, want %s", q.f, plan, q.want)
		}
	}
}

// A search by several things finds what has all of them, whichever index it uses.
func TestFindsByTwo(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	must(t, c.Update(t.Context(), millpond.Actor{Name: "ann"}, func(tx catalog.Tx) error {
		for i := range 40 {
			verb := "publish"
			if i%10 == 3 {
				verb = "yank"
			}
			if err := tx.Emit(millpond.Event{Verb: verb, Repository: fmt.Sprint("r", i%2), Key: millpond.Key{Package: "p", Version: fmt.Sprint(i % 4)}}); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, q := range []struct {
		f    catalog.Filter
		want string
	}{
		{catalog.Filter{Actor: "ann", Verb: "yank"}, "[4 14 24 34]"},
		{catalog.Filter{Actor: "ann", Verb: "yank", Newest: true, Limit: 2}, "[34 24]"},
		{catalog.Filter{Actor: "ann", Repository: "r0", Verb: "yank"}, "[]"},
		{catalog.Filter{Version: "3", Verb: "yank"}, "[4 24]"},
		{catalog.Filter{Repository: "r1", Version: "1", After: 30}, "[34 38]"},
		{catalog.Filter{Verb: "yank", Before: 14, Since: time.Unix(0, 0)}, "[4]"},
	} {
		got := []int64{}
		for e, err := range c.Find(t.Context(), q.f) {
			must(t, err)
			got = append(got, e.Seq)
		}
		if fmt.Sprint(got) != q.want {
			t.Errorf("%+v: got %v, want %s", q.f, got, q.want)
		}
	}
}
