package raw

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"millpond/format/formattest"
	"millpond/repo"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkWarm is what a held answer costs above the connection.
func BenchmarkWarm(b *testing.B) {
	e := ecosystem()
	e.Put, e.Index, e.UpstreamIndex = nil, nil, nil
	h := formattest.New(b, e, func(c *repo.Config) { c.Upstreams = nil })
	for i := range 100 {
		if r := h.As(formattest.Owner).Do("PUT", fmt.Sprintf("/dir/file-%02d.txt", i), nil, make([]byte, 4096)); r.Status != http.StatusCreated {
			b.Fatal(r)
		}
	}
	for i := range 200 {
		if r := h.As(formattest.Owner).Do("PUT", fmt.Sprintf("/builds/%03d/log.txt", i), nil, make([]byte, 40)); r.Status != http.StatusCreated {
			b.Fatal(r)
		}
	}
	for _, path := range []string{"/dir/file-00.txt", "/dir/", "/dir/?format=json", "/builds/"} {
		b.Run(path[1:], func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			b.ReportAllocs()
			for b.Loop() {
				Format{}.Handler(h.Pond.Repository("r").For(repo.Caller{})).ServeHTTP(discard{http.Header{}}, r)
			}
		})
	}
}
