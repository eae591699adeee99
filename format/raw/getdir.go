package raw

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// getDir answers with a directory: a page for people and for pip, JSON, or the text that sha256sum -c reads.
func (h handler) getDir(w http.ResponseWriter, r *http.Request, p Path) error {
	q := r.URL.Query()
	d := directory{prefix: p.Name, most: mostListed, deep: q.Get("recursive") == "1"}
	if after := q.Get("after"); after != "" {
		d.after = d.behind(p.Name + after)
	}
	form := q.Get("format")
	if form == "sha256sums" {
		return h.getSums(w, r, d)
	}
	page, err := h.page(r.Context(), d)
	if err != nil {
		return err
	}
	page.Entries = slices.DeleteFunc(page.Entries, func(e entry) bool { return e.Name == "" }) // the marker of this directory
	if err := h.more(r, d, page); err != nil {
		return err
	}
	if len(page.Entries) == 0 && p.Name != "" && d.after == "" {
		if marked, err := h.marked(r, p.Name); err != nil || !marked {
			return firstError(err, &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("nothing is known below %s in %s", p.Name, h.repo.Name())})
		}
	}
	if page.Next != "" {
		page.Next = strings.TrimPrefix(page.Next, p.Name)
	}
	switch form {
	case "json":
		body, err := json.MarshalIndent(page, "", "  ")
		if err != nil {
			return err
		}
		return h.answer(w, r, "application/json", append(body, '\n'))
	case "", "html":
		return h.answer(w, r, "text/html; charset=utf-8", dirPage(page, d))
	}
	return &millpond.Error{Kind: millpond.Invalid, Why: "a directory has no form " + shorten(form), Hint: "format is html, json or sha256sums"}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// marked reports whether a directory was made that nothing is in.
func (h handler) marked(r *http.Request, dir string) (bool, error) {
	found := false
	err := h.list(r.Context(), format.Walk{Prefix: dir, After: before(dir), Few: true}, func(one format.Listed) bool { found = one.Name == dir; return false })
	return found, err
}

// getSums answers with the digests of all files of a directory: of one that fits a page at once, with an entity tag, and of a
// larger one page by page, so that it takes no more memory.
func (h handler) getSums(w http.ResponseWriter, r *http.Request, d directory) error {
	page, err := h.page(r.Context(), d)
	if err != nil {
		return err
	}
	if page.Next == "" {
		return h.answer(w, r, typeText, sumLines(page))
	}
	h.textHead(w, typeText)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	for {
		if _, err = w.Write(sumLines(page)); err != nil || page.Next == "" {
			break
		}
		d.after = d.behind(page.Next)
		if page, err = h.page(r.Context(), d); err != nil {
			break
		}
	}
	if err != nil {
		format.Report(w, err)
		panic(http.ErrAbortHandler) // no client takes a part for all of them
	}
	return nil
}

// sumLines are the files of a page as sha256sum -c reads them.
func sumLines(page *listing) []byte {
	var b bytes.Buffer
	for i := range page.Entries {
		if e := &page.Entries[i]; e.SHA256 != "" && !strings.HasSuffix(e.Name, "/") {
			fmt.Fprintf(&b, "%s  %s\n", e.SHA256, e.Name) // a name has neither a line break nor a backslash
		}
	}
	return b.Bytes()
}

// answer gives a document that was made for this request.
func (h handler) answer(w http.ResponseWriter, r *http.Request, contentType string, body []byte) error {
	h.textHead(w, contentType)
	return format.Serve(w, r, &millpond.Content{ReadSeekCloser: inMemory{bytes.NewReader(body)}, Size: int64(len(body)), Digest: millpond.SHA256(body)})
}

// textHead is what the header says of every such document.
func (h handler) textHead(w http.ResponseWriter, contentType string) {
	head := w.Header()
	if head["Cache-Control"] == nil {
		head["Cache-Control"] = noCache
	}
	head["Content-Type"] = []string{contentType}
	head["X-Content-Type-Options"] = nosniff
}

// inMemory is a body that is there.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

var _ io.ReadSeekCloser = inMemory{}

// dirPage is a directory for people, and for pip install --find-links: relative links with the sha256 behind them.
func dirPage(page *listing, d directory) []byte {
	var b bytes.Buffer
	title := html.EscapeString("/" + page.Path)
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><title>%s</title></head>\n<body>\n<h1>%s</h1>\n<table>\n", title, title)
	if page.Path != "" {
		b.WriteString("<tr><td><a href=\"../\">../</a></td></tr>\n")
	}
	for i := range page.Entries {
		e := &page.Entries[i]
		name := html.EscapeString(e.Name)
		href := html.EscapeString("./" + escape(e.Name))
		if e.isPrefix {
			fmt.Fprintf(&b, "<tr><td><a href=\"%s\">%s</a></td></tr>\n", href, name)
			continue
		}
		if e.SHA256 != "" {
			href += "#sha256=" + e.SHA256
		}
		fmt.Fprintf(&b, "<tr><td><a href=\"%s\">%s</a></td><td align=\"right\">%d</td><td>%s</td></tr>\n", href, name, e.Size, e.Modified.Format(time.RFC3339))
	}
	b.WriteString("</table>\n")
	if page.Next != "" {
		q := url.Values{"after": {page.Next}}
		if d.deep {
			q.Set("recursive", "1")
		}
		fmt.Fprintf(&b, "<p><a href=\"%s\">more</a></p>\n", html.EscapeString("./?"+q.Encode()))
	}
	if page.Partial {
		b.WriteString("<p>An upstream may have more: only what was asked for is known here.</p>\n")
	}
	b.WriteString("</body>\n</html>\n")
	return b.Bytes()
}

// A past is a content of a path as its history tells of it.
type past struct {
	Version   string    `json:"version"`
	SHA256    string    `json:"sha256,omitempty"`
	Size      int64     `json:"size"`
	Type      string    `json:"type,omitempty"`
	Published time.Time `json:"published,omitzero"`
	Yanked    bool      `json:"yanked,omitempty"`
}

// getHistory answers with all contents that a path has had, newest first.
func (h handler) getHistory(w http.ResponseWriter, r *http.Request, p Path) error {
	pkg, err := h.repo.Package(r.Context(), p.Name)
	if err != nil {
		return err
	}
	out := struct {
		Path     string `json:"path"`
		Versions []past `json:"versions"`
	}{p.Name, []past{}}
	for i := range pkg.Versions {
		v := &pkg.Versions[i]
		if len(v.Files) == 0 {
			continue
		}
		f := &v.Files[0]
		published := f.Published
		if published.IsZero() {
			published = v.Published
		}
		out.Versions = append(out.Versions, past{v.Name, hexOf(f.Digests, "sha256"), f.Size, f.Type, published.UTC(), v.Yanked})
	}
	body, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	return h.answer(w, r, "application/json", append(body, '\n'))
}

// more says whether upstreams may have more than is known here.
func (h handler) more(r *http.Request, d directory, page *listing) error {
	page.Partial = page.Partial || !page.whole && h.reads(page)
	return nil
}

// reads reports whether some of a page is of an upstream.
func (h handler) reads(page *listing) bool {
	for i := range page.Entries {
		if page.Entries[i].outside {
			return true
		}
	}
	return false
}
