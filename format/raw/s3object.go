package raw

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
)

func (h handler) getObject(w http.ResponseWriter, r *http.Request, name string, q url.Values) error {
	c, err := h.find(r.Context(), name, "")
	if err != nil {
		return err
	}
	head := w.Header()
	for k, v := range c.record.Meta {
		head["x-amz-meta-"+strings.ToLower(k)] = []string{v} // Amazon's own library gives its programs the names as they come
	}
	if n := len(c.record.Labels); n > 0 {
		head.Set("X-Amz-Tagging-Count", jsonNumber(n))
	}
	// Who asks for a part would compare it with the checksum of the whole.
	if strings.EqualFold(r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") && r.Header.Get("Range") == "" {
		for algorithm, sum := range c.record.Crc {
			head.Set("X-Amz-Checksum-"+algorithm, sum)
		}
		for _, algorithm := range [...]string{"sha1", "sha256"} { // which are taken of everything
			if sum, err := hex.DecodeString(hexOf(c.file.Digests, algorithm)); err == nil && len(sum) > 0 && len(c.record.Crc) == 0 {
				head.Set("X-Amz-Checksum-"+algorithm, base64.StdEncoding.EncodeToString(sum))
			}
		}
	}
	out := http.ResponseWriter(w)
	over := map[string]string{}
	for _, name := range [...]string{"Content-Type", "Content-Disposition", "Content-Language", "Cache-Control", "Expires", "Content-Encoding"} {
		if v := q.Get("response-" + strings.ToLower(name)); v != "" {
			over[name] = v
		}
	}
	if len(over) > 0 {
		if r.Header.Get("Authorization") == "" && !q.Has("X-Amz-Signature") {
			return code("InvalidRequest", millpond.Invalid, "only a signed request may say what the answer's header is")
		}
		// Nor makes a signature a page of what a browser could run.
		asked, _, _ := strings.Cut(over["Content-Disposition"], ";")
		if (runs(over["Content-Type"]) || asked != "" && h.inert(c)) && !strings.EqualFold(strings.TrimSpace(asked), "attachment") {
			over["Content-Disposition"] = "attachment"
		}
		out = overriding{w, over}
	}
	return h.serveContent(out, r, c, false)
}

func jsonNumber(n int) string {
	b, _ := json.Marshal(n) // a number
	return string(b)
}

// overriding says at the end what a signed request wants the header to say.
type overriding struct {
	http.ResponseWriter
	header map[string]string
}

func (o overriding) WriteHeader(status int) {
	for k, v := range o.header {
		o.Header().Set(k, v)
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o overriding) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// incomingS3 reads what the header says of an object that is put.
func incomingS3(r *http.Request, name string) (*incoming, io.Reader, error) {
	body, size, err := h3Body(r)
	if err != nil {
		return nil, nil, err
	}
	in, err := incomingOf(r, name)
	if err != nil {
		return nil, nil, coded{err, "InvalidDigest"}
	}
	in.size, in.record.Alias = size, ""
	if sum := r.Header.Get("X-Amz-Content-Sha256"); len(sum) == 64 {
		if raw, err := hex.DecodeString(sum); err == nil {
			in.want["sha256"] = raw
		}
	}
	if t, ok := body.(*chunked); ok {
		in.late, in.promised = t.declared, promised(r.Header)
	}
	if v := r.Header.Get("X-Amz-Tagging"); v != "" {
		if in.record.Labels, err = readLabels(v); err != nil {
			return nil, nil, err
		}
	}
	total := 0
	for k, v := range r.Header {
		if rest, ok := strings.CutPrefix(k, "X-Amz-Meta-"); ok {
			if in.record.Meta == nil {
				in.record.Meta = map[string]string{}
			}
			in.record.Meta[rest] = strings.Join(v, ",")
			total += len(rest) + len(in.record.Meta[rest])
		}
	}
	if total > 8<<10 {
		return nil, nil, code("MetadataTooLarge", millpond.Invalid, "the object's metadata is larger than 8 KiB")
	}
	for name, sum := range in.want {
		if strings.HasPrefix(name, "crc") {
			in.record.setCrc(name, sum)
		}
	}
	return in, body, nil
}

func (r *record) setCrc(name string, sum []byte) {
	if r.Crc == nil {
		r.Crc = map[string]string{}
	}
	r.Crc[name] = base64.StdEncoding.EncodeToString(sum)
}

func (h handler) putObject(w http.ResponseWriter, r *http.Request, name string) error {
	in, body, err := incomingS3(r, name)
	if err != nil {
		return err
	}
	if strings.HasSuffix(name, "/") && in.size != 0 {
		return code("InvalidRequest", millpond.Invalid, "what ends in a slash marks a directory, and has no bytes")
	}
	got, err := h.put(r.Context(), in, body)
	if err != nil {
		return err
	}
	w.Header()["Etag"] = []string{h.tag(&got.content, nil)}
	for algorithm, sum := range got.record.Crc {
		w.Header().Set("X-Amz-Checksum-"+algorithm, sum)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h handler) deleteObject(w http.ResponseWriter, r *http.Request, name string) error {
	if err := h.remove(r.Context(), name, "DeleteObject", conditionOf(r.Header)); err != nil && !millpond.Is(err, millpond.NotFound) {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// A copySource is an object that is copied: its bytes are here.
type copySource struct {
	*content
	body *millpond.Content // to be closed
}

// source finds what X-Amz-Copy-Source names. Who copies must be able to read it.
func (h handler) source(r *http.Request) (*copySource, error) {
	text, query, _ := strings.Cut(r.Header.Get("X-Amz-Copy-Source"), "?")
	if q, err := url.ParseQuery(query); err != nil || oneVersion(q.Get("versionId")) != nil {
		return nil, firstError(err, oneVersion(q.Get("versionId")))
	}
	plain, err := url.PathUnescape(strings.TrimPrefix(text, "/"))
	bucket, name, ok := strings.Cut(plain, "/")
	if err != nil || !ok {
		return nil, code("InvalidArgument", millpond.Invalid, "the copy source is not bucket/key")
	}
	if _, err := (Format{}).Canon(name); err != nil {
		return nil, err
	}
	from := h
	if bucket != h.repo.Name() {
		if from.repo, err = h.repo.Other(r.Context(), bucket); err != nil {
			return nil, err
		}
	}
	c, err := from.find(r.Context(), name, "")
	if err != nil {
		return nil, err
	}
	if v := r.Header.Get("X-Amz-Copy-Source-If-Match"); v != "" && !anyTag(v, c.tags()) {
		return nil, errPrecondition("the source is another content now")
	}
	if v := r.Header.Get("X-Amz-Copy-Source-If-None-Match"); v != "" && anyTag(v, c.tags()) {
		return nil, errPrecondition("the source has not changed")
	}
	since := func(word string) string { return r.Header.Get("X-Amz-Copy-Source-If-" + word + "-Since") }
	if r.Header.Get("X-Amz-Copy-Source-If-Match") == "" && changedSince(since("Unmodified"), c.file.Published) {
		return nil, errPrecondition("the source is another content now")
	}
	v := since("Modified")
	if _, bad := http.ParseTime(v); bad == nil && r.Header.Get("X-Amz-Copy-Source-If-None-Match") == "" && !changedSince(v, c.file.Published) {
		return nil, errPrecondition("the source has not changed")
	}
	body, err := from.repo.Open(r.Context(), c.key())
	if err != nil {
		return nil, err
	}
	if body.ReadSeekCloser == nil {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "what is not held here is not copied", Hint: "fill: redirect keeps no bytes at first"}
	}
	return &copySource{c, body}, nil
}

// copyObject makes another path for bytes that are here. It moves none of them.
func (h handler) copyObject(w http.ResponseWriter, r *http.Request, name string) error {
	src, err := h.source(r)
	if err != nil {
		return err
	}
	defer src.body.Close()
	in, _, err := incomingS3(r, name)
	if err != nil {
		return err
	}
	in.want = Sums{}
	if r.Header.Get("X-Amz-Metadata-Directive") != "REPLACE" {
		labels := in.record.Labels
		in.record, in.kind = src.record, src.file.Type
		if r.Header.Get("X-Amz-Tagging-Directive") == "REPLACE" {
			in.record.Labels = labels
		}
	}
	in.record.Parts, in.record.Crc = "", src.record.Crc
	if err := h.before(r.Context(), in); err != nil {
		return err
	}
	size := src.body.Size
	if size < 0 {
		size = scanned // it is just coming
	}
	if err := h.noSecrets(name, &archive{Content: src.body}, size); err != nil {
		return err
	}
	if _, err := src.body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	f := millpond.File{Name: base(name), Type: in.kind, Size: src.file.Size, Digests: src.file.Digests, Blob: src.file.Blob}
	if f.Blob.IsZero() || hexOf(f.Digests, "md5") == "" {
		if f, err = h.taken(r.Context(), in, src.body); err != nil {
			return err
		}
	}
	got, err := h.publish(r.Context(), in, f)
	if err != nil {
		return err
	}
	return h.xml(w, r, http.StatusOK, struct {
		XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
		ETag         string
		LastModified string
	}{ETag: h.tag(&got.content, nil), LastModified: got.file.Published.UTC().Format(s3Time)})
}

// taken copies bytes of which not all digests are known.
func (h handler) taken(ctx context.Context, in *incoming, body io.Reader) (millpond.File, error) {
	up, err := h.repo.Upload(ctx, format.Uploading{Package: in.name, Size: -1})
	if err != nil {
		return millpond.File{}, err
	}
	defer up.Close()
	s := newSummer()
	if _, err := s.copy(up, body); err != nil {
		return millpond.File{}, firstError(err, up.Discard())
	}
	size := up.Size()
	blob, err := up.Commit(ctx)
	return millpond.File{Name: base(in.name), Type: in.kind, Size: size, Blob: blob, Digests: s.sums().digests(blob)}, err
}

// tagSet are labels as S3 has them.
type tagSet struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
	Tags    []s3Tag  `xml:"TagSet>Tag"`
}

type s3Tag struct{ Key, Value string }

func (h handler) getTagging(w http.ResponseWriter, r *http.Request, name string) error {
	c, err := h.find(r.Context(), name, "")
	if err != nil {
		return err
	}
	out := tagSet{}
	for _, k := range sortedKeys(c.record.Labels) {
		out.Tags = append(out.Tags, s3Tag{k, c.record.Labels[k]})
	}
	return h.xml(w, r, http.StatusOK, out)
}

func (h handler) putTagging(w http.ResponseWriter, r *http.Request, name string) error {
	var in struct {
		Tags []s3Tag `xml:"TagSet>Tag"`
	}
	if err := readXML(r, &in); err != nil {
		return err
	}
	labels := url.Values{}
	for _, t := range in.Tags {
		labels.Add(t.Key, t.Value)
	}
	checked, err := readLabels(labels.Encode())
	if err != nil {
		return err
	}
	return h.setLabels(r.Context(), w, name, checked, http.StatusOK)
}

// setLabels replaces the labels of the newest content of a path.
func (h handler) setLabels(ctx context.Context, w http.ResponseWriter, name string, labels map[string]string, status int) error {
	err := h.repo.Amend(ctx, format.Amendment{Package: name, Verb: "label", Edit: func(now *format.Hosting) error {
		c, err := newest(name, now)
		if err != nil {
			return err
		}
		if c == nil {
			return &millpond.Error{Kind: millpond.NotFound, Why: "nothing is hosted at " + name}
		}
		c.record.Labels = labels
		c.file.Meta, err = json.Marshal(c.record)
		return err
	}})
	if err != nil {
		return err
	}
	w.WriteHeader(status)
	return nil
}

func (h handler) getAttributes(w http.ResponseWriter, r *http.Request, name string) error {
	c, err := h.find(r.Context(), name, "")
	if err != nil {
		return err
	}
	out := struct {
		XMLName    xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ GetObjectAttributesResponse"`
		ETag       string   `xml:",omitempty"`
		Checksum   *struct{ ChecksumSHA256 string }
		ObjectSize int64
	}{ETag: strings.Trim(h.tag(c, nil), `"`), ObjectSize: c.file.Size}
	if sum, err := hex.DecodeString(hexOf(c.file.Digests, "sha256")); err == nil && len(sum) > 0 {
		out.Checksum = &struct{ ChecksumSHA256 string }{base64.StdEncoding.EncodeToString(sum)}
	}
	w.Header().Set("Last-Modified", lastModified(c.file.Published))
	return h.xml(w, r, http.StatusOK, out)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
