package oci

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

func blobPath(image string, b []byte) string {
	return root + image + "/blobs/" + millpond.SHA256(b).String()
}

func manifestPath(image string, b []byte) string {
	return root + image + "/manifests/" + millpond.SHA256(b).String()
}

func TestCase10Ranges(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	b := []byte(strings.Repeat("0123456789", 500))
	h.Published("push", pushBlob(c, "acme/app", b))
	h.Up.Put(blobPath("other/app", b), faulty.Object{Body: b})
	for _, image := range []string{"acme/app", "other/app"} { // hosted, and cold
		at := "/r" + blobPath(image, b)
		for spec, want := range map[string]string{"bytes=0-9": "0123456789", "bytes=4995-": "56789", "bytes=-3": "789", "bytes=13-13": "3"} {
			r := h.Do("GET", at, http.Header{"Range": {spec}})
			if r.Status != http.StatusPartialContent || string(r.Body) != want {
				t.Errorf("%s %s: got %s, want 206 %q", image, spec, r, want)
			}
		}
		r := h.Do("GET", at, http.Header{"Range": {"bytes=5000-"}})
		if h.Want(image+" past the end", r, http.StatusRequestedRangeNotSatisfiable); r.Header.Get("Content-Range") != "bytes */5000" {
			t.Errorf("%s past the end: Content-Range is %q", image, r.Header.Get("Content-Range"))
		}
		get, head := h.Do("GET", at, nil), h.Do("HEAD", at, nil)
		for _, name := range []string{"Content-Type", "Content-Length", "Etag", "Docker-Content-Digest", "Accept-Ranges", "Cache-Control"} {
			if get.Header.Get(name) != head.Header.Get(name) || get.Header.Get(name) == "" {
				t.Errorf("%s: GET says %s: %q, HEAD %q", image, name, get.Header.Get(name), head.Header.Get(name))
			}
		}
		h.Want(image+" with its tag", h.Do("GET", at, http.Header{"If-None-Match": {get.Header.Get("Etag")}}), http.StatusNotModified)
	}
}

func TestCase10ColdHead(t *testing.T) {
	h := house(t)
	put(h.Up, "acme/app", release)
	layer := layerOf("acme/app", release)
	at := blobPath("acme/app", layer)
	head := func(what string) {
		t.Helper()
		r := h.Want(what, h.Do("HEAD", "/r"+at, nil), http.StatusOK)
		if got := r.Header.Get("Content-Length"); got != fmt.Sprint(len(layer)) {
			t.Errorf("%s: Content-Length is %q, want %d", what, got, len(layer))
		}
	}
	head("before any manifest")
	head("again")
	h.Up.Want(t, at, 1)
	if r := h.Up.Requests(at)[0]; r.Method != "GET" || r.Header.Get("Range") != "bytes=0-0" {
		t.Errorf("the upstream was asked %s %q", r.Method, r.Header.Get("Range"))
	}
	h.Good("manifest", h.Get(root+"acme/app/manifests/1.0.0"), manifestOf("acme/app", release))
	config := blobPath("acme/app", configOf("acme/app", release))
	h.Want("named by a held manifest", h.Do("HEAD", "/r"+config, nil), http.StatusOK)
	h.Up.Want(t, config, 0)
	refused(t, "absent", h.Get(blobPath("acme/app", []byte("?"))), http.StatusNotFound, codeBlobUnknown)
}

func TestCase11OneDownload(t *testing.T) {
	h := house(t)
	layer := bytes.Repeat([]byte("layer "), 1<<20)
	at := blobPath("acme/app", layer)
	h.Up.Put(at, faulty.Object{Body: layer, ETag: `"x"`})
	gate := h.Up.Gate(at, 1<<20)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { h.Good("one of fifty", h.Get(at), layer) })
	}
	<-gate.Reached
	gate.Open()
	all.Wait()
	h.Up.Want(t, at, 1)
	if sent := h.Up.Sent(); sent > int64(len(layer))+1<<16 {
		t.Errorf("the upstream sent %d bytes of %d", sent, len(layer))
	}
}

// left asks for a layer, and leaves when the first bytes of it have come.
func left(t *testing.T, h *formattest.House, path string) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, "GET", h.URL+"/r"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
		t.Error(err)
	}
}

// TestCase11AllLeave: when all readers of a cold layer have left, its download goes on, and the next reader finds it.
func TestCase11AllLeave(t *testing.T) {
	h := house(t)
	layer := bytes.Repeat([]byte("layer "), 1<<20)
	at := blobPath("acme/app", layer)
	h.Up.Put(at, faulty.Object{Body: layer, ETag: `"x"`})
	gate := h.Up.Gate(at, 2<<20)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { left(t, h, at) })
	}
	all.Wait()
	<-gate.Reached
	gate.Open()
	h.Good("who comes after them", h.Get(at), layer)
	h.Up.Want(t, at, 1)
}

// TestCase11Changed: a layer that is another in mid-download is begun anew, or its reader is cut: never a splice.
func TestCase11Changed(t *testing.T) {
	h := house(t)
	layer := bytes.Repeat([]byte("layer "), 1<<19)
	at := blobPath("acme/app", layer)
	h.Up.Put(at, faulty.Object{Body: layer, ETag: `"x"`})
	h.Up.Order(at, "cut 1000000", "change-mid-resume")
	if r := h.Get(at); r.Err == nil && r.Status == http.StatusOK && !bytes.Equal(r.Body, layer) {
		t.Errorf("the bytes are of two layers: %d", len(r.Body))
	}
	h.Up.Put(at, faulty.Object{Body: layer, ETag: `"x"`})
	h.Up.Order(at, "always ok")
	h.Pass(2 * time.Minute)
	for try := range 3 { // the first may find what was begun before, and be cut with it
		r := h.Get(at)
		if r.Err == nil && bytes.Equal(r.Body, layer) {
			return
		}
		if r.Err == nil && r.Status == http.StatusOK || try == 2 {
			t.Errorf("the layer is whole again, and reader %d got %d of its bytes, %v", try, len(r.Body), r.Err)
		}
		h.Pass(2 * time.Minute)
	}
}

func TestCase11Cut(t *testing.T) {
	for _, verb := range []string{"cut 1500000", "reset 1500000", "no-range"} {
		h := house(t)
		layer := bytes.Repeat([]byte("layer "), 1<<19)
		at := blobPath("acme/app", layer)
		h.Up.Put(at, faulty.Object{Body: layer, ETag: `"x"`})
		h.Up.Order(at, "cut 1000000", verb)
		h.Good(verb, h.Get(at), layer)
	}
}

func TestCase12Lies(t *testing.T) {
	for _, verb := range []string{"always lie", "always extra 5", "always cut 20", "always html-200", "always empty-200"} {
		h := house(t)
		put(h.Up, "acme/app", release)
		m := manifestOf("acme/app", release)
		h.Up.Order(manifestPath("acme/app", m), verb)
		h.Up.Order(blobPath("acme/app", layerOf("acme/app", release)), verb)
		before := h.Kept()
		for what, r := range map[string]formattest.Reply{
			"manifest by digest": h.Get(manifestPath("acme/app", m)), "manifest by tag": h.Get(root + "acme/app/manifests/1.0.0"),
			"blob": h.Get(blobPath("acme/app", layerOf("acme/app", release))),
		} {
			if verb == "always extra 5" && r.Status == 200 && r.Err == nil && (string(r.Body) == string(m) || string(r.Body) == string(layerOf("acme/app", release))) {
				continue // what comes behind the length that was announced is nobody's
			}
			if r.Err == nil && r.Status != http.StatusServiceUnavailable {
				t.Errorf("%s, %s: got %s, want 503 or a cut", verb, what, r)
			}
		}
		if verb != "always extra 5" {
			if kept := h.Kept(); kept != before {
				t.Errorf("%s: %d blobs are kept, want %d", verb, kept, before)
			}
		}
	}
}

// TestCase12Encoded: what comes with an encoding that nobody asked for is taken for what it decodes to, if that is what the digest
// says, and never kept or given as it came.
func TestCase12Encoded(t *testing.T) {
	h := house(t)
	put(h.Up, "acme/app", release)
	m, layer := manifestOf("acme/app", release), layerOf("acme/app", release)
	h.Up.Order(manifestPath("acme/app", m), "always gzip-body")
	h.Up.Order(blobPath("acme/app", layer), "always gzip-body")
	for range 2 {
		for path, want := range map[string][]byte{manifestPath("acme/app", m): m, blobPath("acme/app", layer): layer} {
			if r := h.Get(path); r.Status == http.StatusOK && (string(r.Body) != string(want) || r.Header.Get("Content-Encoding") != "") || r.Status != http.StatusOK && r.Status != http.StatusServiceUnavailable {
				t.Errorf("%s: got %s, Content-Encoding %q", path, r, r.Header.Get("Content-Encoding"))
			}
		}
	}
}

func TestCase12WrongDigestHeader(t *testing.T) {
	h := house(t)
	put(h.Up, "acme/app", release)
	other := millpond.SHA256([]byte("other")).String()
	h.Up.Put(root+"acme/app/manifests/1.0.0", faulty.Object{Body: manifestOf("acme/app", release), Type: typeManifest, Header: http.Header{"Docker-Content-Digest": {other}}})
	h.Up.Put(root+"acme/app/manifests/"+other, faulty.Object{Body: manifestOf("acme/app", release), Type: typeManifest})
	h.Want("a digest that is another's", h.Get(root+"acme/app/manifests/1.0.0"), http.StatusServiceUnavailable)
	h.Up.Put(root+"acme/app/manifests/2", faulty.Object{Body: manifestOf("acme/app", release), Type: typeManifest})
	got := h.Good("no digest header", h.Get(root+"acme/app/manifests/2"), manifestOf("acme/app", release))
	if got.Header.Get("Docker-Content-Digest") != millpond.SHA256(got.Body).String() {
		t.Errorf("the digest is %q", got.Header.Get("Docker-Content-Digest"))
	}
}

func TestCase12MovedBetween(t *testing.T) {
	h := house(t)
	put(h.Up, "acme/app", release)
	moved := release
	moved.Variant = 1
	h.Up.Handle(root+"acme/app/manifests/1.0.0", func(w http.ResponseWriter, r *http.Request) {
		put(h.Up, "acme/app", release) // the tag is taken back to what it was, and then moves
		w.Header().Set("Docker-Content-Digest", millpond.SHA256(manifestOf("acme/app", release)).String())
		w.Header().Set("Content-Type", typeManifest)
		lay(h.Up, root+"acme/app/manifests/other", typeManifest, manifestOf("acme/app", moved))
	})
	h.Good("as the tag was", h.Get(root+"acme/app/manifests/1.0.0"), manifestOf("acme/app", release))
}

func TestCase13UpstreamIll(t *testing.T) {
	h := house(t)
	put(h.Up, "acme/app", release)
	m := manifestOf("acme/app", release)
	tag := root + "acme/app/manifests/1.0.0"
	h.Good("cold", h.Get(tag), m)
	h.Good("tags", h.Get(root+"acme/app/tags/list"), nil)
	for _, verb := range []string{"500", "429 3600", "403", "401", "html-200", "refuse", "404"} {
		h.Up.Order("*", "always "+verb)
		h.Pass(time.Hour)
		if r := h.Good(verb+": a held tag", h.Get(tag), m); r.Header.Get(formattest.Result) != "stale" && verb != "html-200" {
			t.Errorf("%s: the answer came as %q, want stale", verb, r.Header.Get(formattest.Result))
		}
		h.Good(verb+": its list", h.Get(root+"acme/app/tags/list"), nil)
		if verb != "404" && verb != "html-200" {
			want := http.StatusServiceUnavailable
			if verb == "429 3600" {
				want = http.StatusTooManyRequests
			}
			r := h.Want(verb+": not held", h.Get(root+"acme/app/manifests/"+strings.ReplaceAll(verb, " ", "-")), want)
			if r.Header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", verb)
			}
		}
		h.Up.Order("*", "always ok")
	}
	h.Up.Order("*", "always 404")
	for range 5 {
		h.Pass(30 * 24 * time.Hour)
		h.Good("denied for months", h.Get(tag), m)
	}
	h.Up.Order("*", "always ok")
	h.Pass(time.Hour)
	moved := release
	moved.Variant = 1
	put(h.Up, "acme/app", moved)
	h.Good("well again", h.Get(tag), manifestOf("acme/app", moved))
	h.Configure(repo.Settings{Offline: true}, h.Config("r", h.Up))
	h.Up.Forget()
	h.Pass(time.Hour)
	h.Good("offline", h.Get(tag), manifestOf("acme/app", moved))
	h.Want("offline, not held", h.Get(blobPath("acme/app", layerOf("acme/app", moved))), http.StatusServiceUnavailable)
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("offline, the upstream was asked %d times", n)
	}
}

func TestCase13Gone(t *testing.T) {
	h := house(t, option(optGone, "24h"))
	put(h.Up, "acme/app", release)
	tag := root + "acme/app/manifests/1.0.0"
	h.Good("cold", h.Get(tag), nil)
	h.Up.Order("*", "always 404")
	h.Pass(time.Hour)
	h.Good("denied", h.Get(tag), nil)
	h.Pass(23 * time.Hour)
	h.Good("denied for a day, nearly", h.Get(tag), nil)
	h.Pass(2 * time.Hour)
	refused(t, "denied for a day", h.Get(tag), http.StatusNotFound, codeManifestUnknown)
	h.Good("by digest all the same", h.Get(manifestPath("acme/app", manifestOf("acme/app", release))), nil)
}

func TestCase14OneHead(t *testing.T) {
	h := house(t)
	put(h.Up, "acme/app", release)
	tag := root + "acme/app/manifests/1.0.0"
	h.Good("cold", h.Get(tag), nil)
	cold := h.Up.Count("", "")
	if cold != 2 {
		t.Errorf("a cold manifest by tag cost %d requests, want HEAD and GET: %v", cold, h.Up.Requests(""))
	}
	h.Pass(2 * time.Minute)
	h.Up.Order(tag, "slow 100ms")
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() { h.Good("stale", h.Get(tag), nil) })
	}
	all.Wait()
	if n := h.Up.Count("", "") - cold; n != 1 || h.Up.Count("HEAD", tag) != 2 {
		t.Errorf("200 readers of a stale tag cost %d requests, want one HEAD: %v", n, h.Up.Requests(""))
	}
}
