package maven

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// A source reads one Maven repository.
type source struct {
	format.NoSource
	remote format.Remote
	proved *[]millpond.Digest // by Verify
	said   *[]millpond.Digest // by the header that came with the bytes
}

var (
	_ format.Verifier = source{}
	_ format.Prover   = source{}
	_ format.Sniffer  = source{}
	_ format.Hearer   = source{}
)

// Source reads a Maven repository.
func (Format) Source(r format.Remote) format.Source {
	return source{remote: r, proved: new([]millpond.Digest), said: new([]millpond.Digest)}
}

// A partMeta is what a layer's maven-metadata.xml says besides versions.
type partMeta struct {
	Updated string   `json:"updated,omitempty"`
	Plugins []plugin `json:"plugins,omitempty"`
}

// Package reads the maven-metadata.xml of a directory. Its versions are Partial, but the builds of a SNAPSHOT, whose names say
// when they were made. Its Meta is a partMeta.
func (s source) Package(ctx context.Context, pkg string) (*millpond.Package, error) {
	n, ok := nameOf(pkg)
	if !ok || !s.has(pkg) {
		return nil, s.none(millpond.Key{Package: pkg})
	}
	doc, err := s.remote.Document(ctx, format.Request{URL: n.dir() + metadataName, Limit: metadataLimit})
	if err != nil {
		return nil, fmt.Errorf("read the metadata of %s: %w", pkg, err)
	}
	defer doc.Close()
	if doc.Unchanged {
		return nil, format.Unchanged
	}
	m, err := readMetadata(doc.Reader())
	if err != nil {
		return nil, badDocument(metadataName+" of "+pkg, err)
	}
	p := &millpond.Package{Name: pkg}
	meta, err := json.Marshal(partMeta{m.Updated, m.Plugins})
	if err != nil {
		return nil, err
	}
	p.Parts = []millpond.Part{{Meta: meta}}
	if at, err := time.Parse(dateLayout, m.Updated); err == nil && s.remote.Option("trust_dates") != "false" {
		p.Parts[0].Latest = at
	}
	if n.snapshot != "" {
		p.Versions = m.builds(n.snapshot)
		return p, nil
	}
	for _, one := range append(m.Versions, m.Latest, m.Release) {
		if isSegment(one) {
			p.Versions = append(p.Versions, millpond.Version{Name: one, Partial: true, Prerelease: isPrerelease(one)})
		}
	}
	slices.SortStableFunc(p.Versions, func(a, b millpond.Version) int { return Format{}.Compare(b.Name, a.Name) })
	p.Versions = slices.CompactFunc(p.Versions, func(a, b millpond.Version) bool { return a.Name == b.Name })
	return p, nil
}

// builds are the builds of a SNAPSHOT that the document names, newest first.
func (m *metadata) builds(base string) []millpond.Version {
	names := map[string]bool{}
	if m.Stamp != "" {
		names[strings.TrimSuffix(base, snapshotWord)+m.Stamp+"-"+m.Number] = true
	}
	for _, b := range m.Builds {
		names[b.Value] = true
	}
	var all []millpond.Version
	for name := range names {
		if b, ok := buildOf(name); ok && b.base == base {
			all = append(all, millpond.Version{Name: name, Published: b.time(), Prerelease: true})
		}
	}
	slices.SortFunc(all, func(a, b millpond.Version) int { return Format{}.Compare(b.Name, a.Name) })
	return all
}

// has reports whether the upstream may be asked for a package at all: the option only can name the groups that it is for.
func (s source) has(pkg string) bool {
	only := strings.FieldsFunc(s.remote.Option("only"), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
	return len(only) == 0 || slices.ContainsFunc(only, func(claim string) bool { return Format{}.Covers(claim, pkg) })
}

func (s source) none(k millpond.Key) error {
	return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s has no %s", s.remote.Name(), k)}
}

// versionMeta is what the house keeps of a version besides its files.
type versionMeta struct {
	Packaging string `json:"packaging,omitempty"`
	Name      string `json:"name,omitempty"`
	Stamped   bool   `json:"stamped,omitempty"` // the build was named here, because its client gives builds no names
}

// Version reads the POM, whose age is that of the version; that of a build its name says. A version without POM has no date.
func (s source) Version(ctx context.Context, pkg, version string) (*millpond.Version, error) {
	n, ok := nameOf(pkg)
	v := &millpond.Version{Name: version, Prerelease: isPrerelease(version)}
	if !ok || n.artifact == "" || !s.has(pkg) {
		return nil, s.none(millpond.Key{Package: pkg, Version: version})
	}
	if b, ok := buildOf(version); ok {
		v.Published = b.time()
	}
	if n.snapshot != "" {
		return v, nil
	}
	doc, err := s.remote.Document(ctx, format.Request{URL: n.file(version, n.artifact+"-"+version+".pom"), Limit: pomLimit})
	if millpond.Is(err, millpond.NotFound) {
		return v, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the POM of %s %s: %w", pkg, version, err)
	}
	defer doc.Close()
	if v.Published.IsZero() && s.remote.Option("trust_dates") != "false" {
		v.Published = doc.Modified
	}
	p, err := readPOM(doc.Reader())
	if err != nil {
		return v, nil // a client may yet read what the house cannot, and its date is known
	}
	v.Licence = p.Licence
	v.Meta, err = json.Marshal(versionMeta{Packaging: p.Packaging, Name: p.Name})
	return v, err
}

// File makes the address of a file from its name. It asks nobody.
func (s source) File(_ context.Context, k millpond.Key) (*millpond.File, error) {
	n, ok := nameOf(k.Package)
	if !ok || n.artifact == "" || n.snapshot != "" || !strings.HasPrefix(k.File, n.artifact+"-"+k.Version) || !s.has(k.Package) {
		return nil, s.none(k)
	}
	f := &millpond.File{Name: k.File, Size: -1, Type: typeOf(k.File), URL: s.address(n.file(k.Version, k.File))}
	if sumOf(k.File) != "" {
		f.Of = k.File[:strings.LastIndexByte(k.File, '.')]
	}
	return f, nil
}

// sumOf is the algorithm of a file that is a sum, else "".
func sumOf(file string) string {
	if dot := strings.LastIndexByte(file, '.'); dot > 0 && slices.Contains(sums, file[dot+1:]) {
		return file[dot+1:]
	}
	return ""
}

// address is the absolute URL of an escaped path below the upstream's.
func (s source) address(escaped string) string {
	base := s.remote.URL()
	base.RawQuery, base.Fragment = "", ""
	return strings.TrimSuffix(base.String(), "/") + "/" + escaped
}

// Document reads what moves and is no listing: a file that is called SNAPSHOT itself, as "<version>/<file>" of its package, and
// the documents of the whole repository, as a package without files.
func (s source) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	r := format.Request{URL: k.Package}
	switch k.Package {
	case catalogName:
	case prefixesName:
		r.Limit = prefixesLimit
	default:
		if name, ok := strings.CutPrefix(k.Package, indexDir+"/"); ok && isSegment(name) {
			r.Limit = indexLimit
			break
		}
		n, ok := nameOf(k.Package)
		version, file, cut := strings.Cut(k.File, "/")
		if !ok || !cut || !isSnapshot(version) || !s.has(k.Package) {
			return nil, s.none(k)
		}
		r.URL = n.file(version, file)
		r.Limit = literalLimit
	}
	doc, err := s.remote.Document(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.URL, err)
	}
	head := make([]byte, 512)
	got, err := doc.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if what := looks(r.URL, head[:got]); what != "" {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: fmt.Sprintf("the upstream gave %s for %s", what, r.URL)}
	}
	return doc, nil
}

const (
	catalogName   = "archetype-catalog.xml"
	prefixesName  = ".meta/prefixes.txt"
	literalLimit  = 1 << 30
	prefixesLimit = 25 << 20
	indexLimit    = 8 << 30 // the largest is some 3 GB
)

// Sniff refuses what cannot be the file: a captive portal's page above all.
func (s source) Sniff(k millpond.Key, head []byte) error {
	if what := looks(k.File, head); what != "" {
		return &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: fmt.Sprintf("the upstream gave %s for %s", what, k.File)}
	}
	return nil
}

// Hear reads the strongest sum in the header of a file, which some upstreams send beside those that they keep. One that cannot
// be read says nothing.
func (s source) Hear(_ millpond.Key, header http.Header) {
	*s.said = nil
	for _, algorithm := range sums {
		if d, err := readSum(algorithm, []byte(header.Get(sumHeaders[algorithm]))); err == nil {
			*s.said = []millpond.Digest{d}
			return
		}
	}
}

// Verify compares a file with the sum that its upstream keeps beside it, before it is kept: the strongest that there is, of
// those kinds that the upstream is known to have. Where it has none the first bytes are right.
func (s source) Verify(ctx context.Context, k millpond.Key, r io.ReaderAt, size int64) error {
	if algorithm := sumOf(k.File); algorithm != "" {
		b := make([]byte, min(size, sumLimit+1))
		if n, err := r.ReadAt(b, 0); n < len(b) {
			return err
		}
		if _, err := readSum(algorithm, b); err != nil {
			return badDocument(k.File, err)
		}
		return nil
	}
	if size == 0 {
		if what := looks(k.File, nil); what != "" {
			return &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: fmt.Sprintf("the upstream gave %s for %s", what, k.File)}
		}
	}
	if strings.HasSuffix(k.File, ".asc") {
		return nil // a signature is judged by what it signs; upstreams have sums of few
	}
	beside, err := s.declared(ctx, k)
	if err != nil {
		return err
	}
	want := slices.Clone(*s.said)
	if !beside.IsZero() {
		want = append(want, beside)
	}
	if len(want) == 0 || s.remote.Option("checksum") == "warn" { // readers are to see the upstream's
		return nil
	}
	hashes := map[string]hash.Hash{"sha1": millpond.NewHash("sha1")} // which clients look for in a header
	for _, d := range want {
		hashes[d.Algorithm()] = d.Hash()
	}
	var all []io.Writer
	for _, h := range hashes {
		all = append(all, h)
	}
	if _, err := io.Copy(io.MultiWriter(all...), io.NewSectionReader(r, 0, size)); err != nil {
		return err
	}
	for _, d := range want {
		got := hex.EncodeToString(hashes[d.Algorithm()].Sum(nil))
		if got != d.Hex() {
			return &millpond.Error{
				Kind: millpond.Corrupt, Key: k,
				Why:  fmt.Sprintf("the %s of %s is %s, and %s says that it is %s; nothing was kept", d.Algorithm(), k.File, got, s.remote.Name(), d.Hex()),
				Hint: "if the upstream's sum is known to be wrong, 'checksum: warn' of the upstream keeps the file all the same",
			}
		}
	}
	d, err := millpond.NewDigest("sha1", hashes["sha1"].Sum(nil))
	*s.proved = []millpond.Digest{d}
	return err
}

// Proved implements format.Prover: it is the sha1, if the upstream had a sum that fits.
func (s source) Proved() []millpond.Digest { return *s.proved }

// declared is what the upstream says that a file's sum is; zero if it has none of any kind.
func (s source) declared(ctx context.Context, k millpond.Key) (millpond.Digest, error) {
	n, ok := nameOf(k.Package)
	if !ok {
		return millpond.Digest{}, s.none(k)
	}
	known, err := s.remote.State(ctx, "sums")
	if err != nil {
		return millpond.Digest{}, err
	}
	order := slices.Clone(sums)
	if i := slices.Index(order, string(known)); i > 0 {
		order = append([]string{string(known)}, slices.Delete(order, i, i+1)...)
	}
	for _, algorithm := range order {
		text, err := s.readDocument(ctx, n.file(k.Version, k.File+"."+algorithm))
		if millpond.Is(err, millpond.NotFound) {
			continue
		}
		if err != nil {
			return millpond.Digest{}, fmt.Errorf("read the %s of %s: %w", algorithm, k.File, err)
		}
		d, err := readSum(algorithm, text)
		if err != nil {
			return millpond.Digest{}, badDocument(k.File+"."+algorithm, err)
		}
		if algorithm != string(known) {
			err = s.remote.SetState(ctx, "sums", []byte(algorithm))
		}
		return d, err
	}
	return millpond.Digest{}, nil
}

// readDocument reads a small document whole.
func (s source) readDocument(ctx context.Context, path string) ([]byte, error) {
	doc, err := s.remote.Document(ctx, format.Request{URL: path, Limit: sumLimit})
	if err != nil {
		return nil, err
	}
	defer doc.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, doc.Reader())
	return b.Bytes(), err
}
