package raw

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"millpond"
	"millpond/format"
)

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
	file, err := h.fileOfParts(r.Context(), name, upload)
	if err != nil {
		return err
	}
	text, err := json.Marshal(begun{Type: in.kind, Record: in.record, Upload: file})
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
	was, err := h.begunAs(r.Context(), name, id)
	if err != nil {
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
	sum, err := h.takePart(r.Context(), w, &incomingPart{name: name, id: id, number: number, begun: was, in: in, body: from, size: size})
	if err != nil {
		return err
	}
	tag := `"` + sum + `"`
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
	last := map[int]part{}
	for _, f := range files {
		if p, ok := readPart(f, out.UploadID); ok && p.number > after && !last[p.number].came.After(p.came) {
			last[p.number] = p
		}
	}
	for n := after + 1; n <= mostParts && len(last) > 0; n++ {
		p, ok := last[n]
		if !ok {
			continue
		}
		if len(out.Part) == out.MaxParts {
			out.IsTruncated = true
			break
		}
		out.NextPartNumberMarker = n
		out.Part = append(out.Part, s3Part{n, p.came.UTC().Format(s3Time), `"` + p.md5 + `"`, p.Size})
		delete(last, n)
	}
	return h.xml(w, r, http.StatusOK, out)
}

// abortParts lets go of the parts.
func (h handler) abortParts(w http.ResponseWriter, r *http.Request, name string, q url.Values) error {
	if err := h.repo.May(r.Context(), millpond.VerbPublish, name); err != nil {
		return err
	}
	if err := h.endParts(r.Context(), name, q.Get("uploadId")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
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
	body, size, err := h3Body(r)
	if err != nil {
		return err
	}
	var list s3Complete
	if err := (&incoming{want: Sums{}, size: size}).readXML(body, &list); err != nil { // its header declares digests of the file
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
	keep := keepAlive(w)
	err = h.joinParts(r.Context(), in, id, was, files, parts)
	begun := keep.stop()
	if err == nil { // the file is there, whatever becomes of its parts: they may have been aborted meanwhile, and go in a week
		if left := h.endParts(r.Context(), name, id); left != nil && !millpond.Is(left, millpond.NotFound) {
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
