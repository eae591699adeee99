package repo_test

import (
	"bytes"
	"testing"

	"millpond/blob/mem"
)

// TestWarmFiles: a file of some size that is asked for again and again is opened once more and then in memory; a larger one is not.
func TestWarmFiles(t *testing.T) {
	store := &opens{}
	r := newRig(t, func(r *rig) {
		store.Store = &mem.Store{Now: r.now}
		r.blobs = store
	})
	files := map[string]struct{ size, least, most int }{"1.0": {200 << 10, 1, 4}, "2.0": {300 << 10, 20, 23}, "3.0": {10 << 10, 0, 3}}
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
		for range 20 {
			if got, err := bodyOf(t, to, "alpha", version); err != nil || got != string(body) {
				t.Fatalf("%s: %d bytes, %v; want %d", version, len(got), err, len(body))
			}
		}
		// They may be looked into meanwhile, behind everybody's back, which opens each once more.
		if n := int(store.n.Load() - before); n < c.least || n > c.most {
			t.Errorf("a file of %d bytes was opened %d times for 20 readers, want %d to %d", len(body), n, c.least, c.most)
		}
	}
}
