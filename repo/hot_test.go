package repo_test

import (
	"bytes"
	"testing"

	"millpond/blob/mem"
)

// TestWarmFiles: a file of some size that is asked for again and again is opened twice and then in memory; a larger one is not.
func TestWarmFiles(t *testing.T) {
	store := &opens{}
	r := newRig(t, func(r *rig) {
		store.Store = &mem.Store{Now: r.now}
		r.blobs = store
	})
	files := map[string]struct{ size, opened int }{"1.0": {200 << 10, 1}, "2.0": {300 << 10, 5}, "3.0": {10 << 10, 0}}
	bodies := map[string][]byte{}
	for version, c := range files {
		bodies[version] = append([]byte("PK\x03\x04"+version), bytes.Repeat([]byte("x"), c.size)...)
		r.put("alpha", version, bodies[version])
	}
	to := r.ours("r")
	for version, c := range files {
		body := bodies[version]
		for range 2 { // fetched, and then known to be held
			if _, err := bodyOf(t, to, "alpha", version); err != nil {
				t.Fatal(err)
			}
		}
		before := store.n.Load()
		for range 5 {
			if got, err := bodyOf(t, to, "alpha", version); err != nil || got != string(body) {
				t.Fatalf("%s: %d bytes, %v; want %d", version, len(got), err, len(body))
			}
		}
		if n := store.n.Load() - before; int(n) != c.opened {
			t.Errorf("a file of %d bytes was opened %d times for five readers, want %d", len(body), n, c.opened)
		}
	}
}
