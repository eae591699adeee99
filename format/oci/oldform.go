package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"millpond"
	"millpond/format"
)

// Docker's older manifests, of schema 1, are signed within themselves: their digest is not that of their bytes, so none of them can
// be a version. An upstream that has an image in no other form is passed on by its tag, as a document.

// errOldForm says that a tag points at a manifest of schema 1.
var errOldForm = errors.New("a manifest of schema 1")

const oldForm = "schema1/" // what the document of a tag is called

// isOldForm reports whether a media type is that of a manifest of schema 1, signed or not.
func isOldForm(mediaType string) bool {
	return mediaType == typeDockerSchema || mediaType == "application/vnd.docker.distribution.manifest.v1+json"
}

// oldManifest reads what a tag points at, if it is of schema 1.
func (s source) oldManifest(ctx context.Context, image, tag string) (*format.Document, error) {
	if !isTag(tag) {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: image, File: tag}, Why: "an image has no tag " + tag}
	}
	doc, err := s.remote.Document(ctx, format.Request{URL: s.address(image, Path{Kind: Manifest, Tag: tag}.below()), Accept: acceptManifest + ", " + typeDockerSchema, Limit: mostManifest, Scope: s.scope(image)})
	if err != nil {
		return nil, fmt.Errorf("read %s:%s: %w", image, tag, err)
	}
	head := make([]byte, min(doc.Size, 64))
	if _, err = doc.ReadAt(head, 0); err == nil || err == io.EOF {
		err = s.Sniff(millpond.Key{Package: image, Version: tag, File: tag}, head)
	}
	if err == nil && !isOldForm(plainType(doc.Type)) {
		err = &millpond.Error{Kind: millpond.BadUpstream, Why: fmt.Sprintf("%s has moved %s:%s meanwhile", s.remote.Name(), image, tag)}
	}
	if err != nil {
		doc.Close()
		return nil, err
	}
	return doc, nil
}

// heldInOldForm reports whether a tag of which nothing can be learned now was passed on before.
func (h handler) heldInOldForm(ctx context.Context, v visit, err error) bool {
	if !millpond.Is(err, millpond.BadUpstream) && !millpond.Is(err, millpond.Offline) {
		return false
	}
	doc, err := h.repo.Held().Document(ctx, millpond.Key{Package: v.image, File: oldForm + v.Tag})
	if err != nil {
		return false
	}
	doc.Close()
	return true
}

// getOldForm passes a manifest of schema 1 on. Rules judge manifests by their digests, so where there are any it is refused.
func (h handler) getOldForm(w http.ResponseWriter, r *http.Request, v visit) error {
	if h.repo.Ruled() {
		return &millpond.Error{Kind: millpond.Blocked, Key: millpond.Key{Package: v.image, Version: v.Tag},
			Why: fmt.Sprintf("%s:%s is a manifest of schema 1, which no rule of %s can judge", v.image, v.Tag, h.repo.Name())}
	}
	doc, err := h.repo.Document(r.Context(), millpond.Key{Package: v.image, File: oldForm + v.Tag})
	if err != nil {
		return orCode(err, millpond.NotFound, codeManifestUnknown)
	}
	defer doc.Close()
	b, err := readManifest(doc.Reader())
	if err != nil {
		return err
	}
	c := inMemory(b)
	c.Type = typeDockerSchema
	w.Header()["Cache-Control"] = moves
	return format.Serve(w, r, c)
}
