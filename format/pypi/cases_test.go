package pypi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// Releases of package alpha, as the suite has them: a year, a month and a day old.
var (
	old     = formattest.Release{Version: "1.0.0", Published: formattest.Epoch().AddDate(-1, 0, 0)}
	recent  = formattest.Release{Version: "1.1.0", Published: formattest.Epoch().AddDate(0, -1, 0)}
	newest  = formattest.Release{Version: "2.0.0", Published: formattest.Epoch().AddDate(0, 0, -1)}
	asPip   = http.Header{"Accept": acceptCases[0].accept}
	allOf   = []formattest.Release{old, recent, newest}
	alphas  = "/simple/alpha/"
	jsonAPI = "/pypi/alpha/json"
)

// house is a pond whose upstream has all releases of alpha.
func house(t *testing.T, changes ...func(*repo.Config)) *formattest.House {
	t.Helper()
	h := formattest.New(t, ecosystem(), changes...)
	put(h.Up, "alpha", allOf...)
	return h
}

func pageOf(t *testing.T, h *formattest.House) jsonPage {
	t.Helper()
	return parsePage(t, h.Good("page", h.Index("alpha"), nil).Body)
}

// at is the path, below the repository, of a URL that alpha's page gives.
func at(t *testing.T, href string) string {
	t.Helper()
	base := &url.URL{Path: alphas}
	u, err := base.Parse(href)
	if err != nil {
		t.Fatal(err)
	}
	return u.EscapedPath()
}

// putMore lays alpha with further entries on its page.
func putMore(h *formattest.House, serial int, more map[string]any, entries ...map[string]any) {
	put(h.Up, "alpha", allOf...)
	all := []map[string]any{}
	for _, r := range allOf {
		all = append(all, pageEntry("alpha", r))
	}
	putPage(h.Up, "alpha", serial, append(all, entries...), more)
}

// entry is a further file of alpha, which is put at the upstream too.
func entry(h *formattest.House, name string, body []byte, more map[string]any) map[string]any {
	h.Up.Put("/files/alpha/"+escape(name), faulty.Object{Body: body})
	e := map[string]any{"filename": name, "url": "../../files/alpha/" + escape(name), "hashes": map[string]string{"sha256": millpond.SHA256(body).Hex()}}
	for k, v := range more {
		e[k] = v
	}
	return e
}

func TestCase01OneProjectInManySpellings(t *testing.T) {
	h := formattest.New(t, ecosystem())
	putPage(h.Up, "friendly-bard", 0, []map[string]any{}, nil)
	for spelling, to := range map[string]string{
		"/simple/FrIeNdLy-._.-bArD/": "../friendly-bard/", "/simple/friendly_bard": "friendly-bard/", "/simple/friendly.bard/": "../friendly-bard/",
		"/simple/friendly-bard": "friendly-bard/", "/simple": "simple/", "/pypi/Friendly.Bard/json": "../friendly-bard/json",
		"/pypi/friendly-bard/json/": "../../friendly-bard/json", "/pypi/Friendly.Bard/1.0/json/": "../../../friendly-bard/1.0/json",
		"/packages/Friendly.Bard/-/x-1.0.zip":                   "../../friendly-bard/-/x-1.0.zip",
		"/packages/Friendly.Bard/-/x-1%2B2.whl.metadata":        "../../friendly-bard/-/x-1%2B2.whl.metadata",
		"/integrity/Friendly.Bard/1.0/x-1.0.zip/provenance":     "../../../friendly-bard/1.0/x-1.0.zip/provenance",
		"/simple/friendly_bard/?format=text%2Fhtml":             "../friendly-bard/?format=text%2Fhtml",
		"/integrity/Friendly.Bard/1!1/x-1%2B.0.zip/provenance/": "../../../../friendly-bard/1%211/x-1%2B.0.zip/provenance/",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			got := h.Want(method+" "+spelling, h.Do(method, "/r"+spelling, asPip), http.StatusMovedPermanently)
			if l := got.Header.Get("Location"); l != to {
				t.Errorf("%s %s: Location %q, want %q", method, spelling, l, to)
			}
		}
	}
	h.Good("canonical", h.Do("GET", "/r/simple/friendly-bard/", asPip), nil)
	h.Good("canonical again", h.Do("GET", "/r/simple/friendly-bard/?format=text/html", nil), nil)
	h.Up.Want(t, "", 1)
}

func TestCase02JunkAsksNobody(t *testing.T) {
	h := house(t)
	for _, junk := range []string{
		"/simple/a%0ab/", "/simple/a%00/", "/simple/..%2f..%2fx/", "/simple/%2e%2e/", "/simple/a\\b/", "/simple/C:/", "/simple/%ef%bd%81/",
		"/packages/alpha/-/%0a.zip", "/packages/alpha/-/..%2fx.zip", "/packages/source/a/alpha/..%2f..%2fx.zip", "/pypi/a%00/json", "/pypi/-a/json",
		"/integrity/alpha/1.0/%2e%2e/provenance", "/packages/01/23/" + hex60 + "/%0d%0a.zip", "/simple/" + strings.Repeat("a", 500) + "/",
		"/packages/alpha/0123456789abcdef/C:alpha-1.0.zip",
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			if r := h.Do(method, "/r"+junk, asPip); r.Err == nil && r.Status != 400 && r.Status != 404 && r.Status != 405 {
				t.Errorf("%s %s: got %s, want 400 or 404", method, junk, r)
			}
		}
	}
	h.Up.Want(t, "", 0)
	if n := h.Kept(); n != 0 {
		t.Errorf("%d blobs are kept, want none", n)
	}
}

func TestCase06LocalVersionsAreEscapedAndFoundUnderBothSpellings(t *testing.T) {
	h := house(t)
	name := "alpha-0.1.0+edx.2.tar.gz"
	putMore(h, 0, nil, entry(h, name, []byte("body"), nil))
	e := pageOf(t, h).file(name)
	if e == nil || !strings.HasSuffix(e.URL, "/alpha-0.1.0%2Bedx.2.tar.gz") {
		t.Fatalf("entry %+v, want a URL with %%2B", e)
	}
	h.Good("escaped", h.Get(at(t, e.URL)), []byte("body"))
	h.Good("plain", h.Get(strings.ReplaceAll(at(t, e.URL), "%2B", "+")), []byte("body"))
}

func TestCase07EveryAcceptOnBothRoutes(t *testing.T) {
	h := house(t)
	h.Up.Put("/simple/", faulty.Object{Body: []byte(`{"meta": {"api-version": "1.0"}, "projects": [{"name": "Alpha", "_last-serial": 5}]}`), Type: typeJSON})
	for _, route := range []string{"/r/simple/", "/r/simple/alpha/"} {
		for _, c := range acceptCases {
			target := route
			if c.query != "" {
				target += "?" + c.query
			}
			header := http.Header{}
			if c.accept != nil {
				header["Accept"] = c.accept
			}
			for _, method := range []string{"GET", "HEAD"} {
				r := h.Do(method, target, header)
				if r.Status != 200 || r.Header.Get("Content-Type") != c.want.contentType() || r.Header.Get("Vary") != "Accept, Accept-Encoding" {
					t.Errorf("%s: %s %s: %d %q, Vary %q; want 200 %q", c.name, method, target, r.Status, r.Header.Get("Content-Type"), r.Header.Get("Vary"), c.want.contentType())
				}
			}
		}
		h.Want("unknown format", h.Do("GET", route+"?format=text/plain", nil), http.StatusNotAcceptable)
	}
}

func TestRootIndexSerials(t *testing.T) {
	h := house(t)
	h.Up.Put("/simple/", faulty.Object{Body: []byte(`{"meta": {"api-version": "1.0"}, "projects": [{"name": "b.c", "_last-serial": 5}, {"name": "A", "_last-serial": 9}]}`), Type: typeJSON})
	r := h.Good("root index", h.Do("GET", "/r/simple/", asPip), []byte(`{"projects":[{"name":"A","_last-serial":9},{"name":"b.c","_last-serial":5}],"meta":{"_last-serial":9,"api-version":"1.4"}}`+"\n"))
	if got := r.Header.Get(serialHeader); got != "9" {
		t.Errorf("%s is %q, want 9", serialHeader, got)
	}
}

func TestCase11HostChangesNoStoredByte(t *testing.T) {
	h := house(t)
	putMore(h, 0, nil, entry(h, "alpha-1.0.zip", []byte("x"), map[string]any{"provenance": "https://upstream.example/p"}))
	want := h.Good("page", h.Index("alpha"), nil)
	evil := h.Do("GET", "/r/simple/alpha/?x", http.Header{"Accept": asPip["Accept"], "X-Forwarded-Host": {"evil.example"}, "Forwarded": {"host=evil.example"}})
	h.Good("page for a forged host", evil, want.Body)
	if bytes.Contains(want.Body, []byte("provenance")) || bytes.Contains(want.Body, []byte("127.0.0.1")) {
		t.Errorf("the kept page names an address that a client brought: %s", want)
	}
	for public, proof := range map[string]string{"https://pond.example/a/": "https://pond.example/a/r/integrity/alpha/1.0.0/alpha-1.0.zip/provenance", "http://pond.example/": ""} {
		h := house(t)
		putMore(h, 0, nil, entry(h, "alpha-1.0.zip", []byte("x"), map[string]any{"provenance": "https://upstream.example/p"}))
		h.Configure(repo.Settings{PublicURL: public}, h.Config("r", h.Up))
		if got := pageOf(t, h).file("alpha-1.0.zip").Proof; got != proof {
			t.Errorf("public_url %s: provenance %q, want %q", public, got, proof)
		}
	}
}

func TestCase12EveryRepresentationHasItsTag(t *testing.T) {
	h := house(t)
	tags := map[string]string{}
	for _, accept := range []string{typeHTML, typeV1HTML, typeJSON} {
		for _, encoding := range []string{"", "gzip", "zstd"} {
			header := http.Header{"Accept": {accept}, "Accept-Encoding": {encoding}}
			r := h.Good(accept+" "+encoding, h.Do("GET", "/r"+alphas, header), nil)
			tag := r.Header.Get("Etag")
			if other, twice := tags[tag]; twice || tag == "" {
				t.Errorf("%s %s has the tag %s of %s", accept, encoding, tag, other)
			}
			tags[tag] = accept + " " + encoding
			header.Set("If-None-Match", tag)
			if not := h.Do("GET", "/r"+alphas, header); not.Status != 304 || not.Header.Get("Vary") != "Accept, Accept-Encoding" {
				t.Errorf("%s %s with its tag: %s, Vary %q", accept, encoding, not, not.Header.Get("Vary"))
			}
		}
	}
}

func TestCase13BombsAndLongPages(t *testing.T) {
	h := house(t)
	h.Up.Order(alphas, fmt.Sprintf("bomb %d", 512<<20))
	h.Want("a bomb", h.Index("alpha"), http.StatusServiceUnavailable)
	if n := h.Kept(); n != 0 {
		t.Errorf("%d blobs are kept of a bomb, want none", n)
	}
	h.Up.Put("/simple/x/", faulty.Object{Body: []byte(bigPage(40_000)), Type: typeJSON})
	r := h.Do("GET", "/r/simple/x/", asPip)
	for tries := 0; r.Status == http.StatusServiceUnavailable && tries < 10; tries++ { // as a client does, on a busy machine
		r = h.Do("GET", "/r/simple/x/", asPip)
	}
	cold := parsePage(t, h.Good("40,000 files", r, nil).Body)
	if len(cold.Files) != 40_000 || cold.Meta.API != "1.4" {
		t.Errorf("page has %d files and claims %s, want 40000 and 1.4", len(cold.Files), cold.Meta.API)
	}
	h.Good("warm, as HTML", h.Do("GET", "/r/simple/x/", nil), nil)
	h.Up.Want(t, "/simple/x/", 1)
}

func TestCase14TheFirstReaderLeaves(t *testing.T) {
	h := house(t)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20/4)
	name := "alpha-3.0.tar.gz"
	putMore(h, 0, nil, entry(h, name, body, nil))
	href := at(t, pageOf(t, h).file(name).URL)
	gate := h.Up.Gate("/files/alpha/"+name, int64(len(body)/2))
	first, err := http.Get(h.URL + "/r" + href)
	if err != nil {
		t.Fatal(err)
	}
	replies := make(chan formattest.Reply)
	for range 49 {
		go func() { replies <- h.Get(href) }()
	}
	first.Body.Close()
	gate.Open()
	for range 49 {
		h.Good("a reader who stays", <-replies, body)
	}
	h.Up.Want(t, "/files/alpha/"+name, 1)
}

func TestCase17NoDigestUpstream(t *testing.T) {
	h := house(t)
	name := "alpha-3.0.tar.gz"
	bare := entry(h, name, []byte("first"), map[string]any{"hashes": map[string]string{}})
	putMore(h, 0, nil, bare)
	before := pageOf(t, h).file(name)
	if len(before.Hashes) != 0 || !strings.Contains(before.URL, "/-/") {
		t.Fatalf("before: %+v, want no digest", before)
	}
	r := h.Good("file", h.Get(at(t, before.URL)), []byte("first"))
	if cc := r.Header.Get("Cache-Control"); strings.Contains(cc, "immutable") {
		t.Errorf("a URL that names no bytes is %q", cc)
	}
	after := pageOf(t, h).file(name)
	if want := millpond.SHA256([]byte("first")).Hex(); after.Hashes["sha256"] != want || !strings.Contains(after.URL, "/"+want[:16]+"/") {
		t.Errorf("after: %+v, want the digest first seen, %s", after, want)
	}
	h.Good("the URL with the digest", h.Get(at(t, after.URL)), []byte("first"))
	h.Good("the URL without", h.Get(at(t, before.URL)), []byte("first"))

	// The bytes are lost here, and the upstream has others now.
	for holding, err := range h.Catalog.Held(t.Context(), "r/up", "alpha") {
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Blobs.Delete(t.Context(), holding.Blob); err != nil && !millpond.Is(err, millpond.NotFound) {
			t.Fatal(err)
		}
	}
	h.Up.Put("/files/alpha/"+name, faulty.Object{Body: []byte("other")})
	h.Configure(repo.Settings{}, h.Config("r", h.Up))
	h.Want("other bytes under the name", h.Get(at(t, after.URL)), http.StatusServiceUnavailable)
	if !slices.Contains(h.Events(), "corrupt") {
		t.Errorf("events are %q, want corrupt among them", h.Events())
	}
}

func TestCase17OtherDigestInTheURL(t *testing.T) {
	h := house(t)
	h.Want("a digest that the file does not have", h.Get("/packages/alpha/0123456789abcdef/"+wheelName("alpha", old)), http.StatusNotFound)
	h.Want("its metadata", h.Get("/packages/alpha/0123456789abcdef/"+wheelName("alpha", old)+Metadata), http.StatusNotFound)
	h.Good("its own", h.File("alpha", old), wheel("alpha", old))
	strong := millpond.SHA256([]byte("body"))
	long := strings.Repeat("ab", 64)
	putMore(h, 0, nil, entry(h, "alpha-3.0.zip", []byte("body"), map[string]any{"hashes": map[string]string{"sha256": strong.Hex(), "md5": "841a2d689ad86bd1611447453c22c6fc"}}),
		entry(h, "alpha-3.1.zip", []byte("body"), map[string]any{"hashes": map[string]string{"sha512": long}}))
	h.Pass(time.Hour)
	p := pageOf(t, h)
	h.Good("by its weaker digest", h.Get("/packages/alpha/841a2d689ad86bd1/alpha-3.0.zip"), []byte("body"))
	h.Good("by its stronger", h.Get(at(t, p.file("alpha-3.0.zip").URL)), []byte("body"))
	if u := p.file("alpha-3.1.zip").URL; !strings.Contains(u, "/"+long[:16]+"/") {
		t.Errorf("URL %s, want the strongest digest in it", u)
	}
	h.Want("bytes without the declared sha512", h.Get(at(t, p.file("alpha-3.1.zip").URL)), http.StatusServiceUnavailable)
}

func TestMetadataIsAFileLikeAnyOther(t *testing.T) {
	h := house(t)
	e := pageOf(t, h).file(wheelName("alpha", newest))
	if fmt.Sprint(e.Core) != "map[sha256:"+millpond.SHA256(coreText("alpha", newest)).Hex()+"]" {
		t.Errorf("core-metadata %v", e.Core)
	}
	h.Idle()
	side := upstreamFile("alpha", newest) + Metadata
	h.Up.Want(t, side, 1) // ahead of the client
	r := h.Good("metadata", h.Get(at(t, e.URL)+Metadata), coreText("alpha", newest))
	h.Up.Want(t, side, 1)
	if cc, ct := r.Header.Get("Cache-Control"), r.Header.Get("Content-Type"); !strings.Contains(cc, "immutable") || ct != "text/plain; charset=utf-8" {
		t.Errorf("metadata has Cache-Control %q, Content-Type %q", cc, ct)
	}
	h.Want("no signature was promised", h.Get(at(t, e.URL)+Signature), http.StatusNotFound)
	h.Up.Refuse()
	h.Good("metadata, the upstream dead", h.Get(at(t, e.URL)+Metadata), coreText("alpha", newest))
}

func TestCase18WrongMetadataIsNotPromisedAgain(t *testing.T) {
	h := house(t)
	h.Up.Order(upstreamFile("alpha", newest)+Metadata, "always lie")
	url := filePath("alpha", newest)
	first := h.Index("alpha")
	h.Idle()
	h.Want("wrong metadata", h.Get(url+Metadata), http.StatusServiceUnavailable)
	after := h.Index("alpha")
	if e := parsePage(t, after.Body).file(wheelName("alpha", newest)); e == nil || e.Core != nil {
		t.Errorf("page after: %+v, want the wheel without core-metadata", e)
	}
	if e := parsePage(t, after.Body).file(wheelName("alpha", old)); e == nil || e.Core == nil {
		t.Errorf("page after: %+v, want the other wheel with it", e)
	}
	if first.Header.Get("Etag") == after.Header.Get("Etag") {
		t.Error("the page changed, its tag did not")
	}
	// Whoever still has the older page gets the wheel's own, once the wheel is here.
	h.Good("wheel", h.Get(url), wheel("alpha", newest))
	h.Good("metadata from the wheel", h.Get(url+Metadata), coreText("alpha", newest))
}

func TestCase18MetadataIsTakenFromAHeldWheel(t *testing.T) {
	h := house(t)
	h.Up.Order("/files/alpha/"+wheelName("alpha", recent)+Metadata, "always 500")
	h.Good("page", h.Index("alpha"), nil)
	h.Idle()
	h.Good("wheel", h.File("alpha", recent), wheel("alpha", recent))
	h.Up.Refuse()
	r := h.Good("metadata from the wheel", h.Get(filePath("alpha", recent)+Metadata), coreText("alpha", recent))
	if r.Header.Get("Etag") == "" || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("headers %v, want those of a file", r.Header)
	}
	h.Good("a range of it", func() formattest.Reply {
		r := h.Do("GET", "/r"+filePath("alpha", recent)+Metadata, http.Header{"Range": {"bytes=0-7"}})
		if r.Status == http.StatusPartialContent {
			r.Status = http.StatusOK
		}
		return r
	}(), coreText("alpha", recent)[:8])

	// What the wheel has is not what was promised: nothing is served.
	h = house(t)
	lie := entry(h, "alpha-3.0-py3-none-any.whl", wheel("alpha", old), map[string]any{"core-metadata": map[string]string{"sha256": millpond.SHA256([]byte("else")).Hex()}})
	putMore(h, 0, nil, lie)
	u := at(t, pageOf(t, h).file("alpha-3.0-py3-none-any.whl").URL)
	h.Idle()
	h.Good("wheel", h.Get(u), wheel("alpha", old))
	h.Want("metadata that the wheel does not have", h.Get(u+Metadata), http.StatusNotFound)
	// None was promised: none is made up.
	plain := entry(h, "alpha-3.1-py3-none-any.whl", wheel("alpha", old), nil)
	putMore(h, 1, nil, plain)
	h.Pass(time.Hour)
	u = at(t, pageOf(t, h).file("alpha-3.1-py3-none-any.whl").URL)
	h.Good("wheel", h.Get(u), wheel("alpha", old))
	h.Want("metadata that nobody promised", h.Get(u+Metadata), http.StatusNotFound)
}

func TestCase19RangeOfAFileThatIsNotHeld(t *testing.T) {
	h := house(t)
	h.Good("page", h.Index("alpha"), nil)
	body := wheel("alpha", old)
	for _, spec := range []string{"bytes=-8", "bytes=4-9"} {
		r := h.Do("GET", "/r"+filePath("alpha", old), http.Header{"Range": {spec}})
		if whole := r.Status == 200 && bytes.Equal(r.Body, body); !whole && (r.Status != 206 || !bytes.Contains(body, r.Body) || len(r.Body) == 0) {
			t.Errorf("%s: got %s, want the range or the whole", spec, r)
		}
	}
	h.Up.Want(t, upstreamFile("alpha", old), 1)
}

func TestCase20AliasesAndSecondMount(t *testing.T) {
	h := house(t)
	body := wheel("alpha", old)
	sum := millpond.SHA256(body).Hex()
	name := wheelName("alpha", old)
	sdist := entry(h, "alpha-1.0.0.tar.gz", []byte("sdist"), nil)
	known := entry(h, "alpha-1.0.0.zip", []byte("zip"), nil)
	known["url"] = h.Up.URL + "/packages/ab/cd/" + hex60 + "/alpha-1.0.0.zip"
	h.Up.Put("/packages/ab/cd/"+hex60+"/alpha-1.0.0.zip", faulty.Object{Body: []byte("zip")})
	putMore(h, 0, nil, sdist, known)
	follow := func(target string) formattest.Reply {
		r := h.Do("GET", target, nil)
		if r.Status != http.StatusFound {
			return r
		}
		return h.Do("GET", path.Join(path.Dir(target), r.Header.Get("Location")), nil)
	}
	for what, c := range map[string]struct {
		path string
		want []byte
	}{
		"by digest":                            {"/r/packages/" + sum[:2] + "/" + sum[2:4] + "/" + sum[4:] + "/" + name, body},
		"by a digest that nobody lists":        {"/r/packages/12/34/" + hex60 + "/" + name, body},
		"by the upstream's own":                {"/r/packages/ab/cd/" + hex60 + "/alpha-1.0.0.zip", []byte("zip")},
		"by digest, metadata":                  {"/r/packages/12/34/" + hex60 + "/" + name + Metadata, coreText("alpha", old)},
		"by name":                              {"/r/packages/py3/a/alpha/" + name, body},
		"by name, sdist":                       {"/r/packages/source/A/Alpha/alpha-1.0.0.tar.gz", []byte("sdist")},
		"second mount":                         {"/packages/r/alpha/" + sum[:16] + "/" + name, body},
		"second mount, by name":                {"/packages/r/source/a/alpha/alpha-1.0.0.tar.gz", []byte("sdist")},
		"second mount, by digest":              {"/packages/r/12/34/" + hex60 + "/" + name, body},
		"second mount, in another spelling":    {"/packages/r/source/a/ALPHA/alpha-1.0.0.tar.gz", []byte("sdist")},
		"the digest of another upstream's URL": {"/r/packages/ab/cd/" + hex60 + "/alpha-1.0.0.tar.gz", []byte("sdist")},
	} {
		h.Good(what, follow(c.path), c.want)
	}
	h.Want("a digest that the file is known not to have", h.Get("/packages/12/34/"+hex60+"/alpha-1.0.0.zip"), http.StatusNotFound)
	h.Want("a file that nobody lists", h.Get("/packages/source/a/alpha/alpha-9.0.tar.gz"), http.StatusNotFound)
	h.Want("a name that is no file's", h.Get("/packages/12/34/"+hex60+"/README"), http.StatusNotFound)
}

// routes are all ways to a release of alpha.
func routes(r formattest.Release) []string {
	name := wheelName("alpha", r)
	return []string{
		"/r" + filePath("alpha", r), "/r" + filePath("alpha", r) + Metadata, "/r" + filePath("alpha", r) + Signature,
		"/packages/r" + strings.TrimPrefix(filePath("alpha", r), "/packages"),
		"/r/integrity/alpha/" + r.Version + "/" + name + "/provenance",
		"/r/packages/12/34/" + hex60 + "/" + name, "/r/packages/py3/a/alpha/" + name, "/packages/r/py3/a/alpha/" + name,
		"/r/pypi/alpha/" + r.Version + "/json",
	}
}

func TestCase21AHeldVersionIsRefusedEverywhere(t *testing.T) {
	h := formattest.New(t, ecosystem(), formattest.Rules(t, map[string]any{"hold": "7d"}))
	var entries []map[string]any
	put(h.Up, "alpha", allOf...)
	for _, r := range allOf {
		e := pageEntry("alpha", r)
		e["gpg-sig"], e["provenance"] = true, h.Up.URL+"/proof"
		entries = append(entries, e)
	}
	putPage(h.Up, "alpha", 0, entries, nil)
	h.Up.Put(jsonAPI, faulty.Object{Type: "application/json", Body: upstreamJSON(newest)})
	h.Up.Put("/pypi/alpha/1.1.0/json", faulty.Object{Type: "application/json", Body: upstreamJSON(recent)})
	for _, accept := range []string{typeJSON, typeHTML} {
		r := h.Good(accept, h.Do("GET", "/r"+alphas, http.Header{"Accept": {accept}}), nil)
		if bytes.Contains(r.Body, []byte("2.0.0")) || !bytes.Contains(r.Body, []byte("1.1.0")) {
			t.Errorf("%s shows the held version, or not the others: %s", accept, r)
		}
	}
	if r := h.Good("JSON API", h.Get(jsonAPI), nil); bytes.Contains(r.Body, []byte("2.0.0")) || !bytes.Contains(r.Body, []byte("1.1.0")) {
		t.Errorf("JSON API: %s", r.Body)
	}
	for _, route := range routes(newest) {
		for _, method := range []string{"GET", "HEAD"} {
			r := h.Want(method+" "+route, h.Do(method, route, nil), http.StatusForbidden)
			if method == "GET" && !bytes.Contains(r.Body, []byte("7 days")) {
				t.Errorf("%s does not say why: %s", route, r)
			}
		}
		h.Want("a range of "+route, h.Do("GET", route, http.Header{"Range": {"bytes=0-1"}}), http.StatusForbidden)
	}
	h.Idle()
	h.Up.Want(t, upstreamFile("alpha", newest), 0)
	h.Up.Want(t, upstreamFile("alpha", newest)+Metadata, 0)
}

func TestCase23ANewWheelInAnOldVersionIsHeldAlone(t *testing.T) {
	h := house(t, formattest.Rules(t, map[string]any{"hold": "7d"}))
	fresh := entry(h, "alpha-1.0.0-cp39-cp39-win_amd64.whl", wheel("alpha", old), map[string]any{"upload-time": newest.Published.Format(time.RFC3339)})
	undated := entry(h, "alpha-1.0.0.zip", []byte("zip"), nil)
	putMore(h, 0, nil, fresh, undated)
	p := pageOf(t, h)
	if p.file("alpha-1.0.0-cp39-cp39-win_amd64.whl") != nil || p.file(wheelName("alpha", old)) == nil {
		t.Errorf("page %+v: want the old wheel of 1.0.0 without the new one", p.Files)
	}
	d16 := millpond.SHA256(wheel("alpha", old)).Hex()[:16]
	h.Want("the new wheel", h.Get("/packages/alpha/"+d16+"/alpha-1.0.0-cp39-cp39-win_amd64.whl"), http.StatusForbidden)
	h.Good("the old wheel", h.File("alpha", old), nil)
	h.Pass(8 * 24 * time.Hour)
	if p := pageOf(t, h); p.file("alpha-1.0.0-cp39-cp39-win_amd64.whl") == nil || p.file("alpha-1.0.0.zip") == nil {
		t.Errorf("a week later: %+v, want every file", p.Files)
	}
}

// upstreamJSON is the JSON API's document of alpha, about one release, listing all of them.
func upstreamJSON(about formattest.Release) []byte {
	file := func(r formattest.Release) map[string]any {
		return map[string]any{"filename": wheelName("alpha", r), "url": "https://upstream.example/" + r.Version, "yanked": false, "yanked_reason": nil,
			"comment_text": "of " + r.Version, "digests": map[string]string{"sha256": millpond.SHA256(wheel("alpha", r)).Hex()}, "size": len(wheel("alpha", r))}
	}
	doc := map[string]any{
		"info":            map[string]any{"name": "Alpha", "version": about.Version, "summary": "about " + about.Version, "license": "MIT"},
		"urls":            []any{file(about)},
		"vulnerabilities": []any{map[string]string{"id": "of " + about.Version}},
		"last_serial":     77,
		"ownership":       map[string]any{"roles": []string{"x"}},
		"releases":        map[string]any{"1.0.0": []any{file(old)}, "1.1.0": []any{file(recent)}, "2.0.0": []any{file(newest)}, "0.1": []any{}},
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return text
}

// apiDoc is what clients see of a document of the JSON API.
type apiDoc struct {
	Info struct {
		Name, Version, Summary, Description string
		ProjectURLs                         map[string]string `json:"project_urls"`
	}
	Releases        map[string][]apiFile
	URLs            []apiFile
	Vulnerabilities []struct{ ID string }
	LastSerial      int64 `json:"last_serial"`
	Ownership       map[string][]string
}

func getAPI(t *testing.T, h *formattest.House, path string) (d apiDoc) {
	t.Helper()
	r := h.Good(path, h.Get(path), nil)
	if err := json.Unmarshal(r.Body, &d); err != nil {
		t.Fatalf("%s: %v in %s", path, err, r.Body)
	}
	return d
}

func TestJSONAPICutsTheUpstreamsDocument(t *testing.T) {
	h := house(t)
	h.Up.Put(jsonAPI, faulty.Object{Type: "application/json", Body: upstreamJSON(newest)})
	h.Up.Put("/pypi/alpha/1.0.0/json", faulty.Object{Type: "application/json", Body: upstreamJSON(old)})
	extra := entry(h, "alpha-1.0.0.tar.gz", []byte("sdist"), map[string]any{"yanked": "bad", "size": 5, "requires-python": ">=2"})
	putMore(h, 70, nil, extra)
	d := getAPI(t, h, jsonAPI)
	if d.Info.Summary != "about 2.0.0" || d.LastSerial != 77 || len(d.Vulnerabilities) != 1 || d.Ownership["roles"][0] != "x" || len(d.URLs) != 1 || len(d.Releases) != 3 {
		t.Errorf("document %+v", d)
	}
	want := h.URL + "/packages/r" + strings.TrimPrefix(filePath("alpha", old), "/packages")
	if f := d.Releases["1.0.0"]; len(f) != 2 || f[0].URL != want || f[0].CommentText != "of 1.0.0" {
		t.Errorf("files of 1.0.0: %+v, want the upstream's entry with the URL %s", f, want)
	} else if s := f[1]; s.PackageType != "sdist" || !s.Yanked || *s.YankedReason != "bad" || *s.Size != 5 || *s.RequiresPython != ">=2" || s.Digests["sha256"] == "" {
		t.Errorf("a file that the upstream's document does not have yet: %+v", s)
	}
	u, err := url.Parse(d.Releases["1.0.0"][0].URL)
	if err != nil {
		t.Fatal(err)
	}
	h.Good("the URL", h.Do("GET", u.Path, nil), wheel("alpha", old))
	if v := getAPI(t, h, "/pypi/alpha/1.0/json"); v.Info.Summary != "about 1.0.0" || v.Releases != nil || len(v.URLs) != 2 {
		t.Errorf("document of version 1.0, which is 1.0.0: %+v", v)
	}
	r := h.Get(jsonAPI)
	if r.Header.Get(serialHeader) == "" || r.Header.Get("Cache-Control") != "max-age=900" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers %v", r.Header)
	}
	if not := h.Do("GET", "/r"+jsonAPI, http.Header{"If-None-Match": {r.Header.Get("Etag")}}); not.Status != http.StatusNotModified {
		t.Errorf("with its tag: %s", not)
	}
	h.Want("a version there is not", h.Get("/pypi/alpha/9/json"), http.StatusNotFound)
	h.Want("a project there is not", h.Get("/pypi/gamma/json"), http.StatusNotFound)
	h.Up.Refuse()
	h.Pass(time.Hour)
	if d := getAPI(t, h, jsonAPI); d.Info.Summary != "about 2.0.0" {
		t.Errorf("the upstream dead: %+v", d.Info)
	}
}

func TestCase24InfoIsOfTheNewestVisibleVersion(t *testing.T) {
	h := house(t, formattest.Rules(t, map[string]any{"hold": "7d"}))
	h.Up.Put(jsonAPI, faulty.Object{Type: "application/json", Body: upstreamJSON(newest)})
	h.Up.Put("/pypi/alpha/1.1.0/json", faulty.Object{Type: "application/json", Body: upstreamJSON(recent)})
	d := getAPI(t, h, jsonAPI)
	if d.Info.Version != "1.1.0" || d.Info.Summary != "about 1.1.0" || len(d.Vulnerabilities) != 1 || d.Vulnerabilities[0].ID != "of 1.1.0" ||
		len(d.URLs) != 1 || d.URLs[0].Filename != wheelName("alpha", recent) || d.Releases["2.0.0"] != nil {
		t.Errorf("document %+v, want all of it about 1.1.0", d)
	}
	h.Pass(7 * 24 * time.Hour)
	if d := getAPI(t, h, jsonAPI); d.Info.Version != "2.0.0" || d.Releases["2.0.0"] == nil {
		t.Errorf("when the hold has ended: %+v, want 2.0.0", d)
	}
}

func TestJSONAPIOfAnUpstreamThatHasNone(t *testing.T) {
	h := house(t)
	d := getAPI(t, h, jsonAPI)
	if d.Info.Name != "alpha" || d.Info.Version != "2.0.0" || d.Info.Summary != "variant 0" || d.Info.Description != "The description.\n" ||
		d.Info.ProjectURLs["Home"] != "https://home.example/" || len(d.Releases) != 3 || len(d.URLs) != 1 || d.URLs[0].Digests["sha256"] == "" {
		t.Errorf("document %+v, want it made from the wheel's metadata", d)
	}
	putPage(h.Up, "beta", 0, []map[string]any{{"filename": "beta-1.0.zip", "url": "/x", "hashes": map[string]string{}}}, nil)
	h.Want("nothing to make it from", h.Get("/pypi/beta/json"), http.StatusNotFound)
	putPage(h.Up, "delta", 0, []map[string]any{}, nil)
	h.Want("no files at all", h.Get("/pypi/delta/json"), http.StatusNotFound)
}

func TestCase25Quarantine(t *testing.T) {
	h := house(t)
	h.Good("file", h.File("alpha", old), nil)
	putPage(h.Up, "alpha", 0, []map[string]any{}, map[string]any{"project-status": map[string]string{"status": "quarantined", "reason": "malware"}})
	h.Pass(time.Hour)
	p := pageOf(t, h)
	if len(p.Files) != 0 || p.Status.Status != "quarantined" || p.Status.Reason != "malware" {
		t.Errorf("page %+v, want no files and the status", p)
	}
	blocked := func(when string) {
		t.Helper()
		if r := h.Get(filePath("alpha", old) + Metadata); r.Status < 400 {
			t.Errorf("%s: metadata: got %s", when, r)
		}
		for _, route := range []string{filePath("alpha", old), jsonAPI} {
			r := h.Want(when+": "+route, h.Get(route), http.StatusForbidden)
			if !bytes.Contains(r.Body, []byte("malware")) {
				t.Errorf("%s: %s does not say why: %s", when, route, r)
			}
		}
	}
	blocked("quarantined")
	h.Up.Order("*", "always 404")
	h.Pass(5 * time.Minute)
	blocked("404 since a moment ago")
	h.Up.Refuse()
	h.Pass(time.Hour)
	h.Configure(repo.Settings{}, h.Config("r", h.Up))
	blocked("the upstream dead")
}

func TestCase26AClaimedNameAsksNobody(t *testing.T) {
	h := house(t, func(c *repo.Config) { c.Claims = []string{"alph*"} })
	for _, route := range append(routes(old), "/r/simple/alpha/", "/r/simple/alpha", "/r/simple/ALPHA/", "/r/pypi/alpha/json", "/r/pypi/Alpha/json") {
		for _, method := range []string{"GET", "HEAD"} {
			if r := h.Do(method, route, nil); r.Status != http.StatusNotFound && r.Status != http.StatusMovedPermanently {
				t.Errorf("%s %s: got %s, want 404", method, route, r)
			}
		}
	}
	h.Up.Want(t, "", 0)
	h.Up.Put("/simple/", faulty.Object{Body: []byte(`{"projects": [{"name": "alpha"}, {"name": "beta"}]}`), Type: typeJSON})
	if r := h.Do("GET", "/r/simple/", asPip); bytes.Contains(r.Body, []byte("alpha")) || !bytes.Contains(r.Body, []byte("beta")) {
		t.Errorf("root index: %s", r)
	}
}

func TestCase28AnOlderPageIsNotTaken(t *testing.T) {
	h := house(t)
	putMore(h, 100, nil)
	first := h.Good("page", h.Index("alpha"), nil)
	if got := first.Header.Get(serialHeader); got != "100" || parsePage(t, first.Body).Meta.Serial != 100 {
		t.Errorf("serial in the header %q and the body %d, want 100", got, parsePage(t, first.Body).Meta.Serial)
	}
	putPage(h.Up, "alpha", 99, []map[string]any{pageEntry("alpha", old)}, nil)
	h.Pass(time.Hour)
	h.Up.Forget()
	stale := h.Good("a lagging copy upstream", h.Index("alpha"), first.Body)
	if got := stale.Header.Get(formattest.Result); got != "stale" {
		t.Errorf("result %q, want stale", got)
	}
	h.Up.Want(t, alphas, 2) // once more past the caches
	putPage(h.Up, "alpha", 101, []map[string]any{pageEntry("alpha", old)}, nil)
	h.Pass(time.Hour)
	if p := pageOf(t, h); len(p.Files) != 1 || p.Meta.Serial != 101 {
		t.Errorf("a newer page: %+v, want it taken", p)
	}
}

func TestCase29RetryAfterIsShort(t *testing.T) {
	h := house(t)
	h.Up.Order("*", "always 429 3600")
	for _, route := range []string{alphas, filePath("alpha", old), jsonAPI, "/simple/"} {
		r := h.Get(route)
		if got := r.Header.Get("Retry-After"); got != "1" && got != "2" && got != "5" || r.Status != 429 && r.Status != 503 {
			t.Errorf("%s: %s, Retry-After %q; want at most 5", route, r, got)
		}
	}
}

func TestProvenance(t *testing.T) {
	h := house(t)
	name := "alpha-1.0.0.zip"
	putMore(h, 0, nil, entry(h, name, []byte("zip"), map[string]any{"provenance": h.Up.URL + "/proof/1"}))
	h.Up.Put("/proof/1", faulty.Object{Type: "application/json", Body: []byte(`{"version": 1, "attestation_bundles": []}`), ETag: `"p"`})
	path := "/integrity/alpha/1.0/" + name + "/provenance"
	r := h.Good("provenance", h.Get(path), []byte(`{"version": 1, "attestation_bundles": []}`))
	if r.Header.Get("Content-Type") != typeIntegrity || r.Header.Get("Cache-Control") != "max-age=600" || r.Header.Get("Etag") == "" {
		t.Errorf("headers %v", r.Header)
	}
	h.Good("again", h.Get(path), r.Body)
	h.Up.Want(t, "/proof/1", 1)
	h.Up.Refuse()
	h.Pass(time.Hour)
	h.Good("the upstream dead", h.Get(path), r.Body)
	h.Want("another type", h.Do("GET", "/r"+path, http.Header{"Accept": {"text/html"}}), http.StatusNotAcceptable)
	h.Want("of a file without", h.Get("/integrity/alpha/1.0.0/"+wheelName("alpha", old)+"/provenance"), http.StatusNotFound)
	h.Want("of another version", h.Get("/integrity/alpha/2.0/"+name+"/provenance"), http.StatusNotFound)
}

// readers may read everything, and nothing else.
type readers struct{}

// May implements repo.Rights.
func (readers) May(v millpond.Verb, _, _ string) bool { return v == millpond.VerbRead }

// Scope implements repo.Rights.
func (readers) Scope(millpond.Verb, string) string { return "*" }

// Now implements repo.Rights.
func (r readers) Now(catalog.Tx) (repo.Rights, error) { return r, nil }

func TestMethods(t *testing.T) {
	h := house(t)
	for _, route := range []string{alphas, filePath("alpha", old)} {
		r := h.Want("POST "+route, h.Do("POST", "/r"+route, nil), http.StatusMethodNotAllowed)
		if r.Header.Get("Allow") == "" || !bytes.Contains(r.Body, []byte("files are published to legacy/")) {
			t.Errorf("POST %s: %s, Allow %q", route, r, r.Header.Get("Allow"))
		}
	}
	o := h.Want("OPTIONS", h.Do("OPTIONS", "/r"+alphas, nil), http.StatusNoContent)
	if o.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("OPTIONS: headers %v", o.Header)
	}
	p := h.Index("alpha")
	if p.Header.Get("Access-Control-Allow-Origin") != "*" || p.Header.Get("Access-Control-Expose-Headers") != serialHeader || p.Header.Get("Cache-Control") != "max-age=300" {
		t.Errorf("page: headers %v", p.Header)
	}
	private := house(t, func(c *repo.Config) { c.Public = false })
	private.Caller = repo.Caller{Actor: millpond.Actor{Name: "ci"}, Rights: rights(nil)}
	private.Caller = repo.Caller{Actor: millpond.Actor{Name: "alice"}, Rights: readers{}}
	p = private.Index("alpha")
	f := private.File("alpha", old)
	if p.Header.Get("Access-Control-Allow-Origin") != "" || !strings.HasPrefix(p.Header.Get("Cache-Control"), "private") || !strings.HasPrefix(f.Header.Get("Cache-Control"), "private") {
		t.Errorf("where reading needs a token: page %v, file %v", p.Header, f.Header)
	}
	if c := h.File("alpha", old).Header.Get("Cache-Control"); c != "public, max-age=31536000, immutable" {
		t.Errorf("file: Cache-Control %q", c)
	}
	h.Want("the root", h.Get("/"), http.StatusNotFound)
}

// TestAClientThatInsists: no-cache reads a page again though it is fresh, at most every ten seconds; pip's max-age=0 does not.
func TestAClientThatInsists(t *testing.T) {
	s := newShelf(t)
	put(s.Up, "alpha", allOf[0])
	s.Good("page", s.Index("alpha"), nil)
	s.Idle()
	put(s.Up, "alpha", allOf[:2]...)
	s.Pass(6 * time.Second)
	s.Up.Forget()
	ask := func(control string) formattest.Reply {
		return s.Do("GET", "/r/simple/alpha/", http.Header{"Accept": {typeJSON}, "Cache-Control": {control}})
	}
	s.Shows("max-age=0", ask("max-age=0"), allOf[1].Version, false)
	for range 5 {
		s.Shows("no-cache", ask("no-cache"), allOf[1].Version, true)
	}
	s.Up.Want(t, "/simple/alpha/", 1)
}
