package golang

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"millpond"
	"millpond/format"
)

// Limits of the protocol; the go command refuses more.
const (
	infoLimit = 1 << 20
	modLimit  = 16 << 20
	zipLimit  = 500 << 20 // packed, and unpacked
)

// A source reads one module mirror.
type source struct {
	format.NoSource
	remote format.Remote
	built  bool // its files are made here: no database knows them
	asked  *inquiry
}

// Source reads a module mirror, and the checksum databases that the repository is configured with; or git, where the upstream
// has the option vcs.
func (Format) Source(r format.Remote) format.Source {
	if patterns := r.Option("vcs"); patterns != "" {
		return gitSource{source: source{remote: r, built: true}, patterns: patterns}
	}
	return source{remote: r, asked: newInquiry()}
}

// Package reads @v/list. Its versions are Partial; pseudo-versions are among them if the upstream lists any, with their
// time. The package of a checksum database has no listing, and no versions.
func (s source) Package(ctx context.Context, name string) (*millpond.Package, error) {
	if strings.HasPrefix(name, sumPackage) {
		return &millpond.Package{Name: name}, nil
	}
	doc, err := s.remote.Document(ctx, format.Request{URL: escapePath(name) + "/@v/list", Empty: true})
	if err != nil {
		return nil, fmt.Errorf("read the versions of %s: %w", name, err)
	}
	defer doc.Close()
	if doc.Unchanged {
		return nil, format.Unchanged
	}
	p := &millpond.Package{Name: name}
	p.Versions, err = readList(name, doc.Reader())
	if err != nil {
		return nil, err
	}
	return p, nil
}

// readList reads the lines of a list, each a version and perhaps its time. Lines that are neither are passed over, as the go
// command does; a page of HTML is no list.
func readList(name string, r io.Reader) ([]millpond.Version, error) {
	var versions []millpond.Version
	lines := bufio.NewScanner(r)
	first := true
	for lines.Scan() {
		line := lines.Text()
		if first && strings.HasPrefix(strings.TrimLeft(line, "\ufeff \t\r"), "<") {
			return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "the upstream answered the version list of " + name + " with a web page"}
		}
		first = first && strings.TrimSpace(line) == ""
		version, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !isCanonical(name, version) {
			continue
		}
		v := millpond.Version{Name: version, Partial: true, Prerelease: isPrerelease(version)}
		if t, err := time.Parse(time.RFC3339, strings.TrimSpace(rest)); err == nil {
			v.Published = t
		}
		versions = append(versions, v)
	}
	if err := lines.Err(); err != nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "the version list of " + name + " cannot be read", Err: err}
	}
	slices.SortStableFunc(versions, func(a, b millpond.Version) int { return Format{}.Compare(b.Name, a.Name) })
	return slices.CompactFunc(versions, func(a, b millpond.Version) bool { return a.Name == b.Name }), nil
}

// Version tells when a version was made. It opens the .info as a reader would, so that it is asked for once and kept.
func (s source) Version(ctx context.Context, name, version string) (*millpond.Version, error) {
	v := &millpond.Version{Name: version, Prerelease: isPrerelease(version)}
	for _, kind := range []Kind{Info, Mod, Zip} {
		f, err := s.File(ctx, Path{Kind: kind, Module: name, Version: version}.Key())
		if err != nil {
			return nil, err
		}
		v.Files = append(v.Files, *f)
	}
	c, err := s.remote.Open(ctx, Path{Kind: Info, Module: name, Version: version}.Key())
	if err != nil {
		return nil, fmt.Errorf("read when %s@%s was made: %w", name, version, err)
	}
	b, err := readAll(c, infoLimit)
	if err != nil {
		return nil, fmt.Errorf("read when %s@%s was made: %w", name, version, err)
	}
	i, err := readInfo(b)
	if err != nil {
		return nil, err
	}
	v.Published = i.Time
	return v, nil
}

// File makes the address of a file from its name. It asks nobody, but for the way to a checksum database that has no address
// of its own, once a day.
func (s source) File(ctx context.Context, k millpond.Key) (*millpond.File, error) {
	if name, ok := strings.CutPrefix(k.Package, sumPackage); ok {
		return s.sumFile(ctx, name, k)
	}
	name, ok := strings.CutPrefix(k.File, k.Version)
	if !ok || !isCanonical(k.Package, k.Version) {
		return nil, noFile(k)
	}
	f := &millpond.File{Name: k.File, Size: -1}
	switch name {
	case ".info":
		f.Type = typeInfo
	case ".mod":
		f.Type = typeText
	case ".zip":
		f.Type = typeZip
	default:
		return nil, noFile(k)
	}
	f.URL = s.address(escapePath(k.Package) + "/@v/" + escapeVersion(k.Version) + name)
	return f, nil
}

func noFile(k millpond.Key) error {
	return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: "a Go module has no file " + k.File}
}

// address is the absolute URL of an escaped path below the upstream's.
func (s source) address(escaped string) string {
	base := s.remote.URL()
	base.RawQuery, base.Fragment = "", ""
	return strings.TrimSuffix(base.String(), "/") + "/" + escaped
}

// Ref resolves "latest", a branch, a tag or a hash to a canonical version.
func (s source) Ref(ctx context.Context, pkg, name string) (millpond.Ref, error) {
	path := Path{Kind: Query, Module: pkg, Version: name}
	if name == "latest" {
		path.Kind = Latest
	}
	doc, err := s.remote.Document(ctx, format.Request{URL: path.String()[1:], Limit: infoLimit})
	if err != nil {
		return millpond.Ref{}, fmt.Errorf("resolve %s@%s: %w", pkg, name, err)
	}
	defer doc.Close()
	b, err := io.ReadAll(doc.Reader())
	if err != nil {
		return millpond.Ref{}, fmt.Errorf("resolve %s@%s: %w", pkg, name, err)
	}
	i, err := readInfo(b)
	if err != nil {
		return millpond.Ref{}, err
	}
	if !isCanonical(pkg, i.Version) {
		return millpond.Ref{}, &millpond.Error{
			Kind: millpond.BadUpstream,
			Why:  fmt.Sprintf("the upstream resolved %s@%s to %.100q, which is no version of it", pkg, name, i.Version),
		}
	}
	return millpond.Ref{Name: name, Target: i.Version, Checked: s.remote.Now()}, nil
}

// Document reads the head of a checksum database.
func (s source) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	name, ok := strings.CutPrefix(k.Package, sumPackage)
	if !ok || k.File != "latest" {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: "a Go module has no document " + k.File}
	}
	return s.sumHead(ctx, name)
}

// info is what a .info file must say. Whatever else it says is the client's affair: the file is served byte for byte.
type info struct {
	Version string
	Time    time.Time
}

func readInfo(b []byte) (info, error) {
	var i info
	if err := json.Unmarshal(b, &i); err != nil {
		return info{}, &millpond.Error{Kind: millpond.BadUpstream, Why: "the upstream's .info is not the JSON of a version", Err: err}
	}
	return i, nil
}

// Sniff refuses what cannot be the file: a captive portal's page above all.
func (s source) Sniff(k millpond.Key, head []byte) error {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	page := len(text) > 0 && text[0] == '<'
	ok := !page
	switch {
	case strings.HasPrefix(k.File, "tile/"):
		ok = true // hashes: any bytes
	case strings.HasSuffix(k.File, ".info"):
		ok = len(text) > 0 && text[0] == '{'
	case strings.HasSuffix(k.File, ".zip"):
		ok = bytes.HasPrefix(head, []byte("PK\x03\x04"))
	}
	if ok {
		return nil
	}
	what := "something else"
	if page {
		what = "a web page"
	}
	return &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: fmt.Sprintf("the upstream gave %s for %s", what, k.File)}
}

// Prepare looks up the hash that Verify compares, which then need not wait for it.
func (s source) Prepare(ctx context.Context, k millpond.Key) {
	suffix, mod := "", strings.HasSuffix(k.File, ".mod")
	switch {
	case strings.HasPrefix(k.Package, sumPackage) || s.exempt(k) || !mod && !strings.HasSuffix(k.File, ".zip"):
		return
	case mod:
		suffix = modSuffix
	}
	if d, ok := s.database(); ok {
		s.lookUp(ctx, d, k.Package, k.Version+suffix) // what fails here is told by Verify
	}
}

// Verify judges a whole file before it is kept: that it is what its name says, and that its hash is the checksum database's.
func (s source) Verify(ctx context.Context, k millpond.Key, r io.ReaderAt, size int64) error {
	if name, ok := strings.CutPrefix(k.Package, sumPackage); ok {
		return s.verifySum(name, k, r, size)
	}
	switch {
	case strings.HasSuffix(k.File, ".info"):
		return verifyInfo(k, r, size)
	case strings.HasSuffix(k.File, ".mod"):
		b, err := readAt(k, r, size, modLimit)
		if err != nil {
			return err
		}
		if !utf8.Valid(b) || bytes.HasPrefix(bytes.TrimSpace(b), []byte("<")) {
			return corrupt(k, k.File+" is no go.mod file")
		}
		return s.verifyHash(ctx, k, modSuffix, func(context.Context) (string, error) { return hashMod(b) })
	}
	if size > zipLimit {
		return corrupt(k, fmt.Sprintf("%s has %d bytes, and the go command takes no more than %d", k.File, size, zipLimit))
	}
	return s.verifyHash(ctx, k, "", func(ctx context.Context) (string, error) {
		leave, err := format.Enter(ctx, s.remote)
		if err != nil {
			return "", err
		}
		defer leave()
		return hashZip(ctx, r, size, zipLimit)
	})
}

func verifyInfo(k millpond.Key, r io.ReaderAt, size int64) error {
	b, err := readAt(k, r, size, infoLimit)
	if err != nil {
		return err
	}
	i, err := readInfo(b)
	if err != nil {
		return err
	}
	if i.Version != k.Version {
		return corrupt(k, fmt.Sprintf("%s is of version %.100q", k.File, i.Version))
	}
	return nil
}

func corrupt(k millpond.Key, why string) error {
	return &millpond.Error{Kind: millpond.Corrupt, Key: k, Why: why + "; nothing was kept"}
}

// readAt reads a whole file of which the protocol says that it is small.
func readAt(k millpond.Key, r io.ReaderAt, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, corrupt(k, fmt.Sprintf("%s has %d bytes, more than %d", k.File, size, limit))
	}
	b := make([]byte, size)
	if n, err := r.ReadAt(b, 0); int64(n) < size {
		return nil, fmt.Errorf("read %s: %w", k, err)
	}
	return b, nil
}

// readAll reads a small content whole and closes it.
func readAll(c *millpond.Content, limit int64) ([]byte, error) {
	if c.ReadSeekCloser == nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "the bytes are not held here"}
	}
	defer c.Close()
	b, err := io.ReadAll(io.LimitReader(c, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = &millpond.Error{Kind: millpond.BadUpstream, Why: fmt.Sprintf("more than %d bytes", limit)}
	}
	return b, err
}
