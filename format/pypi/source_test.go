package pypi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
)

// A remote is an upstream read by plain HTTP, one request per document.
type remote struct {
	base    *url.URL
	options map[string]string
}

func (r remote) Name() string { return "upstream" }
func (r remote) URL() *url.URL {
	u := *r.base
	return &u
}
func (r remote) Option(name string) string { return r.options[name] }
func (r remote) Now() time.Time            { return time.Now() }

func (r remote) Document(ctx context.Context, q format.Request) (*format.Document, error) {
	ref, err := url.Parse(q.URL)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base.ResolveReference(ref).String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", q.Accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNotFound:
		return nil, &millpond.Error{Kind: millpond.NotFound, Why: "upstream has no " + q.URL}
	case resp.StatusCode != http.StatusOK:
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: resp.Status}
	}
	return &format.Document{ReaderAt: bytes.NewReader(text), Closer: io.NopCloser(nil), Size: int64(len(text)),
		Digest: millpond.SHA256(text), Type: resp.Header.Get("Content-Type"), URL: resp.Request.URL, Header: resp.Header}, nil
}

func (r remote) Open(context.Context, millpond.Key) (*millpond.Content, error) {
	return nil, &millpond.Error{Kind: millpond.Unsupported}
}
func (r remote) State(context.Context, string) ([]byte, error)  { return nil, nil }
func (r remote) SetState(context.Context, string, []byte) error { return nil }

// An answer is what a path of the upstream gives.
type answer struct{ media, body string }

// serve runs an upstream with its index at /simple/.
func serve(t testing.TB, answers map[string]answer) (remote, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := answers[r.URL.EscapedPath()]
		switch {
		case !ok:
			http.NotFound(w, r)
		case a.media == "redirect":
			http.Redirect(w, r, a.body, http.StatusFound)
		default:
			w.Header().Set("Content-Type", a.media)
			io.WriteString(w, a.body)
		}
	}))
	t.Cleanup(s.Close)
	base, err := url.Parse(s.URL + "/simple/")
	if err != nil {
		t.Fatal(err)
	}
	return remote{base, map[string]string{"json": "../pypi/"}}, s
}

// read reads the page of project x.
func read(t testing.TB, a answer) (*millpond.Package, error) {
	t.Helper()
	r, _ := serve(t, map[string]answer{"/simple/x/": a})
	return Format{}.Source(r).Package(t.Context(), "x")
}

func mustRead(t testing.TB, a answer) *millpond.Package {
	t.Helper()
	p, err := read(t, a)
	if err != nil {
		t.Fatalf("read page %.300s: %v", a.body, err)
	}
	return p
}

const sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func digest(t testing.TB, s string) millpond.Digest {
	t.Helper()
	d, err := millpond.ParseDigest(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const pageJSON = `{
  "meta": {"api-version": "1.4", "_last-serial": 4711}, "name": "X",
  "project-status": {"status": "deprecated", "reason": "use y"},
  "versions": ["1.0", "1.1rc1"], "unknown-key": {"a": [1, 2, {"b": null}]},
  "files": [
    {"filename": "x-1.0-py3-none-any.whl", "url": "https://files.example/a/x-1.0-py3-none-any.whl#sha256=` + sum + `",
     "hashes": {"sha256": "` + sum + `", "md5": "d41d8cd98f00b204e9800998ecf8427e", "blake2b_256": "00ff"},
     "requires-python": ">=3.8", "core-metadata": {"sha256": "` + sum + `"}, "size": 12,
     "upload-time": "2020-01-02T03:04:05.678901Z", "provenance": "https://files.example/p/1", "x-new": {"k": [1]}, "_secret": 1},
    {"filename": "x-1.0.0.tar.gz", "url": "../../f/x-1.0.0.tar.gz", "hashes": {}, "yanked": "broken", "gpg-sig": true,
     "upload-time": "2020-01-01T00:00:00Z", "size": 7},
    {"filename": "x-1.1rc1.zip", "url": "/f/x-1.1rc1.zip", "hashes": {"sha512": null}, "yanked": true, "requires-python": null,
     "core-metadata": false, "upload-time": "", "size": null, "x-null": null, "x-empty": ""},
    {"filename": "x-docs-1.0.tar.gz", "url": "/f/x-docs-1.0.tar.gz", "hashes": {}},
    {"filename": "x-1.1rc1.zip", "url": "/f/second.zip", "hashes": {}}
  ]}`

func TestReadJSONPage(t *testing.T) {
	r, s := serve(t, map[string]answer{"/simple/x/": {typeJSON, pageJSON}})
	p, err := Format{}.Source(r).Package(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Versions) != 2 || p.Versions[0].Name != "1.1rc1" || p.Versions[1].Name != "1.0.0" {
		t.Fatalf("versions %+v; want 1.1rc1, then 1.0.0: as the older file spells it", p.Versions)
	}
	rc, final := &p.Versions[0], &p.Versions[1]
	if !rc.Prerelease || final.Prerelease || !rc.Yanked || final.Yanked {
		t.Errorf("1.1rc1 prerelease %v yanked %v, 1.0 prerelease %v yanked %v; want true true, false false", rc.Prerelease, rc.Yanked, final.Prerelease, final.Yanked)
	}
	if want := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC); !final.Published.Equal(want) {
		t.Errorf("1.0 published %s, want that of its first file, %s", final.Published, want)
	}
	wheel := final.File("x-1.0-py3-none-any.whl")
	if wheel == nil || wheel.Size != 12 || wheel.URL != "https://files.example/a/x-1.0-py3-none-any.whl" || len(wheel.Digests) != 2 ||
		wheel.Digests[0] != digest(t, "sha256:"+sum) || wheel.Published.Format(uploadTime) != "2020-01-02T03:04:05.678901Z" {
		t.Fatalf("wheel %+v", wheel)
	}
	const meta = `{"hashes":{"blake2b_256":"00ff"},"requires-python":">=3.8","x-new":{"k": [1]},"provenance":"https://files.example/p/1"}`
	if got := string(wheel.Meta); !sameMembers(got, meta) {
		t.Errorf("record of the wheel %s\nwant %s", got, meta)
	}
	side := final.File("x-1.0-py3-none-any.whl.metadata")
	if side == nil || side.Size != -1 || side.URL != wheel.URL+".metadata" || len(side.Digests) != 1 || !side.Published.Equal(wheel.Published) {
		t.Errorf("metadata %+v; want a file of its own beside %+v", side, wheel)
	}
	sdist := final.File("x-1.0.0.tar.gz")
	if sdist == nil || !sdist.Yanked || sdist.YankedWhy != "broken" || sdist.URL != s.URL+"/f/x-1.0.0.tar.gz" || len(sdist.Digests) != 0 {
		t.Errorf("sdist %+v", sdist)
	}
	if asc := final.File("x-1.0.0.tar.gz.asc"); asc == nil || asc.URL != s.URL+"/f/x-1.0.0.tar.gz.asc" || !asc.Yanked {
		t.Errorf("signature %+v", asc)
	}
	zip := rc.File("x-1.1rc1.zip")
	if zip == nil || zip.Size != -1 || zip.Meta != nil || !zip.Published.IsZero() || zip.URL != s.URL+"/f/x-1.1rc1.zip" || len(rc.Files) != 1 {
		t.Errorf("1.1rc1 has %+v; want one file, with nothing that was null or empty", rc.Files)
	}
	if got, want := readParts(p.Parts), (packageMeta{"X", "deprecated", "use y", 4711}); got != want {
		t.Errorf("package record %+v, want %+v", got, want)
	}
	if p.Parts[0].Document != millpond.SHA256([]byte(pageJSON)) {
		t.Errorf("document %s, want the digest of the page", p.Parts[0].Document)
	}
}

// sameMembers compares two objects' members, in any order.
func sameMembers(a, b string) bool {
	split := func(s string) map[string]string {
		m := map[string]string{}
		d := newJSONReader(strings.NewReader(s))
		d.members(func(name string) error {
			v, err := d.ReadValue()
			m[name] = string(v)
			return err
		})
		return m
	}
	return maps.Equal(split(a), split(b))
}

const pageHTML = `<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.3">
<meta name="pypi:project-status" content="archived"><meta name="pypi:project-status-reason" content="no time">
<base href="/files/base/"><title>Links for x</title></head><body>
<a href="x-1.0-py3-none-any.whl#sha256=` + sum + `" data-requires-python="&gt;=3.8" data-dist-info-metadata="sha256=` + sum + `"
   data-gpg-sig="true" data-yanked="bad &quot;&gt;&lt;b&gt;">x-1.0-py3-none-any.whl</a><br/>
<A HREF="../x-1.1%2Blocal.tar.gz#md5=d41d8cd98f00b204e9800998ecf8427e" data-yanked>whatever text</A>
<a href="x-1.2.whl" data-core-metadata="false">x</a>
<a href="../">Parent</a><a>no target</a>
<a href="x-1.3-py3-none-any.whl" data-core-metadata="true" data-upload-time="2020-01-02T03:04:05.5Z"></body></html>
<!--SERIAL 99-->`

func TestReadHTMLPage(t *testing.T) {
	r, s := serve(t, map[string]answer{"/simple/x/": {"text/html; charset=utf-8", pageHTML}})
	p, err := Format{}.Source(r).Package(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range p.Versions {
		for _, f := range p.Versions[i].Files {
			got = append(got, fmt.Sprintf("%s %s %s %v %q %d %v %s", p.Versions[i].Name, f.Name, strings.TrimPrefix(f.URL, s.URL), f.Yanked, f.YankedWhy, f.Size, f.Digests, f.Meta))
		}
	}
	want := []string{
		`1.3 x-1.3-py3-none-any.whl /files/base/x-1.3-py3-none-any.whl false "" -1 [] `,
		`1.3 x-1.3-py3-none-any.whl.metadata /files/base/x-1.3-py3-none-any.whl.metadata false "" -1 [] `,
		`1.1+local x-1.1+local.tar.gz /files/x-1.1%2Blocal.tar.gz true "" -1 [md5:d41d8cd98f00b204e9800998ecf8427e] `,
		`1.0 x-1.0-py3-none-any.whl /files/base/x-1.0-py3-none-any.whl true "bad \"><b>" -1 [sha256:` + sum + `] {"requires-python":">=3.8"}`,
		`1.0 x-1.0-py3-none-any.whl.metadata /files/base/x-1.0-py3-none-any.whl.metadata true "bad \"><b>" -1 [sha256:` + sum + `] `,
		`1.0 x-1.0-py3-none-any.whl.asc /files/base/x-1.0-py3-none-any.whl.asc true "bad \"><b>" -1 [] `,
	}
	missing := strings.Join(got, "\n")
	for _, line := range want {
		if !strings.Contains(missing, line) {
			t.Errorf("no file\n%s\namong\n%s", line, missing)
		}
	}
	if got := p.Versions[0].Published.Format(uploadTime); got != "2020-01-02T03:04:05.500000Z" {
		t.Errorf("1.3 published %s, want what its anchor says", got)
	}
	if m := readParts(p.Parts); m.Status != "archived" || m.Reason != "no time" || m.Serial != 99 {
		t.Errorf("package record %+v; want archived, no time, 99", m)
	}
}

func TestCase05LegacyFilesAreListed(t *testing.T) {
	p := mustRead(t, answer{typeJSON, `{"files": [
		{"filename": "x-2004d.tar.gz", "url": "/a"}, {"filename": "x-0.1-edx.zip", "url": "/b"},
		{"filename": "X-1.0-py2.7.egg", "url": "/c"}, {"filename": "x-1.0.win32.exe", "url": "/d"}, {"filename": "x-new.tar.gz", "url": "/e"}]}`})
	var names []string
	for i := range p.Versions {
		names = append(names, p.Versions[i].Name)
	}
	if got := strings.Join(names, " "); got != "1.0 2004d 0.1-edx ?" || len(p.Versions[0].Files) != 2 {
		t.Errorf("versions %q with %d files in the first; want 1.0 (two files), 2004d, 0.1-edx and what has none", got, len(p.Versions[0].Files))
	}
}

func TestCase09AddressesThatNoPageHasBusinessWith(t *testing.T) {
	for href, want := range map[string]bool{
		"https://files.example/x-1.0.zip": true, "//files.example/x-1.0.zip": true, "http://10.1.2.3/x-1.0.zip": true,
		"x-1.0.zip": true, "/x-1.0.zip": true, "?a=/x-1.0.zip": true,
		"javascript:alert(1)//x-1.0.zip": false, "file:///etc/x-1.0.zip": false, "ftp://files.example/x-1.0.zip": false,
		"data:text/html,x-1.0.zip": false, "http://localhost/x-1.0.zip": false, "http://a.localhost./x-1.0.zip": false,
		"http://169.254.169.254/x-1.0.zip": false, "http://[::1]/x-1.0.zip": false, "http://[::ffff:127.0.0.2]/x-1.0.zip": false,
		"http://127.0.0.2/x-1.0.zip": false, "http://0.0.0.0/x-1.0.zip": false, "http://127.1/x-1.0.zip": false,
		"http://2130706433/x-1.0.zip": false, "http://0x7f000001/x-1.0.zip": false, "http://[fe80::1%25eth0]/x-1.0.zip": false,
		"https:///x-1.0.zip": false, "": false, "http://%zz/x-1.0.zip": false,
	} {
		p := mustRead(t, answer{typeJSON, `{"files": [{"filename": "x-1.0.zip", "url": "` + href + `"}]}`})
		if got := len(p.Versions) == 1; got != want {
			t.Errorf("file at %q listed: %v, want %v", href, got, want)
		}
	}
	p := mustRead(t, answer{typeJSON, `{"files": [{"filename": "x-1.0.zip", "url": "https://user:secret@files.example/x-1.0.zip"}]}`})
	if got := p.Versions[0].Files[0].URL; strings.Contains(got, "secret") {
		t.Errorf("URL %q, want no credentials in it", got)
	}
	// An upstream that is configured on this machine may keep its files here too.
	r, s := serve(t, nil)
	l := newListing("x", r.base, &format.Document{URL: r.base})
	if got, ok := l.resolve(s.URL + "/x-1.0.zip"); !ok {
		t.Errorf("file of a loopback upstream, %q: refused", got)
	}
}

func TestCase11RedirectedPage(t *testing.T) {
	r, s := serve(t, map[string]answer{
		"/simple/x/":         {"redirect", "/deep/er/simple/x/"},
		"/deep/er/simple/x/": {typeJSON, `{"files": [{"filename": "x-1.0.zip", "url": "../../f/x-1.0.zip"}]}`},
	})
	p, err := Format{}.Source(r).Package(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Versions[0].Files[0].URL, s.URL+"/deep/er/f/x-1.0.zip"; got != want {
		t.Errorf("URL %q, want %q: relative to where the redirect led", got, want)
	}
}

func TestPagesThatCannotBeRead(t *testing.T) {
	for name, a := range map[string]answer{
		"cut":               {typeJSON, `{"files": [{"filename": "x-1.0.zip", "url": "/a"`},
		"no files":          {typeJSON, `{"meta": {}}`},
		"an error in JSON":  {"application/json", `{"message": "sign in"}`},
		"an array":          {typeJSON, `[]`},
		"nothing":           {typeJSON, ``},
		"another project":   {typeJSON, `{"name": "y", "files": []}`},
		"a later API":       {typeJSON, `{"meta": {"api-version": "2.0"}, "files": []}`},
		"a later API, html": {"text/html", `<meta name="pypi:repository-version" content="2.0"><a href="x-1.0.zip">x</a>`},
		"a captive portal":  {"text/html", `<html><title>Sign in</title><form action="/login"><a href="/terms">terms</a></form></html>`},
		"plain text":        {"text/plain", `x-1.0.zip`},
		"bytes, no type":    {"", "\x00\x01\x02"},
		"broken UTF-8":      {typeJSON, "{\"files\": [{\"filename\": \"x-\xff.zip\"}]}"},
		"a string too long": {typeJSON, `{"files": [], "x": "` + strings.Repeat("a", 5*longestString) + `"}`},
		"too deep":          {typeJSON, `{"files": [], "x": ` + strings.Repeat("[", 100_000)},
	} {
		if p, err := read(t, a); !millpond.Is(err, millpond.BadUpstream) {
			t.Errorf("%s: %+v, %v; want BadUpstream", name, p, err)
		}
	}
	for name, a := range map[string]answer{
		"no files in JSON":   {typeJSON, `{"files": []}`},
		"no files in HTML":   {"text/html", `<html><head><title>Links for x</title></head><body><h1>Links for x</h1></body></html>`},
		"no type, JSON":      {"", ` {"files": []}`},
		"a directory":        {"text/html", `<title>Index of /simple/x</title><a href="../">..</a>`},
		"an HTML5 index":     {"text/html", `<meta name="pypi:repository-version" content="1.0">`},
		"a later minor API":  {typeJSON, `{"meta": {"api-version": "1.99"}, "files": [], "more": {"of": ["it"]}}`},
		"a very long list":   {typeJSON, `{"x": [` + strings.Repeat(`"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",`, 200_000) + `1], "files": []}`},
		"duplicate members":  {typeJSON, `{"files": [], "files": []}`},
		"a status in a word": {typeJSON, `{"files": [], "project-status": "archived"}`},
	} {
		if p, err := read(t, a); err != nil || len(p.Versions) != 0 {
			t.Errorf("%s: %+v, %v; want a project without files", name, p, err)
		}
	}
	if _, err := read(t, answer{"redirect", "/nowhere"}); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("404: %v, want NotFound", err)
	}
}

func TestCase25QuarantinedIsBlocked(t *testing.T) {
	p := mustRead(t, answer{typeJSON, `{"project-status": {"status": "quarantined", "reason": "malware"}, "files": []}`})
	if want := "x is quarantined by upstream upstream: malware"; p.Blocked != want {
		t.Errorf("Blocked %q, want %q", p.Blocked, want)
	}
	p = mustRead(t, answer{typeJSON, `{"project-status": {"status": "active"}, "files": []}`})
	if p.Blocked != "" || readParts(p.Parts).Status != "" {
		t.Errorf("active: Blocked %q, status %q; want neither", p.Blocked, readParts(p.Parts).Status)
	}
}

func TestNewer(t *testing.T) {
	page := func(serial string) *millpond.Package {
		return mustRead(t, answer{typeJSON, `{"meta": {` + serial + `}, "files": []}`})
	}
	s := Format{}.Source(remote{}).(format.Newer)
	for _, c := range []struct {
		kept, got string
		want      bool
	}{
		{`"_last-serial": 5`, `"_last-serial": 6`, true}, {`"_last-serial": 5`, `"_last-serial": 5`, true},
		{`"_last-serial": 5`, `"_last-serial": 4`, false}, {`"_last-serial": 5`, ``, true}, {``, `"_last-serial": 5`, true},
	} {
		if got := s.Newer(page(c.kept), page(c.got)); got != c.want {
			t.Errorf("Newer(%s, %s) = %v, want %v", c.kept, c.got, got, c.want)
		}
	}
}

func TestChanges(t *testing.T) {
	const index = `{"meta": {"api-version": "1.0", "_last-serial": 30}, "projects": [
		{"name": "Zope.Interface", "_last-serial": 10}, {"name": "b", "_last-serial": 30}, {"name": "a", "_last-serial": 20},
		{"name": "bad name"}, {"name": "a/b"}]}`
	const list = `<title>Simple index</title><a href="/simple/zope-interface/">Zope.Interface</a><a href="b/">b</a> <a href="../">up</a>`
	for _, c := range []struct {
		name, since, want string
		page              answer
	}{
		{"all", "", "zope-interface (Zope.Interface) 10, a () 20, b () 30, ", answer{typeJSON, index}},
		{"since", "10", "a () 20, b () 30, ", answer{typeJSON, index}},
		{"nothing since", "30", "", answer{typeJSON, index}},
		{"without serials", "30", "zope-interface (Zope.Interface) , b () , ", answer{"text/html", list}},
	} {
		r, _ := serve(t, map[string]answer{"/simple/": c.page})
		got := ""
		for change, err := range (Format{}).Source(r).Changes(t.Context(), c.since) {
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			got += fmt.Sprintf("%s (%s) %s, ", change.Name, change.Display, change.Cursor)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for name, page := range map[string]answer{"portal": {"text/html", "<form>"}, "not an index": {typeJSON, `{"files": []}`}} {
		r, _ := serve(t, map[string]answer{"/simple/": page})
		for change, err := range (Format{}).Source(r).Changes(t.Context(), "") {
			if !millpond.Is(err, millpond.BadUpstream) {
				t.Errorf("%s: %+v, %v; want BadUpstream", name, change, err)
			}
		}
	}
	for change, err := range (Format{}).Source(remote{}).Changes(t.Context(), "x") {
		if !millpond.Is(err, millpond.Invalid) {
			t.Errorf("cursor x: %+v, %v; want Invalid", change, err)
		}
	}
}

func TestDocuments(t *testing.T) {
	r, s := serve(t, map[string]answer{
		"/pypi/x/json":       {"application/json", `{"info": {}}`},
		"/pypi/x/1%212/json": {"application/json", `{"info": {"license": " MIT\nand more"}, "urls": [{"upload_time_iso_8601": "2021-01-02T00:00:00Z"}]}`},
		"/pypi/portal/json":  {"application/json", `<html>`},
		"/p":                 {"application/json", `{"version": 1}`},
	})
	src := Format{}.Source(r)
	for _, c := range []struct {
		key  millpond.Key
		want string
		kind millpond.Kind
	}{
		{millpond.Key{Package: "x", File: "json"}, `{"info": {}}`, 0},
		{millpond.Key{Package: "x", Version: "1.0", File: "provenance " + s.URL + "/p"}, `{"version": 1}`, 0},
		{millpond.Key{Package: "x", Version: "9", File: "9/json"}, "", millpond.NotFound},
		{millpond.Key{Package: "portal", File: "json"}, "", millpond.BadUpstream},
		{millpond.Key{Package: "x", File: "other"}, "", millpond.Unsupported},
	} {
		doc, err := src.Document(t.Context(), c.key)
		if c.want == "" {
			if !millpond.Is(err, c.kind) {
				t.Errorf("Document(%s): %v, want %s", c.key, err, c.kind)
			}
			continue
		}
		if err != nil {
			t.Errorf("Document(%s): %v", c.key, err)
			continue
		}
		if got, _ := io.ReadAll(doc.Reader()); string(got) != c.want {
			t.Errorf("Document(%s) = %s, want %s", c.key, got, c.want)
		}
	}
	v, err := src.Version(t.Context(), "x", "1!2")
	if err != nil || v.Licence != "MIT" || v.Published.Year() != 2021 {
		t.Errorf("Version(x, 1!2) = %+v, %v; want licence MIT, of 2021", v, err)
	}
	off := Format{}.Source(remote{r.base, map[string]string{"json": "off"}})
	if doc, err := off.Document(t.Context(), millpond.Key{Package: "x", File: "json"}); !millpond.Is(err, millpond.Unsupported) {
		t.Errorf("json: off: %+v, %v; want Unsupported", doc, err)
	}
}

func TestSniff(t *testing.T) {
	s := Format{}.Source(remote{}).(format.Sniffer)
	for _, c := range []struct {
		file, head string
		ok         bool
	}{
		{"x-1.0-py3-none-any.whl", "PK\x03\x04...", true}, {"x-1.0-py3-none-any.whl", "Metadata", false},
		{"x-1.0-py3-none-any.whl", "<!DOCTYPE html>", false}, {"x-1.0.tar.gz", "\x1f\x8b", true},
		{"x-1.0.tar.gz", "\xef\xbb\xbf \n<html>", false}, {"x-1.0.tar.gz", "PK\x03\x04", true}, {"x-1.0.tar.gz", "", false},
		{"x-1.0-py3-none-any.whl.metadata", "Metadata-Version: 2.1", true}, {"x-1.0-py3-none-any.whl.metadata", "<html>", false},
	} {
		err := s.Sniff(millpond.Key{Package: "x", File: c.file}, []byte(c.head))
		if c.ok != (err == nil) || err != nil && !millpond.Is(err, millpond.BadUpstream) {
			t.Errorf("Sniff(%s, %q) = %v, want ok: %v, else BadUpstream", c.file, c.head, err, c.ok)
		}
	}
}

// TestResolveRemembersNothingWrong: an address is the same whether or not another one from the same place came before it.
func TestResolveRemembersNothingWrong(t *testing.T) {
	base, upstream := "https://upstream.example/simple/alpha/", "https://upstream.example/simple/"
	list := func() *listing {
		u, err := url.Parse(upstream)
		if err != nil {
			t.Fatal(err)
		}
		b, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		return newListing("alpha", u, &format.Document{URL: b})
	}
	refs := []string{"../../files/a.whl", "../../files/b.whl", "../../files/..", "../../files/.", "../../files/", "b.whl", "/b.whl", "//files.example/b.whl",
		"https://files.example/p/a.whl", "https://files.example/p/q/b.whl", "https://files.example/p/../b.whl", "https://files.example:443/b.whl",
		"HTTPS://files.example/p/c.whl", "https://files.example/p/a%20b.whl", "https://files.example/p/a.whl#sha256=0", "https://me:you@files.example/p/a.whl",
		"x/https://files.example/a.whl", "x/https://files.example/p/a.whl", "ftp://files.example/a.whl", "file:/etc/passwd", "http://127.0.0.1/a.whl",
		"http://127.0.0.1/b.whl", "http://localhost/b.whl", "", "."}
	together := list()
	for range 2 {
		for _, ref := range refs {
			want, wantOK := list().resolveAny(ref)
			if got, ok := together.resolve(ref); ok != wantOK || ok && got != want {
				t.Errorf("%q is %q, %t; want %q, %t", ref, got, ok, want, wantOK)
			}
		}
	}
}
