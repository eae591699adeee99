package catalogtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"millpond"
	"millpond/catalog"
)

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
