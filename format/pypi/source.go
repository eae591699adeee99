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

// Version is what the JSON API says of a version beyond the page: its licence. The page has said all the rest.
func (s source) Version(ctx context.Context, name, version string) (*millpond.Version, error) {
	doc, err := s.Document(ctx, millpond.Key{Package: name, Version: version, File: version + jsonEnd})
	if err != nil {
		return nil, err
	}
	defer doc.Close()
	var body struct {
		Info struct {
			License     string   `json:"license"`
			Expression  string   `json:"license_expression"`
			Classifiers []string `json:"classifiers"`
		} `json:"info"`
		URLs []struct {
			Uploaded string `json:"upload_time_iso_8601"`
		} `json:"urls"`
	}
	if err := json.NewDecoder(doc.Reader()).Decode(&body); err != nil {
		return nil, s.bad("the JSON document of "+name, err)
	}
	v := &millpond.Version{Name: version, Licence: chooseLicence(body.Info.Expression, body.Info.License, body.Info.Classifiers)}
	for _, f := range body.URLs {
		if t := parseTime(f.Uploaded); !t.IsZero() && (v.Published.IsZero() || t.Before(v.Published)) {
			v.Published = t
		}
	}
	return v, nil
}

// The further documents of a project, as Key.File names them.
const (
	jsonFile        = "json"        // the JSON API's document of the project
	jsonEnd         = "/json"       // "<version>/json": of a version
	provenanceStart = "provenance " // "provenance <URL>": of a file, whose record has the URL
)

// Document reads the JSON API's document of a project or a version, or a file's provenance.
func (s source) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	if url, ok := strings.CutPrefix(k.File, provenanceStart); ok {
		doc, err := s.r.Document(ctx, format.Request{URL: url, Accept: typeIntegrity + ", application/json;q=0.5", Limit: 16 << 20})
		if err != nil {
			return nil, err
		}
		return s.object(doc, "the provenance at "+url)
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
