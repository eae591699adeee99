package raw

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// s3Queries are parameters by which a request is known to be S3's.
var s3Queries = [...]string{"list-type", "uploads", "uploadId", "delete", "location", "versioning", "tagging", "attributes", "acl", "policy",
	"lifecycle", "cors", "website", "versions", "encryption", "object-lock", "publicAccessBlock", "ownershipControls", "requestPayment",
	"replication", "notification", "logging", "select", "restore", "torrent", "X-Amz-Signature", "X-Amz-Algorithm", "AWSAccessKeyId", "delimiter", "encoding-type"} // never changed

// isS3 reports whether a request is one of S3's: it is signed as those are, or has a header or a parameter that only those have.
func isS3(r *http.Request) bool {
	if a := r.Header["Authorization"]; len(a) > 0 && (strings.HasPrefix(a[0], "AWS4-HMAC-SHA256 ") || strings.HasPrefix(a[0], "AWS ")) {
		return true
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") && !strings.HasPrefix(name, "X-Amz-Cf-") && name != "X-Amzn-Trace-Id" {
			return true
		}
	}
	if r.URL.RawQuery == "" {
		return false
	}
	q := r.URL.Query()
	for _, name := range s3Queries {
		if q.Has(name) {
			return true
		}
	}
	return false
}

// oldSignature is an error for a request that is signed as S3's were once: nobody has checked that signature.
func oldSignature(r *http.Request) error {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS ") && !r.URL.Query().Has("AWSAccessKeyId") {
		return nil
	}
	return coded{&millpond.Error{Kind: millpond.Invalid, Why: "the request is signed with AWS Signature Version 2, and 4 is what is read here",
		Hint: "aws configure set default.s3.signature_version s3v4"}, "InvalidRequest"}
}

// serveS3 answers a request of S3's. The bucket is the repository.
func (h handler) serveS3(w http.ResponseWriter, r *http.Request) error {
	head := w.Header()
	if id := head.Get("X-Request-Id"); id != "" {
		head.Set("X-Amz-Request-Id", id)
	}
	if err := oldSignature(r); err != nil {
		return err
	}
	q := r.URL.Query()
	name, err := unescape(strings.TrimPrefix(r.URL.EscapedPath(), "/"))
	if err != nil {
		return err
	}
	if name == "" {
		return h.serveBucket(w, r, q)
	}
	if _, err := (Format{}).Canon(name); err != nil {
		return err
	}
	if err := oneVersion(q.Get("versionId")); err != nil {
		return err
	}
	has := func(param string) bool { return q.Has(param) }
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		switch {
		case has("uploadId"):
			return h.listParts(w, r, name, q)
		case has("tagging"):
			return h.getTagging(w, r, name)
		case has("attributes"):
			return h.getAttributes(w, r, name)
		}
		if unknown := unimplemented(q); unknown != "" {
			return errNotImplemented(unknown)
		}
		return h.getObject(w, r, name, q)
	case http.MethodPut:
		switch {
		case has("uploadId"):
			return h.putPart(w, r, name, q)
		case has("tagging"):
			return h.putTagging(w, r, name)
		case r.Header.Get("X-Amz-Copy-Source") != "":
			return h.copyObject(w, r, name)
		}
		if unknown := unimplemented(q); unknown != "" {
			return errNotImplemented(unknown)
		}
		return h.putObject(w, r, name)
	case http.MethodPost:
		switch {
		case has("uploads"):
			return h.beginParts(w, r, name)
		case has("uploadId"):
			return h.completeParts(w, r, name, q)
		}
	case http.MethodDelete:
		switch {
		case has("uploadId"):
			return h.abortParts(w, r, name, q)
		case has("tagging"):
			return h.setLabels(r.Context(), w, name, nil, http.StatusNoContent)
		}
		return h.deleteObject(w, r, name)
	}
	return errNotImplemented(r.Method)
}

// Front answers the question for all buckets, which S3's clients ask of the root: the repositories.
func (Format) Front(w http.ResponseWriter, r *http.Request, names []string) bool {
	if !isS3(r) {
		return false
	}
	type bucket struct{ Name, CreationDate string }
	out := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
		Owner   struct{ ID, DisplayName string }
		Buckets []bucket `xml:"Buckets>Bucket"`
	}{}
	out.Owner.ID, out.Owner.DisplayName = "millpond", "millpond"
	for _, name := range names {
		out.Buckets = append(out.Buckets, bucket{name, "2026-01-01T00:00:00.000Z"}) // clients want a date, and make nothing of it
	}
	return handler{}.xml(w, r, http.StatusOK, out) == nil
}

func (h handler) serveBucket(w http.ResponseWriter, r *http.Request, q url.Values) error {
	switch r.Method {
	case http.MethodHead:
		if err := h.repo.May(r.Context(), millpond.VerbRead, ""); err != nil {
			return err
		}
		w.WriteHeader(http.StatusOK)
		return nil
	case http.MethodGet:
		switch {
		case q.Has("location"):
			return h.xml(w, r, http.StatusOK, struct {
				XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
			}{})
		case q.Has("versioning"):
			return h.xml(w, r, http.StatusOK, struct {
				XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ VersioningConfiguration"`
			}{})
		case q.Has("uploads"):
			return h.listUploads(w, r, q)
		}
		if unknown := unimplemented(q); unknown != "" {
			return errNotImplemented(unknown)
		}
		return h.listObjects(w, r, q)
	case http.MethodPost:
		if q.Has("delete") {
			return h.deleteObjects(w, r)
		}
	case http.MethodPut:
		if len(q) == 0 { // to make a bucket that is there, as rclone does before it writes
			if err := h.repo.May(r.Context(), millpond.VerbPublish, ""); err != nil {
				return err
			}
			w.WriteHeader(http.StatusOK)
			return nil
		}
	}
	return errNotImplemented(r.Method + " of a bucket")
}

// unimplemented is a parameter that asks for what is not done here; "" if there is none.
func unimplemented(q url.Values) string {
	for _, name := range [...]string{"acl", "policy", "lifecycle", "cors", "website", "versions", "encryption", "object-lock", "publicAccessBlock",
		"ownershipControls", "requestPayment", "replication", "notification", "logging", "select", "restore", "torrent", "legal-hold", "retention", "tagging", "accelerate",
		"analytics", "inventory", "metrics", "intelligent-tiering", "policyStatus"} {
		if q.Has(name) {
			return name
		}
	}
	return ""
}

// oneVersion refuses to take an object for one of several versions of it: S3 knows one here, whose id is "null".
func oneVersion(id string) error {
	if id == "" || id == "null" {
		return nil
	}
	return errNotImplemented("a version of an object")
}

func errNotImplemented(what string) error {
	return &millpond.Error{Kind: millpond.Unsupported, Why: what + " is not done here", Hint: "the pond's configuration says who may do what"}
}

// xml answers with a document.
func (h handler) xml(w http.ResponseWriter, r *http.Request, status int, doc any) error {
	body, err := xml.Marshal(doc)
	if err != nil {
		return err
	}
	head := w.Header()
	head.Set("Content-Type", "application/xml")
	head["Cache-Control"] = []string{"no-store"}
	body = append([]byte(xml.Header), body...)
	head.Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body) // the client that has left is told nothing
	}
	return nil
}

// An s3Error is an error as S3's clients read it.
type s3Error struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Resource  string
	RequestID string `xml:"RequestId"`
}

// coded is an error that has a code of its own.
type coded struct {
	error
	code string
}

func (c coded) Unwrap() error { return c.error }

// code says an error of S3's own.
func code(code string, kind millpond.Kind, why string) error {
	return coded{&millpond.Error{Kind: kind, Why: why}, code}
}

// s3Code is the code by which S3's clients know an error.
func s3Code(r *http.Request, err error) string {
	if c, ok := errors.AsType[coded](err); ok {
		return c.code
	}
	switch {
	case errors.Is(err, errBadDigest):
		return "BadDigest"
	case errors.Is(err, format.ErrSignature):
		return "SignatureDoesNotMatch"
	case errors.Is(err, format.ErrSkew): // clients set their clock by it, and ask again
		return "RequestTimeTooSkewed"
	}
	switch millpond.KindOf(err) {
	case millpond.Invalid:
		return "InvalidRequest"
	case millpond.Unauthenticated, millpond.Denied, millpond.Blocked:
		return "AccessDenied"
	case millpond.NotFound, millpond.Gone:
		return "NoSuchKey"
	case millpond.Conflict:
		return "OperationAborted"
	case millpond.Precondition:
		return "PreconditionFailed"
	case millpond.Range:
		return "InvalidRange"
	case millpond.TooLarge:
		return "EntityTooLarge"
	case millpond.Unsupported:
		return "NotImplemented"
	case millpond.Throttled, millpond.BadUpstream, millpond.Offline, millpond.Corrupt, millpond.Unready:
		return "SlowDown"
	case millpond.Full:
		return "ServiceUnavailable"
	}
	return "InternalError"
}

// Refuse answers as S3 does what was refused before it came to a handler.
func (Format) Refuse(w http.ResponseWriter, r *http.Request, now time.Time, err error) bool {
	if !isS3(r) {
		return false
	}
	if old := oldSignature(r); old != nil {
		err = old
	} else if millpond.KindOf(err) == millpond.NotFound {
		err = coded{err, "NoSuchBucket"}
	}
	failS3(w, r, now, err)
	return true
}

func (h handler) failS3(w http.ResponseWriter, r *http.Request, err error) {
	failS3(w, r, h.repo.Now(), err)
}

func failS3(w http.ResponseWriter, r *http.Request, now time.Time, err error) {
	why, hint := format.Words(err)
	if hint != "" {
		why += " (" + hint + ")"
	}
	doc := s3Error{Code: s3Code(r, err), Message: why, Resource: r.URL.Path, RequestID: w.Header().Get("X-Request-Id")}
	body, xmlErr := xml.Marshal(doc)
	if xmlErr != nil {
		body = []byte("<Error><Code>" + doc.Code + "</Code></Error>")
	}
	f := format.Failure{Type: "application/xml", Body: xml.Header + string(body)}
	switch millpond.KindOf(err) {
	case millpond.Unauthenticated:
		f.Status = http.StatusForbidden // which S3's clients take for what it is
	case millpond.Gone:
		f.Status = http.StatusNotFound
	}
	for name := range w.Header() { // what was said of the object is not said of the error: a client would compare it
		if lower := strings.ToLower(name); lower == "content-disposition" || lower == "repr-digest" || strings.HasPrefix(lower, "x-checksum-") ||
			strings.HasPrefix(lower, "x-amz-checksum-") || strings.HasPrefix(lower, "x-amz-meta-") || lower == "x-amz-tagging-count" {
			delete(w.Header(), name)
		}
	}
	format.Fail(w, r, now, err, f)
}
