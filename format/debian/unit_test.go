package debian

import (
	"bytes"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/format/formattest"
)

func TestCase16Paths(t *testing.T) {
	for escaped, want := range map[string]Path{
		"/dists/stable/InRelease":                                  {Kind: Release, Suite: "dists/stable", File: "InRelease"},
		"/dists/stable/updates/Release.gpg":                        {Kind: Release, Suite: "dists/stable/updates", File: "Release.gpg"},
		"/a/dists/b/dists/stable/InRelease":                        {Kind: Release, Archive: "a/dists/b", Suite: "a/dists/b/dists/stable", File: "InRelease"},
		"/./InRelease":                                             {Kind: Release, Suite: "./", File: "InRelease"},
		"/isv:/tools/Debian_12/./Release":                          {Kind: Release, Suite: "isv:/tools/Debian_12/", File: "Release"},
		"/dists/stable/main/binary-amd64/Packages.xz":              {Kind: Index, File: "stable/main/binary-amd64/Packages.xz"},
		"/dists/stable/main/binary-amd64/Release":                  {Kind: Index, File: "stable/main/binary-amd64/Release"},
		"/pool/main/l/libx/libx_1%3a2%2b3%7erc1_amd64.deb":         {Kind: Pool, File: "pool/main/l/libx/libx_1:2+3~rc1_amd64.deb"},
		"/snapshot/20260102T030405Z/dists/stable/InRelease":        {Kind: Release, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Suite: "dists/stable", File: "InRelease"},
		"/dists/s/by-hash/MD5Sum/900150983cd24fb0d6963f7d28e17f72": {Kind: ByHash, Algorithm: "md5", Hex: "900150983cd24fb0d6963f7d28e17f72", File: "s"},
		"/flat/./by-hash/MD5Sum/900150983cd24fb0d6963f7d28e17f72":  {Kind: ByHash, Algorithm: "md5", Hex: "900150983cd24fb0d6963f7d28e17f72", File: "flat", Flat: true},
		"/key.asc":                {Kind: KeyFile, File: "key.asc"},
		"/incoming/x_1_amd64.deb": {Kind: Incoming, File: "x_1_amd64.deb"},
	} {
		if got, err := Parse(escaped); err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", escaped, got, err, want)
		}
	}
	for _, escaped := range []string{"", "/", "//", "/a//b", "/../x", "/a/..%2fb", "/a%2fb", "/%2e%2e/x", "/a%00", "/a%zz", "/a%5cb", "/a#b", "/x/by-hash/SHA256/abc", "/dists/x/by-hash/SHA9/abc"} {
		if got, err := Parse(escaped); !millpond.Is(err, millpond.NotFound) {
			t.Errorf("Parse(%q) = %+v, %v, want not found", escaped, got, err)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"/dists/a/InRelease", "/./x", "/a/dists/b/c/by-hash/SHA1/" + strings.Repeat("a", 40), "/snapshot/20260102T030405Z/a", "/pool/a%2bb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(p.String())
		if err != nil || again != p {
			t.Errorf("Parse(%q) = %+v, whose String %q is read as %+v, %v", s, p, p.String(), again, err)
		}
	})
}

// TestCompare: the order is dpkg's own.
func TestCompare(t *testing.T) {
	versions := []string{"1.0", "1.0-1", "1:0.9", "1.0~rc1", "1.0~~", "1.0+b1", "1.0a", "1.0.1", "01.0", "0:1.0", "1.0-0", "2", "1.0-1~bpo1", "1.10", "1.9", "20261121T080312Z-abc", "20261121T080312Z.1-abc"}
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("dpkg is not installed")
	}
	const letters = "0123459abz+.~-"
	for range 20 {
		v := "1"
		for range rand.IntN(6) {
			v += string(letters[rand.IntN(len(letters))])
		}
		if isVersion(v) {
			versions = append(versions, v)
		}
	}
	for _, a := range versions {
		b := versions[rand.IntN(len(versions))]
		for op, want := range map[string]bool{"lt": compare(a, b) < 0, "gt": compare(a, b) > 0} {
			got := exec.Command("dpkg", "--compare-versions", a, op, b).Run() == nil
			if got != want {
				t.Errorf("%q %s %q: dpkg says %v, we say %v", a, op, b, got, want)
			}
		}
	}
	sorted := slices.Clone(versions)
	slices.SortFunc(sorted, Format{}.Compare)
	if !slices.IsSortedFunc(sorted, Format{}.Compare) {
		t.Errorf("no order: %q", sorted)
	}
}

func FuzzRelease(f *testing.F) {
	f.Add([]byte("Date: Wed, 21 Oct 2026 12:00:00 UTC\nSHA256:\n " + strings.Repeat("a", 64) + " 3 main/x\n"))
	f.Add([]byte(beginSigned + "\nHash: SHA512\n\nDate: x\n" + beginSig + "\n" + endSig + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		text, _, _, err := splitSigned(b)
		if err != nil {
			return
		}
		if r, err := parseRelease(text); err == nil {
			for _, one := range r.Files {
				if !clean(one.Path) {
					t.Errorf("the path %q of %q", one.Path, text)
				}
			}
		}
	})
}

func FuzzDeb(f *testing.F) {
	f.Add(ar("debian-binary", []byte("2.0\n"), "control.tar", []byte("x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		var seen bytes.Buffer
		c, err := readDeb(bytes.NewReader(b), &seen)
		if err == nil && (c.fields["Package"] == "" || !isVersion(c.fields["Version"])) {
			t.Errorf("%q was taken", b)
		}
	})
}

// TestSightings: what a Release lists for the first time is as old as that Release, and stays so.
func TestSightings(t *testing.T) {
	day := func(n int) time.Time { return time.Unix(1_700_000_000, 0).AddDate(0, 0, n) }
	s := sightings{Since: day(0).Unix()}
	s = s.next([]uint64{1, 2}, []uint64{1, 2, 3}, day(5))
	s = s.next([]uint64{1, 2, 3}, []uint64{2, 3, 4}, day(9))
	for hash, want := range map[uint64]time.Time{1: day(0), 2: day(0), 3: day(5), 4: day(9)} {
		if got := s.of(hash); got != want.Unix() {
			t.Errorf("%d was first seen at %v, want %v", hash, time.Unix(got, 0), want)
		}
	}
	if s = s.next([]uint64{2, 3, 4}, []uint64{2, 3, 4}, day(300)); len(s.New) != 0 {
		t.Errorf("after most of a year %d sightings are kept, want none", len(s.New)/sightingSize)
	}
}

// TestPublishFile: the door of the command line publishes a .deb into the suite that is named.
func TestPublishFile(t *testing.T) {
	h, _ := house(t, nil)
	r := h.As(formattest.Owner).Repo()
	body := deb(t, "tool", "1.0", "arm64", "", 0)
	file := func(options map[string]string) format.PublishedFile {
		return format.PublishedFile{Name: "whatever.deb", Size: int64(len(body)), Options: options, Body: bytes.NewReader(body)}
	}
	done, err := Format{}.PublishFile(t.Context(), r, file(map[string]string{"suite": "testing", "component": "tools"}))
	if err != nil || !done.New || done.Key.Package != "tool" || done.Key.Version != "1.0" {
		t.Fatalf("publish: %+v, %v", done, err)
	}
	if done, err = (Format{}).PublishFile(t.Context(), r, file(map[string]string{"suite": "testing", "component": "tools"})); err != nil || done.New {
		t.Errorf("publish again: %+v, %v", done, err)
	}
	good(t, h, "/"+done.Key.File, body)
	if index := good(t, h, "/dists/testing/tools/binary-arm64/Packages", nil); !strings.Contains(string(index.Body), stanzaOf(t, done.Key.File, body)[:60]) {
		t.Errorf("the index has no such package: %s", index)
	}
	if _, err := (Format{}).PublishFile(t.Context(), r, file(map[string]string{"colour": "red"})); !millpond.Is(err, millpond.Invalid) {
		t.Errorf("an unknown option: %v, want invalid", err)
	}
}

// TestCase25Source: a source package shows when its .dsc has come and all its parts are there; what lies about them does not.
func TestCase25Source(t *testing.T) {
	h, _ := house(t, nil)
	put := func(name string, body []byte) formattest.Reply {
		return h.As(formattest.Owner).Do("PUT", "/pool/stable/main/"+name, nil, body)
	}
	orig := tarGz(t, "./x", "y")
	dsc := func(name, sum string, size int) []byte {
		return []byte("Format: 3.0 (native)\nSource: tool\nVersion: 1.0\nMaintainer: A <a@up.example>\nChecksums-Sha256:\n " + sum + " " + strconv.Itoa(size) + " " + name + "\nFiles:\n 00000000000000000000000000000000 1 " + name + "\n")
	}
	sound := dsc("tool_1.0.tar.gz", hexSHA(orig), len(orig))
	h.Want("without its part", put("tool_1.0.dsc", sound), 400)
	h.Published("the part", put("tool_1.0.tar.gz", orig))
	const path = "/pool/stable/main/t/tool/tool_1.0.tar.gz"
	if r := h.Get(path); r.Status != 404 && r.Status != 410 {
		t.Errorf("a part that nothing names: got %s, want 404 or 410", r)
	}
	h.Want("a wrong sum", put("tool_1.0.dsc", dsc("tool_1.0.tar.gz", hexSHA([]byte("z")), len(orig))), 400)
	h.Want("a path", put("tool_1.0.dsc", dsc("../tool_1.0.tar.gz", hexSHA(orig), len(orig))), 400)
	// It stands in an index that is signed: what would be another stanza there, or another package's, is none of it.
	for what, text := range map[string]string{
		"a second stanza":               strings.Replace(string(sound), "Files:", "\nPackage: other\nFiles:", 1),
		"a second stanza, with CR":      strings.Replace(string(sound), "Files:", "\r\n\r\nPackage: other\r\nFiles:", 1),
		"a second stanza, with a CR":    strings.Replace(string(sound), "Files:", "X: y\n\r\nPackage: other\nFiles:", 1),
		"a line of a CR alone":          strings.Replace(string(sound), "Files:", "X: y\rPackage: other\nFiles:", 1),
		"a line of spaces":              strings.Replace(string(sound), "Files:", " \nPackage: other\nFiles:", 1),
		"another package's name":        string(sound) + "Package: other\n",
		"another one's, spelt small":    string(sound) + "package: other\n",
		"another folder":                string(sound) + "DIRECTORY: pool/stable/main/o/other\n",
		"a field twice":                 string(sound) + "source: other\n",
		"a line that is no field":       string(sound) + "other\n",
		"a comment, which is no header": "# comment\n" + string(sound),
	} {
		h.Want(what, put("tool_1.0.dsc", []byte(text)), 400)
	}
	h.Want("nothing shows", h.Get("/dists/stable/main/source/Sources"), 404)
	h.Published("the description", put("tool_1.0.dsc", sound))
	// What is put later under the name of a part that is published does not take its place, however long ago that was.
	for range 2 {
		h.Published("another part", put("tool_1.0.tar.gz", []byte("other bytes")))
		good(t, h, path, orig)
		h.Pass(49 * time.Hour)
		if _, err := h.Pond.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h.Want("a description of those", put("tool_1.0.dsc", dsc("tool_1.0.tar.gz", hexSHA([]byte("other bytes")), 11)), 400)
	h.Published("other bytes once more", put("tool_1.0.tar.gz", []byte("other bytes")))
	h.Want("a description of what came", put("tool_1.0.dsc", dsc("tool_1.0.tar.gz", hexSHA([]byte("other bytes")), 11)), 409)
	good(t, h, path, orig)
	sources := good(t, h, "/dists/stable/main/source/Sources", nil)
	var found []listed
	if err := eachListed(bytes.NewReader(sources.Body), true, func(l listed) error { found = append(found, l); return nil }); err != nil || len(found) != 2 {
		t.Fatalf("Sources lists %+v, %v, want two files:\n%s", found, err, sources.Body)
	}
	for _, l := range found {
		r := good(t, h, "/"+l.Path, nil)
		if "sha256:"+hexSHA(r.Body) != l.Digest.String() {
			t.Errorf("%s is not what Sources says", l.Path)
		}
	}
}
