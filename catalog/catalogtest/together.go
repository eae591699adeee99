package catalogtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"millpond"
	"millpond/catalog"
)

// increment adds one to a number among the settings, and tells it in an event.
func increment(name string) func(catalog.Tx) error {
	return func(tx catalog.Tx) error {
		v, err := tx.Setting(name)
		if err != nil {
			return err
		}
		n := 0
		if v != nil {
			if n, err = strconv.Atoi(string(v)); err != nil {
				return err
			}
		}
		value := json.RawMessage(strconv.Itoa(n + 1))
		return errors.Join(tx.SetSetting(name, value), tx.Emit(millpond.Event{Verb: "count", Repository: name, Detail: value}))
	}
}

func testTogether(t *testing.T, open Open) {
	ctx := t.Context()
	t.Run("no update is lost, and none harms another", func(t *testing.T) {
		c := fresh(t, open)
		const writers, rounds = 100, 10 // more writers than one commit takes
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for r := range rounds {
					fails := (w+r)%3 == 0
					err := c.Update(ctx, millpond.Actor{Name: fmt.Sprint("writer ", w)}, func(tx catalog.Tx) error {
						if err := increment("n")(tx); err != nil || !fails {
							return err
						}
						return errWanted
					})
					if fails != errors.Is(err, errWanted) || !fails && err != nil {
						t.Errorf("writer %d, round %d: got %v; should fail: %v", w, r, err, fails)
					}
				}
			})
		}
		all.Wait()
		want := 0
		for w := range writers {
			for r := range rounds {
				if (w+r)%3 != 0 {
					want++
				}
			}
		}
		same(t, "counted", string(setting(t, c, "n")), strconv.Itoa(want))
		events := past(t, c, 0)
		if len(events) != want {
			t.Fatalf("events: got %d; want %d", len(events), want)
		}
		for i, e := range events {
			if string(e.Detail) != strconv.Itoa(i+1) || e.Seq != int64(i+1) {
				t.Fatalf("event %d: got seq %d and count %s", i+1, e.Seq, e.Detail)
			}
		}
	})
	t.Run("readers and writers of everything", func(t *testing.T) {
		c := fresh(t, open)
		const writers, rounds = 16, 25
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				layer := fmt.Sprint("layer", w%4)
				for r := range rounds {
					pkg := fmt.Sprint("p", (w*rounds+r)%40)
					k := millpond.Key{Package: pkg, File: fmt.Sprint(w)}
					a := fullAnswer(layer, pkg)
					h := fullHolding(layer, k)
					h.Keep = r%2 == 0
					shared := sha(fmt.Sprint("shared", r%5))
					h.Blob = shared
					var blobs []millpond.Digest
					for u, err := range c.Oldest(ctx) {
						if err != nil {
							t.Error(err)
						}
						blobs = append(blobs, u.Blob)
					}
					_, nerr := c.Named(ctx, blobs)
					_, terr := c.Totals(ctx)
					err := errors.Join(nerr, terr,
						c.PutAnswer(ctx, a), c.Confirm(ctx, a.Question, at(r), at(r)), c.PutHolding(ctx, h),
						c.PutDerived(ctx, &catalog.Derived{Repository: layer, Name: pkg, Stamp: fmt.Sprint(r), Blob: shared, Size: int64(r)}),
						c.Used(ctx, []catalog.Use{{Blob: shared, At: at(r)}}), c.Update(ctx, millpond.Actor{Name: layer}, increment(layer)))
					if err != nil {
						t.Errorf("writer %d, round %d: %v", w, r, err)
					}
					got, err := c.Answer(ctx, a.Question)
					if err != nil || string(got.Record) != string(a.Record) || len(got.Documents) < 2 {
						t.Errorf("writer %d, round %d: got %v, %v; want the answer whole", w, r, got, err)
					}
					if r%10 == 9 {
						if err := errors.Join(c.LoseBlob(ctx, shared), c.LoseBlob(ctx, document(1).Blob)); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		all.Wait()
		for l := range 4 {
			same(t, "counted", string(setting(t, c, fmt.Sprint("layer", l))), strconv.Itoa(writers*rounds/4))
		}
	})
}

func testReopened(t *testing.T, open Open) {
	ctx := t.Context()
	dir := t.TempDir()
	a := fullAnswer("l", "p")
	h := fullHolding("l", millpond.Key{Package: "p", Version: "1", File: "f"})
	d := &catalog.Derived{Repository: "r", Name: "n", Stamp: "s", Blob: sha("d"), Size: 3, Modified: at(1)}
	var totals catalog.Totals
	for round := range 3 {
		c := open(t, dir)
		if round == 0 {
			must(t, errors.Join(c.PutAnswer(ctx, a), c.PutHolding(ctx, h), c.PutDerived(ctx, d)))
			put(t, c, "l", "old", "old", at(1))
			must(t, c.Used(ctx, []catalog.Use{{Blob: sha("old"), At: at(77)}}))
		}
		must(t, c.Update(ctx, millpond.Actor{Name: "me"}, increment("n")))
		same(t, "counted", string(setting(t, c, "n")), strconv.Itoa(round+1))
		gotA, err := c.Answer(ctx, a.Question)
		must(t, err)
		same(t, "answer", gotA, a)
		gotH, err := c.Holding(ctx, h.Layer, h.Key)
		must(t, err)
		same(t, "holding", gotH, h)
		gotD, err := c.Derived(ctx, "r", "n", "s", "")
		must(t, err)
		same(t, "derived", gotD, d)
		for u, err := range c.Oldest(ctx) {
			must(t, err)
			same(t, "oldest", u, catalog.Use{Blob: sha("old"), Size: 100, At: at(77)})
		}
		if got := past(t, c, int64(round)); len(got) != 1 || got[0].Seq != int64(round+1) {
			t.Errorf("round %d: got events %v; want one, the last", round, got)
		}
		got, err := c.Totals(ctx)
		must(t, err)
		totals.Events = int64(round + 1)
		if round == 0 {
			totals = got
		}
		same(t, "totals", got, totals)
		sound(t, c)
		must(t, c.Close())
	}
}

func testClosed(t *testing.T, open Open) {
	ctx := t.Context()
	c := open(t, t.TempDir())
	waiting, told := make(chan struct{}), make(chan error)
	go func() {
		var last error
		for _, err := range c.Events(ctx, 0) {
			if last = err; err == nil {
				close(waiting)
			}
		}
		told <- last
	}()
	must(t, c.Update(ctx, millpond.Actor{Name: "me"}, increment("n")))
	<-waiting
	must(t, c.Close())
	must(t, c.Close())
	if err := <-told; err == nil {
		t.Error("a follower was told of no error when the catalog closed")
	}
	_, answer := c.Answer(ctx, question("l", "p"))
	_, check := c.Check(ctx)
	for what, err := range map[string]error{
		"Update": c.Update(ctx, millpond.Actor{Name: "me"}, increment("n")), "View": c.View(ctx, func(tx catalog.Tx) error { _, err := tx.Setting("n"); return err }),
		"PutAnswer": c.PutAnswer(ctx, fullAnswer("l", "p")), "Answer": answer, "Check": check,
	} {
		if err == nil || millpond.Is(err, millpond.NotFound) {
			t.Errorf("%s after Close: got %v; want an error that says so", what, err)
		}
	}
}
