package pypi

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"millpond/format/formattest"
	"millpond/repo"
)

// BenchmarkWarm measures what a warm request costs beyond the server: the page as pip asks for it, a file, its metadata.
func BenchmarkWarm(b *testing.B) {
	h := formattest.New(b, ecosystem())
	put(h.Up, "alpha", allOf...)
	for name, path := range map[string]string{"page": alphas, "file": filePath("alpha", old), "metadata": filePath("alpha", old) + Metadata} {
		handler := Format{}.Handler(h.Pond.Repository("r").For(repo.Caller{}))
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header["Accept"] = asPip["Accept"]
		r.Header["Accept-Encoding"] = []string{"gzip"}
		for range 2 {
			w := httptest.NewRecorder()
			if handler.ServeHTTP(w, r); w.Code != http.StatusOK {
				b.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w := &nowhere{header: http.Header{}}
			for b.Loop() {
				clear(w.header)
				handler.ServeHTTP(w, r)
			}
			if w.status != http.StatusOK {
				b.Fatalf("%s: %d", path, w.status)
			}
		})
	}
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		w := &nowhere{header: http.Header{}}
		body := make([]byte, 4096)
		for b.Loop() {
			clear(w.header)
			w.Header().Set("Content-Type", typeJSON)
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(http.StatusOK)
			w.Write(body)
		}
	})
}

// nowhere is a ResponseWriter that keeps nothing.
type nowhere struct {
	header http.Header
	status int
}

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) WriteHeader(status int)      { w.status = status }
func (w *nowhere) Write(b []byte) (int, error) { return len(b), nil }
