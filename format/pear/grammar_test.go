package pear

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Oldest first; those in one line are equal to PHP.
var ordered = []string{
	"1", "1.0dev", "1.0.0dev1", "1.0.0alpha", "1.0.0a2", "1.0.0b1", "1.0.0beta2", "1.0.0RC1", "1.0.0rc2", "1.0.0", "1.0.0.1", "1.0.0pl1",
	"1.0.0p2", "1.0.1", "1.2", "1.10", "1.10.0", "2.0.0a1", "2.0.0_b2", "2.0.0+c1", "2.0", "10.0", "010.1", "0.9", "1.0.0snap", "1.0.0patch1", "1.0.0bar",
}

func TestCase16CompareIsPHPs(t *testing.T) {
	if _, err := exec.LookPath("php"); err != nil {
		t.Skip("php is not installed")
	}
	var code strings.Builder
	code.WriteString("$v=['" + strings.Join(ordered, "','") + "'];foreach($v as $a)foreach($v as $b)echo $a,' ',$b,' ',version_compare($a,$b),\"\\n\";")
	out, err := exec.Command("php", "-n", "-r", code.String()).CombinedOutput()
	if err != nil {
		t.Fatalf("php: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(ordered)*len(ordered) {
		t.Fatalf("php gave %d answers, want %d:\n%s", len(lines), len(ordered)*len(ordered), out)
	}
	for _, line := range lines {
		f := strings.Fields(line)
		if got := []string{"-1", "0", "1"}[Format{}.Compare(f[0], f[1])+1]; got != f[2] {
			t.Errorf("Compare(%q, %q) is %s, and php says %s", f[0], f[1], got, f[2])
		}
	}
}

func TestCompareOrders(t *testing.T) {
	want := []string{"1.0.0dev", "1.0.0alpha1", "1.0.0beta1", "1.0.0RC1", "1.0.0", "1.0.0pl1", "1.0.1", "1.10.0"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Format{}.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("sorted: %q, want %q", got, want)
	}
}

func TestCanon(t *testing.T) {
	for name, want := range map[string]string{
		"pear.acme.example/Hello_World": "pear.acme.example/hello_world", "PEAR.acme.example/A": "pear.acme.example/a", "localhost/x": "localhost/x",
		"pear.acme.example": "pear.acme.example",
		"":                  "", "/x": "", "a/": "", "a..b/x": "", "a/b/c": "", "a/1x": "", "-a/x": "", "a b/x": "", "a/x-y": "", "../x": "",
	} {
		got, err := Format{}.Canon(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Canon(%q) is %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		spec, version string
		want, ok      bool
	}{
		{"1.0.0", "1.0.0", true, true}, {">= 1.0.0, < 2.0.0", "1.5.0", true, true}, {">= 1.0.0, < 2.0.0", "2.0.0", false, true},
		{"< 2.0.0", "2.0.0RC1", true, true}, {"!= 1.5.0", "1.5.0", false, true}, {"*", "1", true, true}, {">=1.0, !=1.5.0", "1.4", true, true},
		{"", "1.0", false, false}, {"~> 1.0", "1.0", false, false}, {">= x", "1.0", false, false}, {"<> 1.0", "1.0", false, false}, {"1.0", "x", false, false},
	} {
		got, err := Format{}.Match(c.spec, c.version)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("Match(%q, %q) is %v, %v; want %v, well %v", c.spec, c.version, got, err, c.want, c.ok)
		}
	}
}

func TestPathsRoundTrip(t *testing.T) {
	for path, want := range map[string]Path{
		"/c.example/channel.xml": {Kind: Channel, Channel: "c.example", File: "channel.xml"},
		"/c.example/":            {Kind: Submit, Channel: "c.example"},
		"/c.example/rest/r/hello_world/allreleases.xml":  {Kind: Releases, Channel: "c.example", Name: "hello_world"},
		"/c.example/rest/r/hello_world/allreleases2.xml": {Kind: Releases2, Channel: "c.example", Name: "hello_world"},
		"/c.example/rest/r/x/stable.txt":                 {Kind: Ref, Channel: "c.example", Name: "x", File: "stable"},
		"/c.example/rest/r/x/1.0.0RC1.xml":               {Kind: ReleaseFile, Channel: "c.example", Name: "x", Version: "1.0.0RC1", File: "1.0.0RC1.xml"},
		"/c.example/rest/r/x/v2.1.0.xml":                 {Kind: ReleaseFile, Channel: "c.example", Name: "x", Version: "1.0", File: "v2.1.0.xml"},
		"/c.example/rest/r/x/package.1.0.xml":            {Kind: ReleaseFile, Channel: "c.example", Name: "x", Version: "1.0", File: "package.1.0.xml"},
		"/c.example/rest/r/x/deps.1.0.txt":               {Kind: ReleaseFile, Channel: "c.example", Name: "x", Version: "1.0", File: "deps.1.0.txt"},
		"/c.example/get/Hello_World-1.0.0.tgz":           {Kind: Archive, Channel: "c.example", Name: "Hello_World", Version: "1.0.0", File: "hello_world-1.0.0.tgz"},
		"/c.example/rest/p/x/info.xml":                   {Kind: PackageDoc, Channel: "c.example", Name: "x", File: "info.xml"},
		"/c.example/rest/p/packages.xml":                 {Kind: ChannelDoc, Channel: "c.example", File: "p/packages.xml"},
		"/c.example/rest/c/categories.xml":               {Kind: ChannelDoc, Channel: "c.example", File: "c/categories.xml"},
		"/c.example/rest/c/Web%20Services/info.xml":      {Kind: ChannelDoc, Channel: "c.example", File: "c/Web%20Services/info.xml"},
		"/rest/c/Tools/packagesinfo.xml":                 {Kind: ChannelDoc, File: "c/Tools/packagesinfo.xml"},
		"/channel.xml":                                   {Kind: Channel, File: "channel.xml"},
	} {
		got, err := Parse(path)
		if err != nil || got != want {
			t.Errorf("Parse(%q) is %+v, %v; want %+v", path, got, err, want)
		}
		if got.String() != path {
			t.Errorf("String of %q is %q", path, got.String())
		}
	}
	for _, path := range []string{
		"", "x", "/c.example", "/c.example/rest", "/c.example/rest/", "/c.example/../rest/p/packages.xml", "/c.example/rest/r/..%2fx/allreleases.xml",
		"/c.example/%2e%2e/channel.xml", "/c.example/rest/r/x/allreleases.xml/", "/c.example/get/x.tgz", "/c.example/get/x-1.0.tar", "/c.example/get/-1.0.tgz",
		"/c.example/rest/r/x/.xml", "/c.example/rest/r/x/deps..txt", "/c.example/rest/c/../categories.xml", "/c.example/rest/c/a%2Fb/info.xml", "/c.example/rest/c/a%252Fb/info.xml",
		"/c.example/-/x", "/-/health", "//channel.xml", "/c.example//channel.xml", "/c.example/get/X-1.0.tgz%00",
	} {
		if p, err := Parse(path); err == nil {
			t.Errorf("Parse(%q) is %+v, want an error", path, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("/c.example/rest/r/x/allreleases.xml")
	f.Add("/c.example/get/Hello-1.0.tgz")
	f.Add("/c.example/rest/c/a%20b/info.xml")
	f.Fuzz(func(t *testing.T, path string) {
		p, err := Parse(path)
		if err != nil {
			return
		}
		again, err := Parse(p.String())
		if err != nil || again != p {
			t.Errorf("Parse(%q) is %+v; its String %q is read as %+v, %v", path, p, p.String(), again, err)
		}
		if p.Channel != "" {
			if name, err := (Format{}).Canon(p.Package()); err != nil || name != p.Package() {
				t.Errorf("Parse(%q) names the package %q, which is not canonical: %q, %v", path, p.Package(), name, err)
			}
		}
	})
}
