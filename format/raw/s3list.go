package raw

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

const s3Time = "2006-01-02T15:04:05.000Z"

type s3Object struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
}

type s3Prefix struct{ Prefix string }

// An s3Listing is a page of a bucket, in both versions of the question.
type s3Listing struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	MaxKeys               int
	EncodingType          string  `xml:",omitempty"`
	KeyCount              *int    `xml:",omitempty"`
	Marker                *string `xml:",omitempty"`
	NextMarker            string  `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"`
	ContinuationToken     string  `xml:",omitempty"`
	NextContinuationToken string  `xml:",omitempty"`
	IsTruncated           bool
	Contents              []s3Object
	CommonPrefixes        []s3Prefix
}

func (h handler) listObjects(w http.ResponseWriter, r *http.Request, q url.Values) error {
	d := directory{prefix: q.Get("prefix"), delim: q.Get("delimiter"), deep: q.Get("delimiter") == "", most: mostListed}
	if v := q.Get("max-keys"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return code("InvalidArgument", millpond.Invalid, "max-keys is no number")
		}
		d.most = min(n, mostListed)
	}
	out := s3Listing{Name: h.repo.Name(), Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), MaxKeys: d.most, EncodingType: q.Get("encoding-type")}
	v2 := q.Get("list-type") == "2"
	if v2 {
		out.StartAfter, out.ContinuationToken = q.Get("start-after"), q.Get("continuation-token")
		d.after = out.StartAfter
		if out.ContinuationToken != "" {
			token, err := base64.RawURLEncoding.DecodeString(out.ContinuationToken)
			if err != nil {
				return code("InvalidArgument", millpond.Invalid, "the continuation token is not one of ours")
			}
			d.after = string(token)
		}
	} else {
		marker := q.Get("marker")
		out.Marker, d.after = &marker, marker
		d.after = d.behind(marker) // which we gave as NextMarker
	}
	if d.most > 0 {
		if err := h.fillListing(r, d, &out, v2); err != nil {
			return err
		}
	}
	if v2 {
		n := len(out.Contents) + len(out.CommonPrefixes)
		out.KeyCount = &n
	}
	if out.EncodingType == "url" {
		out.encode()
	}
	return h.xml(w, r, http.StatusOK, &out)
}

func (h handler) fillListing(r *http.Request, d directory, out *s3Listing, v2 bool) error {
	page, err := h.page(r.Context(), d)
	if err != nil {
		return err
	}
	for i := range page.Entries {
		e := &page.Entries[i]
		if e.isPrefix {
			out.CommonPrefixes = append(out.CommonPrefixes, s3Prefix{e.full})
			continue
		}
		out.Contents = append(out.Contents, s3Object{e.full, e.Modified.Format(s3Time), e.s3Tag(), max(e.Size, 0), "STANDARD"})
	}
	if page.Next == "" {
		return nil
	}
	out.IsTruncated = true
	if !v2 {
		out.NextMarker = page.Next
		return nil
	}
	out.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(d.behind(page.Next)))
	return nil
}

func (e *entry) s3Tag() string {
	switch {
	case e.rec.Parts != "":
		return `"` + e.rec.Parts + `"`
	case e.md5 != "":
		return `"` + e.md5 + `"`
	}
	return `"` + e.SHA256 + `-0"` // with a dash no client takes it for an MD5
}

// encode escapes the names, for clients that read XML strictly.
func (l *s3Listing) encode() {
	l.Prefix, l.StartAfter, l.NextMarker, l.Delimiter = encodeKey(l.Prefix), encodeKey(l.StartAfter), encodeKey(l.NextMarker), encodeKey(l.Delimiter)
	if l.Marker != nil {
		m := encodeKey(*l.Marker)
		l.Marker = &m
	}
	for i := range l.Contents {
		l.Contents[i].Key = encodeKey(l.Contents[i].Key)
	}
	for i := range l.CommonPrefixes {
		l.CommonPrefixes[i].Prefix = encodeKey(l.CommonPrefixes[i].Prefix)
	}
}

// encodeKey escapes a name as clients unescape it: a plus would be a space to them.
func encodeKey(name string) string { return strings.ReplaceAll(escape(name), "+", "%2B") }

type s3Deletes struct {
	Quiet  bool
	Object []struct {
		Key       string
		VersionID string `xml:"VersionId"`
		ETag      string
	}
}

type s3Deleted struct {
	XMLName xml.Name         `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Deleted []s3Key          `xml:",omitempty"`
	Error   []s3DeleteFailed `xml:",omitempty"`
}

type s3Key struct{ Key string }

type s3DeleteFailed struct{ Key, Code, Message string }

// deleteObjects deletes up to a thousand, each judged by itself.
func (h handler) deleteObjects(w http.ResponseWriter, r *http.Request) error {
	var in s3Deletes
	if err := readXML(r, &in); err != nil {
		return err
	}
	if len(in.Object) > mostListed {
		return code("MalformedXML", millpond.Invalid, "no more than 1000 are deleted at once")
	}
	out := s3Deleted{}
	for _, o := range in.Object {
		_, err := Format{}.Canon(o.Key)
		if err == nil {
			err = oneVersion(o.VersionID)
		}
		if err == nil {
			err = h.remove(r.Context(), o.Key, "DeleteObjects", condition{match: o.ETag})
		}
		if err != nil && !millpond.Is(err, millpond.NotFound) {
			why, _ := format.Words(err)
			out.Error = append(out.Error, s3DeleteFailed{o.Key, s3Code(r, err), why})
		} else if !in.Quiet {
			out.Deleted = append(out.Deleted, s3Key{o.Key})
		}
	}
	return h.xml(w, r, http.StatusOK, out)
}

// mostXML bounds what a client may send as a document: a thousand names, of a kilobyte each.
const mostXML = 2 << 20

// readXML reads a small document, whose digests its client may declare.
func readXML(r *http.Request, into any) error {
	in, body, err := incomingS3(r, "")
	if err != nil {
		return err
	}
	return in.readXML(body, into)
}

// readXML reads a small document. Nothing of it counts before its end: there it shows whether it is what was signed.
func (in *incoming) readXML(body io.Reader, into any) error {
	s := &summer{}
	for algorithm := range in.want {
		s.addHere(algorithm)
	}
	s.add(in.promised...)
	var text bytes.Buffer
	n, err := s.copy(&text, io.LimitReader(body, mostXML+1))
	switch {
	case err == nil && n > mostXML:
		return code("MalformedXML", millpond.TooLarge, "the document is larger than 2 MiB")
	case err == nil && in.size >= 0 && n != in.size:
		return short(n, in.size, nil)
	case err == nil:
		err = in.settle(s.sums())
	}
	if _, worded := errors.AsType[*millpond.Error](err); worded {
		return err
	}
	if err == nil {
		err = xml.Unmarshal(text.Bytes(), into)
	}
	if err != nil {
		return coded{&millpond.Error{Kind: millpond.Invalid, Why: "the document cannot be read", Err: err}, "MalformedXML"}
	}
	return nil
}

// lastModified is a date as S3's headers have it.
func lastModified(t time.Time) string { return t.UTC().Format(http.TimeFormat) }
