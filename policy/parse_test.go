package policy

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"millpond"
)

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name string
		spec spec
		want string
	}{
		{"a misspelt rule", spec{"hodl": "7d"}, `rule 2: unknown key "hodl"; did you mean hold?`},
		{"the other spelling", spec{"license": list("MIT")}, `rule 2: unknown key "license"; did you mean licence?`},
		{"a misspelt modifier", spec{"hold": "7d", "exept": "x"}, `rule 2: unknown key "exept"; did you mean except?`},
		{"nothing near", spec{"banana": 1}, `rule 2: unknown key "banana"; known are block, allow, trust, name, version, prerelease, hold, latest, size, platform, yanked, licence, for, except, until, why, dry-run, seen, unknown`},
		{"no rule", spec{"why": "x"}, "rule 2: it says nothing to judge by; one of block, allow, trust, name, version, prerelease, hold, latest, size, platform, yanked, licence is needed"},
		{"empty", spec{}, "rule 2: it says nothing to judge by; one of block, allow, trust, name, version, prerelease, hold, latest, size, platform, yanked, licence is needed"},
		{"two rules", spec{"hold": "7d", "latest": 5}, "rule 2: hold and latest are two rules; write each as an entry of its own"},
		{"hold without a unit", spec{"hold": 7}, "rule 2: hold: 7 is not a duration: write 7d, 12h or 1h30m"},
		{"hold of words", spec{"hold": "a week"}, `rule 2: hold: "a week" is not a duration: write 7d, 12h or 1h30m`},
		{"hold of nothing", spec{"hold": "0"}, "rule 2: hold: a hold of nothing holds nothing; leave the rule out"},
		{"latest of none", spec{"latest": 0}, "rule 2: latest: it is a number of versions, at least 1, not 0"},
		{"latest of words", spec{"latest": "five"}, "rule 2: latest: it is a number of versions, at least 1, not five"},
		{"size", spec{"size": "big"}, `rule 2: size: "big" is not a size: write 500MB, 10GiB or a number of bytes`},
		{"size of what", spec{"size": spec{"files": "1GiB"}}, `rule 2: size: unknown key "files"; did you mean file?`},
		{"size of nothing", spec{"size": spec{}}, "rule 2: size: file or package is needed"},
		{"empty list", spec{"block": list()}, "rule 2: block: the list is empty"},
		{"null", spec{"block": nil}, "rule 2: block: it is empty"},
		{"another wildcard", spec{"block": list("acme-?")}, `rule 2: block: "acme-?" is not a pattern: '?' is not understood; the one wildcard is *`},
		{"no versions after @", spec{"block": list("acme@")}, `rule 2: block: "acme@" names no versions after its @`},
		{"a number where a version belongs", spec{"version": list(1.1)}, "rule 2: version: 1.1 is not text; put it in quotes"},
		{"versions under name", spec{"name": list("x@<2")}, `rule 2: name: "x@<2" names versions too; write it under block`},
		{"prerelease", spec{"prerelease": true}, "rule 2: prerelease: the one thing it can say is deny, not true"},
		{"yanked", spec{"yanked": "allow"}, "rule 2: yanked: the one thing it can say is deny, not allow"},
		{"platform both ways", spec{"platform": spec{"deny": "a", "only": "b"}}, "rule 2: platform: either deny or only can be given; write a second rule for the other"},
		{"platform otherwise", spec{"platform": spec{"onyl": "b"}}, `rule 2: platform: unknown key "onyl"; did you mean only?`},
		{"licence of nothing", spec{"licence": spec{}}, "rule 2: licence: deny or only is needed"},
		{"until when", spec{"hold": "7d", "until": "christmas"}, "rule 2: until: christmas is not a day; write 2026-12-01, or a time as in 2026-12-01T08:00:00Z"},
		{"an exemption without a name", spec{"hold": "7d", "except": list(spec{"why": "x"})}, "rule 2: except: an entry has no name"},
		{"an exemption with more", spec{"hold": "7d", "except": list(spec{"name": "x", "untill": "2026-12-01"})}, `rule 2: except: unknown key "untill"; did you mean until?`},
		{"dry-run", spec{"hold": "7d", "dry-run": "yes"}, "rule 2: dry-run: it is true or false, not yes"},
		{"seen elsewhere", spec{"latest": 1, "seen": true}, "rule 2: seen: it goes with hold, not with latest"},
		{"unknown elsewhere", spec{"hold": "7d", "unknown": "pass"}, "rule 2: unknown: it goes with size and licence, not with hold"},
		{"unknown what", spec{"size": 1, "unknown": "allow"}, "rule 2: unknown: it is pass or deny, not allow"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := Parse([]map[string]any{{"latest": 5}, test.spec})
			if err == nil || err.Error() != test.want {
				t.Errorf("Parse(%v)\n got %v\nwant %s", test.spec, err, test.want)
			}
			if p != nil {
				t.Error("a policy came with the error")
			}
			if e, ok := errors.AsType[*RuleError](err); !ok || e.Rule != 2 {
				t.Errorf("the error does not carry its rule: %#v", err)
			}
		})
	}
}

func TestParseTellsAllErrors(t *testing.T) {
	_, err := Parse([]map[string]any{{"hodl": 1}, {"hold": "7d"}, {"latest": 0, "dry-run": 1}})
	want := "rule 1: unknown key \"hodl\"; did you mean hold?\nrule 3: latest: it is a number of versions, at least 1, not 0\nrule 3: dry-run: it is true or false, not 1"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestParseNothing(t *testing.T) {
	if p, err := Parse(nil); p != nil || err != nil {
		t.Errorf("Parse(nil) = %v, %v; want the nil policy", p, err)
	}
}

func TestNames(t *testing.T) {
	p := rules(t, spec{"hold": "7d"}, spec{"block": list("a", spec{"name": "b@<1", "why": "w"})}, spec{"licence": spec{"only": list("MIT")}},
		spec{"name": list(strings.Repeat("long-", 40))})
	want := []string{"hold: 7d", "block: [a, b@<1]", "licence: {only: [MIT]}", "name: [" + strings.Repeat("long-", 40)[:56] + "…"}
	for i, got := range p.Names() {
		if got != want[i] {
			t.Errorf("rule %d: got %q, want %q", i+1, got, want[i])
		}
	}
}

// TestHelp holds that whatever can be written is explained.
func TestHelp(t *testing.T) {
	help := Help()
	for _, word := range append(append([]string{"acme does not cover acme-evil", "    com.acme.*"}, keys...), modifiers...) {
		if !strings.Contains(help, word) {
			t.Errorf("%q is not in the help:\n%s", word, help)
		}
	}
	for _, code := range []string{"// ", "import (", "type Pattern"} {
		if strings.Contains(help, code) {
			t.Errorf("%q is in the help:\n%s", code, help)
		}
	}
}

func TestPlatform(t *testing.T) {
	tests := []struct {
		rule, platform string
		only           bool
		denied         bool
	}{
		{"windows", "", false, false},
		{"windows", "win_amd64", false, true},
		{"windows", "win32", false, true},
		{"windows", "x64-mingw32", false, true},
		{"windows", "windows/amd64", false, true},
		{"windows", "darwin", false, false},
		{"windows", "twin_peaks", false, false},
		{"macos", "macosx_11_0_arm64", false, true},
		{"macos", "arm64-darwin-22", false, true},
		{"linux", "manylinux_2_17_x86_64.manylinux2014_x86_64", false, true},
		{"linux", "manylinux_2_17_x86_64.macosx_11_0_arm64", false, false},
		{"manylinux*", "manylinux_2_17_x86_64.linux_x86_64", false, false},
		{"*_ARM64", "macosx_11_0_arm64", false, true},
		{"amd64", "amd64", false, true},
		{"amd64", "arm64", false, false},
		{"linux", "", true, false},
		{"linux", "linux/amd64", true, false},
		{"linux", "win_amd64", true, true},
		{"linux", "win_amd64.linux_x86_64", true, false},
	}
	for _, test := range tests {
		rule := newPlatform(words{test.rule}, test.only)
		if got := rule.denies(test.platform); got != test.denied {
			t.Errorf("platform %q (only: %t) on %q: denied %t, want %t", test.rule, test.only, test.platform, got, test.denied)
		}
	}
}

func TestLicence(t *testing.T) {
	agpl, mit := []any{"AGPL-*", "GPL-3.0-only"}, []any{"MIT", "Apache-2.0", "MIT License"}
	tests := []struct {
		listed []any
		only   bool
		text   string
		denied bool
	}{
		{agpl, false, "MIT", false},
		{agpl, false, "AGPL-3.0-or-later", true},
		{agpl, false, "agpl-3.0-ONLY", true},
		{agpl, false, "MIT OR AGPL-3.0-only", false},
		{agpl, false, "MIT AND AGPL-3.0-only", true},
		{agpl, false, "MIT AND (AGPL-3.0-only OR Apache-2.0)", false},
		{agpl, false, "MIT or (AGPL-3.0-only and Apache-2.0)", false},
		{agpl, false, "(GPL-3.0-only WITH GCC-exception-3.1)", true},
		{agpl, false, "see LICENSE file", true},
		{agpl, false, "MIT OR", true},
		{agpl, false, "(MIT", true},
		{agpl, false, "MIT)", true},
		{agpl, false, "()", true},
		{agpl, false, strings.Repeat("(", 100000) + "MIT", true},
		{mit, true, "MIT", false},
		{mit, true, " mit ", false},
		{mit, true, "MIT License", false},
		{mit, true, "BSD-3-Clause", true},
		{mit, true, "MIT AND Apache-2.0", false},
		{mit, true, "MIT AND BSD-3-Clause", true},
		{mit, true, "MIT OR BSD-3-Clause", false},
		{mit, true, "Apache-2.0 WITH LLVM-exception", false},
		{mit, true, "BSD License", true},
		{mit, true, "OR MIT", true},
		{mit, true, "MITX", true},
	}
	for _, test := range tests {
		key := spec{"licence": spec{"deny": test.listed}}
		if test.only {
			key = spec{"licence": spec{"only": test.listed}}
		}
		p := listing("x", "1")
		p.Versions[0].Licence = test.text
		v := rules(t, key).Judge(noon, dotted{}, p).Version("1")
		if got := v.Opinion == millpond.Deny; got != test.denied {
			t.Errorf("%v on %.60q: denied %t, want %t", key, test.text, got, test.denied)
		}
	}
	p := listing("x", "1")
	p.Versions[0].Licence = "see LICENSE file"
	if v := rules(t, spec{"licence": agpl, "unknown": "pass"}).Judge(noon, dotted{}, p).Version("1"); v.Opinion != millpond.Pass {
		t.Errorf("prose with unknown: pass: %v", v)
	}
}

// FuzzParse holds that no rule makes parsing or judging panic, and that what an id stands for does not change.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`[{"hold":"7d","except":[{"name":"x@1","until":"2026-12-01","why":"w"}]}]`,
		`[{"block":["evil-*","left-pad@<1.3"],"why":"x","dry-run":true}]`, `[{"allow":"a","for":["x@>=1"]},{"trust":["x"]}]`,
		`[{"size":{"file":"1MiB","package":5}},{"latest":2},{"yanked":"deny"},{"prerelease":"deny","until":"2030-01-01"}]`,
		`[{"platform":{"only":["linux"]}},{"licence":["AGPL-*"],"unknown":"pass"},{"version":"<3"},{"name":["a**b"]}]`,
	} {
		f.Add(s, "left-pad", "1.2")
	}
	f.Fuzz(func(t *testing.T, text, name, version string) {
		var specs []map[string]any
		if json.Unmarshal([]byte(text), &specs) != nil {
			return
		}
		p, err := Parse(specs)
		if err != nil {
			if p != nil || err.Error() == "" {
				t.Fatalf("Parse(%s) = %v, %q", text, p, err)
			}
			return
		}
		if again, err := Parse(specs); err != nil || again.ID() != p.ID() {
			t.Fatalf("the same rules have another id: %v", err)
		}
		if spelt, err := p.For(dotted{}); err == nil {
			p = spelt
		}
		pkg := listing(name, version, "1.0", version)
		pkg.Versions[0].Licence, pkg.Versions[1].Published = version, time.Time{}
		j := p.Judge(noon, dotted{}, pkg)
		j.DryRun()
		p.NameOnly(noon, name)
		if until := j.Until(); !until.IsZero() && !until.After(noon) {
			t.Fatalf("Until is %v, at %v", until, noon)
		}
		view := j.View(pkg)
		for i := range view.Versions {
			v := &view.Versions[i]
			if got := j.Version(v.Name).Opinion; v.Name != version && got != millpond.Pass && got != millpond.Allow {
				t.Fatalf("%s shows %s, of which it says %v", text, v.Name, got)
			}
		}
		for _, h := range view.Hidden {
			if h.Why == "" || strings.ContainsAny(h.Why, "\r\n\x1b") {
				t.Fatalf("the words on %q are %q", h.Version.Name, h.Why)
			}
		}
	})
}
