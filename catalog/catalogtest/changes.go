package catalogtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
)

// contextOf is a context that lives on in a test's clean-ups.
func contextOf(t testing.TB) context.Context { return context.WithoutCancel(t.Context()) }

// past reads the events that are there already, after seq.
func past(t testing.TB, c catalog.Catalog, seq int64) []millpond.Event {
	t.Helper()
	totals, err := c.Totals(contextOf(t))
	must(t, err)
	var events []millpond.Event
	if totals.Events == 0 {
		return nil
	}
	for e, err := range c.Events(contextOf(t), seq) {
		must(t, err)
		if events = append(events, e); e.Seq >= totals.Events {
			break
		}
	}
	return events
}

// setting reads one.
func setting(t testing.TB, c catalog.Catalog, name string) (value json.RawMessage) {
	t.Helper()
	must(t, c.View(contextOf(t), func(tx catalog.Tx) (err error) {
		value, err = tx.Setting(name)
		return err
	}))
	return value
}

func testChanges(t *testing.T, open Open) {
	c := fresh(t, open)
	ctx := t.Context()
	set := func(name, value string) func(catalog.Tx) error {
		return func(tx catalog.Tx) error { return tx.SetSetting(name, json.RawMessage(value)) }
	}
	t.Run("settings", func(t *testing.T) {
		if v := setting(t, c, "a"); v != nil {
			t.Errorf("before: got %s; want nil", v)
		}
		must(t, c.Update(ctx, millpond.Actor{Name: "me"}, set("a", `{"x": 1}`)))
		must(t, c.Update(ctx, millpond.Actor{Name: "me"}, set("a", `{"x": "é"}`)))
		must(t, c.Update(ctx, millpond.Actor{Name: "me"}, set("b", `null`)))
		same(t, "a", string(setting(t, c, "a")), `{"x": "é"}`)
		same(t, "b", string(setting(t, c, "b")), `null`)
		must(t, c.Update(ctx, millpond.Actor{Name: "me"}, func(tx catalog.Tx) error { return tx.SetSetting("a", nil) }))
		if v := setting(t, c, "a"); v != nil {
			t.Errorf("removed: got %s; want nil", v)
		}
		kind(t, "not JSON", c.Update(ctx, millpond.Actor{Name: "me"}, set("a", `{`)), millpond.Invalid)
	})
	t.Run("an update sees what it did", func(t *testing.T) {
		must(t, c.Update(ctx, millpond.Actor{Name: "me"}, func(tx catalog.Tx) error {
			must(t, tx.SetSetting("own", json.RawMessage(`7`)))
			got, err := tx.Setting("own")
			same(t, "own", string(got), `7`)
			return err
		}))
	})
	t.Run("nothing is left of one that fails", func(t *testing.T) {
		before := past(t, c, 0)
		err := c.Update(ctx, millpond.Actor{Name: "me"}, func(tx catalog.Tx) error {
			must(t, tx.SetSetting("half", json.RawMessage(`1`)))
			must(t, tx.Emit(millpond.Event{Verb: "half"}))
			return errWanted
		})
		if !errors.Is(err, errWanted) {
			t.Errorf("got %v; want the function's own error", err)
		}
		if v := setting(t, c, "half"); v != nil {
			t.Errorf("setting: got %s; want nil", v)
		}
		if after := past(t, c, 0); len(after) != len(before) {
			t.Errorf("events: got %d; want the %d of before", len(after), len(before))
		}
	})
	t.Run("nothing is left of one that panics", func(t *testing.T) {
		func() {
			defer func() {
				if got := recover(); got != errWanted {
					t.Errorf("recovered %v; want the function's own panic", got)
				}
			}()
			c.Update(ctx, millpond.Actor{Name: "me"}, func(tx catalog.Tx) error {
				must(t, tx.SetSetting("panic", json.RawMessage(`1`)))
				panic(errWanted)
			})
		}()
		if v := setting(t, c, "panic"); v != nil {
			t.Errorf("setting: got %s; want nil", v)
		}
	})
	t.Run("a view changes nothing", func(t *testing.T) {
		err := c.View(ctx, func(tx catalog.Tx) error {
			if tx.Emit(millpond.Event{Verb: "x"}) == nil || tx.SetSetting("x", json.RawMessage(`1`)) == nil {
				t.Error("Emit or SetSetting gave no error")
			}
			return errWanted
		})
		if !errors.Is(err, errWanted) {
			t.Errorf("got %v; want the function's own error", err)
		}
	})
	t.Run("a view is of one moment", func(t *testing.T) {
		must(t, c.Update(ctx, millpond.Actor{Name: "me"}, set("moment", `1`)))
		must(t, c.View(ctx, func(tx catalog.Tx) error {
			before, err := tx.Setting("moment")
			must(t, err)
			must(t, c.Update(ctx, millpond.Actor{Name: "me"}, set("moment", `2`)))
			after, err := tx.Setting("moment")
			same(t, "the same view, later", string(after), string(before))
			return err
		}))
		same(t, "the next view", string(setting(t, c, "moment")), `2`)
	})
	t.Run("a transaction cannot be kept", func(t *testing.T) {
		var kept []catalog.Tx
		keep := func(tx catalog.Tx) error { kept = append(kept, tx); return nil }
		must(t, c.Update(ctx, millpond.Actor{Name: "me"}, keep))
		must(t, c.View(ctx, keep))
		for i, tx := range kept {
			if _, err := tx.Setting("a"); err == nil || tx.Emit(millpond.Event{}) == nil || tx.SetSetting("a", nil) == nil {
				t.Errorf("transaction %d still works after its end", i)
			}
		}
	})
	t.Run("not begun after its context", func(t *testing.T) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		err := c.Update(ended, millpond.Actor{Name: "me"}, func(catalog.Tx) error { t.Error("the update ran"); return nil })
		kind(t, "update", err, millpond.Canceled)
		kind(t, "put", c.PutAnswer(ended, fullAnswer("l", "ended")), millpond.Canceled)
		_, err = c.Answer(ended, question("l", "ended"))
		kind(t, "answer", err, millpond.Canceled)
	})
}

func testEvents(t *testing.T, open Open) {
	ctx := t.Context()
	emit := func(c catalog.Catalog, verbs ...string) error {
		return c.Update(ctx, millpond.Actor{Name: "me"}, func(tx catalog.Tx) error {
			for _, v := range verbs {
				if err := tx.Emit(millpond.Event{Verb: v}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	t.Run("all fields", func(t *testing.T) {
		c := fresh(t, open)
		e := millpond.Event{
			Epoch: 7, Seq: 99, Actor: millpond.Actor{Name: "nobody"}, Hash: sha("x"), Verb: "publish", Repository: "r", Layer: "l",
			Key: millpond.Key{Package: "p", Version: "v", File: "f"}, Detail: json.RawMessage(`{"bytes": 7}`),
		}
		before := time.Now().Add(-time.Second)
		by := millpond.Actor{Name: "me", Token: "t1", Client: "192.0.2.1", Request: "r1"}
		must(t, c.Update(ctx, by, func(tx catalog.Tx) error { return tx.Emit(e) }))
		got := past(t, c, 0)
		if len(got) != 1 || got[0].Time.Before(before) || got[0].Time.After(time.Now().Add(time.Second)) {
			t.Fatalf("got %v; want one event of now", got)
		}
		if got[0].Hash.IsZero() || got[0].Hash == e.Hash {
			t.Errorf("got the hash %v; want one of the catalog's", got[0].Hash)
		}
		e.Epoch, e.Seq, e.Actor, e.Time, e.Hash = 1, 1, by, got[0].Time, got[0].Hash
		same(t, "event", got[0], e)
		kind(t, "detail that is not JSON", c.Update(ctx, millpond.Actor{Name: "me"}, func(tx catalog.Tx) error {
			return tx.Emit(millpond.Event{Detail: json.RawMessage(`{`)})
		}), millpond.Invalid)
	})
	t.Run("after a number, in order, without gaps", func(t *testing.T) {
		c := fresh(t, open)
		for i := range 600 { // more than any page
			if i%7 == 0 {
				c.Update(ctx, millpond.Actor{Name: "me"}, func(tx catalog.Tx) error { must(t, tx.Emit(millpond.Event{})); return errWanted })
			}
			must(t, emit(c, strconv.Itoa(i)))
		}
		got := past(t, c, 50)
		if len(got) != 550 {
			t.Fatalf("got %d events; want 550", len(got))
		}
		for i, e := range got {
			if e.Seq != int64(51+i) || e.Verb != strconv.Itoa(50+i) {
				t.Fatalf("event %d: got seq %d, verb %s; want %d, %d", i, e.Seq, e.Verb, 51+i, 50+i)
			}
		}
	})
	t.Run("waits for more until its context ends", func(t *testing.T) {
		c := fresh(t, open)
		const followers, all = 4, 20
		following, stop := context.WithCancel(ctx)
		defer stop()
		var ended sync.WaitGroup
		reached := make(chan int, followers*all)
		for range followers {
			ended.Go(func() {
				n := 0
				for e, err := range c.Events(following, 0) {
					if err != nil {
						t.Errorf("after %d events: %v", n, err)
						return
					}
					if n++; e.Seq != int64(n) {
						t.Errorf("got seq %d; want %d", e.Seq, n)
					}
					reached <- n
				}
			})
		}
		for i := range all / 2 {
			must(t, emit(c, "a", "b"))
			for range 2 * followers { // so each pair arrives although nothing follows it
				if n := <-reached; n > 2*(i+1) {
					t.Fatalf("event %d was seen before it happened", n)
				}
			}
		}
		stop()
		ended.Wait()
	})
	t.Run("are told in the transaction of their change", func(t *testing.T) {
		c := fresh(t, open)
		following, stop := context.WithCancel(ctx)
		defer stop()
		var ended sync.WaitGroup
		defer ended.Wait()
		ended.Go(func() {
			for i := range 100 {
				err := c.Update(ctx, millpond.Actor{Name: "me"}, func(tx catalog.Tx) error {
					name := fmt.Sprint("s", i)
					return errors.Join(tx.Emit(millpond.Event{Verb: name}), tx.SetSetting(name, json.RawMessage(`1`)))
				})
				if err != nil {
					t.Error(err)
					stop()
				}
			}
		})
		for e, err := range c.Events(following, 0) {
			must(t, err)
			if v := setting(t, c, e.Verb); v == nil {
				t.Errorf("event %d of %s came before its change", e.Seq, e.Verb)
			}
			if e.Seq == 100 {
				return
			}
		}
		t.Error("the events ended before the last")
	})
}
