package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
)

// descriptors are those of a list of referrers.
func descriptors(t *testing.T, r formattest.Reply) []descriptor {
	t.Helper()
	var list index
	if err := json.Unmarshal(r.Body, &list); err != nil || r.Status != 200 || r.Header.Get("Content-Type") != typeIndex || list.MediaType != typeIndex || list.Manifests == nil {
		t.Fatalf("a list of referrers: got %s %v", r, r.Header)
	}
	return list.Manifests
}

func TestCase08Referrers(t *testing.T) {
	h := house(t, claimed, unpublish)
	c := h.As(formattest.Owner)
	subject := millpond.SHA256(manifestOf("acme/app", release)).String()
	get := func(query string) formattest.Reply {
		return c.Do("GET", root+"acme/app/referrers/"+subject+query, nil, nil)
	}
	if got := descriptors(t, get("")); len(got) != 0 {
		t.Errorf("an unknown image has referrers %v", got)
	}
	refused(t, "a bad digest", c.Do("GET", root+"acme/app/referrers/sha256:x", nil, nil), http.StatusBadRequest, codeDigestInvalid)
	h.Published("empty config", pushBlob(c, "acme/app", []byte("{}")))
	refer := func(kind string) []byte {
		return asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "artifactType": kind, "config": describe("application/vnd.oci.empty.v1+json", []byte("{}")),
			"layers": []any{}, "subject": object{"mediaType": typeManifest, "digest": subject, "size": 1}, "annotations": object{"org.example.kind": kind}})
	}
	sig, sbom := refer("application/vnd.acme.sig"), refer("application/vnd.acme.sbom")
	list := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{}, "subject": object{"mediaType": typeManifest, "digest": subject, "size": 1}})
	for _, b := range [][]byte{sig, sbom, list} { // before their subject
		kind := typeManifest
		if string(b) == string(list) {
			kind = typeIndex
		}
		h.Want("push a referrer", pushManifest(c, "acme/app", millpond.SHA256(b).String(), kind, b), http.StatusCreated)
	}
	h.Published("the subject", publishImage(c, "acme/app", release))
	all := descriptors(t, get(""))
	if len(all) != 3 {
		t.Fatalf("referrers are %v, want three", all)
	}
	for _, d := range all {
		if d.Digest == millpond.SHA256(sig).String() && (d.ArtifactType != "application/vnd.acme.sig" || d.Annotations["org.example.kind"] != d.ArtifactType || d.Size != int64(len(sig))) ||
			d.Digest == millpond.SHA256(list).String() && (d.ArtifactType != "" || d.MediaType != typeIndex) {
			t.Errorf("a referrer is %+v", d)
		}
	}
	some := get("?artifactType=application/vnd.acme.sbom")
	if got := descriptors(t, some); len(got) != 1 || got[0].Digest != millpond.SHA256(sbom).String() || some.Header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("filtered: got %v %v", got, some.Header)
	}
	hand := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{describe(typeManifest, []byte("by hand"))}})
	h.Want("a tag by hand", pushManifest(c, "acme/app", strings.Replace(subject, ":", "-", 1), typeIndex, hand), http.StatusCreated)
	if got := descriptors(t, get("")); len(got) != 3 {
		t.Errorf("a tag added referrers: %v", got)
	}
	h.Want("delete a referrer", c.Do("DELETE", root+"acme/app/manifests/"+millpond.SHA256(sig).String(), nil, nil), http.StatusAccepted)
	if got := descriptors(t, get("")); len(got) != 2 {
		t.Errorf("after a deletion: %v", got)
	}
	tags := h.Good("tags", c.Do("GET", root+"acme/app/tags/list", nil, nil), nil)
	if bytes.Contains(tags.Body, []byte("@")) {
		t.Errorf("edges are among the tags: %s", tags)
	}
}

func TestCase08ReferrersOfUpstream(t *testing.T) {
	h := house(t)
	subject := millpond.SHA256(manifestOf("acme/app", release)).String()
	d := describe(typeManifest, []byte("sig"))
	d["artifactType"] = "application/vnd.acme.sig"
	list := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{d}})
	h.Up.Put(root+"acme/app/referrers/"+subject, faulty.Object{Body: list, Type: typeIndex})
	h.Up.Put(root+"acme/old/manifests/"+strings.Replace(subject, ":", "-", 1), faulty.Object{Body: list, Type: typeIndex})
	for _, image := range []string{"acme/app", "acme/old"} {
		if got := descriptors(t, h.Get(root+image+"/referrers/"+subject)); len(got) != 1 || got[0].ArtifactType != "application/vnd.acme.sig" {
			t.Errorf("%s: got %v", image, got)
		}
	}
	if got := descriptors(t, h.Get(root+"acme/none/referrers/"+subject)); len(got) != 0 {
		t.Errorf("of nothing: got %v", got)
	}
	h.Up.Order("*", "always 500")
	h.Pass(time.Hour)
	if got := descriptors(t, h.Get(root+"acme/app/referrers/"+subject)); len(got) != 1 {
		t.Errorf("the upstream ill: got %v", got)
	}
	h.Want("the upstream ill, nothing kept", h.Get(root+"acme/new/referrers/"+subject), http.StatusServiceUnavailable)
}

func tagList(t *testing.T, r formattest.Reply) []string {
	t.Helper()
	var list struct {
		Name string
		Tags []string
	}
	if err := json.Unmarshal(r.Body, &list); err != nil || r.Status != 200 || list.Tags == nil {
		t.Fatalf("a list of tags: got %s", r)
	}
	return list.Tags
}

func TestCase09Pages(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	list := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{}})
	want := []string{"A", "B-1", "_x", "a", "a.b", "latest", "z9"}
	for _, tag := range []string{"latest", "a", "z9", "A", "a.b", "_x", "B-1"} {
		h.Want("push", pushManifest(c, "acme/app", tag, typeIndex, list), http.StatusCreated)
	}
	at := root + "acme/app/tags/list"
	if got := tagList(t, h.Get(at)); !slices.Equal(got, want) {
		t.Errorf("tags are %q, want %q", got, want)
	}
	none := h.Get(at + "?n=0")
	if got := tagList(t, none); len(got) != 0 || none.Header.Get("Link") != "" {
		t.Errorf("n=0: got %q, Link %q", got, none.Header.Get("Link"))
	}
	for _, n := range []int{1, 2, 3, 100} {
		var walked []string
		for next := fmt.Sprintf("/r%s?n=%d", at, n); next != ""; {
			r := h.Do("GET", next, nil)
			part := tagList(t, r)
			if len(part) > n {
				t.Fatalf("n=%d gave %q", n, part)
			}
			walked = append(walked, part...)
			next, _, _ = strings.Cut(strings.TrimPrefix(r.Header.Get("Link"), "<"), ">")
		}
		if !slices.Equal(walked, want) {
			t.Errorf("n=%d walked to %q, want %q", n, walked, want)
		}
	}
	if got := tagList(t, h.Get(at+"?last=a.a")); !slices.Equal(got, []string{"a.b", "latest", "z9"}) {
		t.Errorf("after what is not there: got %q", got)
	}
	h.Want("a bad number", h.Get(at+"?n=x"), http.StatusBadRequest)
	h.Want("a huge number", h.Get(at+"?n=99999999999999999999999"), http.StatusOK)
	refused(t, "an unknown image", h.Get(root+"acme/none/tags/list"), http.StatusNotFound, codeNameUnknown)
}

func TestCase09UpstreamPages(t *testing.T) {
	h := house(t)
	page := func(at string, link string, tags ...string) {
		o := faulty.Object{Body: asJSON(object{"name": "acme/app", "tags": tags}), Type: "application/json", Header: http.Header{}}
		if link != "" {
			o.Header.Set("Link", "<"+link+">; rel=\"next\"")
		}
		h.Up.Put(at, o)
	}
	page(root+"acme/app/tags/list", root+"acme/app/tags/more", "b", "a")
	page(root+"acme/app/tags/more", "http://elsewhere.example/x", "d", "c", "..")
	if got := tagList(t, h.Get(root+"acme/app/tags/list")); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("pages of an upstream: got %q", got)
	}
}

func TestCase09Delete(t *testing.T) {
	h := house(t, unpublish)
	c := h.As(formattest.Owner)
	h.Published("push", publishImage(c, "acme/app", release))
	m := manifestOf("acme/app", release)
	digest := millpond.SHA256(m).String()
	h.Want("a second tag", pushManifest(c, "acme/app", "second", typeManifest, m), http.StatusCreated)
	h.Want("delete a tag", c.Do("DELETE", root+"acme/app/manifests/second", nil, nil), http.StatusAccepted)
	refused(t, "the tag", h.Get(root+"acme/app/manifests/second"), http.StatusNotFound, codeManifestUnknown)
	h.Good("its manifest stays", h.Get(root+"acme/app/manifests/1.0.0"), m)
	for what, path := range map[string]string{
		"tag": "manifests/none", "manifest": "manifests/" + millpond.SHA256([]byte("x")).String(), "blob": "blobs/" + millpond.SHA256([]byte("x")).String(),
	} {
		h.Want("an absent "+what, c.Do("DELETE", root+"acme/app/"+path, nil, nil), http.StatusNotFound)
		h.Want("an absent "+what+" of an absent image", c.Do("DELETE", root+"acme/none/"+path, nil, nil), http.StatusNotFound)
	}
	h.Want("delete the manifest", c.Do("DELETE", root+"acme/app/manifests/"+digest, nil, nil), http.StatusAccepted)
	refused(t, "it", h.Get(root+"acme/app/manifests/"+digest), http.StatusNotFound, codeManifestUnknown)
	refused(t, "its tag", h.Get(root+"acme/app/manifests/1.0.0"), http.StatusNotFound, codeManifestUnknown)
	h.Pass(25 * time.Hour)
	refused(t, "its blobs", h.Get(root+"acme/app/blobs/"+millpond.SHA256(layerOf("acme/app", release)).String()), http.StatusNotFound, codeBlobUnknown)
	asked := h.Up.Count("", "")
	h.Published("pushed again", publishImage(c, "acme/app", release))
	h.Good("pushed again", h.Get(root+"acme/app/manifests/1.0.0"), m)
	if n := h.Up.Count("", ""); n != asked {
		t.Errorf("a name that was ours cost %d upstream requests", n-asked)
	}

	put(h.Up, "acme/theirs", release)
	theirs := millpond.SHA256(manifestOf("acme/theirs", release)).String()
	h.Good("read through", h.Get(root+"acme/theirs/manifests/1.0.0"), nil)
	h.Good("read through", h.Get(root+"acme/theirs/blobs/"+millpond.SHA256(layerOf("acme/theirs", release)).String()), nil)
	for _, path := range []string{"manifests/1.0.0", "manifests/" + theirs, "blobs/" + millpond.SHA256(layerOf("acme/theirs", release)).String()} {
		refused(t, "an upstream's "+path, c.Do("DELETE", root+"acme/theirs/"+path, nil, nil), http.StatusMethodNotAllowed, codeUnsupported)
	}
}

func TestEvents(t *testing.T) {
	h := house(t, claimed, unpublish)
	c := h.As(formattest.Owner)
	h.Published("push", publishImage(c, "acme/app", release))
	h.Published("the same again", publishImage(c, "acme/app", release))
	m := manifestOf("acme/app", release)
	h.Want("another tag", pushManifest(c, "acme/app", "latest", typeManifest, m), http.StatusCreated)
	h.Get(root + "acme/app/manifests/latest")
	h.Want("delete a tag", c.Do("DELETE", root+"acme/app/manifests/latest", nil, nil), http.StatusAccepted)
	h.Want("delete", c.Do("DELETE", root+"acme/app/manifests/"+millpond.SHA256(m).String(), nil, nil), http.StatusAccepted)
	h.WantLog("one event for each change", "publish", "move", "move", "delete")
	if e := h.Log()[0]; e.Key.Package != "acme/app" || e.Key.Version != millpond.SHA256(m).String() || e.Name != formattest.Owner || !bytes.Contains(e.Detail, []byte("1.0.0")) {
		t.Errorf("the event of a push is %+v %s", e, e.Detail)
	}
}
