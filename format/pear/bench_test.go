package pear

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"millpond/repo"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkWarm is what a held answer costs above the connection, by path and as a proxy.
func BenchmarkWarm(b *testing.B) {
	h := newHouse(b, "")
	lay(h.Up, testChannel, testName, "https", releases("1.0.0", "1.1.0")...)
	for _, at := range []string{"/" + testChannel, root} {
		for _, path := range []string{"/rest/r/alpha/allreleases2.xml", "/rest/r/alpha/stable.txt", "/rest/r/alpha/1.0.0.xml", "/channel.xml", "/get/Alpha-1.0.0.tgz"} {
			b.Run(at+path, func(b *testing.B) {
				r := httptest.NewRequest(http.MethodGet, at+path, nil)
				if w := sent(h, r); w.Code != 200 {
					b.Fatalf("got %d %s", w.Code, w.Body)
				}
				b.ReportAllocs()
				for b.Loop() {
					Format{}.Handler(h.Pond.Repository("r").For(repo.Caller{})).ServeHTTP(discard{http.Header{}}, r)
				}
			})
		}
	}
}
