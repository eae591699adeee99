package formattest

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond/repo"
)

// releases are the ecosystem's three versions, published a year, a month and a day before the clock begins.
func (e Ecosystem) releases() []Release {
	return []Release{
		{Version: e.Versions[0], Published: epoch.AddDate(-1, 0, 0)},
		{Version: e.Versions[1], Published: epoch.AddDate(0, -1, 0)},
		{Version: e.Versions[2], Published: epoch.AddDate(0, 0, -1)},
	}
}

// stocked is a House whose upstream has the ecosystem's package with all three versions.
func stocked(t *testing.T, e Ecosystem, changes ...func(*repo.Config)) (*House, []Release) {
	t.Helper()
	h := New(t, e, changes...)
	rs := e.releases()
	e.Put(h.Up, e.Package, rs...)
	return h, rs
}

func coldThenDead(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	cold := h.Good("cold index", h.Index(e.Package), nil)
	for _, r := range rs {
		h.Shows("cold index", cold, r.Version, true)
		h.Good("cold file "+r.Version, h.File(e.Package, r), e.Bytes(e.Package, r))
	}
	h.Up.Refuse()
	h.Good("warm index", h.Index(e.Package), cold.Body)
	h.Good("warm file", h.File(e.Package, rs[0]), e.Bytes(e.Package, rs[0]))
	h.Pass(48 * time.Hour)
	h.Good("index of the day before yesterday", h.Index(e.Package), cold.Body)
	h.Good("file, the upstream dead", h.File(e.Package, rs[0]), e.Bytes(e.Package, rs[0]))
}

func herd(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	h.Up.Order(e.UpstreamFile(e.Package, rs[0]), "slow 200ms")
	h.Up.Order(e.UpstreamIndex(e.Package), "slow 100ms")
	all := func(f func() Reply) (replies []Reply) {
		replies = make([]Reply, 50)
		var wg sync.WaitGroup
		for i := range replies {
			wg.Go(func() { replies[i] = f() })
		}
		wg.Wait()
		return replies
	}
	for _, r := range all(func() Reply { return h.Index(e.Package) }) {
		h.Good("index", r, nil)
	}
	h.fetched(e.UpstreamIndex(e.Package), 1)
	for _, r := range all(func() Reply { return h.File(e.Package, rs[0]) }) {
		h.Good("file", r, e.Bytes(e.Package, rs[0]))
	}
	h.fetched(e.UpstreamFile(e.Package, rs[0]), 1)
}

func cutAnywhere(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	body := e.Bytes(e.Package, rs[0])
	for i, r := range rs {
		at := []int{0, len(body) / 2, len(body) - 1}[i]
		h.Up.Order(e.UpstreamFile(e.Package, r), "cut "+itoa(at))
		h.Good("cut after "+itoa(at), h.File(e.Package, r), e.Bytes(e.Package, r))
	}
}

func wrongBytes(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	h.Good("index", h.Index(e.Package), nil)
	before := h.Kept()
	h.Up.Order(e.UpstreamFile(e.Package, rs[0]), "always lie")
	r := h.File(e.Package, rs[0])
	if r.Err == nil && r.Status != http.StatusServiceUnavailable {
		t.Errorf("wrong bytes: got %s, want 503 or a cut", r)
	}
	if kept := h.Kept(); kept != before {
		t.Errorf("wrong bytes: %d blobs are kept, want %d", kept, before)
	}
	if !slices.Contains(h.Events(), "corrupt") {
		t.Errorf("wrong bytes: events are %q, want corrupt among them", h.Events())
	}
	asked := h.asked(e.UpstreamFile(e.Package, rs[0]))
	h.Want("again at once", h.File(e.Package, rs[0]), http.StatusServiceUnavailable)
	h.fetched(e.UpstreamFile(e.Package, rs[0]), asked)
	h.Up.Order(e.UpstreamFile(e.Package, rs[0]), "always ok")
	h.Pass(2 * time.Minute)
	h.Good("after a while, the upstream well", h.File(e.Package, rs[0]), e.Bytes(e.Package, rs[0]))
}

func pageInstead(t *testing.T, e Ecosystem) {
	for _, verb := range []string{"html-200", "empty-200"} {
		h, rs := stocked(t, e)
		h.Good("index", h.Index(e.Package), nil)
		before := h.Kept()
		if verb == "empty-200" && e.Except["an empty file"] != "" {
			continue
		}
		h.Up.Order(e.UpstreamFile(e.Package, rs[0]), "always "+verb)
		h.Want(verb+" for a file", h.File(e.Package, rs[0]), http.StatusServiceUnavailable)
		if kept := h.Kept(); kept != before {
			t.Errorf("%s for a file: %d blobs are kept, want %d", verb, kept, before)
		}
		if verb == "empty-200" && e.Except["an empty index"] != "" {
			continue
		}
		e.Put(h.Up, e.Other, rs...)
		h.Up.Order(e.UpstreamIndex(e.Other), "always "+verb)
		h.Want(verb+" for an index", h.Index(e.Other), http.StatusServiceUnavailable)
		h.Up.Order(e.UpstreamIndex(e.Other), "always ok")
		h.Pass(time.Minute)
		h.Good("index after "+verb, h.Index(e.Other), nil)
	}
}

func staleThenFresh(t *testing.T, e Ecosystem) {
	for _, verb := range []string{"500", "503", "429 3600", "403", "html-200", "refuse"} {
		h := New(t, e)
		rs := e.releases()
		e.Put(h.Up, e.Package, rs[:2]...)
		first := h.Good("first", h.Index(e.Package), nil)
		e.Put(h.Up, e.Package, rs...)
		h.Up.Order("*", "always "+verb)
		h.Pass(time.Hour)
		stale := h.Good(verb+": kept copy", h.Index(e.Package), first.Body)
		if got := stale.Header.Get(Result); got != "stale" {
			t.Errorf("%s: result is %q, want stale", verb, got)
		}
		asked := h.Up.Count("", "")
		for range 10 {
			h.Good(verb+": kept copy again", h.Index(e.Package), first.Body)
		}
		if more := h.Up.Count("", "") - asked; more > 3 {
			t.Errorf("%s: ten readers asked the ill upstream %d times", verb, more)
		}
		h.Up.Order("*", "always ok")
		h.Pass(2 * time.Hour)
		h.Shows(verb+": after recovery", h.Index(e.Package), rs[2].Version, true)
	}
}

func nothingHeld(t *testing.T, e Ecosystem) {
	for _, verb := range []string{"500", "403", "hang", "refuse", "cut 3"} {
		h, rs := stocked(t, e, func(c *repo.Config) {
			if verb == "hang" { // otherwise a busy machine makes an upstream that hangs of one that does not
				c.Upstreams[0].FirstByte = 500 * time.Millisecond
			}
		})
		h.Up.Order("*", "always "+verb)
		for what, r := range map[string]Reply{"index": h.Index(e.Package), "file": h.File(e.Package, rs[0])} {
			h.Want(verb+", "+what, r, http.StatusServiceUnavailable)
			if r.Header.Get("Retry-After") == "" {
				t.Errorf("%s, %s: no Retry-After", verb, what)
			}
		}
	}
}

func refusedCredentials(t *testing.T, e Ecosystem) {
	for _, verb := range []string{"401", "403"} {
		h, rs := stocked(t, e)
		h.Up.Order("*", "always "+verb)
		h.Want(verb+" index", h.Index(e.Package), http.StatusServiceUnavailable)
		h.Want(verb+" file", h.File(e.Package, rs[0]), http.StatusServiceUnavailable)
		if alarm := h.Pond.Repository("r").Upstreams()[0].Alarm; alarm == "" {
			t.Errorf("%s: no alarm", verb)
		}
		h.Up.Order("*", "always ok")
		h.Pass(time.Minute)
		h.Good("credentials mended", h.Index(e.Package), nil)
	}
}

func absence(t *testing.T, e Ecosystem) {
	h := New(t, e)
	rs := e.releases()
	h.Want("absent index", h.Index(e.Package), http.StatusNotFound)
	h.Want("absent file", h.File(e.Package, rs[0]), http.StatusNotFound)
	asked := h.Up.Count("", "")
	for range 5 {
		h.Want("absent index again", h.Index(e.Package), http.StatusNotFound)
		h.Want("absent file again", h.File(e.Package, rs[0]), http.StatusNotFound)
	}
	if more := h.Up.Count("", "") - asked; more != 0 {
		t.Errorf("a remembered absence cost %d upstream requests", more)
	}
	e.Put(h.Up, e.Package, rs...)
	h.Pass(61 * time.Second)
	h.Good("published upstream meanwhile", h.Index(e.Package), nil)
	h.Good("its file", h.File(e.Package, rs[0]), e.Bytes(e.Package, rs[0]))
}

func suddenAbsence(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	first := h.Good("first", h.Index(e.Package), nil)
	h.Good("file", h.File(e.Package, rs[0]), e.Bytes(e.Package, rs[0]))
	h.Up.Order("*", "always 404")
	h.Pass(time.Hour)
	for range 3 {
		h.Good("404 for a moment", h.Index(e.Package), first.Body)
		h.Pass(2 * time.Minute)
	}
	h.Pass(20 * time.Minute)
	if !e.Format.Info().HeldListed {
		h.Want("404 for long", h.Index(e.Package), http.StatusNotFound)
	}
	h.Good("a held file all the same", h.File(e.Package, rs[0]), e.Bytes(e.Package, rs[0]))
}

func noEvents(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	for range 3 {
		h.Good("index", h.Index(e.Package), nil)
		h.Good("file", h.File(e.Package, rs[0]), nil)
		h.Pass(time.Hour)
	}
	h.inspected() // what is sound is not flagged
	if events := h.Events(); len(events) != 0 {
		t.Errorf("reads made the events %q", events)
	}
}

func replaced(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	h.Good("index", h.Index(e.Package), nil)
	h.Good("held file", h.File(e.Package, rs[0]), e.Bytes(e.Package, rs[0]))
	other := slices.Clone(rs)
	for i := range other {
		other[i].Variant = 1
	}
	e.Put(h.Up, e.Package, other...)
	h.Pass(time.Hour)
	h.Good("index after", h.Index(e.Package), nil)
	h.Good("the first bytes stay", h.File(e.Package, rs[0]), e.Bytes(e.Package, rs[0]))
	if e.Unlisted {
		return // no index declares digests, so nothing told of the change
	}
	if !slices.Contains(h.Events(), "replaced") {
		t.Errorf("events are %q, want replaced among them", h.Events())
	}
	h.Good("what was not held is the new one", h.File(e.Package, other[1]), e.Bytes(e.Package, other[1]))
}

func vanished(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	h.Good("index", h.Index(e.Package), nil)
	h.Good("file", h.File(e.Package, rs[2]), e.Bytes(e.Package, rs[2]))
	e.Put(h.Up, e.Package, rs[:2]...)
	h.Up.Remove(e.UpstreamFile(e.Package, rs[2]))
	h.Pass(time.Hour)
	after := h.Good("index after", h.Index(e.Package), nil)
	h.Shows("index after", after, rs[2].Version, e.Format.Info().HeldListed)
	h.Good("its file is still served", h.File(e.Package, rs[2]), e.Bytes(e.Package, rs[2]))
	if !e.Format.Info().HeldListed && !slices.Contains(h.Events(), "vanished") {
		t.Errorf("events are %q, want vanished among them", h.Events())
	}
	if _, err := h.Pond.Evict(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Good("and not evicted", h.File(e.Package, rs[2]), e.Bytes(e.Package, rs[2]))
}

func spellings(t *testing.T, e Ecosystem) {
	if len(e.Spellings) == 0 {
		t.Skip("names of this ecosystem have one spelling")
	}
	h, _ := stocked(t, e)
	want := h.Good("canonical", h.Index(e.Package), nil)
	for _, path := range e.Spellings {
		r := h.Do("GET", "/r"+path, e.Header)
		if r.Status == http.StatusMovedPermanently {
			at, err := url.Parse("/r" + path)
			if err != nil {
				t.Fatal(err)
			}
			to, err := at.Parse(r.Header.Get("Location"))
			if err != nil || to.Host != "" {
				t.Errorf("%s: redirected to %q", path, r.Header.Get("Location"))
				continue
			}
			r = h.Do("GET", to.EscapedPath(), e.Header)
		}
		h.Good(path, r, want.Body)
	}
	h.fetched(e.UpstreamIndex(e.Package), 1)
}

func headers(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	body := e.Bytes(e.Package, rs[0])
	h.Good("index", h.Index(e.Package), nil)
	h.Good("file", h.File(e.Package, rs[0]), nil)
	for what, path := range map[string]string{"index": e.Index(e.Package), "file": e.File(e.Package, rs[0])} {
		get := h.Do("GET", "/r"+path, e.Header)
		head := h.Do("HEAD", "/r"+path, e.Header)
		for _, name := range []string{"Content-Type", "Content-Length", "Etag", "Cache-Control", "Vary", "Last-Modified", "Accept-Ranges"} {
			if g, w := head.Header.Get(name), get.Header.Get(name); g != w {
				t.Errorf("%s: HEAD says %s: %q, GET says %q", what, name, g, w)
			}
		}
		if len(head.Body) != 0 || head.Status != http.StatusOK {
			t.Errorf("%s: HEAD: got %s", what, head)
		}
		tag := get.Header.Get("Etag")
		if len(tag) < 10 || tag[0] != '"' {
			t.Errorf("%s: ETag is %q, want a strong one", what, tag)
		}
		if get.Header.Get("Last-Modified") == "" {
			t.Errorf("%s: no Last-Modified", what)
		}
		with := e.Header.Clone()
		if with == nil {
			with = http.Header{}
		}
		with.Set("If-None-Match", tag)
		not := h.Do("GET", "/r"+path, with)
		h.Want(what+" with its tag", not, http.StatusNotModified)
		if not.Header.Get("Etag") != tag || not.Header.Get("Vary") != get.Header.Get("Vary") || len(not.Body) != 0 {
			t.Errorf("%s: 304 has Etag %q, Vary %q, %d bytes", what, not.Header.Get("Etag"), not.Header.Get("Vary"), len(not.Body))
		}
		with.Set("If-None-Match", `"other"`)
		h.Good(what+" with another tag", h.Do("GET", "/r"+path, with), get.Body)
	}
	path := "/r" + e.File(e.Package, rs[0])
	for spec, want := range map[string][]byte{
		"bytes=0-4": body[:5], "bytes=3-": body[3:], "bytes=-4": body[len(body)-4:], "bytes=2-2": body[2:3],
	} {
		r := h.Do("GET", path, http.Header{"Range": {spec}})
		if r.Status != http.StatusPartialContent || !bytes.Equal(r.Body, want) || r.Err != nil {
			t.Errorf("%s: got %s, want 206 and %q", spec, r, want)
		}
	}
	h.Good("several ranges", h.Do("GET", path, http.Header{"Range": {"bytes=0-1,3-4"}}), body)
	h.Good("If-Range with another tag", h.Do("GET", path, http.Header{"Range": {"bytes=0-1"}, "If-Range": {`"other"`}}), body)
	h.Want("range past the end", h.Do("GET", path, http.Header{"Range": {"bytes=99999999-"}}), http.StatusRequestedRangeNotSatisfiable)
}

func encodings(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	tags := map[string]string{}
	plain := h.Good("plain", h.Index(e.Package), nil)
	for _, encoding := range []string{"", "gzip", "zstd"} {
		with := e.Header.Clone()
		if with == nil {
			with = http.Header{}
		}
		if encoding != "" {
			with.Set("Accept-Encoding", encoding)
		}
		r := h.Good("index as "+encoding, h.Do("GET", "/r"+e.Index(e.Package), with), nil)
		if got := r.Header.Get("Content-Encoding"); got != encoding {
			t.Errorf("Content-Encoding is %q, want %q", got, encoding)
		}
		if text := unpack(t, encoding, r.Body); !bytes.Equal(text, plain.Body) {
			t.Errorf("%s: unpacks to %.200q, want %.200q", encoding, text, plain.Body)
		}
		if !strings.Contains(r.Header.Get("Vary"), "Accept-Encoding") {
			t.Errorf("%s: Vary is %q", encoding, r.Header.Get("Vary"))
		}
		if other, ok := tags[r.Header.Get("Etag")]; ok {
			t.Errorf("%q and %q have one tag", encoding, other)
		}
		tags[r.Header.Get("Etag")] = encoding
	}
	file := h.Do("GET", "/r"+e.File(e.Package, rs[0]), http.Header{"Accept-Encoding": {"gzip, zstd"}})
	h.Good("file", file, e.Bytes(e.Package, rs[0]))
	if got := file.Header.Get("Content-Encoding"); got != "" {
		t.Errorf("a file has Content-Encoding %q", got)
	}
}

func baseURL(t *testing.T, e Ecosystem) {
	if e.Links == nil {
		t.Skip("clients of this ecosystem make up the addresses of files themselves")
	}
	h, rs := stocked(t, e)
	config := h.Config("r", h.Up)
	for _, public := range []string{"", "https://pond.example", "https://pond.example/", "https://pond.example/a/b", "https://pond.example:8443/a/"} {
		h.Configure(repo.Settings{PublicURL: public}, config)
		base := h.URL + "/"
		if public != "" {
			base = strings.TrimSuffix(public, "/") + "/"
		}
		at, err := url.Parse(base + "r" + e.Index(e.Package))
		if err != nil {
			t.Fatal(err)
		}
		links := e.Links(h.Good("index", h.Index(e.Package), nil).Body, at)
		if len(links) < len(rs) {
			t.Errorf("%s: the index gives %d addresses: %q", public, len(links), links)
		}
		for _, link := range links {
			path, ok := strings.CutPrefix(link, base)
			if !ok {
				t.Errorf("%s: %s is not below %s", public, link, base)
				continue
			}
			path, _, _ = strings.Cut(path, "#")
			h.Good(link, h.Do("GET", "/"+path, nil), nil)
		}
	}
	h.Configure(repo.Settings{}, config)
	with := e.Header.Clone()
	if with == nil {
		with = http.Header{}
	}
	with.Set("X-Forwarded-Host", "evil.example")
	if r := h.Do("GET", "/r"+e.Index(e.Package), with); bytes.Contains(r.Body, []byte("evil.example")) {
		t.Errorf("a forged X-Forwarded-Host stands in the index: %s", r)
	}
}

func junkPaths(t *testing.T, e Ecosystem) {
	h, _ := stocked(t, e)
	for _, path := range []string{
		"/", "//", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/", "/a%00b", "/..\\x", "/%252e%252e/", "/C:/x", "/-/junk/x/y/z/zz",
		"/" + strings.Repeat("a", 3000), "/%zz", "/a;x=1/b;y=2", "/\x01", "/%0d%0aX-Evil:1",
	} {
		r := h.Get(path)
		if r.Err == nil && r.Status < 300 && r.Status != http.StatusNoContent && path != "/" && path != "//" {
			t.Errorf("%q: got %s, want an error", path, r)
		}
		if r.Status >= 500 && r.Status != http.StatusNotImplemented {
			t.Errorf("%q: got %s", path, r)
		}
		if r.Header.Get("X-Evil") != "" {
			t.Errorf("%q: injected a header", path)
		}
	}
	for _, r := range h.Up.Requests("") {
		if strings.Contains(r.Path, "..") || strings.Contains(r.Path, "%2e%2e") || strings.Contains(r.Path, "passwd") {
			t.Errorf("the upstream was asked for %q", r.Path)
		}
	}
}

func lostBlob(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	h.Good("index", h.Index(e.Package), nil)
	first := h.Good("file", h.File(e.Package, rs[0]), nil)
	h.Good("held file", h.File(e.Package, rs[0]), first.Body)
	for holding, err := range h.Catalog.Held(t.Context(), "r/up", "") {
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Blobs.Delete(t.Context(), holding.Blob); err != nil {
			t.Fatal(err)
		}
	}
	h.Configure(repo.Settings{}, h.Config("r", h.Up)) // and what memory has of it
	h.Good("fetched again", h.File(e.Package, rs[0]), first.Body)
	h.fetched(e.UpstreamFile(e.Package, rs[0]), 2)
}
