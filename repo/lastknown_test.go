package repo_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/fetch/faulty"
	"millpond/repo"
)

// A counting catalog counts questions by kind.
type counting struct {
	*sql.Catalog
	mu    sync.Mutex // guards asked
	asked map[string]int
}

func (c *counting) note(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[kind]++
}

func (c *counting) Answer(ctx context.Context, q catalog.Question) (*catalog.Answer, error) {
	c.note(q.Kind)
	return c.Catalog.Answer(ctx, q)
}

func (c *counting) PutAnswer(ctx context.Context, a *catalog.Answer) error {
	c.note("put " + a.Kind)
	return c.Catalog.PutAnswer(ctx, a)
}

// of is how often a kind was asked for since it was asked here last.
func (c *counting) of(kind string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.asked[kind]
	c.asked[kind] = 0
	return n
}

func counted(c *counting) func(*rig) {
	c.asked = map[string]int{}
	return func(r *rig) { r.wrap = func(real *sql.Catalog) catalog.Catalog { c.Catalog = real; return c } }
}

// TestFilesThatComeChangeNoListing: a file that has come is held from then on, and what readers see of its package is not put
// together anew for the next file.
func TestFilesThatComeChangeNoListing(t *testing.T) {
	c := &counting{}
	r := newRig(t, counted(c))
	versions := []string{"1.0", "2.0", "3.0", "4.0"}
	for i, v := range versions {
		r.put("alpha", v, noise(uint64(i), 10*kib))
	}
	to := r.ours("r")
	if _, err := to.Package(t.Context(), "alpha"); err != nil {
		t.Fatal(err)
	}
	for i, v := range versions {
		c.of("package")
		if _, err := bodyOf(t, to, "alpha", v); err != nil {
			t.Fatal(err)
		}
		if n := c.of("package"); n > 0 {
			t.Errorf("the listing was read %d times to open %s, want none", n, v)
		}
		held, err := to.Held().Package(t.Context(), "alpha")
		if err != nil || len(held.Versions) != i+1 {
			t.Fatalf("after %d files %d versions are held, %v", i+1, len(held.Versions), err)
		}
	}
}

// TestTarballsAreFoundOnce: who asks for a tarball of npm, with the integrity that a lock file has, is answered from the listing
// that it was found in: what is held of the package is not put together for it, and a held file is a hit though the listing is
// old.
func TestTarballsAreFoundOnce(t *testing.T) {
	c := &counting{}
	r := newRig(t, asNPM, counted(c))
	var doc bytes.Buffer
	doc.WriteString(`{"name":"alpha","dist-tags":{"latest":"1.0.0"},"versions":{`)
	var integrity []string
	for i := range 3 {
		var tgz bytes.Buffer
		z := gzip.NewWriter(&tgz)
		z.Write(noise(uint64(i), 20*kib))
		z.Close()
		sum := sha512.Sum512(tgz.Bytes())
		integrity = append(integrity, "sha512-"+base64.StdEncoding.EncodeToString(sum[:]))
		if i > 0 {
			doc.WriteByte(',')
		}
		fmt.Fprintf(&doc, `"1.0.%d":{"name":"alpha","version":"1.0.%d","dist":{"tarball":"%s/alpha/-/alpha-1.0.%d.tgz","integrity":%q}}`, i, i, r.up.URL, i, integrity[i])
		r.up.Put(fmt.Sprintf("/alpha/-/alpha-1.0.%d.tgz", i), faulty.Object{Body: tgz.Bytes()})
	}
	doc.WriteString(`}}`)
	r.up.Put("/alpha", faulty.Object{Body: doc.Bytes(), Type: "application/json"})
	of := r.ours("r")
	get := func(i int, integrity string) (status int, result string) {
		trace := &repo.Trace{}
		q := httptest.NewRequest("GET", fmt.Sprintf("/alpha/-/alpha-1.0.%d.tgz", i), nil).WithContext(repo.WithTrace(t.Context(), trace))
		q.Header.Set("Pacote-Integrity", integrity)
		w := httptest.NewRecorder()
		r.config.Format.Handler(of).ServeHTTP(w, q)
		return w.Code, trace.Result
	}
	for i := range 3 {
		if status, result := get(i, integrity[i]); status != 200 || result != "miss" {
			t.Fatalf("file %d: %d, a %s", i, status, result)
		}
	}
	if n := c.of("held view") + c.of("put held view"); n > 0 {
		t.Errorf("what is held was put together %d times for three files, want never", n)
	}
	if status, _ := get(1, integrity[2]); status != 409 {
		t.Errorf("with another file's integrity: %d, want 409", status)
	}
	r.pass(time.Hour)
	if status, result := get(0, integrity[0]); status != 200 || result != "hit" {
		t.Errorf("held, and the listing an hour old: %d, a %s; want 200, a hit", status, result)
	}
	if c.of("held view") > 0 {
		t.Error("what is held was put together for a held file")
	}
	if _, err := of.Open(t.Context(), millpond.Key{Package: "alpha", File: "alpha-9.9.9.tgz"}); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("a file that nobody lists: %v", err)
	}
}
