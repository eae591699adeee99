package oci

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// asked counts what an upstream was asked about a blob: how often for its bytes, and how often for a word on it.
func asked(up *faulty.Server, path string) (downloads, words int) {
	for _, r := range up.Requests(path) {
		if r.Method == http.MethodHead || r.Header.Get("Range") == "bytes=0-0" {
			words++
		} else {
			downloads++
		}
	}
	return downloads, words
}

// imageOf lays an image of one layer on an upstream.
func imageOf(up *faulty.Server, image string, layer []byte) (manifest []byte) {
	config := configOf(image, release)
	m := asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "config": describe(typeConfig, config), "layers": []any{describe("x/layer", layer)}})
	lay(up, blobPath(image, config), typeBlob, config)
	lay(up, manifestPath(image, m), typeManifest, m)
	lay(up, root+image+"/manifests/1.0.0", typeManifest, m)
	return m
}

// TestLayersAreShared: a layer that is held for one image is not downloaded for another, if the upstream says that this one
// has it too.
func TestLayersAreShared(t *testing.T) {
	h := house(t)
	layer := []byte(strings.Repeat("a base that many are built on;", 100_000))
	for _, image := range []string{"team/first", "team/second", "team/third"} {
		lay(h.Up, blobPath(image, layer), typeBlob, layer)
		imageOf(h.Up, image, layer)
		h.Good(image, h.Get(root+image+"/manifests/1.0.0"), nil)
	}
	h.Good("the first image's", h.Get(blobPath("team/first", layer)), layer)
	var wait sync.WaitGroup
	replies := make([]formattest.Reply, 20)
	for i := range replies {
		wait.Go(func() { replies[i] = h.Get(blobPath("team/second", layer)) })
	}
	wait.Wait()
	for _, r := range replies {
		h.Good("the second image's", r, layer)
	}
	if downloads, words := asked(h.Up, blobPath("team/second", layer)); downloads != 0 || words != 1 {
		t.Errorf("the second image's layer cost %d downloads and %d questions, want one question", downloads, words)
	}
	h.Up.Order("*", "always 500")
	h.Good("the second image's, the upstream ill", h.Get(blobPath("team/second", layer)), layer)
	h.Want("the third's, of which nobody can say that it has it", h.Get(blobPath("team/third", layer)), http.StatusServiceUnavailable)
}

// TestS17ADigestIsNoRight: who knows a digest, and can name it in an image of his own, gets none of the bytes that are held for
// others.
func TestS17ADigestIsNoRight(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	hosted, theirs := []byte(strings.Repeat("ours alone;", 1000)), []byte(strings.Repeat("another image's;", 1000))
	h.Published("a hosted layer", pushBlob(c, "acme/secret", hosted))
	lay(h.Up, blobPath("team/private", theirs), typeBlob, theirs)
	imageOf(h.Up, "team/private", theirs)
	h.Good("another image's layer", h.Get(blobPath("team/private", theirs)), theirs)

	for what, layer := range map[string][]byte{"what is hosted": hosted, "what is another's": theirs} {
		imageOf(h.Up, "evil/app", layer) // which the upstream's image does not have
		h.Good("a manifest that names it", h.Get(root+"evil/app/manifests/1.0.0"), nil)
		for _, method := range []string{"GET", "HEAD"} {
			r := h.Do(method, "/r"+blobPath("evil/app", layer), nil)
			if method == "HEAD" && r.Status == http.StatusOK {
				continue // the manifest says as much
			}
			h.Want(method+" "+what, r, http.StatusNotFound)
		}
	}
	// An upstream that says yes to everything is no better: nothing of other layers is taken for its word.
	lay(h.Up, blobPath("evil/liar", hosted), typeBlob, []byte(strings.Repeat("x", len(hosted))))
	imageOf(h.Up, "evil/liar", hosted)
	h.Good("a manifest that names it", h.Get(root+"evil/liar/manifests/1.0.0"), nil)
	if r := h.Get(blobPath("evil/liar", hosted)); strings.Contains(string(r.Body), "ours") || r.Status == http.StatusOK && r.Err == nil {
		t.Errorf("a lie about a hosted blob: got %s", r)
	}

	// Nor can a publisher name in a manifest, or mount, what he may not read.
	h.Caller = repo.Caller{Actor: millpond.Actor{Name: "mallory"}, Rights: formattest.Rights{{Names: []string{"mallory/app"}, Verbs: []millpond.Verb{millpond.VerbRead, millpond.VerbPublish}}}}
	m := h.As("")
	for what, image := range map[string]string{"hosted": "acme/secret", "an upstream's": "team/private"} {
		layer := hosted
		if image == "team/private" {
			layer = theirs
		}
		digest := millpond.SHA256(layer).String()
		h.Want("mount what is "+what, m.Do("POST", root+"mallory/app/blobs/uploads/?mount="+digest+"&from="+image, nil, nil), http.StatusAccepted)
		h.Want("mount without a source", m.Do("POST", root+"mallory/app/blobs/uploads/?mount="+digest, nil, nil), http.StatusAccepted)
		h.Want("HEAD it there", m.Do("HEAD", root+"mallory/app/blobs/"+digest, nil, nil), http.StatusNotFound)
		naming := asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "layers": []any{describe("x/layer", layer)}})
		refused(t, "a manifest that names what is "+what, pushManifest(m, "mallory/app", "1", typeManifest, naming), http.StatusBadRequest, codeManifestBlobUnknown)
		r := m.Do("GET", root+"mallory/app/blobs/"+digest, nil, nil)
		h.Want("and no bytes of it", r, http.StatusNotFound)
	}
}
