package repo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
	"millpond/format/golang"
	"millpond/format/maven"
	"millpond/format/rubygems"
)

// Whatever order layers list their versions in, what is joined is newest first, has each version once, of the first layer that
// has it, and mixes no group's forms of two layers.
func TestJoin(t *testing.T) {
	spellings := map[string][]string{"maven": {"%d.0", "%d", "%d-rc1", "%d.1"}, "golang": {"v1.%d.0", "v1.%d.0-rc1"}, "rubygems": {"%d.0", "%d.0-java", "%d.0-x86_64-linux"}}
	random := rand.New(rand.NewPCG(1, 2))
	for _, f := range []format.Format{maven.Format{}, golang.Format{}, rubygems.Format{}} {
		t.Run(f.Info().Name, func(t *testing.T) {
			for range 300 {
				var layers []millpond.Package
				for at := range 1 + random.IntN(4) {
					layer := millpond.Package{Parts: []millpond.Part{{Layer: fmt.Sprint(at)}}}
					for range random.IntN(12) {
						spelling := spellings[f.Info().Name][random.IntN(len(spellings[f.Info().Name]))]
						name := fmt.Sprintf(spelling, random.IntN(8))
						if layer.Version(name) == nil {
							layer.Versions = append(layer.Versions, millpond.Version{Name: name, Layer: fmt.Sprint(at)})
						}
					}
					layers = append(layers, layer)
				}
				joined := &millpond.Package{}
				for i := range layers {
					join(joined, &layers[i], f)
				}
				if want, got := spelled(joinedSlowly(layers, f)), spelled(joined.Versions); !slices.Equal(got, want) {
					t.Fatalf("%v\njoin to      %v\nand ought to %v", layers, got, want)
				}
			}
		})
	}
}

// joinedSlowly is what join does in words that cannot be wrong.
func joinedSlowly(layers []millpond.Package, f format.Format) []millpond.Version {
	var all []millpond.Version
	for _, layer := range layers {
		above := slices.Clone(all)
		for _, v := range layer.Versions {
			if !slices.ContainsFunc(above, func(a millpond.Version) bool {
				grouper, ok := f.(format.Grouper)
				return f.Compare(a.Name, v.Name) == 0 || ok && grouper.Group(a.Name) == grouper.Group(v.Name)
			}) {
				all = append(all, v)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b millpond.Version) int { return f.Compare(b.Name, a.Name) })
	return all
}

func spelled(versions []millpond.Version) []string {
	var out []string
	for _, v := range versions {
		out = append(out, v.Name+" of "+v.Layer)
	}
	return out
}

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
		all = newestFirst(all, compare)
		same := func(a, b millpond.Version) bool { return a.Name == b.Name && a.Licence == b.Licence }
		if !slices.EqualFunc(all, want, same) {
			t.Fatalf("%d versions: got %v, want %v", n, all, want)
		}
		compared = 0
		if all = newestFirst(all, compare); compared > max(n-1, 0) || !slices.EqualFunc(all, want, same) {
			t.Fatalf("%d sorted versions: %d comparisons", n, compared)
		}
	}
}
