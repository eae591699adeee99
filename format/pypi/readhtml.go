package pypi

import (
	"errors"
	"io"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/html"

	"millpond"
)

// An htmlPage is what reading a page's HTML tells its reader.
type htmlPage struct {
	anchor func(href string, attr map[string]string, text string)
	meta   func(name, content string) error
	base   func(href string)
	serial func(int64)
	index  bool // the page says that it is an index: by its meta tags, or by the words all index pages have
}

// read goes through a page as a stream.
func (p *htmlPage) read(r io.Reader) error {
	z := html.NewTokenizer(r)
	z.SetMaxBuf(2 * longestString)
	var href, text string
	var attr map[string]string // of the anchor that is open
	var title bool
	for {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); err != io.EOF {
				return err
			}
			if attr != nil {
				p.anchor(href, attr, text)
			}
			return nil
		case html.CommentToken:
			if n, ok := strings.CutPrefix(strings.TrimSpace(string(z.Text())), "SERIAL "); ok {
				if n, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64); err == nil {
					p.serial(n)
				}
			}
		case html.TextToken:
			switch {
			case attr != nil && len(text) <= longestName:
				text += string(z.Text())
			case title:
				p.index = p.index || indexTitle(string(z.Text()))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			switch string(name) {
			case "a":
				if attr != nil {
					p.anchor(href, attr, text)
				}
				attr = nil
			case "title", "h1":
				title = false
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			switch string(name) {
			case "a":
				if attr != nil { // the one before was not closed
					p.anchor(href, attr, text)
				}
				attr = attributes(z, more)
				href, text = attr["href"], ""
			case "title", "h1":
				title = true
			case "base":
				if href := attributes(z, more)["href"]; href != "" {
					p.base(href)
				}
			case "meta":
				a := attributes(z, more)
				if strings.HasPrefix(a["name"], "pypi:") {
					p.index = true
					if err := p.meta(a["name"], a["content"]); err != nil {
						return err
					}
				}
			}
		}
	}
}

// indexTitle reports whether a title is one that index servers write.
func indexTitle(title string) bool {
	title = strings.ToLower(strings.TrimSpace(title))
	for _, start := range [...]string{"links for ", "simple index", "simple package", "index of ", "package index", "directory listing for "} {
		if strings.HasPrefix(title, start) {
			return true
		}
	}
	return false
}

func attributes(z *html.Tokenizer, more bool) map[string]string {
	a := map[string]string{}
	for more {
		var k, v []byte
		k, v, more = z.TagAttr()
		if _, twice := a[string(k)]; !twice {
			a[string(k)] = strings.ToValidUTF8(string(v), "\uFFFD")
		}
	}
	return a
}

// readHTML reads a page as PEP 503 has it, with all that was added to that form.
func (l *listing) readHTML(r io.Reader) error {
	found, hasBase := false, false
	p := htmlPage{
		anchor: func(href string, attr map[string]string, _ string) {
			if f, ok := l.readAnchor(href, attr); ok {
				l.add(f)
				found = found || len(l.versions) > 0
			}
		},
		meta: func(name, content string) error {
			switch name {
			case "pypi:repository-version":
				return checkAPI(content)
			case "pypi:project-status":
				l.setStatus(content, l.meta.Reason)
			case "pypi:project-status-reason":
				l.setStatus(l.meta.Status, content)
			}
			return nil
		},
		base: func(href string) {
			if u, err := l.base.Parse(href); err == nil && !hasBase {
				l.base, hasBase = u, true
			}
		},
		serial: func(n int64) { l.meta.Serial = max(l.meta.Serial, n) },
	}
	if err := p.read(r); err != nil {
		return err
	}
	if !found && !p.index {
		return errors.New("it is a web page without files, and does not say that it is an index")
	}
	return nil
}

// readAnchor reads one link; ok is false if it leads to no file.
func (l *listing) readAnchor(href string, attr map[string]string) (_ *listed, ok bool) {
	href, fragment, _ := strings.Cut(href, "#")
	path, _, _ := strings.Cut(href, "?")
	name, err := url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		return nil, false
	}
	if _, end := splitEnd(name); end == "" {
		return nil, false
	}
	f := &listed{name: name, url: href, size: -1}
	for part := range strings.SplitSeq(fragment, "&") {
		algorithm, sum, _ := strings.Cut(part, "=")
		if d, ok := knownDigest(algorithm, sum); ok {
			f.digests = append(f.digests, d)
		}
	}
	f.why, f.yanked = attr["data-yanked"]
	f.uploaded = parseTime(attr["data-upload-time"]) // in no specification, but some mirrors have it, and holds need it
	f.signed = attr["data-gpg-sig"] == "true"
	f.attested = attr["data-provenance"]
	metadata, ok := attr["data-core-metadata"]
	if !ok {
		metadata, ok = attr["data-dist-info-metadata"]
	}
	if f.core = ok && metadata != "" && metadata != "false"; f.core {
		if algorithm, sum, ok := strings.Cut(metadata, "="); ok {
			if d, ok := knownDigest(algorithm, sum); ok {
				f.coreSums = []millpond.Digest{d}
			}
		}
	}
	if python := attr["data-requires-python"]; python != "" {
		f.member("requires-python", quote(python))
	}
	return f, true
}
