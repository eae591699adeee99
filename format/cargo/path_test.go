package cargo

import (
	"strings"
	"testing"

	"millpond"
)

var sum = strings.Repeat("0a", 32) // never changed

func TestParse(t *testing.T) {
	for path, want := range map[string]Path{
		"/config.json":   {Kind: Config},
		"/1/a":           {Kind: Index, Crate: "a"},
		"/2/ab":          {Kind: Index, Crate: "ab"},
		"/3/a/abc":       {Kind: Index, Crate: "abc"},
		"/se/rd/serde":   {Kind: Index, Crate: "serde"},
		"/co/nf/config":  {Kind: Index, Crate: "config"},
		"/me/":           {},
		"/me":            {Kind: Me},
		"/ca/rg/cargo_x": {Kind: Index, Crate: "cargo_x"},
		"/crates/Serde/1.0.0+b/" + sum + ".crate":            {Kind: File, Crate: "Serde", Version: "1.0.0+b", Sum: sum},
		"/crates/a/1.0.0%2Bb/download":                       {Kind: Download, Crate: "a", Version: "1.0.0+b"},
		"/api/v1/crates/a/1.0.0/download":                    {Kind: Download, API: true, Crate: "a", Version: "1.0.0"},
		"/api/v1/crates":                                     {Kind: Search},
		"/api/v1/crates/new":                                 {Kind: New},
		"/api/v1/crates/a/1.0.0/yank":                        {Kind: Yank, Crate: "a", Version: "1.0.0"},
		"/api/v1/crates/a/1.0.0/unyank":                      {Kind: Unyank, Crate: "a", Version: "1.0.0"},
		"/api/v1/crates/a/owners":                            {Kind: Owners, Crate: "a"},
		"/crates/a/1.0/download":                             {},
		"/crates/a/1.0.0/" + sum[:63] + ".crate":             {},
		"/crates/a/1.0.0/" + strings.ToUpper(sum) + ".crate": {},
		"/crates/a/1.0.0/" + sum + ".crate/x":                {},
	} {
		got, err := Parse(path)
		if got != want || (want.Kind == 0) != millpond.Is(err, millpond.NotFound) {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", path, got, err, want)
		}
	}
}

// junk are paths of no crate.
var junk = []string{
	"/se/rd/../../x", "/SE/RD/serde", "/se/rd/Serde", "/3/s/serde", "/aa/bb/serde", "/%2e/x", "//", "/", "/1/ab", "/2/a", "/3/b/abc",
	"/aa/aa/" + strings.Repeat("a", 65), "/se/rd/serde/", "/se/rd/ser%64e", "/..", "/crates", "/api/v1", "se/rd/serde", "/se//serde",
}

func TestCase07Paths(t *testing.T) {
	for _, path := range junk {
		if p, err := Parse(path); !millpond.Is(err, millpond.NotFound) {
			t.Errorf("Parse(%q) = %+v, %v, want not found", path, p, err)
		}
	}
}

// FuzzPath holds that what parses says itself again, and that it names nothing but what is checked.
func FuzzPath(f *testing.F) {
	for _, path := range append([]string{"/se/rd/serde", "/crates/a/1.0.0+x/" + sum + ".crate", "/api/v1/crates/a/owners", "/config.json"}, junk...) {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p, err := Parse(path)
		if err != nil {
			return
		}
		if again, err := Parse(p.String()); err != nil || again != p {
			t.Errorf("%q is %+v, which says itself as %q, which is %+v, %v", path, p, p.String(), again, err)
		}
		if p.Crate != "" && !isName(p.Crate) || p.Version != "" && !isVersion(p.Version) {
			t.Errorf("%q is %+v", path, p)
		}
	})
}

// FuzzLine holds that what is read of a line stands where it is said to stand.
func FuzzLine(f *testing.F) {
	for _, text := range []string{upstreamLine("alpha", "1.0.0", sum, longAgo), "{}", "[]", "", "{\"name\":\"a\",\"vers\":\"1.0.0\",\"cksum\":\"" + sum + "\",\"yanked\":null}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := readLine(text)
		if err != nil {
			return
		}
		if got := string(text[l.sumAt : l.sumAt+64]); got != l.sum {
			t.Errorf("%q: the checksum is %q, and %q stands there", text, l.sum, got)
		}
		want := "false"
		if l.yanked {
			want = "true"
		}
		if l.yankedAt > 0 && !strings.HasPrefix(string(text[l.yankedAt:]), want) {
			t.Errorf("%q: yanked is %v, and %q stands there", text, l.yanked, text[l.yankedAt:])
		}
	})
}
