package npm

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"millpond"
)

// What npm's own range code answers for each range: the versions in it, without and with prereleases.
//
//go:embed testdata/ranges.jsonl
var ranges []byte

var rangeVersions = strings.Fields(`0.0.0-0 0.0.0 0.0.3-rc.1 0.0.3 0.0.4 0.2.3 0.3.0 1.0.0-rc.1 1.0.0 1.2.0-alpha 1.2.0
	1.2.3-beta.1 1.2.3-beta.2 1.2.3-beta.10 1.2.3 1.2.3+other 1.2.4 1.2.4-0 1.3.0-0 1.3.0-beta 1.3.0 2.0.0-0 2.0.0-rc.1
	2.0.0-rc.2 2.0.0 2.3.4-pre 2.3.4 2.3.5-0 2.5.0 3.0.0-x 3.0.0 7.2.3 7.2.4`)

func TestRangesAnswerAsNpmDoes(t *testing.T) {
	lines := bufio.NewScanner(bytes.NewReader(ranges))
	n := 0
	for lines.Scan() {
		n++
		var want struct {
			Range   string
			Valid   bool
			In, Pre []string
		}
		if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
			t.Fatalf("line %d: %v", n, err)
		}
		for _, mode := range []struct {
			prerelease bool
			in         []string
		}{{false, want.In}, {true, want.Pre}} {
			r, ok := parseRange(want.Range, mode.prerelease)
			if ok != want.Valid {
				t.Errorf("parseRange(%q) valid: got %v, want %v", want.Range, ok, want.Valid)
				continue
			}
			if !ok {
				continue
			}
			var got []string
			for _, name := range rangeVersions {
				v, ok := parseVersion(name)
				if !ok {
					t.Fatalf("parseVersion(%q) failed", name)
				}
				if r.has(&v) {
					got = append(got, name)
				}
			}
			if !slices.Equal(got, mode.in) {
				t.Errorf("range %q (prereleases %v):\n got %v\nwant %v", want.Range, mode.prerelease, got, mode.in)
			}
		}
	}
	if n < 80 {
		t.Fatalf("only %d ranges were tried", n)
	}
}

func TestMatchCountsPrereleasesAsInRange(t *testing.T) {
	for _, c := range []struct {
		spec, version string
		want, valid   bool
	}{
		{"^1.2.3", "1.9.0-rc.1", true, true},
		{"^1.2.3", "2.0.0-rc.1", false, true},
		{"<2", "2.0.0-rc.1", false, true},
		{"*", "1.0.0-alpha", true, true},
		{"*", "1.0.0.1", true, true},
		{">=0", "01.0.0", false, true},
		{"01.0.0", "01.0.0", true, true},
		{"1.0.0.1", "1.0.0", false, false},
		{"latest", "1.0.0", false, false},
		{"1.2.3", "1.2.3+build", true, true},
	} {
		got, err := Format{}.Match(c.spec, c.version)
		if got != c.want || (err == nil) != c.valid {
			t.Errorf("Match(%q, %q): got %v, %v; want %v, valid %v", c.spec, c.version, got, err, c.want, c.valid)
		}
		if err != nil && !millpond.Is(err, millpond.Invalid) {
			t.Errorf("Match(%q, %q): got kind %v, want invalid", c.spec, c.version, millpond.KindOf(err))
		}
	}
}

func TestCompareOrdersAsSemver(t *testing.T) {
	inOrder := []string{
		"", "01.0.0", "1.0.0.1", "latest", // what is no semver is older than all
		"0.0.0-0", "0.0.0", "1.0.0-1", "1.0.0--", "1.0.0-0a", "1.0.0-A", "1.0.0-alpha", "1.0.0-alpha.1",
		"1.0.0-alpha.99999999999999999", "1.0.0-alpha.100000000000000000", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
		"1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.0+a", "1.0.0+b", "1.0.1", "1.1.0", "1.9.0", "1.10.0", "2.0.0", "10.0.0",
	}
	for i, a := range inOrder {
		for j, b := range inOrder {
			got, want := Format{}.Compare(a, b), cmpInt(i, j)
			if sign(got) != want {
				t.Errorf("Compare(%q, %q): got %d, want %d", a, b, got, want)
			}
		}
	}
}

func cmpInt(a, b int) int { return sign(a - b) }

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func FuzzCompareIsAnOrder(f *testing.F) {
	f.Add("1.0.0", "1.0.0-rc.1", "01.0.0")
	f.Add("1.0.0+a", "1.0.0+b", "1.0.0")
	f.Add("v1.0.0", "1.0.0", "")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		cmp := Format{}.Compare
		if (cmp(a, b) == 0) != (a == b) {
			t.Errorf("Compare(%q, %q) = %d", a, b, cmp(a, b))
		}
		if sign(cmp(a, b)) != -sign(cmp(b, a)) {
			t.Errorf("Compare(%q, %q) = %d, the other way %d", a, b, cmp(a, b), cmp(b, a))
		}
		if cmp(a, b) <= 0 && cmp(b, c) <= 0 && cmp(a, c) > 0 {
			t.Errorf("%q ≤ %q ≤ %q, but Compare(first, last) = %d", a, b, c, cmp(a, c))
		}
	})
}

func TestVersionsThatNpmReads(t *testing.T) {
	for version, want := range map[string]bool{
		"1.2.3": true, "v1.2.3": true, "01.2.3": false, "1.2": false, "1.2.3.4": false, "1.2.3-": false, "1.2.3+": false,
		"1.2.3-a..b": false, "1.2.3-01": false, "1.2.3-0a": true, "1.2.3+01": true, "9007199254740991.0.0": true,
		"9007199254740992.0.0": false, "1.2.3-é": false, "": false, "a.b.c": false, "1.2.3-a+b-c.d": true,
		"1.2.3-" + strings.Repeat("a", 251): false, "__proto__": false,
	} {
		if _, got := parseVersion(version); got != want {
			t.Errorf("parseVersion(%q): got %v, want %v", version, got, want)
		}
	}
}

func TestCanonChecksAndNeverFolds(t *testing.T) {
	for name, want := range map[string]bool{
		"left-pad": true, "JSONStream": true, "jsonstream": true, "@scope/name": true, "@Scope/Name": true,
		"constructor": true, "toString": true, "-": true, "x.": true, "a!b": true, "@a/_x": true, strings.Repeat("a", 215): true,
		"": false, ".": false, "..": false, ".x": false, "_x": false, "__proto__": false, "node_modules": false,
		"NODE_modules": false, "favicon.ico": false, "@a/.x": false, "@/x": false, "@a/": false, "@a": false, "@a/b/c": false,
		"@../x": false, "a/b": false, "a b": false, "a\x00b": false, "a%2fb": false, "a\\b": false, "é": false, " a": false,
	} {
		got, err := Format{}.Canon(name)
		if (err == nil) != want {
			t.Errorf("Canon(%q): got error %v, want allowed %v", name, err, want)
		}
		if err == nil && got != name {
			t.Errorf("Canon(%q): got %q", name, got)
		}
		if err != nil && !millpond.Is(err, millpond.Invalid) {
			t.Errorf("Canon(%q): got kind %v, want invalid", name, millpond.KindOf(err))
		}
	}
}

// TestNewestFirst: a listing is in the order that Compare gives it, newest first, whatever its names are.
func TestNewestFirst(t *testing.T) {
	names := []string{"1.0.0", "10.0.0", "2.0.0", "2.0.0-rc.1", "2.0.0-rc.11", "2.0.0-rc.2", "v1.0.0", "1.0.0+b", "1.0.0+a", "x", "", "01.0.0", "1.2.3-alpha", "1.2.3"}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		all := make([]millpond.Version, len(names))
		for i, name := range names {
			all[i] = millpond.Version{Name: name, Licence: name}
		}
		newestFirst(all)
		if !slices.IsSortedFunc(all, func(a, b millpond.Version) int { return (Format{}).Compare(b.Name, a.Name) }) {
			t.Fatalf("of %q came %v", names, all)
		}
		for i := range all {
			if all[i].Licence != all[i].Name {
				t.Fatalf("%q has the record of %q", all[i].Name, all[i].Licence)
			}
		}
	}
	text := `{"name":"a","versions":{"1.0.0":{},"3.0.0":{},"2.0.0":{}}}`
	p, err := readPackument(t.Context(), "a", strings.NewReader(text), int64(len(text)), &url.URL{})
	if err != nil || p.Versions[0].Name != "3.0.0" || p.Versions[2].Name != "1.0.0" {
		t.Fatalf("read: %v, %v", p, err)
	}
	if m, ok := decodeMember(p.Versions[0].Meta); !ok || !strings.HasPrefix(text[m.key:], `"3.0.0"`) {
		t.Errorf("the place of 3.0.0 is that of %.7s", text[m.key:])
	}
}
