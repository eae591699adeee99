package sql

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"millpond"
	"millpond/catalog"
)

// foreign is a connection of another program that has run a statement and holds what that took.
func foreign(t *testing.T, path string, statements ...string) *stdsql.Conn {
	t.Helper()
	db, err := open(path, 1)
	must(t, err)
	conn, err := db.Conn(context.Background())
	must(t, err)
	for _, s := range statements {
		_, err := conn.ExecContext(context.Background(), s)
		must(t, err)
	}
	t.Cleanup(func() { conn.Close(); db.Close() })
	return conn
}

// TestLockedByAnother: reads go on, a write waits 5 s for the lock, and those that came later wait theirs.
func TestLockedByAnother(t *testing.T) {
	for _, name := range []string{changesName, cacheName} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				c, _ := opened(t, dir)
				write := func() error {
					if name == changesName {
						return set(c, "a", "2")
					}
					return c.PutHolding(context.Background(), &catalog.Holding{Layer: "l"})
				}
				must(t, set(c, "a", "1"))
				lock := foreign(t, filepath.Join(dir, name), "BEGIN IMMEDIATE")

				var all sync.WaitGroup
				for i := range 5 {
					all.Go(func() {
						time.Sleep(time.Duration(i) * time.Second)
						begun := time.Now()
						err := write()
						refused(t, "a write", err, millpond.Throttled, name, "locked by another process")
						if e, ok := errors.AsType[*millpond.Error](err); ok && !e.After.After(time.Now()) {
							t.Errorf("After: got %v; want a time to come", e.After)
						}
						if waited := time.Since(begun); waited < patience || waited > patience+time.Second {
							t.Errorf("waited %v; want %v", waited, patience)
						}
					})
				}
				time.Sleep(time.Second)
				if v := setting(t, c, "a"); v != "1" {
					t.Errorf("a read beside the lock: got %q", v)
				}
				if _, err := c.Totals(t.Context()); err != nil {
					t.Errorf("a read beside the lock: %v", err)
				}
				all.Wait()

				released := make(chan error)
				go func() { released <- write() }()
				time.Sleep(2 * time.Second)
				_, err := lock.ExecContext(context.Background(), "ROLLBACK")
				must(t, err)
				must(t, <-released)
				if c.Stopped() != nil {
					t.Errorf("a lock stopped the writes: %v", c.Stopped())
				}
				closed(t, c)
			})
		})
	}
}

// TestReaderWithoutEnd: the log stays bounded while another program reads without end; writes are refused, not lost.
func TestReaderWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c, log := opened(t, dir)
		c.changes.mostLog = 12 << 20
		must(t, set(c, "a", "1"))
		reader := foreign(t, filepath.Join(dir, changesName), "BEGIN", "SELECT * FROM settings")

		var err error
		for i := 0; err == nil; i++ {
			if i == 100 {
				t.Fatalf("the log is %d bytes long and grows", c.changes.logSize())
			}
			err = c.Update(context.Background(), millpond.Actor{Name: "me"}, func(tx catalog.Tx) error {
				return tx.SetSetting("large", fmt.Appendf(nil, "%q", strings.Repeat(fmt.Sprint(i), 1<<19)))
			})
			time.Sleep(2 * lookEvery)
		}
		refused(t, "a write", err, millpond.Full, "log of catalog.db has grown", "reads the file without end")
		if !log.has("writes are refused") {
			t.Errorf("the log does not say so: %q", log.lines)
		}
		if v := setting(t, c, "a"); v != "1" {
			t.Errorf("a read: got %q", v)
		}
		must(t, c.PutHolding(context.Background(), &catalog.Holding{Layer: "l"}))

		_, err = reader.ExecContext(context.Background(), "ROLLBACK")
		must(t, err)
		for i := 0; ; i++ { // the log is looked at now and then, and must have been cut short
			time.Sleep(lookEvery)
			if err = set(c, "a", "2"); err == nil {
				break
			}
			if i == 100 {
				t.Fatalf("writes are still refused, long after the reader has gone: %v", err)
			}
		}
		if size := c.changes.logSize(); size > journalLimit {
			t.Errorf("the log is still %d bytes long", size)
		}
		closed(t, c)
	})
}

// TestLogIsKeptShort: many writes that never pause do not make the log grow for ever.
func TestLogIsKeptShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := opened(t, t.TempDir())
		record := make([]byte, 4<<20)
		longest := int64(0)
		for i := range 60 {
			record[i] = byte(i)
			a := &catalog.Answer{Question: catalog.Question{Layer: "l", Package: fmt.Sprint(i % 3)}, Record: record}
			must(t, c.PutAnswer(context.Background(), a))
			longest = max(longest, c.cache.logSize())
			time.Sleep(lookEvery / 2)
		}
		if longest > journalLimit {
			t.Errorf("the log grew to %d MiB; want at most %d", longest>>20, journalLimit>>20)
		}
		closed(t, c)
	})
}

// TestNoRoom: a write that has no room fails alone, and all is well when there is room again.
func TestNoRoom(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	must(t, set(c, "a", "1"))
	limit := func(pages int) {
		must(t, c.changes.writer.write(t.Context(), func(w *work) error {
			_, err := w.conn.ExecContext(context.Background(), fmt.Sprintf("PRAGMA max_page_count = %d", pages))
			return err
		}))
	}
	limit(20)
	large := fmt.Sprintf("%q", strings.Repeat("x", 1<<20))
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if i%5 == 0 {
				refused(t, "a large one", set(c, "large", large), millpond.Full, "no room", "catalog.db", "free some disk space")
			} else if err := set(c, fmt.Sprint("small", i%7), "1"); err != nil {
				t.Errorf("a small one beside it: %v", err)
			}
		})
	}
	all.Wait()
	if c.Stopped() != nil {
		t.Errorf("a full disk stopped the writes: %v", c.Stopped())
	}
	limit(1 << 30)
	must(t, set(c, "large", large))
	if v := setting(t, c, "large"); v != large {
		t.Errorf("got %d bytes; want %d", len(v), len(large))
	}
}

const smallDisk = "MILLPOND_TEST_SMALL_DISK"

// TestDiskFull fills a real file system: a tmpfs of 6 MiB, mounted where only a child of this test sees it.
func TestDiskFull(t *testing.T) {
	if dir := os.Getenv(smallDisk); dir != "" {
		if err := syscall.Mount("small", dir, "tmpfs", 0, "size=6m"); err != nil {
			fmt.Println("SKIP: no tmpfs can be mounted here:", err)
			return
		}
		fillDisk(t, dir)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
	child.Env = append(os.Environ(), smallDisk+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		t.Skip("no name spaces to be had here: ", err)
	}
	if _, why, skipped := strings.Cut(string(out), "SKIP: "); skipped {
		t.Skip(why)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func fillDisk(t *testing.T, dir string) {
	c, _ := opened(t, dir)
	must(t, set(c, "a", "1"))
	h := &catalog.Holding{Layer: "l", Key: millpond.Key{Package: "p"}, Size: 1}
	must(t, c.PutHolding(t.Context(), h))
	acknowledged := 0
	var full error
	for i := 0; full == nil; i++ {
		full = set(c, fmt.Sprint("n", i), fmt.Sprintf("%q", strings.Repeat("x", 100_000)))
		if full == nil {
			acknowledged++
		}
		if i == 1000 {
			t.Fatal("the disk never got full")
		}
	}
	refused(t, "an update", full, millpond.Full, "no room")
	refused(t, "an answer", c.PutAnswer(t.Context(), &catalog.Answer{Record: make([]byte, 1<<20)}), millpond.Full, "no room")
	if v := setting(t, c, "a"); v != "1" {
		t.Errorf("a read on a full disk: got %q", v)
	}
	if _, err := c.Holding(t.Context(), "l", h.Key); err != nil {
		t.Errorf("a read on a full disk: %v", err)
	}
	if c.Stopped() != nil {
		t.Fatalf("a full disk stopped the writes: %v", c.Stopped())
	}
	must(t, syscall.Mount("small", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"))
	must(t, set(c, "a", "2"))
	must(t, c.PutAnswer(t.Context(), &catalog.Answer{Record: make([]byte, 1<<20)}))
	for i := range acknowledged {
		if setting(t, c, fmt.Sprint("n", i)) == "" {
			t.Errorf("the acknowledged update %d of %d is gone", i, acknowledged)
		}
	}
	if found, err := c.Check(t.Context()); err != nil || found != nil {
		t.Errorf("check: %q, %v", found, err)
	}
	fmt.Printf("full after %d updates\n", acknowledged)
}

// TestWriteError: after an I/O error nothing is written until the next start, reads go on, and what was acknowledged stays.
func TestWriteError(t *testing.T) {
	dir := t.TempDir()
	c, log := opened(t, dir)
	must(t, set(c, "a", "1"))

	// The system refuses to make files longer than this: SQLite's write fails, and not for want of room.
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 256 << 10, Max: old.Max}))
	err := set(c, "large", fmt.Sprintf("%q", strings.Repeat("x", 1<<20)))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old))
	refused(t, "the update", err, millpond.Internal, "writes to catalog.db have stopped", "I/O error", "look at the disk")
	refused(t, "the next update", set(c, "a", "2"), millpond.Internal, "writes to catalog.db have stopped")
	if !log.has("ERROR", "writes have stopped", "catalog.db") {
		t.Errorf("the log does not say so: %q", log.lines)
	}
	if c.Stopped() == nil {
		t.Error("Stopped: got nil")
	}
	if v := setting(t, c, "a"); v != "1" {
		t.Errorf("a read: got %q; want what was acknowledged", v)
	}
	must(t, c.PutHolding(t.Context(), &catalog.Holding{Layer: "l"}))
	closed(t, c)
	if !exists(dir, runningName) {
		t.Error("this counts as a clean stop")
	}
	c, log = opened(t, dir)
	if v := setting(t, c, "a"); v != "1" {
		t.Errorf("after the next start: got %q; want what was acknowledged", v)
	}
	must(t, set(c, "a", "2"))
	log.await(t, "sound after an unclean stop")
}
