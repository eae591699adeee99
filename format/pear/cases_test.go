// The cases of the format's page that are shown under other names or elsewhere:
//
//	 1  pear and pecl, cold and with the upstream dead: testdata/script/pear/pear.txtar, pecl.txtar
//	 2  no warning about protocols: pear.txtar, publish.txtar
//	 3  spellings of an authority, CONNECT: internal/server's TestAListenerOfItsOwn
//	 5  407 and 403: there too, and testdata/script/pear/private.txtar
//	 7, 18  redirect_test.go
//	 9  the grammar, fuzzed: serial_test.go
//	12  with the client: testdata/script/pear/rules.txtar; until the hold ends: formattest's rows about holds
//	14, 15  a hosted channel: publish_test.go, testdata/script/pear/publish.txtar
//	16  version_compare: grammar_test.go
package pear

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/repo"
)

const testName = "Alpha"

func releases(versions ...string) []formattest.Release {
	var out []formattest.Release
	for i, v := range versions {
		out = append(out, formattest.Release{Version: v, Published: formattest.Epoch().AddDate(-1, 0, i)})
	}
	return out
}

// newHouse is a pond whose upstream is the test's channel; hosted names a channel that is hosted.
func newHouse(t testing.TB, hosted string, changes ...func(*repo.Config)) *formattest.House {
	e := ecosystem()
	e.Options = map[string]string{"upstream_channel": testChannel}
	if hosted != "" {
		e.Options["channel"] = hosted
	}
	return formattest.New(t, e, changes...)
}

// asked sends a request in absolute form, as a client does that takes the pond for a proxy.
func asked(h *formattest.House, target string, header ...string) *httptest.ResponseRecorder {
	return sent(h, httptest.NewRequest("GET", target, nil), header...)
}

func sent(h *formattest.House, r *http.Request, header ...string) *httptest.ResponseRecorder {
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	one := h.Pond.Repository("r")
	Format{}.Handler(one.For(h.Caller)).ServeHTTP(w, r)
	return w
}

func want(t testing.TB, what string, w *httptest.ResponseRecorder, status int, words ...string) {
	t.Helper()
	if w.Code != status {
		t.Errorf("%s: got %d %.300q, want %d", what, w.Code, w.Body, status)
	}
	for _, word := range words {
		if !strings.Contains(w.Body.String(), word) {
			t.Errorf("%s: got %.600q, want %q in it", what, w.Body, word)
		}
	}
}

const root = "http://" + testChannel

// Every answer says how long it is and of what type, and the connection ends with it.
func TestAbsoluteForm(t *testing.T) {
	h := newHouse(t, "")
	rs := releases("1.0.0", "1.1.0", "2.0.0b1")
	lay(h.Up, testChannel, testName, "http", rs...)
	for path, kind := range map[string]string{
		"/channel.xml": typeXML, "/rest/r/alpha/allreleases.xml": typeXML, "/rest/r/alpha/allreleases2.xml": typeXML, "/rest/p/alpha/info.xml": typeXML,
		"/rest/p/packages.xml": typeXML, "/rest/r/alpha/1.0.0.xml": typeXML, "/rest/r/alpha/package.1.0.0.xml": typeXML,
		"/rest/r/alpha/deps.1.0.0.txt": typeSerial, "/rest/r/alpha/stable.txt": typeSerial, "/get/Alpha-1.0.0.tgz": typeArchive,
	} {
		w := asked(h, root+path)
		want(t, path, w, 200)
		head := w.Header()
		if got := head.Get("Content-Type"); got != kind {
			t.Errorf("%s: the type is %q, want %q", path, got, kind)
		}
		if got := head.Get("Content-Length"); got != fmt.Sprint(w.Body.Len()) || w.Body.Len() == 0 {
			t.Errorf("%s: Content-Length is %q, and there are %d bytes", path, got, w.Body.Len())
		}
		if head.Get("Connection") != "close" {
			t.Errorf("%s: Connection is %q, want close", path, head.Get("Connection"))
		}
		if byPath := h.Good("by path "+path, h.Get("/"+testChannel+path), nil); !bytes.Equal(byPath.Body, w.Body.Bytes()) {
			t.Errorf("%s: by path it is %.300q, and as a proxy %.300q", path, byPath.Body, w.Body)
		}
	}
	for ref, version := range map[string]string{"latest": "2.0.0b1", "stable": "1.1.0", "beta": "2.0.0b1"} {
		if got := asked(h, root+"/rest/r/alpha/"+ref+".txt").Body.String(); got != version {
			t.Errorf("%s is %q, want %q", ref, got, version)
		}
	}
	want(t, "no alpha release", asked(h, root+"/rest/r/alpha/alpha.txt"), 404, "no release that is alpha")
}

func TestCase02ChannelUnchanged(t *testing.T) {
	h := newHouse(t, "")
	lay(h.Up, testChannel, testName, "http", releases("1.0.0")...)
	first := asked(h, root+"/channel.xml")
	want(t, "channel.xml", first, 200, "<name>"+testChannel)
	tag, date := first.Header().Get("Etag"), first.Header().Get("Last-Modified")
	if tag == "" || date == "" {
		t.Fatalf("tag %q, date %q: both are needed", tag, date)
	}
	h.Pass(time.Hour)
	want(t, "by tag", asked(h, root+"/channel.xml", "If-None-Match", tag), 304)
	want(t, "by date", asked(h, root+"/channel.xml", "If-Modified-Since", date), 304)
	o := object(strings.Replace(channelDoc(testChannel, "http"), "Upstream,", "Changed,", 1), "text/xml")
	o.Modified = o.Modified.Add(time.Hour)
	h.Up.Put("/channel.xml", o)
	h.Pass(time.Hour)
	changed := asked(h, root+"/channel.xml", "If-None-Match", tag, "If-Modified-Since", date)
	want(t, "changed", changed, 200, "Changed,")
	want(t, "changed, again", asked(h, root+"/channel.xml", "If-None-Match", changed.Header().Get("Etag")), 304)
}

func TestCase03AuthoritiesThatAreNoChannel(t *testing.T) {
	h := newHouse(t, "pear.acme.example")
	lay(h.Up, testChannel, testName, "http", releases("1.0.0")...)
	for _, target := range []string{
		"http://other.example/channel.xml", "http://other.example/rest/r/alpha/allreleases2.xml", "http://other.example/get/Alpha-1.0.0.tgz", "http://other.example/any/page",
		"http://[::1]/channel.xml", "http://127.0.0.1/channel.xml", "http://" + testChannel + ":8080/channel.xml", "http://x." + testChannel + "/channel.xml",
	} {
		want(t, target, asked(h, target), 403, "is no channel that this pond serves")
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("they cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
	want(t, "upper case", asked(h, "http://PEAR.upstream.example/rest/r/ALPHA/allreleases2.xml"), 200)
	r := httptest.NewRequest("GET", root+"/channel.xml", nil)
	r.Host = "other.example" // the target wins
	want(t, "another Host", sent(h, r), 200)
	want(t, "a hosted channel", asked(h, "http://pear.acme.example/channel.xml"), 200, "<name>pear.acme.example")
	want(t, "POST", sent(h, httptest.NewRequest("POST", root+"/channel.xml", nil)), 405)
}

func TestCase04PathsInAbsoluteForm(t *testing.T) {
	h := newHouse(t, "")
	lay(h.Up, testChannel, testName, "http", releases("1.0.0")...)
	for _, path := range []string{"/../channel.xml", "/%2e%2e/channel.xml", "/rest/r%2Falpha/allreleases2.xml", "/-/health", "/-/metrics", "/", "", "/rest/r/alpha/../alpha/allreleases2.xml"} {
		r := httptest.NewRequest("GET", root+"/x", nil)
		r.URL.Path, r.URL.RawPath = path, path
		if u, err := url.PathUnescape(path); err == nil {
			r.URL.Path = u
		}
		if r.URL.Path == "" {
			r.URL.Path = "/" // as the server makes it
		}
		want(t, path, sent(h, r), 404)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("they cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
	want(t, "a query", asked(h, root+"/rest/r/alpha/allreleases2.xml?x=1"), 200)
}

func TestCase05CredentialsOfTheChannelStayHere(t *testing.T) {
	h := newHouse(t, "")
	lay(h.Up, testChannel, testName, "http", releases("1.0.0")...)
	want(t, "with credentials", asked(h, root+"/get/Alpha-1.0.0.tgz", "Authorization", "Basic c2VjcmV0OnNlY3JldA==", "Cookie", "a=b"), 200)
	for _, r := range h.Up.Requests("") {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
			t.Errorf("the upstream was sent %v", r.Header)
		}
	}
}

func TestCase06AnyFramingBecomesALength(t *testing.T) {
	h := newHouse(t, "")
	lay(h.Up, testChannel, testName, "http", releases("1.0.0")...)
	body := archiveOf(testChannel, testName, "1.0.0", "stable", 0)
	h.Up.Put("/get/Alpha-1.0.0.tgz", faulty.Object{Body: body, Chunked: true, NoRange: true})
	h.Up.Put("/rest/r/alpha/1.0.0.xml", faulty.Object{Body: []byte(releaseDoc(testChannel, testName, "1.0.0", "stable", "http", formattest.Epoch())), Chunked: true})
	for path, size := range map[string]int{"/get/Alpha-1.0.0.tgz": len(body), "/rest/r/alpha/1.0.0.xml": 0} {
		w := asked(h, root+path)
		want(t, path, w, 200)
		if size == 0 {
			size = w.Body.Len()
		}
		if got := w.Header().Get("Content-Length"); got != fmt.Sprint(size) || w.Body.Len() != size {
			t.Errorf("%s: Content-Length is %q and %d bytes came, want %d", path, got, w.Body.Len(), size)
		}
	}
}

// What says https is told as http to a client that takes the pond for a proxy, and nothing else changes.
func TestCase08HTTPS(t *testing.T) {
	h := newHouse(t, "")
	rs := releases("1.0.0")
	lay(h.Up, testChannel, testName, "https", rs...)
	for path, tag := range map[string]string{"/channel.xml": "\">", "/rest/r/alpha/1.0.0.xml": "<g>"} {
		plain := h.Good(path, h.Get("/"+testChannel+path), nil)
		if !strings.Contains(string(plain.Body), tag+"https://"+testChannel+"/") {
			t.Errorf("%s by path: %s", path, plain.Body)
		}
		w := asked(h, root+path)
		if want := strings.ReplaceAll(string(plain.Body), tag+"https://", tag+"http://"); w.Body.String() != want {
			t.Errorf("%s: got %s, want %s", path, w.Body, want)
		}
	}
	if got := asked(h, root+"/channel.xml").Body.String(); !strings.Contains(got, "see https://") {
		t.Errorf("channel.xml: the summary has changed: %s", got)
	}
}

func TestReaddressLeavesTheRest(t *testing.T) {
	const doc = `<r><gx>https://c.example/a</gx><g>https://c.example/get/X-1</g><g type="a"> HTTPS://C.example/b</g><g>https://c.example.evil/x</g><g>ftp://c.example/</g><d>https://c.example/</d><g`
	const want = `<r><gx>https://c.example/a</gx><g>http://c.example/get/X-1</g><g type="a"> http://c.example/b</g><g>https://c.example.evil/x</g><g>ftp://c.example/</g><d>https://c.example/</d><g`
	if got := string(readdress([]byte(doc), "<g", "c.example", "http://c.example/")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCase09DependenciesThatAreObjects(t *testing.T) {
	for what, body := range map[string]string{
		"an object": `a:1:{s:1:"a";O:8:"stdClass":0:{}}`, "a false length": `s:9:"abc";`, "depth 17": strings.Repeat("a:1:{i:0;", 17) + "N;" + strings.Repeat("}", 17),
		"2 MiB": `s:2097152:"` + strings.Repeat("x", 2<<20) + `";`,
	} {
		h := newHouse(t, "")
		lay(h.Up, testChannel, testName, "http", releases("1.0.0")...)
		h.Up.Put("/rest/r/alpha/deps.1.0.0.txt", object(body, "text/plain"))
		want(t, what, asked(h, root+"/rest/r/alpha/deps.1.0.0.txt"), 503)
		if n := h.Kept(); n != 0 {
			t.Errorf("%s: %d blobs are kept", what, n)
		}
	}
}

func TestCase10ArchivesThatAreOthers(t *testing.T) {
	for what, body := range map[string][]byte{
		"a page":              []byte("<html>log in</html>"),
		"another package":     archiveOf(testChannel, "Beta", "1.0.0", "stable", 0),
		"another version":     archiveOf(testChannel, testName, "1.0.1", "stable", 0),
		"another channel":     archiveOf("evil.example", testName, "1.0.0", "stable", 0),
		"no package.xml":      packed(member{"Alpha-1.0.0/x", "x"}),
		"the end is missing":  archiveOf(testChannel, testName, "1.0.0", "stable", 0)[:300],
		"an entity of a file": packed(member{"package.xml", `<!DOCTYPE package [<!ENTITY x SYSTEM "file:///etc/passwd">]><package version="2.0"><name>&x;</name></package>`}),
	} {
		h := newHouse(t, "")
		lay(h.Up, testChannel, testName, "http", releases("1.0.0")...)
		want(t, "list", asked(h, root+"/rest/r/alpha/allreleases2.xml"), 200)
		before := h.Kept()
		h.Up.Put("/get/Alpha-1.0.0.tgz", object(string(body), "application/octet-stream"))
		if r := h.Get("/" + testChannel + "/get/Alpha-1.0.0.tgz"); r.Err == nil && r.Status != 503 {
			t.Errorf("%s: got %s, want 503 or a cut", what, r)
		}
		if n := h.Kept(); n != before {
			t.Errorf("%s: %d blobs are kept, want %d", what, n, before)
		}
	}
	h := newHouse(t, "")
	lay(h.Up, testChannel, testName, "http", releases("1.0.0")...)
	first := asked(h, root+"/get/Alpha-1.0.0.tgz")
	changed := releases("1.0.0")
	changed[0].Variant = 1
	lay(h.Up, testChannel, testName, "http", changed...)
	h.Pass(48 * time.Hour)
	if again := asked(h, root+"/get/Alpha-1.0.0.tgz"); !bytes.Equal(again.Body.Bytes(), first.Body.Bytes()) {
		t.Errorf("the upstream has other bytes, and they are served")
	}
}

func TestCase11OnePackageInEverySpelling(t *testing.T) {
	h := newHouse(t, "")
	lay(h.Up, testChannel, "Hello_World", "http", releases("1.0.0")...)
	for _, name := range []string{"HELLO_WORLD", "hello_world", "Hello_World"} {
		want(t, name, asked(h, root+"/rest/r/"+name+"/allreleases2.xml"), 200, "<p>Hello_World</p>")
		want(t, name, asked(h, root+"/get/"+name+"-1.0.0.tgz"), 200)
	}
	h.Up.Want(t, "/rest/r/hello_world/allreleases2.xml", 1)
	h.Up.Want(t, "/get/Hello_World-1.0.0.tgz", 1)
}

func TestCase12HeldBack(t *testing.T) {
	h := newHouse(t, "", formattest.Rules(t, map[string]any{"hold": "7d"}))
	rs := releases("1.0.0", "2.0.0")
	rs[1].Published = formattest.Epoch().AddDate(0, 0, -1)
	lay(h.Up, testChannel, testName, "http", rs...)
	for _, list := range []string{"allreleases.xml", "allreleases2.xml", "stable.txt", "latest.txt"} {
		w := asked(h, root+"/rest/r/alpha/"+list)
		want(t, list, w, 200, "1.0.0")
		if strings.Contains(w.Body.String(), "2.0.0") {
			t.Errorf("%s names what is held: %s", list, w.Body)
		}
	}
	for _, file := range []string{"/rest/r/alpha/2.0.0.xml", "/rest/r/alpha/deps.2.0.0.txt", "/rest/r/alpha/package.2.0.0.xml", "/get/Alpha-2.0.0.tgz"} {
		want(t, file, asked(h, root+file), 403, "holds new versions")
	}
	h.Pass(7 * 24 * time.Hour)
	want(t, "after the hold", asked(h, root+"/rest/r/alpha/stable.txt"), 200, "2.0.0")
	want(t, "after the hold", asked(h, root+"/get/Alpha-2.0.0.tgz"), 200)
}

func TestCase13TwoChannels(t *testing.T) {
	other := faulty.New(t)
	h := newHouse(t, "")
	lay(h.Up, testChannel, testName, "http", releases("1.0.0")...)
	lay(other, "pecl.upstream.example", testName, "http", releases("3.0.0")...)
	c := h.Config("r", h.Up, other)
	c.Options = nil
	c.Upstreams[0].Options = map[string]string{"upstream_channel": testChannel}
	c.Upstreams[1].Options = map[string]string{"upstream_channel": "pecl.upstream.example"}
	h.Configure(repo.Settings{}, c)
	want(t, "one", asked(h, root+"/rest/r/alpha/latest.txt"), 200, "1.0.0")
	want(t, "other", asked(h, "http://pecl.upstream.example/rest/r/alpha/latest.txt"), 200, "3.0.0")
	want(t, "other's release", asked(h, root+"/get/Alpha-3.0.0.tgz"), 404)
	c.Claims = []string{testChannel + "/alpha"}
	h.Configure(repo.Settings{}, c)
	want(t, "claimed", asked(h, root+"/rest/r/alpha/latest.txt"), 404)
	want(t, "the other is not", asked(h, "http://pecl.upstream.example/rest/r/alpha/latest.txt"), 200, "3.0.0")
}

func TestCase17ListIllAlone(t *testing.T) {
	h := newHouse(t, "")
	lay(h.Up, testChannel, testName, "http", releases("1.0.0")...)
	h.Up.Order("/rest/r/alpha/allreleases2.xml", "always 500")
	want(t, "nothing kept", asked(h, root+"/rest/r/alpha/allreleases2.xml"), 503)
	h.Up.Order("/rest/r/alpha/allreleases2.xml", "always ok")
	h.Pass(time.Hour)
	want(t, "well", asked(h, root+"/rest/r/alpha/allreleases2.xml"), 200, "1.0.0")
	h.Up.Order("/rest/r/alpha/allreleases2.xml", "always 500")
	h.Pass(time.Hour)
	want(t, "kept", asked(h, root+"/rest/r/alpha/allreleases2.xml"), 200, "1.0.0")
}

// Where the repository is the root of a host, the channel's addresses are below it as its client asks for them.
func TestRootOfAHost(t *testing.T) {
	h := newHouse(t, "pear.acme.example")
	lay(h.Up, testChannel, testName, "http", releases("1.0.0")...)
	base := &url.URL{Scheme: "http", Host: "pear.acme.example", Path: "/"}
	get := func(host, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = host
		return sent(h, r.WithContext(format.AtRoot(r.Context(), base)))
	}
	want(t, "by name", get("pear.acme.example", "/channel.xml"), 200, ">http://pear.acme.example/rest/<")
	want(t, "by another name", get("10.0.0.1:3142", "/channel.xml"), 200, "<name>pear.acme.example")
	want(t, "by path", get("pear.acme.example", "/"+testChannel+"/rest/r/alpha/latest.txt"), 200, "1.0.0")
	r := httptest.NewRequest("GET", "/channel.xml", nil)
	want(t, "below a mount", sent(h, r), 404, "names no channel")
}
