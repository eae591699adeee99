package repo_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"millpond/format"
	"millpond/repo"
)

// stats are the pond's figures.
func (r *rig) stats() repo.Stats {
	r.t.Helper()
	s, err := r.pond.Stats(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// TestFiguresOfThePondsOwnWork: each figure moves when that happens of which it tells, and when work last went well is known
// after a restart.
func TestFiguresOfThePondsOwnWork(t *testing.T) {
	const size = 100 * kib
	r := newRig(t, rules(map[string]any{"hold": "7d"}))
	first, second := r.put("alpha", "1", noise(1, size)), r.put("alpha", "2", noise(2, size))
	r.hold(first, second)
	before := r.stats()
	if len(before.Done) != 0 || before.Orphans != -1 || before.Evicted != 0 || before.Leaks != 0 || before.Holds["pypi"] != 0 {
		t.Errorf("before anything was done the figures are %+v", before)
	}
	if before.Writing.Count == 0 || before.Writing.Took <= 0 || len(before.Writing.Commits) == 0 {
		t.Errorf("what is known of the catalog's writes after two files: %+v", before.Writing)
	}

	r.seal(noise(3, 7*kib)) // which nothing names
	if _, err := r.pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	swept := r.now()
	if s := r.stats(); s.Orphans != 7*kib || !s.Done["sweep"].Equal(swept) {
		t.Errorf("after a sweep with one young blob of 7 KiB that nothing names: %d bytes, done %v; want 7 KiB, %s", s.Orphans, s.Done, swept)
	}
	r.pass(25 * time.Hour)
	r.settings.MaxBytes = size + size/2
	r.configure()
	r.evict()
	if s := r.stats(); s.Evicted != 1 || s.Freed != size {
		t.Errorf("after one of two files was given up: %d blobs, %d bytes; want 1, %d", s.Evicted, s.Freed, size)
	}
	for _, all := range []bool{false, true} {
		if _, err := r.pond.Check(t.Context(), repo.CheckOptions{ReadData: all}); err != nil {
			t.Fatal(err)
		}
		if _, done := r.stats().Done["check"]; done != all {
			t.Errorf("after a check, of all bytes %t: it counts as one: %t", all, done)
		}
	}
	checked := r.now()

	young := r.put("beta", "1", noise(4, kib))
	young.published = r.now().Add(-time.Hour)
	r.publish(young)
	r.good("the index", r.index("beta"), nil)
	if s := r.stats(); s.Holds["pypi"] != 1 {
		t.Errorf("with one version that a rule holds: %v; want one of pypi", s.Holds)
	}
	seq := r.stats().Seq
	r.published(r.ours("r"), "ours", "1", "x")
	if s := r.stats(); s.Seq <= seq {
		t.Errorf("after a publish the last event is %d, and was %d before", s.Seq, seq)
	}
	r.restart()
	if s := r.stats(); !s.Done["sweep"].Equal(swept) || !s.Done["check"].Equal(checked) {
		t.Errorf("after a restart: done %v; want the sweep of %s and the check of %s", s.Done, swept, checked)
	}
}

// TestUpstreamsAddressInADocument: it is found wherever the document was cut while it was written, in any encoding, and nothing
// else is.
func TestUpstreamsAddressInADocument(t *testing.T) {
	r := newRig(t)
	b := r.pond.Repository("r").For(repo.Caller{})
	address := r.config.Upstreams[0].URL.String()
	for _, row := range []struct {
		name, text string
		leaks      bool
	}{
		{"the address", "see " + address + "alpha/ for more", true},
		{"at the very end", "see " + strings.TrimSuffix(address, "/") + "/", true},
		{"its host alone", "see " + r.config.Upstreams[0].URL.Host + " for more", false},
		{"another address", "see https://elsewhere.example/simple/ for more", false},
		{"nearly", "see " + strings.TrimSuffix(address, "/") + "-more/", false},
		{"nothing", "", false},
	} {
		for _, encoding := range []string{"", "gzip"} {
			for _, cut := range []int{1, 3, 10, len(row.text) + 1} {
				before := r.stats().Leaks
				_, err := b.Derive(t.Context(), format.Derivation{Name: "page " + row.name, Stamp: string(rune('a' + cut)), Type: "text/plain", Encoding: encoding}, func(w io.Writer) error {
					for rest := row.text; rest != ""; rest = rest[min(cut, len(rest)):] {
						if _, err := io.WriteString(w, rest[:min(cut, len(rest))]); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if got := r.stats().Leaks > before; got != row.leaks {
					t.Errorf("%s, %q, %d bytes at a time: counted %t, want %t", row.name, encoding, cut, got, row.leaks)
				}
			}
		}
	}
}
