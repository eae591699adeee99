package maven

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"millpond"
	"millpond/blob/disk"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/repo"
)

var long = flag.Bool("long", false, "put an artifact of 5 GiB, and read it through")

// everything is what an owner may.
type everything struct{}

func (everything) May(millpond.Verb, string, string) bool { return true }
func (everything) Scope(millpond.Verb, string) string     { return "*" }
func (e everything) Now(catalog.Tx) (repo.Rights, error)  { return e, nil }

// A meter sees the most memory that is in use while bytes pass, by looking now and then.
type meter struct{ passed, looked, most int64 }

func (m *meter) pass(n int) {
	if m.passed += int64(n); m.passed-m.looked < 16<<20 && m.looked > 0 {
		return
	}
	m.looked = m.passed
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	m.most = max(m.most, int64(now.HeapInuse))
}

// pattern is so many bytes, of which each MiB is another.
type pattern struct {
	at, size int64
	sum      hash.Hash
	m        *meter
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.size-p.at, 1<<20-p.at%(1<<20)))
	for i := range b[:n] {
		b[i] = byte(p.at >> 20)
	}
	p.at += int64(n)
	p.sum.Write(b[:n])
	p.m.pass(n)
	return n, nil
}

// TestLargeArtifact: an artifact is put, read from its middle, and read through by another repository, in memory that its size
// has no part in. With -long it has 5 GiB, which is more than 32 bits count.
func TestLargeArtifact(t *testing.T) {
	size := int64(40 << 20)
	if *long {
		size = 5<<30 + 1
	}
	dir := t.TempDir()
	blobs, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	records, err := sql.Open(t.Context(), dir, sql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	pond, err := repo.New(t.Context(), repo.Parts{Blobs: blobs, Catalog: records, Fetch: &fetch.Engine{Blobs: blobs}})
	if err != nil {
		t.Fatal(err)
	}
	defer pond.Close(context.WithoutCancel(t.Context()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, rest, _ := strings.Cut(r.URL.Path[1:], "/")
		inner := r.Clone(r.Context())
		inner.URL.Path = "/" + rest
		Format{}.Handler(pond.Repository(name).For(repo.Caller{Actor: millpond.Actor{Name: "ann"}, Rights: everything{}})).ServeHTTP(w, inner)
	}))
	defer server.Close()
	at, err := url.Parse(server.URL + "/here/")
	if err != nil {
		t.Fatal(err)
	}
	if err := pond.Configure(t.Context(), repo.Settings{}, []repo.Config{
		{Name: "here", Format: Format{}, Public: true},
		{Name: "through", Format: Format{}, Public: true, Upstreams: []repo.Upstream{{Settings: fetch.Settings{Name: "here", URL: at}}}},
	}); err != nil {
		t.Fatal(err)
	}
	do := func(method, path string, body io.Reader, header ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		if p, ok := body.(*pattern); ok {
			r.ContentLength = p.size
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode > 299 {
			why, _ := io.ReadAll(resp.Body)
			t.Fatalf("%s %s: got %s %s", method, path, resp.Status, why)
		}
		return resp
	}
	m := new(meter)
	m.pass(0)
	before := m.most
	const file = "/com/acme/image/1.0/image-1.0.raw"
	do("PUT", "/here/com/acme/image/1.0/image-1.0.pom", strings.NewReader(string(pomOf("com.acme:image", "1.0", "<packaging>raw</packaging>")))).Body.Close()
	sent := &pattern{size: size, sum: sha256.New(), m: m}
	do("PUT", "/here"+file, sent).Body.Close()
	want := hex.EncodeToString(sent.sum.Sum(nil))
	for _, name := range []string{"through", "here"} {
		resp := do("GET", "/"+name+file, nil)
		sum := sha256.New()
		n, err := io.Copy(io.MultiWriter(sum, writer(m.pass)), resp.Body)
		resp.Body.Close()
		if got := hex.EncodeToString(sum.Sum(nil)); n != size || got != want || err != nil || resp.ContentLength != size {
			t.Errorf("%s: got %d bytes of %d, %v, with the sha256 %s, want %d with %s", name, n, resp.ContentLength, err, got, size, want)
		}
		from := size - size/5 - 3
		resp = do("GET", "/"+name+file, nil, "Range", fmt.Sprintf("bytes=%d-%d", from, from+6))
		part, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		expect := make([]byte, 7)
		for i := range expect {
			expect[i] = byte((from + int64(i)) >> 20)
		}
		if string(part) != string(expect) || err != nil {
			t.Errorf("%s from %d: got %q, %v, want %q", name, from, part, err, expect)
		}
		resp = do("GET", "/"+name+file+".sha256", nil)
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(text) != want || err != nil {
			t.Errorf("%s: its sha256 is %q, %v, want %s", name, text, err, want)
		}
	}
	grown := m.most - before
	t.Logf("with an artifact of %d MiB the heap grew by %d MiB", size>>20, grown>>20)
	if most := int64(24 << 20); grown > most {
		t.Errorf("want %d MiB at most", most>>20)
	}
}

// writer is a function as an io.Writer.
type writer func(int)

func (w writer) Write(b []byte) (int, error) { w(len(b)); return len(b), nil }
