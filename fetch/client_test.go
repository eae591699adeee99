package fetch_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"millpond/fetch"
)

// What the operator named may be on a private network, as these loopback servers are; it leads nowhere else.
func TestClientStaysWithItsOrigin(t *testing.T) {
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		}
	}))
	defer server.Close()
	for _, c := range []struct{ name, at, want string }{
		{"the same origin", server.URL + "/here", ""},
		{"another origin", server.URL + "/away", "another origin"},
		{"cloud metadata", "http://169.254.169.254/latest", "where a cloud keeps its secrets"},
		{"link-local", "http://[fe80::1]/", "link-local"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, err := url.Parse(c.at)
			if err != nil {
				t.Fatal(err)
			}
			client, err := fetch.Client(at, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Get(c.at)
			if err == nil {
				resp.Body.Close()
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v; want %q", c.at, err, c.want)
			}
		})
	}
	if asked {
		t.Error("the other origin was asked")
	}
}
