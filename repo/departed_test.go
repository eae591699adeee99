package repo_test

import (
	"testing"
	"time"
)

// depart takes a package off the upstream until that is believed, and comeBack lays it there again.
func (r *rig) depart(pkg string) {
	r.t.Helper()
	r.up.Remove("/simple/" + pkg + "/")
	r.pass(time.Hour)
	r.good("while its absence is doubted", r.index(pkg), nil)
	r.pass(11 * time.Minute)
	r.want("when it is believed", r.index(pkg), 404)
}

func (r *rig) comeBack(pkg string) {
	r.t.Helper()
	r.page(pkg)
	r.pass(2 * time.Minute)
}

// F16, S19: a name that was gone for a while is no new name: what it had is as old as it was, and what it has besides is new,
// whatever its date says.
func TestF16APackageThatComesBackIsAsOldAsItWas(t *testing.T) {
	t.Run("no date", func(t *testing.T) {
		r := newRig(t, rules(map[string]any{"hold": "7d"}))
		old := r.put("alpha", "1.0", noise(1, kib))
		old.mute = true
		r.publish(old)
		r.index("alpha")
		r.pass(8 * 24 * time.Hour)
		r.good("when its hold has run", r.get(old.path()), old.bytes())
		r.depart("alpha")
		r.comeBack("alpha")
		if a := r.index("alpha"); a.Status != 200 || !contains(a.Body, old.name()) {
			t.Errorf("the page when the package is back: %s, want %s in it: its hold had run", a, old.name())
		}
	})
	t.Run("a date that lies", func(t *testing.T) {
		r := newRig(t, rules(map[string]any{"hold": "7d", "seen": true}))
		old := r.put("alpha", "1.0", noise(1, kib))
		r.good("the page", r.index("alpha"), nil)
		r.pass(30 * 24 * time.Hour)
		r.depart("alpha")
		late := r.put("alpha", "2.0", noise(2, kib)) // which says that it was published a year ago
		r.comeBack("alpha")
		a := r.index("alpha")
		if a.Status != 200 || !contains(a.Body, old.name()) || contains(a.Body, late.name()) {
			t.Errorf("the page when the package is back: %s\n%s\nwant 1.0 and not 2.0, which was not there before", a, a.Body)
		}
		r.want("the file that is held", r.get(late.path()), 403)
	})
	t.Run("other bytes", func(t *testing.T) {
		r := newRig(t)
		r.put("alpha", "1.0", noise(1, kib))
		r.good("the page", r.index("alpha"), nil)
		r.depart("alpha")
		r.put("alpha", "1.0", noise(2, kib))
		r.comeBack("alpha")
		r.good("the page when it is back", r.index("alpha"), nil)
		if n := len(r.eventsOf("replaced")); n != 1 {
			t.Errorf("%d events tell that its bytes were replaced, want 1", n)
		}
	})
	t.Run("after a restart", func(t *testing.T) {
		r := newRig(t, rules(map[string]any{"hold": "7d", "seen": true}))
		r.put("alpha", "1.0", noise(1, kib))
		r.good("the page", r.index("alpha"), nil)
		r.depart("alpha")
		r.restart()
		if _, err := r.pond.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		late := r.put("alpha", "2.0", noise(2, kib))
		r.comeBack("alpha")
		if a := r.index("alpha"); a.Status != 200 || contains(a.Body, late.name()) {
			t.Errorf("the page: %s, want it without %s", a, late.name())
		}
	})
}

// F16, S19: nor is a version new that was gone for a while, as from a copy that lags; and others that go meanwhile are not mixed up
// with it.
func TestF16AVersionThatComesBackIsAsOldAsItWas(t *testing.T) {
	r := newRig(t, rules(map[string]any{"hold": "7d"}))
	var all []entry
	for i, version := range []string{"1.0", "2.0", "3.0"} {
		e := r.put("alpha", version, noise(uint64(i), kib))
		e.mute = true
		r.publish(e)
		all = append(all, e)
	}
	refresh := func(again ...entry) {
		for _, e := range again {
			r.publish(e)
		}
		r.pass(time.Hour)
		r.good("the page", r.index("alpha"), nil)
	}
	r.index("alpha")
	r.pass(8 * 24 * time.Hour)
	r.withdraw(all[1])
	refresh()
	r.restart()
	r.withdraw(all[2])
	late := r.put("alpha", "4.0", noise(4, kib))
	late.mute = true
	refresh(late)
	r.withdraw(late)
	refresh()
	other := r.put("alpha", "3.0", noise(9, kib))
	other.mute = true
	refresh(all[1], other, late)
	a := r.index("alpha")
	if !contains(a.Body, all[0].name()) || !contains(a.Body, all[1].name()) || contains(a.Body, late.name()) {
		t.Errorf("the page when two are back: %s\n%s\nwant 1.0 and 2.0, whose hold had run, and not 4.0", a, a.Body)
	}
	if contains(a.Body, all[2].name()) || len(r.eventsOf("replaced")) != 1 {
		t.Errorf("the page when 3.0 is back with other bytes: %s\n%s\nand %d events tell of it; want it held, and one", a, a.Body, len(r.eventsOf("replaced")))
	}
	r.good("what is back", r.get(all[1].path()), all[1].bytes())
}

// What an upstream has again need not stay here for ever: an index that was wrong for a while would fill the disk for good.
func TestF16WhatComesBackCanBeEvictedAgain(t *testing.T) {
	for _, x := range []struct {
		name        string
		leave, back func(r *rig)
	}{
		{"a version", func(r *rig) { r.withdraw(r.pages["alpha"][0]); r.pass(time.Hour); r.index("alpha") },
			func(r *rig) { r.put("alpha", "1.0", noise(1, 200*kib)); r.pass(time.Hour); r.index("alpha") }},
		{"the package", func(r *rig) { r.depart("alpha") }, func(r *rig) { r.comeBack("alpha"); r.index("alpha") }},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newRig(t)
			e := r.put("alpha", "1.0", noise(1, 200*kib))
			r.put("alpha", "2.0", noise(2, 200*kib))
			r.hold(e)
			x.leave(r)
			if h := r.holding(e); h == nil || !h.Keep {
				t.Fatalf("the holding of what vanished is %+v, want Keep", h)
			}
			x.back(r)
			if h := r.holding(e); h == nil || h.Keep || h.Blob.IsZero() {
				t.Errorf("the holding of what is back is %+v, want no Keep", h)
			}
			r.settings.MaxBytes = 1
			r.configure()
			r.pass(365 * 24 * time.Hour)
			if _, err := r.pond.Evict(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r.holds(e) {
				t.Error("what is back is never evicted")
			}
			r.good("what was evicted", r.get(e.path()), e.bytes())
		})
	}
}
