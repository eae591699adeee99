package raw

import (
	"strings"
	"testing"

	"millpond"
)

// TestCase19Paths reads every spelling that a client may send.
func TestCase19Paths(t *testing.T) {
	long := strings.Repeat("a", 256)
	for _, c := range []struct {
		escaped string
		want    Path
		kind    millpond.Kind // 0 is no error
	}{
		{"/", Path{Kind: Dir}, 0},
		{"/a", Path{Kind: File, Name: "a"}, 0},
		{"/a/", Path{Kind: Dir, Name: "a/"}, 0},
		{"/a/b%20c+%25%C3%BC", Path{Kind: File, Name: "a/b c+%ü"}, 0},
		{"/a%2Fb", Path{}, millpond.Invalid},
		{"/a//b", Path{}, millpond.Invalid},
		{"//", Path{}, millpond.Invalid},
		{"/../a", Path{}, millpond.Invalid},
		{"/%2e%2e/a", Path{}, millpond.Invalid},
		{"/a/./b", Path{}, millpond.Invalid},
		{"/a%5Cb", Path{}, millpond.Invalid},
		{"/a%0Ab", Path{}, millpond.Invalid},
		{"/%ff", Path{}, millpond.Invalid},
		{"/%zz", Path{}, millpond.Invalid},
		{"/" + long, Path{}, millpond.Invalid},
		{"/" + long[:255], Path{Kind: File, Name: long[:255]}, 0},
		{"/" + strings.Repeat("aaaaaaaaa/", 110), Path{}, millpond.Invalid},
		{"/-/x", Path{}, millpond.NotFound},
		{"/-/links", Path{Kind: Links}, 0},
		{"/-/zip/a/b.zip/!/x/y.png", Path{Kind: Zip, Name: "a/b.zip", Member: "x/y.png"}, 0},
		{"/-/zip/a.zip/!/", Path{Kind: Zip, Name: "a.zip"}, 0},
		{"/-/zip/a.zip/!/../x", Path{}, millpond.Invalid},
		{"/-/install/a.ipa", Path{Kind: Install, Name: "a.ipa"}, 0},
		{"/-/install/a.ipa/!/", Path{Kind: Device, Name: "a.ipa"}, 0},
		{"/-/install/a.ipa/!/manifest.plist", Path{Kind: Device, Name: "a.ipa", Member: "manifest.plist"}, 0},
		{"/-/install/x/a%20b.ipa/!/a%20b.ipa", Path{Kind: Device, Name: "x/a b.ipa", Member: "a b.ipa"}, 0},
		{"/-/install/a.ipa/!/b.ipa", Path{}, millpond.NotFound},
		{"/-/vagrant/boxes/debian", Path{Kind: Vagrant, Name: "boxes/debian"}, 0},
		{"/a/-/x", Path{Kind: File, Name: "a/-/x"}, 0},
	} {
		got, err := Parse(c.escaped)
		switch {
		case c.kind != 0 && !millpond.Is(err, c.kind):
			t.Errorf("Parse(%.80q): got %+v, %v; want %v", c.escaped, got, err, c.kind)
		case c.kind == 0 && (err != nil || got != c.want):
			t.Errorf("Parse(%.80q): got %+v, %v; want %+v", c.escaped, got, err, c.want)
		}
	}
	if (Format{}).Compare("e\u0301", "\u00e9") == 0 {
		t.Error("two spellings of é are one")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "/a/", "/-/zip/a/!/b", "/-/install/x.ipa", "/-/install/x.ipa/!/icon.png", "/-/uploads/AB.cd.ef", "/a%20b%25", "/-/links", "/;+!"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(p.String())
		if err != nil || again != p {
			t.Errorf("%q is %+v, whose address %q is %+v, %v", s, p, p.String(), again, err)
		}
	})
}

func FuzzName(f *testing.F) {
	f.Add("a/b c")
	f.Add("ü/!/x")
	f.Fuzz(func(t *testing.T, name string) {
		if check(name) != nil {
			return
		}
		p := Path{Kind: File, Name: name}
		got, err := Parse(p.String())
		if err != nil || got != p {
			t.Errorf("%q: address %q is %+v, %v", name, p.String(), got, err)
		}
	})
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"releases/**", "releases/1/x", true}, {"releases/**", "releases", false}, {"releases/**", "old/releases/x", false},
		{"*.log", "a/b/c.log", true}, {"*.log", "a.logs", false}, {"a/*", "a/b", true}, {"a/*", "a/b/c", false}, {"*", "x/y", true},
		{"builds/*/out/", "builds/7/out/a/b", true},
	} {
		if got := covers(c.pattern, c.name); got != c.want {
			t.Errorf("covers(%q, %q) = %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
	rules, err := rulesOf("overwrite", "allow, releases/**=deny", "allow", "deny")
	if err != nil || rules.of("releases/x") != "deny" || rules.of("x") != "allow" {
		t.Errorf("rules are %+v, %v", rules, err)
	}
	if _, err := rulesOf("overwrite", "alow", "allow", "deny"); !millpond.Is(err, millpond.Unready) {
		t.Errorf("a word that is none: got %v, want unready", err)
	}
}
