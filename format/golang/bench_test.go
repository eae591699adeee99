package golang

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

// BenchmarkWarm is what a held answer costs above the connection.
func BenchmarkWarm(b *testing.B) {
	u := newUpstream(b)
	u.publish(b, testPath, "v1.0.0", testMod)
	p := newPond(b, []string{u.URL})
	for _, path := range []string{at + "v1.0.0.mod", at + "v1.0.0.info", at + "list"} {
		b.Run(path[len(at):], func(b *testing.B) {
			p.want(path, 200, "*")
			r := httptest.NewRequest(http.MethodGet, path, nil)
			b.ReportAllocs()
			for b.Loop() {
				w := discard{http.Header{}}
				Format{}.Handler(p.repo.Repository("golang").For(repo.Caller{})).ServeHTTP(w, r)
			}
		})
	}
}
