package sql

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"millpond"
	"millpond/catalog"
)

// hold begins an update that ends when release is called.
func hold(t *testing.T, c *Catalog) (release func()) {
	t.Helper()
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- c.Update(context.Background(), millpond.Actor{Name: "holder"}, func(catalog.Tx) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	return func() {
		close(end)
		must(t, <-ended)
	}
}

// TestGroups: updates that come together share commits, and no commit has more than 64.
func TestGroups(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	commits := 0
	c.changes.writer.committed = func() { commits++ } // called by the writer alone
	release := hold(t, c)
	const all = 2*most + 10
	var updates sync.WaitGroup
	for i := range all {
		updates.Go(func() {
			if err := set(c, fmt.Sprint(i), "1"); err != nil {
				t.Error(err)
			}
		})
	}
	for len(c.changes.writer.queue) < all { // until all wait
		runtime.Gosched()
	}
	release()
	updates.Wait()
	closed(t, c)
	if want := 1 + 3; commits != want {
		t.Errorf("%d updates took %d commits; want %d", all, commits, want)
	}
}

// TestLinger: who writes alone does not wait for others; where several write at a time, they wait for each other, 2 ms at
// the most.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := opened(t, t.TempDir())
		begun := time.Now()
		for range 20 {
			must(t, set(c, "a", "1"))
		}
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("20 updates of one writer waited %v; want none to wait", waited)
		}
		release := hold(t, c)
		var two sync.WaitGroup
		for range 2 {
			two.Go(func() {
				if err := set(c, "b", "1"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		release()
		two.Wait()
		begun = time.Now()
		must(t, set(c, "a", "2")) // the other two might have come with it
		if waited := time.Since(begun); waited != linger {
			t.Errorf("the first of several waited %v; want %v", waited, linger)
		}
		begun = time.Now()
		must(t, set(c, "a", "3"))
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("alone again: waited %v; want nothing", waited)
		}
		closed(t, c)
	})
}

// TestLeftWhileWaiting: an update whose context ends before its turn is not run; one that has begun is waited for.
func TestLeftWhileWaiting(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	release := hold(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		result <- c.Update(ctx, millpond.Actor{Name: "me"}, func(catalog.Tx) error { t.Error("an update ran whose caller has left"); return nil })
	}()
	for len(c.changes.writer.queue) == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want the context's end", err)
	}
	release()

	ctx, cancel = context.WithCancel(t.Context())
	err := c.Update(ctx, millpond.Actor{Name: "me"}, func(tx catalog.Tx) error {
		cancel()
		return tx.SetSetting("begun", []byte("1"))
	})
	if err != nil || setting(t, c, "begun") != "1" {
		t.Errorf("an update that had begun: got %v and %q; want it done", err, setting(t, c, "begun"))
	}
}

// TestGoexit: an update that ends its goroutine is undone and holds nobody up.
func TestGoexit(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c.Update(context.Background(), millpond.Actor{Name: "me"}, func(tx catalog.Tx) error {
			must(t, tx.SetSetting("half", []byte("1")))
			runtime.Goexit()
			return nil
		})
	}()
	<-gone
	must(t, set(c, "after", "1"))
	if v := setting(t, c, "half"); v != "" {
		t.Errorf("got %q; want nothing of an update that did not return", v)
	}
}

// TestLostTransaction: where one job loses the transaction for all, the others are done again without it.
func TestLostTransaction(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	release := hold(t, c)
	runs := make([]int, 5)
	results := make([]error, len(runs))
	var all sync.WaitGroup
	for i := range runs {
		all.Go(func() {
			results[i] = c.changes.writer.write(t.Context(), func(w *work) error {
				runs[i]++
				if i == 2 {
					w.exec(rollback) // as SQLite does by itself after some errors
					return errors.New("lost")
				}
				_, err := w.exec(writeSetting, fmt.Sprint("n", i), fmt.Sprint(runs[i]))
				return err
			})
		})
		for len(c.changes.writer.queue) <= i {
			runtime.Gosched()
		}
	}
	release()
	all.Wait()
	for i, err := range results {
		if i == 2 {
			if err == nil || err.Error() != "lost" || runs[i] != 1 {
				t.Errorf("job 2: got %v after %d runs; want its own error after one", err, runs[i])
			}
			continue
		}
		if err != nil || setting(t, c, fmt.Sprint("n", i)) != fmt.Sprint(runs[i]) {
			t.Errorf("job %d: got %v and %q; want it done, by run %d", i, err, setting(t, c, fmt.Sprint("n", i)), runs[i])
		}
	}
	must(t, set(c, "after", "1"))
}

// TestClosedWhileWaiting: Close answers everybody.
func TestClosedWhileWaiting(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	release := hold(t, c)
	results := make(chan error)
	for range 10 {
		go func() { results <- set(c, "a", "1") }()
	}
	for len(c.changes.writer.queue) < 10 {
		runtime.Gosched()
	}
	go release()
	closed(t, c)
	for range 10 {
		if err := <-results; err != nil && !strings.Contains(err.Error(), "closed") {
			t.Errorf("got %v; want nothing, or that the catalog is closed", err)
		}
	}
	refused(t, "later", set(c, "a", "1"), millpond.Internal, "closed")
}

// TestNews: followers hear of this process's events at once, and of another's when they next look.
func TestNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c, _ := opened(t, dir)
		heard := make(chan time.Time)
		go func() {
			defer close(heard)
			for _, err := range c.Events(context.Background(), 0) {
				if err != nil {
					return // closed
				}
				heard <- time.Now()
			}
		}()
		synctest.Wait()
		begun := time.Now()
		must(t, c.Update(t.Context(), millpond.Actor{Name: "me"}, func(tx catalog.Tx) error { return tx.Emit(millpond.Event{Verb: "own"}) }))
		if waited := (<-heard).Sub(begun); waited != 0 {
			t.Errorf("an event of this process was heard of after %v; want at once", waited)
		}
		synctest.Wait()
		begun = time.Now()
		change(t, filepath.Join(dir, changesName),
			"INSERT INTO events (seq, time, actor, verb, repository, layer, package, version, file) SELECT 2, 0, '', 'another', '', '', '', '', ''")
		if waited := (<-heard).Sub(begun); waited != pollEvery {
			t.Errorf("an event of another process was heard of after %v; want %v", waited, pollEvery)
		}
		closed(t, c)
		<-heard
	})
}

// TestLongView: a view that never ends is ended, for the log grows while it lasts.
func TestLongView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := opened(t, t.TempDir())
		must(t, c.View(t.Context(), func(tx catalog.Tx) error {
			if _, err := tx.Setting("a"); err != nil {
				t.Errorf("at its beginning: %v", err)
			}
			time.Sleep(longestView + time.Second)
			if _, err := tx.Setting("a"); err == nil {
				t.Error("no error after its longest time")
			}
			return nil
		}))
		closed(t, c)
	})
}

// TestViewsWaitForNoOther: as many views as there are connections read what was never read before.
func TestViewsWaitForNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := opened(t, t.TempDir())
		begun, failed := make(chan bool), make(chan error)
		all := c.changes.read.Stats().MaxOpenConnections
		read := make(chan bool)
		for range all {
			go func() {
				failed <- c.View(t.Context(), func(tx catalog.Tx) error {
					begun <- true
					<-read
					_, err := tx.HostedPackage("r", "p")
					if !millpond.Is(err, millpond.NotFound) {
						return fmt.Errorf("got %v, want NotFound", err)
					}
					return nil
				})
			}()
		}
		for range all {
			<-begun
		}
		close(read)
		for range all {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
		closed(t, c)
	})
}

// TestPlans: no look-up scans a table or sorts, however many rows there are.
func TestPlans(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	for _, test := range []struct {
		name, text string
		file       *file
	}{
		{"readAnswer", readAnswer, c.cache}, {"findAnswer", findAnswer, c.cache}, {"changeAnswer", changeAnswer, c.cache},
		{"dropRecord", dropRecord, c.cache}, {"dropDocuments", dropDocuments, c.cache}, {"confirmAnswer", confirmAnswer, c.cache},
		{"oldAbsences", oldAbsences, c.cache}, {"dropAbsence", dropAbsence, c.cache}, {"answered", answered, c.cache},
		{"heldBeyond", heldBeyond, c.cache}, {"readHolder", readHolder, c.cache}, {"noteHolding", noteHolding, c.cache},
		{"heldOfVersion", heldOfVersion, c.cache}, {"dropHolding", dropHolding, c.cache}, {"derivedFamily", derivedFamily, c.cache},
		{"listFamily", listFamily, c.cache}, {"dropMember", dropMember, c.cache},
		{"repositoryAfter", repositoryAfter, c.changes}, {"lastFrom", lastFrom, c.changes}, {"lastAfter", lastAfter, c.changes},
		{"readSome", readSome, c.changes}, {"anyLive", anyLive, c.changes},
		{"dropOfLayer", dropOfLayer, c.cache}, {"dropOfPackage", dropOfPackage, c.cache},
		{"readHolding", readHolding, c.cache}, {"findHolding", findHolding, c.cache}, {"changeHolding", changeHolding, c.cache},
		{"heldOfAllFrom", heldOfAllFrom, c.cache}, {"heldOfAllAfter", heldOfAllAfter, c.cache},
		{"heldOfOneFrom", heldOfOneFrom, c.cache}, {"heldOfOneAfter", heldOfOneAfter, c.cache},
		{"dropUnheld", dropUnheld, c.cache}, {"loseHoldings", loseHoldings, c.cache}, {"loseHeld", loseHeld, c.cache},
		{"loseDerived", loseDerived, c.cache}, {"loseDocuments", loseDocuments, c.cache}, {"numbersLeft", numbersLeft, c.cache},
		{"renumber", renumber, c.cache}, {"readDerived", readDerived, c.cache}, {"dropDerived", dropDerived, c.cache},
		{"moveUse", moveUse, c.cache}, {"newestUse", newestUse, c.cache}, {"readOldest", readOldest, c.cache}, {"isNamed", isNamed, c.cache},
		{"readSetting", readSetting, c.changes}, {"readEvents", readEvents, c.changes}, {"countEvents", countEvents, c.changes},
		{"readHead", readHead, c.changes}, {"isHosted", isHosted, c.changes}, {"spanOf", spanOf, c.changes}, {"readChain", readChain, c.changes},
		{"readPackage", readPackage, c.changes}, {"findPackage", findPackage, c.changes}, {"dropPackage", dropPackage, c.changes},
		{"packagesFrom", packagesFrom, c.changes}, {"packagesAfter", packagesAfter, c.changes}, {"addLive", addLive, c.changes},
		{"readHostedSumsOne", readHostedSumsOne, c.changes}, {"readVersion", readVersion, c.changes}, {"readFiles", readFiles, c.changes},
		{"versionsFrom", "SELECT id " + versionsFrom, c.changes}, {"versionsAfter", "SELECT id " + versionsAfter, c.changes},
		{"filesOf", fmt.Sprintf(filesOf, versionsAfter), c.changes}, {"dropFile", dropFile, c.changes}, {"dropVersion", dropVersion, c.changes},
		{"readRef", readRef, c.changes}, {"refsFrom", refsFrom, c.changes}, {"refsAfter", refsAfter, c.changes}, {"dropRef", dropRef, c.changes},
		{"readEntry", readEntry, c.changes}, {"entriesFrom", entriesFrom, c.changes}, {"entriesAfter", entriesAfter, c.changes},
		{"ownedFrom", ownedFrom, c.changes}, {"ownedAfter", ownedAfter, c.changes}, {"dropEntry", dropEntry, c.changes},
		{"expireEntries", expireEntries, c.changes},
	} {
		args := make([]any, strings.Count(test.text, "?"))
		rows, err := test.file.read.Query("EXPLAIN QUERY PLAN "+test.text, args...)
		must(t, err)
		for rows.Next() {
			var id, parent, unused int
			var step string
			must(t, rows.Scan(&id, &parent, &unused, &step))
			// "SEARCH held" for MAX(used) reads one row; "SCAN CONSTANT ROW" reads none.
			if strings.HasPrefix(step, "SCAN") && step != "SCAN CONSTANT ROW" || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%s: %s", test.name, step)
			}
		}
		must(t, rows.Err())
		must(t, rows.Close())
	}
}
