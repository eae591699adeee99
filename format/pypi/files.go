package pypi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// getFile serves a file, or a side of one.
func (h handler) getFile(w http.ResponseWriter, r *http.Request, p Path) error {
	name, err := Format{}.Canon(p.Project)
	if err != nil {
		return err
	}
	if name != p.Project {
		return redirect(w, r, http.StatusMovedPermanently, "../../"+name+"/"+p.Digest+"/"+escape(p.Name)+p.Side)
	}
	key := millpond.Key{Package: name, File: p.Name + p.Side}
	c, err := format.Find(r, h.repo, key)
	if err != nil && p.Side == Metadata && obtainable(err) {
		c, err = h.extract(r.Context(), name, p, err)
	}
	if err != nil {
		return err
	}
	if err := h.sameFile(r.Context(), name, p, c); err != nil {
		if c.ReadSeekCloser != nil {
			c.Close()
		}
		return err
	}
	c.Type = "" // whatever the upstream called it
	head := w.Header()
	head["Content-Type"] = sideType(p.Side)
	cache := format.Immutable(h.repo)
	if p.Digest == noDigest {
		cache = cacheControl(h.repo, h.repo.Now().Add(10*time.Minute)) // the URL names no bytes
	}
	head["Cache-Control"] = []string{cache}
	return format.Serve(w, r, c)
}

// Content types of a file and its sides. They never change.
var (
	typeFile      = []string{"application/octet-stream"}
	typeMetadata  = []string{"text/plain; charset=utf-8"}
	typeSignature = []string{"application/pgp-signature"}

	typeProvenance = []string{typeIntegrity}
)

func sideType(side string) []string {
	switch side {
	case Metadata:
		return typeMetadata
	case Signature:
		return typeSignature
	case Attested:
		return typeProvenance
	case Described:
		return typeMetadata
	}
	return typeFile
}

// sameFile is nil if the digest in the URL is that of the file: a URL never changes its bytes, even if an upstream replaces
// the file. c is what was opened under the URL.
func (h handler) sameFile(ctx context.Context, name string, p Path, c *millpond.Content) error {
	if p.Digest == noDigest || p.Side == "" && strings.HasPrefix(c.Digest.Hex(), p.Digest) {
		return nil
	}
	// Held bytes are known by their sha256. The URL may have a stronger digest than that, or a weaker one; and of a side it
	// has the file's.
	view, err := h.repo.Package(ctx, name)
	if err != nil {
		return err
	}
	var have []millpond.Digest
	if _, f := findFile(view, p.Name); f != nil {
		have = append([]millpond.Digest{f.Blob}, f.Digests...)
	} else if p.Side != "" { // not in the index any more, but perhaps held
		file, err := h.repo.Stat(ctx, millpond.Key{Package: name, File: p.Name})
		if err != nil {
			return err
		}
		have = []millpond.Digest{file.Digest}
	}
	for _, d := range have {
		if strings.HasPrefix(d.Hex(), p.Digest) {
			return nil
		}
	}
	return notFound(millpond.Key{Package: name, File: p.Name}, fmt.Sprintf("%s does not have a digest that begins with %s", p.Name, p.Digest))
}

// obtainable reports whether metadata that could not be had for this reason may be taken from the wheel.
func obtainable(err error) bool {
	switch millpond.KindOf(err) {
	case millpond.NotFound, millpond.Gone, millpond.BadUpstream, millpond.Offline, millpond.Throttled, millpond.Corrupt:
		return true
	}
	return false
}

// extract takes the metadata of a wheel that is held from the wheel itself. It keeps a promise that a page has made: where
// none was made, or other bytes were promised, the answer is why, the error of asking the upstream.
func (h handler) extract(ctx context.Context, name string, p Path, why error) (*millpond.Content, error) {
	view, err := h.repo.Package(ctx, name)
	if err != nil {
		return nil, why
	}
	_, promised := findFile(view, p.Name+Metadata)
	if promised == nil {
		return nil, why
	}
	wheel, err := h.repo.Held().Open(ctx, millpond.Key{Package: name, File: p.Name})
	if err != nil {
		return nil, why
	}
	if wheel.ReadSeekCloser == nil { // a redirect: nothing is held
		return nil, why
	}
	defer wheel.Close()
	text, err := wheelMetadata(wheel)
	if err != nil {
		return nil, why
	}
	for _, d := range promised.Digests {
		hash := d.Hash()
		if hash == nil {
			continue
		}
		hash.Write(text)
		if got, err := millpond.NewDigest(d.Algorithm(), hash.Sum(nil)); err != nil || got != d {
			return nil, why
		}
	}
	return &millpond.Content{
		ReadSeekCloser: memory{bytes.NewReader(text)},
		Size:           int64(len(text)),
		Digest:         millpond.SHA256(text),
		Modified:       wheel.Modified,
	}, nil
}

// memory is bytes that need no closing.
type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// getAlias sends a client from a URL of another server's making to ours.
func (h handler) getAlias(w http.ResponseWriter, r *http.Request, p Path) error {
	candidates := owners(p.Name)
	if p.Kind == ByName {
		name, err := Format{}.Canon(p.Project)
		if err != nil {
			return err
		}
		candidates = []string{name}
	}
	for _, name := range candidates {
		digest, err := h.aliased(r.Context(), name, p)
		switch {
		case millpond.Is(err, millpond.NotFound), millpond.Is(err, millpond.Gone):
			continue
		case err != nil:
			return err
		}
		w.Header().Set("Cache-Control", cacheControl(h.repo, h.repo.Now().Add(10*time.Minute)))
		return redirect(w, r, http.StatusFound, "../../../"+name+"/"+digest+"/"+escape(p.Name)+p.Side)
	}
	return notFound(millpond.Key{File: p.Name}, "no project here lists "+p.Name)
}

// aliased is the digest's part of the URL of a file that an alias asks for. An alias that names a digest must not lead to a
// file that is known to be another.
func (h handler) aliased(ctx context.Context, name string, p Path) (string, error) {
	view, err := h.repo.Package(ctx, name)
	if err != nil {
		return "", err
	}
	if _, f := findFile(view, p.Name); f != nil {
		if p.Kind == ByDigest && !couldBe(f, p.Digest) {
			return "", notFound(millpond.Key{Package: name, File: p.Name}, p.Name+" is another file here than the one with that digest")
		}
		return shortDigest(digests(f)), nil
	}
	// Hidden by a rule, whose words are the answer; or too new for the listing; or not in the index any more, but held.
	c, err := h.repo.Stat(ctx, millpond.Key{Package: name, File: p.Name})
	if err != nil {
		return "", err
	}
	if c.Digest.IsZero() {
		return noDigest, nil
	}
	return shortDigest([]millpond.Digest{c.Digest}), nil
}

// couldBe reports whether nothing speaks against a file having the digest of a by-digest URL. Upstreams that make such
// URLs use a digest that they do not list; then the file's own URL there tells.
func couldBe(f *millpond.File, digest string) bool {
	for _, d := range append([]millpond.Digest{f.Blob}, f.Digests...) {
		if d.Hex() == digest {
			return true
		}
	}
	address, _, _ := strings.Cut(f.URL, "?")
	parts := strings.Split(address, "/")
	if n := len(parts); n >= 4 && isHex(parts[n-4], 2) && isHex(parts[n-3], 2) && isHex(parts[n-2], 60) {
		return parts[n-4]+parts[n-3]+parts[n-2] == digest
	}
	return true
}

// getProvenance serves the attestations of a file, as its upstream has them now.
func (h handler) getProvenance(w http.ResponseWriter, r *http.Request, p Path) error {
	name, err := Format{}.Canon(p.Project)
	if err != nil {
		return err
	}
	end := "/provenance"
	up := "../../../"
	if p.Bare {
		up, end = "../"+up, end+"/"
	}
	if name != p.Project {
		return redirect(w, r, http.StatusMovedPermanently, up+name+"/"+escape(p.Version)+"/"+escape(p.Name)+end)
	}
	if !acceptsIntegrity(r.Header["Accept"]) {
		return &notAcceptable{r.Header.Get("Accept")}
	}
	key := millpond.Key{Package: name, File: p.Name}
	view, err := h.repo.Package(r.Context(), name)
	if err != nil {
		return err
	}
	if view.Blocked != "" {
		return &millpond.Error{Kind: millpond.Blocked, Key: key, Why: view.Blocked}
	}
	v, f := findFile(view, p.Name)
	if f == nil { // perhaps a rule hides it: its words are the answer
		if _, err := h.repo.Stat(r.Context(), key); err != nil {
			return err
		}
	}
	if f == nil || compareVersions(v.Name, normalVersion(p.Version)) != 0 {
		return notFound(key, "there is no provenance of "+p.Name)
	}
	if v.File(f.Name+Attested) != nil { // published with it
		key.Version, key.File = v.Name, f.Name+Attested
		c, err := format.Find(r, h.repo, key)
		if err != nil {
			return err
		}
		c.Type = ""
		return h.serveProvenance(w, r, c)
	}
	address := readRecord(f.Meta).attested
	if address == "" {
		return notFound(key, "there is no provenance of "+p.Name)
	}
	doc, err := h.repo.Document(r.Context(), millpond.Key{Package: name, Version: v.Name, File: provenanceStart + address})
	if err != nil {
		return err
	}
	return h.serveProvenance(w, r, documentContent(doc))
}

func (h handler) serveProvenance(w http.ResponseWriter, r *http.Request, c *millpond.Content) error {
	w.Header().Set("Content-Type", typeIntegrity)
	w.Header().Set("Vary", "Accept")
	w.Header().Set("Cache-Control", cacheControl(h.repo, h.repo.Now().Add(10*time.Minute)))
	return format.Serve(w, r, c)
}

// documentContent is a document as the body of a response.
func documentContent(doc *format.Document) *millpond.Content {
	return &millpond.Content{
		ReadSeekCloser: struct {
			io.ReadSeeker
			io.Closer
		}{doc.Reader(), doc},
		Size:     doc.Size,
		Digest:   doc.Digest,
		Modified: doc.Modified,
	}
}
