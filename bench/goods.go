package main

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// goods are what an upstream has: named by what they are, made when first asked for, kept as files.
//
//	/simple/file-SIZE-SALT/   a project with one wheel of so many bytes, and its metadata
//	/simple/page-FILES/       a project with so many files, of which none can be had
//	/npm/pkg-VERSIONS-BYTES   a package with so many versions, described by so many bytes each; all tarballs are 20 KiB
//	/cargo/                   a sparse index of the crates crate-VERSIONS
//	/gems/                    a compact index of 200,000 gems
//	/maven/bench/lib-VERSIONS an artifact with so many versions; each has a POM, and a jar of 1 MiB
//	/layer/N/bench/lib-COUNT-SALT  the metadata of an artifact, of which the N-th layer has so many versions, the later half its own
//	/v2/bench/image-LAYERS-BYTES-SALT an image; its blobs are there once its manifest was asked for
//	/debian/                  an archive with one suite and one package
//	/go/bench.example/NAME    a module with the one version v1.0.0 and a zip of BYTES if NAME is mod-BYTES-SALT
type goods struct {
	dir   string
	mu    sync.Mutex // guards what follows, and is held while a file is made
	files map[string]*made
	begun int
}

type made struct {
	name   string // of the file
	kind   string // its Content-Type
	tag    string
	at     time.Time
	sha256 string
	size   int64
}

var published = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC) // never changed

// get returns what is at a path; host is what documents that need absolute addresses name.
func (g *goods) get(path, host string) (*made, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.locked(path, host)
}

func (g *goods) locked(path, host string) (*made, error) {
	if m := g.files[path]; m != nil {
		return m, nil
	}
	g.begun++
	m := &made{name: filepath.Join(g.dir, fmt.Sprintf("good-%d", g.begun)), at: published}
	f, err := os.Create(m.name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<20)
	if m.kind, err = g.write(w, path, host); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m.size, m.sha256 = info.Size(), hex.EncodeToString(sum.Sum(nil))
	m.tag = `"` + m.sha256[:16] + `"`
	g.files[path] = m
	return m, nil
}

// write makes what is at a path, and says of what type it is.
func (g *goods) write(w io.Writer, path, host string) (kind string, err error) {
	var size, n int64
	var salt string
	switch {
	case scan(path, "/files/file_%d_%s", &size, &salt):
		if strings.HasSuffix(salt, ".metadata") {
			project := fmt.Sprintf("file-%d-%s", size, strings.TrimSuffix(salt, "-1.0-py3-none-any.whl.metadata"))
			_, err = fmt.Fprintf(w, "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n\n%s", project, words(1, 2000))
			return "application/octet-stream", err
		}
		_, err = io.CopyN(w, &pattern{newBlock(strings.TrimSuffix(salt, "-1.0-py3-none-any.whl")), 0}, size)
		return "application/octet-stream", err
	case scan(path, "/simple/file-%d-%s", &size, &salt):
		return "application/vnd.pypi.simple.v1+json", g.writeProject(w, size, strings.TrimSuffix(salt, "/"), host)
	case scan(path, "/simple/page-%d/", &n):
		return "application/vnd.pypi.simple.v1+json", writePage(w, int(n))
	case strings.HasSuffix(path, ".tgz"):
		_, err = w.Write(tarball())
		return "application/octet-stream", err
	case scan(path, "/npm/pkg-%d-%d", &n, &size):
		return "application/json", writePackument(w, strings.TrimPrefix(path, "/npm/"), int(n), int(size), host)
	case scan(path, "/maven/bench/lib-%d/", &n):
		return writeArtifact(w, path, int(n))
	case scan(path, "/layer/%d/bench/lib-%d-%s", &n, &size, &salt) && strings.HasSuffix(salt, "/maven-metadata.xml"):
		return "application/xml", writeLayer(w, strings.Split(path, "/")[4], int(n*size/2), int(size))
	case scan(path, "/pear/rest/r/list_%d/%s", &n, &salt):
		return "text/xml", writeReleases(w, int(n), salt)
	case path == "/cargo/config.json":
		_, err = fmt.Fprintf(w, `{"dl":"http://%s/crates"}`, host)
		return "application/json", err
	case strings.HasPrefix(path, "/cargo/cr/at/crate-"):
		return "text/plain", writeCrateIndex(w, strings.TrimPrefix(path, "/cargo/cr/at/"))
	case strings.HasPrefix(path, "/gems/"):
		return writeGems(w, path)
	case path == "/v2/":
		_, err = io.WriteString(w, "{}")
		return "application/json", err
	case scan(path, "/layers/%d/%s", &size, &salt):
		_, err = io.CopyN(w, &pattern{newBlock(salt), 0}, size)
		return "application/octet-stream", err
	case strings.HasPrefix(path, "/v2/"):
		return g.writeImage(w, path, host)
	case strings.HasPrefix(path, "/debian/"):
		return g.writeArchive(w, strings.TrimPrefix(path, "/debian/"), host)
	case strings.HasPrefix(path, "/go/"):
		return writeModule(w, strings.TrimPrefix(path, "/go/"))
	}
	return "", fmt.Errorf("there is no %s", path)
}

func scan(path, format string, into ...any) bool {
	n, err := fmt.Sscanf(path, format, into...)
	return err == nil && n == len(into)
}

// A block is what the bytes of a large file repeat. Its length is odd, so that bytes out of place are seen.
type block []byte

func newBlock(salt string) block {
	b := make(block, 1<<20+4093)
	seed := sha256.Sum256([]byte(salt))
	rand.NewChaCha8(seed).Read(b)
	copy(b, "PK\x03\x04") // what a wheel begins with
	return b
}

// check compares bytes that came with those that belong there.
func (b block) check(off int64, got []byte) error {
	for len(got) > 0 {
		want := b[off%int64(len(b)):]
		n := min(len(want), len(got))
		if !bytes.Equal(want[:n], got[:n]) {
			return fmt.Errorf("wrong bytes after %d", off)
		}
		got, off = got[n:], off+int64(n)
	}
	return nil
}

// A pattern reads a block again and again.
type pattern struct {
	block
	off int64
}

func (p *pattern) Read(b []byte) (int, error) {
	n := copy(b, p.block[p.off%int64(len(p.block)):])
	p.off += int64(n)
	return n, nil
}

func wheelName(size int64, salt string) string {
	return fmt.Sprintf("file_%d_%s-1.0-py3-none-any.whl", size, salt)
}

func (g *goods) writeProject(w io.Writer, size int64, salt, host string) error {
	name := wheelName(size, salt)
	file, err := g.locked("/files/"+name, host)
	if err != nil {
		return err
	}
	meta, err := g.locked("/files/"+name+".metadata", host)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(map[string]any{
		"meta": map[string]any{"api-version": "1.1"}, "name": fmt.Sprintf("file-%d-%s", size, salt), "versions": []string{"1.0"},
		"files": []any{pageFile(name, size, file.sha256, meta.sha256)},
	})
}

func pageFile(name string, size int64, sum, meta string) map[string]any {
	return map[string]any{
		"filename": name, "url": "../../files/" + name, "size": size, "hashes": map[string]string{"sha256": sum},
		"core-metadata": map[string]string{"sha256": meta}, "requires-python": ">=3.9", "yanked": false,
		"upload-time": published.Format("2006-01-02T15:04:05.000000Z"),
	}
}

// writePage writes a page like those of projects that release wheels each night: 20 files a version.
func writePage(w io.Writer, n int) error {
	var files []any
	var versions []string
	random := rand.NewChaCha8([32]byte{1})
	for i := range n {
		version := fmt.Sprintf("1.%d.0", i/20)
		if i%20 == 0 {
			versions = append(versions, version)
		}
		sum := make([]byte, 64)
		random.Read(sum)
		name := fmt.Sprintf("page_%d-%s-cp3%d-cp3%d-manylinux_2_%d_x86_64.whl", n, version, i%20, i%20, i%20)
		files = append(files, pageFile(name, 1_000_000+int64(i), hex.EncodeToString(sum[:32]), hex.EncodeToString(sum[32:])))
	}
	return json.NewEncoder(w).Encode(map[string]any{
		"meta": map[string]any{"api-version": "1.1"}, "name": fmt.Sprintf("page-%d", n), "versions": versions, "files": files,
	})
}

// words is text of a size that packs about as well as a description does.
func words(seed uint64, size int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	for b.Len() < size {
		for range 2 + r.IntN(8) {
			b.WriteByte(byte('a' + r.IntN(20)))
		}
		b.WriteByte(' ')
	}
	return b.String()[:size]
}

// tarball is the one tarball that all versions have.
var tarball = sync.OnceValue(func() []byte {
	noise := make([]byte, 20_000)
	rand.NewChaCha8([32]byte{2}).Read(noise)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	t := tar.NewWriter(z)
	for name, body := range map[string][]byte{"package/index.js": noise} {
		t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body)), ModTime: published}) // a buffer takes all
		t.Write(body)
	}
	t.Close()
	z.Close()
	return b.Bytes()
})

// writePackument writes a package of so many versions. A quarter of what describes a version is what installers ask for.
func writePackument(w io.Writer, name string, n, size int, host string) error {
	long, short := sha512.Sum512(tarball()), sha1.Sum(tarball())
	versions, times := map[string]any{}, map[string]string{}
	latest := ""
	for i := range n {
		version := fmt.Sprintf("1.%d.%d", i/10, i%10)
		needs := map[string]string{}
		for j := range max(1, size/200) {
			needs[fmt.Sprintf("dependency-%d-%d", i%7, j)] = fmt.Sprintf("^%d.%d.0", j, i%50)
		}
		versions[version] = map[string]any{
			"name": name, "version": version, "license": "MIT", "main": "index.js", "dependencies": needs,
			"engines": map[string]string{"node": ">=18"}, "description": words(uint64(i), size/2), "_nodeVersion": "20.1.0",
			"maintainers": []any{map[string]string{"name": "someone", "email": "someone@example.invalid"}},
			"dist": map[string]any{
				"tarball":   fmt.Sprintf("http://%s/npm/%s/-/%s-%s.tgz", host, name, name, version),
				"integrity": "sha512-" + base64.StdEncoding.EncodeToString(long[:]), "shasum": hex.EncodeToString(short[:]),
				"fileCount": 2, "unpackedSize": 20_100,
			},
		}
		times[version], latest = published.Add(time.Duration(i)*time.Hour).Format("2006-01-02T15:04:05.000Z"), version
	}
	times["created"], times["modified"] = times["1.0.0"], times[latest]
	return json.NewEncoder(w).Encode(map[string]any{
		"_id": name, "name": name, "dist-tags": map[string]string{"latest": latest}, "versions": versions, "time": times,
	})
}

// writeArtifact writes one file of an artifact, or its metadata.
func writeArtifact(w io.Writer, path string, n int) (kind string, err error) {
	switch {
	case strings.HasSuffix(path, "/maven-metadata.xml"):
		_, err = fmt.Fprintf(w, "<metadata><groupId>bench</groupId><artifactId>lib-%d</artifactId><versioning><versions>", n)
		for i := 0; i < n && err == nil; i++ {
			_, err = fmt.Fprintf(w, "<version>1.%d.%d</version>", i/10, i%10)
		}
		_, err = io.WriteString(w, "</versions><lastUpdated>20200102030405</lastUpdated></versioning></metadata>")
		return "application/xml", err
	case strings.HasSuffix(path, ".pom"):
		_, err = fmt.Fprintf(w, "<project><modelVersion>4.0.0</modelVersion><description>%s</description></project>\n", words(uint64(n), 4000))
		return "application/xml", err
	case strings.HasSuffix(path, ".jar"):
		_, err = io.CopyN(w, &pattern{newBlock("jar"), 0}, 1<<20)
		return "application/java-archive", err
	}
	return "", fmt.Errorf("there is no %s", path)
}

// writeLayer writes the metadata of n versions of an artifact, from one on.
func writeLayer(w io.Writer, artifact string, from, n int) error {
	_, err := fmt.Fprintf(w, "<metadata><groupId>bench</groupId><artifactId>%s</artifactId><versioning><versions>", artifact)
	for i := from; i < from+n && err == nil; i++ {
		_, err = fmt.Fprintf(w, "<version>1.%d</version>", i)
	}
	if err == nil {
		_, err = io.WriteString(w, "</versions><lastUpdated>20200102030405</lastUpdated></versioning></metadata>")
	}
	return err
}

// writeCrateIndex writes the lines of a crate, "crate-VERSIONS".
func writeCrateIndex(w io.Writer, name string) error {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "crate-"))
	for i := 0; i < n && err == nil; i++ {
		version := fmt.Sprintf("1.%d.0", i)
		_, err = fmt.Fprintf(w, `{"name":%q,"vers":%q,"deps":[{"name":"other","req":"^1","features":[],"optional":false,"default_features":true,"target":null,"kind":"normal"}],"cksum":"%x","features":{},"yanked":false}`+"\n",
			name, version, sha256.Sum256([]byte(version)))
	}
	return err
}

// writeModule writes one file of a module.
func writeModule(w io.Writer, path string) (kind string, err error) {
	module, file, _ := strings.Cut(path, "/@v/")
	var size int64
	var salt string
	scan(module[strings.LastIndexByte(module, '/')+1:], "mod-%d-%s", &size, &salt)
	text := fmt.Sprintf("module %s\n\ngo 1.24\n\n// %s\n", module, words(uint64(size), 400))
	switch file {
	case "list":
		_, err = io.WriteString(w, "v1.0.0\n")
	case "v1.0.0.info":
		_, err = fmt.Fprintf(w, `{"Version":"v1.0.0","Time":%q}`, published.Format(time.RFC3339))
		return "application/json", err
	case "v1.0.0.mod":
		_, err = io.WriteString(w, text)
	case "v1.0.0.zip":
		z := zip.NewWriter(w)
		for name, body := range map[string]io.Reader{"go.mod": strings.NewReader(text), "data.bin": io.LimitReader(&pattern{newBlock(salt), 0}, size)} {
			f, err := z.CreateHeader(&zip.FileHeader{Name: module + "@v1.0.0/" + name, Method: zip.Store, Modified: published})
			if err != nil {
				return "", err
			}
			if _, err := io.Copy(f, body); err != nil {
				return "", err
			}
		}
		return "application/zip", z.Close()
	default:
		return "", fmt.Errorf("there is no %s", path)
	}
	return "text/plain; charset=utf-8", err
}

// writeReleases writes the list of n releases of a PEAR package, or the document of one.
func writeReleases(w io.Writer, n int, file string) error {
	const channel = "pear.bench.example"
	if version, ok := strings.CutSuffix(file, ".xml"); ok && file != "allreleases.xml" && file != "allreleases2.xml" {
		_, err := fmt.Fprintf(w, "<r><p>list_%[1]d</p><c>%[2]s</c><v>%[3]s</v><st>stable</st><d>%[4]s</d><da>2020-01-02 03:04:05</da><g>http://%[2]s/get/list_%[1]d-%[3]s</g></r>\n",
			n, channel, version, words(1, 3000))
		return err
	}
	if _, err := fmt.Fprintf(w, "<a><p>list_%d</p><c>%s</c>\n", n, channel); err != nil {
		return err
	}
	for i := n; i > 0; i-- {
		if _, err := fmt.Fprintf(w, "<r><v>1.%d.0</v><s>stable</s><m>5.2.0</m></r>\n", i); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "</a>\n")
	return err
}
