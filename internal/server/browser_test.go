package server

import (
	"context"
	goflag "flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
)

var long = goflag.Bool("long", false, "look at pages with a real browser") // never changed

// evil is what strangers write where a name or a text is wanted. Each of its ways would ask the server for /pwned.
const evil = `"'><script>new Image().src='/pwned?script'</script><img src=/nowhere onerror="new Image().src='/pwned?onerror'">` +
	`<svg onload="new Image().src='/pwned?onload'"></svg><iframe srcdoc="<script>parent.fetch('/pwned?frame')</script>"></iframe>` +
	`<meta http-equiv=refresh content="0;url=/pwned?refresh"><base href=/pwned/><a href="javascript:location='/pwned?link'" autofocus onfocus="location='/pwned?focus'">x</a>`

// S37, in a browser: what strangers wrote, in names, in set-up texts, in packages, in addresses that are answered with an error,
// runs nothing and asks for nothing. That it would, shows on a page of the same words that nobody has made harmless.
func TestS37InABrowser(t *testing.T) {
	if !*long {
		t.Skip("a browser takes seconds for each page: -args -long looks with one")
	}
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("no chromium is installed")
	}
	var mu sync.Mutex // guards asked
	var asked []string
	kinds := map[string]string{".svg": "image/svg+xml", ".html": "text/html", ".xhtml": "application/xhtml+xml"}
	s, _ := start(t, Settings{}, public("alpha", echo{name: evil, serve: func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/absent") {
			http.Error(w, evil, http.StatusNotFound)
			return
		}
		end := path.Ext(r.URL.Path)
		w.Header().Set("Content-Type", kinds[end])
		if end == ".svg" {
			io.WriteString(w, `<svg xmlns="http://www.w3.org/2000/svg"><script>new Image().src='/pwned?svg'</script></svg>`)
			return
		}
		io.WriteString(w, "<!doctype html><html><body>"+evil+"</body></html>")
	}}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/pwned"):
			mu.Lock()
			asked = append(asked, r.URL.String())
			mu.Unlock()
		case r.URL.Path == "/control":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, "<!doctype html><html><body>%s</body></html>", evil)
		default:
			s.ServeHTTP(w, r)
		}
	}))
	defer server.Close()
	look := func(at string) (page string, pwned []string) {
		t.Helper()
		mu.Lock()
		asked = nil
		mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
			"--proxy-server=direct://", "--virtual-time-budget=3000", "--user-data-dir="+t.TempDir(), "--dump-dom", server.URL+at)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %s: %v", browser, at, err)
		}
		mu.Lock()
		defer mu.Unlock()
		return string(out), asked
	}
	if _, pwned := look("/control"); len(pwned) == 0 {
		t.Fatal("the browser runs no scripts: nothing is shown by what it does not do")
	}
	for _, c := range []struct{ name, path, shows string }{
		{"the landing page", "/", "new Image()"},
		{"html in a package", "/alpha/x.html", ""},
		{"svg in a package", "/alpha/x.svg", ""},
		{"xhtml in a package", "/alpha/x.xhtml", ""},
		{"the words of an error", "/alpha/absent", ""},
		{"an address of nothing", "/%3Cscript%3Enew%20Image().src='%2Fpwned'%3C%2Fscript%3E", ""},
		{"a page of the pond's that is not there", "/-/%3Cimg%20src=x%20onerror=location='%2Fpwned'%3E", ""},
	} {
		page, pwned := look(c.path)
		if len(pwned) > 0 {
			t.Errorf("%s has asked for %q", c.name, pwned)
		}
		if !strings.Contains(page, c.shows) {
			t.Errorf("%s does not show what strangers wrote, so nothing is shown by it: %.300s", c.name, page)
		}
	}
}
