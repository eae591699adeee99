package cargo

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millpond"
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
	h := formattest.New(b, ecosystem)
	putConfig(h.Up)
	var text strings.Builder
	for i := range 500 {
		text.WriteString(upstreamLine("alpha", fmt.Sprintf("1.%d.0", i), sum, longAgo) + "\n")
	}
	putIndex(h.Up, "alpha", text.String())
	for _, path := range []string{"/config.json", "/al/ph/alpha"} {
		b.Run(path[1:], func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			b.ReportAllocs()
			for b.Loop() {
				Format{}.Handler(h.Pond.Repository("r").For(repo.Caller{})).ServeHTTP(discard{http.Header{}}, r)
			}
		})
	}
}

// BenchmarkIndex is what an index of 3,000 lines and 2 MB costs, with ten versions held back.
func BenchmarkIndex(b *testing.B) {
	var text strings.Builder
	for i := range 3000 {
		text.WriteString(strings.Replace(upstreamLine("alpha", fmt.Sprintf("1.%d.0", i), sum, longAgo), `"deps":[]`, `"deps":[`+strings.Repeat(`{"name":"x","req":"^1"},`, 20)+`{}]`, 1) + "\n")
	}
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(text.Len()))
		for b.Loop() {
			if _, err := listing("alpha", []byte(text.String()), config{DL: "https://upstream.example/"}.file); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("derive", func(b *testing.B) {
		p, err := listing("alpha", []byte(text.String()), config{DL: "https://upstream.example/"}.file)
		if err != nil {
			b.Fatal(err)
		}
		whole := []byte(text.String())
		p.Hidden = make([]millpond.Hidden, 10)
		for i := range p.Hidden {
			p.Hidden[i].Version = p.Versions[i]
		}
		p.Versions = p.Versions[10:]
		b.SetBytes(int64(text.Len()))
		for b.Loop() {
			var shown []place
			var edits []edit
			x := indexer{pkg: p, spelled: "alpha"}
			err := x.of("", func(v *millpond.Version, hidden bool) error {
				places, err := readPlaces(v.Meta, int64(text.Len()))
				for _, at := range places {
					more, _ := editsOf(whole, at, v, hidden)
					shown, edits = append(shown, at), append(edits, more...)
				}
				return err
			})
			if err != nil || len(edits) != 10 {
				b.Fatalf("%d edits, %v", len(edits), err)
			}
			splice(whole, shown, edits)
		}
	})
}
