package oci

import (
	"net/http"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestSchema1: what an upstream has in docker's older form only is passed on by its tag, byte for byte, also while the upstream is
// ill; it has no digest here, is refused where there are rules, which could not judge it, and cannot be pushed.
func TestSchema1(t *testing.T) {
	old := []byte(`{"schemaVersion":1,"name":"team/old","tag":"1.0","fsLayers":[],"history":[],"signatures":[]}`)
	layer := []byte("a layer of an old image")
	digest := digestOf(t, "sha256", layer)
	lay := func(h *formattest.House) {
		h.Up.Put(root+"team/old/manifests/1.0", faulty.Object{Body: old, Type: typeDockerSchema, Header: http.Header{"Docker-Content-Digest": {digestOf(t, "sha256", []byte("without its signatures"))}}})
		h.Up.Put(root+"team/old/blobs/"+digest, faulty.Object{Body: layer})
	}
	h := house(t)
	lay(h)
	path := root + "team/old/manifests/1.0"
	for _, what := range []string{"cold", "warm"} {
		r := h.Good(what, h.Get(path), old)
		if got := r.Header.Get("Content-Type"); got != typeDockerSchema || r.Header.Get("Docker-Content-Digest") != "" {
			t.Errorf("%s: Content-Type is %q, and the digest %q, want none", what, got, r.Header.Get("Docker-Content-Digest"))
		}
	}
	head := h.Good("HEAD", h.Do("HEAD", "/r"+path, nil), nil)
	if head.Header.Get("Content-Type") != typeDockerSchema {
		t.Errorf("HEAD: Content-Type is %q", head.Header.Get("Content-Type"))
	}
	h.Good("its layer", h.Get(root+"team/old/blobs/"+digest), layer)
	h.Want("by the digest of its bytes", h.Get(manifestPath("team/old", old)), http.StatusNotFound)
	h.Want("pushed", h.As(formattest.Owner).Do("PUT", root+"team/new/manifests/1.0", http.Header{"Content-Type": {typeDockerSchema}}, old), http.StatusBadRequest)

	// While the upstream is ill it is served on; and when the tag moves to what is kept, that is.
	h.Up.Refuse()
	h.Pass(time.Hour)
	h.Good("the upstream gone", h.Get(path), old)
	if err := h.Up.Accept(); err != nil {
		t.Fatal(err)
	}
	put(h.Up, "team/old", formattest.Release{Version: "1.0"})
	h.Pass(time.Hour)
	h.Good("moved", h.Get(path), manifestOf("team/old", formattest.Release{Version: "1.0"}))

	ruled := house(t, formattest.Rules(t, map[string]any{"hold": "7d"}))
	lay(ruled)
	ruled.Pass(30 * 24 * time.Hour)
	ruled.Want("where there are rules", ruled.Get(path), http.StatusForbidden)
	claimed := house(t, func(c *repo.Config) { c.Claims = []string{"team/*"} })
	lay(claimed)
	claimed.Want("of a claimed name", claimed.Get(path), http.StatusNotFound)
	if n := claimed.Up.Count("", ""); n != 0 {
		t.Errorf("a claimed name cost %d upstream requests", n)
	}
}
