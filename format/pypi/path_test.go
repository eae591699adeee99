package pypi

import (
	"strings"
	"testing"

	"millpond"
)

var hex60 = strings.Repeat("0123456789ab", 5)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		path string
		want Path
	}{
		{"/", Path{}},
		{"/simple/", Path{Kind: Index}},
		{"/simple", Path{Kind: Index, Bare: true}},
		{"/legacy/", Path{Kind: Legacy}},
		{"/simple/Requests/", Path{Kind: Page, Project: "Requests"}},
		{"/simple/requests", Path{Kind: Page, Project: "requests", Bare: true}},
		{"/packages/requests/0123456789abcdef/requests-1.0.tar.gz", Path{Kind: File, Project: "requests", Digest: "0123456789abcdef", Name: "requests-1.0.tar.gz"}},
		{"/packages/x/-/x-1.0.whl.metadata", Path{Kind: File, Project: "x", Digest: "-", Name: "x-1.0.whl", Side: Metadata}},
		{"/packages/x/-/x-1.0.zip.asc", Path{Kind: File, Project: "x", Digest: "-", Name: "x-1.0.zip", Side: Signature}},
		{"/packages/x/-/x-0.1+edx.2.zip", Path{Kind: File, Project: "x", Digest: "-", Name: "x-0.1+edx.2.zip"}},
		{"/packages/x/-/x-0.1%2Bedx.2.zip", Path{Kind: File, Project: "x", Digest: "-", Name: "x-0.1+edx.2.zip"}},
		{"/packages/01/23/" + hex60 + "/x-1.0.zip", Path{Kind: ByDigest, Digest: "0123" + hex60, Name: "x-1.0.zip"}},
		{"/packages/01/23/" + hex60 + "/x-1.0.whl.metadata", Path{Kind: ByDigest, Digest: "0123" + hex60, Name: "x-1.0.whl", Side: Metadata}},
		{"/packages/source/r/requests/requests-1.0.tar.gz", Path{Kind: ByName, Tag: "source", Project: "requests", Name: "requests-1.0.tar.gz"}},
		{"/packages/py3/R/requests/requests-1.0.whl", Path{Kind: ByName, Tag: "py3", Project: "requests", Name: "requests-1.0.whl", Bare: true}},
		{"/integrity/x/1.0/x-1.0.zip/provenance", Path{Kind: Provenance, Project: "x", Version: "1.0", Name: "x-1.0.zip"}},
		{"/pypi/x/json", Path{Kind: ProjectJSON, Project: "x"}},
		{"/pypi/x/json/", Path{Kind: ProjectJSON, Project: "x", Bare: true}},
		{"/pypi/x/1.0/json", Path{Kind: VersionJSON, Project: "x", Version: "1.0"}},
		{"/simple/simple/", Path{Kind: Page, Project: "simple"}},
		{"/pypi/json/json", Path{Kind: ProjectJSON, Project: "json"}},
	} {
		got, err := Parse(c.path)
		if err != nil || got != c.want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", c.path, got, err, c.want)
			continue
		}
		again, err := Parse(got.String())
		if err != nil || again != got {
			t.Errorf("Parse(%q).String() = %q, which parses as %+v, %v", c.path, got, again, err)
		}
	}
}

func TestCase02PathsThatCannotBe(t *testing.T) {
	for _, path := range []string{
		"", "simple/", "//", "/simple//", "//simple/", "/simple/a/b/c/d/", "/requests/", "/packages/x/-/", "/packages/x/-/a/", "/packages/x/-",
		"/packages/x/0123/x.zip", "/packages/x/0123456789ABCDEF/x.zip", "/packages/source/q/requests/r-1.0.tar.gz",
		"/simple/..%2fetc/", "/simple/%2e%2e/", "/simple/../", "/simple/./", "/simple/a%5cb/", "/simple/a%00/", "/simple/a%0a/",
		"/simple/%ef%bd%81/", "/simple/a%/", "/simple/a%zz/", "/packages/x/-/C:x.zip", "/packages/x/-/..%2f..%2fx.zip",
		"/packages/x/-/%2e%2e", "/packages/x/-/.hidden", "/packages/x/-/x%0d%0a.zip", "/packages/x/-/x\\y.zip", "/packages/x/-/%ef%bd%98.zip",
		"/integrity/x/1.0/..%2fy/provenance", "/pypi/x/1.0/2.0/json", "/packages/x/-/" + strings.Repeat("a", 400) + ".zip",
	} {
		got, err := Parse(path)
		if !millpond.Is(err, millpond.NotFound) && !millpond.Is(err, millpond.Invalid) {
			t.Errorf("Parse(%q) = %+v, %v; want NotFound or Invalid", path, got, err)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"/", "/simple/", "/simple/a", "/packages/x/-/x-1.0%2Bl.whl.metadata", "/packages/01/23/" + hex60 + "/x.zip",
		"/packages/source/r/requests/requests-1.0.tar.gz", "/packages/py3/R/requests/r.asc", "/integrity/x/1.0/x.zip/provenance/",
		"/pypi/x/json/", "/pypi/x/1!1/json", "/legacy", "/packages/a/b/%25/%25x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p, err := Parse(path)
		if err != nil {
			return
		}
		again, err := Parse(p.String())
		if err != nil || again != p {
			t.Fatalf("Parse(%q) = %+v, whose String %q parses as %+v, %v", path, p, p.String(), again, err)
		}
		if strings.ContainsAny(p.Name+p.Project+p.Version, "/\\\x00\r\n") {
			t.Fatalf("Parse(%q) = %+v, which has a separator in a name", path, p)
		}
	})
}
