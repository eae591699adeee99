package oci

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"millpond"
	"millpond/format/formattest"
)

// TestCase08LongAnnotations: what is kept of a manifest beside its bytes has a bound, however long its annotations are; a list of
// referrers has them all the same, a few at a time.
func TestCase08LongAnnotations(t *testing.T) {
	h := house(t, claimed, unpublish)
	c := h.As(formattest.Owner)
	subject := millpond.SHA256([]byte("the subject")).String()
	h.Published("empty config", pushBlob(c, "acme/app", []byte("{}")))
	want := map[string]int{}
	for i := range 12 {
		size := []int{1 << 20, mostNoted - 1, mostNoted, 20}[i%4]
		b := asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "artifactType": fmt.Sprintf("application/vnd.acme.%d", i%2),
			"config": describe("application/vnd.oci.empty.v1+json", []byte("{}")), "layers": []any{},
			"subject":     object{"mediaType": typeManifest, "digest": subject, "size": 1},
			"annotations": object{"k": strings.Repeat("v", size-1), "org.opencontainers.image.licenses": strings.Repeat("MIT AND ", i*200) + "MIT"}})
		h.Want("push a referrer", pushManifest(c, "acme/app", millpond.SHA256(b).String(), typeManifest, b), http.StatusCreated)
		want[millpond.SHA256(b).String()] = size - 1
	}
	now, err := c.Repo().Hosted(t.Context(), "acme/app")
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for i := range now.Versions {
		kept += len(now.Versions[i].Meta) + len(now.Versions[i].Licence)
	}
	if most := 12 * (mostNoted + mostLicence + 500); kept > most {
		t.Errorf("of 12 manifests %d bytes are kept in records, want no more than %d", kept, most)
	}
	got, pages := map[string]int{}, 0
	for path := "/r" + root + "acme/app/referrers/" + subject; path != ""; pages++ {
		r := c.At("GET", path, nil, nil)
		for _, d := range descriptors(t, r) {
			got[d.Digest] = len(d.Annotations["k"])
		}
		if len(r.Body) > mostManifest {
			t.Errorf("a page has %d bytes", len(r.Body))
		}
		link := r.Header.Get("Link")
		path, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
		if pages > 20 {
			t.Fatalf("there is always another page: %s", link)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the lists have annotations of %v, want %v", got, want)
	}
	r := c.Do("GET", root+"acme/app/referrers/"+subject+"?artifactType=application/vnd.acme.1", nil, nil)
	if some := descriptors(t, r); len(some) != 6 || r.Header.Get("Link") != "" {
		t.Errorf("of one kind there are %d, %q", len(some), r.Header.Get("Link"))
	}
	long := "application/vnd." + strings.Repeat("x", mostType)
	for what, fields := range map[string]object{"artifact type": {"artifactType": long}, "media type": {"mediaType": long}} {
		fields["schemaVersion"], fields["layers"] = 2, []any{}
		kind := typeManifest
		if fields["mediaType"] != nil {
			kind = long
		}
		refused(t, "a long "+what, pushManifest(c, "acme/app", "long", kind, asJSON(fields)), http.StatusBadRequest, codeManifestInvalid)
	}
	foreign := asJSON(object{"schemaVersion": 2, "config": describe(long, []byte("{}")), "artifactType": "x/y", "layers": []any{}})
	h.Want("a long type of a blob", pushManifest(c, "acme/app", "blob", typeManifest, foreign), http.StatusCreated)
}

// TestCase07Parts: what a tag stands for that does not move is not deleted in part either.
func TestCase07Parts(t *testing.T) {
	h := house(t, claimed, option(optImmutable, "v*"), unpublish)
	c := h.As(formattest.Owner)
	h.Published("config", pushBlob(c, "acme/app", []byte("{}")))
	digest := func(b []byte) string { return millpond.SHA256(b).String() }
	child := func(name string) []byte {
		b := asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "config": describe(typeConfig, []byte("{}")), "layers": []any{}, "annotations": object{"name": name}})
		h.Want(name, pushManifest(c, "acme/app", digest(b), typeManifest, b), http.StatusCreated)
		return b
	}
	list := func(ref string, of ...[]byte) []byte {
		var all []any
		for _, b := range of {
			all = append(all, describe(typeManifest, b))
		}
		b := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": append(all, describe(typeManifest, []byte("it is not here "+ref)))})
		if ref == "" {
			ref = digest(b)
		}
		h.Want("an index", pushManifest(c, "acme/app", ref, typeIndex, b), http.StatusCreated)
		return b
	}
	amd, arm, other := child("amd64"), child("arm64"), child("other")
	inner := list("", amd)
	whole := list("v1", inner, arm)
	loose := list("latest", other)
	remove := func(b []byte) formattest.Reply {
		return c.Do("DELETE", root+"acme/app/manifests/"+digest(b), nil, nil)
	}
	h.Restart()
	for what, b := range map[string][]byte{"a child": arm, "a child's child": amd, "an inner index": inner, "the whole": whole} {
		refused(t, what, remove(b), http.StatusConflict, codeDenied)
		h.Good(what+" stays", c.Do("GET", root+"acme/app/manifests/"+digest(b), nil, nil), b)
	}
	h.Want("a child of what moves", remove(other), http.StatusAccepted)
	h.Want("what moves", remove(loose), http.StatusAccepted)
}

// TestCase02Excess: of a chunk that is longer than its range says, and whose length nobody says before, what is more is not taken.
func TestCase02Excess(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	b := []byte("0123456789")
	send := func(method, at, span string, part []byte) formattest.Reply {
		t.Helper()
		req, err := http.NewRequest(method, h.URL+at, io.MultiReader(bytes.NewReader(part))) // without a length
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Caller", formattest.Owner)
		req.Header.Set("Content-Range", span)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return formattest.Reply{Status: resp.StatusCode, Header: resp.Header, Body: body, Err: err}
	}
	at := begin(t, c, "acme/app")
	refused(t, "a chunk", send("PATCH", at, "0-4", b), http.StatusBadRequest, codeSizeInvalid)
	if s := c.At("GET", at, nil, nil); s.Header.Get("Range") != "0-4" {
		t.Errorf("after too long a chunk Range is %q, want what its own range said", s.Header.Get("Range"))
	}
	refused(t, "the last chunk", send("PUT", at+"?digest="+millpond.SHA256(b).String(), "5-8", b[5:]), http.StatusBadRequest, codeSizeInvalid)
	h.Want("the rest", send("PATCH", at, "9-9", b[9:]), http.StatusAccepted)
	h.Want("sealed", c.At("PUT", at+"?digest="+millpond.SHA256(b).String(), nil, nil), http.StatusCreated)
	h.Good("whole", c.Do("GET", root+"acme/app/blobs/"+millpond.SHA256(b).String(), nil, nil), b)
}
