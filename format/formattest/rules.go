package formattest

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/repo"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func itoa(n int) string { return strconv.Itoa(n) }

func unpack(t *testing.T, encoding string, b []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(b)
	switch encoding {
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	case "zstd":
		z, err := zstd.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("unpack %s: %v", encoding, err)
	}
	return text
}

// holdHides: the newest version was published a day ago, and the repository holds a week.
func holdHides(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e, Rules(t, map[string]any{"hold": "7d"}))
	index := h.Good("index", h.Index(e.Package), nil)
	h.Shows("index", index, rs[1].Version, true)
	h.Shows("index", index, rs[2].Version, false)
	path := "/r" + e.File(e.Package, rs[2])
	for _, method := range []string{"GET", "HEAD"} {
		h.Want(method+" of a held back file", h.Do(method, path, nil), http.StatusForbidden)
	}
	h.Want("range of a held back file", h.Do("GET", path, http.Header{"Range": {"bytes=0-3"}}), http.StatusForbidden)
	r := h.File(e.Package, rs[2])
	if !bytes.Contains(r.Body, []byte("7 days")) && !bytes.Contains(r.Body, []byte("week")) {
		t.Errorf("the answer does not say how long it is held: %s", r)
	}
	h.fetched(e.UpstreamFile(e.Package, rs[2]), 0)
	h.Good("an older file", h.File(e.Package, rs[1]), e.Bytes(e.Package, rs[1]))
}

// holdEnds: the same, six days and a bit later, with no new document.
func holdEnds(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e, Rules(t, map[string]any{"hold": "7d"}))
	before := h.Good("index", h.Index(e.Package), nil)
	h.Shows("before", before, rs[2].Version, false)
	h.Want("file before", h.File(e.Package, rs[2]), http.StatusForbidden)
	h.Up.Order(e.UpstreamIndex(e.Package), "always 304-bare")
	h.Up.Refuse()
	h.Pass(6*24*time.Hour - time.Minute)
	h.Shows("a minute before", h.Good("index", h.Index(e.Package), nil), rs[2].Version, false)
	h.Pass(2 * time.Minute)
	after := h.Good("index after", h.Index(e.Package), nil)
	h.Shows("a minute after", after, rs[2].Version, true)
	if before.Header.Get("Etag") == after.Header.Get("Etag") {
		t.Errorf("the index changed and its tag did not: %s", after.Header.Get("Etag"))
	}
	h.Idle() // what is fetched ahead fails while the upstream refuses, and not after
	if err := h.Up.Accept(); err != nil {
		t.Fatal(err)
	}
	h.Pass(10 * time.Minute) // the breaker lets it be asked again
	h.Good("file after", h.File(e.Package, rs[2]), e.Bytes(e.Package, rs[2]))
}

func blockedName(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e, Rules(t, map[string]any{"block": []any{e.Package}, "why": "known to be malware"}))
	e.Put(h.Up, e.Other, rs...)
	h.Want("index", h.Index(e.Package), http.StatusForbidden)
	for _, method := range []string{"GET", "HEAD"} {
		h.Want(method+" file", h.Do(method, "/r"+e.File(e.Package, rs[0]), nil), http.StatusForbidden)
	}
	if r := h.File(e.Package, rs[0]); !bytes.Contains(r.Body, []byte("known to be malware")) {
		t.Errorf("the answer lacks the rule's words: %s", r)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("a name that is blocked cost %d upstream requests", n)
	}
	h.Good("another name", h.Index(e.Other), nil)
}

// claimed: not a request goes up for a claimed name, on any route.
func claimed(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e, func(c *repo.Config) { c.Claims = []string{e.Claim} })
	e.Put(h.Up, e.Other, rs...)
	for _, method := range []string{"GET", "HEAD"} {
		h.Want(method+" index", h.Do(method, "/r"+e.Index(e.Package), e.Header), http.StatusNotFound)
		h.Want(method+" file", h.Do(method, "/r"+e.File(e.Package, rs[0]), nil), http.StatusNotFound)
	}
	for _, path := range e.Spellings {
		h.Do("GET", "/r"+path, e.Header)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("a claimed name cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
	h.Good("another name", h.Index(e.Other), nil)
}

// layersHide: the first upstream that has a name is the package; what another has of it is not seen.
func layersHide(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	second := faulty.New(t)
	h.Configure(repo.Settings{}, h.Config("r", h.Up, second))
	e.Put(h.Up, e.Package, rs[:1]...)
	for _, r := range rs[1:] {
		h.Up.Remove(e.UpstreamFile(e.Package, r))
	}
	other := rs[2]
	other.Variant = 1
	e.Put(second, e.Package, other)
	e.Put(second, e.Other, rs...)
	index := h.Good("index", h.Index(e.Package), nil)
	h.Shows("index", index, rs[0].Version, true)
	h.Shows("index", index, other.Version, false)
	h.Good("a name that only the second has", h.Index(e.Other), nil)
	h.Good("its file", h.File(e.Other, rs[0]), e.Bytes(e.Other, rs[0]))
	if !e.Unlisted {
		h.Want("a file that only the second has", h.File(e.Package, other), http.StatusNotFound)
	}

	h2 := New(t, e)
	h2.Configure(repo.Settings{}, h2.Config("r", h2.Up, second))
	h2.Up.Order("*", "always 500")
	h2.Want("the first is ill: the second is not asked instead", h2.Index(e.Other), http.StatusServiceUnavailable)
	h2.Want("nor for a file", h2.File(e.Other, rs[0]), http.StatusServiceUnavailable)
}

// layersUnite: each version comes whole from the first layer that has it.
func layersUnite(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	second := faulty.New(t)
	c := h.Config("r", h.Up, second)
	c.Union = true
	h.Configure(repo.Settings{}, c)
	e.Put(h.Up, e.Package, rs[:2]...)
	h.Up.Remove(e.UpstreamFile(e.Package, rs[2]))
	other := []Release{rs[1], rs[2]}
	for i := range other {
		other[i].Variant = 1
	}
	e.Put(second, e.Package, other...)
	index := h.Good("index", h.Index(e.Package), nil)
	for _, r := range rs {
		h.Shows("index", index, r.Version, true)
	}
	h.Good("a version that both have", h.File(e.Package, rs[1]), e.Bytes(e.Package, rs[1]))
	h.Good("a version that the second has", h.File(e.Package, other[1]), e.Bytes(e.Package, other[1]))
	second.Order("*", "always 500")
	h.Pass(time.Hour)
	h.Good("the second is ill", h.Index(e.Package), index.Body)
}

func siblings(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	stable := h.Config("stable", h.Up)
	dev := repo.Config{Name: "r", Format: e.Format, Public: true, Options: e.Options, Upstreams: []repo.Upstream{{Sibling: "stable"}}}
	h.Configure(repo.Settings{}, dev, stable)
	index := h.Good("index", h.Index(e.Package), nil)
	for _, r := range rs {
		h.Shows("index", index, r.Version, true)
		h.Good("file", h.File(e.Package, r), e.Bytes(e.Package, r))
	}
	stable.Claims = []string{e.Claim}
	h.Configure(repo.Settings{}, dev, stable)
	h.Want("what the sibling claims", h.Index(e.Package), http.StatusNotFound)
	ring := stable
	ring.Upstreams = []repo.Upstream{{Sibling: "r"}}
	if err := h.Pond.Configure(t.Context(), repo.Settings{}, []repo.Config{dev, ring}); err == nil {
		t.Error("repositories that read through to each other in a circle were accepted")
	}
}

// offline: what is held is shown and served, what is not says so, and nobody is asked.
func offline(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	h.Good("index", h.Index(e.Package), nil)
	h.Good("file", h.File(e.Package, rs[0]), nil)
	h.Idle() // what is fetched ahead is not asked for offline
	h.Configure(repo.Settings{Offline: true}, h.Config("r", h.Up))
	h.Up.Forget()
	h.Pass(time.Hour)
	index := h.Good("index offline", h.Index(e.Package), nil)
	h.Shows("index offline", index, rs[0].Version, true)
	h.Shows("index offline", index, rs[1].Version, false)
	h.Good("held file", h.File(e.Package, rs[0]), e.Bytes(e.Package, rs[0]))
	r := h.File(e.Package, rs[1])
	h.Want("file not held", r, http.StatusServiceUnavailable)
	if !bytes.Contains(r.Body, []byte("offline")) {
		t.Errorf("the answer does not say that the pond is offline: %s", r)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("offline, and the upstream was asked %d times: %v", n, h.Up.Requests(""))
	}
}

func fillModes(t *testing.T, e Ecosystem) {
	with := func(m repo.Mode) *House {
		h, _ := stocked(t, e, func(c *repo.Config) { c.Fill = []repo.Fill{{Pattern: e.Package, Mode: m}} })
		h.Good("index", h.Index(e.Package), nil)
		return h
	}
	rs := e.releases()
	body := e.Bytes(e.Package, rs[0])

	h := with(repo.Pass)
	before := h.Kept()
	h.Good("pass", h.File(e.Package, rs[0]), body)
	h.Good("pass again", h.File(e.Package, rs[0]), body)
	h.fetched(e.UpstreamFile(e.Package, rs[0]), 2)
	if kept := h.Kept(); kept != before {
		t.Errorf("pass: %d blobs are kept, want %d", kept, before)
	}

	h = with(repo.CachedOnly)
	h.Want("cached-only", h.File(e.Package, rs[0]), http.StatusNotFound)
	h.fetched(e.UpstreamFile(e.Package, rs[0]), 0)

	h = with(repo.Redirect)
	r := h.Want("redirect", h.File(e.Package, rs[0]), http.StatusFound)
	if at := r.Header.Get("Location"); at != h.Up.URL+e.UpstreamFile(e.Package, rs[0]) {
		t.Errorf("redirect: to %q, want the upstream's", at)
	}
	h.Idle() // the fill behind its back
	h.Good("held after a redirect", h.File(e.Package, rs[0]), body)
	h.fetched(e.UpstreamFile(e.Package, rs[0]), 1)
	h.Good("another name is stored", func() Reply { e.Put(h.Up, e.Other, rs...); h.Index(e.Other); return h.File(e.Other, rs[0]) }(), nil)
}
