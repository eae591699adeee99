package debian

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"millpond/format/formattest"
	"millpond/repo"
)

// TestFlat: archives without dists, at the root and below a folder, as apt asks for them.
func TestFlat(t *testing.T) {
	h, _ := house(t, nil)
	for _, dir := range []string{"", "extra/"} {
		body := deb(t, "flat", "1.0", "amd64", "", len(dir))
		a := &archive{Up: h.Up, Root: "/debian/" + dir, Suite: "./"}
		a.Set("flat_1.0_amd64.deb", body)
		a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
		good(t, h, "/"+dir+"./InRelease", nil)
		index := good(t, h, "/"+dir+"./Packages", nil).Body
		good(t, h, "/"+dir+"./Packages.gz", nil)
		good(t, h, "/"+dir+"./by-hash/SHA256/"+hexSHA(index), index)
		good(t, h, "/"+dir+"./flat_1.0_amd64.deb", body)
	}
}

// TestFlatHosted: a suite that is hosted here is a flat one too, of all its components and architectures, which apt installs from;
// it moves with the other.
func TestFlatHosted(t *testing.T) {
	t.Parallel()
	h, _ := house(t, nil)
	h.Pass(-48 * time.Hour) // the clock of apt is the machine's
	put := func(component, name string, body []byte) {
		t.Helper()
		h.Published(name, h.As(formattest.Owner).Do("PUT", "/pool/stable/"+component+"/"+name, nil, body))
	}
	h.Want("before it is there", h.Get("/stable/InRelease"), http.StatusNotFound)
	h.Want("an index of it", h.Get("/stable/Packages"), http.StatusNotFound)
	put("main", "hello.deb", deb(t, "hello", "1.0", "amd64", "Depends: common\n", 0))
	put("extra", "common.deb", deb(t, "common", "1.0", "all", "", 0))
	put("extra", "other.deb", deb(t, "other", "1.0", "arm64", "", 0))
	put("main", "setup.udeb", deb(t, "setup", "1.0", "amd64", "", 0))
	orig := tarGz(t, "./x", "y")
	put("main", "tool_1.0.tar.gz", orig)
	put("main", "tool_1.0.dsc", []byte(fmt.Sprintf("Source: tool\nVersion: 1.0\nChecksums-Sha256:\n %s %d tool_1.0.tar.gz\n", hexSHA(orig), len(orig))))
	index := good(t, h, "/stable/./Packages", nil).Body
	if got := strings.Count(string(index), "Package: "); got != 3 || strings.Contains(string(index), "Package: setup\n") {
		t.Errorf("the index lists %d packages, want hello, common and other:\n%s", got, index)
	}
	if sources := good(t, h, "/stable/Sources", nil).Body; !strings.Contains(string(sources), "Package: tool\n") {
		t.Errorf("Sources is\n%s", sources)
	}
	text, _, signatures, err := splitSigned(good(t, h, "/stable/./InRelease", nil).Body)
	if err != nil || len(signatures) != 1 {
		t.Fatalf("the Release is signed by %d, %v", len(signatures), err)
	}
	r, err := parseRelease(text)
	if err != nil || len(r.Files) != 2*len(madeForms) || r.Fields["Components"] != "" {
		t.Errorf("the Release lists %d indexes, %v:\n%s", len(r.Files), err, text)
	}
	for _, f := range r.Files {
		body := good(t, h, "/stable/"+f.Path, nil).Body
		if hexSHA(body) != f.Digests[0].Hex() {
			t.Errorf("%s is not what the Release says", f.Path)
		}
		good(t, h, "/stable/by-hash/SHA256/"+hexSHA(body), body)
	}
	for _, path := range []string{"/stable/Contents", "/stable/Packages.xz", "/stable/main/Packages", "/testing/Packages"} {
		h.Want(path, h.Get(path), http.StatusNotFound)
	}
	root := newAPT(t, "")
	root.write("etc/apt/sources.list.d/pond.sources", string(good(t, h, "/setup.sources?suite=stable/", nil).Body))
	root.must("update")
	root.must("install", "hello")
	if a, b := root.installed("hello"), root.installed("common"); a != "1.0" || b != "1.0" {
		t.Errorf("installed are hello %q and common %q", a, b)
	}
	h.Pass(2 * time.Second)
	put("main", "hello.deb", deb(t, "hello", "1.1", "amd64", "Depends: common\n", 0))
	root.must("update")
	root.must("upgrade")
	if a := root.installed("hello"); a != "1.1" {
		t.Errorf("after the upgrade hello is %q, want 1.1", a)
	}
	good(t, h, "/stable/by-hash/SHA256/"+hexSHA(index), index)
	good(t, h, packages, nil)
}

// TestCase18FlatCurated: a flat suite is curated as others are, at the root and below a folder, and apt installs of it what the
// rules leave, by the pond's key.
func TestCase18FlatCurated(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ root, suite, dir, pool string }{
		"at the root":                       {"", "./", "", ""},
		"a suite that is a folder":          {"", "extra/", "extra/", "extra/"}, // whose files are named from above it
		"an archive that is below a folder": {"extra/", "./", "extra/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := house(t, nil)
			h.Pass(-time.Hour) // apt has a clock of its own
			dir, suite, at := c.dir, flatName(strings.TrimSuffix(c.dir, "/")), c.pool
			a := &archive{Up: h.Up, Root: "/debian/" + c.root, Suite: c.suite}
			a.Set(at+"flat_1.0_amd64.deb", deb(t, "flat", "1.0", "amd64", "", 0))
			a.Set(at+"bad_1.0_amd64.deb", deb(t, "bad", "1.0", "amd64", "", 0))
			a.Set(at+"ours_1.0_amd64.deb", deb(t, "ours", "1.0", "amd64", "", 0))
			a.Lay(t, h.Now().AddDate(0, -1, 0))
			config := h.Config("r", h.Up)
			config.Options = map[string]string{"curated": "other " + suite}
			config.Claims = []string{"ours"}
			formattest.Rules(t, map[string]any{"block": []any{"bad"}}, map[string]any{"hold": "7d"})(&config)
			h.Configure(repo.Settings{}, config)

			release := good(t, h, "/"+dir+"./InRelease", nil).Body
			text, _, signatures, err := splitSigned(release)
			if err != nil || len(signatures) != 1 {
				t.Fatalf("the Release is signed by %d, %v:\n%s", len(signatures), err, text)
			}
			r, err := parseRelease(text)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Files) != len(madeForms) {
				t.Errorf("the Release lists %d indexes, want Packages in each form:\n%s", len(r.Files), text)
			}
			for _, f := range r.Files {
				body := good(t, h, "/"+dir+"./"+f.Path, nil).Body
				if hexSHA(body) != f.Digests[0].Hex() {
					t.Errorf("%s is not what the Release says", f.Path)
				}
				good(t, h, "/"+dir+"./by-hash/SHA256/"+hexSHA(body), body)
			}
			index := string(good(t, h, "/"+dir+"./Packages", nil).Body)
			if !strings.Contains(index, "Package: flat\n") || strings.Contains(index, "Package: bad\n") || strings.Contains(index, "Package: ours\n") {
				t.Errorf("the index is\n%s", index)
			}
			h.Want("a blocked file", h.Get("/"+dir+"./bad_1.0_amd64.deb"), http.StatusForbidden)
			h.Want("a claimed file", h.Get("/"+dir+"./ours_1.0_amd64.deb"), http.StatusNotFound)

			root := newAPT(t, "")
			source := string(good(t, h, "/setup.sources?suite="+suite, nil).Body)
			if c.root != "" { // the pond does not know from where its files are named
				source = strings.Replace(source, "/r\nSuites: extra/\n", "/r/extra\nSuites: ./\n", 1)
			}
			root.write("etc/apt/sources.list.d/pond.sources", source)
			if out, err := root.run("update"); err != nil { // apt warns that the upstream's Release names another suite
				t.Fatalf("apt-get update: %v\n%s", err, out)
			}
			root.must("install", "flat")
			if got := root.installed("flat"); got != "1.0" {
				t.Errorf("flat is installed as %q, want 1.0", got)
			}

			// A new version is held, and comes by itself when the hold has run out.
			a.Set(at+"flat_2.0_amd64.deb", deb(t, "flat", "2.0", "amd64", "", 0))
			a.Lay(t, h.Now())
			h.Pass(2 * time.Minute)
			if index := string(good(t, h, "/"+dir+"./Packages", nil).Body); strings.Contains(index, "Version: 2.0\n") {
				t.Errorf("what is held is listed:\n%s", index)
			}
			h.Want("a held file", h.Get("/"+dir+"./flat_2.0_amd64.deb"), http.StatusForbidden)
			h.Up.Refuse()
			h.Pass(8 * 24 * time.Hour)
			if index := string(good(t, h, "/"+dir+"./Packages", nil).Body); !strings.Contains(index, "Version: 2.0\n") {
				t.Errorf("the hold has run out, and the index is\n%s", index)
			}
			h.Want("no such suite", h.Get("/setup.sources?suite=../"), http.StatusBadRequest)
		})
	}
}
