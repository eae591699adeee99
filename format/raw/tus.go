package raw

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

const (
	tusVersion     = "1.0.0"
	tusExtensions  = "creation,creation-with-upload,checksum,expiration,termination,creation-defer-length"
	statusChecksum = 460
	tusKept        = 7 * 24 * time.Hour // after its last use
	typeChunk      = "application/offset+octet-stream"
)

var errChunkSum = errors.New("chunk checksum")

// A resumable is what an upload will be. It stands, signed, in the upload's own address: nothing of it is kept here.
type resumable struct {
	Path    string    `json:"p"`
	Length  int64     `json:"n"` // -1 if it is not known yet
	Type    string    `json:"t,omitempty"`
	SHA256  string    `json:"s,omitempty"`
	Match   string    `json:"m,omitempty"`
	None    string    `json:"x,omitempty"`
	Created time.Time `json:"c"`
}

func (u *resumable) incoming() *incoming {
	in := &incoming{name: u.Path, kind: u.Type, want: Sums{}, cond: condition{u.Match, u.None}, size: u.Length}
	if d, err := millpond.ParseDigest("sha256:" + u.SHA256); err == nil {
		in.want, _ = declared(http.Header{"X-Checksum-Sha256": {d.Hex()}}) // a digest in hex can be read
	}
	return in
}

func tusHeader(w http.ResponseWriter) {
	w.Header().Set("Tus-Resumable", tusVersion)
	w.Header()["Cache-Control"] = []string{"no-store"}
}

func tusOptions(w http.ResponseWriter) {
	head := w.Header()
	head.Set("Tus-Version", tusVersion)
	head.Set("Tus-Extension", tusExtensions)
	head.Set("Tus-Checksum-Algorithm", "sha256,sha1,md5")
	w.WriteHeader(http.StatusNoContent)
}

// expires tells until when an upload can be gone on with, to the minute that the house may be off.
func (h handler) expires(w http.ResponseWriter) {
	w.Header().Set("Upload-Expires", h.repo.Now().UTC().Add(tusKept-time.Minute).Format(http.TimeFormat))
}

func checkTus(r *http.Request) error {
	if v := r.Header.Get("Tus-Resumable"); v != tusVersion {
		return &millpond.Error{Kind: millpond.Precondition, Why: "the request speaks no tus 1.0.0", Hint: "send Tus-Resumable: 1.0.0"}
	}
	return nil
}

// serveUploads begins an upload.
func (h handler) serveUploads(w http.ResponseWriter, r *http.Request) error {
	tusHeader(w)
	if r.Method == http.MethodOptions {
		tusOptions(w)
		return nil
	}
	if err := checkTus(r); err != nil {
		return err
	}
	u, err := readUpload(r)
	if err != nil {
		return err
	}
	u.Created = h.repo.Now().UTC().Truncate(time.Second)
	in := u.incoming()
	if err := h.before(r.Context(), in); err != nil {
		return err
	}
	up, err := h.repo.Upload(r.Context(), format.Uploading{Package: u.Path, Size: u.Length, Kept: tusKept})
	if err != nil {
		return err
	}
	name, err := h.seal(r.Context(), up.ID(), u)
	if err != nil {
		return errors.Join(err, up.Discard(), up.Close())
	}
	w.Header().Set("Location", h.repo.Base(r).String()+"-/uploads/"+name)
	h.expires(w)
	if r.Header.Get("Content-Type") == typeChunk || u.Length == 0 {
		return h.receive(w, r, u, up, http.StatusCreated)
	}
	if err := up.Close(); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// readUpload reads the header of what begins an upload.
func readUpload(r *http.Request) (*resumable, error) {
	u := &resumable{Length: -1}
	bad := func(why string) (*resumable, error) {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: why, Hint: "send Upload-Length, and Upload-Metadata: path BASE64"}
	}
	if v := r.Header.Get("Upload-Length"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return bad("Upload-Length is no length")
		}
		u.Length = n
	} else if r.Header.Get("Upload-Defer-Length") != "1" {
		return bad("Upload-Length is missing")
	}
	for pair := range strings.SplitSeq(r.Header.Get("Upload-Metadata"), ",") {
		name, text, _ := strings.Cut(strings.TrimSpace(pair), " ")
		value, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return bad("Upload-Metadata cannot be read")
		}
		switch name {
		case "path":
			u.Path = strings.TrimPrefix(string(value), "/")
		case "type", "filetype":
			u.Type = string(value)
		case "sha256":
			u.SHA256 = strings.ToLower(string(value))
			if _, err := millpond.ParseDigest("sha256:" + u.SHA256); err != nil {
				return nil, err
			}
		case "if-none-match":
			u.None = string(value)
		case "if-match":
			u.Match = string(value)
		}
	}
	if len(u.Type) > 200 || strings.ContainsFunc(u.Type, func(c rune) bool { return c < ' ' || c > '~' }) {
		return bad("the type is none")
	}
	return u, check(u.Path)
}

// seal makes the name of an upload, which only the pond can make.
func (h handler) seal(ctx context.Context, id string, u *resumable) (string, error) {
	text, err := json.Marshal(u)
	if err != nil {
		return "", err
	}
	body := id + "." + base64.RawURLEncoding.EncodeToString(text)
	sum, err := h.mac(ctx, body)
	return body + "." + base64.RawURLEncoding.EncodeToString(sum), err
}

func (h handler) mac(ctx context.Context, text string) ([]byte, error) {
	key, err := h.repo.Secret(ctx, "uploads", func() ([]byte, error) {
		b := make([]byte, 32)
		_, err := rand.Read(b)
		return b, err
	})
	if err != nil {
		return nil, err
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)[:16], nil
}

// unseal reads the name of an upload.
func (h handler) unseal(ctx context.Context, name string) (id string, u *resumable, err error) {
	none := &millpond.Error{Kind: millpond.NotFound, Why: "there is no such upload", Hint: "begin it again; an upload is kept for a week"}
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", nil, none
	}
	want, err := h.mac(ctx, name[:i])
	if err != nil {
		return "", nil, err
	}
	got, err := base64.RawURLEncoding.Strict().DecodeString(name[i+1:])
	if err != nil || !hmac.Equal(got, want) {
		return "", nil, none
	}
	id, text, _ := strings.Cut(name[:i], ".")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", nil, none
	}
	u = &resumable{}
	if err := json.Unmarshal(raw, u); err != nil {
		return "", nil, none
	}
	return id, u, nil
}

func (h handler) serveUpload(w http.ResponseWriter, r *http.Request, p Path) error {
	tusHeader(w)
	if r.Method == http.MethodOptions {
		tusOptions(w)
		return nil
	}
	if err := checkTus(r); err != nil {
		return err
	}
	id, u, err := h.unseal(r.Context(), p.Name)
	if err != nil {
		return err
	}
	h.receiving().interrupt(r.Context(), id)
	up, err := h.repo.Resume(r.Context(), id)
	if millpond.Is(err, millpond.NotFound) && r.Method == http.MethodHead {
		return h.afterwards(w, r, u, err)
	}
	if err != nil {
		return err
	}
	if err := h.recallLength(r.Context(), id, u); err != nil {
		return errors.Join(err, up.Close())
	}
	head := w.Header()
	switch r.Method {
	case http.MethodHead:
		head.Set("Upload-Offset", strconv.FormatInt(up.Size(), 10))
		if u.Length >= 0 {
			head.Set("Upload-Length", strconv.FormatInt(u.Length, 10))
		} else {
			head.Set("Upload-Defer-Length", "1")
		}
		h.expires(w)
		w.WriteHeader(http.StatusOK)
		return up.Close()
	case http.MethodDelete:
		err := errors.Join(up.Discard(), up.Close())
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	}
	offset, err := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || bare(r.Header.Get("Content-Type")) != typeChunk {
		return errors.Join(&millpond.Error{Kind: millpond.Invalid, Why: "a chunk has an Upload-Offset and the type " + typeChunk}, up.Close())
	}
	if offset != up.Size() {
		err := &millpond.Error{Kind: millpond.Conflict, Why: fmt.Sprintf("the upload has %d bytes, and the chunk begins at %d", up.Size(), offset)}
		return errors.Join(err, up.Close())
	}
	if err := h.tellLength(r, id, u, up); err != nil {
		return errors.Join(err, up.Close())
	}
	return h.receive(w, r, u, up, http.StatusNoContent)
}

// afterwards answers who has lost the answer to the last chunk: the file is there.
func (h handler) afterwards(w http.ResponseWriter, r *http.Request, u *resumable, absent error) error {
	now, err := h.repo.Hosted(r.Context(), u.Path)
	if err != nil {
		return absent
	}
	c, err := newest(u.Path, now)
	if err != nil || c == nil || u.Length >= 0 && c.file.Size != u.Length || c.file.Published.Before(u.Created) {
		return firstError(err, absent)
	}
	head := w.Header()
	size := strconv.FormatInt(c.file.Size, 10)
	head.Set("Upload-Offset", size)
	head.Set("Upload-Length", size)
	head["Etag"] = []string{h.tag(c, nil)}
	w.WriteHeader(http.StatusOK)
	return nil
}

// receive takes a chunk, and with the last one makes the file. It ends the use of up.
func (h handler) receive(w http.ResponseWriter, r *http.Request, u *resumable, up format.Upload, status int) (err error) {
	coming, end := h.receiving().begin(up.ID(), w, r.Body)
	defer func() { err = errors.Join(err, up.Close()); end() }()
	body := io.Reader(coming)
	if u.Length >= 0 {
		left := u.Length - up.Size()
		more := &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("the chunk has more than the %d bytes that are missing", left)}
		if r.ContentLength > left {
			return more
		}
		body = &missing{coming, left, more}
	}
	if sum := r.Header.Get("Upload-Checksum"); sum != "" {
		checked, err := h.checked(r.Context(), u.Path, sum, body)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, checked.Discard(), checked.Close()) }()
		body = io.NewSectionReader(checked, 0, checked.Size())
	}
	s := newSummer()
	whole := up.Size() == 0 // then all digests are taken while it comes
	if whole {
		_, err = s.copy(up, body)
	} else {
		_, err = io.Copy(up, body)
	}
	if err != nil {
		if _, worded := errors.AsType[*millpond.Error](err); worded {
			return err
		}
		if coming.over.Load() {
			return errTakenOver
		}
		return short(up.Size(), u.Length, err) // what came is kept, and the client is told by HEAD
	}
	w.Header().Set("Upload-Offset", strconv.FormatInt(up.Size(), 10))
	if up.Size() != u.Length {
		h.expires(w)
		w.WriteHeader(status)
		return nil
	}
	in := u.incoming()
	in.size = u.Length
	if !whole {
		if _, err := s.copy(io.Discard, io.NewSectionReader(up, 0, up.Size())); err != nil {
			return err
		}
	}
	if err := h.before(r.Context(), in); err != nil {
		return errors.Join(err, up.Discard())
	}
	got, err := h.finish(r.Context(), in, up, s.sums())
	if err != nil {
		return err
	}
	head := w.Header()
	head["Etag"] = []string{h.tag(&got.content, nil)}
	if status != http.StatusCreated {
		head.Set("Content-Location", h.repo.Base(r).String()+escape(u.Path))
	}
	w.WriteHeader(status)
	return nil
}

// checked takes a chunk aside until its checksum is known to be right.
func (h handler) checked(ctx context.Context, name, sum string, body io.Reader) (format.Upload, error) {
	algorithm, text, _ := strings.Cut(sum, " ")
	want, err := base64.StdEncoding.DecodeString(text)
	makeHash := hashes[algorithm]
	if err != nil || makeHash == nil || strings.HasPrefix(algorithm, "crc") {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "Upload-Checksum is none of sha256, sha1, md5 with base64"}
	}
	up, err := h.repo.Upload(ctx, format.Uploading{Package: name, Size: -1})
	if err != nil {
		return nil, err
	}
	sums := makeHash()
	if _, err = io.Copy(io.MultiWriter(up, sums), body); err == nil && string(sums.Sum(nil)) != string(want) {
		err = &millpond.Error{Kind: millpond.Invalid, Why: "the chunk has not the declared " + algorithm, Hint: "it was dropped; send it again", Err: errChunkSum}
	}
	if err != nil {
		return nil, errors.Join(err, up.Discard(), up.Close())
	}
	return up, nil
}
