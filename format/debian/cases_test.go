package debian

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

const (
	inRelease = "/dists/stable/InRelease"
	packages  = "/dists/stable/main/binary-amd64/Packages"
	helloPath = "pool/main/h/hello/hello_1.0_amd64.deb"
)

func stocked(t *testing.T, options map[string]string) (*formattest.House, *archive) {
	t.Helper()
	h, a := house(t, options)
	a.Set(helloPath, deb(t, "hello", "1.0", "amd64", "", 0))
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	return h, a
}

// TestHold: a rule without names holds packages by when they were first listed, and lets suites be; one that names the suite
// holds its snapshots.
func TestHold(t *testing.T) {
	h, a := stocked(t, nil)
	c := h.Config("r", h.Up)
	formattest.Rules(t, map[string]any{"hold": "7d"})(&c)
	h.Configure(repo.Settings{}, c)
	good(t, h, inRelease, nil)
	first := good(t, h, packages, nil)
	good(t, h, "/"+helloPath, nil) // its Release is a month old
	fresh := "pool/main/h/hello/hello_2.0_amd64.deb"
	a.Set(fresh, deb(t, "hello", "2.0", "amd64", "", 0))
	a.Lay(t, h.Now())
	h.Pass(2 * time.Minute)
	now := good(t, h, packages, nil)
	if !strings.Contains(string(now.Body), "Version: 2.0") {
		t.Errorf("a signed index leaves out what is held back: %s", now)
	}
	for _, method := range []string{"GET", "HEAD"} {
		h.Want(method+" of a held back file", h.Do(method, "/r/"+fresh, nil), http.StatusForbidden)
	}
	if r := h.Get("/" + fresh); !strings.Contains(string(r.Body), "7 days") {
		t.Errorf("the answer does not say how long it is held: %s", r)
	}
	h.Up.Want(t, "/debian/"+fresh, 0)
	good(t, h, "/"+helloPath, nil)
	h.Pass(7 * 24 * time.Hour)
	good(t, h, "/"+fresh, a.debs[fresh])

	named := h.Config("r", h.Up)
	formattest.Rules(t, map[string]any{"hold": "7d", "for": []any{"dists/stable"}})(&named)
	h.Configure(repo.Settings{}, named)
	a.Set("pool/main/h/hello/hello_3.0_amd64.deb", deb(t, "hello", "3.0", "amd64", "", 0))
	a.Lay(t, h.Now())
	h.Pass(2 * time.Minute)
	held := good(t, h, packages, nil)
	if strings.Contains(string(held.Body), "Version: 3.0") || !strings.Contains(string(held.Body), "Version: 2.0") {
		t.Errorf("a suite that is held is not the last one that is old enough: %s", held)
	}
	h.Pass(7 * 24 * time.Hour)
	if after := good(t, h, packages, nil); !strings.Contains(string(after.Body), "Version: 3.0") {
		t.Errorf("the hold has run out, and the suite is the old one: %s", after)
	}
	_ = first
}

// TestHoldSources: a source package is as old as the first Release that listed it, however often the suite changes.
func TestHoldSources(t *testing.T) {
	h, a := stocked(t, nil)
	stanza := func(name string) string {
		b := []byte(name)
		h.Up.Put("/debian/pool/main/"+name+"/"+name+"_1.dsc", faulty.Object{Body: b})
		return fmt.Sprintf("Package: %s\nVersion: 1\nDirectory: pool/main/%s\nChecksums-Sha256:\n %s %d %s_1.dsc\n\n", name, name, hexSHA(b), len(b), name)
	}
	a.extra = map[string][]byte{"main/source/Sources": []byte(stanza("tool"))}
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	c := h.Config("r", h.Up)
	formattest.Rules(t, map[string]any{"hold": "7d"})(&c)
	h.Configure(repo.Settings{}, c)
	sources := "/dists/stable/main/source/Sources"
	good(t, h, sources, nil)
	a.extra["main/source/Sources"] = []byte(stanza("tool") + stanza("young"))
	a.Lay(t, h.Now().Add(-time.Hour))
	h.Pass(2 * time.Minute)
	good(t, h, sources, a.extra["main/source/Sources"])
	good(t, h, "/pool/main/tool/tool_1.dsc", []byte("tool"))
	h.Want("a source package of today", h.Get("/pool/main/young/young_1.dsc"), http.StatusForbidden)
}

// TestBlock: a package that is blocked is listed by a signed index, and refused.
func TestBlock(t *testing.T) {
	h, _ := stocked(t, nil)
	c := h.Config("r", h.Up)
	formattest.Rules(t, map[string]any{"block": []any{"hello"}, "why": "known to be malware"})(&c)
	h.Configure(repo.Settings{}, c)
	good(t, h, packages, nil)
	r := h.Want("a blocked file", h.Get("/"+helloPath), http.StatusForbidden)
	if !strings.Contains(string(r.Body), "known to be malware") {
		t.Errorf("the answer lacks the rule's words: %s", r)
	}
	h.Up.Want(t, "/debian/"+helloPath, 0)
	formattest.Rules(t, map[string]any{"block": []any{"dists/stable"}})(&c)
	h.Configure(repo.Settings{}, c)
	h.Want("a blocked suite", h.Get(inRelease), http.StatusForbidden)
}

// TestCase04Dead: nothing held is 503, never an absence; what is held is served for ever, also offline.
func TestCase04Dead(t *testing.T) {
	h, a := stocked(t, nil)
	h.Up.Order("*", "always 500")
	for _, path := range []string{inRelease, packages, "/dists/stable/Release", "/" + helloPath} {
		if r := h.Want("nothing held: "+path, h.Get(path), http.StatusServiceUnavailable); r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	h.Up.Order("*", "always ok")
	h.Pass(time.Minute)
	release, index := good(t, h, inRelease, nil), good(t, h, packages, nil)
	good(t, h, "/"+helloPath, nil)
	h.Up.Order("*", "always 404")
	for range 5 {
		h.Pass(24 * time.Hour)
		good(t, h, inRelease, release.Body)
		good(t, h, packages, index.Body)
		good(t, h, "/"+helloPath, nil)
	}
	h.Configure(repo.Settings{Offline: true}, h.Config("r", h.Up))
	good(t, h, inRelease, release.Body)
	good(t, h, packages, index.Body)
	good(t, h, "/"+helloPath, nil)
	h.Want("offline, not held", h.Get(packages+".gz"), http.StatusServiceUnavailable)
	h.Configure(repo.Settings{}, h.Config("r", h.Up))
	h.Up.Order("*", "always ok")
	a.Set("pool/main/n/new/new_1_amd64.deb", deb(t, "new", "1", "amd64", "", 0))
	a.Lay(t, h.Now())
	h.Pass(2 * time.Minute)
	if r := good(t, h, packages, nil); !strings.Contains(string(r.Body), "Package: new") {
		t.Errorf("the upstream is back, and its Release was not taken: %s", r)
	}
}

// TestCase05Dates: an older Release is refused, one of the same second taken; an expired one and one of no Release are not.
func TestCase05Dates(t *testing.T) {
	h, a := stocked(t, nil)
	first := good(t, h, inRelease, nil)
	good(t, h, packages, nil)
	date := formattest.Epoch().AddDate(0, -1, 0)
	a.Set("pool/main/n/new/new_1_amd64.deb", deb(t, "new", "1", "amd64", "", 0))
	a.Lay(t, date.Add(-time.Hour))
	h.Pass(2 * time.Minute)
	good(t, h, inRelease, first.Body)
	a.Valid = time.Hour
	a.Lay(t, date.Add(time.Hour))
	h.Pass(2 * time.Minute)
	good(t, h, inRelease, first.Body)
	a.Valid = 0
	a.Lay(t, h.Now().Add(time.Hour))
	h.Pass(2 * time.Minute)
	good(t, h, inRelease, first.Body)
	h.Up.Order("/debian"+inRelease, "html-200", "big 20000000", "empty-200")
	for range 3 {
		h.Pass(2 * time.Minute)
		good(t, h, inRelease, first.Body)
	}
	a.Valid = 0
	a.Lay(t, date)
	h.Pass(2 * time.Minute)
	if r := good(t, h, packages, nil); !strings.Contains(string(r.Body), "Package: new") {
		t.Errorf("a Release of the same second with other bytes was not taken: %s", r)
	}
}

// TestCase06Dates: an answer that there is nothing new is for the very date, and every snapshot has a later one.
func TestCase06Dates(t *testing.T) {
	h, a := stocked(t, nil)
	good(t, h, packages, nil)
	last := time.Time{}
	for n := range 4 {
		h.Pass(61 * time.Second)
		r := good(t, h, inRelease, nil)
		at, err := http.ParseTime(r.Header.Get("Last-Modified"))
		if err != nil || !at.After(last) || at.After(h.Now()) {
			t.Fatalf("Last-Modified is %q after %v, at %v", r.Header.Get("Last-Modified"), last, h.Now())
		}
		last = at
		for what, c := range map[string]struct {
			since string
			want  int
		}{
			"the date": {at.Format(http.TimeFormat), 304}, "a second later": {at.Add(time.Second).Format(http.TimeFormat), 200},
			"a second earlier": {at.Add(-time.Second).Format(http.TimeFormat), 200}, "no date": {"yesterday", 200},
		} {
			h.Want(what, h.Do("GET", "/r"+inRelease, http.Header{"If-Modified-Since": {c.since}}), c.want)
		}
		a.Set(helloPath, deb(t, "hello", "1.0", "amd64", "", n+1))
		a.Lay(t, h.Now().Add(time.Duration(n)*time.Second-time.Hour))
	}
}

// TestCase10Replaced: a file that was replaced under its name is another file: the next update heals, and the older snapshot
// still gives the older bytes.
func TestCase10Replaced(t *testing.T) {
	h, a := stocked(t, nil)
	good(t, h, packages, nil)
	was := good(t, h, "/"+helloPath, a.debs[helloPath]).Body
	then := h.Now()
	h.Pass(2 * time.Minute)
	is := deb(t, "hello", "1.0", "amd64", "", 1)
	a.Set(helloPath, is)
	a.Lay(t, h.Now())
	good(t, h, "/"+helloPath, was) // of the Release that is current
	good(t, h, packages, nil)
	good(t, h, "/"+helloPath, is)
	at := "/snapshot/" + then.UTC().Format(snapshotTime) + "/"
	good(t, h, at+helloPath, was)
	if r := good(t, h, at+packages[1:], nil); !strings.Contains(string(r.Body), hexSHA(was)) {
		t.Errorf("the snapshot of then has another index: %s", r)
	}
	h.Want("before all snapshots", h.Get("/snapshot/20200101T000000Z"+inRelease), http.StatusNotFound)
	a.Set(helloPath, nil)
	a.Lay(t, h.Now().Add(time.Minute))
	h.Up.Remove("/debian/" + helloPath)
	h.Pass(2 * time.Minute)
	good(t, h, packages, nil)
	good(t, h, "/"+helloPath, is) // an older snapshot lists it
}

// TestCase11Paths: what an index says of paths that lead elsewhere is not believed.
func TestCase11Paths(t *testing.T) {
	h, a := house(t, nil)
	evil := ""
	for _, path := range []string{"../../etc/passwd", "/etc/passwd", "pool/%2e%2e/x.deb", "http://evil.example/x.deb", "pool/../x.deb", "pool//x.deb"} {
		evil += fmt.Sprintf("Package: evil\nVersion: 1\nArchitecture: amd64\nFilename: %s\nSize: 3\nSHA256: %s\n\n", path, hexSHA([]byte("abc")))
	}
	weak := fmt.Sprintf("Package: weak\nVersion: 1\nArchitecture: amd64\nFilename: ./pool/w/weak_1.deb\nSize: 3\nMD5sum: %s\n\n", "900150983cd24fb0d6963f7d28e17f72")
	a.extra = map[string][]byte{"main/binary-amd64/Packages": []byte(evil + weak)}
	h.Up.Put("/debian/pool/w/weak_1.deb", faulty.Object{Body: []byte("abc")})
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	good(t, h, packages, nil)
	h.Up.Forget()
	for _, path := range []string{"/etc/passwd", "/x.deb", "/pool/x.deb", "/pool/%252e%252e/x.deb", "/evil.example/x.deb"} {
		h.Want(path, h.Get(path), http.StatusNotFound)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("paths of strangers cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
	good(t, h, "/pool/w/weak_1.deb", []byte("abc"))
}

// TestCase13Signatures: under a keyring nothing is taken that a key of it has not signed, and the snapshot before stays.
func TestCase13Signatures(t *testing.T) {
	ours, theirs := aKey(t, "ours"), aKey(t, "theirs")
	armor, err := ours.public(true)
	if err != nil {
		t.Fatal(err)
	}
	h, a := house(t, map[string]string{"verify": "keyring", "keyring": string(armor)})
	date := formattest.Epoch().AddDate(0, -1, 0)
	a.Set(helloPath, deb(t, "hello", "1.0", "amd64", "", 0))
	for what, key := range map[string]signer{"unsigned": {}, "another key": theirs} {
		a.Key = key
		a.Lay(t, date)
		h.Want(what, h.Get(inRelease), http.StatusServiceUnavailable)
		h.Pass(2 * time.Minute)
	}
	a.Key = ours
	a.Lay(t, date)
	first := good(t, h, inRelease, nil)
	good(t, h, packages, nil)
	text := string(first.Body)
	next := func(date time.Time) string {
		o := a.Objects(t, date)["/debian"+inRelease]
		return string(o.Body)
	}
	lay := func(body string) { h.Up.Put("/debian"+inRelease, faulty.Object{Body: []byte(body)}) }
	signed := next(date.Add(time.Hour))
	for what, body := range map[string]string{
		"a changed line":          strings.Replace(signed, "Label: Up", "Label: Evil", 1),
		"text before":             "Label: Evil\n" + signed,
		"a second message":        signed + signed,
		"an unsigned trailer":     signed + "Label: Evil\n",
		"a signature of the last": signed[:strings.Index(signed, beginSig)] + text[strings.Index(text, beginSig):],
		"no signature":            signed[:strings.Index(signed, beginSig)],
		"unsigned text":           strings.TrimPrefix(signed[:strings.Index(signed, beginSig)], beginSigned+"\nHash: SHA512\n\n"),
	} {
		lay(body)
		h.Pass(2 * time.Minute)
		if r := h.Get(inRelease); string(r.Body) != text {
			t.Errorf("%s was taken: %s", what, r)
		}
	}
	lay(strings.ReplaceAll(signed, "\n", "\r\n"))
	h.Pass(2 * time.Minute)
	if r := good(t, h, inRelease, nil); !strings.Contains(string(r.Body), "\r\n") {
		t.Errorf("a Release with CRLF was not taken: %s", r)
	}

	a.NoDist, a.Suite = true, "dists/old"
	a.Lay(t, date)
	h.Want("no InRelease", h.Get("/dists/old/InRelease"), http.StatusNotFound)
	good(t, h, "/dists/old/Release", nil)
	good(t, h, "/dists/old/Release.gpg", nil)
	objects := a.Objects(t, date.Add(time.Hour))
	h.Up.Put("/debian/dists/old/Release", objects["/debian/dists/old/Release"])
	h.Pass(2 * time.Minute)
	if r := good(t, h, "/dists/old/Release", nil); bytes.Equal(r.Body, objects["/debian/dists/old/Release"].Body) {
		t.Error("a Release was taken with the signature of another")
	}
}

// TestCase15ByHash: an index is found by every digest that its Release lists, and by no other.
func TestCase15ByHash(t *testing.T) {
	for name, byHash := range map[string]bool{"an archive that says yes": true, "an archive that says no": false} {
		h, a := stocked(t, nil)
		a.ByHash = byHash
		a.Lay(t, formattest.Epoch().AddDate(0, -2, 0))
		index := good(t, h, packages, nil).Body
		good(t, h, "/dists/stable/main/binary-amd64/by-hash/SHA256/"+hexSHA(index), index)
		for _, wrong := range []string{"SHA256/" + hexSHA([]byte("x")), "SHA256/abc", "SHA3/" + hexSHA(index), "SHA512/" + hexSHA(index)} {
			h.Want(name+", "+wrong, h.Get("/dists/stable/main/binary-amd64/by-hash/"+wrong), http.StatusNotFound)
		}
	}
}

// TestCase17Proxy: a request with an absolute URL reaches the upstreams that are configured, and nothing else is asked.
func TestCase17Proxy(t *testing.T) {
	h, _ := stocked(t, nil)
	up, err := url.Parse(h.Up.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Format{}.Handler(h.As("").Repo()).ServeHTTP(w, r)
	}))
	defer proxy.Close()
	through, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(through)}}
	get := func(address string) (int, []byte) {
		t.Helper()
		resp, err := client.Get(address)
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b
	}
	if status, _ := get("http://" + up.Host + "/debian" + packages); status != 200 {
		t.Fatalf("by proxy: got %d, want 200", status)
	}
	if status, b := get("http://" + up.Host + "/debian/" + helloPath); status != 200 || !bytes.HasPrefix(b, []byte("!<arch>")) {
		t.Errorf("a file by proxy: got %d", status)
	}
	h.Up.Forget()
	for _, address := range []string{
		"http://evil.example/debian" + inRelease, "http://127.0.0.1:1/debian" + inRelease, "http://169.254.169.254/latest/meta-data",
		"http://" + up.Host + "/other" + inRelease, "http://" + up.Host + "/debian/../secret",
	} {
		if status, b := get(address); status != 403 {
			t.Errorf("%s: got %d %q, want 403", address, status, b)
		}
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("refused requests cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
}

// TestCase20Archives: two archives below one address have suites and packages of the same names, and never mix.
func TestCase20Archives(t *testing.T) {
	h, _ := house(t, map[string]string{"archives": "*"})
	var want [2][]byte
	for i, root := range []string{"alice/tools/ubuntu/", "bob/tools/ubuntu/"} {
		a := &archive{Up: h.Up, Root: "/debian/" + root, Suite: "dists/noble", ByHash: true}
		want[i] = deb(t, "hello", "1.0", "amd64", "", i+5)
		a.Set(helloPath, want[i])
		a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	}
	for i, root := range []string{"alice/tools/ubuntu/", "bob/tools/ubuntu/"} {
		good(t, h, "/"+root+"dists/noble/InRelease", nil)
		good(t, h, "/"+root+"dists/noble/main/binary-amd64/Packages.gz", nil)
		good(t, h, "/"+root+helloPath, want[i])
	}
}

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

// TestCase21Uploads: what is no sound package is refused, and nothing of it is kept.
func TestCase21Uploads(t *testing.T) {
	h, _ := house(t, nil)
	h.As(formattest.Owner).Do("PUT", "/dists/stable/Release", nil, nil)
	sound := "Package: x-y\nVersion: 1\nArchitecture: amd64\nMaintainer: A <a@up.example>\nDescription: d\n"
	data := tarGz(t, "./x", "y")
	of := func(text string) []byte { return debOf(t, "control.tar.gz", tarGz(t, "./control", text), data) }
	for what, body := range map[string][]byte{
		"nothing":              nil,
		"a zip":                []byte("PK\x03\x04 and so on"),
		"format 3.0":           ar("debian-binary", []byte("3.0\n"), "control.tar.gz", tarGz(t, "./control", sound)),
		"no control":           ar("debian-binary", []byte("2.0\n"), "data.tar.gz", data),
		"no control file":      debOf(t, "control.tar.gz", tarGz(t, "./other", sound), data),
		"a lying size":         bytes.Replace(of(sound), []byte("`\n2.0"), []byte("`\n2"), 1),
		"cut short":            of(sound)[:100],
		"an empty line inside": of(sound + "\nX: y\n"),
		"a field twice":        of(sound + "Package: z\n"),
		"no UTF-8":             of(sound + "X: \xff\n"),
		"no version":           of(strings.Replace(sound, "Version: 1\n", "", 1)),
		"a wild version":       of(strings.Replace(sound, "Version: 1", "Version: ../1", 1)),
		"a wild name":          of(strings.Replace(sound, "x-y", "../x", 1)),
		"a wild architecture":  of(strings.Replace(sound, "amd64", "amd64/..", 1)),
		"a Filename":           of(sound + "Filename: elsewhere\n"),
		"a bomb":               debOf(t, "control.tar.gz", packed(t, make([]byte, 64<<20)), data),
	} {
		if r := h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, body); r.Status != http.StatusBadRequest && r.Status != http.StatusServiceUnavailable {
			t.Errorf("%s: got %s, want 400", what, r)
		}
	}
	if kept := h.Kept(); kept != 0 {
		t.Errorf("refused uploads left %d blobs", kept)
	}
	h.Published("a sound one", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, of(sound)))
}

// TestCase23Signed: what is signed here passes gpgv, whatever its length, and stanzas are those that dpkg-scanpackages makes.
func TestCase23Signed(t *testing.T) {
	if _, err := exec.LookPath("gpgv"); err != nil {
		t.Skip("gpgv is not installed")
	}
	key := aKey(t, "the pond")
	dir := t.TempDir()
	public, err := key.public(false)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ring := write("ring.gpg", public)
	for n := range 40 {
		text := []byte("Origin: x\nLabel: " + strings.Repeat("y", n+rand.IntN(200)) + "\n")
		in, detached, err := key.sign(text, time.Now().Add(-time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("gpgv", "--homedir", dir, "--keyring", ring, write("in", in)).CombinedOutput(); err != nil {
			t.Fatalf("InRelease of %d bytes: %v\n%s\n%s", len(text), err, out, in)
		}
		if out, err := exec.Command("gpgv", "--homedir", dir, "--keyring", ring, write("sig", detached), write("text", text)).CombinedOutput(); err != nil {
			t.Fatalf("Release of %d bytes: %v\n%s", len(text), err, out)
		}
	}
}

// TestHosted: publish, update, install, yank, delete by the real apt, with the source that the repository prints.
func TestHosted(t *testing.T) {
	h, _ := house(t, nil)
	h.Pass(-48 * time.Hour) // the clock of apt is the machine's
	put := func(name string, body []byte) {
		t.Helper()
		h.Published(name, h.As(formattest.Owner).Do("PUT", "/pool/stable/main/"+name, nil, body))
	}
	put("hello.deb", deb(t, "hello", "1.0", "amd64", "Depends: common\n", 0))
	put("common.deb", deb(t, "common", "1:1.0-1", "all", "Source: shared (2.0)\n", 0))
	source := good(t, h, "/setup.sources?suite=stable", nil)
	root := newAPT(t, "")
	root.write("etc/apt/sources.list.d/pond.sources", string(source.Body))
	root.must("update")
	root.must("install", "hello")
	if a, b := root.installed("hello"), root.installed("common"); a != "1.0" || b != "1:1.0-1" {
		t.Errorf("installed are hello %q and common %q", a, b)
	}
	h.Pass(2 * time.Second)
	put("hello.deb", deb(t, "hello", "1.1", "amd64", "Depends: common\n", 0))
	root.must("update")
	root.must("upgrade")
	if a := root.installed("hello"); a != "1.1" {
		t.Errorf("after the upgrade hello is %q, want 1.1", a)
	}
	h.Want("other bytes", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/hello.deb", nil, deb(t, "hello", "1.1", "amd64", "", 1)), http.StatusConflict)
	h.Want("in another suite", h.As(formattest.Owner).Do("PUT", "/pool/testing/main/hello.deb", nil, deb(t, "hello", "1.1", "amd64", "", 1)), http.StatusCreated)
}

// TestPublishing: eight clients update while packages are published all the time, and none of them ever sees a half of it.
func TestPublishing(t *testing.T) {
	h, _ := house(t, nil)
	h.Pass(-48 * time.Hour)
	put := func(n int) {
		h.Published("publish", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, deb(t, fmt.Sprintf("p%03d", n%40), fmt.Sprintf("1.%d", n), "amd64", "", 0)))
	}
	put(0)
	source := good(t, h, "/setup.sources?suite=stable", nil)
	roots := make([]*aptRoot, 4)
	for i := range roots {
		roots[i] = newAPT(t, "")
		roots[i].write("etc/apt/sources.list.d/pond.sources", string(source.Body))
	}
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
				put(n)
				h.Pass(10 * time.Millisecond)
			}
		}
	}()
	for round := range 5 {
		results := make(chan string)
		for _, r := range roots {
			go func() {
				out, err := r.run("update")
				if err != nil || strings.Contains(out, "W: ") || strings.Contains(out, "E: ") {
					results <- out
					return
				}
				results <- ""
			}()
		}
		for range roots {
			if out := <-results; out != "" {
				t.Errorf("round %d:\n%s", round, out)
			}
		}
	}
	close(stop)
	t.Logf("%d packages were published meanwhile", <-done)
}

// TestCase18MadeHold: a suite of our own leaves out what is held back, refuses its file, and lists it when the hold has run
// out though nothing was published since.
func TestCase18MadeHold(t *testing.T) {
	h, _ := house(t, nil)
	c := h.Config("r", h.Up)
	formattest.Rules(t, map[string]any{"hold": "7d"})(&c)
	h.Configure(repo.Settings{}, c)
	body := deb(t, "hello", "1.0", "amd64", "", 0)
	h.Published("publish", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, body))
	path := "/" + poolFile("stable", "main", "hello", "hello_1.0_amd64.deb")
	for _, day := range []int{0, 6} {
		h.Pass(time.Duration(day) * 24 * time.Hour)
		if r := h.Get(packages); strings.Contains(string(r.Body), "hello") {
			t.Errorf("after %d days the index lists what is held: %s", day, r)
		}
		h.Want("a held file", h.Get(path), http.StatusForbidden)
	}
	before := good(t, h, inRelease, nil)
	h.Pass(25 * time.Hour)
	if r := good(t, h, packages, nil); !strings.Contains(string(r.Body), "Package: hello\n") {
		t.Errorf("the hold has run out, and the index lacks it: %s", r)
	}
	good(t, h, path, body)
	if after := good(t, h, inRelease, nil); bytes.Equal(before.Body, after.Body) {
		t.Error("the Release is the old one")
	}
}
