package raw

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

const (
	partsKept    = 7 * 24 * time.Hour
	mostParts    = 10_000
	smallestPart = 5 << 20 // but the last
)

// An upload in parts is kept as files of the path that belong to no version: ".parts/<id>/begun" says what it will be,
// ".parts/<id>/<number>-<md5>" are the parts. They expire after a week.
func partsOf(id string) string { return ".parts/" + id + "/" }

func partName(id string, number int, sum string) string {
	return fmt.Sprintf("%s%05d-%s", partsOf(id), number, sum)
}

// A begun is what an upload in parts will be.
type begun struct {
	Type   string `json:"type,omitempty"`
	Record record `json:"record"`
}

func (h handler) beginParts(w http.ResponseWriter, r *http.Request, name string) error {
	in, _, err := incomingS3(r, name)
	if err != nil {
		return err
	}
	in.want = Sums{}
	if err := h.before(r.Context(), in); err != nil {
		return err
	}
	id := make([]byte, 18)
	rand.Read(id) // never fails
	upload := hex.EncodeToString(id)
	in.record.Crc = nil
	text, err := json.Marshal(begun{in.kind, in.record})
	if err != nil {
		return err
	}
	if _, err := h.loose(r.Context(), name, partsOf(upload)+"begun", bytes.NewReader(text), nil, int64(len(text))); err != nil {
		return err
	}
	return h.xml(w, r, http.StatusOK, struct {
		XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
		Bucket, Key string
		UploadID    string `xml:"UploadId"`
	}{Bucket: h.repo.Name(), Key: name, UploadID: upload})
}

// loose keeps a file of a path that belongs to no version, for as long as an upload may take. With file "" its name is made
// of its MD5, behind a prefix.
func (h handler) loose(ctx context.Context, name, file string, body io.Reader, in *incoming, size int64) (*millpond.File, error) {
	up, err := h.repo.Upload(ctx, format.Uploading{Package: name, Size: size})
	if err != nil {
		return nil, err
	}
	defer up.Close()
	s := &summer{}
	s.add("md5")
	if in != nil {
		for algorithm := range in.want {
			s.add(algorithm)
		}
		s.add(in.promised...)
	}
	n, err := s.copy(up, body)
	if err == nil && size >= 0 && n != size {
		err = short(n, size, nil)
	}
	sums := s.sums()
	if err == nil && in != nil {
		err = in.settle(sums)
	}
	if err != nil {
		return nil, firstError(err, up.Discard())
	}
	var want []millpond.Digest
	if in != nil {
		if d, err := millpond.NewDigest("sha256", in.want["sha256"]); err == nil {
			want = append(want, d)
		}
	}
	blob, err := up.Commit(ctx, want...)
	if err != nil {
		if millpond.Is(err, millpond.Corrupt) {
			err = &millpond.Error{Kind: millpond.Invalid, Why: "the bytes that came have not the declared sha256", Err: errBadDigest}
		}
		return nil, err
	}
	md5, err := millpond.NewDigest("md5", sums["md5"])
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(file, "-") {
		file += md5.Hex()
	}
	f := millpond.File{Name: file, Blob: blob, Size: n, Digests: []millpond.Digest{blob, md5}}
	_, err = h.repo.Publish(ctx, format.Release{Package: name, Version: millpond.Version{Files: []millpond.File{f}}, Loose: partsKept})
	return &f, err
}

// begunAs finds an upload that is under way.
func (h handler) begunAs(ctx context.Context, name, id string) (*begun, error) {
	none := code("NoSuchUpload", millpond.NotFound, "there is no such upload of "+name)
	if len(id) != 36 || strings.Trim(id, "0123456789abcdef") != "" {
		return nil, none
	}
	c, err := h.repo.Open(ctx, millpond.Key{Package: name, File: partsOf(id) + "begun"})
	if millpond.Is(err, millpond.NotFound) || millpond.Is(err, millpond.Gone) {
		return nil, none
	}
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b := &begun{}
	return b, json.NewDecoder(c).Decode(b)
}

// partsHere are the parts of an upload, and all else that is kept of it.
func (h handler) partsHere(ctx context.Context, name, id string) (*begun, []millpond.File, error) {
	b, err := h.begunAs(ctx, name, id)
	if err != nil {
		return nil, nil, err
	}
	looser, ok := h.repo.(format.Looser)
	if !ok {
		return nil, nil, errNotImplemented("an upload in parts")
	}
	files, err := looser.Loose(ctx, name, partsOf(id))
	return b, files, err
}

func partNumber(q url.Values) (int, error) {
	n, err := strconv.Atoi(q.Get("partNumber"))
	if err != nil || n < 1 || n > mostParts {
		return 0, code("InvalidArgument", millpond.Invalid, "a part has a number from 1 to 10000")
	}
	return n, nil
}

func (h handler) putPart(w http.ResponseWriter, r *http.Request, name string, q url.Values) error {
	number, err := partNumber(q)
	if err != nil {
		return err
	}
	if err := h.repo.May(r.Context(), millpond.VerbPublish, name); err != nil {
		return err
	}
	id := q.Get("uploadId")
	if _, err := h.begunAs(r.Context(), name, id); err != nil {
		return err
	}
	in, body, err := incomingS3(r, name)
	if err != nil {
		return err
	}
	from, size := io.Reader(body), in.size
	copied := r.Header.Get("X-Amz-Copy-Source") != ""
	if copied {
		src, err := h.source(r)
		if err != nil {
			return err
		}
		defer src.body.Close()
		in.want, from, size = Sums{}, src.body, src.file.Size
		if v := r.Header.Get("X-Amz-Copy-Source-Range"); v != "" {
			var first, last int64
			if n, err := fmt.Sscanf(v, "bytes=%d-%d", &first, &last); err != nil || n != 2 || first < 0 || last < first || last >= src.file.Size {
				return code("InvalidArgument", millpond.Invalid, "the range of the copy is not within its source")
			}
			if _, err := src.body.Seek(first, io.SeekStart); err != nil {
				return err
			}
			size = last - first + 1
			from = io.LimitReader(src.body, size)
		}
	}
	f, err := h.loose(r.Context(), name, partName(id, number, ""), from, in, size)
	if err != nil {
		return err
	}
	tag := `"` + hexOf(f.Digests, "md5") + `"`
	if copied {
		return h.xml(w, r, http.StatusOK, struct {
			XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyPartResult"`
			ETag         string
			LastModified string
		}{ETag: tag, LastModified: h.repo.Now().UTC().Format(s3Time)})
	}
	w.Header()["Etag"] = []string{tag}
	for algorithm, sum := range in.record.Crc {
		w.Header().Set("X-Amz-Checksum-"+algorithm, sum)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

type s3Part struct {
	PartNumber   int
	LastModified string `xml:",omitempty"`
	ETag         string
	Size         int64
}

func (h handler) listParts(w http.ResponseWriter, r *http.Request, name string, q url.Values) error {
	_, files, err := h.partsHere(r.Context(), name, q.Get("uploadId"))
	if err != nil {
		return err
	}
	after, _ := strconv.Atoi(q.Get("part-number-marker")) // none is 0
	out := struct {
		XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
		Bucket, Key          string
		UploadID             string `xml:"UploadId"`
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		Part                 []s3Part
	}{Bucket: h.repo.Name(), Key: name, UploadID: q.Get("uploadId"), PartNumberMarker: after, MaxParts: mostListed}
	if v := q.Get("max-parts"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return code("InvalidArgument", millpond.Invalid, "max-parts is no number")
		}
		out.MaxParts = min(n, mostListed)
	}
	last := map[int]millpond.File{}
	for _, f := range files {
		var n int
		if _, err := fmt.Sscanf(f.Name[len(partsOf(out.UploadID)):], "%05d-", &n); err == nil && n > after && !last[n].Published.After(f.Published) {
			last[n] = f
		}
	}
	for n := after + 1; n <= mostParts && len(last) > 0; n++ {
		f, ok := last[n]
		if !ok {
			continue
		}
		if len(out.Part) == out.MaxParts {
			out.IsTruncated = true
			break
		}
		out.NextPartNumberMarker = n
		out.Part = append(out.Part, s3Part{n, f.Published.UTC().Format(s3Time), `"` + hexOf(f.Digests, "md5") + `"`, f.Size})
		delete(last, n)
	}
	return h.xml(w, r, http.StatusOK, out)
}

// abortParts lets go of the parts: they expire now, and are swept.
func (h handler) abortParts(w http.ResponseWriter, r *http.Request, name string, q url.Values) error {
	if err := h.repo.May(r.Context(), millpond.VerbPublish, name); err != nil {
		return err
	}
	if err := h.expire(r.Context(), name, q.Get("uploadId")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h handler) expire(ctx context.Context, name, id string) error {
	_, files, err := h.partsHere(ctx, name, id)
	if err != nil {
		return err
	}
	_, err = h.repo.Publish(ctx, format.Release{Package: name, Version: millpond.Version{Files: files}, Loose: time.Nanosecond})
	return err
}

type s3Complete struct {
	Part []struct {
		PartNumber int
		ETag       string
	}
}

// completeParts makes one file of the parts, in the order of their numbers. While it reads them it sends spaces, so that the
// client waits; an error then comes with status 200, as S3's own.
func (h handler) completeParts(w http.ResponseWriter, r *http.Request, name string, q url.Values) error {
	if err := h.repo.May(r.Context(), millpond.VerbPublish, name); err != nil {
		return err
	}
	id := q.Get("uploadId")
	was, files, err := h.partsHere(r.Context(), name, id)
	if err != nil {
		return err
	}
	var list s3Complete
	if err := readXML(r, &list); err != nil {
		return err
	}
	parts, tag, err := chosen(files, id, &list)
	if err != nil {
		return err
	}
	in := &incoming{name: name, kind: was.Type, record: was.Record, cond: conditionOf(r.Header), want: Sums{}, size: 0}
	in.record.Parts = tag
	for i := range parts {
		in.size += parts[i].Size
	}
	if err := h.before(r.Context(), in); err != nil {
		return err
	}
	all := &concatenated{h: h, ctx: r.Context(), name: name, parts: parts}
	defer all.close()
	keep := keepAlive(w)
	_, err = h.put(r.Context(), in, all)
	begun := keep.stop()
	if err == nil { // the file is there, whatever becomes of its parts: they may have been aborted meanwhile, and go in a week
		if left := h.expire(r.Context(), name, id); left != nil && !millpond.Is(left, millpond.NotFound) {
			format.Report(w, left)
		}
	}
	if err != nil && !begun {
		return err
	}
	var doc any = struct {
		XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location    string
		Bucket, Key string
		ETag        string
	}{Location: h.repo.Base(r).String() + escape(name), Bucket: h.repo.Name(), Key: name, ETag: `"` + tag + `"`}
	if err != nil {
		format.Report(w, err)
		why, _ := format.Words(err)
		doc = s3Error{Code: s3Code(r, err), Message: why, Resource: r.URL.Path}
	}
	if !begun {
		return h.xml(w, r, http.StatusOK, doc)
	}
	text, err := xml.Marshal(doc)
	if err != nil {
		return err
	}
	w.Write(text) // the client that has left is told nothing
	return nil
}

// chosen are the parts that a client names, and the entity tag of what they make.
func chosen(files []millpond.File, id string, list *s3Complete) ([]millpond.File, string, error) {
	if len(list.Part) == 0 {
		return nil, "", code("MalformedXML", millpond.Invalid, "the list of parts is empty")
	}
	for i, p := range list.Part {
		if i > 0 && p.PartNumber <= list.Part[i-1].PartNumber {
			return nil, "", code("InvalidPartOrder", millpond.Invalid, "the parts are not in the order of their numbers")
		}
	}
	byName := map[string]millpond.File{}
	for _, f := range files {
		byName[f.Name] = f
	}
	var out []millpond.File
	whole := md5.New()
	for i, p := range list.Part {
		f, ok := byName[partName(id, p.PartNumber, strings.Trim(p.ETag, `"`))]
		if !ok {
			return nil, "", code("InvalidPart", millpond.Invalid, fmt.Sprintf("part %d did not come, or has another entity tag", p.PartNumber))
		}
		if i < len(list.Part)-1 && f.Size < smallestPart {
			return nil, "", code("EntityTooSmall", millpond.Invalid, fmt.Sprintf("part %d is smaller than 5 MiB, and not the last", p.PartNumber))
		}
		sum, err := hex.DecodeString(hexOf(f.Digests, "md5"))
		if err != nil {
			return nil, "", err
		}
		whole.Write(sum)
		out = append(out, f)
	}
	return out, fmt.Sprintf("%x-%d", whole.Sum(nil), len(out)), nil
}
