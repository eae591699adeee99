package debian

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// What answers say of themselves.
const (
	typeText = "text/plain; charset=utf-8"
	typeDeb  = "application/vnd.debian.binary-package"
	typeKey  = "application/pgp-keys"
	typeAny  = "application/octet-stream"

	revalidate = "max-age=0, must-revalidate" // of what moves
	mayChange  = "max-age=3600"               // of a file of the pool: vendors replace them under their names
)

// typeOf is the media type of a path.
func typeOf(path string) string {
	_, file := split(path)
	switch {
	case strings.HasSuffix(file, ".deb"), strings.HasSuffix(file, ".udeb"), strings.HasSuffix(file, ".ddeb"):
		return typeDeb
	case strings.HasSuffix(file, ".gz"):
		return "application/gzip"
	case strings.HasSuffix(file, ".xz"):
		return "application/x-xz"
	case strings.HasSuffix(file, ".zst"):
		return "application/zstd"
	case strings.HasSuffix(file, ".bz2"):
		return "application/x-bzip2"
	case strings.HasSuffix(file, ".dsc"), strings.HasSuffix(file, ".asc"), !strings.Contains(file, "."):
		return typeText
	}
	return typeAny
}

type handler struct{ repo format.Repo }

// Handler speaks the protocol of an archive: plain files, by GET and HEAD. It takes the requests of a proxy's clients too,
// whose URL is absolute, for what is below an upstream of the repository and nothing else.
func (Format) Handler(r format.Repo) http.Handler { return handler{repo: r} }

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		err = h.write(w, r)
	} else {
		err = h.read(w, r)
	}
	if err != nil {
		h.fail(w, r, err)
	}
}

func (h handler) read(w http.ResponseWriter, r *http.Request) error {
	path := r.URL.EscapedPath()
	if toProxy(r) {
		var err error
		if path, err = h.proxied(r); err != nil {
			return err
		}
	} else if below, ok := strings.CutPrefix(path, "/"+httpsHost+"///"); ok {
		path = "/" + below // an archive is known by its host and path, whatever it is read by
	}
	p, err := Parse(path)
	if err != nil {
		return err
	}
	switch p.Kind {
	case Release:
		return h.getRelease(w, r, p)
	case Index:
		return h.getIndex(w, r, p)
	case ByHash:
		return h.getByHash(w, r, p)
	case Pool:
		return h.getPool(w, r, p)
	case KeyFile:
		return h.getKey(w, r, p)
	case Sources:
		return h.getSources(w, r)
	}
	return &millpond.Error{Kind: millpond.NotFound, Why: "uploads are not read back"}
}

// toProxy reports whether a request came to a proxy: its URL is absolute, and no mount was cut from it. A client may also
// name the pond itself that way.
func toProxy(r *http.Request) bool {
	if r.URL.Host == "" {
		return false
	}
	_, after, _ := strings.Cut(r.RequestURI, "://")
	_, path, _ := strings.Cut(after, "/")
	path, _, _ = strings.Cut(path, "?")
	return "/"+path == r.URL.EscapedPath()
}

// httpsHost is what stands for the host in "http://HTTPS///host/path", by which clients of some proxies ask for https.
const httpsHost = "HTTPS"

// proxied is the path of an absolute URL, as a client sends it to a proxy. Only an archive that the repository reads through
// to can be meant; nobody is asked to find that out.
func (h handler) proxied(r *http.Request) (string, error) {
	host, path := r.URL.Host, r.URL.EscapedPath()
	if strings.EqualFold(host, httpsHost) { // the server has it in lower case
		host, path, _ = strings.Cut(strings.TrimLeft(path, "/"), "/")
		path = "/" + path
	}
	refusal := &millpond.Error{Kind: millpond.Denied, Why: "this proxy reaches the archives that are configured here and nothing else",
		Hint: "an operator can add the archive to the repository's upstreams"}
	if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		return "", refusal
	}
	if r.URL.User != nil || host == "" || strings.ContainsAny(host, "#?/\\%") {
		return "", refusal
	}
	plain, ok := unescape(strings.TrimPrefix(path, "/"))
	if !ok || !clean(plain) {
		return "", refusal
	}
	if _, err := h.repo.Stat(r.Context(), millpond.Key{Package: probe, File: host + "/" + plain}); err != nil {
		if millpond.Is(err, millpond.NotFound) {
			return "", refusal
		}
		if !millpond.Is(err, millpond.Offline) { // where nobody is asked, what is held of the archive is all that can be reached
			return "", err
		}
	}
	return "/" + host + path, nil
}

// suite is a suite as its readers see it, with at least one snapshot.
func (h handler) suite(ctx context.Context, name string, at time.Time) (*millpond.Package, []millpond.Version, error) {
	if _, err := (Format{}).Canon(name); err != nil {
		return nil, nil, &millpond.Error{Kind: millpond.NotFound, Why: "no suite can be called " + name}
	}
	p, err := h.pkg(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	versions := p.Versions
	if made(p) {
		return p, nil, nil
	}
	if !at.IsZero() && !h.curates(name) {
		if versions = until(versions, at); len(versions) == 0 {
			return nil, nil, &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name}, Why: "no snapshot of " + name + " is kept that is not later than " + date(at)}
		}
	}
	if len(versions) == 0 {
		k := millpond.Key{Package: name}
		if len(p.Hidden) > 0 {
			first := p.Hidden[len(p.Hidden)-1]
			return nil, nil, &millpond.Error{Kind: millpond.Blocked, Key: k, Why: first.Why, After: first.After,
				Hint: "a rule names this suite, and no snapshot that it lets through is kept"}
		}
		return nil, nil, &millpond.Error{Kind: millpond.Offline, Key: k, Why: "nothing of " + name + " is held here", Hint: "ask again when the pond is online"}
	}
	return p, versions, nil
}

func (h handler) getRelease(w http.ResponseWriter, r *http.Request, p Path) error {
	pkg, versions, err := h.suite(r.Context(), p.Suite, p.At)
	if err != nil {
		return err
	}
	if h.made(pkg) {
		return h.getMade(w, r, p, pkg)
	}
	v := &versions[0]
	if v.File(p.File) == nil {
		return noIndex(p.Suite, p.File)
	}
	if err := h.pin(p, v.Seen); err != nil {
		return err
	}
	c, err := format.Find(r, h.repo, millpond.Key{Package: pkg.Name, Version: v.Name, File: p.File})
	if err != nil {
		return err
	}
	return h.send(w, r, c, typeText, revalidate)
}

func noIndex(suite, file string) error {
	return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: suite, File: file}, Why: "the Release of " + suite + " lists no " + file}
}

// send answers with a content. apt has no entity tags: what it knows of its copy is a date, and an answer that there is
// nothing new counts only if that is the very date.
func (h handler) send(w http.ResponseWriter, r *http.Request, c *millpond.Content, kind, cache string) error {
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = []string{kind}, []string{cache}
	if c.Modified.After(h.repo.Now()) {
		c.Modified = time.Time{} // there was another one within the second
	}
	if since := r.Header["If-Modified-Since"]; len(since) > 0 {
		t, err := http.ParseTime(since[0])
		if err != nil || c.Modified.IsZero() || !t.Equal(c.Modified.Truncate(time.Second)) {
			other := *r
			other.Header = r.Header.Clone()
			other.Header.Del("If-Modified-Since")
			r = &other
		}
	}
	return format.Serve(w, r, c)
}

// suiteOf finds the suite of a path below dists: the longest that is known, else one of one element.
func (h handler) suiteOf(ctx context.Context, archive, path string) (suite, file string, err error) {
	prefix := join(archive, distsDir) + "/"
	first, rest, _ := strings.Cut(path, "/")
	suite, file = prefix+first, rest
	if knower, ok := h.repo.(format.Knower); ok {
		known, err := knower.Known(ctx)
		if err != nil {
			return "", "", err
		}
		for _, name := range known {
			if below, ok := strings.CutPrefix(prefix+path, name+"/"); ok && len(name) > len(suite) {
				suite, file = name, below
			}
		}
	}
	return suite, file, nil
}

func (h handler) getIndex(w http.ResponseWriter, r *http.Request, p Path) error {
	suite, file, err := h.suiteOf(r.Context(), p.Archive, p.File)
	if err != nil {
		return err
	}
	return h.getListed(w, r, suite, file, p.At)
}

// getListed answers with an index by its path: whatever the current snapshot says that it is.
func (h handler) getListed(w http.ResponseWriter, r *http.Request, suite, file string, at time.Time) error {
	if at.IsZero() {
		var err error
		if at, err = h.pinnedAt(suite); err != nil {
			return err
		}
	}
	pkg, versions, err := h.suite(r.Context(), suite, at)
	if err != nil {
		return err
	}
	if h.made(pkg) {
		return h.getMadeIndex(w, r, pkg, file, at)
	}
	v := &versions[0]
	c, err := format.Find(r, h.repo, millpond.Key{Package: suite, Version: v.Name, File: file})
	if millpond.Is(err, millpond.NotFound) && v.File(file) == nil {
		return h.getUnlisted(w, r, pkg, file)
	}
	if err != nil {
		return err
	}
	return h.send(w, r, c, typeOf(file), revalidate)
}

// getUnlisted answers with a file below a suite that its Release does not list, as the images of the installer are: whatever
// the upstream has there now, kept for a while.
func (h handler) getUnlisted(w http.ResponseWriter, r *http.Request, pkg *millpond.Package, file string) error {
	if !strings.Contains("/"+file, "/installer-") {
		return noIndex(pkg.Name, file)
	}
	doc, err := h.repo.Document(r.Context(), millpond.Key{Package: pkg.Name, File: file})
	if err != nil {
		return err
	}
	defer doc.Close()
	return h.send(w, r, &millpond.Content{ReadSeekCloser: body{doc.Reader(), io.NopCloser(nil)}, Size: doc.Size, Digest: doc.Digest, Modified: doc.Modified},
		typeOf(file), revalidate)
}

// body is a document or a text as the body of an answer.
type body struct {
	io.ReadSeeker
	io.Closer
}

func textBody(b []byte) body { return body{bytes.NewReader(b), io.NopCloser(nil)} }

func (h handler) getByHash(w http.ResponseWriter, r *http.Request, p Path) error {
	suites := []string{flatName(p.File)}
	if !p.Flat {
		suite, _, err := h.suiteOf(r.Context(), p.Archive, p.File+"/x")
		if err != nil {
			return err
		}
		suites = []string{suite}
	} else {
		// A flat suite may have its indexes below its folder.
		for dir, _ := split(p.File); p.File != ""; dir, _ = split(dir) {
			suites = append(suites, flatName(dir))
			if dir == "" {
				break
			}
		}
	}
	var last error
	for _, suite := range suites {
		err := h.getHashed(w, r, suite, p)
		if !millpond.Is(err, millpond.NotFound) {
			return err
		}
		last = err
	}
	return last
}

func (h handler) getHashed(w http.ResponseWriter, r *http.Request, suite string, p Path) error {
	d, err := millpond.ParseDigest(p.Algorithm + ":" + p.Hex)
	if err != nil {
		return err
	}
	for try := range 2 {
		pkg, versions, err := h.suite(r.Context(), suite, p.At)
		if err != nil {
			return err
		}
		if h.made(pkg) {
			return h.getMadeHash(w, r, pkg, d)
		}
		for i := range versions {
			for j := range versions[i].Files {
				f := &versions[i].Files[j]
				if !slices.Contains(f.Digests, d) {
					continue
				}
				c, err := format.Find(r, h.repo, millpond.Key{Package: suite, Version: versions[i].Name, File: f.Name})
				if err != nil {
					return err
				}
				return h.send(w, r, c, typeOf(f.Name), format.Immutable(h.repo))
			}
		}
		if try == 0 {
			// A client that came by another way may know a newer Release than is kept here: looking for a file that no snapshot
			// has lets the suite be asked for again.
			_, err := h.repo.Stat(r.Context(), millpond.Key{Package: suite, File: "by-hash/" + p.Hex})
			if !millpond.Is(err, millpond.NotFound) {
				return err
			}
		}
	}
	return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: suite, File: p.Hex}, Why: "no snapshot of " + suite + " that is kept lists an index of that digest"}
}
