package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
)

// putManifest publishes a manifest: its record, the blobs that it needs, its tags and the edge to its subject are one change.
func (h handler) putManifest(w http.ResponseWriter, r *http.Request, v visit) error {
	ctx := r.Context()
	if err := h.repo.May(ctx, millpond.VerbPublish, v.image); err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, mostManifest+1))
	if err != nil {
		return coded(codeSizeInvalid, &millpond.Error{Kind: millpond.Canceled, Why: "the body ended early", Err: err})
	}
	if len(body) > mostManifest {
		return coded(codeSizeInvalid, &millpond.Error{Kind: millpond.TooLarge, Why: "the manifest is larger than 4 MiB"})
	}
	tags, err := tagsToSet(r, v)
	if err != nil {
		return err
	}
	p, err := h.readPush(ctx, r.Header.Get("Content-Type"), v, body)
	if err != nil {
		return err
	}
	if _, err := h.release(ctx, v.image, p, body, tags); err != nil {
		return err
	}
	head := w.Header()
	head.Set("Location", v.url(Path{Kind: Manifest, Digest: p.digest}.below()))
	head.Set("Docker-Content-Digest", p.digest.String())
	if p.subject != "" {
		head.Set("OCI-Subject", p.subject)
	}
	if v.Tag == "" {
		for _, tag := range tags {
			head.Add("OCI-Tag", tag)
		}
	}
	head.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// release makes a manifest that was read visible, under tags.
func (h handler) release(ctx context.Context, image string, p *push, body []byte, tags []string) (*format.Receipt, error) {
	if err := h.sealManifest(ctx, image, body); err != nil {
		return nil, err
	}
	release := format.Release{
		Package: image, Version: p.version, Grows: true, ByDigest: true,
		Settle: h.settle(ctx, image, tags),
	}
	for _, tag := range tags {
		release.Refs = append(release.Refs, millpond.Ref{Name: tag, Target: p.version.Name})
	}
	if p.subject != "" {
		release.Refs = append(release.Refs, millpond.Ref{Name: edge(p.subject, p.version.Name), Target: p.version.Name})
	}
	return h.repo.Publish(ctx, release)
}

// tagsToSet are the tags that a push names, in its path or its query.
func tagsToSet(r *http.Request, v visit) ([]string, error) {
	if v.Tag != "" {
		return []string{v.Tag}, nil
	}
	var tags []string
	for _, tag := range r.URL.Query()["tag"] {
		if !isTag(tag) {
			return nil, coded(codeManifestInvalid, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.150q can be no tag", tag)})
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	if len(tags) > 100 {
		return nil, coded(codeManifestInvalid, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%d tags at once are too many", len(tags)), Hint: "100 are taken"})
	}
	return tags, nil
}

// A push is a manifest on its way in.
type push struct {
	digest  millpond.Digest
	subject string
	version millpond.Version
}

// readPush checks a manifest and finds the blobs that it needs in the image.
func (h handler) readPush(ctx context.Context, contentType string, v visit, body []byte) (*push, error) {
	m, err := readPublished(body)
	if err != nil {
		return nil, err
	}
	p := &push{digest: millpond.SHA256(body)}
	if !v.Digest.IsZero() {
		sum := v.Digest.Hash()
		sum.Write(body) // a hash takes everything
		got, err := millpond.NewDigest(v.Digest.Algorithm(), sum.Sum(nil))
		if err != nil {
			return nil, err
		}
		if got != v.Digest {
			return nil, coded(codeDigestInvalid, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("the manifest's digest is %s, not %s", got, v.Digest)})
		}
		p.digest = got
	}
	mediaType, err := typeOf(contentType, m)
	if err != nil {
		return nil, err
	}
	if isOldForm(mediaType) {
		return nil, coded(codeManifestInvalid, &millpond.Error{Kind: millpond.Invalid, Why: "a manifest of schema 1 is not kept: its digest is not that of its bytes", Hint: "push it again with a client of this decade"})
	}
	if m.Subject != nil {
		if _, err := parseDigest(m.Subject.Digest); err != nil {
			return nil, coded(codeManifestInvalid, &millpond.Error{Kind: millpond.Invalid, Why: "the subject has no digest that can be read", Err: err})
		}
		p.subject = m.Subject.Digest
	}
	if len(mediaType) > mostType || len(m.kindOf()) > mostType {
		return nil, coded(codeManifestInvalid, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("a media type or artifact type of the manifest is longer than %d characters", mostType)})
	}
	name := p.digest.String()
	p.version = millpond.Version{Name: name, Licence: licence(m)}
	kept := record{MediaType: mediaType, ArtifactType: m.kindOf(), Size: int64(len(body)), Subject: p.subject, Index: len(m.Manifests) > 0}
	if p.subject != "" {
		kept.noteAnnotations(m.Annotations)
	}
	if p.version.Meta, err = json.Marshal(kept); err != nil {
		return nil, err
	}
	sum := millpond.SHA256(body)
	p.version.Files = []millpond.File{{Name: name, Size: int64(len(body)), Blob: sum, Digests: digests(p.digest, sum), Type: mediaType}}
	return p, h.needed(ctx, v, m, p)
}

// needed adds to the version the blobs that a manifest needs. Those that are to be had elsewhere may be missing.
func (h handler) needed(ctx context.Context, v visit, m *manifest, p *push) error {
	held := h.repo.Held()
	var missing []string
	seen := map[string]bool{p.version.Name: true}
	for _, d := range m.needs() {
		digest, err := parseDigest(d.Digest)
		if err != nil {
			return coded(codeManifestInvalid, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.150q is no digest of a blob", d.Digest), Err: err})
		}
		if seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		c, err := held.Stat(ctx, millpond.Key{Package: v.image, File: d.Digest})
		switch {
		case err == nil && c.Digest.Algorithm() == "sha256":
			p.version.Files = append(p.version.Files, millpond.File{Name: d.Digest, Size: c.Size, Blob: c.Digest, Digests: digests(digest, c.Digest), Type: shortType(d.MediaType)})
		case d.foreign():
		case err == nil, millpond.Is(err, millpond.NotFound), millpond.Is(err, millpond.Gone), millpond.Is(err, millpond.Offline):
			missing = append(missing, d.Digest)
		default:
			return err
		}
	}
	if len(missing) > 0 {
		e := &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%d blobs that the manifest needs are not in the image", len(missing)), Hint: "push them first"}
		return &codedError{error: e, code: codeManifestBlobUnknown, missing: missing[:min(len(missing), 100)]}
	}
	return nil
}

// typeOf is the media type of a pushed manifest: any, but one.
func typeOf(header string, m *manifest) (string, error) {
	bad := func(why string) error {
		return coded(codeManifestInvalid, &millpond.Error{Kind: millpond.Invalid, Why: why})
	}
	t := plainType(header)
	switch {
	case header != "" && t == "":
		return "", bad(fmt.Sprintf("%.100q is no media type", header))
	case m.MediaType != "" && t != "" && m.MediaType != t:
		return "", bad(fmt.Sprintf("the manifest says that it is %.100q, and its Content-Type is %.100q", m.MediaType, t))
	case t == "" || saysNothing(t) && m.MediaType == "":
		t = m.mediaType()
	}
	return t, nil
}

// shortType is a media type as a record has it.
func shortType(t string) string {
	if len(t) > mostType {
		return typeBlob
	}
	return t
}

// sealManifest makes the bytes of a manifest a blob.
func (h handler) sealManifest(ctx context.Context, image string, body []byte) error {
	up, err := h.repo.Upload(ctx, format.Uploading{Package: image, Size: int64(len(body))})
	if err != nil {
		return err
	}
	defer up.Close()
	if _, err := up.Write(body); err != nil {
		up.Discard() // its own failure changes nothing
		return err
	}
	_, err = up.Commit(ctx, millpond.SHA256(body))
	return err
}

// settle refuses, in the transaction, to move a tag that may not move: one that is immutable, or any for a caller who may
// publish and not move.
func (h handler) settle(ctx context.Context, image string, tags []string) func(*format.Hosting, *format.Release) error {
	mayMove := h.repo.May(ctx, millpond.VerbMove, image)
	fixed := immutable(h.repo.Option(optImmutable), tags)
	if len(tags) == 0 || mayMove == nil && len(fixed) == 0 {
		return nil
	}
	return func(now *format.Hosting, r *format.Release) error {
		if now == nil {
			return nil
		}
		for _, ref := range now.Refs {
			if !slices.Contains(tags, ref.Name) || ref.Target == r.Version.Name {
				continue
			}
			if slices.Contains(fixed, ref.Name) {
				return immovable(image, ref)
			}
			if mayMove != nil {
				return mayMove
			}
		}
		return nil
	}
}

// immutable are those of the tags that patterns name.
func immutable(patterns string, tags []string) (fixed []string) {
	for _, tag := range tags {
		if slices.ContainsFunc(strings.Fields(patterns), func(p string) bool { return matches(p, tag) }) {
			fixed = append(fixed, tag)
		}
	}
	return fixed
}

func immovable(image string, ref millpond.Ref) error {
	return &millpond.Error{Kind: millpond.Conflict, Key: millpond.Key{Package: image},
		Why: fmt.Sprintf("tag %s of %s is %s since %s, and does not move", ref.Name, image, ref.Target, ref.Checked.UTC().Format("2 January 2006")), Hint: "push it under another tag"}
}

// deleteManifest removes a tag, or a manifest with every tag on it.
func (h handler) deleteManifest(w http.ResponseWriter, r *http.Request, v visit) error {
	ctx := r.Context()
	if err := h.repo.May(ctx, millpond.VerbDelete, v.image); err != nil {
		return err
	}
	var err error
	if v.Tag != "" {
		err = h.deleteTag(ctx, v)
	} else {
		err = h.deleteDigest(ctx, v)
		if millpond.Is(err, millpond.NotFound) {
			_, elsewhere := h.repo.Held().Stat(ctx, millpond.Key{Package: v.image, Version: v.Digest.String(), File: v.Digest.String()})
			err = upstreams(elsewhere, err)
		}
	}
	if err != nil {
		return orCode(err, millpond.NotFound, codeManifestUnknown)
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// upstreams is absent, but Unsupported for what there is, and only an upstream has: looking for it has come to elsewhere.
func upstreams(elsewhere, absent error) error {
	if elsewhere != nil {
		return absent
	}
	return &millpond.Error{Kind: millpond.Unsupported, Why: "this was not pushed here: it is an upstream's, and only it can delete it"}
}

func (h handler) deleteTag(ctx context.Context, v visit) error {
	absent := &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: v.image}, Why: fmt.Sprintf("%s has no tag %s", v.image, v.Tag)}
	now, err := h.repo.Hosted(ctx, v.image)
	if err != nil && !millpond.Is(err, millpond.NotFound) {
		return err
	}
	i := -1
	if err == nil {
		i = slices.IndexFunc(now.Refs, func(ref millpond.Ref) bool { return ref.Name == v.Tag })
	}
	if i < 0 {
		ref, elsewhere := h.repo.Held().Ref(ctx, v.image, v.Tag)
		if elsewhere == nil && ref.Layer == "" { // pushed since we looked
			return absent
		}
		return upstreams(elsewhere, absent)
	}
	if len(immutable(h.repo.Option(optImmutable), []string{v.Tag})) > 0 {
		return immovable(v.image, now.Refs[i])
	}
	return h.repo.Move(ctx, v.image, millpond.Ref{Name: v.Tag})
}

// deleteBlob removes the link to a blob that no manifest needs. What one needs goes with it.
func (h handler) deleteBlob(w http.ResponseWriter, r *http.Request, v visit) error {
	ctx, digest := r.Context(), v.Digest.String()
	if err := h.repo.May(ctx, millpond.VerbDelete, v.image); err != nil {
		return err
	}
	now, err := h.repo.Hosted(ctx, v.image)
	if err != nil && !millpond.Is(err, millpond.NotFound) {
		return err
	}
	if err == nil {
		for i := range now.Versions {
			if now.Versions[i].File(digest) != nil {
				return &millpond.Error{Kind: millpond.Unsupported, Why: fmt.Sprintf("manifest %s needs this blob", now.Versions[i].Name), Hint: "delete the manifest: the blob goes with it"}
			}
		}
	}
	err = h.repo.Delete(ctx, format.Deletion{Key: millpond.Key{Package: v.image, File: digest}})
	if millpond.Is(err, millpond.NotFound) {
		_, elsewhere := h.repo.Held().Stat(ctx, millpond.Key{Package: v.image, File: digest})
		err = orCode(upstreams(elsewhere, err), millpond.NotFound, codeBlobUnknown)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}
