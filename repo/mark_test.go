package repo_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millpond/catalog"
	"millpond/catalog/sql"
)

// slowMark lets the first listing wait that is kept after it was armed.
type slowMark struct {
	catalog.Catalog
	armed   chan struct{} // closed by the test
	waited  atomic.Bool
	held    chan struct{} // closed when it waits
	release chan struct{} // closed by the test
}

func (s *slowMark) PutAnswer(ctx context.Context, a *catalog.Answer) error {
	select {
	case <-s.armed:
	default:
		return s.Catalog.PutAnswer(ctx, a)
	}
	if a.Kind != "package" {
		return s.Catalog.PutAnswer(ctx, a)
	}
	if s.waited.CompareAndSwap(false, true) {
		close(s.held)
		<-s.release
	}
	return s.Catalog.PutAnswer(ctx, a)
}

// TestMarkKeepsTheNewerListing: a listing that came in while a file of the older one was marked as corrupt is the one that stays.
func TestMarkKeepsTheNewerListing(t *testing.T) {
	s := &slowMark{armed: make(chan struct{}), held: make(chan struct{}), release: make(chan struct{})}
	r := newRig(t, func(r *rig) {
		r.wrap = func(c *sql.Catalog) catalog.Catalog { s.Catalog = c; return s }
	})
	e := r.put("alpha", "1.0", noise(1, 1000))
	r.good("index", r.index("alpha"), nil)
	r.up.Order(e.upstream(), "always lie")
	close(s.armed)
	var all sync.WaitGroup
	all.Go(func() { r.do("GET", e.path(), nil) })
	<-s.held
	r.put("alpha", "1.1", noise(2, 1000))
	r.pass(time.Hour)
	read := make(chan struct{})
	go func() {
		defer close(read)
		r.index("alpha")
	}()
	select {
	case <-read:
	case <-time.After(100 * time.Millisecond): // it waits, as it should
	}
	close(s.release)
	all.Wait()
	<-read
	r.up.Refuse()
	if page := r.good("index", r.index("alpha"), nil); !contains(page.Body, "alpha-1.1") {
		t.Errorf("the newer listing is lost: %s", page.Body)
	}
}
