package repo_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"testing"
	"time"

	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/repo"
)

// A gated catalog reads takedowns when it is let, and as it is told.
type gated struct {
	*sql.Catalog
	may chan error
}

type gatedTx struct {
	catalog.Tx
	may chan error
}

func (c gated) View(ctx context.Context, f func(catalog.Tx) error) error {
	return c.Catalog.View(ctx, func(tx catalog.Tx) error { return f(gatedTx{tx, c.may}) })
}

func (t gatedTx) Entries(kind, owner string) iter.Seq2[*catalog.Entry, error] {
	if kind == "takedown" {
		if err := <-t.may; err != nil {
			return func(yield func(*catalog.Entry, error) bool) { yield(nil, err) }
		}
	}
	return t.Tx.Entries(kind, owner)
}

// TestStartBesideManyTakedowns: a start does not wait for takedowns that take long to read, and whoever asks meanwhile is not
// served what was taken down, nor anything while they cannot be read.
func TestStartBesideManyTakedowns(t *testing.T) {
	for _, c := range []struct {
		name string
		then []error // of each reading
		want int     // of what was not taken down, asked before they are read
	}{
		{"slow", []error{nil}, http.StatusOK},
		{"ill, then well", []error{errors.New("the disk is slow"), nil}, http.StatusServiceUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			bad, good := r.put("alpha", "1", noise(1, 10*kib)), r.put("beta", "1", noise(2, 10*kib))
			r.hold(bad, good)
			if _, err := r.pond.TakeDown(t.Context(), r.as("alice", "* * *"), repo.Takedown{Format: "pypi", Package: "alpha", Why: "malware"}); err != nil {
				t.Fatal(err)
			}
			r.stop(10 * time.Second)
			may := make(chan error, len(c.then))
			r.wrap = func(real *sql.Catalog) catalog.Catalog { return gated{real, may} }
			r.start() // nothing is read yet
			type answer struct{ bad, good reply }
			got := make(chan answer)
			go func() { got <- answer{r.get(bad.path()), r.get(good.path())} }()
			may <- c.then[0]
			first := <-got
			if want := map[bool]int{true: http.StatusForbidden, false: c.want}[c.want == http.StatusOK]; first.bad.Status != want || first.good.Status != c.want {
				t.Errorf("asked before takedowns were read: got %v of what was taken down, and %v of another; want %d and %d", first.bad, first.good, want, c.want)
			}
			for _, err := range c.then[1:] {
				may <- err
			}
			for until := time.Now().Add(10 * time.Second); r.get(good.path()).Status != http.StatusOK && time.Now().Before(until); {
				time.Sleep(20 * time.Millisecond) // the pond tries again by itself
			}
			if g := r.get(bad.path()); g.Status != http.StatusForbidden {
				t.Errorf("what was taken down: got %v, want 403", g)
			}
			r.good("what was not", r.get(good.path()), good.bytes())
		})
	}
}
