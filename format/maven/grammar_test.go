package maven

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestCase24OrderAsResolver compares every two of many versions; testdata/versions.txt says what Maven's own resolver says of
// them: a line for each version with a character for each other.
func TestCase24OrderAsResolver(t *testing.T) {
	text, err := os.ReadFile("testdata/versions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var names, words []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		names, words = append(names, f[0]), append(words, f[1])
	}
	if len(names) < 50 {
		t.Fatalf("there are only %d versions", len(names))
	}
	for i, a := range names {
		for j, b := range names {
			got := "=<>"[(compare(a, b)>>63&1)|min(max(compare(a, b), 0), 1)<<1]
			if got != words[i][j] {
				t.Errorf("%s %c %s; the resolver says %c", a, got, b, words[i][j])
			}
			if c := (Format{}).Compare(a, b); (c == 0) != (a == b) || c < 0 != (words[i][j] == '<' || words[i][j] == '=' && a < b) {
				t.Errorf("Compare(%s, %s) = %d, and the resolver says %c", a, b, c, words[i][j])
			}
		}
	}
}

func FuzzCompare(f *testing.F) {
	for _, v := range []string{"1.0", "1.0-SNAPSHOT", "1-a1", "1..1", "1.max", "00.x-1", "1.0-x.1", "1-sp", ""} {
		f.Add(v, "1.0.0-x", "1-ga-1")
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		order := Format{}.Compare
		ab, ba := order(a, b), order(b, a)
		if ab < 0 != (ba > 0) || (ab == 0) != (a == b) {
			t.Errorf("Compare(%q, %q) = %d, and the other way round %d", a, b, ab, ba)
		}
		if ab <= 0 && order(b, c) <= 0 && order(a, c) > 0 {
			t.Errorf("%q ≤ %q ≤ %q, and yet %q > %q", a, b, c, a, c)
		}
		if fast, ok := compareNumbers(a, b); ok && (fast < 0) != (compare(a, b) < 0) {
			t.Errorf("%q and %q: %d at once, %d by their items", a, b, fast, compare(a, b))
		}
	})
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		spec string
		in   []string
		out  []string
	}{
		{"[1.0,2.0)", []string{"1.0", "1", "1.5", "2.0-rc1", "1.9.9"}, []string{"0.9", "2.0", "2.0.0", "3"}},
		{"(,1.0]", []string{"0.1", "1.0", "1.0-SNAPSHOT"}, []string{"1.0.1", "1.1"}},
		{"(1.0,)", []string{"1.0.1", "2"}, []string{"1.0", "1", "0.9"}},
		{"[1.2]", []string{"1.2", "1.2.0"}, []string{"1.2.1", "1.1"}},
		{"[1.2.*]", []string{"1.2", "1.2.9", "1.2-SNAPSHOT", "1.2.0-rc1"}, []string{"1.3", "1.1.9"}},
		{"(,1.0],[1.2,)", []string{"0.9", "1.0", "1.2", "5"}, []string{"1.1", "1.0.1"}},
		{"1.4", []string{"1.4", "1.4.0"}, []string{"1.5", "1.4-SNAPSHOT"}},
		{" [1.0 , 2.0] ", []string{"1.0", "2.0"}, []string{"2.0.1"}},
	} {
		for want, all := range map[bool][]string{true: c.in, false: c.out} {
			for _, version := range all {
				if got, err := (Format{}).Match(c.spec, version); got != want || err != nil {
					t.Errorf("Match(%q, %q) = %t, %v; want %t", c.spec, version, got, err, want)
				}
			}
		}
	}
	for _, bad := range []string{"", "[1.0", "1.0]", "[2.0,1.0]", "(1.0)", "[]", "[1.0,2.0],", "[1,2,3]", "[1.0]x", "[[1.0]]", "1.0,2.0"} {
		if ok, err := (Format{}).Match(bad, "1.0"); err == nil {
			t.Errorf("Match(%q, 1.0) = %t, want an error", bad, ok)
		}
	}
}

func TestPrerelease(t *testing.T) {
	for version, want := range map[string]bool{
		"1.0": false, "1.0-SNAPSHOT": true, "1.0-20261121.081759-1": true, "2.0-M4": true, "1.0-rc1": true, "1.0-jre": false, "1.0.Final": false,
		"1.0-alpha": true, "1.0-sp1": false, "32.1.3-android": false, "1.0-b2": true,
	} {
		if got := isPrerelease(version); got != want {
			t.Errorf("isPrerelease(%s) = %t, want %t", version, got, want)
		}
	}
}

func TestCanonAndCovers(t *testing.T) {
	for _, good := range []string{"com.acme:lib", "junit:junit", "com", "com.acme:lib:1.0-SNAPSHOT", "g:a_b.c-d", "com:acme"} {
		if got, err := (Format{}).Canon(good); got != good || err != nil {
			t.Errorf("Canon(%q) = %q, %v; want it as it is", good, got, err)
		}
	}
	for _, bad := range []string{"", ":", "a:", ":a", "a..b:c", "a:b:1.0", "a:b:c:d", "a/b:c", "a:b c", "../x:y", "a:..", "com.acme"} {
		if got, err := (Format{}).Canon(bad); err == nil {
			t.Errorf("Canon(%q) = %q, want an error", bad, got)
		}
	}
	for claim, names := range map[string][]string{
		"com.acme.*":       {"com.acme:lib", "com.acme.sub:lib", "com:acme", "com.acme:lib:1.0-SNAPSHOT", "com.acme:lib-a", "com.acme:lib-"},
		"com.acme":         {"com.acme:lib", "com.acme.sub:lib", "com:acme", "com.acme:lib:1.0-SNAPSHOT", "com.acme:lib-a", "com.acme:lib-"},
		"com.acme:lib":     {"com.acme:lib", "com.acme:lib:1.0-SNAPSHOT"},
		"com.acme:lib-*":   {"com.acme:lib-a", "com.acme:lib-"},
		"com.*.internal.*": {"com.x.internal:lib", "com.x.internal.y:lib"},
		"*":                {"com.acmeco:lib", "junit:junit"},
		"junit":            {"junit:junit", "junit"},
	} {
		for _, name := range []string{"com.acme:lib", "com.acme.sub:lib", "com:acme", "com.acme:lib:1.0-SNAPSHOT", "com.acme:lib-a", "com.acme:lib-",
			"com.x.internal:lib", "com.x.internal.y:lib", "com.acmeco:lib", "com:acmeco", "junit:junit", "junit", "com.acm:e"} {
			if got, want := (Format{}).Covers(claim, name), claim == "*" || slices.Contains(names, name); got != want {
				t.Errorf("claim %q covers %q: %t, want %t", claim, name, got, want)
			}
		}
	}
}
