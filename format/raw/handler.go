package raw

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

type handler struct {
	repo format.Repo
	s3   bool // answers are S3's
}

// Handler speaks plain HTTP, tus and S3.
func (Format) Handler(r format.Repo) http.Handler { return handler{repo: r} }

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.s3 = isS3(r) && !isLink(r) // who comes by a link has no other words than the link's
	if err := h.serve(w, r); err != nil {
		h.fail(w, r, err)
	}
}

func (h handler) serve(w http.ResponseWriter, r *http.Request) error {
	if h.s3 {
		return h.serveS3(w, r)
	}
	if r.URL.EscapedPath() == "" {
		return h.addSlash(w, r)
	}
	p, err := Parse(r.URL.EscapedPath())
	if err != nil {
		return err
	}
	if r.URL.RawQuery != "" && isLink(r) {
		if err := h.checkLink(r, p); err != nil {
			return err
		}
	}
	methods := methodsOf(p.Kind)
	if !slices.Contains(methods, r.Method) {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		return &millpond.Error{Kind: millpond.Unsupported, Why: r.Method + " is not for this address", Hint: "it takes " + strings.Join(methods, ", "), Err: errMethod}
	}
	switch p.Kind {
	case Links:
		return h.postLink(w, r)
	case Uploads:
		return h.serveUploads(w, r)
	case Upload:
		return h.serveUpload(w, r, p)
	case Zip:
		return h.getZip(w, r, p)
	case Install, Device:
		return h.getInstall(w, r, p)
	case Vagrant:
		return h.getVagrant(w, r, p)
	case Dir:
		switch r.Method {
		case http.MethodPut:
			return &millpond.Error{Kind: millpond.Invalid, Why: "a directory is not put: it is there when a file in it is", Hint: "name the file behind the last slash"}
		case http.MethodDelete:
			return h.deleteDir(w, r, p)
		}
		return h.getDir(w, r, p)
	}
	switch r.Method {
	case http.MethodPut:
		return h.putFile(w, r, p)
	case http.MethodDelete:
		return h.deleteFile(w, r, p)
	}
	return h.getFile(w, r, p)
}

// addSlash sends a browser from the repository's address to that of its root, so that relative links hold.
func (h handler) addSlash(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &millpond.Error{Kind: millpond.Unsupported, Why: r.Method + " is not for this address", Err: errMethod}
	}
	to := lastSegment(h.repo.Base(r).Path)
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusMovedPermanently)
	return nil
}

func methodsOf(k Kind) []string {
	switch k {
	case Links:
		return []string{http.MethodPost}
	case Uploads:
		return []string{http.MethodPost, http.MethodOptions}
	case Upload:
		return []string{http.MethodHead, http.MethodPatch, http.MethodDelete, http.MethodOptions}
	case File, Dir:
		return []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}
	}
	return []string{http.MethodGet, http.MethodHead}
}

// A content is a version of a path as its reader may see it.
type content struct {
	name    string
	version *millpond.Version
	file    *millpond.File
	record  record // of what was put here
}

func (c *content) key() millpond.Key { return key(c.name, c.version.Name) }

// find is the newest content of a path, or the one that pick names by number or digest. What the rules keep from readers is
// Blocked: an older content is not given in its place.
func (h handler) find(ctx context.Context, name, pick string) (*content, error) {
	p, err := h.listed(ctx, name)
	if err != nil {
		return nil, err
	}
	c := &content{name: name}
	for i := range p.Versions {
		v := &p.Versions[i]
		if len(v.Files) > 0 && (pick == "" || picks(pick, v)) {
			c.version, c.file = v, &v.Files[0]
			break
		}
	}
	for i := range p.Hidden {
		v := &p.Hidden[i].Version
		if pick != "" && !picks(pick, v) || pick == "" && c.version != nil && (Format{}).Compare(v.Name, c.version.Name) < 0 {
			continue
		}
		if _, err := h.repo.Stat(ctx, key(name, v.Name)); err != nil {
			return nil, err // in the rule's own words
		}
	}
	if c.version == nil {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name}, Why: "no " + name + " in " + h.repo.Name()}
	}
	c.record, err = readRecord(c.file.Meta)
	return c, err
}

// listed is what is known of a path. What never changes upstream is not asked for again once it is held.
func (h handler) listed(ctx context.Context, name string) (*millpond.Package, error) {
	if fixed := h.repo.Option("immutable"); fixed != "" && anyCovers(fixed, name) {
		if p, err := h.repo.Held().Package(ctx, name); err == nil && len(p.Versions) > 0 {
			return p, nil
		}
	}
	return h.repo.Package(ctx, name)
}

// picks reports whether a version is the one that a client names: by its name, or by a digest of its bytes.
func picks(pick string, v *millpond.Version) bool {
	if v.Name == pick {
		return true
	}
	for i := range v.Files {
		for _, d := range v.Files[i].Digests {
			if d.String() == pick {
				return true
			}
		}
	}
	return false
}

func (h handler) getFile(w http.ResponseWriter, r *http.Request, p Path) error {
	pick := ""
	if r.URL.RawQuery != "" {
		q := r.URL.Query()
		switch {
		case isLink(r):
			pick = linkedVersion(r)
		case q.Has("history"):
			return h.getHistory(w, r, p)
		default:
			pick = q.Get("v")
		}
	}
	c, err := h.find(r.Context(), p.Name, pick)
	if err != nil {
		if millpond.Is(err, millpond.NotFound) && pick == "" {
			return h.elsewhere(w, r, p, err)
		}
		return err
	}
	if c.record.Alias != "" {
		return h.follow(w, p.Name, "", c.record.Alias)
	}
	return h.serveContent(w, r, c, pick != "")
}

// serveContent answers with a content.
func (h handler) serveContent(w http.ResponseWriter, r *http.Request, c *content, pinned bool) error {
	body, err := format.Find(r, h.repo, c.key())
	if err != nil {
		return err
	}
	head := w.Header()
	head["Cache-Control"] = noCache
	if pinned {
		head["Cache-Control"] = []string{format.Immutable(h.repo)}
	}
	if isLink(r) {
		head["Cache-Control"] = private
		head["Referrer-Policy"] = noReferrer
	}
	h.describe(head, c, body)
	body.Entity = h.tag(c, body)
	if asked := r.Header["If-None-Match"]; len(asked) > 0 && body.Entity != "" && anyTag(strings.Join(asked, ","), c.tags()) {
		r = withHeader(r, "If-None-Match", body.Entity)
	}
	if asked := r.Header.Get("If-Range"); asked != "" && body.Entity != "" && anyTag(asked, c.tags()) {
		r = withHeader(r, "If-Range", body.Entity)
	}
	asked := r.Header["If-Match"]
	if len(asked) > 0 && !anyTag(strings.Join(asked, ","), c.tags()) || len(asked) == 0 && changedSince(r.Header.Get("If-Unmodified-Since"), body.Modified) {
		if body.ReadSeekCloser != nil {
			body.Close()
		}
		return errPrecondition("it is another content now")
	}
	return format.Serve(w, r, body)
}

// changedSince reports whether what is of a time is later than a date as a header has it; what cannot be read is no date.
func changedSince(date string, modified time.Time) bool {
	if date == "" || modified.IsZero() {
		return false
	}
	t, err := http.ParseTime(date)
	return err == nil && modified.Truncate(time.Second).After(t)
}

var (
	noCache    = []string{"no-cache"}    // may be kept, and is asked about; never changed
	private    = []string{"private"}     // never changed
	noReferrer = []string{"no-referrer"} // never changed
)

// describe says of a content what a response must: its type, its digests, and that a browser is to run nothing of it.
func (h handler) describe(head http.Header, c *content, body *millpond.Content) {
	t := c.file.Type
	if t == "" {
		t = typeOf(c.name)
	}
	body.Type = t
	head["Content-Type"] = []string{t}
	head["X-Content-Type-Options"] = nosniff
	if len(c.file.Digests) > 1 || h.s3 {
		showSums(head, c.file.Digests)
	} else if d := body.Digest; d.Algorithm() == "sha256" && !body.Growing {
		showSums(head, []millpond.Digest{d})
	}
	switch {
	case h.inert(c):
		head["Content-Disposition"] = attachment
	case runs(t):
		head["Content-Security-Policy"] = inlinePolicy
	}
}

// inert reports whether a browser could run something of a content, and is to save it instead.
func (h handler) inert(c *content) bool {
	t := c.file.Type
	if t == "" {
		t = typeOf(c.name)
	}
	return runs(t) && h.repo.Option("inline") != "true"
}

var (
	nosniff    = []string{"nosniff"}    // never changed
	attachment = []string{"attachment"} // never changed
	// inlinePolicy gives a page an origin of its own, its pictures and styles, and no scripts; never changed.
	inlinePolicy = []string{"sandbox; default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; media-src 'self'"}
)

func withHeader(r *http.Request, name, value string) *http.Request {
	out := *r
	out.Header = r.Header.Clone()
	out.Header.Set(name, value)
	return &out
}
