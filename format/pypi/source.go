package pypi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"mime"
	"strings"

	"millpond"
	"millpond/format"
)

// acceptPage is what a page and the root index are asked for with: JSON alone has sizes and upload times.
const acceptPage = typeJSON + ", " + typeV1HTML + ";q=0.2, text/html;q=0.1"

const (
	// longestPage bounds a page and the root index. The longest page that is known has 20 MB, the root index 50.
	longestPage = 256 << 20
	// longestString bounds every string in a document.
	longestString = 1 << 20
)

// Source reads an upstream that speaks the Simple Repository API, in either form.
func (Format) Source(r format.Remote) format.Source { return source{r: r} }

type source struct {
	format.NoSource
	r format.Remote
}

// Package reads the page of a project.
func (s source) Package(ctx context.Context, name string) (*millpond.Package, error) {
	doc, err := s.page(ctx, name)
	if err != nil {
		return nil, err
	}
	defer doc.Close()
	if doc.Unchanged {
		return nil, format.Unchanged
	}
	return s.readPage(name, doc)
}

func (s source) page(ctx context.Context, name string) (*format.Document, error) {
	return s.r.Document(ctx, format.Request{URL: escape(name) + "/", Accept: acceptPage, Limit: longestPage})
}

// readPage turns a page into the records of its project.
func (s source) readPage(name string, doc *format.Document) (*millpond.Package, error) {
	l := newListing(name, s.r.URL(), doc)
	isJSON, err := s.isJSON(doc)
	if err != nil {
		return nil, err
	}
	if isJSON {
		err = l.readJSON(doc.Reader())
	} else {
		err = l.readHTML(doc.Reader())
	}
	if err != nil {
		return nil, s.bad("the page of "+name, err)
	}
	return l.finish(s.r.Name(), doc.Digest), nil
}

// isJSON tells the two forms of a page and of the root index apart.
func (s source) isJSON(doc *format.Document) (bool, error) {
	media, _, _ := mime.ParseMediaType(doc.Type)
	switch {
	case media == "text/html", media == typeV1HTML, media == "application/xhtml+xml":
		return false, nil
	case media == typeJSON, media == "application/json", strings.HasSuffix(media, "+json"):
		return true, nil
	case media != "":
		return false, s.bad("the index", fmt.Errorf("it answered with %q, which is no index page", media))
	}
	head := make([]byte, 512)
	n, err := doc.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	switch head = bytes.TrimSpace(head[:n]); {
	case bytes.HasPrefix(head, []byte("{")):
		return true, nil
	case bytes.HasPrefix(head, []byte("<")):
		return false, nil
	}
	return false, s.bad("the index", fmt.Errorf("it is neither JSON nor HTML"))
}

// bad is the error for a document that makes no sense.
func (s source) bad(what string, err error) error {
	return &millpond.Error{Kind: millpond.BadUpstream, Why: fmt.Sprintf("%s of upstream %s cannot be read", what, s.r.Name()), Err: err}
}

// Version is the version as the page lists it, with the licence that its metadata names.
func (s source) Version(ctx context.Context, name, version string) (*millpond.Version, error) {
	doc, err := s.page(ctx, name)
	if err != nil {
		return nil, err
	}
	defer doc.Close()
	p, err := s.readPage(name, doc)
	if err != nil {
		return nil, err
	}
	i := findVersion(p.Versions, version)
	if i < 0 {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name, Version: version},
			Why: fmt.Sprintf("no version %s of %s in %s", version, name, s.r.Name())}
	}
	v := &p.Versions[i]
	v.Licence, err = s.licence(ctx, name, v)
	return v, err
}

// licence asks the metadata of one of the version's wheels, else the JSON API. It is "" where neither says any.
func (s source) licence(ctx context.Context, name string, v *millpond.Version) (string, error) {
	for i := range v.Files {
		if !strings.HasSuffix(v.Files[i].Name, Metadata) {
			continue
		}
		c, err := s.r.Open(ctx, millpond.Key{Package: name, Version: v.Name, File: v.Files[i].Name})
		if err != nil {
			break // the JSON API may know
		}
		m, err := readMetadata(c)
		c.Close()
		if err != nil {
			break
		}
		return m.licence(), nil
	}
	doc, err := s.Document(ctx, millpond.Key{Package: name, Version: v.Name, File: v.Name + jsonEnd})
	switch {
	case millpond.Is(err, millpond.NotFound), millpond.Is(err, millpond.Unsupported):
		return "", nil
	case err != nil:
		return "", err
	}
	defer doc.Close()
	var body struct {
		Info struct {
			License     string   `json:"license"`
			Expression  string   `json:"license_expression"`
			Classifiers []string `json:"classifiers"`
		} `json:"info"`
	}
	if err := json.NewDecoder(doc.Reader()).Decode(&body); err != nil {
		return "", s.bad("the JSON document of "+name, err)
	}
	return chooseLicence(body.Info.Expression, body.Info.License, body.Info.Classifiers), nil
}

// The further documents of a project, as Key.File names them.
const (
	jsonFile      = "json"        // the JSON API's document of the project
	jsonEnd       = "/json"       // "<version>/json": of a version
	provenanceEnd = "/provenance" // "<file>/provenance"
)

// Document reads the JSON API's document of a project or a version, or a file's provenance.
func (s source) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	if file, ok := strings.CutSuffix(k.File, provenanceEnd); ok {
		return s.provenance(ctx, k.Package, file)
	}
	version, ok := strings.CutSuffix("/"+k.File, jsonEnd)
	if !ok {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Key: k, Why: "there is no such document of a Python project"}
	}
	base := s.r.Option("json")
	if base == "" || base == "off" {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Key: k, Why: "upstream " + s.r.Name() + " has no JSON API"}
	}
	url := strings.TrimSuffix(base, "/") + "/" + escape(k.Package)
	if version != "" {
		url += "/" + escape(version[1:])
	}
	doc, err := s.r.Document(ctx, format.Request{URL: url + "/json", Accept: "application/json", Limit: longestPage})
	if err != nil {
		return nil, err
	}
	return s.object(doc, "the JSON document of "+k.Package)
}

// provenance asks for the document where the page says it is, and nowhere else.
func (s source) provenance(ctx context.Context, name, file string) (*format.Document, error) {
	page, err := s.page(ctx, name)
	if err != nil {
		return nil, err
	}
	defer page.Close()
	l := newListing(name, s.r.URL(), page)
	l.provenanceOf = file
	isJSON, err := s.isJSON(page)
	if err != nil {
		return nil, err
	}
	if isJSON {
		err = l.readJSON(page.Reader())
	} else {
		err = l.readHTML(page.Reader())
	}
	if err != nil {
		return nil, s.bad("the page of "+name, err)
	}
	if l.provenance == "" {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name, File: file},
			Why: fmt.Sprintf("upstream %s lists no provenance of %s", s.r.Name(), file)}
	}
	doc, err := s.r.Document(ctx, format.Request{URL: l.provenance, Accept: typeIntegrity + ", application/json;q=0.5", Limit: 16 << 20})
	if err != nil {
		return nil, err
	}
	return s.object(doc, "the provenance of "+file)
}

// object returns the document if it is a JSON object, and closes it if not.
func (s source) object(doc *format.Document, what string) (*format.Document, error) {
	head := make([]byte, 64)
	n, err := doc.ReadAt(head, 0)
	if err == nil || err == io.EOF {
		if bytes.HasPrefix(bytes.TrimSpace(head[:n]), []byte("{")) {
			return doc, nil
		}
		err = fmt.Errorf("it is no JSON object")
	}
	doc.Close()
	return nil, s.bad(what, err)
}

// Sniff refuses the pages that captive portals and proxies answer with instead of a file: nothing that is published begins
// with "<", and wheels and eggs are zip archives.
func (s source) Sniff(k millpond.Key, head []byte) error {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	_, end := splitEnd(k.File)
	switch {
	case len(head) == 0:
		return s.notFile(k, "nothing")
	case len(text) > 0 && text[0] == '<':
		return s.notFile(k, "a web page")
	case (end == ".whl" || end == ".egg") && !bytes.HasPrefix(head, []byte("PK")):
		return s.notFile(k, "something that is no zip archive")
	}
	return nil
}

func (s source) notFile(k millpond.Key, got string) error {
	return &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: fmt.Sprintf("upstream %s answered with %s instead of %s", s.r.Name(), got, k.File)}
}

// Newer reports whether got may replace kept: its serial is not lower. An upstream without serials is believed.
func (s source) Newer(kept, got *millpond.Package) bool {
	was, is := readParts(kept.Parts).Serial, readParts(got.Parts).Serial
	return is == 0 || is >= was
}

// Changes reads the root index: the names whose serial is above the cursor, lowest serial first, or every name where the
// upstream numbers nothing.
func (s source) Changes(ctx context.Context, since string) iter.Seq2[format.Change, error] {
	return func(yield func(format.Change, error) bool) {
		if err := s.changes(ctx, since, yield); err != nil {
			yield(format.Change{}, err)
		}
	}
}

func (s source) changes(ctx context.Context, since string, yield func(format.Change, error) bool) error {
	after, err := parseCursor(since)
	if err != nil {
		return err
	}
	doc, err := s.r.Document(ctx, format.Request{Accept: acceptPage, Limit: longestPage})
	if err != nil {
		return err
	}
	defer doc.Close()
	isJSON, err := s.isJSON(doc)
	if err != nil {
		return err
	}
	var names nameList
	if isJSON {
		err = names.readJSON(doc.Reader())
	} else {
		err = names.readHTML(doc.Reader())
	}
	if err != nil {
		return s.bad("the root index", err)
	}
	names.yieldAfter(after, yield)
	return nil
}
