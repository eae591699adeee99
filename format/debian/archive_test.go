package debian

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
)

// deb makes a .deb of a package that installs one file.
func deb(t testing.TB, name, version, arch, more string, variant int) []byte {
	t.Helper()
	text := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: A Person <person@up.example>\n%sDescription: a package\n of the tests\n", name, version, arch, more)
	return debOf(t, "control.tar.gz", tarGz(t, "./control", text), tarGz(t, "./usr/share/"+name+"/data", fmt.Sprintf("%s %s %d\n", name, version, variant)))
}

func debOf(t testing.TB, member string, control, data []byte) []byte {
	t.Helper()
	return ar("debian-binary", []byte("2.0\n"), member, control, "data.tar.gz", data)
}

func ar(members ...any) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for i := 0; i < len(members); i += 2 {
		body := members[i+1].([]byte)
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", members[i], 1577934245, 0, 0, "100644", len(body))
		b.Write(body)
		if len(body)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func tarGz(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		dir := ""
		for _, one := range strings.Split(strings.TrimPrefix(files[i], "./"), "/") {
			if dir != "" {
				if err := w.WriteHeader(&tar.Header{Name: "./" + dir, Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
					t.Fatal(err)
				}
			}
			dir += one + "/"
		}
		if err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packed(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func hexSHA(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

func hexOf(algorithm string, b []byte) string {
	h := millpond.NewHash(algorithm)
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

// An archive is an upstream's suite, laid onto a faulty server.
type archive struct {
	Up     *faulty.Server
	Root   string // "/debian/"
	Suite  string // "dists/stable"
	ByHash bool
	Key    signer // zero leaves it unsigned
	Valid  time.Duration
	NoDist bool   // in place of InRelease, Release and Release.gpg
	More   bool   // lists SHA512 and MD5Sum too
	Says   string // what its Release begins with, in place of Origin and Label

	mu    sync.Mutex
	debs  map[string][]byte // by path
	extra map[string][]byte // further indexes
}

// stanzaOf is the stanza of a .deb, as an archive lists it.
func stanzaOf(t testing.TB, path string, body []byte) string {
	t.Helper()
	var front bytes.Buffer
	c, err := readDeb(bytes.NewReader(bytes.Replace(body, []byte("3.0\n"), []byte("2.0\n"), 1)), &front) // whatever its format says
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	sum := md5.Sum(body)
	return c.text + fmt.Sprintf("Filename: %s\nSize: %d\nMD5sum: %s\nSHA256: %s\n", path, len(body), hex.EncodeToString(sum[:]), hexSHA(body))
}

// Set puts a .deb into the archive, or takes it out if body is nil; Lay lists it.
func (a *archive) Set(path string, body []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.debs == nil {
		a.debs = map[string][]byte{}
	}
	if body == nil {
		delete(a.debs, path)
		return
	}
	a.debs[path] = body
}

// files are the indexes of the suite by their path.
func (a *archive) files(t testing.TB) map[string][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	var packages strings.Builder
	for _, path := range slices.Sorted(maps.Keys(a.debs)) {
		packages.WriteString(stanzaOf(t, path, a.debs[path]) + "\n")
	}
	plain := []byte(packages.String())
	out := map[string][]byte{"main/binary-amd64/Packages": plain, "main/binary-amd64/Packages.gz": packed(t, plain)}
	if isFlat(a.Suite) {
		out = map[string][]byte{"Packages": plain, "Packages.gz": packed(t, plain)}
	}
	maps.Copy(out, a.extra)
	return out
}

// Lay puts the archive onto its server as of a date: pool, indexes and Release.
func (a *archive) Lay(t testing.TB, date time.Time) {
	t.Helper()
	for path, o := range a.Objects(t, date) {
		a.Up.Put(path, o)
	}
}

// Objects are what Lay puts.
func (a *archive) Objects(t testing.TB, date time.Time) map[string]faulty.Object {
	t.Helper()
	out := map[string]faulty.Object{}
	put := func(path string, b []byte) {
		out[a.Root+path] = faulty.Object{Body: b, ETag: `"` + hexSHA(b)[:16] + `"`, Modified: date}
	}
	files := a.files(t)
	a.mu.Lock()
	for path, body := range a.debs {
		put(escape(path), body)
	}
	a.mu.Unlock()
	var r strings.Builder
	fmt.Fprintf(&r, "%sSuite: %s\nCodename: stable\nDate: %s\n", cmp.Or(a.Says, "Origin: Up\nLabel: Up\n"), "stable", date.UTC().Format(time.RFC1123))
	if a.Valid > 0 {
		fmt.Fprintf(&r, "Valid-Until: %s\n", date.Add(a.Valid).UTC().Format(time.RFC1123))
	}
	if a.ByHash {
		r.WriteString("Acquire-By-Hash: yes\n")
	}
	r.WriteString("Architectures: amd64\nComponents: main\nSHA256:\n")
	at := a.Suite + "/"
	if isFlat(a.Suite) {
		at = strings.TrimPrefix(a.Suite, "./")
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		b := files[path]
		fmt.Fprintf(&r, " %s %d %s\n", hexSHA(b), len(b), path)
		put(at+path, b)
		if a.ByHash {
			dir, _ := split(path)
			put(at+join(dir, "by-hash/SHA256/"+hexSHA(b)), b)
		}
	}
	for _, list := range hashFolders {
		if !a.More || list.algorithm == "sha256" || list.algorithm == "sha1" {
			continue
		}
		r.WriteString(list.folder + ":\n")
		for _, path := range slices.Sorted(maps.Keys(files)) {
			sum := hexOf(list.algorithm, files[path])
			fmt.Fprintf(&r, " %s %d %s\n", sum, len(files[path]), path)
			if a.ByHash {
				dir, _ := split(path)
				put(at+join(dir, "by-hash/"+list.folder+"/"+sum), files[path])
			}
		}
	}
	text := []byte(r.String())
	if a.Key.keys == nil {
		put(at+"InRelease", text)
		return out
	}
	in, detached, err := a.Key.sign(text, date)
	if err != nil {
		t.Fatal(err)
	}
	if a.NoDist {
		put(at+"Release", text)
		put(at+"Release.gpg", detached)
	} else {
		put(at+"InRelease", in)
	}
	return out
}

// aKey makes a key.
func aKey(t testing.TB, name string) signer {
	t.Helper()
	b, err := newKey(name, 0, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	s, err := readSigner(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
