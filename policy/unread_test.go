package policy

import (
	"math"
	"testing"

	"millpond"
)

// TestUnreadLimits: a range that cannot be read for a version limits no rule that keeps something back, and lets a rule that lets
// something through have no word in it.
func TestUnreadLimits(t *testing.T) {
	late := spec{"block": list("x")}
	for _, tt := range []struct {
		name  string
		rules []map[string]any
		want  string
	}{
		{"trust for", []map[string]any{{"trust": list("x"), "for": list("x@~")}, late}, "| 2.0 1.0"},
		{"trust except", []map[string]any{{"trust": list("x"), "except": list("x@~")}, late}, "| 2.0 1.0"},
		{"trust for what can be read", []map[string]any{{"trust": list("x"), "for": list("x@<2", "x@~")}, late}, "1.0[x-1.0.tgz] | 2.0"},
		{"trust except what can be read", []map[string]any{{"trust": list("x"), "except": list("x@<2")}, late}, "2.0[x-2.0.tgz] | 1.0"},
		{"block for", []map[string]any{{"block": list("x"), "for": list("x@~")}}, "| 2.0 1.0"},
		{"block except", []map[string]any{{"block": list("x"), "except": list("x@~")}}, "| 2.0 1.0"},
	} {
		pkg := listing("x", "2.0", "1.0")
		if got := show(rules(t, tt.rules...).Judge(noon, dotted{}, pkg).View(pkg)); got != tt.want {
			t.Errorf("%s: readers see %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestSizesThatOverflow: what an upstream says of the sizes of files makes no package small.
func TestSizesThatOverflow(t *testing.T) {
	pkg := listing("x", "3.0", "2.0", "1.0")
	pkg.Versions[1].Files[0].Size, pkg.Versions[2].Files[0].Size = math.MaxInt64, math.MaxInt64
	j := rules(t, spec{"size": spec{"package": 1 << 20}}).Judge(noon, dotted{}, pkg)
	if v := j.Package(); v.Opinion != millpond.Deny {
		t.Errorf("a package of 2⁶⁴ bytes: %v, want deny", v.Opinion)
	}
}
