package policy

import (
	"strings"
	"testing"
	"time"

	"millpond"
)

// suites is a grammar in which names with a slash are indexes of others.
type suites struct{}

func (suites) Canon(name string) (string, error)  { return name, nil }
func (suites) Compare(a, b string) int            { return strings.Compare(a, b) }
func (suites) Match(spec, v string) (bool, error) { return spec == v, nil }
func (suites) IsIndex(name string) bool           { return strings.Contains(name, "/") }

// TestIndexes: rules judge an index of others only if they name it.
func TestIndexes(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for what, c := range map[string]struct {
		rules  []map[string]any
		shown  bool
		reason string
	}{
		"a hold of everything": {[]map[string]any{{"hold": "7d"}}, true, ""},
		"a hold that names it": {[]map[string]any{{"hold": "7d", "for": []any{"dists/stable"}}}, false, ""},
		"a block that does":    {[]map[string]any{{"block": []any{"dists/stable"}}}, false, ""},
		"a block of another":   {[]map[string]any{{"block": []any{"x"}}}, true, ""},
		"a list that lacks it": {[]map[string]any{{"allow": []any{"x"}}}, true, ""},
	} {
		p, err := Parse(c.rules)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = p.For(suites{}); err != nil {
			t.Fatal(err)
		}
		pkg := &millpond.Package{Name: "dists/stable", Versions: []millpond.Version{{Name: "1", Published: now.Add(-time.Hour)}}}
		j := p.Judge(now, suites{}, pkg)
		got := len(j.View(pkg).Versions) == 1 && p.NameOnly(now, pkg.Name).Opinion == millpond.Pass && j.Package().Opinion == millpond.Pass
		if got != c.shown {
			t.Errorf("%s: it is shown: %v, want %v", what, got, c.shown)
		}
		other := &millpond.Package{Name: "y", Versions: pkg.Versions}
		if what == "a hold of everything" && len(p.Judge(now, suites{}, other).View(other).Versions) != 0 {
			t.Error("a hold of everything lets a package through")
		}
	}
}
