package policy

import (
	"testing"
	"time"

	"millpond"
)

// A file that describes another is judged as that one is: it has no size of its own that a rule could miss, it goes when
// the other goes, and it does not keep a version alone.
func TestFilesThatDescribeOthers(t *testing.T) {
	p, err := Parse([]map[string]any{{"size": "1MB"}})
	if err != nil {
		t.Fatal(err)
	}
	pkg := &millpond.Package{Name: "a", Versions: []millpond.Version{
		{Name: "2.0", Files: []millpond.File{{Name: "large", Size: 2 << 20}, {Name: "large.metadata", Of: "large", Size: -1}}},
		{Name: "1.0", Files: []millpond.File{
			{Name: "small.metadata", Of: "small", Size: -1}, {Name: "small", Size: 10},
			{Name: "other", Size: 2 << 20}, {Name: "other.asc", Of: "other", Size: -1},
		}},
	}}
	j := p.Judge(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), dotted{}, pkg)
	for _, c := range []struct {
		version, file string
		want          millpond.Opinion
	}{
		{"2.0", "large", millpond.Deny}, {"2.0", "large.metadata", millpond.Deny}, {"2.0", "", millpond.Deny},
		{"1.0", "small", millpond.Pass}, {"1.0", "small.metadata", millpond.Pass}, {"1.0", "", millpond.Pass},
		{"1.0", "other", millpond.Deny}, {"1.0", "other.asc", millpond.Deny},
	} {
		got := j.Version(c.version)
		if c.file != "" {
			got = j.File(c.version, c.file)
		}
		if got.Opinion != c.want {
			t.Errorf("%s %s: got %v (%s), want %v", c.version, c.file, got.Opinion, got.Why, c.want)
		}
	}
	view := j.View(pkg)
	if len(view.Versions) != 1 || len(view.Versions[0].Files) != 2 {
		t.Errorf("the view has %+v, want small and its metadata only", view.Versions)
	}
}
