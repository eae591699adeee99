package golang

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"

	"millpond"
	"millpond/format"
)

// zips are module zips of every make.
func zips(t *testing.T) map[string]string {
	all := map[string]string{}
	make := func(name string, fill func(z *zip.Writer)) {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		fill(z)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		all[name] = b.String()
	}
	add := func(z *zip.Writer, h *zip.FileHeader, body string) {
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(w, body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	make("stored", func(z *zip.Writer) {
		add(z, &zip.FileHeader{Name: "m@v1.0.0/b.go"}, "package b")
		add(z, &zip.FileHeader{Name: "m@v1.0.0/a.go"}, "package a")
	})
	make("deflated, with data descriptors", func(z *zip.Writer) {
		for i := range 50 {
			add(z, &zip.FileHeader{Name: fmt.Sprintf("m@v1.0.0/%d.go", i), Method: zip.Deflate}, strings.Repeat("package x\n", i*100))
		}
	})
	make("without data descriptors", func(z *zip.Writer) {
		w, err := z.CreateRaw(&zip.FileHeader{Name: "m@v1.0.0/raw", CRC32: 0x352441c2, CompressedSize64: 3, UncompressedSize64: 3})
		if err == nil {
			_, err = io.WriteString(w, "abc")
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	make("empty files and folders", func(z *zip.Writer) {
		add(z, &zip.FileHeader{Name: "m@v1.0.0/empty", Method: zip.Deflate}, "")
		add(z, &zip.FileHeader{Name: "m@v1.0.0/dir/"}, "")
	})
	make("a name twice", func(z *zip.Writer) {
		add(z, &zip.FileHeader{Name: "m@v1.0.0/x"}, "first")
		add(z, &zip.FileHeader{Name: "m@v1.0.0/x"}, "second")
		add(z, &zip.FileHeader{Name: "m@v1.0.0/a"}, "a")
	})
	make("a name twice, damaged at first", func(z *zip.Writer) {
		w, err := z.CreateRaw(&zip.FileHeader{Name: "m@v1.0.0/x", CRC32: 1, CompressedSize64: 3, UncompressedSize64: 3})
		if err == nil {
			_, err = io.WriteString(w, "abc")
		}
		if err != nil {
			t.Fatal(err)
		}
		add(z, &zip.FileHeader{Name: "m@v1.0.0/x"}, "second")
	})
	make("many, of all sizes", func(z *zip.Writer) {
		for i := range 100 {
			add(z, &zip.FileHeader{Name: fmt.Sprintf("m@v1.0.0/%d.go", i), Method: zip.Deflate}, strings.Repeat(fmt.Sprintln("package x", i), i*i))
		}
		add(z, &zip.FileHeader{Name: "m@v1.0.0/large.go", Method: zip.Deflate}, strings.Repeat("larger than all others together\n", 500_000))
	})
	make("names beyond ASCII", func(z *zip.Writer) {
		add(z, &zip.FileHeader{Name: "m@v1.0.0/é"}, "1")
		add(z, &zip.FileHeader{Name: "m@v1.0.0/z"}, "2")
	})
	make("20,000 files", func(z *zip.Writer) {
		for i := range 20_000 {
			add(z, &zip.FileHeader{Name: fmt.Sprintf("m@v1.0.0/%d", i)}, fmt.Sprint(i))
		}
	})
	make("nothing", func(*zip.Writer) {})
	return all
}

func TestCase07HashZipEqualsDirhash(t *testing.T) {
	for name, z := range zips(t) {
		t.Run(name, func(t *testing.T) {
			at := filepath.Join(t.TempDir(), "m.zip")
			if err := os.WriteFile(at, []byte(z), 0o600); err != nil {
				t.Fatal(err)
			}
			want, err := dirhash.HashZip(at, dirhash.Hash1)
			if err != nil {
				t.Fatal(err)
			}
			got, err := hashZip(t.Context(), strings.NewReader(z), int64(len(z)), zipLimit)
			if err != nil || got != want {
				t.Errorf("hashZip = %s, %v; dirhash.HashZip = %s", got, err, want)
			}
		})
	}
}

func TestCase07HashZipRefuses(t *testing.T) {
	bomb := zipOf(t, map[string]string{"m@v1.0.0/zeros": strings.Repeat("\x00", 3<<20), "m@v1.0.0/x": "x"})
	if len(bomb) > 64<<10 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	_, err := hashZip(t.Context(), strings.NewReader(bomb), int64(len(bomb)), 1<<20)
	if !errors.Is(err, format.ErrUnpacked) {
		t.Errorf("a zip that unpacks to 3 MiB, with a limit of 1 MiB: %v; want %v", err, format.ErrUnpacked)
	}
	several := map[string]string{"m@v1.0.0/zeros": strings.Repeat("\x00", 3<<20)}
	for i := range 50 {
		several[fmt.Sprint("m@v1.0.0/", i)] = "x"
	}
	bombs := zipOf(t, several)
	if _, err := hashZip(t.Context(), strings.NewReader(bombs), int64(len(bombs)), 1<<20); !errors.Is(err, format.ErrUnpacked) {
		t.Errorf("the same with 50 files beside it: %v; want %v", err, format.ErrUnpacked)
	}
	damaged := []byte(zipOf(t, map[string]string{"m@v1.0.0/x": strings.Repeat("package x", 100)}))
	damaged[60] ^= 0xff
	for name, z := range map[string]string{"damaged": string(damaged), "no zip": "<html>", "line feed in a name": zipOf(t, map[string]string{"m@v1.0.0/a\nb": ""})} {
		if h, err := hashZip(t.Context(), strings.NewReader(z), int64(len(z)), zipLimit); err == nil {
			t.Errorf("%s: hash %s; want an error", name, h)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hashZip(ctx, strings.NewReader(bomb), int64(len(bomb)), zipLimit); !errors.Is(err, context.Canceled) {
		t.Errorf("with the context ended: %v; want %v", err, context.Canceled)
	}
}

func BenchmarkHashZip(b *testing.B) {
	files := map[string]string{}
	for i := range 400 {
		files[fmt.Sprintf("m@v1.0.0/%d.go", i)] = strings.Repeat(fmt.Sprintf("func f%d() int { return %d }\n", i, i*i), 800)
	}
	z := zipOf(b, files)
	b.SetBytes(int64(len(z)))
	for b.Loop() {
		if _, err := hashZip(b.Context(), strings.NewReader(z), int64(len(z)), zipLimit); err != nil {
			b.Fatal(err)
		}
	}
}

// A zip of a hundred megabytes may have so many members that to list them takes a gigabyte.
func TestS04MembersAreBounded(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range format.MostMembers + 1 {
		if _, err := z.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("git.example/x@v1.0.0/%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	r, size := bytes.NewReader(b.Bytes()), int64(b.Len())
	if _, err := hashZip(t.Context(), r, size, zipLimit); err == nil || !strings.Contains(err.Error(), "more than 200000 members") {
		t.Errorf("hashZip = %v, want it refused for its members", err)
	}
	m := module.Version{Path: "git.example/x", Version: "v1.0.0"}
	if _, err := readZip(t.Context(), r, size, m); millpond.KindOf(err) != millpond.TooLarge {
		t.Errorf("readZip = %v, want TooLarge", err)
	}
}
