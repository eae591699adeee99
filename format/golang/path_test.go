package golang

import (
	"strings"
	"testing"

	"golang.org/x/mod/module"

	"millpond"
)

func TestParse(t *testing.T) {
	const m = "git.example/team/x"
	for _, c := range []struct {
		name, in string
		want     Path
	}{
		{"list", "/git.example/team/x/@v/list", Path{Kind: List, Module: m}},
		{"latest", "/git.example/team/x/@latest", Path{Kind: Latest, Module: m}},
		{"info", "/git.example/team/x/@v/v1.0.0.info", Path{Kind: Info, Module: m, Version: "v1.0.0"}},
		{"mod", "/git.example/team/x/@v/v1.0.0.mod", Path{Kind: Mod, Module: m, Version: "v1.0.0"}},
		{"zip", "/git.example/team/x/@v/v1.0.0.zip", Path{Kind: Zip, Module: m, Version: "v1.0.0"}},
		{"upper case", "/git.example/!azure/!s!d!k/@v/list", Path{Kind: List, Module: "git.example/Azure/SDK"}},
		{"upper case in a version", "/git.example/team/x/@v/v1.0.0-!r!c1.info", Path{Kind: Info, Module: m, Version: "v1.0.0-RC1"}},
		{"incompatible", "/git.example/team/x/@v/v2.0.0+incompatible.zip", Path{Kind: Zip, Module: m, Version: "v2.0.0+incompatible"}},
		{"plus as percent", "/git.example/team/x/@v/v2.0.0%2Bincompatible.zip", Path{Kind: Zip, Module: m, Version: "v2.0.0+incompatible"}},
		{"gopkg.in", "/gopkg.in/x.v2/@v/v2.1.0.mod", Path{Kind: Mod, Module: "gopkg.in/x.v2", Version: "v2.1.0"}},
		{"a tilde", "/git.example/~user/x/@v/list", Path{Kind: List, Module: "git.example/~user/x"}},
		{"major version", "/git.example/team/x/v2/@v/v2.0.0.info", Path{Kind: Info, Module: m + "/v2", Version: "v2.0.0"}},
		{"pseudo-version", "/git.example/team/x/@v/v0.0.0-20260102030405-0123456789ab.info",
			Path{Kind: Info, Module: m, Version: "v0.0.0-20260102030405-0123456789ab"}},
		{"toolchain", "/golang.org/toolchain/@v/v0.0.1-go1.26.8.linux-amd64.zip",
			Path{Kind: Zip, Module: "golang.org/toolchain", Version: "v0.0.1-go1.26.8.linux-amd64"}},
		{"branch", "/git.example/team/x/@v/master.info", Path{Kind: Query, Module: m, Version: "master"}},
		{"hash", "/git.example/team/x/@v/0123abc.info", Path{Kind: Query, Module: m, Version: "0123abc"}},
		{"loose version", "/git.example/team/x/@v/v1.info", Path{Kind: Query, Module: m, Version: "v1"}},
		{"build metadata", "/git.example/team/x/@v/v1.0.0+meta.info", Path{Kind: Query, Module: m, Version: "v1.0.0+meta"}},
		{"major version without its suffix", "/git.example/team/x/@v/v2.0.0.info", Path{Kind: Query, Module: m, Version: "v2.0.0"}},
		{"a query with odd letters", "/git.example/team/x/@v/release%231%5B.info", Path{Kind: Query, Module: m, Version: "release#1["}},
		{"what is held of a list", "/cached-only/git.example/team/x/@v/list", Path{Kind: List, Cached: true, Module: m}},
		{"index", "/index", Path{Kind: Index}},
		{"what is held of the index", "/cached-only/index", Path{Kind: Index, Cached: true}},
		{"upload", "/upload", Path{Kind: Upload}},
		{"supported", "/sumdb/sum.example/supported", Path{Kind: SumSupported, Database: "sum.example"}},
		{"supported, slash in the name", "/sumdb/sum.example/go/db/supported", Path{Kind: SumSupported, Database: "sum.example/go/db"}},
		{"head", "/sumdb/sum.example/latest", Path{Kind: SumLatest, Database: "sum.example"}},
		{"lookup", "/sumdb/sum.example/lookup/git.example/!acme/x@v1.0.0", Path{Kind: SumLookup, Database: "sum.example", Module: "git.example/Acme/x", Version: "v1.0.0"}},
		{"lookup of a module called lookup", "/sumdb/sum.example/lookup/git.example/lookup/x@v1.0.0", Path{Kind: SumLookup, Database: "sum.example", Module: "git.example/lookup/x", Version: "v1.0.0"}},
		{"lookup, slash in the name", "/sumdb/sum.example/db/lookup/git.example/x@v1.0.0", Path{Kind: SumLookup, Database: "sum.example/db", Module: "git.example/x", Version: "v1.0.0"}},
		{"tile", "/sumdb/sum.example/tile/8/0/x001/234", Path{Kind: SumTile, Database: "sum.example", Tile: "tile/8/0/x001/234"}},
		{"part of a tile", "/sumdb/sum.example/tile/8/1/000.p/17", Path{Kind: SumTile, Database: "sum.example", Tile: "tile/8/1/000.p/17"}},
		{"tile of records", "/sumdb/sum.example/tile/8/data/000", Path{Kind: SumTile, Database: "sum.example", Tile: "tile/8/data/000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse(c.in)
			if err != nil || got != c.want {
				t.Fatalf("Parse(%q) = %+v, %v; want %+v", c.in, got, err, c.want)
			}
			again, err := Parse(got.String())
			if err != nil || again != got {
				t.Errorf("Parse(%q) = %+v, %v; want the same again: %+v", got.String(), again, err, got)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, in string }{
		{"nothing", ""},
		{"the root", "/"},
		{"no leading slash", "git.example/x/@v/list"},
		{"upper case", "/git.example/Azure/@v/list"},
		{"upper case version", "/git.example/x/@v/v1.0.0-RC1.info"},
		{"half an escape", "/git.example/x!/@v/list"},
		{"escaped digit", "/git.example/!1/@v/list"},
		{"no dot in the first element", "/team/x/@v/list"},
		{"dots", "/git.example/../x/@v/list"},
		{"dots after a percent slash", "/git.example/..%2fx/@v/list"},
		{"percent slash", "/git.example%2Fx/@v/list"},
		{"percent zero", "/git.example/x%00/@v/list"},
		{"percent backslash", "/git.example/x%5Cy/@v/list"},
		{"backslash", `/git.example/x\y/@v/list`},
		{"double encoding", "/git.example/x/@v/v2.0.0%252Bincompatible.info"},
		{"cut percent", "/git.example/x/@v/list%2"},
		{"empty element", "/git.example//x/@v/list"},
		{"listing of versions", "/git.example/x/@v/"},
		{"query with a slash", "/git.example/x/@v/feature/y.info"},
		{"query latest", "/git.example/x/@v/latest.info"},
		{"query upgrade", "/git.example/x/@v/upgrade.info"},
		{"query patch", "/git.example/x/@v/patch.info"},
		{"query like an option", "/git.example/x/@v/-upload.info"},
		{"zip of a branch", "/git.example/x/@v/master.zip"},
		{"mod of a loose version", "/git.example/x/@v/v1.mod"},
		{"another extension", "/git.example/x/@v/v1.0.0.ziphash"},
		{"a lock", "/git.example/x/@v/v1.0.0.lock"},
		{"nothing after the at", "/git.example/x/@"},
		{"upload below cached-only", "/cached-only/upload"},
		{"upload with more", "/upload/x"},
		{"cached-only twice", "/cached-only/cached-only/git.example/x/@v/list"},
		{"database without a name", "/sumdb/supported"},
		{"database with dots", "/sumdb/../supported"},
		{"lookup of a branch", "/sumdb/sum.example/lookup/git.example/x@master"},
		{"lookup without a version", "/sumdb/sum.example/lookup/git.example/x"},
		{"tile of another height", "/sumdb/sum.example/tile/4/0/000"},
		{"tile spelled otherwise", "/sumdb/sum.example/tile/8/0/0"},
		{"unknown file of a database", "/sumdb/sum.example/else"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := Parse(c.in); !millpond.Is(err, millpond.NotFound) {
				t.Errorf("Parse(%q) = %+v, %v; want not found", c.in, got, err)
			}
		})
	}
}

func TestParseLong(t *testing.T) {
	long := "/git.example/" + strings.Repeat("x", 2000) + "/@v/list"
	if p, err := Parse(long); err != nil || p.String() != long {
		t.Errorf("Parse(path of %d bytes) = %v; want it read and written the same", len(long), err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"/git.example/!acme/x/@v/v1.0.0-!r!c1.info", "/git.example/x/@latest", "/cached-only/git.example/x/@v/list",
		"/git.example/x/@v/v2.0.0%2Bincompatible.zip", "/sumdb/sum.example/db/lookup/git.example/x@v1.0.0",
		"/sumdb/sum.example/tile/8/data/x123/456.p/7", "/sumdb/a/latest", "/index", "/git.example/x/@v/r%C3%A9l%20e[1].info",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			if !millpond.Is(err, millpond.NotFound) {
				t.Fatalf("Parse(%q): %v; want not found", s, err)
			}
			return
		}
		written := p.String()
		again, err := Parse(written)
		if err != nil || again != p {
			t.Fatalf("Parse(%q) = %+v; its String %q reads as %+v, %v", s, p, written, again, err)
		}
		if written != again.String() {
			t.Fatalf("%q is written as %q the second time", written, again.String())
		}
		if k := p.Key(); strings.Contains(k.File, "..") && !strings.Contains(p.Version, "..") || strings.HasPrefix(k.Package, "/") {
			t.Fatalf("Parse(%q) has the key %q", s, k)
		}
	})
}

// TestUnescapePath: it says of every path what the go command's own words say.
func TestUnescapePath(t *testing.T) {
	for _, escaped := range []string{"example.com/a", "example.com/!big", "example.com/Big", "example.com/!!b", "example.com/!1", "example.com/a!", "",
		"example.com", "a", "example.com/é", "example.com/a b", "example.com//a", "example.com/..", "example.com/a/v2", "example.com/a/v1", "gopkg.in/yaml.v3", "/a", "example.com/a."} {
		want, wantErr := module.UnescapePath(escaped)
		got, err := unescapePath(escaped)
		if (err == nil) != (wantErr == nil) || err == nil && got != want {
			t.Errorf("%q is %q, %v; want %q, %v", escaped, got, err, want, wantErr)
		}
	}
}
