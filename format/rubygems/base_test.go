package rubygems

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond/format/formattest"
	"millpond/repo"
)

// TestBaseFindsEveryName: a name is found in the sorted lines of a base, and no other is.
func TestBaseFindsEveryName(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 3, 10, 257} {
		var names []string
		for len(names) < n {
			names = append(names, fmt.Sprintf("%c%d", 'a'+random.IntN(26), random.IntN(1000)))
		}
		slices.Sort(names)
		names = slices.Compact(names)
		text := "created_at: x\n---\n"
		for _, name := range names {
			text += name + " 1.0 " + strings.Repeat("x", random.IntN(60)) + "\n"
		}
		s := begin(time.Time{}, []byte(text)).append(time.Time{}, "zz 1.0 x\n")
		for _, name := range names {
			if got := string(s.base(name)); !strings.HasPrefix(got, name+" 1.0 ") || strings.Contains(got, "\n") {
				t.Errorf("of %d names, base(%q) = %q", len(names), name, got)
			}
			for _, other := range []string{name + "x", name[:1], "A", "zz"} {
				if got := s.base(other); got != nil && !slices.Contains(names, other) {
					t.Errorf("of %d names, base(%q) = %q, want nothing", len(names), other, got)
				}
			}
		}
	}
}

// TestChangeLines: what is appended for a client that adds lines up.
func TestChangeLines(t *testing.T) {
	for _, c := range []struct{ name, old, now, want string }{
		{"new", "", "1.0,1.1 b", "x 1.0,1.1 b\n"},
		{"more", "1.0 a", "1.0,1.1 b", "x 1.1 b\n"},
		{"less", "1.0,1.1 a", "1.1 b", "x -1.0 b\n"},
		{"another line", "1.0,1.1 a", "1.0,1.1 b", "x 1.1 b\n"},
		{"another order", "1.0,1.1 a", "1.1,1.0 a", ""},
		{"nothing left", "1.0 a", " b", "x -1.0 b\n"},
		{"nothing", " a", " b", ""},
		{"the same", "1.0 a", "1.0 a", ""},
	} {
		if got := change("x", c.old, c.now); got != c.want {
			t.Errorf("%s: change(%q, %q) = %q, want %q", c.name, c.old, c.now, got, c.want)
		}
	}
}

// TestLargeIndexesAreMadeSeldom: a legacy index of a large log is made anew after half a minute, of a small one at once.
func TestLargeIndexesAreMadeSeldom(t *testing.T) {
	for _, c := range []struct {
		name string
		size int
		want string
	}{{"small", 10, "b b b"}, {"large", small, "a a b"}} {
		l := newLog()
		at := time.Unix(1_000_000, 0)
		one, other := &snapshot{md5: "a", text: make([]byte, c.size+1)}, &snapshot{md5: "b", text: make([]byte, c.size+1)}
		if got := l.indexed("specs", one, at); got != "a" {
			t.Errorf("%s: the first index is of %q, want a", c.name, got)
		}
		got := fmt.Sprint(l.indexed("specs", other, at.Add(time.Second)), " ", l.indexed("specs", other, at.Add(29*time.Second)), " ", l.indexed("specs", other, at.Add(30*time.Second)))
		if got != c.want {
			t.Errorf("%s: the indexes after 1, 29 and 30 s are of %q, want %q", c.name, got, c.want)
		}
	}
}

// TestEarlierStates: a copy is known for an earlier state of the text by its digest, also when that was forgotten.
func TestEarlierStates(t *testing.T) {
	s := begin(time.Time{}, []byte("created_at: x\n---\na 1.0 x\n"))
	states := []*snapshot{s}
	for i := range 5 {
		s = s.append(time.Time{}, fmt.Sprintf("a 1.%d x\n", i+1))
		states = append(states, s)
	}
	for _, forget := range []bool{false, true} {
		if forget {
			clear(s.of.lengths)
		}
		for i, old := range states {
			if !s.began(len(old.text)-1, old.md5) {
				t.Errorf("state %d is not known as one (its digest forgotten: %t)", i, forget)
			}
			if s.began(len(old.text)-1, sum5([]byte("x"))) {
				t.Errorf("a foreign digest is taken for state %d", i)
			}
		}
		if s.began(len(s.text)+1, s.md5) {
			t.Error("a copy that is longer than the text is taken for a part of it")
		}
	}
}

// TestTheLogIsCompacted: a text that has doubled is begun anew when it is a month old, or far too long.
func TestTheLogIsCompacted(t *testing.T) {
	h := formattest.New(t, ecosystem)
	putGem(h.Up, "alpha", formattest.Release{Version: "1.0.0"})
	seen := h.Pond.Repository("r").For(repo.Caller{})
	for _, c := range []struct {
		name string
		grow int
		wait time.Duration
		want bool
	}{{"doubled, a day old", 3 << 20, 24 * time.Hour, false}, {"grown a little, two months old", 1 << 19, 60 * 24 * time.Hour, false},
		{"doubled, two months old", 3 << 20, 60 * 24 * time.Hour, true}, {"nine times its base", 10 << 20, 24 * time.Hour, true}} {
		l := newLog()
		before, err := l.current(t.Context(), seen)
		if err != nil {
			t.Fatal(err)
		}
		line := "alpha 1.0.0 " + noteSum(l.all()[0].said) + "\n"
		before = before.append(h.Now(), strings.Repeat(line, c.grow/len(line)+1))
		l.snap = before
		h.Pass(c.wait)
		now, err := l.current(t.Context(), seen)
		if err != nil {
			t.Fatal(err)
		}
		if got := now.of != before.of; got != c.want {
			t.Errorf("%s: begun anew: %t, want %t", c.name, got, c.want)
		}
		if got := l.all(); len(got) != 1 || got[0].said != "1.0.0 "+strings.Fields(line)[2] {
			t.Errorf("%s: then it says %q", c.name, got)
		}
		if err := observer(seen).Remember(t.Context(), headName, nil); err != nil {
			t.Fatal(err)
		}
	}
}
