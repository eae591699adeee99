package debian

// The numbered cases of the format's page, and where they are shown: 01 apt_test.go, 02 crash_test.go, 03 08 09 12 14 client_test.go,
// 04 05 06 10 11 13 19 here, 07 resume_test.go, 11 20 24 also many_suites_test.go, 13 and 23 signatures_test.go, 15 byhash_test.go, 16
// unit_test.go, 17 proxy_test.go, internal/server/tunnel_test.go and the script proxy, 18 and 19 curate_test.go, flat_test.go and
// hosted_test.go, 21 hosted_test.go, 22 twice_test.go, 23 and 24 incoming_test.go, 25 unit_test.go and the script publish, 26 the
// scripts real_debootstrap, proxy and made_by_others, 27 chain_test.go, 28 ponds_test.go (edges are not built), 29 setup_test.go and
// the script setup_sources.

import (
	"bytes"
	"fmt"
	"net/http"
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

// TestCase19Claimed: of a claimed source package nothing is asked of an upstream whose index lists it, and nothing that was held
// before is given.
func TestCase19Claimed(t *testing.T) {
	h, a := stocked(t, nil)
	cold := "pool/main/h/hello/hello_1.1_amd64.deb"
	a.Set(cold, deb(t, "hello", "1.1", "amd64", "", 0))
	const tool = "pool/main/o/other/acme-tool_9_amd64.deb" // which is installed by a name of ours, of a source that is not
	a.Set(tool, deb(t, "acme-tool", "9", "amd64", "Source: other (1)\n", 0))
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 1))
	good(t, h, packages, nil)
	good(t, h, "/"+helloPath, nil)
	good(t, h, "/"+tool, nil)
	for _, union := range []bool{false, true} {
		c := h.Config("r", h.Up)
		c.Claims, c.Union = []string{"hello", "acme-*"}, union
		h.Configure(repo.Settings{}, c)
		h.Pass(time.Hour)
		good(t, h, inRelease, nil)
		h.Up.Forget()
		for _, path := range []string{helloPath, cold, "pool/main/h/hello/hello_9_amd64.deb", tool} {
			for _, method := range []string{"GET", "HEAD"} {
				h.Want(method+" "+path, h.Do(method, "/r/"+path, nil), http.StatusNotFound)
			}
		}
		if n := h.Up.Count("", ""); n != 0 {
			t.Errorf("union %v: a claimed name cost %d upstream requests: %v", union, n, h.Up.Requests(""))
		}
	}
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

// TestAdvice: what a feed of advisories says of a source package takes the versions down that it means, whichever release of the
// distribution it is about: their files are refused, and curated suites leave them out.
func TestAdvice(t *testing.T) {
	h, a := curated(t, nil)
	next := "pool/main/h/hello/hello_1.0-1_amd64.deb"
	a.Set(next, deb(t, "hello", "1.0-1", "amd64", "", 0))
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 1))
	good(t, h, inRelease, nil)
	advice := func(yield func(*repo.Advice, error) bool) {
		yield(&repo.Advice{ID: "MAL-2026-1", Why: "it mines coins", Affected: []repo.AdviceOf{
			{Ecosystem: "Debian:12", Package: "hello", Spans: []repo.Span{{From: "0", Before: "1.0-1"}}},
			{Ecosystem: "npm", Package: "hello"},
		}}, nil)
	}
	if out, err := h.Pond.TakeAdvice(t.Context(), "feed of the tests", advice); err != nil || out.Taken != 1 {
		t.Fatalf("%+v, %v, want one takedown", out, err)
	}
	if r := h.Want("a version that an advisory means", h.Get("/"+helloPath), http.StatusForbidden); !strings.Contains(string(r.Body), "mines coins") {
		t.Errorf("it is not said why: %s", r)
	}
	good(t, h, "/"+next, nil)
	if index := string(good(t, h, packages, nil).Body); strings.Contains(index, "Version: 1.0\n") || !strings.Contains(index, "Version: 1.0-1\n") {
		t.Errorf("the curated index is\n%s", index)
	}
}
