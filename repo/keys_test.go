package repo_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"millpond"
	"millpond/catalog"
	"millpond/format/all"
	"millpond/format/golang"
	"millpond/format/npm"
	"millpond/format/pypi"
)

// S07: what a request names is joined with NUL into the ids of downloads and of questions. No path of any format gives a
// name with a NUL, or any other control character, so that two names never make one id.
func FuzzS07NamesOfPaths(f *testing.F) {
	for _, seed := range []string{
		"/simple/a%00b/", "/packages/a%00/-/b", "/packages/a/-/%00b.whl", "/a%00b/@v/v1.0.0.zip", "/m.example/!a/@v/v1.0.0%00.zip",
		"/@a%2fb%00", "/a/-/a%00-1.0.0.tgz", "/a/1.0.0%00", "/%2500", "/a\x00b", "/-/package/a%00/dist-tags", "/a/b_c", "/a_b/c",
		"/pypi/a%00/json", "/integrity/a/1%00/b/provenance", "/cached-only/m.example/x/@v/list", "/sumdb/a%00/latest", "/a%0d%0ab",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		var names []string
		if p, err := pypi.Parse(path); err == nil {
			names = append(names, p.Project, p.Version, p.Name, p.Digest)
			if name, err := (pypi.Format{}).Canon(p.Project); err == nil {
				names = append(names, name)
			}
		}
		if p, err := golang.Parse(path); err == nil {
			k := p.Key()
			names = append(names, p.Module, p.Version, p.Database, p.Tile, k.Package, k.Version, k.File)
		}
		if p, err := npm.Parse(path); err == nil {
			names = append(names, p.Package, p.Spec, p.File, p.Tag)
			if name, err := (npm.Format{}).Canon(p.Package); err == nil {
				names = append(names, name)
			}
		}
		for _, name := range names {
			if i := strings.IndexFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }); i >= 0 {
				t.Errorf("the path %q names %q, with a control character at %d", path, name, i)
			}
		}
	})
}

// Names that would be one if they were joined carelessly are held, and asked for, each by itself.
func TestS07NamesThatLookAlike(t *testing.T) {
	r := newRig(t)
	keys := []millpond.Key{
		{Package: "a", Version: "b", File: "c"}, {Package: "a/b", File: "c"}, {Package: "a", File: "b/c"}, {Package: "a_b", Version: "c"},
		{Package: "a%2fb", Version: "c"}, {Package: "A", Version: "b", File: "c"}, {Package: "a", Version: "b ", File: "c"},
		{Package: "a", Version: "'b'", File: "c"}, {Package: "a%", Version: "b", File: "c"}, {Package: "a_", Version: "b", File: "c"},
		{Package: `a"; DROP TABLE holdings; --`, Version: "b", File: "c"}, {Package: "a\u200b", Version: "b", File: "c"}, {Package: "а", Version: "b", File: "c"},
	}
	for _, layer := range []string{"r/up", "r/up2", "r", "r/up/"} {
		for i, k := range keys {
			h := &catalog.Holding{Layer: layer, Key: k, Size: int64(i), URL: layer + fmt.Sprint(i)}
			if err := r.catalog.PutHolding(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			for _, kind := range []string{"package", "document", "absence"} {
				q := catalog.Question{Layer: layer, Kind: kind, Package: k.Package, Name: k.Version + "\x00" + k.File}
				if err := r.catalog.PutAnswer(t.Context(), &catalog.Answer{Question: q, Record: []byte(kind + layer + fmt.Sprint(i))}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, layer := range []string{"r/up", "r/up2", "r", "r/up/"} {
		for i, k := range keys {
			if h, err := r.catalog.Holding(t.Context(), layer, k); err != nil || h.URL != layer+fmt.Sprint(i) {
				t.Errorf("holding %s %q: %+v, %v", layer, k, h, err)
			}
			for _, kind := range []string{"package", "document", "absence"} {
				q := catalog.Question{Layer: layer, Kind: kind, Package: k.Package, Name: k.Version + "\x00" + k.File}
				if a, err := r.catalog.Answer(t.Context(), q); err != nil || string(a.Record) != kind+layer+fmt.Sprint(i) {
					t.Errorf("answer to %+v: %+v, %v", q, a, err)
				}
			}
		}
	}
}

// S01, S02, S39: whatever a path holds, no answer is an internal error, has a header that a path wrote, or shows a byte
// from outside; and no upstream hears of a path that could lead it astray.
func TestS01Paths(t *testing.T) {
	bad := []string{
		"..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "..\\..\\etc", "%5c..%5cetc", "%00", "a%00b", "%2500", "%252e%252e%252f",
		"%0d%0aX-Evil:%201", "a%0aX-Evil:1", "%1b[2J", "\x7f", "C:%5cx", "//evil.example/x", "%2f%2fevil.example", "http:%2f%2fevil.example%2f",
		";a=b", "a;b/..;/c", "?x=..%2f", "%c0%ae%c0%ae/", "%ff%fe", "%u002e", "....//....//", ".%2e", "a/./b", "a//b", strings.Repeat("a/", 2000), strings.Repeat("%41", 20000),
	}
	for _, e := range ecosystems() {
		t.Run(e.name, func(t *testing.T) {
			r := newRig(t, e.change)
			e.put(r)
			for _, place := range []string{"%s", "simple/%s/", "packages/%s/-/%s", "m.example/%s/@v/list", "m.example/x/@v/%s.zip", "alpha/-/%s", "@scope%%2f%s", "-/package/%s/dist-tags", "sumdb/%s/latest", "pypi/%s/json"} {
				for _, word := range bad {
					path := "/r/" + strings.ReplaceAll(fmt.Sprintf(strings.ReplaceAll(place, "%s", "\x00"), []any{}...), "\x00", word)
					for _, method := range []string{"GET", "HEAD"} {
						a := r.do(method, path, nil)
						if a.Status == http.StatusInternalServerError || a.Header.Get("X-Evil") != "" || contains(a.Body, "root:x:") {
							t.Errorf("%s %.200q: got %s %v", method, path, a, a.Header)
						}
						if at := a.Header.Get("Location"); strings.HasPrefix(at, "//") || strings.Contains(at, "://") || strings.ContainsAny(at, "\r\n\\") {
							t.Errorf("%s %.200q: leads to %q", method, path, at)
						}
					}
				}
			}
			for _, q := range r.up.Requests("") {
				if strings.Contains(q.Path, "..") || strings.Contains(strings.ToLower(q.Path), "%2e%2e") || strings.Contains(q.Path, "%00") || strings.Contains(q.Path, "//") || strings.Contains(q.Path, "%0") {
					t.Errorf("the upstream was asked for %q", q.Path)
				}
			}
		})
	}
}

// S07: no format takes a control character into a name, and none has two names where its Canon, asked again, has one.
func TestS07NamesOfAllFormats(t *testing.T) {
	for _, f := range all.Formats() {
		for _, name := range []string{
			"a\x00b", "a\nb", "a\r\nb", "\x1b[2J", "a\x7f", "@s/a\x00", "m.example/a\x00", "org.example:a\x00b", "a/b\x00", "\x00", "a\tb",
			"a/../b", "..", ".", "a//b", "a\\b", "Alpha", "alpha", "m.example/Acme/x", "org.example:widget", "@acme/widget", "library/alpine", "a.b-c_d",
		} {
			canon, err := f.Canon(name)
			if err != nil {
				continue
			}
			if strings.ContainsFunc(canon, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				t.Errorf("%s: %q is the name %q, with a control character", f.Info().Name, name, canon)
			}
			if again, err := f.Canon(canon); err != nil || again != canon {
				t.Errorf("%s: %q is %q, and that is %q, %v", f.Info().Name, name, canon, again, err)
			}
		}
	}
}
