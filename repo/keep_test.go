package repo_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/blob/disk"
	"millpond/blob/mem"
)

// mostBytes bounds what is kept.
func mostBytes(n int64) func(*rig) { return func(r *rig) { r.settings.MaxBytes = n } }

// evict makes room, and fails the test if it cannot.
func (r *rig) evict() int64 {
	r.t.Helper()
	n, err := r.pond.Evict(r.t.Context())
	if err != nil {
		r.t.Errorf("Evict: %v", err)
	}
	return n
}

// which are the versions of the entries that are held.
func (r *rig) which(es []entry) (versions []string) {
	r.t.Helper()
	held := r.held()
	for _, e := range es {
		if slices.Contains(held, e.sum) {
			versions = append(versions, e.version)
		}
	}
	return versions
}

func TestEvictionTakesTheLeastRecentlyUsed(t *testing.T) {
	const size = 100 * kib
	r := newRig(t)
	var es []entry
	for i := range 6 {
		es = append(es, r.put("alpha", fmt.Sprint(i), noise(uint64(i), size)))
		r.hold(es[i])
		r.pass(time.Minute)
	}
	for _, i := range []int{1, 3, 0} { // used again
		r.good("again", r.get(es[i].path()), es[i].bytes())
		r.pass(time.Minute)
	}
	r.settings.MaxBytes = 3*size + size/2
	r.configure()
	if gone := r.evict(); gone != 3*size {
		t.Errorf("%d bytes went, want %d", gone, 3*size)
	}
	if got := r.which(es); !slices.Equal(got, []string{"0", "1", "3"}) {
		t.Errorf("held after the eviction: %q, want those used last", got)
	}
	if gone := r.evict(); gone != 0 {
		t.Errorf("with room enough %d bytes went", gone)
	}
	for _, e := range es {
		r.good("after the eviction", r.get(e.path()), e.bytes())
	}
	for i, e := range es {
		asked := 1
		if slices.Contains([]int{2, 4, 5}, i) {
			asked = 2
		}
		r.up.Want(t, e.upstream(), asked)
	}
	if events := r.events(); len(events) != 0 {
		t.Errorf("events %q", events)
	}
	r.check("after all")
}

func TestEvictionHoldsTheLimit(t *testing.T) {
	const most = 1 * mib
	r := newRig(t, mostBytes(most))
	for i := range 40 {
		r.hold(r.put(fmt.Sprintf("p%d", i%7), fmt.Sprint(i), noise(uint64(i), 90*kib)))
		r.pass(time.Minute)
		r.evict()
		totals, err := r.catalog.Totals(t.Context())
		if err != nil || totals.HeldBytes > most {
			t.Fatalf("after %d files %d bytes are held, %v, want at most %d", i+1, totals.HeldBytes, err, most)
		}
	}
	r.check("after all")
}

// What somebody pinned, or nobody could fetch again, stays: so does a blob that another file is too.
func TestEvictionLeavesWhatMustStay(t *testing.T) {
	r := newRig(t)
	shared := noise(1, 100*kib)
	kept, other, plain := r.put("alpha", "1", shared), r.put("beta", "1", shared), r.put("gamma", "1", noise(2, 100*kib))
	r.hold(kept, other, plain)
	h := *r.holding(kept)
	h.Keep = true
	if err := r.catalog.PutHolding(t.Context(), &h); err != nil {
		t.Fatal(err)
	}
	documents := len(r.held()) - 2
	r.pass(365 * 24 * time.Hour)
	r.settings.MaxBytes = 1
	r.configure()
	r.evict()
	if !r.holds(kept) || r.holds(plain) {
		t.Errorf("held: a blob that one of its files keeps: %t, want true; another: %t, want false", r.holds(kept), r.holds(plain))
	}
	if n := len(r.held()) - 1; n != documents {
		t.Errorf("%d documents are kept, want %d as before", n, documents)
	}
	r.up.Forget()
	r.good("kept", r.get(kept.path()), shared)
	r.good("its twin", r.get(other.path()), shared)
	r.up.Want(t, kept.upstream(), 0)
	r.up.Want(t, other.upstream(), 0)
	r.check("after all")
}

// F15: whoever fetches an evicted file again must bring the bytes that were seen first.
func TestF15EvictedBytesAreTheSameWhenTheyComeAgain(t *testing.T) {
	r := newRig(t)
	first := entry{pkg: "alpha", version: "1", body: bytes.NewReader(noise(1, 100*kib)), size: 100 * kib, bare: true}
	first.sum = millpond.SHA256(first.bytes())
	r.publish(first)
	r.hold(first)
	r.settings.MaxBytes = 1
	r.configure()
	r.pass(time.Hour)
	r.evict()
	if r.holds(first) {
		t.Fatal("it is held after the eviction")
	}
	other := first
	other.body = bytes.NewReader(noise(2, 100*kib))
	other.sum = millpond.SHA256(other.bytes())
	r.publish(other)
	r.pass(time.Hour)
	if a := r.get(first.path()); a.Err == nil && a.Status != 503 {
		t.Errorf("other bytes under a known name: got %s, want 503", a)
	}
	if r.holds(other) || len(r.eventsOf("corrupt")) != 1 {
		t.Errorf("the other bytes are held: %t; events %q, want corrupt", r.holds(other), r.events())
	}
	r.publish(first)
	r.pass(time.Hour)
	r.good("the first bytes", r.get(first.path()), first.bytes())
}

func TestSweepTakesOnlyWhatNothingNames(t *testing.T) {
	r := newRig(t)
	e := r.put("alpha", "1", noise(1, 100*kib))
	for i := range 3000 { // so that its page is derived into the store
		r.pages["large"] = append(r.pages["large"], entry{pkg: "large", version: fmt.Sprint(i), sum: e.sum, size: 1, published: began})
	}
	r.page("large")
	r.hold(e)
	page := r.good("a large page", r.index("large"), nil)
	named := r.held()
	stranger := r.seal([]byte("nothing names this"))
	half, err := r.blobs.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	half.Write([]byte("half a blob"))
	half.Close()

	sweep := func(what string, want int) {
		t.Helper()
		if n, err := r.pond.Sweep(t.Context()); err != nil || n != want {
			t.Errorf("%s: Sweep = %d, %v, want %d", what, n, err, want)
		}
		for _, d := range named {
			if !slices.Contains(r.held(), d) {
				t.Errorf("%s: %s is named, and was swept", what, d)
			}
		}
	}
	r.pass(23 * time.Hour)
	sweep("young", 0)
	if w, err := r.blobs.Resume(t.Context(), half.ID()); err != nil {
		t.Errorf("what was begun 23 hours ago cannot be resumed: %v", err)
	} else {
		w.Close()
	}
	r.pass(2 * time.Hour)
	sweep("a day old", 1)
	if slices.Contains(r.held(), stranger) {
		t.Error("what nothing names is still there")
	}
	if _, err := r.blobs.Resume(t.Context(), half.ID()); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("what was begun 25 hours ago: %v, want NotFound", err)
	}
	r.up.Refuse()
	r.restart()
	r.good("the file", r.get(e.path()), e.bytes())
	r.good("the page", r.index("large"), page.Body)
	r.check("after all")
}

// A blob that is sealed anew between the sweep's look and its deletion stays: somebody is about to name it.
func TestSweepLeavesWhatIsSealedMeanwhile(t *testing.T) {
	b := []byte("sealed twice")
	store := &hooked{}
	r := newRig(t, func(r *rig) { store.Store.Now = r.now; r.blobs = store })
	d := r.seal(b)
	r.pass(48 * time.Hour)
	store.beforeDelete = func() { r.seal(b) }
	if n, err := r.pond.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("Sweep = %d, %v, want nothing swept", n, err)
	}
	if !slices.Contains(r.held(), d) {
		t.Error("what was sealed a moment ago is gone")
	}
}

// hooked is a store that does something before it deletes.
type hooked struct {
	mem.Store
	beforeDelete func()
}

func (s *hooked) DeleteOlder(ctx context.Context, d millpond.Digest, before time.Time) error {
	s.beforeDelete()
	return s.Store.DeleteOlder(ctx, d, before)
}

// P09: while many read, evict, sweep and lose blobs at random, no file that is said to be held is missing, and none that
// must stay goes.
func TestP09NothingAliveIsSwept(t *testing.T) {
	operations := 1500
	if *long {
		operations = 100_000
	}
	r := newRig(t, mostBytes(600*kib))
	var es []entry
	for i := range 24 {
		es = append(es, r.put(fmt.Sprintf("p%d", i%5), fmt.Sprint(i), noise(uint64(i/2), 40*kib))) // each blob is two files
	}
	r.hold(es[:2]...)
	kept := es[0]
	h := *r.holding(kept)
	h.Keep = true
	if err := r.catalog.PutHolding(t.Context(), &h); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 7))
			for range operations / 6 {
				e := es[rnd.IntN(len(es))]
				switch n := rnd.IntN(100); {
				case n < 80:
					if a := r.get(e.path()); a.Err != nil || a.Status != 200 || !bytes.Equal(a.Body, e.bytes()) {
						t.Errorf("%s: got %s", e.name(), a)
					}
				case n < 88:
					r.evict()
				case n < 96:
					if _, err := r.pond.Sweep(t.Context()); err != nil {
						t.Errorf("Sweep: %v", err)
					}
				case n < 98:
					r.pass(20 * time.Minute)
				case e.sum != kept.sum:
					if err := r.blobs.Delete(t.Context(), e.sum); err != nil && !millpond.Is(err, millpond.NotFound) {
						t.Errorf("lose a blob: %v", err)
					}
				}
				if !r.holds(kept) {
					t.Errorf("what must stay is gone")
					return
				}
			}
		})
	}
	all.Wait()
	r.forget()
	r.pass(time.Minute)
	for _, e := range es { // what the test lost is noticed and fetched
		r.good("at the end", r.get(e.path()), e.bytes())
	}
	r.check("at the end")
}

// Uses that were noted are not lost by a stop: the order of eviction outlives it.
func TestUsesOutliveAStop(t *testing.T) {
	r := newRig(t)
	a, b := r.put("alpha", "1", noise(1, 100*kib)), r.put("alpha", "2", noise(2, 100*kib))
	r.hold(a)
	r.pass(time.Minute)
	r.hold(b)
	r.pass(time.Minute)
	r.good("a again", r.get(a.path()), a.bytes())
	r.restart()
	var order []millpond.Digest
	for u, err := range r.catalog.Oldest(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, u.Blob)
	}
	if want := []millpond.Digest{b.sum, a.sum}; !slices.Equal(order, want) {
		t.Errorf("least recently used first: %v, want %v", order, want)
	}
}

// A catalog that cannot forget loses no blob: the record goes first.
func TestEvictionForgetsBeforeItDeletes(t *testing.T) {
	c := &failing{}
	r := newRig(t, wrapped(c))
	e := r.put("alpha", "1", noise(1, 100*kib))
	r.hold(e)
	r.settings.MaxBytes = 1
	r.configure()
	r.pass(time.Hour)
	if _, err := r.pond.Evict(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.good("again", r.get(e.path()), e.bytes())
	c.err.Store(&millpond.Error{Kind: millpond.Full, Why: "ordered by the test"})
	if _, err := r.pond.Evict(t.Context()); err == nil {
		t.Error("Evict says nothing of a catalog that cannot forget")
	}
	if !r.holds(e) {
		t.Error("a blob went whose record stayed")
	}
}

// TestF39WhatWasSealedInTheFutureGoes: a clock that was a year ahead for a while does not make what was kept then undeletable
// until that year is over, and evicting in vain forgets nothing.
func TestF39WhatWasSealedInTheFutureGoes(t *testing.T) {
	for name, store := range map[string]func(*rig){"disk": onDisk(disk.Options{}), "mem": func(*rig) {}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, store)
			evicted, orphan := r.put("alpha", "1.0", noise(1, 100*kib)), r.put("beta", "1.0", noise(2, 100*kib))
			const year = 365 * 24 * time.Hour
			r.pass(year)
			r.hold(evicted, orphan)
			if err := r.catalog.DropHoldings(t.Context(), "r/up", "beta", "1.0"); err != nil {
				t.Fatal(err)
			}
			r.pass(-year)
			r.settings.MaxBytes = 1
			r.configure()
			if gone := r.evict(); gone != 0 || r.holding(evicted).Blob.IsZero() {
				t.Errorf("the first time %d bytes went, and its record is %+v; want it untouched", gone, r.holding(evicted))
			}
			r.pass(time.Minute)
			if gone := r.evict(); gone != evicted.size || r.holds(evicted) {
				t.Errorf("then %d bytes went, want %d", gone, evicted.size)
			}
			for range 2 {
				if _, err := r.pond.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				if !r.holds(orphan) {
					t.Error("it was swept without its day of grace")
				}
			}
			r.pass(25 * time.Hour)
			if _, err := r.pond.Sweep(t.Context()); err != nil || r.holds(orphan) {
				t.Errorf("a day later what nothing names is still there, %v", err)
			}
		})
	}
}
