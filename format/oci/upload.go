package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"millpond"
	"millpond/format"
)

// linkLife is how long a blob is kept that no manifest needs, counted from when it was pushed or last asked for.
const linkLife = 24 * time.Hour

// postUpload begins a blob, takes one whole, or links one that another image has.
func (h handler) postUpload(w http.ResponseWriter, r *http.Request, v visit) error {
	ctx, query := r.Context(), r.URL.Query()
	if err := h.repo.May(ctx, millpond.VerbPublish, v.image); err != nil {
		return err
	}
	if text := query.Get("mount"); text != "" {
		d, err := parseDigest(text)
		if err != nil {
			return err
		}
		if ok, err := h.mount(r, v, d, query.Get("from")); err != nil {
			return err
		} else if ok {
			return h.created(w, v, d)
		}
	}
	u := format.Uploading{Package: v.image, Size: -1}
	switch alg := query.Get("digest-algorithm"); alg {
	case "", "sha256":
	case "sha512":
		u.Algorithms = []string{alg}
	default:
		return coded(codeDigestInvalid, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.50q is no digest algorithm of this registry", alg), Hint: "sha256 and sha512 are"})
	}
	text := query.Get("digest")
	if text == "" || query.Get("mount") != "" {
		up, err := h.repo.Upload(ctx, u)
		if err != nil {
			return err
		}
		id := up.ID()
		if err := up.Close(); err != nil {
			return err
		}
		h.session202(w, v, id, 0)
		return nil
	}
	d, err := parseDigest(text)
	if err != nil {
		return err
	}
	u.Size = r.ContentLength
	u.Algorithms = []string{d.Algorithm()}
	up, err := h.repo.Upload(ctx, u)
	if err != nil {
		return err
	}
	defer up.Close()
	if _, err := copyBody(up, r.Body); err != nil {
		return errors.Join(err, up.Discard())
	}
	if err := h.seal(w, r, v, up, d); millpond.Is(err, millpond.Invalid) {
		return errors.Join(err, up.Discard()) // its client never heard of an upload
	} else if err != nil {
		return err
	}
	return nil
}

// mount links a blob of another image into this one, if the caller may read it there and it is held. from "" looks in the
// image itself. What there is not, and what the caller may not know of, are the same.
func (h handler) mount(r *http.Request, v visit, d millpond.Digest, from string) (bool, error) {
	ctx := r.Context()
	for _, one := range h.sources(r, v, from) {
		c, err := one.repo.Held().Stat(ctx, millpond.Key{Package: one.image, File: d.String()})
		if err != nil || c.Digest.Algorithm() != "sha256" {
			continue
		}
		err = h.link(ctx, v.image, d, c.Digest)
		if millpond.Is(err, millpond.NotFound) { // its bytes went meanwhile
			return false, nil
		}
		return err == nil, err
	}
	return false, nil
}

// A place is an image in a repository.
type place struct {
	repo  format.Repo
	image string
}

// sources are the images that a client may mean by a name: of this repository, and else of another one.
func (h handler) sources(r *http.Request, v visit, from string) []place {
	if from == "" {
		return []place{{h.repo, v.image}}
	}
	var all []place
	add := func(repo format.Repo, image string) {
		if !isName(image) {
			return
		}
		if strings.IndexByte(image, '/') < 0 && repo.Option(optLibrary) == "true" {
			image = "library/" + image
		}
		all = append(all, place{repo, image})
	}
	if rest, own := strings.CutPrefix(from, v.name); own {
		add(h.repo, rest)
	}
	if name, below, ok := strings.Cut(from, "/"); ok && name+"/" != v.name {
		if other, err := h.repo.Other(r.Context(), name); err == nil {
			add(other, below)
		}
	}
	return all
}

// link makes a blob one of the image's, under the digest that it was asked for by and under its sha256.
func (h handler) link(ctx context.Context, image string, d, blob millpond.Digest) error {
	files := []millpond.File{{Name: d.String(), Blob: blob, Digests: digests(d, blob)}}
	if d != blob {
		files = append(files, millpond.File{Name: blob.String(), Blob: blob, Digests: digests(d, blob)})
	}
	_, err := h.repo.Publish(ctx, format.Release{
		Package: image, Version: millpond.Version{Files: files}, Loose: linkLife, ByDigest: true,
	})
	return err
}

func digests(d, blob millpond.Digest) []millpond.Digest {
	if d == blob {
		return []millpond.Digest{d}
	}
	all := []millpond.Digest{d, blob}
	millpond.SortDigests(all)
	return all
}

// session goes on with a blob that was begun: tells how far it is, takes more of it, ends it, or drops it.
func (h handler) session(w http.ResponseWriter, r *http.Request, v visit) error {
	up, err := h.repo.Resume(r.Context(), v.ID)
	switch {
	case millpond.Is(err, millpond.Conflict):
		return &codedError{error: err, code: codeUploadInvalid, status: http.StatusRequestedRangeNotSatisfiable}
	case err != nil:
		return orCode(err, millpond.NotFound, codeUploadUnknown)
	}
	defer up.Close()
	if up.Package() != v.image {
		return coded(codeUploadUnknown, &millpond.Error{Kind: millpond.NotFound, Why: "there is no such upload"})
	}
	switch r.Method {
	case http.MethodDelete:
		if err := up.Discard(); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodGet, http.MethodHead:
		h.progress(w, v, up.ID(), up.Size())
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	var want millpond.Digest
	if r.Method == http.MethodPut {
		if want, err = parseDigest(r.URL.Query().Get("digest")); err != nil {
			return err
		}
	}
	if err := h.takeChunk(w, r, v, up); err != nil {
		return err
	}
	if r.Method == http.MethodPut {
		return h.seal(w, r, v, up, want)
	}
	size := up.Size()
	if err := up.Close(); err != nil {
		return err
	}
	h.session202(w, v, up.ID(), size)
	return nil
}

// takeChunk adds the body to the upload. With a Content-Range it must begin where the upload ends.
func (h handler) takeChunk(w http.ResponseWriter, r *http.Request, v visit, up format.Upload) error {
	text := r.Header.Get("Content-Range")
	if text == "" {
		_, err := copyBody(up, r.Body)
		return err
	}
	refused := func(why string) error {
		h.progress(w, v, up.ID(), up.Size())
		return &codedError{error: &millpond.Error{Kind: millpond.Range, Why: why}, code: codeUploadInvalid, status: http.StatusRequestedRangeNotSatisfiable}
	}
	from, to, ok := chunkRange(text)
	if !ok {
		return refused(fmt.Sprintf("%.100q is no range of a chunk", text))
	}
	if from != up.Size() {
		return refused(fmt.Sprintf("the chunk begins at %d, and the upload has %d bytes", from, up.Size()))
	}
	if want := to - from + 1; r.ContentLength >= 0 && r.ContentLength != want {
		return coded(codeSizeInvalid, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("the chunk has %d bytes where its range has %d", r.ContentLength, want)})
	}
	want := to - from + 1
	n, err := copyBody(up, struct {
		io.Reader
		io.Closer
	}{io.LimitReader(r.Body, want), r.Body})
	if err != nil {
		return err
	}
	if n < want {
		return coded(codeSizeInvalid, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("the chunk had %d bytes where its range has %d", n, want)})
	}
	// What is more than that is not looked at: it is no part of the upload.
	if more, _ := io.ReadFull(r.Body, make([]byte, 1)); more > 0 {
		return coded(codeSizeInvalid, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("the chunk has more than the %d bytes that its range has", want), Hint: "what is more was not taken"})
	}
	return nil
}

// chunkRange reads "0-99", which some clients spell "bytes 0-99/*".
func chunkRange(text string) (from, to int64, ok bool) {
	text = strings.TrimPrefix(text, "bytes ")
	text, _, _ = strings.Cut(text, "/")
	first, last, ok := strings.Cut(text, "-")
	a, err := strconv.ParseUint(first, 10, 62)
	b, err2 := strconv.ParseUint(last, 10, 62)
	return int64(a), int64(b), ok && err == nil && err2 == nil && b >= a
}

var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// copyBody takes what the client sends. What came before it left is kept: it comes back and goes on from there.
func copyBody(up format.Upload, body io.ReadCloser) (int64, error) {
	if body == nil || body == http.NoBody {
		return 0, nil
	}
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	n, err := io.CopyBuffer(struct{ io.Writer }{up}, struct{ io.Reader }{body}, buf[:])
	if err == nil {
		return n, nil
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return n, coded(codeSizeInvalid, &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("no request may have more than %d bytes here", tooLarge.Limit)})
	}
	if _, ok := errors.AsType[*millpond.Error](err); ok {
		return n, err
	}
	return n, coded(codeSizeInvalid, &millpond.Error{Kind: millpond.Canceled, Why: "the body ended early", Err: err})
}

// seal ends an upload: the blob has the digest, is durable and linked. With another digest nothing is visible, and the upload
// stays as it is: its client may go on with it, or name the right one.
func (h handler) seal(w http.ResponseWriter, r *http.Request, v visit, up format.Upload, d millpond.Digest) error {
	err := up.Check(r.Context(), d)
	if millpond.Is(err, millpond.Corrupt) {
		why, _ := format.Words(err)
		return coded(codeDigestInvalid, &millpond.Error{Kind: millpond.Invalid, Why: why, Hint: "nothing was published: see what the upload has, or begin another one", Err: err})
	}
	var blob millpond.Digest
	if err == nil {
		blob, err = up.Commit(r.Context(), d)
	}
	if err != nil {
		return err
	}
	if err := h.link(r.Context(), v.image, d, blob); err != nil {
		return err
	}
	return h.created(w, v, d)
}

func (h handler) created(w http.ResponseWriter, v visit, d millpond.Digest) error {
	head := w.Header()
	head.Set("Location", v.url(Path{Kind: Blob, Digest: d}.below()))
	head.Set("Docker-Content-Digest", d.String())
	head.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// progress says where the upload is and how much of it came.
func (h handler) progress(w http.ResponseWriter, v visit, id string, size int64) {
	head := w.Header()
	head.Set("Location", v.url(Path{Kind: Session, ID: id}.below()))
	head.Set("Docker-Upload-UUID", id)
	head.Set("Range", fmt.Sprintf("0-%d", max(size-1, 0)))
	head.Set("Cache-Control", "no-store")
}

func (h handler) session202(w http.ResponseWriter, v visit, id string, size int64) {
	h.progress(w, v, id, size)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
}
