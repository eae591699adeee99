package repo_test

import (
	"context"
	"net/http"
	"testing"

	"millpond"
	"millpond/format"
	"millpond/format/pypi"
)

// jumpy is a format that panics on the page of one package.
type jumpy struct{ pypi.Format }

func (j jumpy) Source(r format.Remote) format.Source { return jumpySource{j.Format.Source(r)} }

type jumpySource struct{ format.Source }

func (s jumpySource) Package(ctx context.Context, name string) (*millpond.Package, error) {
	if name == "alpha" {
		panic("a page that nobody expected")
	}
	return s.Source.Package(ctx, name)
}

// A page on which its format panics is one package's error, to all who ask for it, and the pond goes on.
func TestAPageThatPanics(t *testing.T) {
	r := newRig(t, func(r *rig) { r.config.Format = jumpy{} })
	r.put("alpha", "1.0", noise(1, kib))
	e := r.put("beta", "1.0", noise(2, kib))
	for range 2 {
		r.want("the page that panics", r.get("/r/simple/alpha/"), http.StatusInternalServerError)
	}
	r.good("another", r.index("beta"), nil)
	r.good("its file", r.get(e.path()), e.bytes())
}
