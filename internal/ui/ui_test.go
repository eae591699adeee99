package ui

import (
	"bytes"
	"strings"
	"testing"

	"millpond/format"

	"golang.org/x/net/html"
)

// TestWhatStrangersWroteIsInert puts markup into every field that others fill, and reads the page as a browser would: no
// element and no attribute may come of it.
func TestWhatStrangersWroteIsInert(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)><base href=//evil.example/>' javascript:alert(1)`
	p := &Page{Version: evil, Base: evil, Alarms: []string{evil}, Figures: []Fact{{evil, evil}}, CA: true, Repositories: []Repository{{
		Name: evil, Title: evil, URL: evil,
		Upstreams: []Upstream{{Name: evil, URL: "javascript:alert(1)", State: evil, Words: evil}},
		Facts:     []Fact{{evil, evil}},
		SetUp:     []format.Snippet{{Client: evil, Text: evil, Note: evil}},
	}}}
	var b bytes.Buffer
	if err := Landing(&b, p); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "alert(1)") {
		t.Fatalf("the page does not show what it was given:\n%s", b.String())
	}
	scripts := 0
	for z := html.NewTokenizer(&b); z.Next() != html.ErrorToken; {
		tok := z.Token()
		if tok.Type != html.StartTagToken && tok.Type != html.SelfClosingTagToken {
			continue
		}
		switch tok.Data {
		case "base", "iframe", "object", "form":
			t.Errorf("the page has <%s>", tok.Data)
		case "script":
			scripts++
		}
		for _, a := range tok.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				t.Errorf("<%s> has the attribute %s", tok.Data, a.Key)
			}
			if (a.Key == "href" || a.Key == "src") && !strings.HasPrefix(a.Val, "-/") {
				t.Errorf("<%s %s=%q> leads away from the pond's own pages", tok.Data, a.Key, a.Val)
			}
		}
	}
	if scripts != 1 {
		t.Errorf("the page has %d scripts, want its own", scripts)
	}
}

func TestAssets(t *testing.T) {
	for _, c := range []struct{ name, kind string }{
		{"style.css", "text/css; charset=utf-8"}, {"copy.js", "text/javascript; charset=utf-8"}, {"pond.svg", "image/svg+xml"},
		{"nothing.css", ""}, {"../ui.go", ""}, {"../page.html", ""}, {"", ""}, {"style", ""},
	} {
		body, kind := Asset(c.name)
		if (c.kind == "") != (body == nil) || body != nil && kind != c.kind {
			t.Errorf("Asset(%q) = %d bytes of %q, want type %q", c.name, len(body), kind, c.kind)
		}
	}
}
