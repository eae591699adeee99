package repo_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/repo"
)

// late is a catalog whose reader comes late: once armed, the first view after a change does not end until it is let go.
type late struct {
	catalog.Catalog
	mu      sync.Mutex
	armed   bool
	changes int
	held    chan struct{} // closed when a view is being held
	second  chan struct{} // closed when the second change since then is made
	free    chan struct{} // closed to let the view go
}

func (l *late) arm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed, l.changes = true, 0
	l.held, l.second, l.free = make(chan struct{}), make(chan struct{}), make(chan struct{})
}

func (l *late) Update(ctx context.Context, by millpond.Actor, f func(catalog.Tx) error) error {
	err := l.Catalog.Update(ctx, by, f)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changes++; l.changes == 2 && l.second != nil {
		close(l.second)
	}
	return err
}

func (l *late) View(ctx context.Context, f func(catalog.Tx) error) error {
	err := l.Catalog.View(ctx, f)
	l.mu.Lock()
	holds := l.armed && l.changes == 1
	if holds {
		l.armed = false
		close(l.held)
	}
	l.mu.Unlock()
	if holds {
		<-l.free
	}
	return err
}

// TestOlderReadingsReplaceNothing: two people take down, or claim, at once, and what the first has read of it comes late. What
// the second did stands when the second call has returned, and stays.
func TestOlderReadingsReplaceNothing(t *testing.T) {
	l := &late{}
	r := newRig(t, func(r *rig) {
		r.wrap = func(c *sql.Catalog) catalog.Catalog { l.Catalog = c; return l }
	})
	master := r.as("alice", "* * *")
	for name, change := range map[string]func(pkg string) error{
		"takedown": func(pkg string) error {
			_, err := r.pond.TakeDown(t.Context(), master, repo.Takedown{Format: "pypi", Package: pkg, Why: "the test"})
			return err
		},
		"claim": func(pkg string) error { return r.pond.AddClaim(t.Context(), master, "r", pkg, "", true) },
	} {
		first, second := name+"-1", name+"-2"
		for _, pkg := range []string{first, second} {
			r.put(pkg, "1.0", noise(1, 100))
			r.good(name+": before", r.index(pkg), nil)
		}
		l.arm()
		var both sync.WaitGroup
		both.Go(func() {
			if err := change(first); err != nil {
				t.Errorf("%s of %s: %v", name, first, err)
			}
		})
		<-l.held
		done := make(chan struct{})
		both.Go(func() {
			defer close(done)
			if err := change(second); err != nil {
				t.Errorf("%s of %s: %v", name, second, err)
			}
		})
		<-l.second
		select {
		case <-done:
		case <-time.After(100 * time.Millisecond): // it waits for the first
		}
		close(l.free)
		both.Wait()
		for _, pkg := range []string{first, second} {
			if a := r.index(pkg); contains(a.Body, "1.0-py3") {
				t.Errorf("%s of %s has returned, and its index lists it: %s", name, pkg, a)
			}
		}
	}
}
