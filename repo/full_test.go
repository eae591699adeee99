package repo_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"millpond"
	"millpond/blob/disk"
	"millpond/blob/disk/durable"
	"millpond/blob/mem"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/format"
)

// A disk that the test fills.
type space struct{ free atomic.Int64 }

func (s *space) room() (int64, int64, error) { return s.free.Load(), 100 << 30, nil }

// P07, F32: with the disk low, what is held is served, what is not is passed through and not kept, and both end when there
// is room again, without a restart.
func TestP07LowDisk(t *testing.T) {
	disks := &space{}
	disks.free.Store(50 << 30)
	r := newRig(t, onDisk(disk.Options{Room: disks.room}))
	held, cold := r.put("alpha", "1.0", noise(1, 300*kib)), r.put("alpha", "2.0", noise(2, 3*mib))
	r.hold(held)
	disks.free.Store(4 << 30) // of 100 GiB: below 5 %
	r.pass(time.Minute)
	blobs := len(r.held())
	for range 2 {
		if a := r.good("a miss", r.get(cold.path()), cold.bytes()); a.Header.Get("X-Result") != "unstored" {
			t.Errorf("a miss with the disk low is %q, want unstored", a.Header.Get("X-Result"))
		}
		r.good("a hit", r.get(held.path()), held.bytes())
		r.pass(time.Second)
	}
	if n := len(r.held()); n != blobs || r.holding(cold) != nil {
		t.Errorf("%d blobs are held, want the %d of before", n, blobs)
	}
	stats, err := r.pond.Stats(t.Context())
	if err != nil || !stats.Low {
		t.Errorf("Stats: low is %t, %v, want it said", stats.Low, err)
	}
	disks.free.Store(50 << 30)
	r.pass(time.Minute)
	r.good("room again", r.get(cold.path()), cold.bytes())
	r.up.Forget()
	r.good("and kept", r.get(cold.path()), cold.bytes())
	r.up.Want(t, cold.upstream(), 0)
	r.check("after all")
}

// P07: what a small disk is for is kept on it, too: three quarters of it.
func TestP07SmallDisk(t *testing.T) {
	var free atomic.Int64
	r := newRig(t, onDisk(disk.Options{Room: func() (int64, int64, error) { return free.Load(), 4 << 30, nil }}))
	first, second := r.put("alpha", "1.0", noise(1, 300*kib)), r.put("alpha", "2.0", noise(2, 300*kib))
	for _, x := range []struct {
		free int64
		e    entry
		want bool
	}{{2 << 30, first, true}, {1000 << 20, second, false}} {
		free.Store(x.free)
		r.pass(time.Minute)
		r.good("a miss", r.get(x.e.path()), x.e.bytes())
		if got := r.holds(x.e); got != x.want {
			t.Errorf("with %d MiB free of 4096 a file is kept: %t, want %t", x.free>>20, got, x.want)
		}
		if _, err := r.pond.Evict(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.holds(first); got != x.want {
			t.Errorf("with %d MiB free of 4096 it stays: %t, want %t", x.free>>20, got, x.want)
		}
	}
}

// F32: the disk runs full in the middle of a download that was to be kept: its readers get it to the end, nothing of it
// stays, and eviction makes room.
func TestF32FullInMidDownload(t *testing.T) {
	limited := &mem.Store{}
	r := newRig(t, func(r *rig) { limited.Now = r.now; r.blobs = limited })
	held, cold := r.put("alpha", "1.0", noise(1, 2*mib)), r.put("alpha", "2.0", noise(2, 6*mib))
	r.settings.LowFree = 1
	r.configure()
	r.hold(held)
	limited.Limit = 5 * mib
	for i, a := range r.many(4, cold.path()) {
		r.good(fmt.Sprintf("reader %d", i), a, cold.bytes())
	}
	if r.holds(cold) || r.holding(cold) != nil {
		t.Error("what had no room is held")
	}
	r.good("a hit", r.get(held.path()), held.bytes())
	room, err := limited.Room(t.Context())
	if err != nil || room.Free < 2*mib {
		t.Errorf("room is %+v, %v: something of the download stayed", room, err)
	}
	limited.Limit = 20 * mib
	r.good("room again", r.get(cold.path()), cold.bytes())
	if !r.holds(cold) {
		t.Error("there is room, and it is not kept")
	}
	r.settings.LowFree = room.Total // everything must go
	limited.Limit = 9 * mib
	r.configure()
	r.pass(time.Hour)
	if gone, err := r.pond.Evict(t.Context()); err != nil || gone < 6*mib {
		t.Errorf("Evict = %d, %v, want most to go", gone, err)
	}
}

// With no room at all indexes are served too: those that were kept, and those that are read now.
func TestP07IndexesOfAFullStore(t *testing.T) {
	limited := &mem.Store{}
	r := newRig(t, func(r *rig) { limited.Now = r.now; r.blobs = limited })
	a := r.put("alpha", "1.0", noise(1, 10*kib))
	b := r.put("beta", "1.0", noise(2, 10*kib))
	for i := range 2000 {
		r.pages["large"] = append(r.pages["large"], entry{pkg: "large", version: fmt.Sprintf("1.%d", i), sum: a.sum, size: 1, published: began})
	}
	large := r.put("large", "9.9", noise(3, 10*kib))
	r.settings.LowFree = 1
	r.configure()
	r.hold(a)
	limited.Limit = 1
	r.hold(a, b, large)
	page := r.index("large").Body
	r.good("again", r.index("large"), page)
	r.pass(time.Hour)
	e := r.put("beta", "2.0", noise(4, 10*kib))
	if got := r.good("refreshed", r.index("beta"), nil); !lists(got.Body, e) {
		t.Error("the store is full, and a new version does not show")
	}
	r.up.Refuse()
	r.good("what was kept in memory", r.index("large"), page)
	if n := len(r.eventsOf("")); n != 0 {
		t.Errorf("%d events", n)
	}
	limited.Limit = 0
	if err := r.up.Accept(); err != nil {
		t.Fatal(err)
	}
	r.pass(time.Hour)
	r.hold(a, b, large, e)
	r.check("room again")
}

// patient is a format whose readers wait for what is new, on a busy machine too.
type patient struct{ format.Format }

func (p patient) Info() format.Info {
	i := p.Format.Info()
	i.Slow = time.Minute
	return i
}

// A packument is written from the upstream's own text: that is at hand though it could not be kept, and is read anew when
// it is lost.
func TestP07PackumentOfAFullStore(t *testing.T) {
	limited := &mem.Store{}
	r := newRig(t, asNPM, func(r *rig) {
		limited.Now = r.now
		r.blobs = limited
		r.config.Format = patient{r.config.Format}
	})
	limited.Limit = 1
	for _, n := range []int{3, 3000} { // in the second the text alone is a megabyte
		r.putPackument(n)
		r.pass(time.Hour)
		a := r.good("packument", r.get("/r/alpha"), nil)
		if got := versions(a.Body); got != n {
			t.Errorf("the packument has %d versions, want %d: %s", got, n, a)
		}
		r.good("again", r.get("/r/alpha"), a.Body)
	}
	r.stop(time.Second)
	r.start()
	if a := r.good("after a restart", r.get("/r/alpha"), nil); versions(a.Body) != 3000 {
		t.Errorf("after a restart: %s", a)
	}
	limited.Limit = 0
	r.pass(time.Hour)
	r.putPackument(4)
	r.good("room again", r.get("/r/alpha"), nil)
	r.check("room again")
}

// A catalog that fails on order.
type failing struct {
	*sql.Catalog
	err atomic.Pointer[millpond.Error] // of every write of bookkeeping; nil is none
}

// wrapped puts a catalog that fails on order before the real one.
func wrapped(c *failing) func(*rig) {
	return func(r *rig) { r.wrap = func(real *sql.Catalog) catalog.Catalog { c.Catalog = real; return c } }
}

func (c *failing) fail() error {
	if err := c.err.Load(); err != nil {
		return err
	}
	return nil
}

func (c *failing) PutAnswer(ctx context.Context, a *catalog.Answer) error {
	if err := c.fail(); err != nil {
		return err
	}
	return c.Catalog.PutAnswer(ctx, a)
}

func (c *failing) Confirm(ctx context.Context, q catalog.Question, checked, fresh time.Time) error {
	if err := c.fail(); err != nil {
		return err
	}
	return c.Catalog.Confirm(ctx, q, checked, fresh)
}

func (c *failing) PutHolding(ctx context.Context, h *catalog.Holding) error {
	if err := c.fail(); err != nil {
		return err
	}
	return c.Catalog.PutHolding(ctx, h)
}

func (c *failing) PutDerived(ctx context.Context, d *catalog.Derived) error {
	if err := c.fail(); err != nil {
		return err
	}
	return c.Catalog.PutDerived(ctx, d)
}

func (c *failing) LoseBlob(ctx context.Context, d millpond.Digest) error {
	if err := c.fail(); err != nil {
		return err
	}
	return c.Catalog.LoseBlob(ctx, d)
}

func (c *failing) Used(ctx context.Context, uses []catalog.Use) error {
	if err := c.fail(); err != nil {
		return err
	}
	return c.Catalog.Used(ctx, uses)
}

// F33, F40: a catalog that takes no more writes (full, read-only, locked) keeps nobody from reading.
func TestF33CatalogThatTakesNoWrites(t *testing.T) {
	for _, kind := range []millpond.Kind{millpond.Full, millpond.Unready, millpond.Throttled} {
		t.Run(kind.String(), func(t *testing.T) {
			c := &failing{}
			r := newRig(t, wrapped(c))
			held, cold := r.put("alpha", "1.0", noise(1, 300*kib)), r.put("alpha", "2.0", noise(2, 300*kib))
			beta := r.put("beta", "1.0", noise(3, 10*kib))
			r.hold(held)
			c.err.Store(&millpond.Error{Kind: kind, Why: "ordered by the test"})
			r.good("a hit", r.get(held.path()), held.bytes())
			r.good("a miss", r.get(cold.path()), cold.bytes())
			r.hold(beta)
			r.want("an absence", r.index("gamma"), http.StatusNotFound)
			r.pass(time.Hour)
			more := r.put("alpha", "3.0", noise(4, 10*kib))
			if a := r.good("a new page", r.index("alpha"), nil); !lists(a.Body, more) {
				t.Error("the new version does not show")
			}
			r.good("its file", r.get(more.path()), more.bytes())
			c.err.Store(nil)
			r.pass(time.Hour)
			r.hold(held, cold, beta, more)
			for _, e := range []entry{held, cold, beta, more} {
				if r.holding(e) == nil {
					t.Errorf("%s is not held after all", e.name())
				}
			}
			r.check("after all")
		})
	}
}

// F35, at the level of the pond: a disk that failed to make bytes durable takes no more, and reads go on.
func TestF35StoppedStoreServesOn(t *testing.T) {
	var bad atomic.Bool
	r := newRig(t, onDisk(disk.Options{Hook: func(c *durable.Call, do func() error) error {
		if bad.Load() && c.Op == durable.OpSync {
			return syscall.EIO
		}
		return do()
	}}))
	held, cold := r.put("alpha", "1.0", noise(1, 300*kib)), r.put("alpha", "2.0", noise(2, 2*mib))
	beta := r.put("beta", "1.0", noise(3, 10*kib))
	r.hold(held)
	bad.Store(true)
	r.good("the miss that meets it", r.get(cold.path()), cold.bytes())
	bad.Store(false)
	if r.pond.Stopped() == nil {
		t.Fatal("the store has not stopped")
	}
	r.good("a miss", r.get(cold.path()), cold.bytes())
	r.hold(held, beta)
	if r.holds(cold) || r.holds(beta) {
		t.Error("a store that has stopped took a blob")
	}
	if stats, err := r.pond.Stats(t.Context()); err != nil || stats.Stopped == "" {
		t.Errorf("Stats: %q, %v, want why writes stopped", stats.Stopped, err)
	}
}
