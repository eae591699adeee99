package debian

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format/formattest"
	"millpond/repo"
)

// curated is a house whose suite stable is curated by these rules, with a hello of a month ago.
func curated(t *testing.T, change func(*repo.Config), rules ...map[string]any) (*formattest.House, *archive) {
	t.Helper()
	h, a := stocked(t, nil)
	a.extra = map[string][]byte{"main/i18n/Translation-en": []byte("Package: hello\n"), "main/binary-amd64/Packages.diff/Index": []byte("x")}
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	c := h.Config("r", h.Up)
	c.Options = map[string]string{"curated": "stable"}
	if len(rules) > 0 {
		formattest.Rules(t, rules...)(&c)
	}
	if change != nil {
		change(&c)
	}
	h.Configure(repo.Settings{}, c)
	return h, a
}

// listedIn is what the suite's Release lists, each of it fetched by its path and by hash and compared with it.
func listedIn(t *testing.T, h *formattest.House) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	text, _, signatures, err := splitSigned(good(t, h, inRelease, nil).Body)
	if err != nil || len(signatures) == 0 {
		t.Fatalf("the Release is signed by %d, %v", len(signatures), err)
	}
	r, err := parseRelease(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Files {
		dir, _ := split(f.Path)
		body := good(t, h, "/dists/stable/"+f.Path, nil).Body
		if hexSHA(body) != f.Digests[0].Hex() || int64(len(body)) != f.Size {
			t.Errorf("%s is not what the Release says", f.Path)
		}
		good(t, h, "/dists/stable/"+dir+"/by-hash/SHA256/"+hexSHA(body), body)
		out[f.Path] = body
	}
	return out
}

const amd64 = "main/binary-amd64/Packages"

// TestCase18Curated: a curated suite leaves out what is held, blocked or taken down, and refuses its files; when a hold runs
// out there is a new Release though the upstream has changed nothing.
func TestCase18Curated(t *testing.T) {
	h, a := curated(t, nil, map[string]any{"block": []any{"bad"}, "why": "known to be malware"}, map[string]any{"hold": "7d"})
	bad, fresh := "pool/main/b/bad/bad_1_amd64.deb", "pool/main/h/hello/hello_2.0_amd64.deb"
	a.Set(bad, deb(t, "bad", "1", "amd64", "", 0))
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 1))
	all := listedIn(t, h)
	if index := string(all[amd64]); !strings.Contains(index, "Package: hello\n") || strings.Contains(index, "bad") {
		t.Errorf("the index is\n%s", index)
	}
	if string(all["main/i18n/Translation-en"]) != "Package: hello\n" || all["main/binary-amd64/Packages.diff/Index"] != nil {
		t.Errorf("what is relayed is wrong: %v", all)
	}
	release := good(t, h, "/dists/stable/Release", nil)
	for _, want := range []string{"Label: Up\n", "Suite: stable\n", "Acquire-By-Hash: yes\n", "Components: main\n", "Architectures: amd64\n"} {
		if !strings.Contains(string(release.Body), want) {
			t.Errorf("the Release lacks %q:\n%s", want, release.Body)
		}
	}
	good(t, h, "/"+helloPath, nil)
	h.Want("a blocked file", h.Get("/"+bad), http.StatusForbidden)

	// A new version is held, and comes by itself.
	a.Set(fresh, deb(t, "hello", "2.0", "amd64", "", 0))
	h.Pass(time.Hour)
	a.Lay(t, h.Now())
	h.Pass(2 * time.Minute)
	if index := listedIn(t, h)[amd64]; strings.Contains(string(index), "2.0") {
		t.Errorf("what is held is listed:\n%s", index)
	}
	h.Want("a held file", h.Get("/"+fresh), http.StatusForbidden)
	h.Up.Refuse()
	held := good(t, h, inRelease, nil)
	h.Pass(6 * 24 * time.Hour)
	good(t, h, inRelease, held.Body)
	h.Pass(25 * time.Hour)
	if index := listedIn(t, h)[amd64]; !strings.Contains(string(index), "Version: 2.0\n") {
		t.Errorf("the hold has run out, and the index is\n%s", index)
	}
	if after := good(t, h, inRelease, nil); dateOf(t, after.Body).Before(dateOf(t, held.Body).Add(time.Second)) {
		t.Error("the new Release has no later date")
	}

	// A takedown shows at once, and lifting it too.
	admin := repo.Caller{Actor: millpond.Actor{Name: "admin"}, Rights: formattest.Rights{{Verbs: millpond.Verbs()}}}
	down, err := h.Pond.TakeDown(t.Context(), admin, repo.Takedown{Format: "debian", Package: "hello", Version: "1.0", Why: "it eats files"})
	if err != nil {
		t.Fatal(err)
	}
	if index := string(listedIn(t, h)[amd64]); strings.Contains(index, "Version: 1.0\n") || !strings.Contains(index, "Version: 2.0\n") {
		t.Errorf("with a takedown the index is\n%s", index)
	}
	h.Want("a file that was taken down", h.Get("/"+helloPath), http.StatusForbidden)
	if err := h.Pond.LiftTakedown(t.Context(), admin, down.ID, "it does not"); err != nil {
		t.Fatal(err)
	}
	if index := listedIn(t, h)[amd64]; !strings.Contains(string(index), "Version: 1.0\n") {
		t.Errorf("the takedown was lifted, and the index is\n%s", index)
	}
}

func dateOf(t *testing.T, signed []byte) time.Time {
	t.Helper()
	text, _, _, err := splitSigned(signed)
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseRelease(text)
	if err != nil {
		t.Fatal(err)
	}
	return r.Date
}

// TestCase19Layers: of a claimed source package a curated suite lists only what is published here; united layers have each
// version from one of them.
func TestCase19Layers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*repo.Config)
		want   []string
		lacks  []string
	}{
		"what is published hides":  {func(c *repo.Config) {}, []string{"Version: 3.0\n", "Package: other\n"}, []string{"Version: 1.0\n", "Version: 2.0\n"}},
		"layers are united":        {func(c *repo.Config) { c.Union = true }, []string{"Version: 3.0\n", "Version: 2.0\n", "Package: other\n", "ours"}, []string{"theirs"}},
		"a name is claimed by all": {func(c *repo.Config) { c.Claims = []string{"hello", "oth*"} }, []string{"Version: 3.0\n"}, []string{"Package: other\n", "Package: other-tool\n", "Version: 2.0\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, a := curated(t, c.change)
			a.Set(helloPath, deb(t, "hello", "1.0", "amd64", "Homepage: theirs\n", 0))
			a.Set("pool/main/h/hello/hello_2.0_amd64.deb", deb(t, "hello", "2.0", "amd64", "", 0))
			a.Set("pool/main/o/other/other_1_amd64.deb", deb(t, "other", "1", "amd64", "", 0))
			a.Set("pool/main/x/x/other-tool_1_amd64.deb", deb(t, "other-tool", "1", "amd64", "Source: x\n", 0))
			a.Lay(t, formattest.Epoch().AddDate(0, -1, 1))
			good(t, h, inRelease, nil)
			ours := [][]byte{deb(t, "hello", "3.0", "amd64", "", 0)}
			if name == "layers are united" {
				ours = append(ours, deb(t, "hello", "1.0", "amd64", "Homepage: ours\n", 1))
			}
			for _, one := range ours {
				h.Published("publish", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, one))
			}
			index := string(listedIn(t, h)[amd64])
			for _, want := range c.want {
				if !strings.Contains(index, want) {
					t.Errorf("the index lacks %q:\n%s", want, index)
				}
			}
			for _, lacks := range c.lacks {
				if strings.Contains(index, lacks) {
					t.Errorf("the index has %q:\n%s", lacks, index)
				}
			}
			for line := range strings.Lines(index) { // all that is listed can be had, and is what the index says
				if path, ok := strings.CutPrefix(line, "Filename: "); ok {
					r := good(t, h, "/"+strings.TrimSpace(path), nil)
					if !strings.Contains(index, "SHA256: "+hexSHA(r.Body)) {
						t.Errorf("%s is not what the index says", path)
					}
				}
			}
			h.Want("a suite that is curated is not made", h.As(formattest.Owner).Do("PUT", "/dists/stable/Release", nil, []byte("Label: x\n")), http.StatusForbidden)
		})
	}
}

// TestCuratedTorn: while an index of the upstream's new Release cannot be had, readers have the Release before, whole; and an
// index that is not what the Release says is never read.
func TestCuratedTorn(t *testing.T) {
	h, a := curated(t, nil)
	first := listedIn(t, h)
	a.Set("pool/main/n/new/new_1_amd64.deb", deb(t, "new", "1", "amd64", "", 0))
	a.ByHash = false
	a.Lay(t, h.Now().Add(-time.Hour))
	for _, path := range []string{packages, packages + ".gz"} {
		h.Up.Order("/debian"+path, "always 404")
	}
	h.Pass(2 * time.Minute)
	if index := listedIn(t, h)[amd64]; !bytes.Equal(index, first[amd64]) {
		t.Errorf("with the new index gone the index is\n%s", index)
	}
	for _, path := range []string{packages, packages + ".gz"} {
		h.Up.Order("/debian"+path, "always ok")
	}
	h.Pass(20 * time.Minute)
	if index := listedIn(t, h)[amd64]; !strings.Contains(string(index), "Package: new\n") {
		t.Errorf("the upstream is whole again, and the index is\n%s", index)
	}
}

// TestTornWaits: of a suite whose indexes do not belong to its Release the archive is asked again after 5, 15 and 60 seconds, and
// from the beginning once it was whole. A view that was shown meanwhile stands for five seconds more.
func TestTornWaits(t *testing.T) {
	h, a := stocked(t, nil)
	good(t, h, inRelease, nil)
	held := good(t, h, packages, nil)
	date := h.Now().Add(-24 * time.Hour)
	tear := func() {
		a.Set("pool/main/n/new/new_1_amd64.deb", deb(t, "new", date.Format("20060102.15"), "amd64", "", 0))
		a.ByHash = false
		date = date.Add(time.Hour)
		a.Lay(t, date)
		for _, path := range []string{packages, packages + ".gz"} {
			h.Up.Order("/debian"+path, "always 404")
		}
		h.Pass(2 * time.Minute)
	}
	for round := range 2 {
		tear()
		for i, step := range []struct {
			pass  time.Duration
			asked bool
		}{{0, true}, {4 * time.Second, false}, {2 * time.Second, true}, {9 * time.Second, false}, {7 * time.Second, true}, {50 * time.Second, false},
			{11 * time.Second, true}, {50 * time.Second, false}, {11 * time.Second, true}} {
			h.Pass(step.pass)
			h.Up.Forget()
			good(t, h, inRelease, nil)
			good(t, h, packages, held.Body)
			h.Idle()
			if n := h.Up.Count("", "/debian"+inRelease); n > 0 != step.asked {
				t.Errorf("round %d, step %d: the archive was asked %d times, want that it is asked: %v", round, i, n, step.asked)
			}
		}
		for _, path := range []string{packages, packages + ".gz"} {
			h.Up.Order("/debian"+path, "always ok")
		}
		h.Pass(61 * time.Second)
		good(t, h, inRelease, nil)
		if held = good(t, h, packages, nil); !strings.Contains(string(held.Body), "Package: new\n") {
			t.Errorf("round %d: the archive is whole again, and the index is\n%s", round, held.Body)
		}
	}
}

// TestCuratedAPT: apt takes a curated suite by the key of setup.sources, does not see what is held, and sees it when it is not
// held any more.
func TestCuratedAPT(t *testing.T) {
	t.Parallel()
	h, a := curated(t, nil, map[string]any{"hold": "7d"})
	h.Pass(-48 * time.Hour) // apt has a clock of its own
	a.Lay(t, h.Now().AddDate(0, -1, 0))
	source := good(t, h, "/setup.sources?suite=stable", nil)
	root := newAPT(t, "")
	root.write("etc/apt/sources.list.d/pond.sources", string(source.Body))
	root.must("update")
	a.Set("pool/main/h/hello/hello_2.0_amd64.deb", deb(t, "hello", "2.0", "amd64", "", 0))
	a.Lay(t, h.Now())
	h.Pass(2 * time.Minute)
	root.must("update")
	root.must("install", "hello")
	if got := root.installed("hello"); got != "1.0" {
		t.Errorf("hello is installed as %q, want 1.0, for 2.0 is held", got)
	}
	c := h.Config("r", h.Up)
	c.Options = map[string]string{"curated": "stable"}
	formattest.Rules(t, map[string]any{"hold": "1m"})(&c)
	h.Configure(repo.Settings{}, c)
	root.must("update")
	root.must("install", "hello")
	if got := root.installed("hello"); got != "2.0" {
		t.Errorf("hello is installed as %q, want 2.0", got)
	}
}

// TestCuratedSources: a curated suite lists the source packages that the rules leave, and apt-get source would find their files.
func TestCuratedSources(t *testing.T) {
	h, a := curated(t, nil, map[string]any{"block": []any{"bad"}})
	stanza := func(name string) string {
		b := []byte(name)
		return fmt.Sprintf("Package: %s\nVersion: 1\nDirectory: pool/main/%s\nChecksums-Sha256:\n %s %d %s_1.dsc\n\n", name, name, hexSHA(b), len(b), name)
	}
	a.extra["main/source/Sources"] = []byte(stanza("tool") + stanza("bad"))
	a.extra["main/source/Sources.gz"] = packed(t, a.extra["main/source/Sources"])
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 1))
	if index := listedIn(t, h)["main/source/Sources"]; string(index) != stanza("tool") {
		t.Errorf("Sources is\n%s", index)
	}
}

// TestCuratedFirst: of an archive that forgets what it replaces, what a curated suite is made of is here before its first
// Release is answered, and is asked for once.
func TestCuratedFirst(t *testing.T) {
	h, a := stocked(t, map[string]string{"curated": "*"})
	a.ByHash = false
	a.extra = map[string][]byte{"main/source/Sources": []byte("\n")}
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 1))
	good(t, h, inRelease, nil)
	for path, want := range map[string]int{"binary-amd64/Packages": 0, "binary-amd64/Packages.gz": 1, "source/Sources": 1} {
		h.Up.Want(t, "/debian/dists/stable/main/"+path, want)
	}
	h.Up.Refuse()
	listedIn(t, h)
}

// TestCuratedForward: a reader that saw the suite as it was, and had to wait for another one who made a Release of what is new,
// takes nothing back: no Release of a later date says what an earlier one had left behind.
func TestCuratedForward(t *testing.T) {
	h, a := curated(t, nil)
	first := good(t, h, inRelease, nil)
	r := h.As("").Repo()
	old, err := r.Package(t.Context(), "dists/stable")
	if err != nil {
		t.Fatal(err)
	}
	a.Set("pool/main/m/more/more_1_amd64.deb", deb(t, "more", "1", "amd64", "", 0))
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 1))
	h.Pass(61 * time.Second)
	second := good(t, h, inRelease, nil)
	if !dateOf(t, second.Body).After(dateOf(t, first.Body)) {
		t.Fatal("the upstream's new Release did not come")
	}
	h.Pass(61 * time.Second)
	late, err := handler{repo: r}.make(t.Context(), old) // whose turn comes now
	if err != nil {
		t.Fatal(err)
	}
	if late.InRelease != string(second.Body) {
		t.Errorf("who had to wait made another Release, of %v:\n%s\nwant the one of %v:\n%s", late.Date, late.Release, dateOf(t, second.Body), second.Body)
	}
	good(t, h, inRelease, second.Body)
	if index := good(t, h, packages, nil).Body; !strings.Contains(string(index), "Package: more\n") {
		t.Errorf("the index is of what was left behind:\n%s", index)
	}
}
