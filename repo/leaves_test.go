package repo_test

import (
	"context"
	"testing"

	"millpond"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/repo"
)

// leaver is a catalog whose caller leaves as soon as a change is committed.
type leaver struct {
	catalog.Catalog
	leave func() // nil does nothing
}

func (l *leaver) Update(ctx context.Context, by millpond.Actor, f func(catalog.Tx) error) error {
	err := l.Catalog.Update(ctx, by, f)
	if by.Name == "alice" && l.leave != nil { // the pond has changes of its own
		l.leave()
	}
	return err
}

// What was committed is in force, though whoever asked for it has hung up before it was read back.
func TestWhatIsCommittedIsInForceThoughWhoAskedHasLeft(t *testing.T) {
	l := &leaver{}
	r := newRig(t, func(r *rig) {
		r.wrap = func(c *sql.Catalog) catalog.Catalog { l.Catalog = c; return l }
	})
	master := r.as("alice", "* * *")
	leaving := func(change func(ctx context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		l.leave = cancel
		defer func() { l.leave = nil }()
		if err := change(ctx); err != nil {
			t.Errorf("the change: %v", err)
		}
	}
	down := r.put("down", "1.0", noise(1, kib))
	r.hold(down)
	var taken *repo.Takedown
	leaving(func(ctx context.Context) (err error) {
		taken, err = r.pond.TakeDown(ctx, master, repo.Takedown{Format: "pypi", Package: "down", Why: "it steals keys"})
		return err
	})
	r.want("taken down", r.get(down.path()), 403)
	leaving(func(ctx context.Context) error { return r.pond.LiftTakedown(ctx, master, taken.ID, "it does not") })
	r.good("lifted", r.get(down.path()), down.bytes())

	r.put("acme-tool", "1.0", noise(2, kib))
	leaving(func(ctx context.Context) error { return r.pond.AddClaim(ctx, master, "r", "acme-*", "", false) })
	r.want("claimed", r.index("acme-tool"), 404)
	r.up.Want(t, "/simple/acme-tool/", 0)
	leaving(func(ctx context.Context) error { return r.pond.RemoveClaim(ctx, master, "r", "acme-*") })
	r.good("given up", r.index("acme-tool"), nil)
}
