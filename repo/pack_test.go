package repo

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestPackersAreUsedAgain: each document is packed as if by itself, whatever was packed before it, or broke off.
func TestPackersAreUsedAgain(t *testing.T) {
	text := make([]byte, 3*longText)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range text {
		text[i] = 'a' + byte(rnd.IntN(4))
	}
	broken := errors.New("broken off")
	var all sync.WaitGroup
	for turn := range 4 {
		all.Go(func() {
			for i, n := range []int{100, 2 * longText, longText, longText + 1, 0, 1000, 3 * longText, 10} {
				var out bytes.Buffer
				piece := text[turn:min(turn+n, len(text))]
				err := encode(&out, "gzip", func(w io.Writer) error {
					for rest := piece; len(rest) > 0; {
						k, err := w.Write(rest[:min(len(rest), 70_000)])
						if err != nil {
							return err
						}
						rest = rest[k:]
					}
					if i%3 == 1 {
						return broken
					}
					return nil
				})
				if i%3 == 1 {
					if err != broken {
						t.Errorf("document %d: %v", i, err)
					}
					continue
				}
				z, e := gzip.NewReader(&out)
				if err != nil || e != nil {
					t.Errorf("document %d: %v, %v", i, err, e)
					continue
				}
				if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, piece) {
					t.Errorf("document %d: %d bytes, %v; want %d", i, len(got), err, len(piece))
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkPack packs a document of the usual size: what it costs of memory is what counts.
func BenchmarkPack(b *testing.B) {
	text := bytes.Repeat([]byte(`{"name":"alpha","version":"1.0.0"},`), 2000)
	b.ReportAllocs()
	for b.Loop() {
		if err := encode(io.Discard, "gzip", func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
			b.Fatal(err)
		}
	}
}
