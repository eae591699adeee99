package oci

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"millpond"
	"millpond/format"
)

const (
	// mostEntries is how many entries an archive of images may have, and mostTexts how much of it may be manifests.
	mostEntries, mostTexts = 100_000, 64 << 20

	typeDockerConfig = "application/vnd.docker.container.image.v1+json"
	typeDockerLayer  = "application/vnd.docker.image.rootfs.diff.tar"
)

// A part is a file of an archive, whose bytes are in the store.
type part struct {
	digest millpond.Digest
	size   int64
	text   []byte // of what may be a manifest
	packed bool   // by gzip
}

// An archive is one or several images in one file: an OCI layout, or what docker save writes.
type archive struct {
	h     handler
	image string // as was asked for; "" if the archive says
	parts map[string]*part
	links map[string]string
	texts int64
}

// PublishFile implements format.Publisher: an image, or several, in the archive that docker save, podman save, skopeo, crane and
// buildah write, packed or not. The options image and tag say what it is called here, where the archive does not.
func (Format) PublishFile(ctx context.Context, r format.Repo, f format.PublishedFile) (*format.Published, error) {
	a := &archive{h: handler{r}, image: f.Options["image"], parts: map[string]*part{}, links: map[string]string{}}
	for name := range f.Options {
		if name != "image" && name != "tag" {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("images have no option %.100q", name), Hint: "image and tag are"}
		}
	}
	if tag := f.Options["tag"]; tag != "" && !isTag(tag) {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.150q can be no tag", tag)}
	}
	if a.image != "" && !isName(a.image) {
		return nil, badName(a.image)
	}
	if err := r.May(ctx, millpond.VerbPublish, a.here(a.image)); err != nil {
		return nil, err
	}
	if err := a.read(ctx, f.Body); err != nil {
		return nil, err
	}
	all, err := a.images()
	if err != nil {
		return nil, err
	}
	done := &format.Published{}
	for i, one := range all {
		if tag := f.Options["tag"]; tag != "" {
			if len(all) > 1 {
				return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("the archive has %d images, which cannot all be %s", len(all), tag), Hint: "leave the tag to the archive, or save one of them alone"}
			}
			one.tags = []string{tag}
		}
		if one.name == "" {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the archive does not say what its image is called", Hint: "name it: --option image=NAME --tag TAG"}
		}
		fresh, digest, err := a.publish(ctx, one.name, one.root, one.tags, 0)
		if err != nil {
			return nil, err
		}
		done.New = done.New || fresh
		if i == 0 {
			done.Key = millpond.Key{Package: one.name, Version: digest.String()}
		}
	}
	return done, nil
}

// here is what an image is called in this repository.
func (a *archive) here(image string) string {
	if image != "" && strings.IndexByte(image, '/') < 0 && a.h.repo.Option(optLibrary) == "true" {
		return "library/" + image
	}
	return image
}

func badArchive(why string, err error) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: "this is no archive of images: " + why, Err: err,
		Hint: "docker save, podman save, skopeo copy … oci-archive: and crane pull make one"}
}

// read takes all files of the archive into the store.
func (a *archive) read(ctx context.Context, r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	if head, _ := in.Peek(2); bytes.Equal(head, []byte("\x1f\x8b")) { // what is too short is no archive either
		z, err := gzip.NewReader(in)
		if err != nil {
			return badArchive("it cannot be unpacked", err)
		}
		in = bufio.NewReaderSize(z, 64<<10)
	}
	t := tar.NewReader(in)
	for n := 0; ; n++ {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return badArchive("it cannot be read", err)
		}
		if n == mostEntries {
			return badArchive("it has too many files", nil)
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			if err := a.take(ctx, name, h.Size, t); err != nil {
				return err
			}
		case tar.TypeSymlink: // an older docker's way to say that two layers are one
			a.links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			a.links[name] = path.Clean(h.Linkname)
		}
	}
}

// take reads one file of the archive.
func (a *archive) take(ctx context.Context, name string, size int64, r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	head, _ := in.Peek(2) // a file may have none
	p := &part{size: size, packed: bytes.Equal(head, []byte("\x1f\x8b"))}
	if len(head) > 0 && (head[0] == '{' || head[0] == '[') && size <= mostManifest {
		b, err := io.ReadAll(in)
		if err != nil {
			return badArchive("it ends early", err)
		}
		if a.texts += int64(len(b)); a.texts > mostTexts {
			return badArchive("it has too many manifests", nil)
		}
		p.text = b
		p.digest = millpond.SHA256(b)
		a.parts[name] = p
		return nil
	}
	up, err := a.h.repo.Upload(ctx, format.Uploading{Package: a.here(a.image), Size: size})
	if err != nil {
		return err
	}
	defer up.Close()
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	n, err := io.CopyBuffer(struct{ io.Writer }{up}, struct{ io.Reader }{in}, buf[:])
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = badArchive("it ends early", err)
	}
	if err == nil {
		p.digest, err = up.Commit(ctx)
	}
	if err != nil {
		return errors.Join(err, up.Discard())
	}
	a.parts[name] = p
	return nil
}

// part is a file of the archive, also one that is there as a link to another; nil if there is none.
func (a *archive) part(name string) *part {
	name = path.Clean(name)
	for range 10 {
		if p := a.parts[name]; p != nil {
			return p
		}
		name = a.links[name]
	}
	return nil
}

// blob is what the archive has under a digest; nil if it has it not. What stands in a layout under a name must be that.
func (a *archive) blob(digest string) (*part, error) {
	d, err := parseDigest(digest)
	if err != nil {
		return nil, err
	}
	p := a.part("blobs/" + d.Algorithm() + "/" + d.Hex())
	if p != nil && d.Algorithm() == "sha256" && p.digest != d {
		return nil, badArchive(fmt.Sprintf("what it has as %s is %s", d, p.digest), nil)
	}
	return p, nil
}

// A found is an image of an archive.
type found struct {
	name string
	tags []string
	root *part // its manifest
}

// images are those of the archive: of its index.json, else of docker's manifest.json.
func (a *archive) images() ([]found, error) {
	if p := a.part("index.json"); p != nil {
		return a.ofLayout(p.text)
	}
	if p := a.part("manifest.json"); p != nil {
		return a.ofDocker(p.text)
	}
	return nil, badArchive("it has neither index.json nor manifest.json", nil)
}

func (a *archive) ofLayout(text []byte) ([]found, error) {
	list, err := readKept(text)
	if err != nil || len(list.Manifests) == 0 {
		return nil, badArchive("its index.json lists no image", err)
	}
	var all []found
	for _, d := range list.Manifests {
		root, err := a.blob(d.Digest)
		if err != nil {
			return nil, err
		}
		if root == nil || root.text == nil {
			return nil, badArchive("it has not the manifest "+d.Digest, nil)
		}
		ref := d.Annotations["io.containerd.image.name"]
		if ref == "" {
			ref = d.Annotations["org.opencontainers.image.ref.name"]
		}
		name, tag := a.named(ref)
		if isTag(ref) { // of a layout, the name of an image is only its tag
			name, tag = a.here(a.image), ref
		}
		one := found{name: name, root: root}
		if tag != "" {
			one.tags = []string{tag}
		}
		all = append(all, one)
	}
	return all, nil
}

// ofDocker makes the manifests of what docker save writes, which has none.
func (a *archive) ofDocker(text []byte) ([]found, error) {
	var saved []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(text, &saved); err != nil || len(saved) == 0 {
		return nil, badArchive("its manifest.json lists no image", err)
	}
	var all []found
	for _, one := range saved {
		describe := func(name, kind string) (descriptor, error) {
			p := a.part(name)
			if p == nil {
				return descriptor{}, badArchive(fmt.Sprintf("it has not the file %.200q, which its image needs", name), nil)
			}
			if p.packed {
				kind += ".gzip"
			}
			a.parts["blobs/sha256/"+p.digest.Hex()] = p
			return descriptor{MediaType: kind, Digest: p.digest.String(), Size: p.size}, nil
		}
		config, err := describe(one.Config, typeDockerConfig)
		if err != nil {
			return nil, err
		}
		layers := []descriptor{}
		for _, name := range one.Layers {
			layer, err := describe(name, typeDockerLayer)
			if err != nil {
				return nil, err
			}
			layers = append(layers, layer)
		}
		body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": typeDocker, "config": config, "layers": layers})
		if err != nil {
			return nil, err
		}
		image := found{name: a.here(a.image), root: &part{digest: millpond.SHA256(body), size: int64(len(body)), text: body}}
		for _, ref := range one.RepoTags {
			name, tag := a.named(ref)
			if image.name == "" {
				image.name = name
			}
			if name == image.name && tag != "" {
				image.tags = append(image.tags, tag)
			}
		}
		all = append(all, image)
	}
	return all, nil
}

// named is what a reference, "host.example/oci/team/app:1.0", is called here. An image that was asked for wins.
func (a *archive) named(ref string) (image, tag string) {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref, tag = ref[:i], ref[i+1:]
	}
	if host, rest, ok := strings.Cut(ref, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		ref = strings.TrimPrefix(rest, a.h.repo.Name()+"/")
	}
	if !isTag(tag) {
		tag = ""
	}
	switch {
	case a.image != "":
		return a.here(a.image), tag
	case isName(ref):
		return a.here(ref), tag
	}
	return "", tag
}

// publish publishes a manifest of the archive with what it needs of the archive: children first, as clients push.
func (a *archive) publish(ctx context.Context, image string, root *part, tags []string, depth int) (fresh bool, d millpond.Digest, err error) {
	m, err := readPublished(root.text)
	if err != nil {
		return false, d, err
	}
	if depth > 8 {
		return false, d, badArchive("its indexes are nested too deep", nil)
	}
	for _, child := range m.Manifests {
		p, err := a.blob(child.Digest)
		if err != nil {
			return false, d, err
		}
		if p == nil || p.text == nil {
			continue // an index may name what is not there
		}
		if _, _, err := a.publish(ctx, image, p, nil, depth+1); err != nil {
			return false, d, err
		}
	}
	for _, need := range m.needs() {
		p, err := a.blob(need.Digest)
		if err != nil {
			return false, d, err
		}
		if p == nil {
			continue // it may be in the image already; else the manifest is refused
		}
		if p.text != nil {
			if err := a.h.sealManifest(ctx, image, p.text); err != nil {
				return false, d, err
			}
		}
		if d, err = parseDigest(need.Digest); err != nil {
			return false, d, err
		}
		if d.Algorithm() != "sha256" {
			return false, d, badArchive("its blobs are not named by sha256", nil)
		}
		if err := a.h.link(ctx, image, d, p.digest); err != nil {
			return false, d, err
		}
	}
	v := visit{Path: Path{Kind: Manifest, Image: image, Digest: root.digest}, image: image}
	p, err := a.h.readPush(ctx, "", v, root.text)
	if err != nil {
		return false, d, err
	}
	receipt, err := a.h.release(ctx, image, p, root.text, tags)
	if err != nil {
		return false, d, err
	}
	return receipt.New, root.digest, nil
}
