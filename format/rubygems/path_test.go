package rubygems

import (
	"strings"
	"testing"

	"millpond"
)

func TestPaths(t *testing.T) {
	for path, want := range map[string]Path{
		"/":                                   {Kind: Root},
		"/versions":                           {Kind: Versions},
		"/names":                              {Kind: Names},
		"/info/aws-sdk-s3":                    {Kind: Info, Package: "aws-sdk-s3"},
		"/latest_specs.4.8.gz":                {Kind: Specs, File: "latest_specs.4.8.gz"},
		"/gems/foo-2-bar-1.0.0-java.gem":      {Kind: Gem, File: "foo-2-bar-1.0.0-java"},
		"/quick/Marshal.4.8/a-1.a.gemspec.rz": {Kind: Quick, File: "a-1.a"},
		"/api/v1/gems":                        {Kind: Push},
		"/api/v1/gems/yank":                   {Kind: Yank},
		"/api/v1/gems/a/owners.yaml":          {Kind: Owners, Package: "a", File: ".yaml"},
		"/api/v1/gems/a/owners":               {Kind: Owners, Package: "a"},
		"/api/v1/gems/a.json":                 {Kind: About, Package: "a"},
		"/api/v1/versions/a.json":             {Kind: Releases, Package: "a"},
		"/api/v1/versions/a/latest.json":      {Kind: Latest, Package: "a"},
		"/api/v1/search.json":                 {Kind: Search},
		"/api/v1/api_key":                     {Kind: Key},
		"/api/v1/profile/me.yaml":             {Kind: Profile},
	} {
		if got, err := Parse(path); got != want || err != nil {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", path, got, err, want)
		}
	}
}

// TestSplits: which gems a file's name may be of, the longest name first.
func TestSplits(t *testing.T) {
	for full, want := range map[string]string{
		"foo-2-bar-1.0.0-java": "foo-2-bar 1.0.0-java|foo 2-bar-1.0.0-java",
		"foo-1.0":              "foo 1.0",
		"net-http2-0.1.0":      "net-http2 0.1.0",
		"a-1-2-3":              "a-1-2 3|a-1 2-3|a 1-2-3",
		"noversion":            "",
		"-1.0":                 "",
	} {
		var got []string
		for _, k := range splits(full) {
			got = append(got, k.Package+" "+k.Version)
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("splits(%q) = %q, want %q", full, s, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, path := range []string{"/", "/info/a", "/gems/a-1.gem", "/quick/Marshal.4.8/a-1-java.gemspec.rz", "/api/v1/gems/a/owners.json", "/api/v1/versions/a/latest.json", "/gems/..%2fa-1.gem"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p, err := Parse(path)
		if err != nil {
			if !millpond.Is(err, millpond.NotFound) {
				t.Errorf("Parse(%q): %v is no absence", path, err)
			}
			return
		}
		if s := p.String(); s != path {
			t.Errorf("Parse(%q) = %+v, which is written %q", path, p, s)
		}
		if strings.Contains(path, "..") && strings.Contains(path, "/../") || strings.ContainsAny(path, "%\\?#") {
			t.Errorf("Parse takes %q", path)
		}
	})
}

// FuzzVersions: whatever an upstream's list says, it is refused or all that is read of it can be asked for here.
func FuzzVersions(f *testing.F) {
	sum := strings.Repeat("0", 32)
	f.Add("created_at: x\n---\na 1.0,2.0 " + sum + "\na -1.0 " + sum + "\n")
	f.Add("---\na - " + sum + "\n")
	f.Add("---\na ,, " + sum + "\nb 1 x\n")
	f.Add("---\na 1.0 " + sum)
	f.Fuzz(func(t *testing.T, text string) {
		names, order, err := readVersions(strings.NewReader(text))
		if err != nil {
			return
		}
		if len(names) != len(order) {
			t.Errorf("%q: %d names, %d in order", text, len(names), len(order))
		}
		for _, one := range order {
			said := names[one].all()
			if !isName(one) || strings.Contains(said, "\n") || said != "" && len(noteSum(said)) != 32 {
				t.Errorf("%q: of %q it says %q", text, one, said)
			}
		}
	})
}

// FuzzInfo: whatever an info says, what is read of a line is a version that can be asked for.
func FuzzInfo(f *testing.F) {
	f.Add("1.0.0-java a:>= 1&< 2|checksum:" + strings.Repeat("0", 64) + ",ruby:>= 2,created_at:2026-11-21T08:03:12Z")
	f.Add("1.0 |")
	f.Fuzz(func(t *testing.T, line string) {
		got, err := readLine(line)
		if err == nil && (!isVersion(got.version) || len(splits("a-"+got.version)) == 0) {
			t.Errorf("readLine(%q) = %+v", line, got)
		}
	})
}
