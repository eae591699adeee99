package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"strings"

	"millpond"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// mostManifest is how large a manifest may be.
const mostManifest = 4 << 20

// The media types of manifests.
const (
	typeIndex        = "application/vnd.oci.image.index.v1+json"
	typeManifest     = "application/vnd.oci.image.manifest.v1+json"
	typeDockerList   = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDocker       = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerSchema = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	typeBlob         = "application/octet-stream"
)

// acceptManifest names every kind of manifest that is kept: without the older ones some registries convert.
const acceptManifest = typeIndex + ", " + typeManifest + ", " + typeDockerList + ", " + typeDocker + ", */*"

// A descriptor points at a blob or a manifest.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Platform     json.RawMessage   `json:"platform,omitempty"`
}

// foreign reports whether the bytes are to be had elsewhere, and need not be in the image.
func (d *descriptor) foreign() bool {
	switch d.MediaType {
	case "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "application/vnd.docker.image.rootfs.foreign.diff.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd":
		return true
	}
	return len(d.URLs) > 0
}

// A manifest is what this registry reads of one; the rest is the clients' affair.
type manifest struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       *descriptor       `json:"config"`
	Layers       []descriptor      `json:"layers"`
	Blobs        []descriptor      `json:"blobs"` // of an artifact manifest, which came before 1.1
	Manifests    []descriptor      `json:"manifests"`
	Subject      *descriptor       `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

// needs are the descriptors of the blobs that an image is made of: configuration first.
func (m *manifest) needs() []descriptor {
	var all []descriptor
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	all = append(all, m.Layers...)
	return append(all, m.Blobs...)
}

// kindOf is the artifactType that a list of referrers says: the manifest's own, else its configuration's media type.
func (m *manifest) kindOf() string {
	if m.ArtifactType == "" && m.Config != nil {
		return m.Config.MediaType
	}
	return m.ArtifactType
}

// mostLicence is how long the words are that a rule reads for a licence.
const mostLicence = 1000

// licence is what a manifest says of its licence. What is longer than any is cut, and reads as none that a rule could know.
func licence(m *manifest) string {
	said := m.Annotations["org.opencontainers.image.licenses"]
	if len(said) > mostLicence {
		return strings.ToValidUTF8(said[:mostLicence], "") + "…"
	}
	return said
}

// mediaType is what the manifest is, by what it says of itself, and else by its shape.
func (m *manifest) mediaType() string {
	switch {
	case m.MediaType != "":
		return m.MediaType
	case m.Manifests != nil:
		return typeIndex
	}
	return typeManifest
}

// mostDepth is how deep a manifest may be nested.
const mostDepth = 64

// readPublished reads a manifest that somebody pushes, strictly: whoever judges it and whoever runs it must read the same.
// Keys are told apart by case, and none may be there twice.
func readPublished(b []byte) (*manifest, error) {
	bad := func(why string, err error) (*manifest, error) {
		return nil, coded(codeManifestInvalid, &millpond.Error{Kind: millpond.Invalid, Why: why, Err: err})
	}
	d := jsontext.NewDecoder(bytes.NewReader(b))
	for first := true; ; first = false {
		token, err := d.ReadToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return bad("the manifest is not one JSON object in which each key is there once", err)
		}
		if first && token.Kind() != '{' {
			return bad("the manifest is not a JSON object", nil)
		}
		if d.StackDepth() > mostDepth {
			return bad(fmt.Sprintf("the manifest is nested deeper than %d", mostDepth), nil)
		}
		if _, values := d.StackIndex(0); values > 1 {
			return bad("the manifest is more than one JSON object", nil)
		}
	}
	m := &manifest{}
	if err := jsonv2.Unmarshal(b, m); err != nil {
		return bad("the manifest has a field of a kind that no manifest has", err)
	}
	return m, nil
}

// readKept reads a manifest whose bytes are right by their digest, as far as it can be read.
func readKept(b []byte) (*manifest, error) {
	m := &manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "the manifest cannot be read", Err: err}
	}
	return m, nil
}

// plainType is a media type without its parameters.
func plainType(s string) string {
	t, _, err := mime.ParseMediaType(s)
	if err != nil {
		return ""
	}
	return t
}

// saysNothing reports whether a media type is one that servers give to what they do not know.
func saysNothing(t string) bool {
	switch t {
	case "", "application/json", "text/plain", "text/json", "text/html", typeBlob, "binary/octet-stream":
		return true
	}
	return false
}
