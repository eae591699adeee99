package disk_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"millpond"
	"millpond/blob/blobtest"
	"millpond/blob/disk"
)

// BenchmarkWrite seals blobs, in pieces of 128 KiB, beside the least that any program could do: write, hash, fsync.
func BenchmarkWrite(b *testing.B) {
	const piece = 128 << 10
	for _, size := range []int{4 << 10, 1 << 20, 128 << 20} {
		data := blobtest.Bytes(min(size, piece), 1)
		fill := func(w io.Writer, i int) {
			data[0], data[1], data[2] = byte(i), byte(i>>8), byte(i>>16) // blobs that differ
			for n := 0; n < size; n += len(data) {
				if _, err := w.Write(data); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run(fmt.Sprintf("%dKiB/store", size>>10), func(b *testing.B) {
			s := open(b, b.TempDir(), disk.Options{})
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w, err := s.Create(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				fill(w, i)
				d, err := w.Commit(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				w.Close()
				if size > 1<<20 {
					s.Delete(b.Context(), d)
				}
			}
		})
		b.Run(fmt.Sprintf("%dKiB/bare", size>>10), func(b *testing.B) {
			dir := b.TempDir()
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				name := filepath.Join(dir, fmt.Sprint(i))
				f, err := os.Create(name)
				if err != nil {
					b.Fatal(err)
				}
				h := sha256.New()
				fill(io.MultiWriter(f, h), i)
				h.Sum(nil)
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				f.Close()
				if size > 1<<20 {
					os.Remove(name)
				}
			}
		})
	}
}

// BenchmarkWriteMany seals small blobs from many goroutines: their fsyncs share the disk's journal.
func BenchmarkWriteMany(b *testing.B) {
	s := open(b, b.TempDir(), disk.Options{})
	var n atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := put(s, fmt.Append(make([]byte, 10_000), n.Add(1))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir, disk.Options{})
	d := mustPut(b, s, []byte("text"))
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f, err := s.Open(b.Context(), d, 0, -1)
			if err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
	})
	b.Run("bare", func(b *testing.B) {
		name := filepath.Join(dir, "blobs", d.Hex()[:2], d.Hex())
		for b.Loop() {
			f, err := os.Open(name)
			if err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
	})
	b.Run("stat", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Stat(b.Context(), d); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("missing", func(b *testing.B) {
		missing := millpond.SHA256([]byte("missing"))
		for b.Loop() {
			if _, err := s.Open(b.Context(), missing, 0, -1); err == nil {
				b.Fatal("it is there")
			}
		}
	})
}
