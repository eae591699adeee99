package maven

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"millpond"
)

const (
	mostDepth     = 64
	metadataLimit = 64 << 20
	pomLimit      = 4 << 20
	sumLimit      = 4 << 10
)

// walk reads an XML document and calls f at the end of every element, with the path of names from the root and the text that
// stands in it. A document with a DTD is refused: with it come entities.
func walk(r io.Reader, f func(path, text string)) error {
	d := xml.NewDecoder(r)
	d.CharsetReader = charset
	var path []byte
	var starts []int // where in path each open element begins
	var text strings.Builder
	root := false
	for {
		token, err := d.RawToken()
		switch {
		case err == io.EOF && len(starts) == 0 && root:
			return nil
		case err == io.EOF:
			return errors.New("the document ends early")
		case err != nil:
			return err
		}
		switch t := token.(type) {
		case xml.Directive:
			return errors.New("a document type definition is not read here")
		case xml.StartElement:
			if len(starts) == mostDepth {
				return fmt.Errorf("elements are nested more than %d deep", mostDepth)
			}
			if len(starts) == 0 && root {
				return errors.New("the document has two roots")
			}
			starts, root = append(starts, len(path)), true
			if len(path) > 0 {
				path = append(path, '/')
			}
			path = append(path, t.Name.Local...)
			text.Reset()
		case xml.CharData:
			if text.Len()+len(t) <= 64<<10 { // nothing that is read here is that long
				text.Write(t)
			}
		case xml.EndElement:
			if len(starts) == 0 || strings.TrimPrefix(string(path[starts[len(starts)-1]:]), "/") != t.Name.Local {
				return fmt.Errorf("</%s> ends what was not begun", t.Name.Local)
			}
			f(string(path), strings.TrimSpace(text.String()))
			path = path[:starts[len(starts)-1]]
			starts = starts[:len(starts)-1]
			text.Reset()
		}
	}
}

// charset reads the encodings in which old POMs are written.
func charset(name string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(name) {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return r, nil
	case "iso-8859-1", "latin1", "iso-8859-15", "windows-1252", "cp1252":
		return &latin{r: r}, nil
	}
	return nil, fmt.Errorf("the encoding %.40q is not read here", name)
}

// A latin reads one byte as one character.
type latin struct {
	r    io.Reader
	rest []byte
	in   [512]byte
	out  [1024]byte
}

func (l *latin) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		n, err := l.r.Read(l.in[:])
		if n == 0 {
			return 0, err
		}
		out := l.out[:0]
		for _, c := range l.in[:n] {
			if c < 0x80 {
				out = append(out, c)
			} else {
				out = append(out, 0xc0|c>>6, 0x80|c&0x3f)
			}
		}
		l.rest = out
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// A metadata is what one maven-metadata.xml says, of a group, an artifact and a SNAPSHOT.
type metadata struct {
	Updated  string // lastUpdated: "20261121081759"
	Plugins  []plugin
	Latest   string
	Release  string
	Versions []string
	Stamp    string // of the newest build
	Number   string
	Local    bool // a local repository's: the one build has no name of its own
	Builds   []buildFile
	Group    string
	Artifact string
	Version  string
}

// A plugin is one of a group: what stands before the colon of "mvn prefix:goal".
type plugin struct {
	Name     string `json:"name,omitempty"`
	Prefix   string `json:"prefix"`
	Artifact string `json:"artifact"`
}

// A buildFile is the newest build that has a file of one classifier and extension.
type buildFile struct {
	Classifier, Extension, Value, Updated string
}

// readMetadata reads one, or says why it is none.
func readMetadata(r io.Reader) (*metadata, error) {
	m := &metadata{}
	var p plugin
	var b buildFile
	root := ""
	err := walk(r, func(path, text string) {
		switch path {
		case "metadata/groupId":
			m.Group = text
		case "metadata/artifactId":
			m.Artifact = text
		case "metadata/version":
			m.Version = text
		case "metadata/versioning/latest":
			m.Latest = text
		case "metadata/versioning/release":
			m.Release = text
		case "metadata/versioning/lastUpdated":
			if isDate(text) {
				m.Updated = text
			}
		case "metadata/versioning/versions/version":
			if isSegment(text) {
				m.Versions = append(m.Versions, text)
			}
		case "metadata/versioning/snapshot/timestamp":
			m.Stamp = text
		case "metadata/versioning/snapshot/buildNumber":
			m.Number = text
		case "metadata/versioning/snapshot/localCopy":
			m.Local = text == "true"
		case "metadata/versioning/snapshotVersions/snapshotVersion/classifier":
			b.Classifier = text
		case "metadata/versioning/snapshotVersions/snapshotVersion/extension":
			b.Extension = text
		case "metadata/versioning/snapshotVersions/snapshotVersion/value":
			b.Value = text
		case "metadata/versioning/snapshotVersions/snapshotVersion/updated":
			b.Updated = text
		case "metadata/versioning/snapshotVersions/snapshotVersion":
			if isSegment(b.Value) && b.Extension != "" {
				m.Builds = append(m.Builds, b)
			}
			b = buildFile{}
		case "metadata/plugins/plugin/name":
			p.Name = text
		case "metadata/plugins/plugin/prefix":
			p.Prefix = text
		case "metadata/plugins/plugin/artifactId":
			p.Artifact = text
		case "metadata/plugins/plugin":
			if p.Prefix != "" && p.Artifact != "" {
				m.Plugins = append(m.Plugins, p)
			}
			p = plugin{}
		}
		root = path
	})
	if err == nil && root != "metadata" {
		err = fmt.Errorf("its root is <%.40s>, not <metadata>", root)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

func isDate(s string) bool {
	return len(s) == len(dateLayout) && strings.Trim(s, "0123456789") == ""
}

// write writes the document as Maven does.
func (m *metadata) write(w io.Writer) error {
	x := &xmlWriter{w: w}
	x.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata modelVersion=\"1.1.0\">\n")
	x.element(1, "groupId", m.Group)
	x.element(1, "artifactId", m.Artifact)
	x.element(1, "version", m.Version)
	if len(m.Versions) > 0 || m.Stamp != "" || len(m.Builds) > 0 {
		x.raw("  <versioning>\n")
		x.element(2, "latest", m.Latest)
		x.element(2, "release", m.Release)
		if m.Stamp != "" {
			x.raw("    <snapshot>\n")
			x.element(3, "timestamp", m.Stamp)
			x.element(3, "buildNumber", m.Number)
			x.raw("    </snapshot>\n")
		}
		if len(m.Versions) > 0 {
			x.raw("    <versions>\n")
			for _, v := range m.Versions {
				x.element(3, "version", v)
			}
			x.raw("    </versions>\n")
		}
		x.element(2, "lastUpdated", m.Updated)
		if len(m.Builds) > 0 {
			x.raw("    <snapshotVersions>\n")
			for _, b := range m.Builds {
				x.raw("      <snapshotVersion>\n")
				x.element(4, "classifier", b.Classifier)
				x.element(4, "extension", b.Extension)
				x.element(4, "value", b.Value)
				x.element(4, "updated", b.Updated)
				x.raw("      </snapshotVersion>\n")
			}
			x.raw("    </snapshotVersions>\n")
		}
		x.raw("  </versioning>\n")
	}
	if len(m.Plugins) > 0 {
		x.raw("  <plugins>\n")
		for _, p := range m.Plugins {
			x.raw("    <plugin>\n")
			x.element(3, "name", p.Name)
			x.element(3, "prefix", p.Prefix)
			x.element(3, "artifactId", p.Artifact)
			x.raw("    </plugin>\n")
		}
		x.raw("  </plugins>\n")
	}
	x.raw("</metadata>\n")
	return x.flush()
}

// An xmlWriter gathers text and writes it in large pieces.
type xmlWriter struct {
	w   io.Writer
	b   []byte
	err error
}

func (x *xmlWriter) raw(s string) {
	if x.b = append(x.b, s...); len(x.b) > 32<<10 {
		x.flush()
	}
}

const spaces = "                "

func (x *xmlWriter) element(depth int, name, text string) {
	if text == "" {
		return
	}
	x.b = append(append(append(append(x.b, spaces[:2*depth]...), '<'), name...), '>')
	if !isPlain(text) {
		var escaped strings.Builder
		xml.EscapeText(&escaped, []byte(text)) // a Builder does not fail
		text = escaped.String()
	}
	x.b = append(append(append(append(x.b, text...), "</"...), name...), ">\n"...)
	x.raw("")
}

func isPlain(text string) bool {
	for i := range len(text) {
		switch text[i] {
		case '<', '>', '&', '\'', '"':
			return false
		}
	}
	return true
}

func (x *xmlWriter) flush() error {
	if x.err == nil {
		_, x.err = x.w.Write(x.b)
	}
	x.b = x.b[:0]
	return x.err
}

// badDocument says that an upstream's document cannot be read.
func badDocument(what string, err error) error {
	return &millpond.Error{Kind: millpond.BadUpstream, Why: fmt.Sprintf("the upstream's %s cannot be read: %v", what, err), Err: err}
}
