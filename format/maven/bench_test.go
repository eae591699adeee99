package maven

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// fiveLayers is a House that unites five upstreams, each with 200 versions of one package, half of them its own.
func fiveLayers(t testing.TB) *formattest.House {
	h := formattest.New(t, ecosystem(t))
	ups := []*faulty.Server{h.Up}
	for range 4 {
		ups = append(ups, faulty.New(t))
	}
	for i, up := range ups {
		var all []string
		for n := range 200 {
			all = append(all, fmt.Sprintf("1.%d", i*100+n))
		}
		slices.Reverse(all)
		lay(up, index(lib), metadataOf(lib, all...), time.Time{})
	}
	c := h.Config("r", ups...)
	c.Union = true
	h.Configure(repo.Settings{}, c)
	return h
}

// TestFiveLayers: every version of every layer is listed once.
func TestFiveLayers(t *testing.T) {
	h := fiveLayers(t)
	var want []string
	for n := range 600 {
		want = append(want, fmt.Sprintf("1.%d", n))
	}
	if got := versions(h, lib); !slices.Equal(got, want) {
		t.Errorf("five layers list %d versions, %q…, want the %d in order", len(got), got[:min(5, len(got))], len(want))
	}
}

// BenchmarkMergeOfFiveLayers is what metadata costs that is made anew of five layers' records, with nothing in memory.
func BenchmarkMergeOfFiveLayers(b *testing.B) {
	h := fiveLayers(b)
	h.Good("metadata", h.Get(index(lib)), nil)
	handler := handler{h.As(formattest.Owner).Repo()}
	p, err := Parse(index(lib))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("document", func(b *testing.B) { // of the merged view
		b.ReportAllocs()
		for b.Loop() {
			m, err := handler.compose(b.Context(), p)
			if err != nil {
				b.Fatal(err)
			}
			m.write(io.Discard)
		}
	})
	b.Run("view and document", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			h.Configure(repo.Settings{}, h.Pond.Repository("r").Config()) // memory has nothing then
			handler := Format{}.Handler(h.As(formattest.Owner).Repo())
			r := httptest.NewRequest(http.MethodGet, index(lib), nil)
			b.StartTimer()
			handler.ServeHTTP(discard{http.Header{}}, r)
		}
	})
}

// BenchmarkWarm is what a held answer costs above the connection.
func BenchmarkWarm(b *testing.B) {
	h := formattest.New(b, ecosystem(b))
	e := ecosystem(b)
	e.Put(h.Up, lib, formattest.Release{Version: "1.0"})
	for _, path := range []string{index(lib), file(lib, "1.0", ".jar"), file(lib, "1.0", ".jar.sha1")} {
		b.Run(pathTail(path), func(b *testing.B) {
			h.Good(path, h.Get(path), nil)
			repo := h.As(formattest.Owner).Repo()
			r := httptest.NewRequest(http.MethodGet, path, nil)
			b.ReportAllocs()
			for b.Loop() {
				Format{}.Handler(repo).ServeHTTP(discard{http.Header{}}, r)
			}
		})
	}
}
