package repo_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/repo"
)

// A forgetful catalog cannot read takedowns back a number of times.
type forgetful struct {
	catalog.Catalog
	times atomic.Int64
}

type forgetfulTx struct {
	catalog.Tx
	of *forgetful
}

func (c *forgetful) View(ctx context.Context, f func(catalog.Tx) error) error {
	return c.Catalog.View(ctx, func(tx catalog.Tx) error { return f(forgetfulTx{tx, c}) })
}

func (t forgetfulTx) Entries(kind, after string) iter.Seq2[*catalog.Entry, error] {
	if kind == "takedown" && t.of.times.Add(-1) >= 0 {
		return func(yield func(*catalog.Entry, error) bool) { yield(nil, errors.New("the disk is slow")) }
	}
	return t.Tx.Entries(kind, after)
}

// TestTakedownThatCannotBeReadBack: what was committed is in force a moment later though it could not be read back at once,
// whoever asked for it, and nobody asks again: to a feed it is done.
func TestTakedownThatCannotBeReadBack(t *testing.T) {
	c := &forgetful{}
	r := newRig(t, func(r *rig) {
		r.wrap = func(real *sql.Catalog) catalog.Catalog { c.Catalog = real; return c }
	})
	master := r.as("alice", "* * *")
	e := r.put("alpha", "1.0", noise(1, kib))
	r.hold(e)
	soon := func(what string, status int) {
		t.Helper()
		for until := time.Now().Add(20 * time.Second); r.get(e.path()).Status != status; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("%s: still %d, want %d", what, r.get(e.path()).Status, status)
			}
		}
	}
	c.times.Store(2)
	if _, err := r.pond.TakeDown(t.Context(), master, repo.Takedown{Format: "pypi", Package: "alpha", Why: "it steals keys"}); err == nil {
		t.Error("a takedown that is not in force yet: no error")
	}
	soon("taken down by hand", http.StatusForbidden)
	all, err := r.pond.Takedowns(t.Context(), master)
	if err != nil || len(all) != 1 {
		t.Fatalf("takedowns %+v, %v; want one", all, err)
	}
	c.times.Store(1)
	if err := r.pond.LiftTakedown(t.Context(), master, all[0].ID, "it does not"); err == nil {
		t.Error("one that is lifted, and in force still: no error")
	}
	soon("lifted", http.StatusOK)

	record := repo.Advice{ID: "MAL-1", Affected: []repo.AdviceOf{{Ecosystem: "PyPI", Package: "alpha"}}}
	records := func(yield func(*repo.Advice, error) bool) { yield(&record, nil) }
	c.times.Store(1)
	if _, err := r.pond.TakeAdvice(t.Context(), "feed osv", records); err == nil {
		t.Error("a feed's takedown that is not in force yet: no error")
	}
	if got, err := r.pond.TakeAdvice(t.Context(), "feed osv", records); err != nil || got != (repo.Advised{}) {
		t.Errorf("the feed once more: %+v, %v; want that nothing is left to do", got, err)
	}
	soon("taken down by a feed", http.StatusForbidden)
	if _, err := bodyOf(t, r.ours("r"), "alpha", "1.0"); !millpond.Is(err, millpond.Blocked) {
		t.Errorf("its file: %v, want blocked", err)
	}
}
