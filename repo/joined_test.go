package repo_test

import (
	"context"
	"sync/atomic"
	"testing"

	"millpond"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/format"
	"millpond/format/pypi"
)

// A sharing format may take a file's bytes from another package of the same upstream.
type sharing struct{ pypi.Format }

type sharingSource struct{ format.Source }

func (f sharing) Source(r format.Remote) format.Source {
	return sharingSource{f.Format.Source(r)}
}

func (sharingSource) Asks(millpond.Key) format.Asking { return format.Asking{Shared: true} }

// A behind catalog answers one question for a file, after it was armed, as it would have before the file came.
type behind struct {
	catalog.Catalog
	armed atomic.Bool
}

func (c *behind) Holding(ctx context.Context, layer string, k millpond.Key) (*catalog.Holding, error) {
	if c.armed.CompareAndSwap(true, false) {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: k}
	}
	return c.Catalog.Holding(ctx, layer, k)
}

// TestWhoLooksBeforeADownloadEnds: a reader that found no file, whose download ends before it can follow it, has the bytes that
// came; its upstream is not asked about them.
func TestWhoLooksBeforeADownloadEnds(t *testing.T) {
	c := &behind{}
	r := newRig(t, func(r *rig) {
		r.config.Format = sharing{}
		r.wrap = func(real *sql.Catalog) catalog.Catalog { c.Catalog = real; return c }
	})
	e := r.put("alpha", "1.0", noise(1, 300*kib))
	r.good("the file", r.get(e.path()), e.bytes())
	c.armed.Store(true)
	r.good("by who looked before it came", r.get(e.path()), e.bytes())
	if c.armed.Load() {
		t.Error("nobody looked")
	}
	if asked := r.up.Requests(e.upstream()); len(asked) != 1 {
		t.Errorf("the upstream was asked %d times, want once: %v", len(asked), asked)
	}
}
