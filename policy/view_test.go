package policy

import (
	"testing"

	"millpond"
)

// TestRules holds what each kind of rule leaves of a listing.
func TestRules(t *testing.T) {
	change := func(p *millpond.Package, f func(p *millpond.Package)) *millpond.Package { f(p); return p }
	five := func() *millpond.Package { return listing("left-pad", "2.0", "1.3", "1.2.1", "1.2", "1.0") }
	tests := []struct {
		name  string
		rules []spec
		pkg   *millpond.Package
		want  string
	}{
		{"block a name", []spec{{"block": list("left-pad")}}, listing("left-pad", "1.0"), "| 1.0"},
		{"block another name", []spec{{"block": list("left-pad")}}, listing("left-pad-x", "1.0"), "1.0[left-pad-x-1.0.tgz]"},
		{"block a range", []spec{{"block": list("left-pad@<1.2.1")}}, listing("left-pad", "2.0", "1.2.1", "1.2", "1.0"),
			"2.0[left-pad-2.0.tgz] 1.2.1[left-pad-1.2.1.tgz] | 1.2 1.0"},
		{"block one version, spelt otherwise", []spec{{"block": list("left-pad@1.2.0")}}, listing("left-pad", "1.2", "1.0"), "1.0[left-pad-1.0.tgz] | 1.2"},
		{"block a range nobody can read denies", []spec{{"block": list("left-pad@~~1")}}, listing("left-pad", "1.2"), "| 1.2"},
		{"name", []spec{{"name": "left-*"}}, listing("left-pad", "1.0"), "| 1.0"},
		{"version", []spec{{"version": "<1.1"}}, listing("left-pad", "1.2", "1.0"), "1.2[left-pad-1.2.tgz] | 1.0"},
		{"allow lets the listed pass", []spec{{"allow": list("left-*")}}, listing("left-pad", "1.0"), "1.0[left-pad-1.0.tgz]"},
		{"allow denies the rest", []spec{{"allow": list("left-*")}}, listing("right-pad", "1.0"), "| 1.0"},
		{"allow a range", []spec{{"allow": list("left-pad@>=1.1")}}, listing("left-pad", "1.2", "1.0"), "1.2[left-pad-1.2.tgz] | 1.0"},
		{"allow is no trust", []spec{{"allow": list("left-pad")}, {"block": list("left-pad@1.0")}}, listing("left-pad", "1.2", "1.0"),
			"1.2[left-pad-1.2.tgz] | 1.0"},
		{"trust beats what follows", []spec{{"trust": list("left-pad@1.0")}, {"block": list("left-*")}}, listing("left-pad", "1.2", "1.0"),
			"1.0[left-pad-1.0.tgz] | 1.2"},
		{"trust does not beat what precedes", []spec{{"block": list("left-*")}, {"trust": list("left-pad")}}, listing("left-pad", "1.0"), "| 1.0"},
		{"for limits to names", []spec{{"version": "<9", "for": list("acme-*")}}, listing("left-pad", "1.0"), "1.0[left-pad-1.0.tgz]"},
		{"for limits to versions", []spec{{"block": list("*"), "for": list("left-pad@<1.1")}}, listing("left-pad", "1.2", "1.0"),
			"1.2[left-pad-1.2.tgz] | 1.0"},
		{"for that cannot be read limits nothing", []spec{{"block": list("*"), "for": list("left-pad@~~")}}, listing("left-pad", "1.2"), "| 1.2"},
		{"except a name", []spec{{"block": list("*"), "except": list("left-pad")}}, listing("left-pad", "1.0"), "1.0[left-pad-1.0.tgz]"},
		{"except a version", []spec{{"block": list("*"), "except": list("left-pad@1.0")}}, listing("left-pad", "1.2", "1.0"),
			"1.0[left-pad-1.0.tgz] | 1.2"},
		{"except that cannot be read exempts nothing", []spec{{"block": list("*"), "except": list("left-pad@~~")}}, listing("left-pad", "1.0"), "| 1.0"},
		{"an exemption from one rule is none from the next", []spec{{"block": list("*"), "except": list("left-pad")}, {"block": list("left-pad")}},
			listing("left-pad", "1.0"), "| 1.0"},
		{"an exemption that ended", []spec{{"block": list("*"), "except": list(spec{"name": "left-pad", "until": "2026-06-15"})}},
			listing("left-pad", "1.0"), "| 1.0"},
		{"an exemption that has not", []spec{{"block": list("*"), "except": list(spec{"name": "left-pad", "until": "2026-06-16"})}},
			listing("left-pad", "1.0"), "1.0[left-pad-1.0.tgz]"},
		{"a rule that ended", []spec{{"block": list("*"), "until": "2026-06-15T12:00:00Z"}}, listing("left-pad", "1.0"), "1.0[left-pad-1.0.tgz]"},
		{"a rule that has not", []spec{{"block": list("*"), "until": "2026-06-15T12:00:01Z"}}, listing("left-pad", "1.0"), "| 1.0"},
		{"dry run hides nothing", []spec{{"block": list("*"), "dry-run": true}}, listing("left-pad", "1.0"), "1.0[left-pad-1.0.tgz]"},
		{"prerelease", []spec{{"prerelease": "deny"}}, change(listing("x", "2.0", "1.0"), func(p *millpond.Package) { p.Versions[0].Prerelease = true }),
			"1.0[x-1.0.tgz] | 2.0"},
		{"yanked version", []spec{{"yanked": "deny"}}, change(listing("x", "2.0", "1.0"), func(p *millpond.Package) { p.Versions[0].Yanked = true }),
			"1.0[x-1.0.tgz] | 2.0"},
		{"yanked file", []spec{{"yanked": "deny"}}, change(listing("x", "2.0"), func(p *millpond.Package) {
			p.Versions[0].Files = append(p.Versions[0].Files, millpond.File{Name: "other", Yanked: true})
		}), "2.0[x-2.0.tgz]"},
		{"latest", []spec{{"latest": 2}}, five(), "2.0[left-pad-2.0.tgz] 1.3[left-pad-1.3.tgz] | 1.2.1 1.2 1.0"},
		{"latest counts what is left", []spec{{"block": list("left-pad@>=1.3")}, {"latest": 2}}, five(),
			"1.2.1[left-pad-1.2.1.tgz] 1.2[left-pad-1.2.tgz] | 2.0 1.3 1.0"},
		{"latest does not count a version that lost its files", []spec{{"hold": "7d"}, {"latest": 1}},
			change(listing("x", "2.0", "1.0", "0.9"), func(p *millpond.Package) { p.Versions[0].Files[0].Published = ago(day) }),
			"1.0[x-1.0.tgz] | 2.0 0.9"},
		{"latest keeps what is exempt beside", []spec{{"latest": 1, "except": list("left-pad@1.0")}}, five(),
			"2.0[left-pad-2.0.tgz] 1.0[left-pad-1.0.tgz] | 1.3 1.2.1 1.2"},
		{"size of a file", []spec{{"size": "1KiB"}}, change(listing("x", "2.0", "1.0"), func(p *millpond.Package) { p.Versions[0].Files[0].Size = 1025 }),
			"1.0[x-1.0.tgz] | 2.0"},
		{"size not known denies", []spec{{"size": 1024}}, change(listing("x", "2.0", "1.0"), func(p *millpond.Package) { p.Versions[0].Files[0].Size = -1 }),
			"1.0[x-1.0.tgz] | 2.0"},
		{"size not known passes", []spec{{"size": 1024, "unknown": "pass"}},
			change(listing("x", "2.0"), func(p *millpond.Package) { p.Versions[0].Files[0].Size = -1 }), "2.0[x-2.0.tgz]"},
		{"size of the package", []spec{{"size": spec{"package": "1900B"}}}, listing("x", "2.0", "1.0"), "| 2.0 1.0"},
		{"size of what is left of the package", []spec{{"latest": 1}, {"size": spec{"package": "1900B"}}}, listing("x", "2.0", "1.0"),
			"2.0[x-2.0.tgz] | 1.0"},
		{"size of a package that does not say", []spec{{"size": spec{"package": "1GiB"}}},
			change(listing("x", "2.0", "1.0"), func(p *millpond.Package) { p.Versions[1].Files[0].Size = -1 }), "| 2.0 1.0"},
		{"several rules", []spec{{"block": list("x@<1")}, {"prerelease": "deny"}, {"size": "1MiB"}},
			listing("x", "2.0", "0.9"), "2.0[x-2.0.tgz] | 0.9"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := show(test.pkg)
			view := rules(t, test.rules...).Judge(noon, dotted{}, test.pkg).View(test.pkg)
			if got := show(view); got != test.want {
				t.Errorf("rules %v of %s:\n got %s\nwant %s", test.rules, before, got, test.want)
			}
			if after := show(test.pkg); after != before {
				t.Errorf("the judged package was changed from %s to %s", before, after)
			}
		})
	}
}
