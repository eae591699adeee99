package repo_test

import (
	"context"
	"iter"
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

// slowHeld lets the first look at what is held of a package wait that comes after it was armed: a listing that has come from
// its upstream is compared with what is held before it takes the place of the kept one.
type slowHeld struct {
	catalog.Catalog
	mu      sync.Mutex
	armed   bool
	held    chan struct{} // closed when it waits
	release chan struct{} // closed by the test
}

func (s *slowHeld) arm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed, s.held, s.release = true, make(chan struct{}), make(chan struct{})
}

func (s *slowHeld) Held(ctx context.Context, layer, pkg string) iter.Seq2[*catalog.Holding, error] {
	s.mu.Lock()
	waits := s.armed && pkg != ""
	s.armed = s.armed && !waits
	s.mu.Unlock()
	if waits {
		close(s.held)
		<-s.release
	}
	return s.Catalog.Held(ctx, layer, pkg)
}

// TestMarkOutlivesARefreshUnderWay: that a file's bytes are wrong, or are right at last, is not forgotten because its package's
// listing was being read anew when it was noted.
func TestMarkOutlivesARefreshUnderWay(t *testing.T) {
	s := &slowHeld{}
	r := newRig(t, func(r *rig) {
		r.wrap = func(c *sql.Catalog) catalog.Catalog { s.Catalog = c; return s }
	})
	e := r.put("alpha", "1.0", noise(1, 80*kib))
	corrupt := func() bool {
		t.Helper()
		p, err := r.ours("r").Package(t.Context(), "alpha")
		if err != nil {
			t.Fatal(err)
		}
		return p.Version("1.0").File(e.name()).Corrupt
	}
	r.good("index", r.index("alpha"), nil)
	for _, one := range []struct {
		next, order string
		status      int
		corrupt     bool
	}{
		{"1.1", "always lie", 503, true},
		{"1.2", "always ok", 200, false},
	} {
		r.pass(time.Hour)
		r.put("alpha", one.next, noise(2, kib))
		r.up.Order(e.upstream(), one.order)
		s.arm()
		var all sync.WaitGroup
		all.Go(func() { r.index("alpha") })
		<-s.held
		if a := r.get(e.path()); a.Err == nil && a.Status != one.status {
			t.Errorf("%s: got %v, want %d", one.order, a, one.status)
		}
		close(s.release)
		all.Wait()
		await(t, "the newer listing is there", func() bool { return contains(r.index("alpha").Body, "alpha-"+one.next) })
		if got := corrupt(); got != one.corrupt {
			t.Errorf("%s: after a refresh the file is corrupt: %v, want %v", one.order, got, one.corrupt)
		}
	}
}
