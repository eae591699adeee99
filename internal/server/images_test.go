package server

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"millpond/fetch"
	"millpond/format/oci"
	"millpond/repo"
)

// pushed puts a blob into an image, and returns its digest.
func (h *house) pushed(token, image string, b []byte) string {
	h.t.Helper()
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(b))
	wantAnswer(h.t, "push a blob", h.send("Bearer "+token, "POST", "/v2/"+image+"/blobs/uploads/?digest="+digest, bytes.NewReader(b)), 201, "")
	return digest
}

// TestCase18ExistenceOracle: what is only in a private image is, to who may not read it, as what is nowhere: by status, by words
// and by what a mount answers.
func TestCase18ExistenceOracle(t *testing.T) {
	h := imageHouse(t)
	known := h.pushed(h.admin, "team/secret", []byte("only in a private image"))
	none := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("nowhere")))
	stranger := "Bearer " + h.user("stranger", "publisher images mine/*")
	for _, caller := range []struct{ name, authorization string }{{"anonymous", ""}, {"a stranger", stranger}} {
		for _, one := range []struct{ method, path string }{
			{"HEAD", "/v2/team/secret/blobs/DIGEST"}, {"GET", "/v2/team/secret/blobs/DIGEST"}, {"GET", "/v2/team/secret/manifests/DIGEST"},
			{"POST", "/v2/team/secret/blobs/uploads/?mount=DIGEST"}, {"GET", "/v2/team/secret/referrers/DIGEST"},
			{"POST", "/v2/images/mine/app/blobs/uploads/?mount=DIGEST&from=team/secret"}, {"POST", "/v2/images/mine/app/blobs/uploads/?mount=DIGEST"},
		} {
			there := h.send(caller.authorization, one.method, strings.ReplaceAll(one.path, "DIGEST", known), nil)
			nowhere := h.send(caller.authorization, one.method, strings.ReplaceAll(one.path, "DIGEST", none), nil)
			if there.Code != nowhere.Code || strings.ReplaceAll(there.Body.String(), known, none) != nowhere.Body.String() {
				t.Errorf("%s %s %s: what there is is answered %d %s, and what there is not %d %s", caller.name, one.method, one.path, there.Code, there.Body, nowhere.Code, nowhere.Body)
			}
			if there.Code == 200 || there.Code == 201 {
				t.Errorf("%s %s %s: got %d", caller.name, one.method, one.path, there.Code)
			}
		}
		for image, other := range map[string]string{"team/secret": "team/nothing", "team/x": "nobody/x"} {
			a := h.send(caller.authorization, "GET", "/v2/"+image+"/tags/list", nil)
			b := h.send(caller.authorization, "GET", "/v2/"+other+"/tags/list", nil)
			mask := func(s, name string) string {
				first, _, _ := strings.Cut(name, "/")
				return strings.ReplaceAll(strings.ReplaceAll(s, name, "NAME"), first, "FIRST")
			}
			if a.Code != b.Code || mask(a.Body.String(), image) != mask(b.Body.String(), other) {
				t.Errorf("%s: %s is answered %d %s, and %s %d %s", caller.name, image, a.Code, a.Body, other, b.Code, b.Body)
			}
		}
		if r := h.send(caller.authorization, "GET", "/v2/_catalog", nil); strings.Contains(r.Body.String(), "secret") || strings.Contains(r.Body.String(), "team") {
			t.Errorf("%s: the catalog is %s", caller.name, r.Body)
		}
	}
	wantAnswer(t, "who may read it", h.send("Bearer "+h.admin, "HEAD", "/v2/team/secret/blobs/"+known, nil), 200, "")
}

// TestCase27MirrorAtAHostOfItsOwn: a daemon that takes a repository for its mirror names no repository and sends no credential:
// it is asked for none, and never sent elsewhere.
func TestCase27MirrorAtAHostOfItsOwn(t *testing.T) {
	h := newHouse(t)
	upstream := []repo.Upstream{{Settings: fetch.Settings{Name: "up", URL: h.upURL}}}
	public, err := url.Parse(housePublic)
	if err != nil {
		t.Fatal(err)
	}
	h.reconfigured(Settings{PublicURL: public}, repo.Config{Name: "mirror", Format: oci.Format{}, Public: true, Hosts: []string{"mirror.example"}, Options: map[string]string{"library": "true"}, Upstreams: upstream},
		repo.Config{Name: "team", Format: oci.Format{}})
	at := func(r *http.Request) { r.Host = "mirror.example" }
	wantAnswer(t, "ping", h.send("", "GET", "/v2/", nil, at), 200, "{}")
	before := h.upstream.Load()
	wantAnswer(t, "an image without a repository", h.send("", "HEAD", "/v2/library/alpine/manifests/latest", nil, at), 404, "")
	if h.upstream.Load() == before {
		t.Error("the upstream was not asked for an image at the mirror")
	}
	if r := h.send("", "GET", "/v2/team/app/manifests/latest", nil, at); r.Code == 200 || strings.Contains(r.Body.String(), "credential") {
		t.Errorf("another repository's image at the mirror: got %d %s", r.Code, r.Body)
	}
	wantAnswer(t, "the same host, pushed to without a credential", h.send("", "POST", "/v2/library/x/blobs/uploads/", nil, at), 401, "UNAUTHORIZED")
	wantAnswer(t, "ping at the pond's own address, where somebody may publish", h.send("", "GET", "/v2/", nil), 401, "UNAUTHORIZED")
}
