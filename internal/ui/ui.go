// Package ui draws the pond's pages. It draws what it is given, records and a format's Info, and imports no format: a page
// knows no ecosystem. There is no script but a copy button, and pages work without it.
package ui

import (
	"embed"
	"html/template"
	"io"
	"path"

	"millpond/format"
)

// ContentPolicy is the Content-Security-Policy of every page: own files only, and no framing.
const ContentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// A Page is the landing page.
type Page struct {
	Version      string
	Base         string // the pond's address, as this reader knows it
	Offline      bool
	Alarms       []string // what an operator should see first
	Figures      []Fact
	Repositories []Repository
	CA           bool // the pond has an authority that clients must trust
}

// A Fact is a label and what it says.
type Fact struct{ Label, Text string }

// A Repository is one repository on the page.
type Repository struct {
	Name, Title, URL string
	Upstreams        []Upstream
	Facts            []Fact
	SetUp            []format.Snippet
}

// An Upstream is one upstream of a repository, without its secrets.
type Upstream struct {
	Name, URL string
	State     string // "ok", "ill", "idle" or "alarm"
	Words     string
}

//go:embed page.html
var pageSource string

//go:embed assets
var assets embed.FS

var page = template.Must(template.New("page").Parse(pageSource))

// Landing writes the landing page.
func Landing(w io.Writer, p *Page) error { return page.Execute(w, p) }

// Asset returns a file that pages name, and its Content-Type; nil if there is none.
func Asset(name string) (body []byte, contentType string) {
	switch path.Ext(name) {
	case ".css":
		contentType = "text/css; charset=utf-8"
	case ".js":
		contentType = "text/javascript; charset=utf-8"
	case ".svg":
		contentType = "image/svg+xml"
	default:
		return nil, ""
	}
	body, err := assets.ReadFile("assets/" + name)
	if err != nil {
		return nil, ""
	}
	return body, contentType
}
