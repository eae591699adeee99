package debian

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"millpond/repo"
)

// TestCase17Proxy: a request with an absolute URL reaches the upstreams that are configured, and nothing else is asked.
func TestCase17Proxy(t *testing.T) {
	if !(Format{}).Info().Proxy {
		t.Error("the server gives the format no requests of a proxy's clients")
	}
	h, _ := stocked(t, nil)
	up, err := url.Parse(h.Up.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Format{}.Handler(h.As("").Repo()).ServeHTTP(w, r)
	}))
	defer proxy.Close()
	through, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(through)}}
	get := func(address string) (int, []byte) {
		t.Helper()
		resp, err := client.Get(address)
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b
	}
	if status, _ := get("http://" + up.Host + "/debian" + packages); status != 200 {
		t.Fatalf("by proxy: got %d, want 200", status)
	}
	if status, b := get("http://" + up.Host + "/debian/" + helloPath); status != 200 || !bytes.HasPrefix(b, []byte("!<arch>")) {
		t.Errorf("a file by proxy: got %d", status)
	}
	// What other proxies of apt take for https; the server gives hosts in lower case.
	for _, address := range []string{"http://HTTPS///" + up.Host + "/debian" + inRelease, "http://https///" + up.Host + "/debian" + inRelease} {
		if status, b := get(address); status != 200 || !bytes.Contains(b, []byte("SHA256:")) {
			t.Errorf("%s: got %d", address, status)
		}
	}
	good(t, h, "/HTTPS///"+up.Host+"/debian"+inRelease, nil)
	h.Up.Forget()
	for _, address := range []string{
		"http://evil.example/debian" + inRelease, "http://127.0.0.1:1/debian" + inRelease, "http://169.254.169.254/latest/meta-data",
		"http://" + up.Host + "/other" + inRelease, "http://HTTPS///evil.example/debian" + inRelease, "http://HTTPS///", "http://" + up.Host + "/debian/../secret",
	} {
		if status, b := get(address); status != 403 {
			t.Errorf("%s: got %d %q, want 403", address, status, b)
		}
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("refused requests cost %d upstream requests: %v", n, h.Up.Requests(""))
	}

	// The same file by the repository's own address is not downloaded again.
	good(t, h, packages, nil)
	h.Up.Forget()
	good(t, h, "/"+helloPath, nil)
	for _, r := range h.Up.Requests("/debian/" + helloPath) {
		if r.Method == "GET" && r.Header.Get("Range") != "bytes=0-0" {
			t.Errorf("what is held by way of the proxy was downloaded again: %s %v", r.Method, r.Header)
		}
	}

	// Offline, what is held is given, and nobody is asked for the rest.
	h.Configure(repo.Settings{Offline: true}, h.Config("r", h.Up))
	h.Up.Forget()
	for _, path := range []string{inRelease, packages, "/" + helloPath} {
		if status, b := get("http://" + up.Host + "/debian" + path); status != 200 {
			t.Errorf("offline, %s: got %d %q", path, status, b)
		}
	}
	for _, address := range []string{"http://" + up.Host + "/debian" + packages + ".gz", "http://evil.example/debian" + inRelease, "http://evil.example/debian/" + helloPath} {
		if status, b := get(address); status < 400 {
			t.Errorf("offline, %s: got %d %q", address, status, b)
		}
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("offline, the upstream was asked %d times: %v", n, h.Up.Requests(""))
	}
}
