package maven

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestCase14Prefixes: what is hosted is told; of upstreams only if every one tells it, and what it tells is a list.
func TestCase14Prefixes(t *testing.T) {
	const at = "/.meta/prefixes.txt"
	good := func(lines ...string) string { return prefixesMagic + "\n" + strings.Join(lines, "\n") + "\n" }
	for name, c := range map[string]struct {
		first, second string // what the upstreams have; "" is none, "-" that there is no such upstream
		hosts         bool
		want          string
	}{
		"hosted alone":                   {"-", "-", true, good("/com/acme")},
		"nothing at all":                 {"-", "-", false, noPrefixes},
		"one upstream":                   {good("/org/example", "# a word", "/com/other/"), "-", false, good("/com/other", "/org/example")},
		"one upstream, and hosted":       {good("/org/example"), "-", true, good("/com/acme", "/org/example")},
		"one upstream without":           {"", "-", true, noPrefixes},
		"two upstreams":                  {good("/org/example"), good("/org/two"), false, good("/org/example", "/org/two")},
		"two upstreams, one without":     {good("/org/example"), "", false, noPrefixes},
		"one that does not support it":   {good("/org/example"), prefixesMagic + "\n@ unsupported\n", false, noPrefixes},
		"no magic":                       {"/org/example\n", "-", false, noPrefixes},
		"a page":                         {"<html>login</html>", "-", false, noPrefixes},
		"a line that is no path":         {good("https://x"), "-", false, noPrefixes},
		"a line that is too long":        {good("/" + strings.Repeat("x", 250)), "-", false, noPrefixes},
		"a list with nothing in it":      {good(), "-", false, noPrefixes},
		"one upstream, CRLF line breaks": {strings.ReplaceAll(good("/org/example"), "\n", "\r\n"), "-", false, good("/org/example")},
	} {
		h := hosting(t)
		second := faulty.New(t)
		var ups []*faulty.Server
		for text, up := range map[*string]*faulty.Server{&c.first: h.Up, &c.second: second} {
			if *text != "" && *text != "-" {
				up.Put(ecosystem(t).Root+strings.TrimPrefix(at, "/"), faulty.Object{Body: []byte(*text), Type: "text/plain"})
			}
		}
		if c.first != "-" {
			ups = append(ups, h.Up)
		}
		if c.second != "-" {
			ups = append(ups, second)
		}
		config := h.Config("r", ups...)
		config.Claims = []string{"com.acme.*"}
		h.Configure(repo.Settings{}, config)
		if c.hosts {
			as(t, h, mvn).deploy(lib, "1.0", jarOf(t, "a", "1"), http.StatusCreated)
		}
		h.Good(name, h.Get(at), []byte(c.want))
		h.Good(name+": its sum", h.Get(at+".sha1"), sha1Of([]byte(c.want)))
		if c.want != noPrefixes && len(ups) > 0 {
			h.Up.Order("*", "always 500")
			h.Pass(time.Hour)
			h.Good(name+", the upstream ill: what is kept", h.Get(at), []byte(c.want))
		}
	}
}

// TestPrefixesOfAnIllUpstream: one that has never been heard leaves everything open.
func TestPrefixesOfAnIllUpstream(t *testing.T) {
	h := formattest.New(t, ecosystem(t))
	h.Up.Order("*", "always 500")
	h.Good("ill", h.Get("/.meta/prefixes.txt"), []byte(noPrefixes))
}
