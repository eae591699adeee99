package raw

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// isLink reports whether a request came by a signed link. Who identifies callers has checked the signature: what the link
// says besides is true then.
func isLink(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, "mp-sig=") }

// linkedVersion is the digest that the bytes of a link must have; "" is whatever is there.
func linkedVersion(r *http.Request) string {
	if !isLink(r) {
		return ""
	}
	return r.URL.Query().Get("mp-v")
}

// linkedMost is how many bytes a link lets in; 0 is no limit of its own.
func linkedMost(r *http.Request) int64 {
	if !isLink(r) {
		return 0
	}
	n, err := strconv.ParseInt(r.URL.Query().Get("mp-max"), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// checkLink refuses what no link is for.
func (h handler) checkLink(r *http.Request, p Path) error {
	if p.Kind == Links || p.Kind == Uploads || p.Kind == Upload {
		return &millpond.Error{Kind: millpond.Denied, Why: "a link is for a file"}
	}
	if q := r.URL.Query(); q.Has("v") || q.Has("history") {
		return &millpond.Error{Kind: millpond.Denied, Why: "a link is for the content that its maker chose, or for the newest", Hint: "leave out v and history"}
	}
	return nil
}

// A linkWish asks for a link.
type linkWish struct {
	Path    string `json:"path"`             // of a file; of a directory with its slash, for all below
	Method  string `json:"method,omitempty"` // GET or PUT; "" is GET
	Seconds int64  `json:"seconds,omitempty"`
	Digest  string `json:"digest,omitempty"` // sha256:… of the bytes that the receiver gets, whatever is put there later
	Most    int64  `json:"max,omitempty"`    // bytes that may be put
}

// A linkGiven is a link.
type linkGiven struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// postLink makes a link.
func (h handler) postLink(w http.ResponseWriter, r *http.Request) error {
	var in linkWish
	d := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: "the wish for a link cannot be read", Hint: `send {"path": "dir/file", "method": "GET", "seconds": 3600}`, Err: err}
	}
	link, expires, err := h.link(r, in)
	if err != nil {
		return err
	}
	body, err := json.MarshalIndent(linkGiven{link.String(), expires}, "", "  ")
	if err != nil {
		return err
	}
	head := w.Header()
	head.Set("Content-Type", "application/json")
	head["Cache-Control"] = []string{"no-store"}
	w.WriteHeader(http.StatusCreated)
	w.Write(append(body, '\n')) // the client that has left is told nothing
	return nil
}

// link makes one, as an absolute address.
func (h handler) link(r *http.Request, in linkWish) (*url.URL, time.Time, error) {
	in.Path = strings.TrimPrefix(in.Path, "/")
	name, err := Format{}.Canon(in.Path)
	if err != nil {
		return nil, time.Time{}, err
	}
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	if in.Seconds == 0 {
		in.Seconds = 3600
	}
	if in.Digest != "" {
		if _, err := millpond.ParseDigest(in.Digest); err != nil {
			return nil, time.Time{}, err
		}
	}
	signer, ok := h.repo.(format.Linker)
	if !ok || in.Seconds < 0 || in.Seconds > 1<<30 {
		return nil, time.Time{}, &millpond.Error{Kind: millpond.Invalid, Why: "no such link is made here"}
	}
	expires := h.repo.Now().Add(time.Duration(in.Seconds) * time.Second).UTC().Truncate(time.Second)
	q, err := signer.SignLink(r.Context(), format.Link{Method: in.Method, Path: "/" + name, Package: name, Prefix: strings.HasSuffix(name, "/"),
		Expires: expires, Version: in.Digest, Most: in.Most})
	if err != nil {
		return nil, time.Time{}, err
	}
	at := h.repo.Base(r)
	at.RawPath = at.EscapedPath() + escape(name)
	at.Path += name
	at.RawQuery = q.Encode()
	return at, expires, nil
}
