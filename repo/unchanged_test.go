package repo_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/mem"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/fetch/faulty"
)

// opens counts how often blobs are opened.
type opens struct {
	blob.Store
	n atomic.Int64
}

func (o *opens) Open(ctx context.Context, d millpond.Digest, off, n int64) (io.ReadCloser, error) {
	o.n.Add(1)
	return o.Store.Open(ctx, d, off, n)
}

// TestAnotherTagOfTheSameDocument: an upstream that gives the same text another tag is asked with that one from then on, and
// need not send the text again.
func TestAnotherTagOfTheSameDocument(t *testing.T) {
	r := newRig(t)
	r.put("alpha", "1.0", noise(1, 3000))
	want := r.good("index", r.index("alpha"), nil).Body
	text, err := io.ReadAll(io.LimitReader(get(t, r.up.URL+"/simple/alpha/"), 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{`"another"`, `"a third"`} {
		r.up.Put("/simple/alpha/", faulty.Object{Body: text, Type: "application/vnd.pypi.simple.v1+json", ETag: tag})
		r.up.Forget()
		for range 2 {
			r.pass(time.Hour)
			r.good("index", r.index("alpha"), want)
		}
		asked := r.up.Requests("/simple/alpha/")
		if len(asked) != 2 || asked[0].Header.Get("If-None-Match") == tag || asked[1].Header.Get("If-None-Match") != tag {
			t.Errorf("after the tag has become %s the upstream was asked %d times, last for what is not %q", tag, len(asked), asked[len(asked)-1].Header.Get("If-None-Match"))
		}
	}
}

// get is the body of what an upstream has.
func get(t *testing.T, url string) io.Reader {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp.Body
}

// TestUnchangedLargeDocument: who has a large document already is told so without its bytes being opened.
func TestUnchangedLargeDocument(t *testing.T) {
	store := &opens{}
	r := newRig(t, func(r *rig) {
		store.Store = &mem.Store{Now: r.now}
		r.blobs = store
	})
	var last entry
	for i := range 600 {
		last = entry{pkg: "alpha", version: fmt.Sprintf("1.%d", i), sum: millpond.SHA256([]byte{byte(i), byte(i >> 8)}), published: began.AddDate(-1, 0, 0)}
		r.pages["alpha"] = append(r.pages["alpha"], last)
	}
	r.page("alpha")
	first := r.good("index", r.index("alpha"), nil)
	if len(first.Body) <= 64<<10 {
		t.Fatalf("the index has %d bytes; the test needs one that memory does not keep", len(first.Body))
	}
	ask := func(tag string) reply {
		return r.do("GET", "/r/simple/alpha/", http.Header{"Accept": {"application/vnd.pypi.simple.v1+json"}, "If-None-Match": {tag}})
	}
	before := store.n.Load()
	r.want("index that the client has", ask(first.Header.Get("Etag")), http.StatusNotModified)
	r.want("index that the client has, among others", ask(`"other", `+first.Header.Get("Etag")), http.StatusNotModified)
	if n := store.n.Load() - before; n != 0 {
		t.Errorf("%d blobs were opened for two answers without a body", n)
	}
	r.good("index where the client has another", ask(`"other"`), first.Body)
	if n := store.n.Load() - before; n != 1 {
		t.Errorf("%d blobs were opened for one body, want 1", n)
	}
}

// listings counts how often a package's kept listing was read.
type listings struct {
	catalog.Catalog
	n atomic.Int64
}

func (l *listings) Answer(ctx context.Context, q catalog.Question) (*catalog.Answer, error) {
	if q.Kind == "package" {
		l.n.Add(1)
	}
	return l.Catalog.Answer(ctx, q)
}

// TestColdListingIsBuiltOnce: what was built from a listing that has just come in is what the next reader sees, unless
// something else has changed meanwhile.
func TestColdListingIsBuiltOnce(t *testing.T) {
	count := &listings{}
	r := newRig(t, func(r *rig) {
		r.wrap = func(c *sql.Catalog) catalog.Catalog { count.Catalog = c; return count }
	})
	r.put("alpha", "1.0", noise(1, 1000))
	first := r.good("cold index", r.index("alpha"), nil)
	if n := count.n.Load(); n != 1 {
		t.Errorf("a cold index looked for the kept listing %d times, want once", n)
	}
	r.good("warm index", r.index("alpha"), first.Body)
	if n := count.n.Load(); n != 1 {
		t.Errorf("a warm index looked for the kept listing %d times more, want none", n-1)
	}
	r.put("alpha", "1.1", noise(2, 1000))
	r.pass(time.Hour)
	if again := r.good("later index", r.index("alpha"), nil); !contains(again.Body, "alpha-1.1") {
		t.Errorf("the index does not show what its upstream has by now: %s", again.Body)
	}
	if n := count.n.Load(); n != 2 {
		t.Errorf("an index that had to be read anew looked for the kept listing %d times, want once", n-1)
	}
}
