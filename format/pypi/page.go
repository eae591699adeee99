package pypi

import (
	"bufio"
	"bytes"
	"html"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"millpond"
	"millpond/format"
)

// A page is what both forms of a project's page say.
type page struct {
	name     string
	meta     packageMeta
	api      string // version of the API that the page can claim
	versions []string
	files    []pageFile
	base     string // of provenance URLs; "" if none may be shown
}

// A pageFile is a file and what its sides and its record add.
type pageFile struct {
	*millpond.File
	version  string
	metadata *millpond.File // nil if it is not promised
	signed   bool
	proved   bool // there are attestations, published with it here
	record   *fileRecord
}

// A fileRecord is a file's Meta, taken apart.
type fileRecord struct {
	python   string // requires-python
	attested string // where the upstream has the provenance; "" if nowhere
	hashes   []byte // members of "hashes" beyond the digests of the file, each led by a comma
	members  []byte // members to be sent as they came, each led by a comma
}

// newPage gathers the files that a reader may see, oldest version first, by name within a version.
func newPage(p *millpond.Package, base string) *page {
	g := &page{name: p.Name, meta: readParts(p.Parts), api: "1.4", base: base}
	if p.Blocked != "" {
		return g
	}
	n := 0
	for i := range p.Versions {
		for j := range p.Versions[i].Files {
			if p.Versions[i].Files[j].Of == "" {
				n++
			}
		}
	}
	g.files = make([]pageFile, 0, n)
	records := map[string]*fileRecord{}
	for i := len(p.Versions) - 1; i >= 0; i-- {
		v := &p.Versions[i]
		before := len(g.files)
		g.addFiles(v, records)
		if len(g.files) > before && v.Name != Unknown {
			g.versions = append(g.versions, v.Name)
		}
	}
	for i := range g.files {
		if g.files[i].Size < 0 {
			g.api = "1.0" // from 1.1 on every file has its size
		}
	}
	return g
}

func (g *page) addFiles(v *millpond.Version, records map[string]*fileRecord) {
	files := make([]*millpond.File, 0, len(v.Files))
	for i := range v.Files {
		if f := &v.Files[i]; !f.Vanished {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b *millpond.File) int { return strings.Compare(a.Name, b.Name) })
	for i, f := range files {
		if _, side := cutSide(f.Name); side != "" {
			continue
		}
		one := pageFile{File: marked(v, f), version: v.Name, record: records[string(f.Meta)]}
		if one.record == nil {
			one.record = readRecord(f.Meta)
			records[string(f.Meta)] = one.record
		}
		for _, s := range files[i+1:] { // the sides of a file sort soon after it
			end, ok := strings.CutPrefix(s.Name, f.Name)
			if !ok {
				break
			}
			switch {
			case s.Corrupt: // a promise that its upstream breaks
			case end == Metadata:
				one.metadata = s
			case end == Signature:
				one.signed = true
			case end == Attested:
				one.proved = true
			}
		}
		g.files = append(g.files, one)
	}
}

// marked is the file as pages show it: what is hosted here can be yanked by the version too, files that come later with it.
func marked(v *millpond.Version, f *millpond.File) *millpond.File {
	if !format.IsHosted(v.Layer) || !v.Yanked || f.Yanked {
		return f
	}
	yanked := *f
	yanked.Yanked, yanked.YankedWhy = true, v.YankedWhy
	return &yanked
}

// readRecord takes a file's Meta apart.
func readRecord(meta []byte) *fileRecord {
	f := &fileRecord{}
	if len(meta) == 0 {
		return f
	}
	d := newJSONReader(bytes.NewReader(meta))
	_ = d.members(func(name string) error { // what we wrote ourselves can be read
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		switch name {
		case "provenance":
			f.attested = unquote(v)
			return nil
		case "hashes":
			if len(v) > 2 {
				f.hashes = append(append(f.hashes, ','), v[1:len(v)-1]...)
			}
			return nil
		case "requires-python":
			f.python = unquote(v)
		}
		f.members = append(f.members, ',')
		if f.members, err = jsontext.AppendQuote(f.members, name); err != nil {
			return err
		}
		f.members = append(append(f.members, ':'), v...)
		return nil
	})
	return f
}

// digests are those that a page shows: the declared ones, else the one of the bytes that were first seen.
func digests(f *millpond.File) []millpond.Digest {
	if len(f.Digests) == 0 {
		if f.Blob.IsZero() {
			return nil
		}
		return []millpond.Digest{f.Blob}
	}
	if f.URL == "" && f.Digests[0].Algorithm() == "sha256" {
		return f.Digests[:1:1] // hosted: one that every client knows is enough; the JSON API has the others
	}
	return f.Digests
}

// shortDigest is the digest's part of a file's URL.
func shortDigest(ds []millpond.Digest) string {
	if len(ds) == 0 {
		return noDigest
	}
	return ds[0].Hex()[:16]
}

// writePage writes the page in one form.
func writePage(w io.Writer, f form, p *millpond.Package, base string, serial int64) error {
	g := newPage(p, base)
	g.meta.Serial = serial
	b := bufio.NewWriterSize(w, 64<<10)
	if f == formJSON {
		g.writeJSON(b)
	} else {
		g.writeHTML(b, f)
	}
	return b.Flush() // which returns the first error of all writes
}

// appendURL is the file's address, relative to its page.
func (g *page) appendURL(dst []byte, f *pageFile) []byte {
	dst = append(dst, "../../packages/"...)
	dst = append(append(dst, g.name...), '/')
	dst = append(append(dst, shortDigest(digests(f.File))...), '/')
	return appendEscaped(dst, f.Name)
}

func (g *page) provenance(f *pageFile) string {
	if g.base == "" || f.record.attested == "" && !f.proved {
		return ""
	}
	return g.base + "integrity/" + g.name + "/" + escape(f.version) + "/" + escape(f.Name) + "/provenance"
}

func (g *page) writeJSON(w *bufio.Writer) {
	b := []byte(`{"meta":{`)
	if g.meta.Serial != 0 {
		b = append(strconv.AppendInt(append(b, `"_last-serial":`...), g.meta.Serial, 10), ',')
	}
	b = append(append(b, `"api-version":"`+g.api+`"},"name":`...), quote(g.name)...)
	if g.meta.Status != "" {
		b = append(append(b, `,"project-status":{"status":`...), quote(g.meta.Status)...)
		if g.meta.Reason != "" {
			b = append(append(b, `,"reason":`...), quote(g.meta.Reason)...)
		}
		b = append(b, '}')
	}
	b = append(b, `,"versions":[`...)
	for i, v := range g.versions {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, quote(v)...)
	}
	b = append(b, `],"files":[`...)
	for i := range g.files {
		if i > 0 {
			b = append(b, ',')
		}
		b = g.appendFile(b, &g.files[i])
		w.Write(b)
		b = b[:0]
	}
	w.Write(append(b, "]}\n"...))
}

func (g *page) appendFile(b []byte, f *pageFile) []byte {
	b = append(append(b, `{"filename":`...), quote(f.Name)...)
	b = append(g.appendURL(append(b, `,"url":"`...), f), `","hashes":`...)
	b = appendHashes(b, digests(f.File), f.record.hashes)
	b = append(b, f.record.members...)
	if f.metadata != nil {
		if b = append(b, `,"core-metadata":`...); len(digests(f.metadata)) == 0 {
			b = append(b, "true"...)
		} else {
			b = appendHashes(b, digests(f.metadata), nil)
		}
	}
	if f.signed {
		b = append(b, `,"gpg-sig":true`...)
	}
	if f.Yanked {
		if b = append(b, `,"yanked":`...); f.YankedWhy == "" {
			b = append(b, "true"...)
		} else {
			b = append(b, quote(f.YankedWhy)...)
		}
	}
	if f.Size >= 0 {
		b = strconv.AppendInt(append(b, `,"size":`...), f.Size, 10)
	}
	if !f.Published.IsZero() {
		b = f.Published.UTC().AppendFormat(append(b, `,"upload-time":"`...), uploadTime)
		b = append(b, '"')
	}
	if u := g.provenance(f); u != "" {
		b = append(append(b, `,"provenance":`...), quote(u)...)
	}
	return append(b, '}')
}

// uploadTime is how PEP 700 writes a time.
const uploadTime = "2006-01-02T15:04:05.000000Z"

// appendHashes writes the object of digests; more are further members, each led by a comma.
func appendHashes(b []byte, ds []millpond.Digest, more []byte) []byte {
	b = append(b, '{')
	for i, d := range ds {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(append(b, '"'), d.Algorithm()...), `":"`...), d.Hex()...)
		b = append(b, '"')
	}
	if len(ds) == 0 && len(more) > 0 {
		more = more[1:]
	}
	return append(append(b, more...), '}')
}

// quote is a string as JSON.
func quote(s string) []byte {
	b, err := jsontext.AppendQuote(make([]byte, 0, len(s)+2), s)
	if err != nil { // broken UTF-8
		b, _ = jsontext.AppendQuote(nil, strings.ToValidUTF8(s, "\uFFFD"))
	}
	return b
}

// unquote is the text of a JSON string; "" if it is something else.
func unquote(v []byte) string {
	text, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return ""
	}
	return string(text)
}

func (g *page) writeHTML(w *bufio.Writer, f form) {
	w.WriteString("<!DOCTYPE html>\n")
	if f == formV1HTML { // other bytes than text/html, and so an entity tag of its own
		w.WriteString("<!-- " + typeV1HTML + " -->\n")
	}
	w.WriteString("<html>\n<head>\n<meta name=\"pypi:repository-version\" content=\"" + g.api + "\">\n")
	if g.meta.Status != "" {
		w.WriteString(`<meta name="pypi:project-status" content="` + html.EscapeString(g.meta.Status) + "\">\n")
		if g.meta.Reason != "" {
			w.WriteString(`<meta name="pypi:project-status-reason" content="` + html.EscapeString(g.meta.Reason) + "\">\n")
		}
	}
	w.WriteString("<title>Links for " + g.name + "</title>\n</head>\n<body>\n<h1>Links for " + g.name + "</h1>\n")
	var b []byte
	for i := range g.files {
		b = g.appendAnchor(b[:0], &g.files[i])
		w.Write(b)
	}
	w.WriteString("</body>\n</html>\n")
	if g.meta.Serial != 0 {
		w.WriteString("<!--SERIAL " + strconv.FormatInt(g.meta.Serial, 10) + "-->\n")
	}
}

func (g *page) appendAnchor(b []byte, f *pageFile) []byte {
	attribute := func(name, value string) {
		b = append(append(append(b, ' '), name...), `="`...)
		b = append(append(b, html.EscapeString(value)...), '"')
	}
	b = g.appendURL(append(b, `<a href="`...), f)
	if d, ok := fragment(digests(f.File)); ok {
		b = append(append(append(append(b, '#'), d.Algorithm()...), '='), d.Hex()...)
	}
	b = append(b, '"')
	if f.record.python != "" {
		attribute("data-requires-python", f.record.python)
	}
	if f.metadata != nil {
		value := "true"
		if d, ok := fragment(digests(f.metadata)); ok {
			value = d.Algorithm() + "=" + d.Hex()
		}
		attribute("data-core-metadata", value)
		attribute("data-dist-info-metadata", value)
	}
	if f.signed {
		attribute("data-gpg-sig", "true")
	}
	if f.Yanked {
		attribute("data-yanked", f.YankedWhy)
	}
	if u := g.provenance(f); u != "" {
		attribute("data-provenance", u)
	}
	b = append(append(b, '>'), html.EscapeString(f.Name)...)
	return append(b, "</a><br>\n"...)
}

// fragment is the one digest that HTML has room for: sha256, which every client knows, else the strongest.
func fragment(ds []millpond.Digest) (millpond.Digest, bool) {
	for _, d := range ds {
		if d.Algorithm() == "sha256" {
			return d, true
		}
	}
	if len(ds) == 0 {
		return millpond.Digest{}, false
	}
	return ds[0], true
}

// common reports whether a wheel's platform is one that most machines take.
func common(platform string) bool {
	return platform == "" || strings.Contains(platform, "manylinux") && strings.Contains(platform, "x86_64")
}
