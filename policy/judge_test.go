package policy

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"millpond"
)

func TestNilPolicy(t *testing.T) {
	var p *Policy
	pkg := listing("x", "1.0")
	j := p.Judge(noon, dotted{}, pkg)
	if got := j.View(pkg); got != pkg {
		t.Errorf("View gave %p, want the package itself, %p", got, pkg)
	}
	if v := j.File("1.0", "x"); v != (millpond.Verdict{}) || j.Version("9") != v || j.Package() != v || p.NameOnly(noon, "x") != v {
		t.Errorf("a nil policy has an opinion: %+v", v)
	}
	if !j.Until().IsZero() || j.Needs() != nil || j.DryRun() != nil || j.Rule(millpond.Target{Version: "1.0"}) != "" || p.ID() != "" {
		t.Error("a nil policy says something")
	}
	if same, err := p.For(dotted{}); same != nil || err != nil {
		t.Errorf("For = %v, %v; want nil, nil", same, err)
	}
	if n := testing.AllocsPerRun(10, func() { p.Judge(noon, dotted{}, pkg).View(pkg) }); n != 0 {
		t.Errorf("judging by a nil policy allocates %v times", n)
	}
}

func TestWords(t *testing.T) {
	pkg := func(f func(v *millpond.Version)) *millpond.Package {
		p := listing("x", "2.0")
		f(&p.Versions[0])
		return p
	}
	same := func(*millpond.Version) {}
	tests := []struct {
		rule spec
		pkg  *millpond.Package
		want string
	}{
		{spec{"block": list("x")}, pkg(same), "2.0 is blocked in this repository"},
		{spec{"block": list(spec{"name": "x", "why": "it mines coins"}), "why": "ask us"}, pkg(same), "2.0 is blocked in this repository (it mines coins)"},
		{spec{"block": list("y", "x"), "why": "ask us"}, pkg(same), "2.0 is blocked in this repository (ask us)"},
		{spec{"block": list("x@~")}, pkg(same), "nothing tells whether 2.0 is among the versions that are blocked in this repository"},
		{spec{"allow": list("y")}, pkg(same), "2.0 is not among what this repository allows"},
		{spec{"prerelease": "deny"}, pkg(func(v *millpond.Version) { v.Prerelease = true }), "2.0 is a prerelease, and this repository leaves those out"},
		{spec{"yanked": "deny"}, pkg(func(v *millpond.Version) { v.Yanked = true }), "2.0 was yanked, this repository leaves out what was"},
		{spec{"yanked": "deny"}, pkg(func(v *millpond.Version) { v.Yanked, v.YankedWhy = true, "it\r\neats\x1b[31m files" }),
			"2.0 was yanked: it??eats?[31m files; this repository leaves out what was"},
		{spec{"size": "1KiB"}, pkg(func(v *millpond.Version) { v.Files[0].Size = 3 << 19 }), "2.0 has 1.5 MiB; this repository takes files up to 1 KiB"},
		{spec{"size": "1KiB"}, pkg(func(v *millpond.Version) { v.Files[0].Size = -1 }), "nothing says how large 2.0 is; this repository takes files up to 1 KiB"},
		{spec{"size": spec{"package": 999}}, pkg(same), "the files of 2.0 have 1000 bytes together; this repository takes packages up to 999 bytes"},
		{spec{"platform": "windows"}, pkg(func(v *millpond.Version) { v.Files[0].Platform = "win_amd64" }), "2.0 is for win_amd64, which this repository leaves out"},
		{spec{"licence": "AGPL-*"}, pkg(func(v *millpond.Version) { v.Licence = "AGPL-3.0-only" }), "2.0 is under AGPL-3.0-only, which this repository leaves out"},
		{spec{"licence": "AGPL-*"}, pkg(same), "2.0 does not say under which licence it is, and this repository judges by it"},
		{spec{"licence": "AGPL-*"}, pkg(func(v *millpond.Version) { v.Licence = "see the file" }), "the licence of 2.0 reads “see the file”, which this repository cannot judge"},
	}
	for _, test := range tests {
		j := rules(t, test.rule).Judge(noon, dotted{}, test.pkg)
		if got := j.Version("2.0"); got.Opinion != millpond.Deny || got.Why != test.want {
			t.Errorf("rule %v on %+v:\n got %v %q\nwant deny %q", test.rule, test.pkg.Versions[0], got.Opinion, got.Why, test.want)
		}
	}
	two := listing("x", "2.0", "1.0")
	if got, want := rules(t, spec{"latest": 1}).Judge(noon, dotted{}, two).Version("1.0").Why, "1.0 is older; this repository shows the newest 1 version"; got != want {
		t.Errorf("latest: got %q, want %q", got, want)
	}
	if got := rules(t, spec{"block": "x"}).Judge(noon, dotted{}, two).View(two).Blocked; got != "x is blocked in this repository" {
		t.Errorf("Blocked = %q", got)
	}
}

func TestVerdictsByTarget(t *testing.T) {
	p := listing("x", "3", "2", "1")
	p.Versions[1].Files = append(p.Versions[1].Files, millpond.File{Name: "big", Size: 1 << 30})
	j := rules(t, spec{"trust": list("x@3")}, spec{"size": "1MiB"}, spec{"block": list("x@1")}).Judge(noon, dotted{}, p)
	tests := []struct {
		version, file string
		want          millpond.Opinion
		rule          string
	}{
		{"3", "", millpond.Allow, "trust: [x@3]"},
		{"3", "x-3.tgz", millpond.Allow, "trust: [x@3]"},
		{"2", "", millpond.Pass, ""},
		{"2", "x-2.tgz", millpond.Pass, ""},
		{"2", "big", millpond.Deny, "size: 1MiB"},
		{"", "big", millpond.Deny, "size: 1MiB"},
		{"", "x-2.tgz", millpond.Pass, ""},
		{"1", "", millpond.Deny, "block: [x@1]"},
		{"1", "x-1.tgz", millpond.Deny, "block: [x@1]"},
		{"", "x-1.tgz", millpond.Deny, "block: [x@1]"},
		{"1", "not listed", millpond.Deny, ""},
		{"2", "not listed", millpond.Deny, ""},
		{"", "not listed", millpond.Deny, ""},
		{"9", "", millpond.Deny, ""},
		{"9", "x-1.tgz", millpond.Deny, ""},
	}
	for _, test := range tests {
		got := j.Version(test.version)
		if test.file != "" {
			got = j.File(test.version, test.file)
		}
		rule := j.Rule(millpond.Target{Version: test.version, File: test.file})
		if got.Opinion != test.want || rule != test.rule {
			t.Errorf("version %q, file %q: got %v by %q, want %v by %q", test.version, test.file, got.Opinion, rule, test.want, test.rule)
		}
		if (got.Why == "") != (got.Opinion == millpond.Pass) {
			t.Errorf("version %q, file %q: %v with the words %q", test.version, test.file, got.Opinion, got.Why)
		}
	}
	if got := j.Package(); got.Opinion != millpond.Pass {
		t.Errorf("Package() = %v, want pass", got)
	}
}

// TestPackageVerdict holds that a package is blocked as a whole only if no version of it was let through before.
func TestPackageVerdict(t *testing.T) {
	p := listing("x", "2", "1")
	blocked := rules(t, spec{"block": "x"}).Judge(noon, dotted{}, p)
	if got := blocked.Package(); got.Opinion != millpond.Deny || blocked.Rule(millpond.Target{}) != "block: x" {
		t.Errorf("got %v by %q, want deny by block: x", got, blocked.Rule(millpond.Target{}))
	}
	view := blocked.View(p)
	if view.Blocked == "" || len(view.Versions) != 0 || len(view.Hidden) != 2 {
		t.Errorf("view: blocked %q, %s", view.Blocked, show(view))
	}
	partly := rules(t, spec{"trust": "x@1"}, spec{"block": "x"}).Judge(noon, dotted{}, p)
	if got := partly.Package(); got.Opinion != millpond.Pass {
		t.Errorf("with a trusted version: got %v, want pass", got)
	}
	if got := show(partly.View(p)); got != "1[x-1.tgz] | 2" || partly.View(p).Blocked != "" {
		t.Errorf("with a trusted version the view is %s, blocked %q", got, partly.View(p).Blocked)
	}
}

func TestNeeds(t *testing.T) {
	partial := listing("x", "2", "1")
	for i := range partial.Versions {
		partial.Versions[i].Partial = true
		partial.Versions[i].Files[0].Size = -1
	}
	undated := listing("x", "2", "1")
	undated.Versions[0].Partial, undated.Versions[0].Published = true, time.Time{}
	incomplete := listing("x", "2")
	incomplete.Incomplete = true
	described := map[string]millpond.Fact{"1": millpond.Description, "2": millpond.Description}
	whole := map[string]millpond.Fact{"": millpond.Listing}
	tests := []struct {
		name  string
		rules []spec
		pkg   *millpond.Package
		want  map[string]millpond.Fact
	}{
		{"licence", []spec{{"licence": list("AGPL-*")}}, partial, described},
		{"licence that may be unknown", []spec{{"licence": list("AGPL-*"), "unknown": "pass"}}, partial, nil},
		{"size", []spec{{"size": "1MiB"}}, partial, described},
		{"hold", []spec{{"hold": "7d"}}, undated, map[string]millpond.Fact{"2": millpond.Description}},
		{"hold, but decided before", []spec{{"block": "x@2"}, {"hold": "7d"}}, undated, nil},
		{"hold in dry run", []spec{{"hold": "7d", "dry-run": true}}, undated, nil},
		{"latest", []spec{{"latest": 1}}, incomplete, whole},
		{"latest of another package", []spec{{"latest": 1, "for": "y"}}, incomplete, nil},
		{"size of the package", []spec{{"size": spec{"package": "1GiB"}}}, incomplete, whole},
		{"hold by what was seen", []spec{{"hold": "7d", "seen": true}}, incomplete, whole},
		{"hold by dates", []spec{{"hold": "7d"}}, incomplete, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := rules(t, test.rules...).Judge(noon, dotted{}, test.pkg)
			if got := j.Needs(); !maps.Equal(got, test.want) {
				t.Errorf("needs: got %v, want %v", got, test.want)
			}
			for version := range test.want {
				if version == "" {
					version = "2"
				}
				v, file := j.Version(version), j.File(version, "x-"+version+".tgz")
				if v.Opinion != millpond.Need || file.Opinion != millpond.Need || v.Need != file.Need || v.Why == "" {
					t.Errorf("%s: got %v %q, file %v, want need with words", version, v.Opinion, v.Why, file.Opinion)
				}
				if test.pkg.Version(version) != nil && j.View(test.pkg).Version(version) != nil {
					t.Errorf("%s is shown though its facts are missing", version)
				}
			}
		})
	}
}

func TestDryRun(t *testing.T) {
	p := listing("x", "2", "1")
	p.Versions[0].Files[0].Published = ago(day)
	j := rules(t,
		spec{"hold": "7d", "dry-run": true},
		spec{"block": "x@1", "dry-run": true},
		spec{"block": "x@2"},
		spec{"allow": "y", "dry-run": true}).Judge(noon, dotted{}, p)
	var got []string
	for _, f := range j.DryRun() {
		got = append(got, fmt.Sprintf("%s | %s %s | %v", f.Rule, f.Target.Version, f.Target.File, f.Verdict.Opinion))
	}
	want := "hold: 7d | 2 x-2.tgz | hold\nblock: x@1 | 1  | deny\nallow: y |   | deny"
	if strings.Join(got, "\n") != want {
		t.Errorf("findings:\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if view := show(j.View(p)); view != "1[x-1.tgz] | 2" {
		t.Errorf("view: %s", view)
	}
	if !j.Until().IsZero() {
		t.Errorf("Until() = %v, though no view changes then", j.Until())
	}
}

func TestNameOnly(t *testing.T) {
	tests := []struct {
		name  string
		rules []spec
		pkg   string
		want  millpond.Opinion
	}{
		{"blocked", []spec{{"block": "evil-*"}}, "evil-x", millpond.Deny},
		{"not blocked", []spec{{"block": "evil-*"}}, "good", millpond.Pass},
		{"some versions blocked", []spec{{"block": "x@<2"}}, "x", millpond.Pass},
		{"blocked but for a version", []spec{{"block": "x", "except": "x@1"}}, "x", millpond.Pass},
		{"not allowed", []spec{{"allow": list("a", "b@1")}}, "x", millpond.Deny},
		{"allowed in part", []spec{{"allow": list("a", "b@1")}}, "b", millpond.Pass},
		{"trusted, then blocked", []spec{{"trust": "x"}, {"block": "x"}}, "x", millpond.Allow},
		{"trusted in part, then blocked", []spec{{"trust": "x@1"}, {"block": "x"}}, "x", millpond.Pass},
		{"blocked behind other rules", []spec{{"hold": "7d"}, {"latest": 1}, {"block": "x"}}, "x", millpond.Deny},
		{"blocked in dry run", []spec{{"block": "x", "dry-run": true}}, "x", millpond.Pass},
		{"blocked no more", []spec{{"block": "x", "until": noon}}, "x", millpond.Pass},
		{"every version blocked", []spec{{"version": "*"}}, "x", millpond.Pass},
	}
	for _, test := range tests {
		if got := rules(t, test.rules...).NameOnly(noon, test.pkg); got.Opinion != test.want || (got.Why == "") != (test.want == millpond.Pass) {
			t.Errorf("%s: got %v %q, want %v", test.name, got.Opinion, got.Why, test.want)
		}
	}
}

func TestID(t *testing.T) {
	id := func(specs ...spec) string { return rules(t, specs...).ID() }
	if a, b := id(spec{"hold": "7d"}), id(spec{"hold": "168h"}); a != b {
		t.Errorf("7d and 168h have the ids %s and %s", a, b)
	}
	if a, b := id(spec{"block": "x"}), id(spec{"block": list("x")}); a != b {
		t.Errorf("x and [x] have the ids %s and %s", a, b)
	}
	seen := map[string]spec{}
	for _, s := range []spec{
		{"hold": "7d"}, {"hold": "8d"}, {"hold": "7d", "seen": true}, {"hold": "7d", "for": "x"}, {"hold": "7d", "except": "x"},
		{"hold": "7d", "except": list(spec{"name": "x", "until": noon})}, {"hold": "7d", "until": noon}, {"hold": "7d", "why": "x"},
		{"hold": "7d", "dry-run": true}, {"block": "x"}, {"allow": "x"}, {"trust": "x"}, {"block": "x@1"}, {"version": "1"}, {"block": list("x", "y")},
		{"prerelease": "deny"}, {"yanked": "deny"}, {"latest": 1}, {"latest": 2}, {"size": 1}, {"size": spec{"package": 1}},
		{"size": 1, "unknown": "pass"}, {"platform": "linux"}, {"platform": spec{"only": "linux"}}, {"licence": "MIT"},
		{"licence": spec{"only": "MIT"}}, {"licence": "MIT", "unknown": "pass"},
	} {
		i := id(s)
		if other, dup := seen[i]; dup {
			t.Errorf("%v and %v have the same id %s", s, other, i)
		}
		seen[i] = s
	}
	if a, b := id(spec{"hold": "7d"}, spec{"latest": 1}), id(spec{"latest": 1}, spec{"hold": "7d"}); a == b {
		t.Error("the order of rules makes no difference to the id")
	}
}

func TestFor(t *testing.T) {
	p, err := rules(t, spec{"block": list("Acme_*")}, spec{"hold": "7d", "except": list("Left_Pad")}).For(dotted{})
	if err != nil {
		t.Fatal(err)
	}
	fresh := listing("left-pad", "1")
	fresh.Versions[0].Published = ago(day)
	if v := p.NameOnly(noon, "acme-x"); v.Opinion != millpond.Deny {
		t.Errorf("acme-x under Acme_*: %v", v)
	}
	if v := p.Judge(noon, dotted{}, fresh).Version("1"); v.Opinion != millpond.Pass {
		t.Errorf("left-pad, exempt as Left_Pad: %v", v)
	}
	_, err = rules(t, spec{"hold": "1d"}, spec{"block": list("x@~1", "x@<2", "x@1.0")}).For(dotted{})
	if want := `rule 2: block: "x@~1": "~1" is no range`; err == nil || err.Error() != want {
		t.Errorf("a range nobody can read: got %v, want %s", err, want)
	}
}

func TestRulesOneByOne(t *testing.T) {
	p := listing("x", "2", "1")
	p.Versions[0].Files = append(p.Versions[0].Files, millpond.File{Name: "big", Size: 1 << 30})
	var got []string
	for _, r := range rules(t, spec{"size": "1MiB"}, spec{"block": "x@1"}, spec{"block": "x", "dry-run": true}, spec{"allow": "y"}).Rules() {
		for target, v := range r.Judge(noon, dotted{}, p) {
			got = append(got, fmt.Sprintf("%s: %q %q %v", r.Name(), target.Version, target.File, v.Opinion))
		}
	}
	want := "size: 1MiB: \"2\" \"big\" deny\nblock: x@1: \"1\" \"\" deny\nallow: y: \"\" \"\" deny"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestViewKeepsTheRest(t *testing.T) {
	p := listing("x", "2", "1")
	p.Refs = []millpond.Ref{{Name: "latest", Target: "2"}}
	p.Hidden = []millpond.Hidden{{Why: "before"}}
	view := rules(t, spec{"block": list(spec{"name": "x@2", "why": "w"})}).Judge(noon, dotted{}, p).View(p)
	if len(view.Refs) != 1 || len(view.Hidden) != 2 || view.Hidden[0].Why != "before" || view.Hidden[1].Why != "2 is blocked in this repository (w)" {
		t.Errorf("refs %v, hidden %+v", view.Refs, view.Hidden)
	}
	if len(p.Hidden) != 1 || len(p.Versions) != 2 {
		t.Errorf("the judged package was changed: %s", show(p))
	}
	nothing := rules(t, spec{"block": "y"}, spec{"trust": "x"}).Judge(noon, dotted{}, p)
	if nothing.View(p) != p {
		t.Error("a view that hides nothing is a copy")
	}
}

// huge is a package of 40,000 files, none of which any of many rules keeps back.
func huge() (*Policy, *millpond.Package) {
	p := &millpond.Package{Name: "huge"}
	for i := range 1000 {
		v := millpond.Version{Name: fmt.Sprintf("%d.0", 1000-i), Layer: "up", Published: ago(1000 * day), Seen: ago(900 * day), Licence: "MIT"}
		for k := range 40 {
			v.Files = append(v.Files, millpond.File{Name: fmt.Sprintf("huge-%d-%d.whl", i, k), Size: 1000, Platform: "manylinux_2_17_x86_64.manylinux2014_x86_64"})
		}
		p.Versions = append(p.Versions, v)
	}
	policy, err := Parse([]spec{{"block": list("evil-*", "left-pad@<1.3")}, {"hold": "7d"}, {"prerelease": "deny"}, {"yanked": "deny"},
		{"size": spec{"file": "1GiB", "package": "100GiB"}}, {"platform": list("windows", "macos")}, {"licence": spec{"only": list("MIT")}}, {"latest": 5000}})
	if err != nil {
		panic(err)
	}
	return policy, p
}

func TestPassingFilesCostNothing(t *testing.T) {
	policy, p := huge()
	if got := policy.Judge(noon, dotted{}, p).View(p); got != p {
		t.Fatalf("something was hidden: %d versions left", len(got.Versions))
	}
	if n := testing.AllocsPerRun(3, func() { policy.Judge(noon, dotted{}, p) }); n > 50 {
		t.Errorf("judging 40,000 passing files allocates %v times", n)
	}
}

func BenchmarkJudgePassing(b *testing.B) {
	policy, p := huge()
	for b.Loop() {
		policy.Judge(noon, dotted{}, p).View(p)
	}
}

func BenchmarkJudgeHolding(b *testing.B) {
	_, p := huge()
	policy := rules(b, spec{"hold": "2000d"})
	for b.Loop() {
		policy.Judge(noon, dotted{}, p).View(p)
	}
}
