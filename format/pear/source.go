package pear

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

const (
	listLimit     = 16 << 20
	documentLimit = 4 << 20
)

// A source reads one channel.
type source struct {
	format.NoSource
	remote format.Remote
}

// Source reads a channel.
func (Format) Source(r format.Remote) format.Source { return source{remote: r} }

// A release is what a list says of a version: its record.
type release struct {
	Stability string   `json:"stability,omitempty"`
	MinPHP    string   `json:"min_php,omitempty"`
	Fits      []fits   `json:"fits,omitempty"`
	Needs     *depends `json:"needs,omitempty"` // of what is hosted
}

// fits are the releases of another package that this one is known to work with.
type fits struct {
	Channel, Package, Min, Max string
	Exclude                    []string `json:",omitempty"`
}

type depends struct{ Serial string }

// A record is what is kept of a package.
type record struct {
	Name string `json:"name"` // as its owner writes it
	// The rest is of what is hosted, by its newest description.
	Hosted      bool     `json:"hosted,omitempty"`
	Version     string   `json:"version,omitempty"`
	Licence     string   `json:"licence,omitempty"`
	Summary     string   `json:"summary,omitempty"`
	Description string   `json:"description,omitempty"`
	People      []person `json:"people,omitempty"`
}

// channel is the one that the upstream is.
func (s source) channel() string {
	if c := s.remote.Option("upstream_channel"); c != "" {
		return strings.ToLower(c)
	}
	return strings.ToLower(s.remote.URL().Hostname())
}

// ours is NotFound for what another channel has: nobody is asked about it.
func (s source) ours(name string) (channel, pkg string, err error) {
	channel, pkg, _ = strings.Cut(name, "/")
	if channel != s.channel() {
		return "", "", &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name}, Why: fmt.Sprintf("%s is the channel %s, and not %s", s.remote.Name(), s.channel(), channel)}
	}
	return channel, pkg, nil
}

// Package reads the list of a package's releases. A channel by itself has none.
func (s source) Package(ctx context.Context, name string) (*millpond.Package, error) {
	channel, pkg, err := s.ours(name)
	if err != nil {
		return nil, err
	}
	if pkg == "" {
		return &millpond.Package{Name: name}, nil
	}
	doc, err := s.remote.Document(ctx, format.Request{URL: "rest/r/" + pkg + "/allreleases2.xml", Limit: listLimit})
	if millpond.Is(err, millpond.NotFound) {
		doc, err = s.remote.Document(ctx, format.Request{URL: "rest/r/" + pkg + "/allreleases.xml", Limit: listLimit})
	}
	if err != nil {
		return nil, fmt.Errorf("read the releases of %s: %w", name, err)
	}
	defer doc.Close()
	if doc.Unchanged {
		return nil, format.Unchanged
	}
	return s.readReleases(channel, pkg, doc.Reader())
}

func (s source) readReleases(channel, pkg string, r io.Reader) (*millpond.Package, error) {
	name := channel + "/" + pkg
	bad := func(why string, err error) error {
		return &millpond.Error{Kind: millpond.BadUpstream, Key: millpond.Key{Package: name}, Why: fmt.Sprintf("the list of releases that %s gives of %s %s", s.remote.Name(), name, why), Err: err}
	}
	root, err := readXML(r)
	switch {
	case err != nil:
		return nil, bad("cannot be read", err)
	case root.name != "a":
		return nil, bad("is something else", nil)
	}
	display := root.kid("p").text
	if !strings.EqualFold(display, pkg) {
		return nil, bad(fmt.Sprintf("is of %.100q", display), nil)
	}
	p := &millpond.Package{Name: name}
	meta, err := json.Marshal(record{Name: display})
	if err != nil {
		return nil, err
	}
	p.Parts = []millpond.Part{{Meta: meta}}
	seen := map[string]bool{}
	for _, one := range root.all("r") {
		v := one.kid("v").text
		if !isVersion(v) || seen[v] {
			continue
		}
		seen[v] = true
		rel := release{Stability: one.kid("s").text, MinPHP: one.kid("m").text}
		for _, co := range one.all("co") {
			f := fits{Channel: co.kid("c").text, Package: co.kid("p").text, Min: co.kid("min").text, Max: co.kid("max").text}
			for _, x := range co.all("x") {
				f.Exclude = append(f.Exclude, x.text)
			}
			rel.Fits = append(rel.Fits, f)
		}
		meta, err := json.Marshal(rel)
		if err != nil {
			return nil, err
		}
		p.Versions = append(p.Versions, millpond.Version{
			Name: v, Partial: true, Prerelease: rel.Stability != "stable", Meta: meta,
			Files: []millpond.File{s.archive(pkg, display, v)},
		})
	}
	return p, nil
}

func (s source) archive(pkg, display, version string) millpond.File {
	return millpond.File{
		Name: pkg + "-" + version + ".tgz", Size: -1, Type: typeArchive,
		URL: s.address("get/" + display + "-" + version + ".tgz"),
	}
}

// Version tells when a release was published. It opens the release's document as a reader would.
func (s source) Version(ctx context.Context, name, version string) (*millpond.Version, error) {
	_, pkg, err := s.ours(name)
	if err != nil {
		return nil, err
	}
	k := millpond.Key{Package: name, Version: version, File: version + ".xml"}
	c, err := s.remote.Open(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("read when %s was published: %w", k, err)
	}
	b, err := readAll(c)
	if err != nil {
		return nil, fmt.Errorf("read when %s was published: %w", k, err)
	}
	root, err := readXML(bytes.NewReader(b))
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: "the document of " + k.Package + " " + version + " cannot be read", Err: err}
	}
	v := &millpond.Version{Name: version, Licence: root.kid("l").text, Prerelease: root.kid("st").text != "stable"}
	meta, err := json.Marshal(release{Stability: root.kid("st").text})
	if err != nil {
		return nil, err
	}
	v.Meta = meta
	if t, err := time.Parse("2006-01-02 15:04:05", root.kid("da").text); err == nil {
		v.Published = t
	} else if t, err := time.Parse(time.RFC3339, root.kid("da").text); err == nil {
		v.Published = t
	}
	display := root.kid("p").text
	if !strings.EqualFold(display, pkg) {
		display = pkg
	}
	v.Files = []millpond.File{s.archive(pkg, display, version)}
	return v, nil
}

// File locates the documents of a release by name. Its archive is in the list, which knows how the name is written.
func (s source) File(ctx context.Context, k millpond.Key) (*millpond.File, error) {
	if strings.HasSuffix(k.File, ".tgz") {
		return s.NoSource.File(ctx, k) // whatever channel it is of
	}
	_, pkg, err := s.ours(k.Package)
	if err != nil {
		return nil, err
	}
	if pkg == "" || versionOf(k.File) == "" {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: "a release has no document " + k.File}
	}
	f := &millpond.File{Name: k.File, Size: -1, Type: typeXML, URL: s.address("rest/r/" + pkg + "/" + k.File)}
	if strings.HasSuffix(k.File, ".txt") {
		f.Type = typeSerial
	}
	return f, nil
}

// address is the absolute URL of a path below the upstream's.
func (s source) address(path string) string {
	base := s.remote.URL()
	base.RawQuery, base.Fragment = "", ""
	return strings.TrimSuffix(base.String(), "/") + "/" + path
}

// Document reads a document of a package or of the channel, by its path.
func (s source) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	_, pkg, err := s.ours(k.Package)
	if err != nil {
		return nil, err
	}
	at := "rest/" + k.File
	switch {
	case pkg != "":
		at = "rest/p/" + pkg + "/" + k.File
	case k.File == "channel.xml":
		at = k.File
	}
	doc, err := s.remote.Document(ctx, format.Request{URL: at, Limit: listLimit})
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", k.File, k.Package, err)
	}
	head := make([]byte, min(doc.Size, 512))
	if _, err := doc.ReadAt(head, 0); err != nil && err != io.EOF {
		doc.Close()
		return nil, err
	}
	if err := sniffXML(k, head); err != nil {
		doc.Close()
		return nil, err
	}
	return doc, nil
}

func sniffXML(k millpond.Key, head []byte) error {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	lower := bytes.ToLower(text)
	if !bytes.HasPrefix(text, []byte("<")) || bytes.HasPrefix(lower, []byte("<!doctype html")) || bytes.HasPrefix(lower, []byte("<html")) {
		return &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: "the upstream gave something else for " + k.File}
	}
	return nil
}

// Sniff refuses what cannot be the file.
func (s source) Sniff(k millpond.Key, head []byte) error {
	switch {
	case strings.HasSuffix(k.File, ".tgz"):
		if !bytes.HasPrefix(head, []byte("\x1f\x8b")) {
			return &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: "the upstream gave no archive for " + k.File}
		}
	case strings.HasSuffix(k.File, ".xml"):
		return sniffXML(k, head)
	}
	return nil
}

// Verify judges a whole file: no digest is published anywhere, so that it must be what its name says.
func (s source) Verify(ctx context.Context, k millpond.Key, r io.ReaderAt, size int64) error {
	whole := io.NewSectionReader(r, 0, size)
	if strings.HasSuffix(k.File, ".tgz") {
		_, err := readArchive(ctx, whole, size, k, false)
		if err != nil && ctx.Err() == nil {
			return corrupt(k, err)
		}
		return err
	}
	if size > documentLimit {
		return corrupt(k, fmt.Errorf("it has %d bytes", size))
	}
	b, err := io.ReadAll(whole)
	if err != nil {
		return fmt.Errorf("read %s: %w", k, err)
	}
	if strings.HasSuffix(k.File, ".txt") {
		if err := checkSerial(string(b)); err != nil {
			return corrupt(k, err)
		}
		return nil
	}
	root, err := readXML(bytes.NewReader(b))
	if err != nil {
		return corrupt(k, err)
	}
	_, pkg, _ := strings.Cut(k.Package, "/")
	name, version := root.kid("p").text, root.kid("v").text
	if root.name == "package" {
		name, version = root.kid("name").text, root.kid("version", "release").text
		if version == "" {
			version = root.kid("release", "version").text
		}
	}
	if !strings.EqualFold(name, pkg) || version != k.Version {
		return corrupt(k, fmt.Errorf("it is of %.100q %.100q", name, version))
	}
	return nil
}

func corrupt(k millpond.Key, err error) error {
	return &millpond.Error{Kind: millpond.Corrupt, Key: k, Why: fmt.Sprintf("%s of %s is not what it should be: %v; nothing was kept", k.File, k.Package, err)}
}

// readAll reads a small content whole and closes it.
func readAll(c *millpond.Content) ([]byte, error) {
	if c.ReadSeekCloser == nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "the bytes are not held here"}
	}
	defer c.Close()
	if c.Size >= 0 && c.Size <= documentLimit {
		b := make([]byte, c.Size)
		if _, err := io.ReadFull(c, b); err != nil {
			return nil, err
		}
		_, err := c.Read(make([]byte, 1)) // what is still arriving is verified before its end
		if err != nil && err != io.EOF {
			return nil, err
		}
		return b, nil
	}
	b, err := io.ReadAll(io.LimitReader(c, documentLimit+1))
	if err == nil && len(b) > documentLimit {
		err = &millpond.Error{Kind: millpond.BadUpstream, Why: fmt.Sprintf("more than %d bytes", documentLimit)}
	}
	return b, err
}
