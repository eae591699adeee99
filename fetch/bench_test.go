package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"millpond"
	"millpond/blob/disk"
	"millpond/fetch/faulty"
)

// benchRig is an engine on a store on disk, before an upstream of n bytes at /f.
func benchRig(b *testing.B, n int64) (*Upstream, File) {
	store, err := disk.Open(b.TempDir(), disk.Options{})
	if err != nil {
		b.Fatal(err)
	}
	srv := faulty.New(b)
	srv.Put("/f", faulty.Object{At: faulty.Noise(1, n), Size: n, ETag: `"1"`})
	e := &Engine{Blobs: store}
	u, err := e.Upstream(Settings{Name: "up", URL: mustParse(srv.URL + "/")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		e.Close(context.Background())
		store.Close()
	})
	want := millpond.SHA256(nil)
	h := want.Hash()
	io.Copy(h, io.NewSectionReader(faulty.Noise(1, n), 0, n))
	want, err = millpond.NewDigest("sha256", h.Sum(nil))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(n)
	return u, File{URL: srv.URL + "/f", Want: []millpond.Digest{want}, Size: n}
}

// BenchmarkFill is one download by one reader, with what the upstream costs to make its bytes.
func BenchmarkFill(b *testing.B) {
	for _, n := range []int64{1 << 10, 1 << 20, 64 << 20} {
		b.Run(sizeText(n), func(b *testing.B) {
			u, f := benchRig(b, n)
			for i := 0; b.Loop(); i++ {
				f.ID = fmt.Sprint(i)
				body, err := u.Open(b.Context(), f)
				if err != nil {
					b.Fatal(err)
				}
				if got, err := io.Copy(io.Discard, body); err != nil || got != n {
					b.Fatal(got, err)
				}
				body.Close()
			}
		})
	}
}

// BenchmarkHerd is one download followed by a thousand readers.
func BenchmarkHerd(b *testing.B) {
	const readers = 1000
	u, f := benchRig(b, 8<<20)
	b.SetBytes(readers * f.Size)
	for i := 0; b.Loop(); i++ {
		f.ID = fmt.Sprint(i)
		var all sync.WaitGroup
		for range readers {
			all.Go(func() {
				body, err := u.Open(b.Context(), f)
				if err != nil {
					b.Error(err)
					return
				}
				defer body.Close()
				if got, err := io.Copy(io.Discard, body); err != nil || got != f.Size {
					b.Error(got, err)
				}
			})
		}
		all.Wait()
	}
}

// BenchmarkFirstByte is how long the first byte of a large file takes, beside the same from the upstream itself.
func BenchmarkFirstByte(b *testing.B) {
	u, f := benchRig(b, 4<<20)
	b.SetBytes(0)
	one := make([]byte, 1)
	b.Run("upstream", func(b *testing.B) {
		for b.Loop() {
			resp, err := http.Get(f.URL)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(resp.Body, one); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			b.StartTimer()
		}
	})
	b.Run("pond", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			f.ID = fmt.Sprint(i)
			body, err := u.Open(b.Context(), f)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(body, one); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			io.Copy(io.Discard, body)
			body.Close()
			b.StartTimer()
		}
	})
}
