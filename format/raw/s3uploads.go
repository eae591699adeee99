package raw

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"millpond"
	"millpond/format"
)

// noteOfParts begins the note of an upload in parts, before its id.
const noteOfParts = "parts "

type s3Upload struct {
	Key          string
	UploadID     string `xml:"UploadId"`
	StorageClass string
	Initiated    string
}

// An s3Uploads is a page of the uploads in parts that are under way.
type s3Uploads struct {
	XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
	Bucket             string
	KeyMarker          string
	UploadIDMarker     string `xml:"UploadIdMarker"`
	NextKeyMarker      string `xml:",omitempty"`
	NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
	Prefix             string
	Delimiter          string `xml:",omitempty"`
	EncodingType       string `xml:",omitempty"`
	MaxUploads         int
	IsTruncated        bool
	Upload             []s3Upload
	CommonPrefixes     []s3Prefix
}

// listUploads tells of the uploads in parts with which the caller may go on.
func (h handler) listUploads(w http.ResponseWriter, r *http.Request, q url.Values) error {
	resumer, ok := h.repo.(format.Resumer)
	if !ok {
		return errNotImplemented("the list of uploads under way")
	}
	out := s3Uploads{Bucket: h.repo.Name(), KeyMarker: q.Get("key-marker"), Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"),
		EncodingType: q.Get("encoding-type"), MaxUploads: mostListed}
	if out.KeyMarker != "" {
		out.UploadIDMarker = q.Get("upload-id-marker") // without the other it says nothing
	}
	if v := q.Get("max-uploads"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return code("InvalidArgument", millpond.Invalid, "max-uploads is no number")
		}
		out.MaxUploads = min(n, mostListed)
	}
	all, err := resumer.Uploads(r.Context(), out.Prefix)
	if err != nil {
		return err
	}
	out.fill(all)
	if out.EncodingType == "url" {
		for _, s := range []*string{&out.KeyMarker, &out.NextKeyMarker, &out.Prefix, &out.Delimiter} {
			*s = encodeKey(*s)
		}
		for i := range out.Upload {
			out.Upload[i].Key = encodeKey(out.Upload[i].Key)
		}
		for i := range out.CommonPrefixes {
			out.CommonPrefixes[i].Prefix = encodeKey(out.CommonPrefixes[i].Prefix)
		}
	}
	return h.xml(w, r, http.StatusOK, &out)
}

// fill takes what is behind the markers, which are the last that a page before had.
func (l *s3Uploads) fill(all []format.Unfinished) {
	marker := slices.IndexFunc(all, func(u format.Unfinished) bool {
		return u.Package == l.KeyMarker && u.Note == noteOfParts+l.UploadIDMarker
	})
	for i, u := range all {
		id, ok := strings.CutPrefix(u.Note, noteOfParts)
		if !ok {
			continue
		}
		key, prefix := u.Package, ""
		if rest := key[len(l.Prefix):]; l.Delimiter != "" {
			if i := strings.Index(rest, l.Delimiter); i >= 0 {
				prefix = key[:len(l.Prefix)+i+len(l.Delimiter)]
			}
		}
		switch {
		case prefix != "" && prefix <= l.KeyMarker, prefix == "" && key < l.KeyMarker:
			continue
		case prefix == "" && key == l.KeyMarker && (l.UploadIDMarker == "" && key != "" || i <= marker):
			continue // all of the key, or those up to the marker, if that is still there
		}
		if n := len(l.CommonPrefixes); prefix != "" && n > 0 && l.CommonPrefixes[n-1].Prefix == prefix {
			continue
		}
		if len(l.Upload)+len(l.CommonPrefixes) == l.MaxUploads {
			l.IsTruncated = true
			return
		}
		if prefix != "" {
			l.CommonPrefixes = append(l.CommonPrefixes, s3Prefix{prefix})
			l.NextKeyMarker, l.NextUploadIDMarker = prefix, ""
			continue
		}
		l.Upload = append(l.Upload, s3Upload{key, id, "STANDARD", u.Begun.UTC().Format(s3Time)})
		l.NextKeyMarker, l.NextUploadIDMarker = key, id
	}
	l.NextKeyMarker, l.NextUploadIDMarker = "", "" // that was all
}
