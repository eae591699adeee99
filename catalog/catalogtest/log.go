package catalogtest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
)

func testFind(t *testing.T, open Open) {
	c := fresh(t, open)
	ctx := t.Context()
	if got := all(t, c.Find(ctx, catalog.Filter{})); got != nil {
		t.Errorf("in an empty log: got %s", show(got))
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	for n := 0; n < 700; { // more than any page
		actor := millpond.Actor{Name: pick("ann", "bob", "pond", "")}
		must(t, c.Update(ctx, actor, func(tx catalog.Tx) error {
			for range random.IntN(20) {
				n++
				e := millpond.Event{Verb: pick("publish", "yank"), Repository: pick("r", "s", ""), Key: millpond.Key{Package: pick("p", "q", ""), Version: pick("1", "2", "")}}
				must(t, tx.Emit(e))
			}
			return nil
		}))
	}
	events := past(t, c, 0)
	first, last := events[0].Time, events[len(events)-1].Time
	middle := events[len(events)/2].Time
	for range 300 {
		f := catalog.Filter{
			Actor: pick("", "ann", "pond", "nobody"), Verb: pick("", "", "publish"), Repository: pick("", "", "s"),
			Package: pick("", "", "q"), Version: pick("", "", "2"), Newest: random.IntN(2) == 0,
		}
		switch random.IntN(6) {
		case 0:
			f.After = random.Int64N(800)
		case 1:
			f.Before = random.Int64N(800)
		case 2:
			f.Since = []time.Time{first, middle, last, last.Add(time.Hour), middle.Add(-time.Microsecond)}[random.IntN(5)]
		case 3:
			f.Until = []time.Time{first, middle, last, last.Add(time.Hour), middle.Add(time.Microsecond)}[random.IntN(5)]
		case 4:
			f.Since, f.Until = middle, last
			f.After, f.Before = 200, 600
		}
		if random.IntN(3) == 0 {
			f.Limit = 1 + random.IntN(400)
		}
		var want []int64
		for _, e := range events {
			if e.Seq > f.After && (f.Before == 0 || e.Seq < f.Before) && (f.Since.IsZero() || !e.Time.Before(f.Since)) && (f.Until.IsZero() || e.Time.Before(f.Until)) &&
				(f.Actor == "" || e.Name == f.Actor) && (f.Verb == "" || e.Verb == f.Verb) && (f.Repository == "" || e.Repository == f.Repository) &&
				(f.Package == "" || e.Key.Package == f.Package) && (f.Version == "" || e.Key.Version == f.Version) {
				want = append(want, e.Seq)
			}
		}
		if f.Newest {
			slices.Reverse(want)
		}
		if f.Limit > 0 && len(want) > f.Limit {
			want = want[:f.Limit]
		}
		var got []int64
		for _, e := range all(t, c.Find(ctx, f)) {
			got = append(got, e.Seq)
			same(t, "event", *e, events[e.Seq-1])
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s (seed %d):\n got %v\nwant %v", show(f), seed, got, want)
		}
	}
	n := 0
	for e, err := range c.Find(ctx, catalog.Filter{}) { // the loop may change and stop
		must(t, err)
		must(t, c.Update(ctx, by, func(tx catalog.Tx) error { return tx.Emit(millpond.Event{Verb: "met", Key: e.Key}) }))
		if n++; n == 3 {
			break
		}
	}
	if got := all(t, c.Find(ctx, catalog.Filter{Verb: "met"})); len(got) != 3 {
		t.Errorf("emitted in the loop: found %s; want 3", show(got))
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range c.Find(ended, catalog.Filter{}) {
		kind(t, "with a context that has ended", err, millpond.Canceled)
	}
}

// emit adds one event of each verb in a transaction of its own.
func emit(t testing.TB, c catalog.Catalog, verbs ...string) {
	t.Helper()
	for _, v := range verbs {
		update(t, c, func(tx catalog.Tx) error { return tx.Emit(millpond.Event{Verb: v}) })
	}
}

// head reads the end of the log.
func head(t testing.TB, c catalog.Catalog) catalog.Head {
	t.Helper()
	h, err := c.Head(contextOf(t))
	must(t, err)
	return h
}

// verified checks what Verify returns: the break, in a few words of it, and how many events were read.
func verified(t testing.TB, c catalog.Catalog, heads []catalog.Head, n int64, epoch, seq int64, words ...string) {
	t.Helper()
	b, read, err := c.Verify(contextOf(t), heads)
	if err != nil || n >= 0 && read != n {
		t.Errorf("verify: read %d, %v; want %d", read, err, n)
	}
	if len(words) == 0 {
		if b != nil {
			t.Errorf("verify: got a break at %d: %s; want none", b.Seq, b.Why)
		}
		return
	}
	if b == nil {
		t.Errorf("verify: got no break; want one that says %q", words)
		return
	}
	for _, w := range words {
		if !strings.Contains(b.Why, w) || b.Seq != seq || b.Epoch != epoch {
			t.Errorf("verify: got epoch %d, event %d: %s; want epoch %d, event %d, and the words %q", b.Epoch, b.Seq, b.Why, epoch, seq, words)
		}
	}
}

func testChain(t *testing.T, open Open) {
	ctx := t.Context()
	t.Run("empty", func(t *testing.T) {
		c := fresh(t, open)
		same(t, "head", head(t, c), catalog.Head{})
		verified(t, c, nil, 0, 0, 0)
		verified(t, c, []catalog.Head{{Epoch: 1, Seq: 3, Hash: sha("x"), Time: at(1)}}, 0, 0, 1, "events after 0 are gone", "head 3 was noted at 2023")
	})
	t.Run("the head is the last event", func(t *testing.T) {
		c := fresh(t, open)
		hashes := map[millpond.Digest]bool{}
		for i := range 5 {
			emit(t, c, "same")
			e := past(t, c, int64(i))[0]
			same(t, "head", head(t, c), catalog.Head{Epoch: 1, Seq: int64(i + 1), Hash: e.Hash, Time: e.Time})
			hashes[e.Hash] = true
		}
		if len(hashes) != 5 {
			t.Errorf("five equal events have %d hashes; want 5", len(hashes))
		}
		must(t, c.Update(ctx, by, func(tx catalog.Tx) error { return nil }))
		if err := c.Update(ctx, by, func(tx catalog.Tx) error { must(t, tx.Emit(millpond.Event{})); return errWanted }); err == nil {
			t.Error("an update that should fail did not")
		}
		same(t, "head after none", head(t, c).Seq, int64(5))
		verified(t, c, []catalog.Head{head(t, c)}, 5, 0, 0)
	})
	t.Run("odd text", func(t *testing.T) {
		c := fresh(t, open)
		for _, s := range near {
			must(t, c.Update(ctx, millpond.Actor{Name: s, Token: s, Client: s, Request: s}, func(tx catalog.Tx) error {
				detail, err := json.Marshal(s)
				must(t, err)
				return tx.Emit(millpond.Event{Verb: s, Repository: s, Layer: s, Key: millpond.Key{Package: s, Version: s, File: s}, Detail: append(append([]byte(" \n"), detail...), ' ')})
			}))
		}
		verified(t, c, []catalog.Head{head(t, c)}, int64(len(near)), 0, 0)
	})
	t.Run("heads that were noted", func(t *testing.T) {
		c := fresh(t, open)
		var heads []catalog.Head
		for range 3 {
			emit(t, c, "a", "b")
			heads = append(heads, head(t, c))
		}
		verified(t, c, heads, 6, 0, 0)
		verified(t, c, append(heads, heads...), 6, 0, 0)
		other := heads[1]
		other.Hash = sha("another log")
		verified(t, c, []catalog.Head{heads[0], other, heads[2]}, -1, 1, 4, "event 4 or one before it was changed", "head 4 was noted at")
		verified(t, c, []catalog.Head{heads[1], other}, -1, 1, 4, "two different heads 4 were noted")
		later := heads[2]
		later.Seq = 9
		verified(t, c, append(heads, later), -1, 1, 7, "events after 6 are gone", "head 9 was noted at")
		later.Epoch = 4
		verified(t, c, append(heads, later), -1, 1, 7, "events after 6 are gone", "head 9 was noted at")
	})
	t.Run("epochs", func(t *testing.T) {
		c := fresh(t, open)
		emit(t, c, "a", "b", "c")
		before := head(t, c)
		must(t, c.Begin(ctx, millpond.Actor{Name: "ann", Request: "r9"}, "restored from the backup of Monday"))
		emit(t, c, "d")
		events := past(t, c, 3)
		if len(events) != 2 || events[0].Epoch < 2 || events[1].Epoch != events[0].Epoch || events[0].Verb != "epoch" || events[0].Name != "ann" || events[0].Request != "r9" {
			t.Fatalf("got %s; want the first two events of a later epoch", show(events))
		}
		var detail struct {
			Why  string
			Last catalog.Head
		}
		must(t, json.Unmarshal(events[0].Detail, &detail))
		before.Time = time.Time{}
		same(t, "what its first event says", fmt.Sprint(detail.Why, detail.Last), fmt.Sprint("restored from the backup of Monday", before))
		before.Time = at(1)
		now := head(t, c)
		same(t, "head", fmt.Sprint(now.Epoch, now.Seq), fmt.Sprint(events[0].Epoch, 5))
		verified(t, c, []catalog.Head{before, now}, 5, 0, 0)
		// What the restore left behind is told last.
		lost := catalog.Head{Epoch: 1, Seq: 5, Hash: sha("lost"), Time: at(1)}
		verified(t, c, []catalog.Head{before, lost, now}, -1, 1, 4, "events after 3 are gone", "head 5 was noted at 2023", fmt.Sprintf("epoch %d began", now.Epoch), "restored from the backup of Monday")
		cut := now
		cut.Seq = 6
		verified(t, c, []catalog.Head{lost, cut}, -1, now.Epoch, 6, "events after 5 are gone")
		must(t, c.Begin(ctx, by, "again"))
		verified(t, c, []catalog.Head{before, now, head(t, c)}, 6, 0, 0)
		if again := head(t, c).Epoch; again <= now.Epoch {
			t.Errorf("epoch %d came after %d", again, now.Epoch)
		}
	})
	// What is restored twice from one backup is two logs: a reader who has seen the one must not take the other for it.
	t.Run("two restores of one backup", func(t *testing.T) {
		one, other := fresh(t, open), fresh(t, open)
		emit(t, one, "a")
		emit(t, other, "a")
		must(t, one.Begin(ctx, by, "a restore"))
		noted := head(t, one)
		for time.Now().UnixMilli() <= noted.Time.UnixMilli() {
			time.Sleep(time.Millisecond)
		}
		must(t, other.Begin(ctx, by, "a restore"))
		if head(t, other).Epoch <= noted.Epoch {
			t.Errorf("both restores begin epoch %d", noted.Epoch)
		}
		verified(t, other, []catalog.Head{noted}, -1, noted.Epoch, 2, "this log has no such epoch: it is of another restore")
	})
	t.Run("begun with an epoch", func(t *testing.T) {
		c := fresh(t, open)
		must(t, c.Begin(ctx, by, "a new pond"))
		emit(t, c, "a")
		verified(t, c, []catalog.Head{head(t, c)}, 2, 0, 0)
		same(t, "head", fmt.Sprint(head(t, c).Epoch, head(t, c).Seq), "1 2")
	})
	t.Run("many, while more come", func(t *testing.T) {
		c := fresh(t, open)
		update(t, c, func(tx catalog.Tx) error {
			for range 2500 { // more than any page
				must(t, tx.Emit(millpond.Event{Verb: "many"}))
			}
			return nil
		})
		noted := head(t, c)
		done := make(chan error, 1)
		go func() {
			var err error
			for range 50 {
				if err == nil {
					err = c.Update(ctx, by, func(tx catalog.Tx) error { return tx.Emit(millpond.Event{Verb: "more"}) })
				}
			}
			done <- err
		}()
		for range 5 {
			verified(t, c, []catalog.Head{noted}, -1, 0, 0)
		}
		must(t, <-done)
		verified(t, c, []catalog.Head{noted}, 2550, 0, 0)
	})
}
