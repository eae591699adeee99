package golang

import (
	"math/rand/v2"
	"slices"
	"testing"

	"millpond"
)

func TestCanon(t *testing.T) {
	for _, name := range []string{"git.example/x", "git.example/Acme/x", "gopkg.in/x.v2", "git.example/x/v2", "golang.org/toolchain"} {
		if got, err := (Format{}).Canon(name); err != nil || got != name {
			t.Errorf("Canon(%q) = %q, %v; want it unchanged", name, got, err)
		}
	}
	for _, name := range []string{"", "x", "git.example/", "/git.example", "git.example/x/v1", "git.example/../x", "sumdb/sum.example", "git.example/x y"} {
		if got, err := (Format{}).Canon(name); !millpond.Is(err, millpond.Invalid) {
			t.Errorf("Canon(%q) = %q, %v; want invalid", name, got, err)
		}
	}
}

// ascending are versions from the oldest to the newest.
var ascending = []string{
	"master", // no version
	"v0.0.0-20200101000000-aaaaaaaaaaaa",
	"v0.0.0-20210101000000-000000000000",
	"v0.0.1-go1.9.2.linux-amd64",
	"v0.0.1-go1.21rc2.linux-amd64",
	"v0.0.1-go1.21.0.linux-amd64",
	"v0.0.1-go1.21.10.linux-amd64",
	"v0.1.0",
	"v1.0.0-alpha",
	"v1.0.0-alpha.1",
	"v1.0.0-rc.2",
	"v1.0.0-rc.10",
	"v1.0.0",
	"v1.0.1-0.20200101000000-aaaaaaaaaaaa",
	"v1.0.1",
	"v1.2.0",
	"v1.10.0",
	"v2.0.0",
	"v2.0.0+incompatible",
	"v10.0.0",
}

func TestCompare(t *testing.T) {
	for i, a := range ascending {
		for j, b := range ascending {
			got := (Format{}).Compare(a, b)
			if want := i - j; got < 0 != (want < 0) || got > 0 != (want > 0) {
				t.Errorf("Compare(%q, %q) = %d; want the sign of %d", a, b, got, want)
			}
		}
	}
	shuffled := slices.Clone(ascending)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	slices.SortFunc(shuffled, Format{}.Compare)
	if !slices.Equal(shuffled, ascending) {
		t.Errorf("sorted: %q; want %q", shuffled, ascending)
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("v1.0.0", "v1.0.0+incompatible", "v0.0.1-go1.21.linux-amd64")
	f.Add("v0.0.1-go1.21rc1.linux-amd64", "v0.0.1-go1.21.linux-arm64", "v0.0.1-a")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		cmp := Format{}.Compare
		if x, y := cmp(a, b), cmp(b, a); x < 0 != (y > 0) || x > 0 != (y < 0) {
			t.Fatalf("Compare(%q, %q) = %d, the other way round %d", a, b, x, y)
		}
		if (cmp(a, b) == 0) != (a == b) {
			t.Fatalf("Compare(%q, %q) = %d", a, b, cmp(a, b))
		}
		if cmp(a, b) < 0 && cmp(b, c) < 0 && cmp(a, c) >= 0 {
			t.Fatalf("%q < %q < %q, and the first is not less than the last", a, b, c)
		}
	})
}

func TestPrerelease(t *testing.T) {
	for version, want := range map[string]bool{
		"v1.0.0":                               false,
		"v1.0.0-rc.1":                          true,
		"v0.0.0-20200101000000-aaaaaaaaaaaa":   false,
		"v1.0.1-0.20200101000000-aaaaaaaaaaaa": false,
		"v0.0.1-go1.21.0.linux-amd64":          false,
		"v0.0.1-go1.21rc2.linux-amd64":         true,
		"v2.0.0+incompatible":                  false,
	} {
		if got := isPrerelease(version); got != want {
			t.Errorf("isPrerelease(%q) = %t; want %t", version, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		spec, version string
		want          bool
	}{
		{"v1.2.3", "v1.2.3", true},
		{"v1.2.3", "v1.2.4", false},
		{"v1.2", "v1.2.9", true},
		{"v1.2", "v1.20.0", false},
		{"v1", "v1.20.0", true},
		{"v1", "v10.0.0", false},
		{">=v1.2.3", "v1.2.3", true},
		{">v1.2.3", "v1.2.3", false},
		{"<v1.2.3", "v1.2.3-rc.1", true},
		{"<=v2.0.0", "v2.0.0+incompatible", true},
		{"<v1", "v0.9.0", true},
		{"<=v1", "v1.0.0", true},
		{">=v1.0.0 <v2.0.0", "v1.9.0", true},
		{">=v1.0.0,<v2.0.0", "v2.0.0", false},
		{"latest", "v1.0.0", true},
		{"patch", "v1.0.0", true},
		{"upgrade", "v1.0.0", true},
		{"*", "v1.0.0", true},
		{"", "v1.0.0", true},
	} {
		if got, err := (Format{}).Match(c.spec, c.version); err != nil || got != c.want {
			t.Errorf("Match(%q, %q) = %t, %v; want %t", c.spec, c.version, got, err, c.want)
		}
	}
	for _, spec := range []string{"1.2.3", "~v1.2", ">=", "=<v1.0.0", "master", ">=v1 or v2"} {
		if _, err := (Format{}).Match(spec, "v1.0.0"); !millpond.Is(err, millpond.Invalid) {
			t.Errorf("Match(%q): %v; want invalid", spec, err)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		claim, name string
		want        bool
	}{
		{"git.acme.example", "git.acme.example/x/y", true},
		{"git.acme.example", "git.acme.example", true},
		{"git.acme.example/*", "git.acme.example", true},
		{"git.acme.example/team/*", "git.acme.example/team", true},
		{"git.acme.example/team/*", "git.acme.example/team/x", true},
		{"git.acme.example/team", "git.acme.example/teamwork", false},
		{"*.acme.example", "git.acme.example/x", true},
		{"git.example/acme-*", "git.example/acme-x/y", true},
		{"git.example/acme-*", "git.example/other", false},
		{"*", "git.example/other", true},
		{"", "git.example/other", false},
	} {
		if got := (Format{}).Covers(c.claim, c.name); got != c.want {
			t.Errorf("Covers(%q, %q) = %t; want %t", c.claim, c.name, got, c.want)
		}
	}
}

func TestExempt(t *testing.T) {
	serve := func(string) string { return "serve" }
	refuse := func(string) string { return "refuse" }
	mod := Path{Kind: Mod, Module: "git.example/x", Version: "v1.0.0"}.Key()
	for _, c := range []struct {
		name   string
		key    millpond.Key
		option func(string) string
		want   bool
	}{
		{"go.mod", mod, serve, true},
		{"go.mod, refused by option", mod, refuse, false},
		{"zip", Path{Kind: Zip, Module: "git.example/x", Version: "v1.0.0"}.Key(), serve, false},
		{"info", Path{Kind: Info, Module: "git.example/x", Version: "v1.0.0"}.Key(), serve, false},
		{"lookup", lookupKey("sum.example", "git.example/x", "v1.0.0"), refuse, true},
		{"a database as a whole", millpond.Key{Package: sumPackage + "sum.example"}, refuse, true},
		{"a module as a whole", millpond.Key{Package: "git.example/x"}, serve, false},
	} {
		if got := (Format{}).Exempt(c.key, c.option); got != c.want {
			t.Errorf("%s: Exempt(%q) = %t; want %t", c.name, c.key, got, c.want)
		}
	}
}
