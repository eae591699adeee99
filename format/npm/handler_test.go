package npm

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
)

const corgi = "application/vnd.npm.install-v1+json"

func widgetShelf(t *testing.T) *shelf {
	s := newShelf()
	s.put(t, widget, layer{"up", golden(t, "widget.json")})
	return s
}

func TestFormIsChosenByAccept(t *testing.T) {
	s := widgetShelf(t)
	for accept, want := range map[string]string{
		"":                 "application/json",
		"*/*":              "application/json",
		"text/html":        "application/json",
		"application/json": "application/json",
		corgi:              corgi,
		corgi + "; q=1.0, application/json; q=0.8, */*": corgi,
		corgi + ";q=0":               "application/json",
		"application/json, " + corgi: corgi,
		"application/json; q=1.0, " + corgi + "; q=0.9, */*": "application/json",
		strings.ToUpper(corgi):                               corgi,
	} {
		r := s.ask("GET", "/@acme%2fwidget", nil, "Accept", accept)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != want {
			t.Errorf("Accept %q: got %d %q, want %q", accept, r.StatusCode, r.Header.Get("Content-Type"), want)
		}
		if got := r.Header.Get("Vary"); got != "Accept, Accept-Encoding" {
			t.Errorf("Accept %q: got Vary %q", accept, got)
		}
		if got := r.Header.Get("Cache-Control"); got != "max-age=0, stale-while-revalidate=60, stale-if-error=2592000" {
			t.Errorf("Accept %q: got Cache-Control %q", accept, got)
		}
	}
	s.private = true
	if got := s.ask("GET", "/@acme%2fwidget", nil).Header.Get("Cache-Control"); !strings.HasPrefix(got, "private, max-age=0") {
		t.Errorf("of a repository that is not for all: got Cache-Control %q", got)
	}
}

func TestEverySpellingIsOnePackument(t *testing.T) {
	s := widgetShelf(t)
	for _, path := range []string{"/@acme%2fwidget", "/@acme%2Fwidget", "/%40acme%2fwidget", "/@acme/widget"} {
		if r := s.ask("GET", path, nil); r.StatusCode != 200 {
			t.Errorf("%s: got %d", path, r.StatusCode)
		}
	}
	if s.derivations != 1 {
		t.Errorf("derived %d times, want once", s.derivations)
	}
	for _, path := range []string{"/@ACME%2fwidget", "/@acme%252fwidget", "/@acme%2f..%2fwidget", "/widget"} {
		if r := s.ask("GET", path, nil); r.StatusCode != 404 {
			t.Errorf("%s: got %d, want 404", path, r.StatusCode)
		}
	}
}

func TestCase18EveryFormAndEncodingHasItsOwnTag(t *testing.T) {
	s := widgetShelf(t)
	bodies := map[string]string{} // by tag
	for _, state := range []string{"before", "after"} {
		if state == "after" {
			s.hide(widget, "no", time.Time{}, "2.0.1")
		}
		for _, accept := range []string{"*/*", corgi} {
			for _, encoding := range []string{"", "gzip"} {
				r := s.ask("GET", "/@acme%2fwidget", nil, "Accept", accept, "Accept-Encoding", encoding)
				text, tag := body(t, r), r.Header.Get("Etag")
				if r.Header.Get("Content-Encoding") != encoding || r.Header.Get("Content-Length") != fmt.Sprint(len(text)) {
					t.Errorf("%s %s: got encoding %q, length %s of %d", accept, encoding, r.Header.Get("Content-Encoding"), r.Header.Get("Content-Length"), len(text))
				}
				if old, ok := bodies[tag]; ok || tag == "" || strings.HasPrefix(tag, "W/") {
					t.Errorf("%s %s %s: tag %q is weak or that of %.20q", state, accept, encoding, tag, old)
				}
				bodies[tag] = text
				again := s.ask("GET", "/@acme%2fwidget", nil, "Accept", accept, "Accept-Encoding", encoding, "If-None-Match", tag)
				if again.StatusCode != 304 {
					t.Errorf("%s %s %s: If-None-Match: got %d, want 304", state, accept, encoding, again.StatusCode)
				}
			}
		}
	}
}

func TestDocumentsAreDerivedAnewWhenThePackageChangesMeanwhile(t *testing.T) {
	s := widgetShelf(t)
	moved := &moving{shelf: s, change: func() { s.hide(widget, "no", time.Time{}, "2.0.1") }}
	w := s.ask("GET", "/@acme%2fwidget", nil) // derived, of the first stamp
	if got := at(object(t, []byte(body(t, w))), "dist-tags", "latest"); got != `"2.0.1"` {
		t.Fatalf("latest: got %s", got)
	}
	clear(s.derived)
	r := askOf(moved, "GET", "/@acme%2fwidget")
	if got := at(object(t, []byte(body(t, r))), "dist-tags", "latest"); got != `"2.0.0"` {
		t.Errorf("latest, after a change between stamp and package: got %s, want 2.0.0", got)
	}
	for d := range s.derived {
		if !strings.HasPrefix(d.Stamp, s.packages[widget].Stamp) {
			t.Errorf("%q was kept under %q, which is not the stamp of its content", d.Name, d.Stamp)
		}
	}
}

func TestTagsOfAPackage(t *testing.T) {
	s := widgetShelf(t)
	s.hide(widget, "no", time.Time{}, "2.0.1", "1.0.0")
	r := s.ask("GET", "/-/package/@acme%2fwidget/dist-tags", nil)
	if got, want := body(t, r), `{"latest":"2.0.0","next":"3.0.0-canary.3"}`+"\n"; got != want || r.StatusCode != 200 {
		t.Errorf("dist-tags: got %d %s, want %s", r.StatusCode, got, want)
	}
	r = s.ask("GET", "/-/package/@acme%2fwidget/dist-tags/latest", nil)
	if got := body(t, r); got != `"2.0.0"` || r.StatusCode != 200 {
		t.Errorf("latest: got %d %s", r.StatusCode, got)
	}
	if r = s.ask("GET", "/-/package/@acme%2fwidget/dist-tags/legacy", nil); r.StatusCode != 404 {
		t.Errorf("legacy: got %d, want 404", r.StatusCode)
	}
}

func TestManifestOfAVersionTagOrRange(t *testing.T) {
	s := widgetShelf(t)
	s.hide(widget, "too young", time.Time{}, "2.0.1")
	for spec, want := range map[string]string{
		"1.0.0": "1.0.0", "2.0.0": "2.0.0", "latest": "2.0.0", "next": "3.0.0-canary.3", "%5E1.0.0": "1.0.0", "*": "2.0.0",
		">=1": "2.0.0", "1.x%20%7C%7C%20%3E=3.0.0-canary": "3.0.0-canary.3", "%3C2": "1.0.0",
	} {
		r := s.ask("GET", "/@acme%2fwidget/"+spec, nil)
		text := body(t, r)
		if r.StatusCode != 200 || at(object(t, []byte(text)), "version") != `"`+want+`"` {
			t.Errorf("%s: got %d %.200s, want %s", spec, r.StatusCode, text, want)
			continue
		}
		if got, want := at(object(t, []byte(text)), "dist", "tarball"), `"http://pond.example/npm/@acme/widget/-/widget-`+want+`.tgz"`; got != want {
			t.Errorf("%s: tarball: got %s, want %s", spec, got, want)
		}
		head := s.ask("HEAD", "/@acme%2fwidget/"+spec, nil)
		if head.Header.Get("Etag") != r.Header.Get("Etag") || head.Header.Get("Content-Length") != fmt.Sprint(len(text)) || body(t, head) != "" {
			t.Errorf("%s: HEAD: got %v", spec, head.Header)
		}
	}
	for spec, words := range map[string]string{"2.0.1": "too young", "9.9.9": "no version", "nope": "no version", "%5E9": "no version"} {
		r := s.ask("GET", "/@acme%2fwidget/"+spec, nil)
		if text := body(t, r); r.StatusCode != 404 || !strings.Contains(text, words) {
			t.Errorf("%s: got %d %s, want 404 with %q", spec, r.StatusCode, text, words)
		}
	}
}

func TestErrorsAreAnsweredAsNpmShowsThem(t *testing.T) {
	s := newShelf()
	for _, c := range []struct {
		err    millpond.Error
		status int
		retry  string
	}{
		{millpond.Error{Kind: millpond.NotFound, Why: "gone fishing"}, 404, ""},
		{millpond.Error{Kind: millpond.Gone, Why: "gone fishing"}, 404, ""},
		{millpond.Error{Kind: millpond.Blocked, Why: "gone fishing"}, 403, ""},
		{millpond.Error{Kind: millpond.Denied, Why: "gone fishing"}, 403, ""},
		{millpond.Error{Kind: millpond.Unauthenticated, Why: "gone fishing"}, 401, ""},
		{millpond.Error{Kind: millpond.Throttled, Why: "gone fishing", After: now.Add(time.Hour)}, 429, "10"},
		{millpond.Error{Kind: millpond.BadUpstream, Why: "gone fishing"}, 503, "2"},
		{millpond.Error{Kind: millpond.Offline, Why: "gone fishing"}, 503, "2"},
		{millpond.Error{Kind: millpond.Corrupt, Why: "gone fishing"}, 503, "2"},
		{millpond.Error{Kind: millpond.Full, Why: "gone fishing"}, 507, "2"},
		{millpond.Error{Kind: millpond.TooLarge, Why: "gone fishing"}, 413, ""},
	} {
		c.err.Hint = "wait"
		s.failing["x"] = &c.err
		r := s.ask("GET", "/x", nil)
		text := body(t, r)
		if r.StatusCode != c.status || r.Header.Get("Content-Type") != "application/json" || text != `{"error":"gone fishing. wait"}` {
			t.Errorf("%v: got %d %s %s", c.err.Kind, r.StatusCode, r.Header.Get("Content-Type"), text)
		}
		if got := r.Header.Get("Retry-After"); got != c.retry {
			t.Errorf("%v: got Retry-After %q, want %q", c.err.Kind, got, c.retry)
		}
		if got := r.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%v: got Cache-Control %q", c.err.Kind, got)
		}
		if c.status == 401 && r.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%v: got WWW-Authenticate %q", c.err.Kind, r.Header.Get("WWW-Authenticate"))
		}
	}
	s.failing["x"] = fmt.Errorf("open /var/lib/secret: %w", io.ErrUnexpectedEOF)
	if text := body(t, s.ask("GET", "/x", nil)); strings.Contains(text, "secret") {
		t.Errorf("an internal error tells %s", text)
	}
}

func TestCase09WhatIsNotOffered(t *testing.T) {
	s := widgetShelf(t)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/-/whoami", 401}, {"GET", "/-/npm/v1/user", 401}, {"GET", "/-/npm/v1/tokens", 401},
		{"POST", "/-/v1/login", 405}, {"PUT", "/-/user/org.couchdb.user:me", 400}, {"DELETE", "/-/user/token/abc", 405},
		{"GET", "/-/ping", 200}, {"GET", "/-/ping?write=true", 200}, {"GET", "/-/all", 404}, {"GET", "/-/stage", 404},
		{"GET", "/-/package/x/trust", 404}, {"POST", "/-/npm/v1/hooks/hook", 404}, {"GET", "/-/npm/v1/keys", 404},
		{"PUT", "/@acme%2fwidget", 405}, {"PUT", "/@acme%2fwidget/-rev/1", 405}, {"DELETE", "/@acme%2fwidget/-rev/1", 405},
		{"GET", "/@acme%2fwidget/-rev/1", 405}, {"DELETE", "/@acme%2fwidget/-/x.tgz/-rev/1", 405},
		{"PUT", "/-/package/@acme%2fwidget/dist-tags/beta", 400}, {"GET", "/@acme%2fwidget?write=true", 405},
		{"PUT", "/_bad", 400}, {"GET", "/_bad", 404}, {"GET", "/", 404}, {"GET", "/node_modules", 404},
	} {
		r := s.ask(c.method, c.path, strings.NewReader("{}"))
		text := body(t, r)
		if r.StatusCode != c.want || !json.Valid([]byte(text)) || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: got %d %s %s, want %d", c.method, c.path, r.StatusCode, r.Header.Get("Content-Type"), text, c.want)
		}
	}
}

func TestTarballByBothSpellings(t *testing.T) {
	s := newShelf()
	s.put(t, "x", layer{"up", []byte(`{"name":"x","versions":{"1.0.0":{"dist":{"tarball":"http://upstream.example/0fe1.tgz"}}}}`)})
	s.files["x 0fe1.tgz"] = []byte("\x1f\x8bbytes")
	for _, file := range []string{"0fe1.tgz", "x-1.0.0.tgz"} {
		r := s.ask("GET", "/x/-/"+file, nil)
		if got := body(t, r); r.StatusCode != 200 || got != "\x1f\x8bbytes" {
			t.Errorf("%s: got %d %q", file, r.StatusCode, got)
		}
		for header, want := range map[string]string{
			"Content-Type": "application/octet-stream", "Content-Encoding": "", "Accept-Ranges": "bytes",
			"Cache-Control": "public, max-age=31536000, immutable", "Content-Length": "7",
		} {
			if got := r.Header.Get(header); got != want {
				t.Errorf("%s: %s: got %q, want %q", file, header, got, want)
			}
		}
		if head := s.ask("HEAD", "/x/-/"+file, nil); head.StatusCode != 200 || head.Header.Get("Etag") != r.Header.Get("Etag") {
			t.Errorf("%s: HEAD: got %d, tag %s", file, head.StatusCode, head.Header.Get("Etag"))
		}
	}
	for _, file := range []string{"x-1.0.1.tgz", "package.json", "x-.tgz", "y-1.0.0.tgz"} {
		if r := s.ask("GET", "/x/-/"+file, nil); r.StatusCode != 404 {
			t.Errorf("%s: got %d, want 404", file, r.StatusCode)
		}
	}
}

func TestCase20PacoteIntegrity(t *testing.T) {
	s := widgetShelf(t)
	const file = "/@acme/widget/-/widget-2.0.0.tgz"
	s.files[widget+" widget-2.0.0.tgz"] = nil // the hashes of the golden document are those of nothing
	const (
		right512 = "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="
		right1   = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="
		right256 = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	)
	wrong := func(algorithm string, size int) string {
		return algorithm + "-" + base64.StdEncoding.EncodeToString(make([]byte, size))
	}
	for _, c := range []struct {
		name, header string
		want         int
	}{
		{"none", "", 200},
		{"right", right512, 200},
		{"right sha1", right1, 200},
		{"right by what is held", right256, 200},
		{"two, right", right512 + " " + right1, 200},
		{"with options", right512 + "?x", 200},
		{"one of two sha512 is right", wrong("sha512", 64) + " " + right512, 200},
		{"the strongest decides", right512 + " " + wrong("sha1", 20), 200},
		{"wrong", wrong("sha512", 64), 409},
		{"wrong sha1", wrong("sha1", 20), 409},
		{"wrong, and a right weaker one", wrong("sha512", 64) + " " + right1, 409},
		{"wrong by what is held", wrong("sha256", 32), 409},
		{"an algorithm nobody knows", "sha3-AAAA", 200},
		{"garbage", "sha512-%%%", 200},
	} {
		r := s.ask("GET", file, nil, "Pacote-Integrity", c.header)
		text := body(t, r)
		if r.StatusCode != c.want {
			t.Errorf("%s (%s): got %d %s, want %d", c.name, c.header, r.StatusCode, text, c.want)
		}
		if c.want == 409 && !strings.Contains(text, strings.Fields(c.header)[0]) {
			t.Errorf("%s: %s does not name what was expected", c.name, text)
		}
	}
}

func TestCase23SecurityHolderBlocksTheFilesBeforeIt(t *testing.T) {
	s := newShelf()
	s.put(t, "evil", layer{"up", []byte(`{"name":"evil","versions":{"0.0.1-security":{"dist":{"tarball":"http://upstream.example/evil/-/evil-0.0.1-security.tgz"}}}}`)})
	s.files["evil evil-1.0.0.tgz"] = []byte("held") // listed once, and held
	s.files["evil evil-0.0.1-security.tgz"] = []byte("placeholder")
	r := s.ask("GET", "/evil/-/evil-1.0.0.tgz", nil)
	if text := body(t, r); r.StatusCode != 403 || !strings.Contains(text, "took evil down") {
		t.Errorf("a version before: got %d %s, want 403", r.StatusCode, text)
	}
	if r = s.ask("GET", "/evil/-/evil-0.0.1-security.tgz", nil); r.StatusCode != 200 {
		t.Errorf("the placeholder: got %d, want 200: packages ask for it", r.StatusCode)
	}
	if r = s.ask("GET", "/evil", nil); r.StatusCode != 200 {
		t.Errorf("the packument: got %d, want 200", r.StatusCode)
	}
}

func TestNoticeOnceAMinute(t *testing.T) {
	s := widgetShelf(t)
	s.hide(widget, "too young", now.Add(24*time.Hour), "2.0.1")
	s.hide(widget, "too young", now.Add(time.Hour), "2.0.0")
	h := Format{}.Handler(s)
	ask := func(client, agent string) string {
		r := newRequest("GET", "/@acme%2fwidget", "User-Agent", agent)
		r.RemoteAddr = client
		return serve(h, r).Header.Get("Npm-Notice")
	}
	const want = "2 versions of @acme/widget are held, the first until 1 Mar 2026 13:00 UTC"
	if got := ask("192.0.2.1:1000", "npm/11.0.0 node/v24"); got != want {
		t.Errorf("first: got %q, want %q", got, want)
	}
	if got := ask("192.0.2.1:1001", "npm/11.0.0 node/v24"); got != "" {
		t.Errorf("again: got %q, want nothing", got)
	}
	if got := ask("192.0.2.2:1000", "npm/11.0.0 node/v24"); got != want {
		t.Errorf("another client: got %q, want %q", got, want)
	}
	if got := ask("192.0.2.3:1000", "pnpm/12.0.0"); got != "" {
		t.Errorf("pnpm: got %q, want nothing", got)
	}
}

func TestBasesHaveDocumentsOfTheirOwn(t *testing.T) {
	s := widgetShelf(t)
	names := map[string]bool{}
	for i := range 50 {
		s.base = fmt.Sprintf("http://host%d.example/npm/", i)
		text := body(t, s.ask("GET", "/@acme%2fwidget", nil))
		if got, want := at(object(t, []byte(text)), "versions", "2.0.0", "dist", "tarball"), `"`+s.base+`@acme/widget/-/widget-2.0.0.tgz"`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for d := range s.derived {
		names[d.Name] = true
	}
	if len(names) > 8 {
		t.Errorf("50 bases make %d documents that are kept at once, want 8 at most", len(names))
	}
}

// The relayed questions.

func TestAuditLeavesOutWhatIsOurs(t *testing.T) {
	s := newShelf()
	s.claims = []string{"@acme/*", "acme-*"}
	var asked format.Question
	s.relay = func(q format.Question) (*http.Response, error) {
		asked = q
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"left-pad":[]}`))}, nil
	}
	tree := `{"name":"@acme/app","version":"1.0.0","metadata":{"host":"build-7"},"install":[],"requires":{"left-pad":"^1.0.0","@acme/x":"1","al":"npm:@acme/x@1","git":"git+ssh://git.acme.example/x"},` +
		`"dependencies":{"left-pad":{"version":"1.3.0","integrity":"sha512-x"},"@acme/x":{"version":"1.0.0","dependencies":{"a":{"version":"1.0.0"}}},` +
		`"b":{"version":"2.0.0","dev":true,"requires":{"acme-y":"1","c":"2"},"dependencies":{"acme-y":{"version":"1.0.0"},"c":{"version":"2.0.0"}}},"g":{"version":"git+ssh://git.acme.example/x"}}}`
	for _, c := range []struct{ path, body, want string }{
		{"/-/npm/v1/security/advisories/bulk", `{"left-pad":["1.3.0"],"@acme/x":["1.0.0"],"acme-y":["2.0.0"],"../x":["1"]}`, `{"left-pad":["1.3.0"]}`},
		{"/-/npm/v1/security/audits/quick", tree, `{"requires":{"left-pad":"^1.0.0"},"dependencies":{"b":{"version":"2.0.0","dev":true,"requires":{"c":"2"},"dependencies":{"c":{"version":"2.0.0"}}},"left-pad":{"version":"1.3.0","integrity":"sha512-x"}}}`},
		{"/-/npm/v1/security/audits", tree, `{"requires":{"left-pad":"^1.0.0"},"dependencies":{"b":{"version":"2.0.0","dev":true,"requires":{"c":"2"},"dependencies":{"c":{"version":"2.0.0"}}},"left-pad":{"version":"1.3.0","integrity":"sha512-x"}}}`},
	} {
		for _, encoding := range []string{"", "gzip"} {
			asked = format.Question{}
			r := s.ask("POST", c.path, encoded(t, encoding, c.body), "Content-Encoding", encoding)
			if text := body(t, r); r.StatusCode != 200 || text != `{"left-pad":[]}` {
				t.Errorf("%s %s: got %d %s", c.path, encoding, r.StatusCode, text)
			}
			if got := string(asked.Body); got != c.want {
				t.Errorf("%s %s, what went up:\n got %s\nwant %s", c.path, encoding, got, c.want)
			}
			if asked.URL != c.path[1:] || asked.Method != "POST" {
				t.Errorf("%s: asked %s %s", c.path, asked.Method, asked.URL)
			}
		}
	}
}

func encoded(t *testing.T, encoding, text string) io.Reader {
	if encoding == "" {
		return strings.NewReader(text)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestAuditOfOursOnlyAsksNobody(t *testing.T) {
	s := newShelf()
	s.claims = []string{"@acme/*"}
	s.relay = func(q format.Question) (*http.Response, error) {
		t.Errorf("%s went up", q.Body)
		return nil, io.EOF
	}
	r := s.ask("POST", "/-/npm/v1/security/advisories/bulk", strings.NewReader(`{"@acme/x":["1.0.0"]}`))
	if text := body(t, r); r.StatusCode != 200 || text != "{}" {
		t.Errorf("got %d %s, want {}", r.StatusCode, text)
	}
	for _, question := range []string{"", "x", "[]", "null", `{"@acme/x":"1.0.0"}`, `{"x":["1.0.0"]`} {
		r := s.ask("POST", "/-/npm/v1/security/advisories/bulk", strings.NewReader(question))
		if r.StatusCode != 400 {
			t.Errorf("%q: got %d, want 400", question, r.StatusCode)
		}
	}
	for _, question := range []string{"", "x", "[]", `{"requires":{"a":1}}`, `{"dependencies":[]}`} {
		r := s.ask("POST", "/-/npm/v1/security/audits/quick", strings.NewReader(question))
		if r.StatusCode != 400 {
			t.Errorf("quick %q: got %d, want 400", question, r.StatusCode)
		}
	}
	for _, encoding := range []string{"br", "gzip"} {
		r := s.ask("POST", "/-/npm/v1/security/advisories/bulk", strings.NewReader("{}"), "Content-Encoding", encoding)
		if r.StatusCode != 400 {
			t.Errorf("body that is no %s: got %d, want 400", encoding, r.StatusCode)
		}
	}
}

func TestCase11AuditWithTheUpstreamDown(t *testing.T) {
	s := newShelf()
	ask := func() *http.Response {
		return s.ask("POST", "/-/npm/v1/security/advisories/bulk", strings.NewReader(`{"left-pad":["1.3.0"]}`))
	}
	if r := ask(); r.StatusCode != 503 {
		t.Errorf("no answer: got %d, want 503", r.StatusCode)
	}
	for status, want := range map[int]int{500: 503, 502: 503, 429: 429, 404: 404, 405: 404, 501: 404, 400: 400} {
		s.relay = func(format.Question) (*http.Response, error) {
			return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("{}"))}, nil
		}
		if r := ask(); r.StatusCode != want {
			t.Errorf("upstream's %d: got %d, want %d", status, r.StatusCode, want)
		}
	}
	s.relay = func(format.Question) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("<html>"))}, nil
	}
	if r := ask(); r.StatusCode != 503 {
		t.Errorf("HTML: got %d, want 503", r.StatusCode)
	}
}

func TestSearchShowsWhatTheRulesShow(t *testing.T) {
	s := widgetShelf(t)
	s.claims = []string{"@ours/*", "ours-*"}
	s.hide(widget, "too young", time.Time{}, "2.0.1")
	s.put(t, "plain", layer{"up", []byte(`{"name":"plain","versions":{"1.0.0":{}}}`)})
	s.put(t, "none", layer{"up", []byte(`{"name":"none","versions":{"1.0.0":{}}}`)})
	s.hide("none", "no", time.Time{}, "1.0.0")
	var asked string
	s.relay = func(q format.Question) (*http.Response, error) {
		asked = q.URL
		objects := []string{}
		for _, p := range []string{widget + `","version":"2.0.1`, `plain","version":"1.0.0`, `none","version":"1.0.0`, `ours-x","version":"6.6.6`, `unknown","version":"1.0.0`} {
			objects = append(objects, `{"package":{"name":"`+p+`","date":"x","keywords":["k"]},"score":{"final":1},"searchScore":2}`)
		}
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"objects":[` + strings.Join(objects, ",") + `],"total":5,"time":"x"}`))}, nil
	}
	var got struct {
		Objects []struct {
			Package struct{ Name, Version, Date string }
			Score   struct{ Final int }
		}
		Total int
		Time  string
	}
	r := s.ask("GET", "/-/v1/search?text=widget&size=20&from=0&x=y", nil)
	if err := json.Unmarshal([]byte(body(t, r)), &got); err != nil || r.StatusCode != 200 {
		t.Fatal(r.StatusCode, err)
	}
	if asked != "-/v1/search?from=0&size=20&text=widget" {
		t.Errorf("asked %s", asked)
	}
	var found []string
	for _, o := range got.Objects {
		found = append(found, o.Package.Name+"@"+o.Package.Version)
	}
	if want := []string{widget + "@2.0.0", "plain@1.0.0"}; !reflect.DeepEqual(found, want) || got.Total != 2 || got.Objects[0].Score.Final != 1 {
		t.Errorf("got %v of %d, want %v", found, got.Total, want)
	}
	for size, want := range map[string]int{"0": 0, "1": 1, "2": 2, "250": 2} { // though the upstream gives all that it has
		var got struct{ Objects []json.RawMessage }
		if err := json.Unmarshal([]byte(body(t, s.ask("GET", "/-/v1/search?text=widget&size="+size, nil))), &got); err != nil || len(got.Objects) != want {
			t.Errorf("size %s: got %d results, %v, want %d", size, len(got.Objects), err, want)
		}
	}
	for _, text := range []string{"@ours/x", "left%20@ours/x", "scope:ours", "scope:@ours", "@ours", "@ours/", "ours-secret", "maintainer:ours-me"} {
		asked = ""
		r := s.ask("GET", "/-/v1/search?text="+text, nil)
		if got := body(t, r); asked != "" || r.StatusCode != 200 || !strings.HasPrefix(got, `{"objects":[],"total":0,"time":"`) {
			t.Errorf("%s: went up %q, got %d %s", text, asked, r.StatusCode, got)
		}
	}
	s.relay = nil
	if r := s.ask("GET", "/-/v1/search?text=x", nil); r.StatusCode != 200 {
		t.Errorf("upstream down: got %d, want 200", r.StatusCode)
	}
}

func TestKeysAndAttestations(t *testing.T) {
	s := widgetShelf(t)
	s.documents[millpond.Key{File: docKeys}] = []byte(`{"keys":[]}`)
	if r := s.ask("GET", "/-/npm/v1/keys", nil); r.StatusCode != 200 || body(t, r) != `{"keys":[]}` {
		t.Errorf("keys: got %d", r.StatusCode)
	}
	of := func(hex string) []byte {
		statement := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"subject":[{"name":"pkg:npm/x","digest":{"sha512":"%s"}}]}`, hex))
		return fmt.Appendf(nil, `{"attestations":[{"bundle":{"dsseEnvelope":{"payload":"%s"}}}]}`, statement)
	}
	k := millpond.Key{Package: widget, Version: "2.0.0", File: docAttestations}
	right := s.packages[widget].Version("2.0.0").Files[0].Digests[0].Hex()
	for _, c := range []struct {
		name string
		body []byte
		want int
	}{
		{"about these bytes", of(right), 200},
		{"about others", of(strings.Repeat("0", 128)), 503},
		{"about nothing", []byte(`{"attestations":[]}`), 503},
		{"no JSON", []byte(`<html>`), 503},
		{"no statement", []byte(`{"attestations":[{"bundle":{"dsseEnvelope":{"payload":"%%"}}}]}`), 503},
	} {
		s.documents[k] = c.body
		for _, path := range []string{"/-/npm/v1/attestations/@acme%2fwidget@2.0.0", "/-/npm/v1/attestations/@acme/widget@2.0.0"} {
			if r := s.ask("GET", path, nil); r.StatusCode != c.want {
				t.Errorf("%s: got %d, want %d", c.name, r.StatusCode, c.want)
			}
		}
	}
	s.documents[k] = of(right)
	s.hide(widget, "no", time.Time{}, "2.0.0")
	if r := s.ask("GET", "/-/npm/v1/attestations/@acme%2fwidget@2.0.0", nil); r.StatusCode != 404 {
		t.Errorf("of a hidden version: got %d, want 404", r.StatusCode)
	}
}

func BenchmarkWarmPackument(b *testing.B) {
	s := newShelf()
	s.packages["x"] = &millpond.Package{Name: "x", Stamp: "1"}
	s.derived[format.Derivation{Name: "abbreviated " + format.Slot(s.base) + " x", Stamp: "1 " + s.base, Type: corgi, Encoding: "gzip"}] = make([]byte, 4096)
	h := Format{}.Handler(s)
	r := newRequest("GET", "/x", "Accept", corgi+"; q=1.0, application/json; q=0.8, */*", "Accept-Encoding", "gzip,deflate")
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
	if w.status != 200 {
		b.Fatalf("got %d", w.status)
	}
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
