package oci

import (
	"net/http"
	"strings"
	"testing"

	"millpond/format/formattest"
)

// TestCase28Artifacts: what cosign, oras and buildx push, by the requests and the media types that they document: a signature by
// tag, a bundle as a referrer, an artifact without a configuration, an index with attestations. All of it is pulled back byte for
// byte, and found by the subject. (Helm and regctl have scripts.)
func TestCase28Artifacts(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	const image = "acme/app"
	h.Published("the image", publishImage(c, image, release))
	m := manifestOf(image, release)
	subject := object{"mediaType": typeManifest, "digest": digestOf(t, "sha256", m), "size": len(m)}
	empty := []byte("{}")
	blob := func(b []byte) {
		t.Helper()
		h.Published("a blob", pushBlob(c, image, b))
	}
	put := func(what, ref, kind string, b []byte) formattest.Reply {
		t.Helper()
		r := h.Published(what, pushManifest(c, image, ref, kind, b))
		if !strings.Contains(ref, ":") {
			h.Good(what+" by tag", h.Do("GET", "/r"+root+image+"/manifests/"+ref, http.Header{"Accept": {kind}}), b)
		}
		back := h.Good(what, h.Get(manifestPath(image, b)), b)
		if got := back.Header.Get("Content-Type"); got != kind {
			t.Errorf("%s is of type %q, want %q", what, got, kind)
		}
		return r
	}
	blob(empty)

	// cosign: a signature is an image under a tag that is made of the digest.
	payload := []byte(`{"critical":{"identity":{"docker-reference":"acme/app"}}}`)
	config := []byte(`{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`)
	blob(payload)
	blob(config)
	layer := describe("application/vnd.dev.cosign.simplesigning.v1+json", payload)
	layer["annotations"] = object{"dev.cosignproject.cosign/signature": "MEUCIQ=="}
	for _, kind := range []string{".sig", ".att", ".sbom"} {
		put("cosign's "+kind, strings.Replace(digestOf(t, "sha256", m), ":", "-", 1)+kind, typeManifest,
			asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "config": describe(typeConfig, config), "layers": []any{layer}, "annotations": object{"for": kind}}))
	}
	if n := len(descriptors(t, h.Get(root+image+"/referrers/"+digestOf(t, "sha256", m)))); n != 0 {
		t.Errorf("signatures by tag are %d referrers, want none", n)
	}

	// cosign's bundle, and oras attach: referrers with an artifactType and the empty configuration.
	for _, kind := range []string{"application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.acme.sbom"} {
		blob([]byte(kind))
		b := asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "artifactType": kind, "config": describe("application/vnd.oci.empty.v1+json", empty),
			"layers": []any{describe(kind, []byte(kind))}, "subject": subject, "annotations": object{"org.opencontainers.image.created": "2026-01-01T00:00:00Z"}})
		if r := put("a referrer", digestOf(t, "sha256", b), typeManifest, b); r.Header.Get("OCI-Subject") != digestOf(t, "sha256", m) {
			t.Errorf("OCI-Subject is %q", r.Header.Get("OCI-Subject"))
		}
		found := h.Get(root + image + "/referrers/" + digestOf(t, "sha256", m) + "?artifactType=" + strings.ReplaceAll(kind, "+", "%2B"))
		list := descriptors(t, found)
		if len(list) != 1 || list[0].ArtifactType != kind || list[0].Digest != digestOf(t, "sha256", b) || found.Header.Get("OCI-Filters-Applied") != "artifactType" {
			t.Errorf("referrers of kind %s are %+v", kind, list)
		}
	}
	if n := len(descriptors(t, h.Get(root+image+"/referrers/"+digestOf(t, "sha256", m)))); n != 2 {
		t.Errorf("%d referrers, want 2", n)
	}

	// oras push: an artifact of its own, without a configuration to speak of.
	put("an artifact", "artifact", typeManifest, asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "artifactType": "application/vnd.acme.thing",
		"config": object{"mediaType": "application/vnd.oci.empty.v1+json", "digest": digestOf(t, "sha256", empty), "size": 2, "data": "e30="}, "layers": []any{describe("text/plain", payload)}}))

	// buildx: an index whose attestations are manifests of no platform.
	attestation := asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "config": describe(typeConfig, config), "layers": []any{describe("application/vnd.in-toto+json", payload)}})
	put("an attestation", digestOf(t, "sha256", attestation), typeManifest, attestation)
	child, about := describe(typeManifest, m), describe(typeManifest, attestation)
	child["platform"] = object{"architecture": "amd64", "os": "linux"}
	about["platform"] = object{"architecture": "unknown", "os": "unknown"}
	about["annotations"] = object{"vnd.docker.reference.digest": digestOf(t, "sha256", m), "vnd.docker.reference.type": "attestation-manifest"}
	put("an index", "all", typeIndex, asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{child, about}}))
}
