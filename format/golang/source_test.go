package golang

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
)

const testPath = "git.example/team/x"

func golden(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPackage(t *testing.T) {
	for _, c := range []struct {
		name, list string
		want       []string // newest first
	}{
		{"junk, doubles and spellings that are no versions", golden(t, "list.txt"), []string{
			"v2.0.0+incompatible", "v1.10.0", "v1.2.0-rc.1", "v1.1.0", "v1.0.0", "v0.0.0-20260102030405-0123456789ab"}},
		{"carriage returns", golden(t, "list-crlf.txt"), []string{"v1.1.0", "v1.0.0"}},
		{"a module without tags", "", nil},
		{"no line feed at the end", "v1.0.0", []string{"v1.0.0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUpstream(t)
			u.set("/git.example/team/x/@v/list", c.list)
			p, err := Format{}.Source(newRemote(t, u, nil)).Package(t.Context(), testPath)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range p.Versions {
				got = append(got, v.Name)
				if !v.Partial {
					t.Errorf("%s is not partial", v.Name)
				}
				if want := v.Name == "v1.2.0-rc.1"; v.Prerelease != want {
					t.Errorf("%s: prerelease %t; want %t", v.Name, v.Prerelease, want)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("versions %q; want %q", got, c.want)
			}
			if v := p.Version("v0.0.0-20260102030405-0123456789ab"); v != nil && v.Published.IsZero() {
				t.Errorf("the time in the list is lost")
			}
			if n := u.requests(""); n != 1 {
				t.Errorf("%d requests; want 1: %q", n, u.asked)
			}
		})
	}
}

func TestPackageRefuses(t *testing.T) {
	u := newUpstream(t)
	src := Format{}.Source(newRemote(t, u, nil))
	if _, err := src.Package(t.Context(), "git.example/absent"); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("404: %v; want not found", err)
	}
	for _, page := range []string{"<!doctype html>\nv1.0.0\n", "\n\n  <html>", "\ufeff<html>"} {
		u.set("/git.example/team/x/@v/list", page)
		if p, err := src.Package(t.Context(), testPath); !millpond.Is(err, millpond.BadUpstream) {
			t.Errorf("list %q: %v, %v; want bad upstream", page, p, err)
		}
	}
	u.ill("/git.example/team/x/@v/list", 500)
	if _, err := src.Package(t.Context(), testPath); !millpond.Is(err, millpond.BadUpstream) {
		t.Errorf("500: %v; want bad upstream", err)
	}
}

func TestVersionAsksOnlyForTheInfo(t *testing.T) {
	u := newUpstream(t)
	u.set("/git.example/team/x/@v/v1.0.0.info", golden(t, "origin.info"))
	r := newRemote(t, u, nil)
	for range 2 {
		v, err := Format{}.Source(r).Version(t.Context(), testPath, "v1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		want := time.Date(2019, 8, 20, 14, 51, 58, 123456789, time.UTC)
		if v.Partial || !v.Published.Equal(want) || len(v.Files) != 3 {
			t.Errorf("version %+v; want one published at %v with three files", v, want)
		}
	}
	if !slices.Equal(u.asked, []string{"/git.example/team/x/@v/v1.0.0.info"}) {
		t.Errorf("asked %q; want the .info once", u.asked)
	}
	if got, err := r.read(Path{Kind: Info, Module: testPath, Version: "v1.0.0"}.Key()); err != nil || got != golden(t, "origin.info") {
		t.Errorf("kept %q, %v; want it byte for byte", got, err)
	}
}

func TestFileAsksNobody(t *testing.T) {
	u := newUpstream(t)
	src := Format{}.Source(newRemote(t, u, map[string]string{"sumdb": u.Database + " https://db.example/x"}))
	for _, c := range []struct {
		name      string
		key       millpond.Key
		url, kind string
	}{
		{"info", millpond.Key{Package: testPath, Version: "v1.0.0", File: "v1.0.0.info"}, u.URL + "/git.example/team/x/@v/v1.0.0.info", typeInfo},
		{"escapes", millpond.Key{Package: "git.example/Acme/x", Version: "v1.0.0-RC1", File: "v1.0.0-RC1.mod"}, u.URL + "/git.example/!acme/x/@v/v1.0.0-!r!c1.mod", typeText},
		{"incompatible", millpond.Key{Package: testPath, Version: "v2.0.0+incompatible", File: "v2.0.0+incompatible.zip"}, u.URL + "/git.example/team/x/@v/v2.0.0+incompatible.zip", typeZip},
		{"lookup", lookupKey(sumName, "git.example/Acme/x", "v1.0.0"), "https://db.example/x/lookup/git.example/!acme/x@v1.0.0", typeText},
		{"tile", millpond.Key{Package: sumPackage + sumName, File: "tile/8/0/000.p/3"}, "https://db.example/x/tile/8/0/000.p/3", typeTile},
	} {
		f, err := src.File(t.Context(), c.key)
		if err != nil || f.URL != c.url || f.Type != c.kind || f.Size != -1 || f.Name != c.key.File {
			t.Errorf("%s: %+v, %v; want it at %s as %s", c.name, f, err, c.url, c.kind)
		}
	}
	for name, k := range map[string]millpond.Key{
		"another extension":       {Package: testPath, Version: "v1.0.0", File: "v1.0.0.ziphash"},
		"another version":         {Package: testPath, Version: "v1.0.0", File: "v1.0.1.zip"},
		"a branch":                {Package: testPath, Version: "master", File: "master.zip"},
		"unknown database":        {Package: "sumdb/other.example", File: "tile/8/0/000"},
		"no file of the database": {Package: sumPackage + sumName, File: "latest"},
	} {
		if f, err := src.File(t.Context(), k); !millpond.Is(err, millpond.NotFound) {
			t.Errorf("%s: %+v, %v; want not found", name, f, err)
		}
	}
	if len(u.asked) > 0 {
		t.Errorf("asked %q; want nobody asked", u.asked)
	}
}

func TestRef(t *testing.T) {
	u := newUpstream(t)
	u.set("/git.example/team/x/@latest", `{"Version":"v1.2.0","Time":"2026-01-02T03:04:05Z"}`)
	u.set("/git.example/team/x/@v/master.info", `{"Version":"v1.2.1-0.20260102030405-0123456789ab","Time":"2026-01-02T03:04:05Z"}`)
	u.set("/git.example/team/x/@v/release%231.info", `{"Version":"v1.1.0"}`)
	u.set("/git.example/team/x/@v/odd.info", `{"Version":"master"}`)
	u.set("/git.example/team/x/@v/other.info", `{"Version":"v3.0.0"}`)
	u.set("/git.example/team/x/@v/page.info", `<html>`)
	src := Format{}.Source(newRemote(t, u, nil))
	for name, want := range map[string]string{
		"latest": "v1.2.0", "master": "v1.2.1-0.20260102030405-0123456789ab", "release#1": "v1.1.0",
	} {
		if ref, err := src.Ref(t.Context(), testPath, name); err != nil || ref.Target != want || ref.Name != name {
			t.Errorf("Ref(%q) = %+v, %v; want %s", name, ref, err, want)
		}
	}
	for _, name := range []string{"odd", "other", "page"} {
		if ref, err := src.Ref(t.Context(), testPath, name); !millpond.Is(err, millpond.BadUpstream) {
			t.Errorf("Ref(%q) = %+v, %v; want bad upstream", name, ref, err)
		}
	}
	if _, err := src.Ref(t.Context(), testPath, "none"); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("Ref of an unknown branch: %v; want not found", err)
	}
}

func TestSniff(t *testing.T) {
	src := source{}
	key := func(kind Kind) millpond.Key { return Path{Kind: kind, Module: testPath, Version: "v1.0.0"}.Key() }
	lookup := lookupKey(sumName, testPath, "v1.0.0")
	tile := millpond.Key{Package: sumPackage + sumName, File: "tile/8/0/000"}
	for _, c := range []struct {
		name string
		key  millpond.Key
		head string
		ok   bool
	}{
		{"info", key(Info), ` {"Version":`, true},
		{"info, a page", key(Info), "<html>", false},
		{"info, empty", key(Info), "", false},
		{"info, a string", key(Info), `"v1"`, false},
		{"mod", key(Mod), "module x", true},
		{"mod, a page", key(Mod), "\n <!DOCTYPE html>", false},
		{"mod, a page with a byte order mark", key(Mod), "\ufeff<html>", false},
		{"mod, empty", key(Mod), "", true},
		{"zip", key(Zip), "PK\x03\x04\x00", true},
		{"zip, a page", key(Zip), "<html>", false},
		{"zip without files", key(Zip), "PK\x05\x06", false},
		{"zip, two bytes", key(Zip), "PK", false},
		{"lookup", lookup, "12\nmod v1", true},
		{"lookup, a page", lookup, "<html>", false},
		{"tile that looks like a page", tile, "<html>", true},
	} {
		if err := src.Sniff(c.key, []byte(c.head)); (err == nil) != c.ok || err != nil && !millpond.Is(err, millpond.BadUpstream) {
			t.Errorf("%s: Sniff(%q) = %v; want accepted %t", c.name, c.head, err, c.ok)
		}
	}
}

func TestVerifyJudgesInfoAndMod(t *testing.T) {
	u := newUpstream(t)
	src := source{remote: newRemote(t, u, map[string]string{"verify": "off"})}
	for _, c := range []struct {
		name string
		kind Kind
		body string
		want millpond.Kind // Internal is accepted
	}{
		{"info", Info, `{"Version":"v1.0.0","Time":"2026-01-02T03:04:05Z"}`, millpond.Internal},
		{"info with more in it", Info, golden(t, "origin.info"), millpond.Internal},
		{"info of another version", Info, `{"Version":"v1.0.1","Time":"2026-01-02T03:04:05Z"}`, millpond.Corrupt},
		{"info cut short", Info, `{"Version":"v1.0.0"`, millpond.BadUpstream},
		{"info with a time that is none", Info, `{"Version":"v1.0.0","Time":"yesterday"}`, millpond.BadUpstream},
		{"info too long", Info, `{"Version":"v1.0.0","X":"` + strings.Repeat("x", infoLimit) + `"}`, millpond.Corrupt},
		{"mod", Mod, "module git.example/team/x\n", millpond.Internal},
		{"mod that nobody could parse", Mod, "modul?", millpond.Internal},
		{"mod that is a page", Mod, " <p>", millpond.Corrupt},
		{"mod that is no text", Mod, "module \xff", millpond.Corrupt},
		{"mod too long", Mod, strings.Repeat("\n", modLimit+1), millpond.Corrupt},
		{"zip, not verified", Zip, "PK\x03\x04", millpond.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := Path{Kind: c.kind, Module: testPath, Version: "v1.0.0"}.Key()
			err := src.Verify(t.Context(), k, strings.NewReader(c.body), int64(len(c.body)))
			if c.want == millpond.Internal && err != nil || c.want != millpond.Internal && !millpond.Is(err, c.want) {
				t.Errorf("Verify(%.60q): %v; want %v", c.body, err, c.want)
			}
		})
	}
	huge := Path{Kind: Zip, Module: testPath, Version: "v1.0.0"}.Key()
	if err := src.Verify(t.Context(), huge, strings.NewReader(""), zipLimit+1); !millpond.Is(err, millpond.Corrupt) {
		t.Errorf("a zip of 500 MiB and a byte: %v; want corrupt", err)
	}
}

func TestChanges(t *testing.T) {
	u := newUpstream(t)
	r := newRemote(t, u, nil)
	for _, err := range (Format{}).Source(r).Changes(t.Context(), "") {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("without the option index: %v; want unsupported", err)
		}
	}
	r.options["index"] = u.URL + "/index"
	at := func(i int) string {
		return time.Date(2026, 1, 1, 0, 0, 0, i, time.UTC).Format(time.RFC3339Nano)
	}
	line := func(path, version, at string) string {
		return `{"Path":"` + path + `","Version":"` + version + `","Timestamp":"` + at + `"}` + "\n"
	}
	page := func(from, n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(line(fmt.Sprint("git.example/m", from+i), "v1.0.0", at(from+i)))
		}
		return b.String()
	}
	u.set("/index?limit=2000", page(1, feedPage))
	// The next page begins with the last line again, and one more of the same time; the third has nothing new.
	last := at(feedPage)
	u.set("/index?limit=2000&since="+strings.ReplaceAll(last, ":", "%3A"),
		line(fmt.Sprint("git.example/m", feedPage), "v1.0.0", last)+line("git.example/twin", "v1.0.0", last)+line("not a path", "v1.0.0", last))
	var names []string
	cursor := ""
	for c, err := range (Format{}).Source(r).Changes(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names, cursor = append(names, c.Name), c.Cursor
	}
	if len(names) != feedPage+1 || names[feedPage] != "git.example/twin" || cursor != last {
		t.Errorf("%d names, the last %q, cursor %s; want %d, git.example/twin, %s", len(names), names[len(names)-1], cursor, feedPage+1, last)
	}
}
