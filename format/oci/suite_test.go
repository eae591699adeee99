package oci

import (
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

const typeConfig = "application/vnd.oci.image.config.v1+json"

// layerOf is the one layer of a test's image.
func layerOf(pkg string, r formattest.Release) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("layer of %s %s %d;", pkg, r.Version, r.Variant), 20))
}

func configOf(pkg string, r formattest.Release) []byte {
	return fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"},"created":%q,"author":"%s %d"}`, r.Published.Format(time.RFC3339), pkg, r.Variant)
}

type object = map[string]any

func describe(kind string, b []byte) object {
	return object{"mediaType": kind, "digest": millpond.SHA256(b).String(), "size": len(b)}
}

func asJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// manifestOf is the manifest of a test's image, which is its main file.
func manifestOf(pkg string, r formattest.Release) []byte {
	return asJSON(object{
		"schemaVersion": 2, "mediaType": typeManifest,
		"config":      describe(typeConfig, configOf(pkg, r)),
		"layers":      []any{describe("application/vnd.oci.image.layer.v1.tar", layerOf(pkg, r))},
		"annotations": object{"org.opencontainers.image.created": r.Published.Format(time.RFC3339), "org.opencontainers.image.version": r.Version},
	})
}

// lay puts bytes on an upstream, which tells their digest as registries do.
func lay(up *faulty.Server, path, kind string, body []byte) {
	up.Put(path, faulty.Object{Body: body, Type: kind, ETag: `"` + millpond.SHA256(body).Short() + `"`, Header: http.Header{
		"Docker-Content-Digest": {millpond.SHA256(body).String()},
	}})
}

// put lays images on an upstream.
func put(up *faulty.Server, pkg string, releases ...formattest.Release) {
	tags := []string{}
	for _, r := range releases {
		m, c, l := manifestOf(pkg, r), configOf(pkg, r), layerOf(pkg, r)
		at := root + pkg
		lay(up, at+"/manifests/"+millpond.SHA256(m).String(), typeManifest, m)
		lay(up, at+"/manifests/"+r.Version, typeManifest, m)
		lay(up, at+"/blobs/"+millpond.SHA256(c).String(), typeBlob, c)
		lay(up, at+"/blobs/"+millpond.SHA256(l).String(), typeBlob, l)
		tags = append(tags, r.Version)
	}
	b := asJSON(object{"name": pkg, "tags": tags})
	up.Put(root+pkg+"/tags/list", faulty.Object{Body: b, Type: "application/json", ETag: `"` + millpond.SHA256(b).Short() + `"`})
}

// pushBlob sends a blob as crane does: POST, one PATCH, PUT.
func pushBlob(c formattest.Client, pkg string, b []byte) formattest.Reply {
	begun := c.Do("POST", root+pkg+"/blobs/uploads/", nil, nil)
	if begun.Err != nil || begun.Status != http.StatusAccepted {
		return begun
	}
	sent := c.At("PATCH", begun.Header.Get("Location"), http.Header{"Content-Type": {typeBlob}}, b)
	if sent.Err != nil || sent.Status != http.StatusAccepted {
		return sent
	}
	return c.At("PUT", sent.Header.Get("Location")+"?digest="+millpond.SHA256(b).String(), nil, nil)
}

func pushManifest(c formattest.Client, pkg, ref, kind string, b []byte) formattest.Reply {
	return c.Do("PUT", root+pkg+"/manifests/"+ref, http.Header{"Content-Type": {kind}}, b)
}

func publishImage(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
	for _, b := range [][]byte{configOf(pkg, r), layerOf(pkg, r)} {
		if reply := pushBlob(c, pkg, b); reply.Err != nil || reply.Status != http.StatusCreated {
			return reply
		}
	}
	return pushManifest(c, pkg, r.Version, typeManifest, manifestOf(pkg, r))
}

// ecosystem is images as the suite drives them: a version is a tag, its main file the manifest by digest.
var ecosystem = formattest.Ecosystem{
	Format:        Format{},
	Root:          "/",
	Options:       map[string]string{optCreated: "trust", optImmutable: "*", optGone: "10m"},
	Put:           put,
	Bytes:         manifestOf,
	UpstreamIndex: func(pkg string) string { return root + pkg + "/tags/list" },
	UpstreamFile: func(pkg string, r formattest.Release) string {
		return root + pkg + "/manifests/" + millpond.SHA256(manifestOf(pkg, r)).String()
	},
	Index: func(pkg string) string { return root + pkg + "/tags/list" },
	File: func(pkg string, r formattest.Release) string {
		return root + pkg + "/manifests/" + millpond.SHA256(manifestOf(pkg, r)).String()
	},
	Lists: func(index []byte, version string) bool {
		var list struct{ Tags []string }
		return json.Unmarshal(index, &list) == nil && slices.Contains(list.Tags, version)
	},
	Publish:  publishImage,
	Package:  "acme/alpha",
	Other:    "acme/beta",
	Unlisted: true,
	Except: map[string]string{
		"a held back version is hidden and refused":     "a list of tags resolves none: one is hidden once it is known what it points at; see TestCase24Hold",
		"a hold runs out by itself":                     "as above: see TestCase24Hold",
		"a version that vanishes upstream":              "a tag that its upstream denies is served on, and no version of an image is ever listed; see TestCase13UpstreamIll",
		"offline shows and serves what is held":         "a list of tags is shown as it was last read: which of them are held it does not tell; see TestCase13UpstreamIll",
		"a yank is shown, and the file still served":    "no client of images knows of a yank",
		"one event for each change, and none for reads": "its versions are tags, and those of events are digests; see TestEvents",
		"a deleted name stays hidden":                   "it deletes by tag, where manifests have digests; see TestCase09Delete",
	},
}

func TestFormat(t *testing.T) { formattest.Run(t, ecosystem) }
