package rubygems

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// A source reads one upstream's compact index.
type source struct {
	format.NoSource
	remote format.Remote
}

// Source implements format.Format.
func (Format) Source(r format.Remote) format.Source { return source{remote: r} }

// Package reads info/<name>.
func (s source) Package(ctx context.Context, name string) (*millpond.Package, error) {
	doc, err := s.remote.Document(ctx, format.Request{URL: "info/" + name, Limit: 64 << 20})
	if err != nil {
		return nil, err
	}
	defer doc.Close()
	if doc.Unchanged {
		return nil, format.Unchanged
	}
	p, err := s.read(name, doc)
	if err != nil {
		return nil, s.bad("info/"+name, err)
	}
	return p, nil
}

func (s source) bad(what string, err error) error {
	return &millpond.Error{Kind: millpond.BadUpstream, Why: fmt.Sprintf("what %s gave for %s %v", s.remote.Name(), what, err)}
}

func (s source) read(name string, doc *format.Document) (*millpond.Package, error) {
	if err := checkSums(doc.Header, doc.Size, doc.Reader()); err != nil {
		return nil, err
	}
	base := s.remote.URL()
	p := &millpond.Package{Name: name, Parts: []millpond.Part{{Document: doc.Digest}}}
	seen := map[string]bool{}
	err := eachLine(doc.Reader(), func(text string) error {
		line, err := readLine(text)
		if err != nil {
			return err
		}
		if seen[line.version] {
			return fmt.Errorf("has %s twice", line.version)
		}
		seen[line.version] = true
		meta, err := json.Marshal(record{At: len(p.Versions) + 1, Line: text})
		if err != nil {
			return err
		}
		_, platform := split(line.version)
		gem := millpond.File{
			Name: gemFile(name, line.version), Size: -1, Platform: platform, Published: line.created,
			URL: base.ResolveReference(&url.URL{Path: "gems/" + gemFile(name, line.version)}).String(),
		}
		if platform == "ruby" {
			gem.Platform = ""
		}
		if !line.checksum.IsZero() {
			gem.Digests = []millpond.Digest{line.checksum}
		}
		quick := millpond.File{
			Name: quickFile(name, line.version), Of: gem.Name, Size: -1, Published: line.created,
			URL: base.ResolveReference(&url.URL{Path: "quick/Marshal.4.8/" + quickFile(name, line.version)}).String(),
		}
		p.Versions = append(p.Versions, millpond.Version{
			Name: line.version, Published: line.created, Prerelease: isPrerelease(line.version),
			Files: []millpond.File{gem, quick}, Meta: meta,
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(p.Versions, func(a, b millpond.Version) int { return Format{}.Compare(b.Name, a.Name) })
	return p, nil
}

// A name is what an upstream's versions say of one gem, all its lines added up.
type name struct {
	said     string   // as long as one line says it
	versions []string // of several lines
	sum      string
}

// all is what they say: versions joined with commas, a space, and the md5 of the info; "" if no version is left.
func (n *name) all() string {
	switch {
	case n.said != "":
		return n.said
	case len(n.versions) == 0:
		return ""
	}
	return note(n.versions, n.sum)
}

// add adds a line.
func (n *name) add(rest, versions, sum string, first bool) {
	if first && rest[0] != '-' && !strings.Contains(rest, ",-") {
		n.said = rest
		return
	}
	if n.said != "" {
		before, _, _ := strings.Cut(n.said, " ")
		n.versions, n.said = strings.Split(before, ","), ""
	}
	n.sum = sum
	n.versions = add(n.versions, strings.Split(versions, ","))
}

// Changes reads the upstream's versions, and yields each name with what they say of it as its Note.
func (s source) Changes(ctx context.Context, _ string) iter.Seq2[format.Change, error] {
	return func(yield func(format.Change, error) bool) {
		doc, err := s.remote.Document(ctx, format.Request{URL: "versions", Limit: 1 << 30})
		if err != nil {
			yield(format.Change{}, err)
			return
		}
		defer doc.Close()
		if doc.Before != nil && lags(doc, doc.Before) {
			yield(format.Change{}, format.Unchanged)
			return
		}
		if err = checkSums(doc.Header, doc.Size, doc.Reader()); err == nil {
			var names map[string]*name
			var order []string
			if names, order, err = readVersions(doc.Reader()); err == nil {
				for _, one := range order {
					if said := names[one].all(); said != "" && !yield(format.Change{Name: one, Note: said}, nil) {
						return
					}
				}
				return
			}
		}
		yield(format.Change{}, s.bad("versions", err))
	}
}

// lags reports whether a list of names is that of a copy which lags behind the one that is kept: made anew earlier, and shorter.
func lags(got, kept *format.Document) bool {
	made := func(d *format.Document) (t time.Time) {
		line, _ := bufio.NewReader(io.LimitReader(d.Reader(), 100)).ReadString('\n')
		if text, ok := strings.CutPrefix(line, "created_at:"); ok {
			t, _ = time.Parse(time.RFC3339, strings.TrimSpace(text)) // of a date that cannot be read nothing follows
		}
		return t
	}
	before, after := made(kept), made(got)
	return !after.IsZero() && after.Before(before) && got.Size < kept.Size
}

func note(versions []string, sum string) string { return strings.Join(versions, ",") + " " + sum }

func readVersions(r io.Reader) (map[string]*name, []string, error) {
	names, order := map[string]*name{}, []string(nil)
	err := eachLine(r, func(line string) error {
		gem, rest, _ := strings.Cut(line, " ")
		versions, sum, ok := strings.Cut(rest, " ")
		if !ok || len(sum) != 32 || versions == "" {
			return fmt.Errorf("has the line %.100q, which has not three fields", line)
		}
		if !isName(gem) {
			return nil // a name of another age: nobody can ask for it here
		}
		n := names[gem]
		first := n == nil
		if first {
			n = &name{}
			names[gem] = n
			order = append(order, gem)
		}
		n.add(rest, versions, sum, first)
		return nil
	})
	return names, order, err
}

// add is the sum of a list of versions and a line of them, where -1.0 removes.
func add(have, line []string) []string {
	for _, v := range line {
		removed, gone := strings.CutPrefix(v, "-")
		switch {
		case gone:
			have = slices.DeleteFunc(have, func(one string) bool { return one == removed })
		case len(have) < 64 && slices.Contains(have, v): // said again with another sum
		default:
			have = append(have, v)
		}
	}
	return have
}

// Sniff refuses what is neither a gem nor a quick spec by its first bytes.
func (s source) Sniff(k millpond.Key, head []byte) error {
	if strings.HasSuffix(k.File, ".gem") {
		name, _, _ := bytes.Cut(head[:min(100, len(head))], []byte{0})
		switch string(name) {
		case "metadata.gz", "data.tar.gz", "checksums.yaml.gz", "metadata.gz.sig", "data.tar.gz.sig", "checksums.yaml.gz.sig":
			return nil
		}
	} else if len(head) > 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return nil
	}
	return &millpond.Error{
		Kind: millpond.BadUpstream, Key: k,
		Why: fmt.Sprintf("what %s gave for %s is no such file: it begins with %.16q", s.remote.Name(), k, head),
	}
}

// quickHead is how the Marshal of a Gem::Specification begins.
var quickHead = []byte("\x04\x08u:\x17Gem::Specification") // never changed

// Verify looks into what no digest vouches for: a quick spec, and a gem whose upstream gave no checksum.
func (s source) Verify(ctx context.Context, k millpond.Key, r io.ReaderAt, size int64) error {
	bad := func(why string) error {
		return &millpond.Error{Kind: millpond.Corrupt, Key: k, Why: fmt.Sprintf("what %s gave for %s %s", s.remote.Name(), k, why)}
	}
	body := io.NewSectionReader(r, 0, size)
	if strings.HasSuffix(k.File, ".gem") {
		t := tar.NewReader(body)
		for entries := 0; ; entries++ {
			_, err := t.Next()
			if err == io.EOF && entries > 0 {
				return nil
			}
			if err != nil {
				return bad("is no gem: its archive ends too early or is damaged")
			}
		}
	}
	z, err := zlib.NewReader(body)
	if err != nil {
		return bad("is no quick spec")
	}
	text, err := io.ReadAll(io.LimitReader(z, 1<<20+1))
	if err != nil || len(text) > 1<<20 || !bytes.HasPrefix(text, quickHead) {
		return bad("is no quick spec: it does not inflate to the Marshal of a specification")
	}
	return nil
}
