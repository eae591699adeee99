package repo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"millpond"
)

// TestNewestFirst: versions are sorted as by a stable sort of themselves, and those that are sorted are compared once each.
func TestNewestFirst(t *testing.T) {
	compared := 0
	compare := func(a, b string) int { // by the first letter alone, so that many are equal
		compared++
		return strings.Compare(a[:1], b[:1])
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 70 {
		all := make([]millpond.Version, n)
		for i := range all {
			all[i] = millpond.Version{Name: fmt.Sprintf("%c%d", 'a'+rnd.IntN(9), i), Licence: fmt.Sprint(i)}
		}
		want := slices.Clone(all)
		slices.SortStableFunc(want, func(a, b millpond.Version) int { return compare(b.Name, a.Name) })
		newestFirst(all, compare)
		same := func(a, b millpond.Version) bool { return a.Name == b.Name && a.Licence == b.Licence }
		if !slices.EqualFunc(all, want, same) {
			t.Fatalf("%d versions: got %v, want %v", n, all, want)
		}
		compared = 0
		if newestFirst(all, compare); compared > max(n-1, 0) || !slices.EqualFunc(all, want, same) {
			t.Fatalf("%d sorted versions: %d comparisons", n, compared)
		}
	}
}
