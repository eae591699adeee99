package policy

import (
	"strings"
	"testing"
	"time"
)

func TestPatternMatch(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"acme", "acme", true},
		{"acme", "acme/widget", true},
		{"acme", "acme:widget", true},
		{"acme", "acme-evil", false},
		{"acme", "acme_evil", false},
		{"acme", "acme.evil", false},
		{"acme", "acme@evil", false},
		{"acme", "acmeco", false},
		{"acme", "not/acme", false},
		{"acme", "not-acme", false},
		{"acme", "acm", false},
		{"acme", "", false},
		{"acme-*", "acme-widget", true},
		{"acme-*", "acme-widget/part", true},
		{"acme-*", "acme", false},
		{"acme-*", "acmeco-x", false},
		{"acme-*", "x-acme-y", false},
		{"acme-*-internal", "acme-x-internal", true},
		{"acme-*-internal", "acme-x-y-internal", true},
		{"acme-*-internal", "acme-x-internals", false},
		{"acme-*-internal", "acme-x/y-internal", false},
		{"*-internal", "acme-internal", true},
		{"*-internal", "acme-internal-not", false},
		{"@acme/*", "@acme/widget", true},
		{"@acme/*", "@acme-evil/widget", false},
		{"@acme/*", "acme/widget", false},
		{"@acme/*", "@acme", true},
		{"@acme/w*", "@acme/widget", true},
		{"@acme/w*", "@acme/other", false},
		{"@acme-*/x", "@acme-b/x", true},
		{"@acme-*/x", "@acme-b/y/x", false},
		{"com.acme.*", "com.acme:widget", true},
		{"com.acme.*", "com.acme.sub:widget", true},
		{"com.acme.*", "com.acme.sub.sub:widget", true},
		{"com.acme.*", "com.acmeco:widget", false},
		{"com.acme.*", "com.acmex", false},
		{"com.acme.*", "org.com.acme:widget", false},
		{"lodash.*", "lodash", false},
		{"lodash.*", "lodash.merge", true},
		{"com.*.x.*", "com.acme.x:y", true},
		{"com.acme", "com.acme:widget", true},
		{"com.acme", "com.acme.sub:widget", false},
		{"com.acme:wid*", "com.acme:widget", true},
		{"com.acme:wid*", "com.acme:other", false},
		{"com.acme:*", "com.acme:widget", true},
		{"git.acme.example", "git.acme.example", true},
		{"git.acme.example", "git.acme.example/team/repo/v2", true},
		{"git.acme.example", "git.acme.example.evil/x", false},
		{"git.acme.example/*", "git.acme.example", true},
		{"git.acme.example/*", "git.acme.example/team/repo", true},
		{"git.acme.example/*", "git.acme.exampleevil/team", false},
		{"git.acme.example/team-*", "git.acme.example/team-a/repo/v2", true},
		{"git.acme.example/team-*", "git.acme.example/other/team-a", false},
		{"*.acme.example", "git.acme.example/x", true},
		{"*.acme.example", "acme.example/x", false},
		{"*.acme.example", "evil/git.acme.example", false},
		{"acme/**", "acme/a/b/c", true},
		{"acme/**", "acmeco/a", false},
		{"acme/**/secret", "acme/a/b/secret", true},
		{"acme/**/secret", "acme/a/b/secrets", false},
		{"acme/**/s*t/x", "acme/a/sat/sot/x", true},
		{"a**z/*k", "a/b/z/c/z/jk", true},
		{"*", "anything/at:all", true},
		{"**", "anything/at:all", true},
	}
	for _, test := range tests {
		p, err := ParsePattern(test.pattern)
		if err != nil {
			t.Errorf("ParsePattern(%q): %v", test.pattern, err)
			continue
		}
		if got := p.Match(test.name); got != test.want {
			t.Errorf("pattern %q, name %q: got %t, want %t", test.pattern, test.name, got, test.want)
		}
	}
}

// TestSetCovers holds that the quick way to find a pattern finds what the pattern itself says.
func TestSetCovers(t *testing.T) {
	names := []string{"acme", "acme/a", "acme:a", "acme-a", "acmeco", "@acme/x", "com.acme:x", "com.acme.s:x", "x", "", "/", "acme/"}
	for _, text := range []string{"acme", "acme-*", "@acme/*", "@acme", "com.acme.*", "com.acme", "*", "acme/a"} {
		it, err := parseItem(text)
		if err != nil {
			t.Fatalf("parseItem(%q): %v", text, err)
		}
		s := newSet([]item{it})
		for _, name := range names {
			if got, want := len(s.covering(noon, name)) > 0, it.pattern.Match(name); got != want {
				t.Errorf("pattern %q, name %q: the set says %t, the pattern %t", text, name, got, want)
			}
		}
	}
}

func TestParsePatternRefuses(t *testing.T) {
	for _, text := range []string{"", "a b", "a\tb", "acme-?", "acme-[ab]", "{a,b}", `a\*`, "!acme", "a\x00b"} {
		if p, err := ParsePattern(text); err == nil {
			t.Errorf("ParsePattern(%q) = %v, want an error", text, p)
		}
	}
}

func TestCanonPattern(t *testing.T) {
	for text, want := range map[string]string{
		"Acme_Widget":     "acme-widget",
		"Acme_*":          "acme-*",
		"*_Internal":      "*-internal",
		"@Acme/*":         "@acme/*",
		"@Acme":           "@acme",
		"*":               "*",
		"Git.Acme/Team_*": "git.acme/team-*",
	} {
		p, err := ParsePattern(text)
		if err != nil {
			t.Fatalf("ParsePattern(%q): %v", text, err)
		}
		if got := CanonPattern(dotted{}, p).String(); got != want {
			t.Errorf("CanonPattern(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestMatchTakesNoTime would not end if matching tried every way to divide a name among the stars.
func TestMatchTakesNoTime(t *testing.T) {
	p, err := ParsePattern(strings.Repeat("a*", 40) + "**" + strings.Repeat("a*", 40) + "b")
	if err != nil {
		t.Fatal(err)
	}
	if name := strings.Repeat("a", 2000); p.Match(name) {
		t.Errorf("%v covers %d times a", p, len(name))
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{{"acme-*", "acme-x"}, {"a**b/*", "a/b"}, {"com.acme.*", "com.acme:x"}, {"*", ""}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		if p.Match(name) && !p.Match(name+"/below") {
			t.Errorf("%q covers %q but not what is below it", text, name)
		}
		if p.exact && p.Match(name) && !strings.HasPrefix(name, p.glob) {
			t.Errorf("%q covers %q", text, name)
		}
		if it, err := parseItem(text); err == nil && it.rng == "" {
			if got, want := len(newSet([]item{it}).covering(time.Time{}, name)) > 0, p.Match(name); got != want && name != "" {
				t.Errorf("%q, %q: the set says %t, the pattern %t", text, name, got, want)
			}
		}
		CanonPattern(dotted{}, p)
	})
}
