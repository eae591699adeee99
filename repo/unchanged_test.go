package repo_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"millpond"
	"millpond/blob"
	"millpond/blob/mem"
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
