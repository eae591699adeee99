package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// The codes of the protocol.
const (
	codeBlobUnknown         = "BLOB_UNKNOWN"
	codeUploadInvalid       = "BLOB_UPLOAD_INVALID"
	codeUploadUnknown       = "BLOB_UPLOAD_UNKNOWN"
	codeDigestInvalid       = "DIGEST_INVALID"
	codeManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
	codeManifestInvalid     = "MANIFEST_INVALID"
	codeManifestUnknown     = "MANIFEST_UNKNOWN"
	codeNameInvalid         = "NAME_INVALID"
	codeNameUnknown         = "NAME_UNKNOWN"
	codeSizeInvalid         = "SIZE_INVALID"
	codeUnauthorized        = "UNAUTHORIZED"
	codeDenied              = "DENIED"
	codeUnsupported         = "UNSUPPORTED"
	codeTooMany             = "TOOMANYREQUESTS"
	codeUnavailable         = "UNAVAILABLE"
	codeUnknown             = "UNKNOWN"
)

// A codedError is an error with the protocol's own code, and perhaps a status that its kind has not.
type codedError struct {
	error
	code    string
	status  int      // 0 is what the kind has
	missing []string // digests: one error each
}

// Unwrap returns the error itself.
func (e *codedError) Unwrap() error { return e.error }

func coded(code string, err error) error { return &codedError{error: err, code: code} }

// orCode is err with a code, if it is of that kind and has none yet.
func orCode(err error, kind millpond.Kind, code string) error {
	if _, has := errors.AsType[*codedError](err); err == nil || has || !millpond.Is(err, kind) {
		return err
	}
	return coded(code, err)
}

// An entry is one error of an answer.
type entry struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

// detail is what a program may want to know of an error.
type detail struct {
	Why   string `json:"why,omitempty"`
	Hint  string `json:"hint,omitempty"`
	After string `json:"after,omitempty"`
}

// codeOf is the code of a kind that an error brings none of its own for.
func codeOf(k millpond.Kind, path Kind) (code string, status int) {
	switch k {
	case millpond.Invalid, millpond.Precondition:
		switch path {
		case Manifest:
			return codeManifestInvalid, 0
		case Uploads, Session:
			return codeUploadInvalid, 0
		}
		return codeNameInvalid, 0
	case millpond.NotFound, millpond.Gone:
		switch path {
		case Manifest:
			return codeManifestUnknown, http.StatusNotFound
		case Blob:
			return codeBlobUnknown, http.StatusNotFound
		case Session:
			return codeUploadUnknown, http.StatusNotFound
		}
		return codeNameUnknown, http.StatusNotFound
	case millpond.Unauthenticated:
		return codeUnauthorized, 0
	case millpond.Denied, millpond.Blocked, millpond.Conflict:
		return codeDenied, 0
	case millpond.Range:
		return codeSizeInvalid, 0
	case millpond.TooLarge:
		return codeSizeInvalid, 0
	case millpond.Throttled:
		return codeTooMany, 0
	case millpond.Unsupported:
		return codeUnsupported, http.StatusMethodNotAllowed
	case millpond.BadUpstream, millpond.Offline, millpond.Corrupt, millpond.Full, millpond.Unready:
		return codeUnavailable, 0
	}
	return codeUnknown, 0
}

// failure is the answer to an error.
func failure(err error, path Kind) format.Failure {
	kind := millpond.KindOf(err)
	code, status := codeOf(kind, path)
	var missing []string
	if e, ok := errors.AsType[*codedError](err); ok {
		code, missing = e.code, e.missing
		if e.status != 0 {
			status = e.status
		}
	}
	why, hint := format.Words(err)
	d := detail{Why: why, Hint: hint}
	if e, ok := errors.AsType[*millpond.Error](err); ok && !e.After.IsZero() {
		d.After = e.After.UTC().Format(time.RFC3339)
	}
	message := why
	if hint != "" {
		message += "; " + hint
	}
	all := []entry{{code, message, d}}
	if len(missing) > 0 {
		all = nil
		for _, one := range missing {
			all = append(all, entry{code, "blob " + one + " is not in the image: push it first", map[string]string{"digest": one}})
		}
	}
	body, bad := json.Marshal(map[string][]entry{"errors": all})
	if bad != nil {
		body = []byte(`{"errors":[{"code":"UNKNOWN","message":"the error cannot be told"}]}`)
	}
	return format.Failure{Status: status, Type: "application/json", Body: string(body) + "\n"}
}

// fail answers an error as the protocol wants it.
func (h handler) fail(w http.ResponseWriter, r *http.Request, v visit, err error) {
	if millpond.Is(err, millpond.Unauthenticated) {
		challenge(w, r, h.repo.Root(r), v.scope(r.Method))
	}
	format.Fail(w, r, h.repo.Now(), err, failure(err, v.Kind))
}

// challenge says where a token is to be had, and for what.
func challenge(w http.ResponseWriter, r *http.Request, root *url.URL, scope string) {
	at := *root
	at.Path += "-/token"
	text := fmt.Sprintf("Bearer realm=%q,service=%q", at.String(), root.Host)
	if scope != "" {
		text += fmt.Sprintf(",scope=%q", scope)
	}
	if scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		if text += `,error="invalid_token"`; scope != "" {
			text = strings.TrimSuffix(text, `"invalid_token"`) + `"insufficient_scope"`
		}
	}
	w.Header().Set("Www-Authenticate", text)
}
