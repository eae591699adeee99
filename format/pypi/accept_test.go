package pypi

import (
	"net/http"
	"testing"
)

// acceptCases are the rows of the table of what clients send.
var acceptCases = []struct {
	name   string
	accept []string
	query  string
	want   form
}{
	{"pip", []string{"application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"}, "", formJSON},
	{"uv", []string{"application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"}, "", formJSON},
	{"bandersnatch", []string{"application/vnd.pypi.simple.v1+json"}, "", formJSON},
	{"browser", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, "", formHTML},
	{"none", nil, "", formHTML},
	{"empty", []string{""}, "", formHTML},
	{"anything", []string{"*/*"}, "", formHTML},
	{"plain json", []string{"application/json"}, "", formHTML},
	{"json refused", []string{"application/vnd.pypi.simple.v1+json;q=0, text/html"}, "", formHTML},
	{"equal", []string{"text/html;q=0.9, application/vnd.pypi.simple.v1+json;q=0.9"}, "", formHTML},
	{"latest json", []string{"application/vnd.pypi.simple.latest+json"}, "", formJSON},
	{"latest html", []string{"application/vnd.pypi.simple.latest+html"}, "", formV1HTML},
	{"range over type", []string{"application/*;q=0.5, text/html;q=0.4"}, "", formV1HTML},
	{"specific over range", []string{"application/*, application/vnd.pypi.simple.v1+html;q=0.1, text/html;q=0.5"}, "", formJSON},
	{"upper case", []string{"APPLICATION/VND.PYPI.SIMPLE.V1+JSON"}, "", formJSON},
	{"charset", []string{"application/vnd.pypi.simple.v1+json;charset=utf-8, text/html;q=0.5"}, "", formJSON},
	{"blanks", []string{"text/html ; q = 0.1 , application/vnd.pypi.simple.v1+json ; q = 0.9"}, "", formJSON},
	{"repeated", []string{"text/html;q=0.1", "application/vnd.pypi.simple.v1+json"}, "", formJSON},
	{"q that is none", []string{"application/vnd.pypi.simple.v1+json;q=much, text/html;q=0.1"}, "", formHTML},
	{"all refused", []string{"*/*;q=0"}, "", formHTML},
	{"query over header", []string{"text/html"}, "format=application/vnd.pypi.simple.v1%2Bjson", formJSON},
	{"query with a bare plus", nil, "format=application/vnd.pypi.simple.v1+json", formJSON},
	{"query latest", nil, "x=1&format=application/vnd.pypi.simple.latest%2Bhtml", formV1HTML},
	{"query without format", []string{"application/vnd.pypi.simple.v1+json"}, "x=1", formJSON},
}

func TestCase07Negotiate(t *testing.T) {
	for _, c := range acceptCases {
		got, err := negotiate(c.accept, c.query)
		if err != nil || got != c.want {
			t.Errorf("%s: negotiate(%q, %q) = %s, %v; want %s", c.name, c.accept, c.query, got.contentType(), err, c.want.contentType())
		}
	}
	if got, err := negotiate([]string{"text/html"}, "format=text/plain"); err == nil {
		t.Errorf("format=text/plain: %s, want an error", got.contentType())
	}
	pip := acceptCases[0].accept
	if n := testing.AllocsPerRun(100, func() { negotiate(pip, "") }); n != 0 {
		t.Errorf("pip's header costs %v allocations, want 0", n)
	}
}

func TestAcceptsIntegrity(t *testing.T) {
	for accept, want := range map[string]bool{
		typeIntegrity: true, "*/*": true, "application/json": true, "application/*;q=0.1": true,
		"text/html": false, typeIntegrity + ";q=0": false, "application/vnd.pypi.integrity.v2+json": false,
	} {
		h := http.Header{"Accept": {accept}}
		if got := acceptsIntegrity(h["Accept"]); got != want {
			t.Errorf("acceptsIntegrity(%q) = %v, want %v", accept, got, want)
		}
	}
	if !acceptsIntegrity(nil) {
		t.Error("acceptsIntegrity without the header = false, want true")
	}
}
