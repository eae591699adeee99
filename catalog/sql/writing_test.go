package sql

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millpond/catalog"
)

// TestStuck: a writer without work, and one with much, moves; one that an update does not let go on does not, and is said to be
// stuck until it is let go.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := opened(t, t.TempDir())
		moves := func(when string) {
			t.Helper()
			if err := c.Stuck(time.Now(), 5*time.Second); err != nil {
				t.Errorf("%s: %v; want all writers to move", when, err)
			}
		}
		moves("after the start")
		time.Sleep(time.Hour)
		moves("after an hour without work")
		release := hold(t, c)
		time.Sleep(5 * time.Second)
		moves("five seconds into an update")
		time.Sleep(time.Second)
		synctest.Wait()
		if err := c.Stuck(time.Now(), 5*time.Second); err == nil || !strings.Contains(err.Error(), "catalog.db has not moved for 6s") {
			t.Errorf("six seconds into an update that does nothing: %v; want the words", err)
		}
		if err := c.PutAnswer(context.Background(), &catalog.Answer{Question: catalog.Question{Layer: "a/b", Kind: "package", Package: "p"}, Record: []byte("{}")}); err != nil {
			t.Errorf("bookkeeping beside it: %v", err)
		}
		release()
		moves("after the update")
		// A slow disk is not stuck: the writer waits inside SQLite.
		end, ended := make(chan struct{}), make(chan error)
		go func() {
			ended <- c.changes.writer.write(context.Background(), func(w *work) error {
				defer w.pace.enter()()
				<-end
				return nil
			})
		}()
		synctest.Wait()
		time.Sleep(time.Minute)
		moves("a minute inside SQLite")
		if since := c.Writing().Since; since < 59*time.Second || since > time.Minute+time.Second {
			t.Errorf("Writing.Since = %s a minute into a write; want about a minute", since)
		}
		close(end)
		must(t, <-ended)
		closed(t, c)
		time.Sleep(time.Minute)
		moves("once the catalog is closed")
	})
}

// TestWriting: commits are counted by how long they took, and what waits and what the log holds is told.
func TestWriting(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	before := c.Writing()
	for range 3 {
		must(t, set(c, "a", "1"))
	}
	release := hold(t, c)
	ended := make(chan error)
	go func() { ended <- set(c, "b", "1") }()
	for c.Writing().Waiting != 1 {
		time.Sleep(time.Millisecond) // nothing tells
	}
	release()
	must(t, <-ended)
	after := c.Writing()
	if n := after.Count - before.Count; n < 4 || n > 5 {
		t.Errorf("%d commits were counted for three updates, one after the other, and two; want 4 or 5", n)
	}
	if last := after.Commits[len(after.Commits)-1]; last.Count != after.Count || last.Most != 30*time.Second {
		t.Errorf("commits of at most 30s: %+v; want all %d", last, after.Count)
	}
	for i := 1; i < len(after.Commits); i++ {
		if after.Commits[i].Count < after.Commits[i-1].Count {
			t.Errorf("commits by time: %+v; want counts that grow", after.Commits)
		}
	}
	if after.Took <= before.Took || after.Log <= 0 || after.Waiting != 0 {
		t.Errorf("Writing = %+v; want time taken, a log, and nothing that waits", after)
	}
	closed(t, c)
}
