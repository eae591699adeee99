package maven

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"

	"millpond"
	"millpond/format"
)

// maxAge is the Cache-Control of what moves.
const maxAge = "max-age=60"

type handler struct{ repo format.Repo }

// Handler speaks the protocol of Maven repositories: GET, HEAD, PUT and DELETE of paths.
func (Format) Handler(r format.Repo) http.Handler { return handler{r} }

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		err = h.get(w, r)
	case http.MethodPut:
		err = h.put(w, r)
	case http.MethodDelete:
		err = h.delete(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT, DELETE")
		err = &millpond.Error{Kind: millpond.Unsupported, Why: "here only these are answered: GET, HEAD, PUT, DELETE"}
		why, _ := format.Words(err)
		format.Fail(w, r, h.repo.Now(), err, format.Failure{Status: http.StatusMethodNotAllowed, Type: typeText, Body: why + "\n"})
		return
	}
	if err != nil {
		h.fail(w, r, err)
	}
}

func (h handler) get(w http.ResponseWriter, r *http.Request) error {
	p, err := Parse(r.URL.EscapedPath())
	if err != nil {
		return err
	}
	switch {
	case p.Kind == File && isSnapshot(p.Version):
		return h.getLiteral(w, r, p)
	case p.Kind == File && p.Sum != "":
		return h.getSum(w, r, p)
	case p.Kind == File:
		return h.getFile(w, r, p)
	case p.Kind == Metadata:
		return h.getMetadata(w, r, p)
	case p.Kind == Catalog:
		return h.getDocument(w, r, p, catalogName, typeXML)
	case p.Kind == Index:
		return h.getDocument(w, r, p, indexDir+"/"+p.Name, typeOf(p.Name))
	}
	return h.getPrefixes(w, r, p)
}

func head(w http.ResponseWriter, contentType, cache string) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = []string{contentType}, []string{cache}
}

func (h handler) getFile(w http.ResponseWriter, r *http.Request, p Path) error {
	c, err := format.Find(r, h.repo, p.Key())
	if err != nil {
		return err
	}
	showSums(w.Header(), c)
	head(w, typeOf(p.Name), format.Immutable(h.repo))
	return format.Serve(w, r, c)
}

// showSums tells the sums that are known of a file: clients that read them do not ask for one.
func showSums(h http.Header, c *millpond.Content) {
	values := make([]string, 0, len(sums)) // of all fields, each a part of it
	show := func(d millpond.Digest) {
		name := sumHeaders[d.Algorithm()]
		if name == "" || len(values) == cap(values) || len(h[name]) > 0 {
			return
		}
		values = append(values, d.Hex())
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	show(c.Digest)
	for _, d := range c.Digests {
		show(d)
	}
}

var sumHeaders = map[string]string{ // never changed
	"sha512": "X-Checksum-Sha512", "sha256": "X-Checksum-Sha256", "sha1": "X-Checksum-Sha1", "md5": "X-Checksum-Md5",
}

// getSum answers with the sum of a file: of its bytes where they are held, else as its upstream says. Where wrong sums are only
// warned of, the reader is to see the upstream's.
func (h handler) getSum(w http.ResponseWriter, r *http.Request, p Path) error {
	warn := h.repo.Option("checksum") == "warn"
	if !warn {
		c, err := h.repo.Held().Stat(r.Context(), p.without().Key())
		if err == nil {
			return h.serveSums(w, r, p, c)
		}
		switch millpond.KindOf(err) {
		case millpond.NotFound, millpond.Offline, millpond.BadUpstream:
		default:
			return err
		}
	}
	c, err := h.repo.Open(r.Context(), p.Key())
	if warn && millpond.Is(err, millpond.NotFound) {
		// The upstream has no sum of this kind.
		if c, e := h.repo.Held().Stat(r.Context(), p.without().Key()); e == nil {
			return h.serveSums(w, r, p, c)
		}
	}
	if err != nil {
		return err
	}
	return h.serveUpstreamSum(w, r, p, c)
}

// without is the path of what the sum is of.
func (p Path) without() Path {
	p.Sum = ""
	return p
}

// serveUpstreamSum answers with an upstream's own sum, in the one spelling that every client reads.
func (h handler) serveUpstreamSum(w http.ResponseWriter, r *http.Request, p Path, c *millpond.Content) error {
	if c.ReadSeekCloser == nil {
		return format.Serve(w, r, c) // a redirect
	}
	text, err := io.ReadAll(io.LimitReader(c, sumLimit+1))
	c.Close()
	if err != nil {
		return err
	}
	d, err := readSum(p.Sum, text)
	if err != nil {
		return badDocument(p.Name+"."+p.Sum, err)
	}
	return h.serveText(w, r, format.Immutable(h.repo), d.Hex())
}

// serveText answers with a short text.
func (h handler) serveText(w http.ResponseWriter, r *http.Request, cache, text string) error {
	head(w, typeText, cache)
	return format.Serve(w, r, &millpond.Content{
		ReadSeekCloser: struct {
			*bytes.Reader
			io.Closer
		}{bytes.NewReader([]byte(text)), io.NopCloser(nil)},
		Size: int64(len(text)), Digest: millpond.SHA256([]byte(text)),
	})
}

// serveSums answers with a sum of bytes that are held. All four are computed once, at one reading.
func (h handler) serveSums(w http.ResponseWriter, r *http.Request, p Path, held *millpond.Content) error {
	for _, d := range append(held.Digests[:len(held.Digests):len(held.Digests)], held.Digest) {
		if p.Sum == d.Algorithm() {
			return h.serveText(w, r, format.Immutable(h.repo), d.Hex())
		}
	}
	file := p.without()
	d := format.Derivation{Name: "sums" + file.String(), Stamp: held.Digest.String(), Type: typeText}
	c, err := h.repo.Derive(r.Context(), d, func(out io.Writer) error {
		body, err := h.repo.Held().Open(r.Context(), file.Key())
		if err != nil {
			return err
		}
		defer body.Close()
		all := newHashes()
		if _, err := io.Copy(all, body); err != nil {
			return err
		}
		_, err = io.WriteString(out, all.String())
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if algorithm, sum, _ := strings.Cut(strings.TrimSpace(line), " "); algorithm == p.Sum {
			return h.serveText(w, r, format.Immutable(h.repo), sum)
		}
	}
	return fmt.Errorf("no %s among the sums of %s", p.Sum, file.Key())
}

// hashes compute all sums of what is written to them.
type hashes []hash.Hash

func newHashes() hashes {
	all := make(hashes, len(sums))
	for i, algorithm := range sums {
		all[i] = millpond.NewHash(algorithm)
	}
	return all
}

func (all hashes) Write(b []byte) (int, error) {
	for _, one := range all {
		one.Write(b) // a hash does not fail
	}
	return len(b), nil
}

// digests are the sums so far, strongest first.
func (all hashes) digests() ([]millpond.Digest, error) {
	out := make([]millpond.Digest, len(all))
	for i, one := range all {
		var err error
		if out[i], err = millpond.NewDigest(sums[i], one.Sum(nil)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// String is a line for each sum.
func (all hashes) String() string {
	var b strings.Builder
	for i, one := range all {
		fmt.Fprintf(&b, "%s %s\n", sums[i], hex.EncodeToString(one.Sum(nil)))
	}
	return b.String()
}

// getLiteral answers with a file that is called SNAPSHOT: that of the newest build that has it, else the upstream's own, which
// moves.
func (h handler) getLiteral(w http.ResponseWriter, r *http.Request, p Path) error {
	dir := Path{Kind: Metadata, Dir: append(strings.Split(p.Group, "."), p.Artifact, p.Base)}
	b, err := h.builds(r.Context(), dir)
	if err == nil {
		if v := b.newest(p.rest()); v != "" {
			p.Version = v
			p.Name = p.Artifact + "-" + v + strings.TrimPrefix(p.Name, p.Artifact+"-"+p.Base)
			if p.Sum != "" {
				err = h.getSum(moving{w}, r, p)
			} else {
				err = h.getFile(moving{w}, r, p)
			}
			return err
		}
		err = errNoBuild(p)
	}
	if !millpond.Is(err, millpond.NotFound) {
		return err
	}
	return h.getMoving(w, r, p, err)
}

func errNoBuild(p Path) error {
	return &millpond.Error{Kind: millpond.NotFound, Key: p.Key(), Why: fmt.Sprintf("no build of %s %s has such a file: %s", p.Package(), p.Base, p.Name)}
}

// rest is the name of a file behind artifact and version: "-sources.jar".
func (p Path) rest() string { return strings.TrimPrefix(p.Name, p.Artifact+"-"+p.Version) }

// A moving is the answer to a name that moves.
type moving struct{ http.ResponseWriter }

func (m moving) WriteHeader(status int) {
	m.Header()["Cache-Control"] = []string{maxAge}
	m.ResponseWriter.WriteHeader(status)
}

// Failed gives an error to the request's log line.
func (m moving) Failed(err error) { format.Report(m.ResponseWriter, err) }

// Unwrap lets http.ResponseController through.
func (m moving) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// getMoving answers with an upstream's own file of a name that moves: it is a document, asked for again when it is no longer
// fresh. absent is what to say if there is none.
func (h handler) getMoving(w http.ResponseWriter, r *http.Request, p Path, absent error) error {
	if h.repo.Claimed(p.Package()) {
		return absent
	}
	// The rules judge the version; what else is wrong shows when the document is read.
	if _, err := h.repo.Stat(r.Context(), p.without().Key()); err != nil {
		switch millpond.KindOf(err) {
		case millpond.Blocked, millpond.Denied, millpond.Unauthenticated, millpond.Gone, millpond.Canceled:
			return err
		}
	}
	doc, err := h.repo.Document(r.Context(), millpond.Key{Package: p.Package(), File: p.Base + "/" + p.Name})
	if err != nil {
		return err
	}
	if p.Sum != "" {
		return h.serveSumOf(w, r, p, doc)
	}
	return h.serveDocument(w, r, doc, typeOf(p.Name))
}

func (h handler) serveDocument(w http.ResponseWriter, r *http.Request, doc *format.Document, contentType string) error {
	head(w, contentType, maxAge)
	return format.Serve(w, r, &millpond.Content{
		ReadSeekCloser: struct {
			*io.SectionReader
			io.Closer
		}{doc.Reader(), doc},
		Size: doc.Size, Digest: doc.Digest, Modified: doc.Modified,
	})
}

// getDocument answers with a document of the first upstream that has it: the list of project templates, or one of the index.
func (h handler) getDocument(w http.ResponseWriter, r *http.Request, p Path, name, kind string) error {
	doc, err := h.repo.Document(r.Context(), millpond.Key{Package: name})
	if err != nil {
		return err
	}
	if p.Sum == "" {
		return h.serveDocument(w, r, doc, kind)
	}
	return h.serveSumOf(w, r, p, doc)
}

// serveSumOf answers with the sum of a document, and closes that. It may have gigabytes: it is summed once.
func (h handler) serveSumOf(w http.ResponseWriter, r *http.Request, p Path, doc *format.Document) error {
	defer doc.Close()
	d := format.Derivation{Name: "sum" + p.String(), Stamp: doc.Digest.String(), Type: typeText}
	c, err := h.repo.Derive(r.Context(), d, func(out io.Writer) error {
		sum := millpond.NewHash(p.Sum)
		if _, err := io.Copy(sum, doc.Reader()); err != nil {
			return err
		}
		_, err := io.WriteString(out, hex.EncodeToString(sum.Sum(nil)))
		return err
	})
	if err != nil {
		return err
	}
	head(w, typeText, maxAge)
	return format.Serve(w, r, c)
}
