package golang

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"

	"millpond"
)

// An entry is one of a zip that a test makes.
type entry struct {
	name, body string
	mode       fs.FileMode // 0 is a regular file
	size       uint64      // declared, if not that of body
}

func zipEntries(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		var w io.Writer
		var err error
		if e.size != 0 {
			h.UncompressedSize64, h.CompressedSize64 = e.size, uint64(len(e.body))
			w, err = z.CreateRaw(h)
		} else {
			w, err = z.CreateHeader(h)
		}
		if err == nil {
			_, err = io.WriteString(w, e.body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read reads a zip as an upload of it would be.
func read(t testing.TB, b []byte) (*moduleZip, error) {
	t.Helper()
	m, err := firstEntry(func(n int) ([]byte, error) {
		if n > len(b) {
			return b, io.EOF
		}
		return b[:n], nil
	})
	if err != nil {
		return nil, err
	}
	return readZip(t.Context(), bytes.NewReader(b), int64(len(b)), m)
}

const (
	inX    = "git.example/x@v1.0.0/"
	goModX = "module git.example/x\n"
)

// What we take the go command takes, and what it does not take we refuse; what we refuse besides is said.
func TestReadZip(t *testing.T) {
	long := inX + strings.Repeat("d/", 200) + "x.go"
	for _, c := range []struct {
		name     string
		zip      []byte
		want     millpond.Kind // Internal is: taken
		words    string
		stricter bool // the go command would unpack it
	}{
		{name: "plain", zip: zipEntries(t, entry{name: inX + "go.mod", body: goModX}, entry{name: inX + "x.go", body: "package x"})},
		{name: "without go.mod", zip: zipEntries(t, entry{name: inX + "x.go", body: "package x"})},
		{name: "with folders", zip: zipEntries(t, entry{name: inX}, entry{name: inX + "a/"}, entry{name: inX + "a/x.go"}, entry{name: inX + "a/b/x.go"})},
		{name: "long path", zip: zipEntries(t, entry{name: long})},
		{name: "letters of all kinds", zip: zipEntries(t, entry{name: inX + "testdata/é ü.txt"})},
		{name: "vendored", zip: zipEntries(t, entry{name: inX + "vendor/a.example/b/c.go"})},
		{name: "go.mod with a line of the future", zip: zipEntries(t, entry{name: inX + "go.mod", body: goModX + "\nfuture (\n\ta b\n)\n"})},
		{name: "incompatible without go.mod", zip: zipEntries(t, entry{name: "git.example/x@v2.0.0+incompatible/x.go"})},
		{name: "upper case in the path", zip: zipEntries(t, entry{name: "git.example/Acme/X@v1.0.0-RC1/x.go"})},

		{name: "nothing", zip: nil, want: millpond.Invalid, words: "no zip"},
		{name: "text", zip: []byte(strings.Repeat("no zip at all ", 9)), want: millpond.Invalid, words: "no zip"},
		{name: "empty zip", zip: zipEntries(t), want: millpond.Invalid, words: "no zip", stricter: true},
		{name: "only the folder", zip: zipEntries(t, entry{name: inX}), want: millpond.Invalid, words: "no file", stricter: true},
		{name: "cut in the name", zip: zipEntries(t, entry{name: inX + "x.go"})[:40], want: millpond.Invalid, words: "first entry"},
		{name: "cut", zip: zipEntries(t, entry{name: inX + "x.go"})[:90], want: millpond.Invalid, words: "no whole zip"},
		{name: "no prefix", zip: zipEntries(t, entry{name: "x.go"}), want: millpond.Invalid, words: "<module>@<version>/"},
		{name: "file in place of the prefix", zip: zipEntries(t, entry{name: "git.example/x@v1.0.0"}), want: millpond.Invalid, words: "<module>@<version>/"},
		{name: "path without a dot", zip: zipEntries(t, entry{name: "x@v1.0.0/x.go"}), want: millpond.Invalid, words: "missing dot"},
		{name: "loose version", zip: zipEntries(t, entry{name: "git.example/x@v1.0/x.go"}), want: millpond.Invalid, words: "canonical"},
		{name: "build metadata", zip: zipEntries(t, entry{name: "git.example/x@v1.0.0+meta/x.go"}), want: millpond.Invalid, words: "canonical"},
		{name: "pseudo-version", zip: zipEntries(t, entry{name: "git.example/x@v0.0.0-20260102030405-0123456789ab/x.go"}),
			want: millpond.Invalid, words: "pseudo-version", stricter: true},
		{name: "v2 without its suffix", zip: zipEntries(t, entry{name: "git.example/x@v2.0.0/x.go"}), want: millpond.Invalid, words: "v2"},
		{name: "suffix without v2", zip: zipEntries(t, entry{name: "git.example/x/v2@v1.0.0/x.go"}), want: millpond.Invalid, words: "v2"},
		{name: "two prefixes", zip: zipEntries(t, entry{name: inX + "x.go"}, entry{name: "git.example/y@v1.0.0/x.go"}), want: millpond.Invalid, words: "does not begin with"},
		{name: "two versions", zip: zipEntries(t, entry{name: inX + "x.go"}, entry{name: "git.example/x@v1.0.1/x.go"}), want: millpond.Invalid, words: "does not begin with"},
		{name: "go.mod of another", zip: zipEntries(t, entry{name: inX + "go.mod", body: "module git.example/y\n"}),
			want: millpond.Invalid, words: `"git.example/y"`, stricter: true},
		{name: "go.mod of none", zip: zipEntries(t, entry{name: inX + "go.mod", body: "go 1.21\n"}), want: millpond.Invalid, words: "no module", stricter: true},
		{name: "go.mod that is none", zip: zipEntries(t, entry{name: inX + "go.mod", body: "module (\n"}), want: millpond.Invalid, words: "cannot be read", stricter: true},
		{name: "incompatible with go.mod", zip: zipEntries(t, entry{name: "git.example/x@v2.0.0+incompatible/go.mod", body: goModX}),
			want: millpond.Invalid, words: "+incompatible", stricter: true},
		{name: "go.mod further down", zip: zipEntries(t, entry{name: inX + "a/go.mod"}), want: millpond.Invalid, words: "another module"},
		{name: "GO.MOD", zip: zipEntries(t, entry{name: inX + "GO.MOD"}), want: millpond.Invalid, words: "small letters"},
		{name: "case collision", zip: zipEntries(t, entry{name: inX + "a.go"}, entry{name: inX + "A.go"}), want: millpond.Invalid, words: "collides"},
		{name: "case collision of folders", zip: zipEntries(t, entry{name: inX + "a/x.go"}, entry{name: inX + "A/y.go"}), want: millpond.Invalid, words: "collides"},
		{name: "case collision beyond ASCII", zip: zipEntries(t, entry{name: inX + "k.txt"}, entry{name: inX + "\u212a.txt"}), want: millpond.Invalid, words: "collides"},
		{name: "file twice", zip: zipEntries(t, entry{name: inX + "a.go"}, entry{name: inX + "a.go"}), want: millpond.Invalid, words: "twice"},
		{name: "file and folder", zip: zipEntries(t, entry{name: inX + "a"}, entry{name: inX + "a/b"}), want: millpond.Invalid, words: "a file and a folder"},
		{name: "folder and file", zip: zipEntries(t, entry{name: inX + "a/b"}, entry{name: inX + "a"}), want: millpond.Invalid, words: "a file and a folder"},
		{name: "dots", zip: zipEntries(t, entry{name: inX + "../x.go"}), want: millpond.Invalid, words: "path element"},
		{name: "double slash", zip: zipEntries(t, entry{name: inX + "a//x.go"}), want: millpond.Invalid, words: "clean"},
		{name: "name that Windows keeps", zip: zipEntries(t, entry{name: inX + "aux.go"}), want: millpond.Invalid, words: "aux"},
		{name: "backslash", zip: zipEntries(t, entry{name: inX + `a\b.go`}), want: millpond.Invalid, words: "invalid char"},
		{name: "symlink", zip: zipEntries(t, entry{name: inX + "link", body: "/etc/passwd", mode: fs.ModeSymlink | 0o777}),
			want: millpond.Invalid, words: "links", stricter: true},
		{name: "large go.mod", zip: zipEntries(t, entry{name: inX + "go.mod", body: "x", size: modLimit + 1}), want: millpond.Invalid, words: "no more than"},
		{name: "large LICENSE", zip: zipEntries(t, entry{name: inX + "LICENSE", body: "x", size: licenceLimit + 1}), want: millpond.Invalid, words: "no more than"},
		{name: "large together", zip: zipEntries(t, entry{name: inX + "a", body: "x", size: zipLimit}, entry{name: inX + "b", body: "x", size: 1}),
			want: millpond.TooLarge, words: "500 MB"},
		{name: "size that overflows", zip: zipEntries(t, entry{name: inX + "a", body: "x", size: 1<<64 - 1}, entry{name: inX + "b", body: "xx", size: 2}),
			want: millpond.TooLarge, words: "500 MB"},
		{name: "size that is a lie", zip: zipEntries(t, entry{name: inX + "a", body: "x", size: 7}), want: millpond.Invalid, words: "damaged", stricter: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			z, err := read(t, c.zip)
			if c.want == millpond.Internal {
				if err != nil {
					t.Errorf("got %v; want it taken", err)
				}
			} else if !millpond.Is(err, c.want) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, kind %v; want %v with %q", err, millpond.KindOf(err), c.want, c.words)
			}
			if c.want == millpond.Internal && z.hash == "" {
				t.Errorf("it was taken without a hash: %+v", z)
			}
			name := filepath.Join(t.TempDir(), "m.zip")
			if err := os.WriteFile(name, c.zip, 0o600); err != nil {
				t.Fatal(err)
			}
			m := module.Version{Path: "git.example/x", Version: "v1.0.0"}
			if z != nil {
				m = z.Version
			} else if path, rest, ok := strings.Cut(firstName(c.zip), "@"); ok {
				m.Path = path
				m.Version, _, _ = strings.Cut(rest, "/")
			}
			_, goErr := modzip.CheckZip(m, name)
			if (goErr == nil) != (err == nil || c.stricter) {
				t.Errorf("ours is %v; the go command's is %v", err, goErr)
			}
		})
	}
}

func firstName(b []byte) string {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil || len(z.File) == 0 {
		return ""
	}
	return z.File[0].Name
}

// Whatever is taken, the go command takes too.
func FuzzReadZip(f *testing.F) {
	f.Add(inX+"go.mod", goModX, inX+"x.go", "package x")
	f.Add(inX+"a/b", "", inX+"A", "x")
	f.Add(inX+"\u212a", "", inX+"k/", "")
	f.Add(inX+"vendor/modules.txt", "", inX+"./x", "")
	f.Fuzz(func(t *testing.T, name1, body1, name2, body2 string) {
		if len(name1) > 1<<15 || len(name2) > 1<<15 || strings.HasSuffix(name1, "/") && body1 != "" || strings.HasSuffix(name2, "/") && body2 != "" {
			return
		}
		b := zipEntries(t, entry{name: name1, body: body1}, entry{name: name2, body: body2})
		z, err := read(t, b)
		if err != nil {
			if k := millpond.KindOf(err); k != millpond.Invalid && k != millpond.TooLarge {
				t.Fatalf("%q, %q: %v of kind %v; want Invalid or TooLarge", name1, name2, err, k)
			}
			return
		}
		file := filepath.Join(t.TempDir(), "m.zip")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := modzip.CheckZip(z.Version, file); err != nil {
			t.Fatalf("%q, %q: taken, and the go command says %v", name1, name2, err)
		}
	})
}

func TestHashDigest(t *testing.T) {
	const h1 = "h1:7n0/2I+mCU8Vt5RAUl8Vv5tqOsFFOmlbH9qXPhBrnT4="
	d, err := digestOf(h1)
	if err != nil || d.Algorithm() != "h1" {
		t.Fatalf("digest of %s: %v, %v", h1, d, err)
	}
	f := &millpond.File{Digests: []millpond.Digest{millpond.SHA256([]byte("x")), d}}
	if got := hashOf(f); got != h1 {
		t.Errorf("hash of %v: %q; want %q", f.Digests, got, h1)
	}
	for _, f := range []*millpond.File{nil, {}, {Digests: []millpond.Digest{millpond.SHA256(nil)}}} {
		if got := hashOf(f); got != "" {
			t.Errorf("hash of %v: %q; want none", f, got)
		}
	}
	for _, bad := range []string{"h1:", "h1:AAAA", "h1:§"} {
		if d, err := digestOf(bad); err == nil {
			t.Errorf("digest of %q: %v; want an error", bad, d)
		}
	}
}

func TestZipName(t *testing.T) {
	for path, want := range map[string]string{
		"git.example/team/x": "x@v1.0.0.zip", "git.example/team/x/v2": "x@v1.0.0.zip", "git.example": "git.example@v1.0.0.zip", "gopkg.in/x.v1": "x@v1.0.0.zip",
	} {
		if got := zipName(module.Version{Path: path, Version: "v1.0.0"}); got != want {
			t.Errorf("zip of %s is called %q; want %q", path, got, want)
		}
	}
	if got := fmt.Sprint(unversioned("x").(*millpond.Error).Hint); !strings.Contains(got, "--tag") {
		t.Errorf("hint %q; want --tag in it", got)
	}
}
