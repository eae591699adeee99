package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

const (
	// mostTags is how many tags of one image are read from an upstream, and mostPages in how many answers.
	mostTags, mostPages = 100_000, 1000
	// mostReferrers is how much an upstream's list of referrers may have.
	mostReferrers = 16 << 20
	// mostIn is how many manifests are noted as needing one blob.
	mostIn = 200
)

// A source reads one registry.
type source struct {
	format.NoSource
	remote format.Remote
}

// place is what an image is called at the upstream: its address may have a path, which stands before the name.
func (s source) place(image string) string {
	path := strings.Trim(s.remote.URL().Path, "/")
	if path == "v2" {
		path = ""
	}
	path = strings.TrimPrefix(path, "v2/")
	if path == "" {
		return image
	}
	return path + "/" + image
}

// address is the absolute URL of something of an image.
func (s source) address(image, below string) string {
	u := s.remote.URL()
	u.Path, u.RawPath, u.RawQuery, u.Fragment = root+s.place(image)+below, "", "", ""
	return u.String()
}

func (s source) scope(image string) string { return "repository:" + s.place(image) + ":pull" }

// Asks implements format.Asker.
func (s source) Asks(k millpond.Key) format.Asking {
	if k.Version != "" {
		return format.Asking{Accept: acceptManifest, Scope: s.scope(k.Package), Limit: mostManifest}
	}
	return format.Asking{Scope: s.scope(k.Package), Shared: true}
}

// File finds a manifest or a blob by its digest. Of a blob it says what is known from manifests that were kept: its size, and
// which of them need it.
func (s source) File(ctx context.Context, k millpond.Key) (*millpond.File, error) {
	d, err := parseDigest(k.File)
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: "an image has no file " + k.File}
	}
	f := &millpond.File{Name: k.File, Size: -1, Digests: []millpond.Digest{d}}
	if k.Version != "" {
		f.URL = s.address(k.Package, Path{Kind: Manifest, Digest: d}.below())
		return f, nil
	}
	f.URL, f.In = s.address(k.Package, Path{Kind: Blob, Digest: d}.below()), []string{}
	known, err := s.needed(ctx, k.Package, k.File)
	if err != nil {
		return nil, err
	}
	if known != nil {
		f.Size, f.In = known.Size, append(f.In, known.In...)
	}
	return f, nil
}

// A needed is what manifests say of a blob.
type needed struct {
	Size int64    `json:"size"`
	In   []string `json:"in"`
}

func neededName(image, digest string) string { return "blob " + image + " " + digest }

func (s source) needed(ctx context.Context, image, digest string) (*needed, error) {
	b, err := s.remote.State(ctx, neededName(image, digest))
	if err != nil || b == nil {
		return nil, err
	}
	n := &needed{}
	if json.Unmarshal(b, n) != nil {
		return nil, nil // of another release: it is noted anew
	}
	return n, nil
}

// Sniff refuses what can be no manifest: a captive portal's page above all.
func (s source) Sniff(k millpond.Key, head []byte) error {
	if k.Version == "" || bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")) {
		return nil
	}
	return &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: s.remote.Name() + " gave something that is no manifest for " + k.File}
}

// Verify notes which blobs a manifest needs, before it is kept: they are judged as its parts. Its bytes are right by their
// digest.
func (s source) Verify(ctx context.Context, k millpond.Key, r io.ReaderAt, size int64) error {
	if k.Version == "" {
		return nil
	}
	b := make([]byte, size)
	if _, err := r.ReadAt(b, 0); err != nil && err != io.EOF {
		return err
	}
	m, err := readKept(b)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, d := range m.needs() {
		if _, err := parseDigest(d.Digest); err != nil || seen[d.Digest] || d.Size < 0 {
			continue
		}
		seen[d.Digest] = true
		if err := s.note(ctx, k, d); err != nil {
			return err
		}
	}
	return nil
}

// note adds a manifest to those that need a blob.
func (s source) note(ctx context.Context, k millpond.Key, d descriptor) error {
	n, err := s.needed(ctx, k.Package, d.Digest)
	if err != nil {
		return err
	}
	if n == nil {
		n = &needed{Size: d.Size}
	}
	if n.Size != d.Size {
		n.Size = -1 // they do not agree: its bytes will tell
	} else if slices.Contains(n.In, k.Version) {
		return nil
	}
	if n.In = append(n.In, k.Version); len(n.In) > mostIn {
		n.In = n.In[len(n.In)-mostIn:]
	}
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return s.remote.SetState(ctx, neededName(k.Package, d.Digest), b)
}

// Ref resolves a tag now: by HEAD, which costs nothing where manifests are counted, and by GET where that tells no digest.
func (s source) Ref(ctx context.Context, image, tag string) (millpond.Ref, error) {
	q := format.Request{URL: s.address(image, Path{Kind: Manifest, Tag: tag}.below()), Accept: acceptManifest, Limit: mostManifest, Scope: s.scope(image)}
	q.Head = true
	doc, err := s.remote.Document(ctx, q)
	if err != nil {
		return millpond.Ref{}, fmt.Errorf("resolve %s:%s: %w", image, tag, err)
	}
	said := doc.Header.Get("Docker-Content-Digest")
	if err := doc.Close(); err != nil {
		return millpond.Ref{}, err
	}
	if isOldForm(plainType(doc.Type)) {
		return millpond.Ref{}, &millpond.Error{Kind: millpond.BadUpstream, Why: fmt.Sprintf("%s has %s:%s only in a form of manifest that is no longer in use", s.remote.Name(), image, tag), Err: errOldForm}
	}
	d, err := parseDigest(said)
	if err != nil {
		q.Head = false
		if doc, err = s.remote.Document(ctx, q); err != nil {
			return millpond.Ref{}, fmt.Errorf("resolve %s:%s: %w", image, tag, err)
		}
		defer doc.Close()
		head := make([]byte, min(doc.Size, 64))
		if _, err := doc.ReadAt(head, 0); err != nil && err != io.EOF {
			return millpond.Ref{}, err
		}
		if err := s.Sniff(millpond.Key{Package: image, Version: tag, File: tag}, head); err != nil {
			return millpond.Ref{}, err
		}
		d = doc.Digest
	}
	return millpond.Ref{Name: tag, Target: d.String(), Checked: s.remote.Now()}, nil
}

// Package lists an image's tags. What they point at is asked when somebody wants to know.
func (s source) Package(ctx context.Context, image string) (*millpond.Package, error) {
	p := &millpond.Package{Name: image}
	at := s.address(image, Path{Kind: Tags}.below())
	same := true
	for range mostPages {
		tags, next, unchanged, err := s.tagPage(ctx, image, at)
		if err != nil {
			return nil, err
		}
		same = same && unchanged
		for _, tag := range tags {
			if isTag(tag) {
				p.Refs = append(p.Refs, millpond.Ref{Name: tag})
			}
		}
		if next == "" || len(p.Refs) >= mostTags {
			break
		}
		at = next
	}
	if same {
		return nil, format.Unchanged
	}
	slices.SortFunc(p.Refs, func(a, b millpond.Ref) int { return strings.Compare(a.Name, b.Name) })
	p.Refs = slices.CompactFunc(p.Refs, func(a, b millpond.Ref) bool { return a.Name == b.Name })
	return p, nil
}

func (s source) tagPage(ctx context.Context, image, at string) (tags []string, next string, unchanged bool, err error) {
	doc, err := s.remote.Document(ctx, format.Request{URL: at, Accept: "application/json", Limit: 64 << 20, Scope: s.scope(image)})
	if err != nil {
		return nil, "", false, fmt.Errorf("read the tags of %s: %w", image, err)
	}
	defer doc.Close()
	var said struct {
		Tags *[]string `json:"tags"`
		Name *string   `json:"name"`
	}
	if err := json.NewDecoder(doc.Reader()).Decode(&said); err != nil || said.Tags == nil && said.Name == nil {
		return nil, "", false, &millpond.Error{Kind: millpond.BadUpstream, Why: s.remote.Name() + "'s list of the tags of " + image + " cannot be read", Err: err}
	}
	if said.Tags != nil {
		tags = *said.Tags
	}
	next, err = s.next(ctx, at, doc)
	return tags, next, doc.Unchanged, err
}

// Version says what a manifest is made of, for rules: it is opened as a reader would, so that it is asked for once and kept.
func (s source) Version(ctx context.Context, image, version string) (*millpond.Version, error) {
	k := millpond.Key{Package: image, Version: version, File: version}
	b, err := s.readAll(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("read what %s of %s is made of: %w", version, image, err)
	}
	m, err := readKept(b)
	if err != nil {
		return nil, err
	}
	v := &millpond.Version{Name: version, Licence: licence(m)}
	d, _ := parseDigest(version) // it is one: the file has it
	v.Files = append(v.Files, millpond.File{Name: version, Size: int64(len(b)), Digests: []millpond.Digest{d}})
	for _, need := range m.needs() {
		if d, err := parseDigest(need.Digest); err == nil && v.File(need.Digest) == nil {
			v.Files = append(v.Files, millpond.File{Name: need.Digest, Size: need.Size, Digests: []millpond.Digest{d}})
		}
	}
	if s.remote.Option(optCreated) == "trust" {
		v.Published, err = s.created(ctx, image, m)
	}
	return v, err
}

// created is when an image says that it was made; zero if it does not.
func (s source) created(ctx context.Context, image string, m *manifest) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, m.Annotations["org.opencontainers.image.created"]); err == nil {
		return t, nil
	}
	if m.Config == nil || m.Config.Size > mostManifest || !strings.HasPrefix(m.Config.MediaType, "application/vnd.docker.container.image") && m.Config.MediaType != "application/vnd.oci.image.config.v1+json" {
		return time.Time{}, nil
	}
	b, err := s.readAll(ctx, millpond.Key{Package: image, File: m.Config.Digest})
	if err != nil {
		return time.Time{}, err
	}
	var config struct {
		Created time.Time `json:"created"`
	}
	if json.Unmarshal(b, &config) != nil {
		return time.Time{}, nil
	}
	return config.Created, nil
}

func (s source) readAll(ctx context.Context, k millpond.Key) ([]byte, error) {
	c, err := s.remote.Open(ctx, k)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return readManifest(c)
}

// readManifest reads a body that is no larger than a manifest may be.
func readManifest(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, mostManifest+1))
	if err == nil && len(b) > mostManifest {
		err = &millpond.Error{Kind: millpond.BadUpstream, Why: "the manifest is larger than 4 MiB"}
	}
	return b, err
}

// Document reads the list of an image's referrers, all pages of it: from the upstream's own, or where it keeps none from the
// tag that stands for it.
func (s source) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	if tag, ok := strings.CutPrefix(k.File, oldForm); ok {
		return s.oldManifest(ctx, k.Package, tag)
	}
	subject, ok := strings.CutPrefix(k.File, "referrers/")
	d, err := parseDigest(subject)
	if !ok || err != nil {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: "an image has no document " + k.File}
	}
	q := format.Request{URL: s.address(k.Package, Path{Kind: Referrers, Digest: d}.below()), Accept: typeIndex, Limit: mostReferrers, Scope: s.scope(k.Package)}
	first, err := s.remote.Document(ctx, q)
	if millpond.Is(err, millpond.NotFound) {
		q.URL, q.Accept = s.address(k.Package, Path{Kind: Manifest, Tag: fallbackTag(d)}.below()), acceptManifest
		first, err = s.remote.Document(ctx, q)
	}
	size := int64(0)
	for doc := first; err == nil; {
		if _, err = readReferrers(doc.Reader()); err != nil {
			err = &millpond.Error{Kind: millpond.BadUpstream, Why: s.remote.Name() + "'s list of referrers cannot be read", Err: err}
			break
		}
		var next string
		if next, err = s.next(ctx, q.URL, doc); err != nil || next == "" {
			break
		}
		if size += doc.Size; size > mostReferrers {
			err = &millpond.Error{Kind: millpond.BadUpstream, Why: s.remote.Name() + "'s list of referrers is larger than 16 MiB"}
			break
		}
		q.URL = next
		if doc, err = s.remote.Document(ctx, q); millpond.Is(err, millpond.NotFound) { // of a page: the list is there
			err = &millpond.Error{Kind: millpond.BadUpstream, Why: s.remote.Name() + "'s list of referrers ends in the middle", Err: err}
		}
	}
	if err != nil {
		if first != nil {
			first.Close()
		}
		return nil, fmt.Errorf("read what refers to %s of %s: %w", d.Short(), k.Package, err)
	}
	return first, nil
}

// fallbackTag is the tag that stands for the list of referrers where a registry keeps none.
func fallbackTag(d millpond.Digest) string {
	plain := func(s string, most int) string {
		s = strings.Map(func(c rune) rune {
			if c < 0x80 && (isWord(byte(c)) || c == '.' || c == '-') {
				return c
			}
			return '-'
		}, s)
		return s[:min(len(s), most)]
	}
	return plain(d.Algorithm(), 32) + "-" + plain(d.Hex(), 64)
}
