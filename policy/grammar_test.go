package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"millpond"
)

// dotted is an ecosystem of its own: names are lower case with "-" for "_", versions are numbers with dots, ranges are
// "<1.3" and ">=2".
type dotted struct{}

func (dotted) Canon(name string) (string, error) {
	if name == "" || strings.ContainsAny(name, " !") || strings.HasPrefix(name, "@") && !strings.Contains(name, "/") {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: "no name: " + name}
	}
	return strings.ReplaceAll(strings.ToLower(name), "_", "-"), nil
}

func (dotted) Compare(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for len(as) < len(bs) {
		as = append(as, "0")
	}
	for len(bs) < len(as) {
		bs = append(bs, "0")
	}
	return slices.CompareFunc(as, bs, func(x, y string) int {
		m, errX := strconv.Atoi(x)
		n, errY := strconv.Atoi(y)
		if errX != nil || errY != nil {
			return strings.Compare(x, y)
		}
		return cmp.Compare(m, n)
	})
}

func (g dotted) Match(spec, version string) (bool, error) {
	if rest, ok := strings.CutPrefix(spec, ">="); ok && rest != "" {
		return g.Compare(version, rest) >= 0, nil
	}
	if rest, ok := strings.CutPrefix(spec, "<"); ok && rest != "" {
		return g.Compare(version, rest) < 0, nil
	}
	return false, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%q is no range", spec)}
}

var noon = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// rules parses rules, each "key: value" of simple values, or fails the test.
func rules(t testing.TB, specs ...map[string]any) *Policy {
	t.Helper()
	p, err := Parse(specs)
	if err != nil {
		t.Fatalf("Parse(%v): %v", specs, err)
	}
	return p
}

type spec = map[string]any

func list(entries ...any) []any { return entries }

// show is what a view shows: "2.0[a b] 1.0[c]", and behind a bar what is hidden.
func show(p *millpond.Package) string {
	var parts []string
	for _, v := range p.Versions {
		var files []string
		for _, f := range v.Files {
			files = append(files, f.Name)
		}
		if len(files) > 0 {
			parts = append(parts, v.Name+"["+strings.Join(files, " ")+"]")
		} else {
			parts = append(parts, v.Name)
		}
	}
	s := strings.Join(parts, " ")
	if len(p.Hidden) > 0 {
		var hidden []string
		for _, h := range p.Hidden {
			hidden = append(hidden, h.Version.Name)
		}
		s += " | " + strings.Join(hidden, " ")
	}
	return strings.TrimSpace(s)
}

// listing is a package with versions that have one file each.
func listing(name string, versions ...string) *millpond.Package {
	p := &millpond.Package{Name: name}
	for _, v := range versions {
		p.Versions = append(p.Versions, millpond.Version{
			Name: v, Layer: "up", Published: ago(1000 * day), Seen: ago(10 * day),
			Files: []millpond.File{{Name: name + "-" + v + ".tgz", Size: 1000}},
		})
	}
	return p
}
