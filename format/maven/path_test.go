package maven

import (
	"strings"
	"testing"

	"millpond"
)

func TestParse(t *testing.T) {
	for path, want := range map[string]Path{
		"/com/acme/lib/1.4/lib-1.4.jar":                     {Kind: File, Group: "com.acme", Artifact: "lib", Base: "1.4", Version: "1.4", Name: "lib-1.4.jar"},
		"/junit/junit/4.13/junit-4.13.pom.sha1":             {Kind: File, Group: "junit", Artifact: "junit", Base: "4.13", Version: "4.13", Name: "junit-4.13.pom", Sum: "sha1"},
		"/g/a.b/1.0+5/a.b-1.0+5-sources.tar.gz":             {Kind: File, Group: "g", Artifact: "a.b", Base: "1.0+5", Version: "1.0+5", Name: "a.b-1.0+5-sources.tar.gz"},
		"/g/a/1/a-1.module.asc.sha512":                      {Kind: File, Group: "g", Artifact: "a", Base: "1", Version: "1", Name: "a-1.module.asc", Sum: "sha512"},
		"/g/a/1.0-SNAPSHOT/a-1.0-20261121.081759-1.jar":     {Kind: File, Group: "g", Artifact: "a", Base: "1.0-SNAPSHOT", Version: "1.0-20261121.081759-1", Name: "a-1.0-20261121.081759-1.jar"},
		"/g/a/1.0-SNAPSHOT/a-1.0-20261121.081759-12-js.jar": {Kind: File, Group: "g", Artifact: "a", Base: "1.0-SNAPSHOT", Version: "1.0-20261121.081759-12", Name: "a-1.0-20261121.081759-12-js.jar"},
		"/g/a/1.0-SNAPSHOT/a-1.0-SNAPSHOT.pom":              {Kind: File, Group: "g", Artifact: "a", Base: "1.0-SNAPSHOT", Version: "1.0-SNAPSHOT", Name: "a-1.0-SNAPSHOT.pom"},
		"/archetype-catalog.xml":                            {Kind: Catalog},
		"/.meta/prefixes.txt.sha1":                          {Kind: Prefixes, Sum: "sha1"},
		"/.index/nexus-maven-repository-index.gz":           {Kind: Index, Name: "nexus-maven-repository-index.gz"},
		"/.index/x.properties.sha1":                         {Kind: Index, Name: "x.properties", Sum: "sha1"},
		"/com/%61cme/lib/1%2B4/lib-1+4.jar":                 {Kind: File, Group: "com.acme", Artifact: "lib", Base: "1+4", Version: "1+4", Name: "lib-1+4.jar"},
	} {
		got, err := Parse(path)
		if err != nil || got.String() != want.String() || got.Key() != want.Key() || got.Sum != want.Sum || got.Base != want.Base {
			t.Errorf("Parse(%s) = %+v, %v; want %+v", path, got, err, want)
		}
	}
	for path, want := range map[string]string{
		"/com/acme/lib/maven-metadata.xml": "com.acme:lib", "/junit/maven-metadata.xml.sha1": "junit", "/com/acme/maven-metadata.xml": "com:acme",
		"/com/acme/lib.x/1.0-SNAPSHOT/maven-metadata.xml": "com.acme.lib.x:1.0-SNAPSHOT",
	} {
		if got, err := Parse(path); err != nil || got.Kind != Metadata || got.Package() != want {
			t.Errorf("Parse(%s) is of %q, %v; want %q", path, got.Package(), err, want)
		}
	}
}

// TestCase25Paths are none of the layout.
func TestCase25Paths(t *testing.T) {
	for _, path := range []string{
		"", "/", "//", "/a", "/a/b/c", "/a/b/1.0/", "/a//b/1.0/b-1.0.jar", "/../b/1.0/b-1.0.jar", "/%2e%2e/b/1.0/b-1.0.jar", "/a%2Fb/c/1.0/c-1.0.jar",
		"/a%00b/c/1.0/c-1.0.jar", "/a/b/1.0/b-2.0.jar", "/a/b/1.0/c-1.0.jar", "/a/b/1.0/b-1.0", "/a/b/1.0/b-1.0.", "/a/b/1.0/b-1.01.jar",
		"/a.b/c/d/1.0/d-1.0.jar", "/a/b/1.0/b-1.0.jar.sha1.md5", "/maven-metadata.xml", "/a.b/c/maven-metadata.xml", "/a/b/1.0/b-1.0.jar%",
		"/a/b/1.0/b-1.0.jar%zz", "/a/" + strings.Repeat("x", 4000) + "/1/x-1.jar", "/a/b:c/1/b:c-1.jar", "/a\\b/c/1/c-1.jar", "/a/b/1.0/b-1.0.jar%2520",
		"/a/b/1.0-SNAPSHOT/b-1.0-2026.jar", "/a/b/1.0-SNAPSHOT/b-1.0-20261121.081759-.jar", "/a/b c/1/b c-1.jar", "/.meta/prefixes.txt.sha1.sha1",
		"/.index", "/.index/", "/.index/a/b", "/.index/a%2Fb", "/.index/..", "/.index/a%20b",
	} {
		if p, err := Parse(path); !millpond.Is(err, millpond.NotFound) {
			t.Errorf("Parse(%.80q) = %+v, %v; want not found", path, p, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, path := range []string{"/com/acme/lib/1.4/lib-1.4.jar", "/g/a/1.0-SNAPSHOT/a-1.0-20261121.081759-1.jar.sha1", "/com/acme/maven-metadata.xml",
		"/.meta/prefixes.txt", "/.index/x.gz", "/archetype-catalog.xml.md5", "/a/b/1%2B/b-1+.jar", "/a/%C3%A9/1/é-1.x", "/a.b/c/1.0-SNAPSHOT/maven-metadata.xml"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p, err := Parse(path)
		if err != nil {
			return
		}
		s := p.String()
		again, err := Parse(s)
		if err != nil || again.String() != s || again.Key() != p.Key() && p.Kind == File || again.Package() != p.Package() || again.Sum != p.Sum || again.Kind != p.Kind {
			t.Errorf("Parse(%q) = %+v, which is written %q and read again as %+v, %v", path, p, s, again, err)
		}
		if strings.Contains(s, "..%2") || strings.Contains(s, "/../") || strings.Contains(s, "//") {
			t.Errorf("%q is written %q", path, s)
		}
		if p.Kind != File {
			return
		}
		n, ok := nameOf(p.Package())
		if !ok || "/"+n.file(p.Version, p.Key().File) != s {
			t.Errorf("%q: the source makes the address %q of it, want %q", path, n.file(p.Version, p.Key().File), s)
		}
	})
}
