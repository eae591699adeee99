package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

type handler struct{ repo format.Repo }

// Handler speaks the distribution protocol for one repository.
func (Format) Handler(r format.Repo) http.Handler { return handler{r} }

// What answers say of themselves. None is ever changed.
var (
	apiVersion   = []string{"registry/2.0"}
	moves        = []string{"no-cache"} // of what moves
	typeBlobs    = []string{typeBlob}
	varyAccepted = "Accept-Encoding"
)

// A visit is a path as one client asks for it.
type visit struct {
	Path
	image string // canonical: what the path's image means in this repository
	at    string // what stands before the image in URLs as this client knows them, from the server's root on: "/v2/oci"
	name  string // what stands before the image in its name, as this client spells it: "oci/"
}

// url is the address, without scheme and host, of something of the image in the form that the client has asked in.
func (v *visit) url(below string) string { return v.at + "/" + v.Image + below }

// asked is the name of the image as the client knows it.
func (v *visit) asked() string { return v.name + v.Image }

// scope is what a token has to grant for the request.
func (v *visit) scope(method string) string {
	actions := "pull"
	switch {
	case v.Kind == Ping:
		return ""
	case v.Kind == Catalog:
		return "registry:catalog:*"
	case method == http.MethodDelete && v.Kind != Session:
		actions = "delete"
	case method != http.MethodGet && method != http.MethodHead, v.Kind == Session:
		actions = "pull,push"
	}
	return "repository:" + v.asked() + ":" + actions
}

// visitOf is the request's path as its client sees it.
func (h handler) visitOf(r *http.Request, p Path) visit {
	v := visit{Path: p, image: p.Image}
	if p.Image != "" && strings.IndexByte(p.Image, '/') < 0 && h.repo.Option(optLibrary) == "true" {
		v.image = "library/" + p.Image
	}
	v.at = placeOf(r, h.repo)
	if strings.HasSuffix(v.at, "/v2/"+h.repo.Name()) {
		v.name = h.repo.Name() + "/"
	}
	return v
}

// placeOf is what the client's URL has before the image: what the server, and a front server that it knows of, has cut off
// stands before it again.
func placeOf(r *http.Request, repo interface{ Root(*http.Request) *url.URL }) string {
	inner := r.URL.EscapedPath()
	outer, _, _ := strings.Cut(r.RequestURI, "?")
	if i := strings.Index(outer, "://"); i >= 0 { // absolute form
		outer = outer[i+3:]
		outer = outer[max(strings.IndexByte(outer, '/'), 0):]
	}
	at := "/v2"
	if before, ok := strings.CutSuffix(outer, strings.TrimPrefix(inner, "/v2")); ok && before != "" {
		at = before
	}
	under := strings.TrimSuffix(repo.Root(r).Path, "/")
	if under != "" && at != under && !strings.HasPrefix(at, under+"/") {
		at = under + at
	}
	return at
}

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Docker-Distribution-Api-Version"] = apiVersion
	p, err := Parse(r.URL.EscapedPath())
	v := h.visitOf(r, p)
	if allowed := methods(p.Kind); err == nil && !slices.Contains(allowed, r.Method) {
		allow := strings.Join(allowed, ", ")
		w.Header().Set("Allow", allow)
		err = &millpond.Error{Kind: millpond.Unsupported, Why: r.Method + " is not for this address: " + allow}
	}
	if err == nil && r.URL.RawQuery != "" {
		err = h.checkNS(w, r)
	}
	if err == nil {
		err = h.serve(w, r, v)
	}
	if err != nil {
		h.fail(w, r, v, err)
	}
}

// checkNS refuses, asking nobody, what a client wants of a registry that the repository does not stand for. One that says of
// none that it does is asked by its path alone.
func (h handler) checkNS(w http.ResponseWriter, r *http.Request) error {
	ns, names := r.URL.Query().Get("ns"), strings.Fields(h.repo.Option(optNS))
	if ns == "" || len(names) == 0 {
		return nil
	}
	if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, ns) }) {
		return coded(codeNameUnknown, &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("%s does not stand for %.100q", h.repo.Name(), ns), Hint: "it stands for " + strings.Join(names, ", ")})
	}
	w.Header().Set("OCI-Namespace", ns)
	return nil
}

var (
	reads   = []string{http.MethodGet, http.MethodHead}
	posts   = []string{http.MethodPost}
	session = []string{http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPut, http.MethodDelete}
	writes  = []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}
	deletes = []string{http.MethodGet, http.MethodHead, http.MethodDelete}
)

func methods(k Kind) []string {
	switch k {
	case Manifest:
		return writes
	case Blob:
		return deletes
	case Uploads:
		return posts
	case Session:
		return session
	}
	return reads
}

func (h handler) serve(w http.ResponseWriter, r *http.Request, v visit) error {
	switch v.Kind {
	case Ping:
		return h.ping(w, r)
	case Catalog:
		return coded(codeNameUnknown, &millpond.Error{Kind: millpond.NotFound, Why: "the names of all repositories are listed at the root of the server"})
	case Tags:
		return h.getTags(w, r, v)
	case Referrers:
		return h.getReferrers(w, r, v)
	case Uploads:
		return h.postUpload(w, r, v)
	case Session:
		return h.session(w, r, v)
	case Blob:
		if r.Method == http.MethodDelete {
			return h.deleteBlob(w, r, v)
		}
		return h.getBlob(w, r, v)
	}
	switch r.Method {
	case http.MethodPut:
		return h.putManifest(w, r, v)
	case http.MethodDelete:
		return h.deleteManifest(w, r, v)
	}
	return h.getManifest(w, r, v)
}

// ping says that the protocol is spoken here.
func (h handler) ping(w http.ResponseWriter, r *http.Request) error {
	if err := h.repo.May(r.Context(), millpond.VerbRead, ""); err != nil {
		return err
	}
	return sendEmpty(w, r)
}

// sendEmpty is the answer to a ping.
func sendEmpty(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header()["Cache-Control"] = moves
	return format.Serve(w, r, inMemory([]byte("{}")))
}

// inMemory is a document that was just made.
func inMemory(b []byte) *millpond.Content {
	return &millpond.Content{ReadSeekCloser: memory{bytes.NewReader(b)}, Size: int64(len(b)), Digest: millpond.SHA256(b)}
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// getManifest answers with a manifest as it was pushed, by its digest or by a tag that points at it now. A HEAD is answered
// as a GET would be: whoever asks so asks for the bytes next.
func (h handler) getManifest(w http.ResponseWriter, r *http.Request, v visit) error {
	ctx, digest := r.Context(), v.Digest.String()
	head := w.Header()
	if v.Tag != "" {
		ref, err := h.repo.Ref(ctx, v.image, v.Tag)
		if errors.Is(err, errOldForm) || err != nil && h.heldInOldForm(ctx, v, err) {
			return h.getOldForm(w, r, v)
		}
		if err != nil {
			return orCode(err, millpond.NotFound, codeManifestUnknown)
		}
		digest = ref.Target
		head["Cache-Control"] = moves
	} else {
		head["Cache-Control"] = []string{format.Immutable(h.repo)}
	}
	c, err := h.repo.Open(ctx, millpond.Key{Package: v.image, Version: digest, File: digest})
	if err != nil {
		return orCode(err, millpond.NotFound, codeManifestUnknown)
	}
	if c.Growing || saysNothing(c.Type) || strings.IndexByte(c.Type, ';') >= 0 {
		if c, err = readWhole(c, digest); err != nil {
			return err
		}
	}
	head["Docker-Content-Digest"] = []string{digest}
	if r.Method == http.MethodGet && h.repo.Option(optPrefetch) != "" && h.repo.Seldom("prefetch "+v.image+" "+digest, time.Hour) {
		h.repo.Ahead(ctx, millpond.Key{Package: v.image, Version: digest, File: digest})
	}
	return format.Serve(w, r, c)
}

// readWhole reads a manifest that is just arriving, or whose media type has to be read in it.
func readWhole(c *millpond.Content, digest string) (*millpond.Content, error) {
	if c.Location != "" {
		return c, nil
	}
	defer c.Close()
	b, err := readManifest(c)
	if err != nil {
		if _, ok := errors.AsType[*millpond.Error](err); !ok {
			err = &millpond.Error{Kind: millpond.BadUpstream, Why: "manifest " + digest + " did not come whole", Err: err}
		}
		return nil, err
	}
	whole := inMemory(b)
	whole.Modified = c.Modified
	if whole.Type = plainType(c.Type); saysNothing(whole.Type) {
		m, err := readKept(b)
		if err != nil {
			return nil, err
		}
		whole.Type = m.mediaType()
	}
	return whole, nil
}

func (h handler) getBlob(w http.ResponseWriter, r *http.Request, v visit) error {
	digest := v.Digest.String()
	c, err := format.Find(r, h.repo, millpond.Key{Package: v.image, File: digest})
	if err != nil {
		return orCode(err, millpond.NotFound, codeBlobUnknown)
	}
	c.Type = ""
	head := w.Header()
	head["Content-Type"] = typeBlobs
	head["Docker-Content-Digest"] = []string{digest}
	head["Cache-Control"] = []string{format.Immutable(h.repo)}
	return format.Serve(w, r, c)
}

// mostPage is how many tags or names an answer has at most, if the client asks for a number of them.
const mostPage = 10_000

// A page is what part of a list a client asks for.
type page struct {
	n    int // -1 is all
	last string
}

func pageOf(query url.Values) (page, error) {
	p := page{n: -1, last: query.Get("last")}
	if text := query.Get("n"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return p, coded("PAGINATION_NUMBER_INVALID", &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.50q is no number of entries", text)})
		}
		p.n = int(min(n, mostPage))
	}
	return p, nil
}

// of is the part of a sorted list, and whether more of it follows.
func (p page) of(all []string) (part []string, more bool) {
	from, found := slices.BinarySearch(all, p.last)
	if p.last == "" {
		from = 0
	} else if found {
		from++
	}
	all = all[from:]
	if p.n < 0 || len(all) <= p.n {
		return all, false
	}
	return all[:p.n], p.n > 0
}

// link names the next page of a list.
func (p page) link(w http.ResponseWriter, at string, part []string) {
	next := url.Values{"n": {strconv.Itoa(p.n)}, "last": {part[len(part)-1]}}
	w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", at, next.Encode()))
}

// getTags lists the tags of an image. A tag that points at a manifest which rules hide is not among them.
func (h handler) getTags(w http.ResponseWriter, r *http.Request, v visit) error {
	p, err := pageOf(r.URL.Query())
	if err != nil {
		return err
	}
	ctx := r.Context()
	w.Header()["Cache-Control"] = moves
	ruled := h.repo.Ruled()
	if r.URL.RawQuery == "" && !ruled {
		stamp, _, err := h.repo.Stamp(ctx, v.image)
		if err != nil {
			return orCode(err, millpond.NotFound, codeNameUnknown)
		}
		d := format.Derivation{Name: "tags/" + v.image + "@" + v.asked(), Stamp: stamp, Type: "application/json"}
		return format.ServeDerived(w, r, h.repo, d, func(out io.Writer) error {
			pkg, err := h.repo.Package(ctx, v.image)
			if err != nil {
				return err
			}
			return writeTags(out, v.asked(), tagsOf(pkg))
		})
	}
	pkg, err := h.repo.Package(ctx, v.image)
	if err != nil {
		return orCode(err, millpond.NotFound, codeNameUnknown)
	}
	tags := tagsOf(pkg)
	if ruled {
		// Tags are judged as far as it is known what they point at: no upstream is asked about each of them for a list.
		tags = slices.DeleteFunc(tags, func(tag string) bool {
			_, err := h.repo.Held().Ref(ctx, v.image, tag)
			return millpond.Is(err, millpond.Blocked)
		})
	}
	part, more := p.of(tags)
	if more {
		p.link(w, v.url(v.below()), part)
	}
	var b bytes.Buffer
	if err := writeTags(&b, v.asked(), part); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Vary", varyAccepted)
	return format.Serve(w, r, inMemory(b.Bytes()))
}

func tagsOf(pkg *millpond.Package) []string {
	hidden := map[string]bool{}
	for i := range pkg.Hidden {
		hidden[pkg.Hidden[i].Version.Name] = true
	}
	tags := make([]string, 0, len(pkg.Refs))
	for _, ref := range pkg.Refs {
		if !isEdge(ref.Name) && !hidden[ref.Target] {
			tags = append(tags, ref.Name)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

func writeTags(w io.Writer, name string, tags []string) error {
	if tags == nil {
		tags = []string{}
	}
	return json.NewEncoder(w).Encode(struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{name, tags})
}
