package rubygems

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millpond/format/formattest"
	"millpond/repo"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkWarm is what a held answer costs above the connection, beside 20,000 names.
func BenchmarkWarm(b *testing.B) {
	h := formattest.New(b, ecosystem)
	putGem(h.Up, "alpha", formattest.Release{Version: "1.0.0"})
	text := "created_at: 2026-11-01T00:00:00Z\n---\n"
	for i := range 20_000 {
		text += fmt.Sprintf("gem-%05d 1.0.0,2.0.0 %s\n", i, strings.Repeat("0", 32))
	}
	putText(h.Up, "versions", text)
	for _, path := range []string{"/versions", "/info/alpha", "/quick/Marshal.4.8/alpha-1.0.0.gemspec.rz", "/gems/alpha-1.0.0.gem"} {
		b.Run(path[1:], func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Range", "bytes=1000000-")
			b.ReportAllocs()
			for b.Loop() {
				Format{}.Handler(h.Pond.Repository("r").For(repo.Caller{})).ServeHTTP(discard{http.Header{}}, r)
			}
		})
	}
}
