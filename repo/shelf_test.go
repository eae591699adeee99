package repo_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"millpond"
	"millpond/format"
)

// TestShelf: a directory that was read is shown as it is after every change, and by a reader who comes while another changes it.
func TestShelf(t *testing.T) {
	r := newRig(t, func(r *rig) { r.config.Upstreams, r.config.Unpublish = nil, true })
	b := r.ours(r.config.Name)
	list := func(prefix, after string) (names []string) {
		t.Helper()
		for one, err := range b.(format.Lister).List(t.Context(), format.Walk{Prefix: prefix, After: after}) {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, one.Name+" "+one.Version)
		}
		return names
	}
	want := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	for _, name := range []string{"a-one", "a-two", "b-one"} {
		r.published(b, name, "1.0.0", name)
	}
	for range 2 {
		want("all", list("", ""), "a-one 1.0.0", "a-two 1.0.0", "b-one 1.0.0")
		want("below a", list("a-", ""), "a-one 1.0.0", "a-two 1.0.0")
		want("below a, after", list("a-", "a-one"), "a-two 1.0.0")
	}
	r.published(b, "a-one", "1.1.0", "newer")
	want("a newer version", list("a-", ""), "a-one 1.1.0", "a-two 1.0.0")
	r.published(b, "a-three", "1.0.0", "three")
	want("a new name", list("a-", "a-one"), "a-three 1.0.0", "a-two 1.0.0")
	want("beside", list("b-", ""), "b-one 1.0.0")

	if err := b.Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "b-one", Version: "1.0.0"}}); err != nil {
		t.Fatal(err)
	}
	want("deleted", list("b-", ""))
	if err := b.Restore(t.Context(), millpond.Key{Package: "b-one", Version: "1.0.0"}); err != nil {
		t.Fatal(err)
	}
	want("restored", list("b-", ""), "b-one 1.0.0")

	// Whoever looks while others publish, and after them, misses nothing that was told before.
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for k := range 10 {
				name := fmt.Sprintf("c-%d-%d", i, k)
				r.published(b, name, "1.0.0", name)
				if got := list("c-", ""); !slices.Contains(got, name+" 1.0.0") {
					t.Errorf("%s was published and is not among %q", name, got)
				}
			}
		})
	}
	wg.Wait()
	if got := list("c-", ""); len(got) != 40 {
		t.Errorf("%d names are listed, want 40", len(got))
	}
}
