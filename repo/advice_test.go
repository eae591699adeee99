package repo_test

import (
	"slices"
	"strings"
	"testing"

	"millpond"
	"millpond/repo"
)

// advise gives the pond records of the feed "feed osv", and compares what came of them.
func (r *rig) advise(want repo.Advised, records ...repo.Advice) {
	r.t.Helper()
	got, err := r.pond.TakeAdvice(r.t.Context(), "feed osv", func(yield func(*repo.Advice, error) bool) {
		for i := range records {
			if !yield(&records[i], nil) {
				return
			}
		}
	})
	if err != nil || got != want {
		r.t.Errorf("%+v: got %+v, %v; want %+v", records, got, err, want)
	}
}

// A feed's records take versions down at once, each with an event whose actor is the feed; they are lifted by the feed or by
// hand, and what was lifted by hand comes back only if the record says something else.
func TestAdvice(t *testing.T) {
	r := newRig(t)
	for _, version := range []string{"1.0", "1.1", "1.2", "2.0"} {
		r.put("alpha", version, []byte("PK\x03\x04"+version))
	}
	to, master := r.ours("r"), r.as("alice", "* * *")
	if _, err := bodyOf(t, to, "alpha", "1.1"); err != nil { // held
		t.Fatal(err)
	}
	shown := func(what string, want ...string) {
		t.Helper()
		got := versionsOf(t, r.ours("r"), "alpha")
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: versions %v; want %v", what, got, want)
		}
	}
	of := func(spans ...repo.Span) []repo.AdviceOf {
		return []repo.AdviceOf{{Ecosystem: "pypi", Package: "Alpha", Spans: spans}, {Ecosystem: "Elsewhere", Package: "x"}}
	}
	one := repo.Advice{ID: "MAL-1", Why: "MAL-1: it steals keys", Affected: of(repo.Span{From: "1.1", Before: "2.0"})}
	r.advise(repo.Advised{Taken: 1}, one)
	shown("a range", "1.0", "2.0")
	_, err := bodyOf(t, to, "alpha", "1.1")
	wantKind(t, "its file, which is held", err, millpond.Blocked)
	if err != nil && !strings.Contains(err.Error(), "taken down by feed osv") || err != nil && !strings.Contains(err.Error(), "it steals keys") {
		t.Errorf("the words: %v", err)
	}
	events := r.eventsOf(repo.VerbTakedown)
	if len(events) != 1 || events[0].Actor.Name != "feed osv" || events[0].Key.Package != "alpha" || !strings.Contains(string(events[0].Detail), "MAL-1") {
		t.Errorf("events %+v; want one, of the feed", events)
	}
	r.advise(repo.Advised{}, one) // the same again is nothing new
	r.restart()
	r.advise(repo.Advised{}, one)
	shown("after a restart", "1.0", "2.0")

	one.Affected = of(repo.Span{Version: "1.0.0"}, repo.Span{From: "1.1", Through: "1.2"})
	r.advise(repo.Advised{Taken: 1}, one)
	shown("the record says more", "2.0")
	all, err := r.pond.Takedowns(t.Context(), master)
	if err != nil || len(all) != 1 {
		t.Fatalf("takedowns %+v, %v; want one", all, err)
	}
	if err := r.pond.LiftTakedown(t.Context(), master, all[0].ID, "ours is patched"); err != nil {
		t.Fatal(err)
	}
	r.advise(repo.Advised{}, one)
	shown("lifted by hand, and the feed says what it said", "1.0", "1.1", "1.2", "2.0")
	one.Affected = of(repo.Span{Version: "2.0"})
	r.advise(repo.Advised{Taken: 1}, one)
	shown("and then something else", "1.0", "1.1", "1.2")

	one.Withdrawn = true
	r.advise(repo.Advised{Lifted: 1}, one)
	shown("withdrawn", "1.0", "1.1", "1.2", "2.0")
	lifts := r.eventsOf("lift takedown")
	if len(lifts) != 2 || lifts[1].Actor.Name != "feed osv" {
		t.Errorf("lifts %+v; want two, the second of the feed", lifts)
	}
	r.advise(repo.Advised{Taken: 1, Unread: 1},
		repo.Advice{ID: "MAL-2", Why: "all of it", Affected: of()},
		repo.Advice{ID: "MAL-3", Withdrawn: true, Affected: of()},
		repo.Advice{ID: "MAL-4", Affected: []repo.AdviceOf{{Ecosystem: "PyPI", Package: "-not a name-"}}})
	_, err = bodyOf(t, r.ours("r"), "alpha", "2.0")
	wantKind(t, "every version", err, millpond.Blocked)
}
