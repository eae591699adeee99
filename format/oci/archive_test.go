package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
	"millpond/format/formattest"
)

// A member is a file of an archive; one with a link is a link.
type member struct {
	name, link string
	body       []byte
}

func tarOf(t *testing.T, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.body)), Linkname: m.link}
		if m.link != "" {
			h.Typeflag = tar.TypeSymlink
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func inLayout(b []byte) member {
	return member{name: "blobs/sha256/" + millpond.SHA256(b).Hex(), body: b}
}

// layout is an OCI layout with an index of one image and an attestation of none, as members.
func layout(ref string) (index []byte, members []member) {
	m := manifestOf("acme/app", release)
	child := describe(typeManifest, m)
	child["platform"] = object{"os": "linux", "architecture": "amd64"}
	absent := describe(typeManifest, []byte("for another platform"))
	index = asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{child, absent}})
	root := describe(typeIndex, index)
	root["annotations"] = object{"org.opencontainers.image.ref.name": ref}
	return index, []member{{name: "oci-layout", body: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		inLayout(index), inLayout(m), inLayout(configOf("acme/app", release)), inLayout(layerOf("acme/app", release)),
		{name: "index.json", body: asJSON(object{"schemaVersion": 2, "manifests": []any{root}})}}
}

func publishArchive(t *testing.T, h *formattest.House, b []byte, options map[string]string) (*format.Published, error) {
	t.Helper()
	return Format{}.PublishFile(t.Context(), h.As(formattest.Owner).Repo(), format.PublishedFile{Name: "image.tar", Size: int64(len(b)), Options: options, Body: bytes.NewReader(b)})
}

func TestPublishLayout(t *testing.T) {
	index, members := layout("1.0.0")
	plain := tarOf(t, members...)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(plain) // a buffer takes all
	z.Close()
	for what, b := range map[string][]byte{"plain": plain, "packed": packed.Bytes()} {
		t.Run(what, func(t *testing.T) {
			h := house(t, claimed)
			for i := range 2 {
				done, err := publishArchive(t, h, b, map[string]string{"image": "acme/app"})
				if err != nil {
					t.Fatal(err)
				}
				if want := (millpond.Key{Package: "acme/app", Version: millpond.SHA256(index).String()}); done.Key != want || done.New != (i == 0) {
					t.Errorf("published %+v, want %v, new: %t", done, want, i == 0)
				}
			}
			h.Good("by its tag", h.Get(root+"acme/app/manifests/1.0.0"), index)
			h.Good("its image", h.Get(manifestPath("acme/app", manifestOf("acme/app", release))), manifestOf("acme/app", release))
			h.Good("its layer", h.Get(blobPath("acme/app", layerOf("acme/app", release))), layerOf("acme/app", release))
			h.Good("its configuration", h.Get(blobPath("acme/app", configOf("acme/app", release))), configOf("acme/app", release))
		})
	}
}

func TestPublishDockerSave(t *testing.T) {
	h := house(t, claimed)
	var layer bytes.Buffer
	z := gzip.NewWriter(&layer)
	z.Write([]byte("a packed layer"))
	z.Close()
	config, plain := configOf("acme/app", release), bytes.Repeat([]byte("a plain layer;"), 100)
	b := tarOf(t,
		member{name: "abc.json", body: config}, member{name: "one/layer.tar", body: plain}, member{name: "two/layer.tar", body: layer.Bytes()},
		member{name: "three/layer.tar", link: "../one/layer.tar"},
		member{name: "manifest.json", body: asJSON([]any{object{"Config": "abc.json", "RepoTags": []string{"pond.example:5000/r/acme/app:1.0.0", "pond.example:5000/r/acme/app:latest"},
			"Layers": []string{"one/layer.tar", "two/layer.tar", "three/layer.tar"}}})})
	done, err := publishArchive(t, h, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := h.Good("by its tag", h.Get(root+"acme/app/manifests/1.0.0"), nil)
	var m manifest
	if err := json.Unmarshal(got.Body, &m); err != nil || got.Header.Get("Content-Type") != typeDocker || got.Header.Get("Docker-Content-Digest") != done.Key.Version {
		t.Fatalf("got %s %v %v", got, got.Header, err)
	}
	if len(m.Layers) != 3 || m.Layers[0].MediaType != typeDockerLayer || m.Layers[1].MediaType != typeDockerLayer+".gzip" || m.Layers[2].Digest != m.Layers[0].Digest || m.Config.Digest != millpond.SHA256(config).String() {
		t.Errorf("the manifest is %s", got.Body)
	}
	h.Good("by the other tag", h.Get(root+"acme/app/manifests/latest"), got.Body)
	for _, one := range [][]byte{config, plain, layer.Bytes()} {
		h.Good("a blob", h.Get(blobPath("acme/app", one)), one)
	}
	if _, err := publishArchive(t, h, b, map[string]string{"image": "acme/other", "tag": "mine"}); err != nil {
		t.Fatal(err)
	}
	h.Good("under another name", h.Get(root+"acme/other/manifests/mine"), got.Body)
	h.Want("and under no other tag", h.Get(root+"acme/other/manifests/1.0.0"), http.StatusNotFound)
}

func TestPublishBadArchives(t *testing.T) {
	_, members := layout("1.0.0")
	good := tarOf(t, members...)
	swap := func(n int, m ...member) []byte {
		return tarOf(t, append(append(append([]member{}, members[:n]...), m...), members[n+1:]...)...)
	}
	lie := members[4]
	lie.body = []byte("other bytes")
	named := map[string]string{"image": "acme/app"}
	h := house(t, claimed)
	for _, c := range []struct {
		name    string
		body    []byte
		options map[string]string
		kind    millpond.Kind
		words   string
	}{
		{"no archive", []byte("<html>"), named, millpond.Invalid, "no archive of images"},
		{"nothing", nil, named, millpond.Invalid, "neither index.json nor manifest.json"},
		{"cut off", good[:len(good)/2], named, millpond.Invalid, "no archive of images"},
		{"no index", swap(5), named, millpond.Invalid, "neither index.json"},
		{"a layer with other bytes", swap(4, lie), named, millpond.Invalid, "what it has as"},
		{"a layer that is missing", swap(4), named, millpond.Invalid, "blobs that the manifest needs are not in the image"},
		{"no name", good, nil, millpond.Invalid, "does not say what its image is called"},
		{"a bad name", good, map[string]string{"image": "../x"}, millpond.Invalid, "no image name"},
		{"a bad tag", good, map[string]string{"image": "acme/app", "tag": ".x"}, millpond.Invalid, "no tag"},
		{"an option that there is not", good, map[string]string{"suite": "x"}, millpond.Invalid, "no option"},
		{"docker's, a layer missing", tarOf(t, member{name: "c.json", body: []byte("{}")}, member{name: "manifest.json", body: []byte(`[{"Config":"c.json","Layers":["x"]}]`)}), named, millpond.Invalid, "has not the file"},
		{"docker's, links in a ring", tarOf(t, member{name: "c.json", link: "d.json"}, member{name: "d.json", link: "c.json"}, member{name: "manifest.json", body: []byte(`[{"Config":"c.json","Layers":[]}]`)}), named, millpond.Invalid, "has not the file"},
	} {
		done, err := publishArchive(t, h, c.body, c.options)
		if !millpond.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: got %+v, %v; want %v and %q", c.name, done, err, c.kind, c.words)
		}
	}
	h.Want("nothing is visible", h.Get(root+"acme/app/manifests/1.0.0"), http.StatusNotFound)
	_, err := Format{}.PublishFile(t.Context(), h.As("").Repo(), format.PublishedFile{Options: named, Body: bytes.NewReader(good)})
	if !millpond.Is(err, millpond.Unauthenticated) && !millpond.Is(err, millpond.Denied) {
		t.Errorf("anonymous: got %v", err)
	}
}

func TestPackLayout(t *testing.T) {
	index, members := layout("1.0.0")
	dir := filepath.Join(t.TempDir(), "app")
	for _, m := range members {
		name := filepath.Join(dir, filepath.FromSlash(m.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, m.body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if name, err := (Format{}).Pack(t.Context(), computer{}, dir, "", &b); err != nil || name != "app.tar" {
		t.Fatalf("pack: got %q, %v", name, err)
	}
	h := house(t, claimed)
	if _, err := publishArchive(t, h, b.Bytes(), map[string]string{"image": "acme/app"}); err != nil {
		t.Fatal(err)
	}
	h.Good("by its tag", h.Get(root+"acme/app/manifests/1.0.0"), index)
	if _, err := (Format{}).Pack(t.Context(), computer{}, t.TempDir(), "", &b); !millpond.Is(err, millpond.Invalid) {
		t.Errorf("a folder without an index: got %v", err)
	}
	if _, err := (Format{}).Pack(t.Context(), computer{}, dir, "1.0", &b); !millpond.Is(err, millpond.Invalid) {
		t.Errorf("a version: got %v", err)
	}
}
