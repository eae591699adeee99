package catalogtest

import (
	"fmt"
	"slices"
	"testing"

	"millpond"
	"millpond/catalog"
)

// testKept: what is known, what is dropped, and which of a family of derived documents stay.
func testKept(t *testing.T, open Open) {
	c := fresh(t, open)
	ctx := t.Context()
	for _, pkg := range []string{"b", "a", "c"} {
		must(t, c.PutAnswer(ctx, fullAnswer("l", pkg)))
	}
	must(t, c.PutAnswer(ctx, &catalog.Answer{Question: catalog.Question{Layer: "l", Kind: "version", Package: "gone", Name: "1.0"}, Absent: true, Why: "no", Checked: at(1), Fresh: at(2), Changed: at(1)}))
	must(t, c.PutAnswer(ctx, fullAnswer("other", "d")))
	var names []string
	for name, err := range c.Answered(ctx, "l", "version") {
		must(t, err)
		names = append(names, name)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(names, want) {
		t.Errorf("answered: got %q, want %q", names, want)
	}

	before, err := c.Totals(ctx)
	must(t, err)
	for _, version := range []string{"1", "2"} {
		for _, file := range []string{"f", "g"} {
			must(t, c.PutHolding(ctx, fullHolding("l", millpond.Key{Package: "p", Version: version, File: file})))
		}
	}
	must(t, c.DropHoldings(ctx, "l", "p", "1"))
	must(t, c.DropHoldings(ctx, "l", "p", "none"))
	var left []string
	for h, err := range c.Held(ctx, "l", "p") {
		must(t, err)
		left = append(left, h.Key.Version+h.Key.File)
	}
	if want := []string{"2f", "2g"}; !slices.Equal(left, want) {
		t.Errorf("held after a drop: got %q, want %q", left, want)
	}
	must(t, c.DropHoldings(ctx, "l", "p", "2"))
	after, err := c.Totals(ctx)
	must(t, err)
	same(t, "totals after all is dropped", after, before)

	one := func(n int) *catalog.Derived {
		stamp := fmt.Sprintf("s%d", n)
		return &catalog.Derived{Repository: "r", Name: "a\x00" + stamp, Stamp: stamp, Type: "x", Blob: sha(stamp), Size: 1, Modified: at(n), Keep: 2}
	}
	must(t, c.PutDerived(ctx, &catalog.Derived{Repository: "r", Name: "ab", Stamp: "s", Type: "x", Blob: sha("ab"), Size: 1, Modified: at(1)}))
	for n := 1; n <= 5; n++ {
		must(t, c.PutDerived(ctx, one(n)))
	}
	for n := 1; n <= 5; n++ {
		d := one(n)
		_, err := c.Derived(ctx, d.Repository, d.Name, d.Stamp, "")
		if got, want := err == nil, n >= 3; got != want {
			t.Errorf("form %d of five, of which the last and two more are kept: there is %v, want %v (%v)", n, got, want, err)
		}
	}
	if _, err := c.Derived(ctx, "r", "ab", "s", ""); err != nil {
		t.Errorf("a document of another name: %v", err)
	}
}
