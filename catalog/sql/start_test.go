package sql

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"millpond"
	"millpond/catalog"
)

// change runs statements on a closed database, as another program would.
func change(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := open(path, 1)
	must(t, err)
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestNewCatalog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made for it, 100%?#")
	c, _ := opened(t, dir)
	must(t, set(c, "a", "1"))
	for _, name := range []string{changesName, cacheName, changesName + "-wal", runningName} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %v; want 0600, for a catalog holds what not everybody may read", name, info.Mode())
		}
	}
	closed(t, c)
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("after Close: got %v; want the two databases only", entries)
	}
}

func TestClock(t *testing.T) {
	now := time.UnixMilli(1_234_567_890_123).UTC()
	c, err := Open(t.Context(), t.TempDir(), Options{Now: func() time.Time { return now }})
	must(t, err)
	defer closed(t, c)
	must(t, c.Update(t.Context(), millpond.Actor{Name: "me"}, func(tx catalog.Tx) error { return tx.Emit(millpond.Event{Verb: "v"}) }))
	for e, err := range c.Events(t.Context(), 0) {
		must(t, err)
		if !e.Time.Equal(now) {
			t.Errorf("got %v; want %v", e.Time, now)
		}
		break
	}
}

// TestDurability: what the two files promise is what their connections are set to.
func TestDurability(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	for _, test := range []struct {
		file *file
		want string
	}{{c.changes, "2 wal 1"}, {c.cache, "1 wal 1"}} { // FULL; NORMAL
		var synchronous, keys, mode string
		must(t, test.file.writer.write(t.Context(), func(w *work) error {
			_, err := w.one("PRAGMA synchronous", nil, &synchronous)
			must(t, err)
			_, err = w.one("PRAGMA foreign_keys", nil, &keys)
			must(t, err)
			_, err = w.one("PRAGMA journal_mode", nil, &mode)
			return err
		}))
		if got := synchronous + " " + mode + " " + keys; got != test.want {
			t.Errorf("%s: synchronous, journal mode and foreign keys are %s; want %s", test.file.name, got, test.want)
		}
		if _, err := test.file.read.Exec("CREATE TABLE x (n INTEGER)"); err == nil {
			t.Errorf("%s: a reading connection writes", test.file.name)
		}
	}
}

// TestSumsThatDrift: a check finds sums that are not those of the rows, and blobs without their row.
func TestSumsThatDrift(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	h := &catalog.Holding{Layer: "l", Blob: millpond.SHA256([]byte("a")), Size: 10}
	must(t, c.PutHolding(t.Context(), h))
	for _, test := range []struct{ spoil, mend, want string }{
		{"UPDATE sums SET n = n + 3 WHERE what = 'holdings'", "UPDATE sums SET n = n - 3 WHERE what = 'holdings'", "cache.db: the sum of holdings of l is off by -3"},
		{"UPDATE sums SET n = 0 WHERE what = 'bytes'", "UPDATE sums SET n = 10 WHERE what = 'bytes'", "cache.db: the sum of bytes of l is off by 10"},
		{"UPDATE held SET blob = blob || 'x', size = 12", "UPDATE held SET size = 10", "cache.db: the sum of held bytes is off by 2"},
		{"INSERT INTO held VALUES ('sha256:00', 0, 0)", "DELETE FROM held WHERE size = 0", "cache.db: the sum of held blobs is off by 1"},
	} {
		run := func(text string) {
			must(t, c.cache.writer.write(t.Context(), func(w *work) error { _, err := w.exec(text); return err }))
		}
		run(test.spoil)
		if found, err := c.Check(t.Context()); err != nil || len(found) != 1 || found[0] != test.want {
			t.Errorf("after %s: got %q, %v; want %q", test.spoil, found, err, test.want)
		}
		run(test.mend)
		if found, err := c.Check(t.Context()); err != nil || found != nil {
			t.Errorf("after %s: got %q, %v; want nothing", test.mend, found, err)
		}
	}
}

// TestFetchedAgain: a blob that is fetched again is not the oldest, though its bytes were first sealed long ago.
func TestFetchedAgain(t *testing.T) {
	now := time.UnixMilli(2_000_000)
	c, err := Open(t.Context(), t.TempDir(), Options{Now: func() time.Time { return now }})
	must(t, err)
	defer closed(t, c)
	old := &catalog.Holding{Layer: "l", Key: millpond.Key{File: "old"}, Blob: millpond.SHA256([]byte("old")), Modified: time.UnixMilli(1)}
	young := &catalog.Holding{Layer: "l", Key: millpond.Key{File: "young"}, Blob: millpond.SHA256([]byte("young")), Modified: time.UnixMilli(1_000_000)}
	must(t, c.PutHolding(t.Context(), old))
	must(t, c.PutHolding(t.Context(), young))
	must(t, c.LoseBlob(t.Context(), old.Blob))
	must(t, c.PutHolding(t.Context(), old))
	for u, err := range c.Oldest(t.Context()) {
		must(t, err)
		if u.Blob != young.Blob {
			t.Errorf("got the blob that was just fetched again, of %v; want the other", u.At)
		}
		break
	}
}

func TestCatalogThatCannotBeUsed(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		kind  millpond.Kind
		words []string
	}{
		{"newer schema", func(t *testing.T, path string) { change(t, path, "PRAGMA user_version = 77") },
			millpond.Unsupported, []string{"catalog.db", "newer millpond", "schema is 77", "backup"}},
		{"another program's", func(t *testing.T, path string) { change(t, path, "PRAGMA application_id = 99") },
			millpond.Corrupt, []string{"catalog.db", "another program", "restore catalog.db from a backup"}},
		{"no database", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600))
		}, millpond.Corrupt, []string{"catalog.db is damaged", "restore catalog.db from a backup"}},
		{"marked, and damaged", func(t *testing.T, path string) {
			spoil(t, path)
			must(t, mark(damagedName(path), "seen before"))
		}, millpond.Corrupt, []string{"catalog.db is damaged", "restore catalog.db from a backup", "catalog.db.damaged"}},
		{"marked, and with wrong rows", func(t *testing.T, path string) {
			change(t, path, "PRAGMA writable_schema = ON",
				"UPDATE sqlite_schema SET sql = replace(sql, 'verb       TEXT', 'verb       INT ') WHERE name = 'events'")
			must(t, mark(damagedName(path), "seen before"))
		}, millpond.Corrupt, []string{"catalog.db is damaged", "events.verb", "restore catalog.db from a backup"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			c, _ := opened(t, dir)
			fill(t, c, 100)
			closed(t, c)
			path := filepath.Join(dir, changesName)
			copyFile(t, path, path+".backup")
			test.spoil(t, path)
			before, err := os.ReadFile(path)
			must(t, err)
			for range 2 { // it stays so
				_, _, err := try(dir)
				refused(t, "open", err, test.kind, test.words...)
			}
			after, err := os.ReadFile(path)
			must(t, err)
			if string(before) != string(after) {
				t.Error("the file that was refused has changed")
			}
			must(t, os.Rename(path+".backup", path)) // the mark, if there is one, is left
			c, _ = opened(t, dir)
			must(t, set(c, "restored", "true"))
			if exists(dir, changesName+".damaged") {
				t.Error("the mark of damage is still there, and the file is sound")
			}
		})
	}
}

func TestCacheThatCannotBeUsed(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, path string)
	}{
		{"newer schema", func(t *testing.T, path string) { change(t, path, "PRAGMA user_version = 77") }},
		{"no database", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600))
		}},
		{"marked, and damaged", func(t *testing.T, path string) {
			spoil(t, path)
			must(t, mark(damagedName(path), "seen before"))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			c, _ := opened(t, dir)
			must(t, set(c, "kept", "true"))
			h := &catalog.Holding{Layer: "l", Key: millpond.Key{Package: "p"}}
			must(t, c.PutHolding(t.Context(), h))
			closed(t, c)
			path := filepath.Join(dir, cacheName)
			test.spoil(t, path)
			for round := range 2 {
				c, log := opened(t, dir)
				if got := log.has("ERROR", "made anew", "downloaded again", "cache.db.aside"); got != (round == 0) {
					t.Errorf("start %d: said that it is made anew: %v; log %q", round, got, log.lines)
				}
				if v := setting(t, c, "kept"); v != "true" {
					t.Errorf("the changes: got %q; want what was there", v)
				}
				_, err := c.Holding(t.Context(), "l", h.Key)
				if (round == 0) != millpond.Is(err, millpond.NotFound) {
					t.Errorf("start %d: holding: %v", round, err)
				}
				must(t, c.PutHolding(t.Context(), h))
				closed(t, c)
			}
			if !exists(path + ".aside") {
				t.Error("the old file was not kept aside")
			}
		})
	}
}

// TestDamageMetLater: writes to a damaged file stop, reads of what is sound go on, and the next start sees it.
func TestDamageMetLater(t *testing.T) {
	for _, test := range []struct {
		name string
		meet func(t *testing.T, c *Catalog, log *record)
	}{
		{"beside, after an unclean stop", func(t *testing.T, c *Catalog, log *record) {
			log.await(t, "ERROR", "writes have stopped", "catalog.db", "damaged")
		}},
		{"by a check", func(t *testing.T, c *Catalog, log *record) {
			found, err := c.Check(t.Context())
			if err != nil || len(found) == 0 || !strings.HasPrefix(found[0], "catalog.db: ") {
				t.Errorf("check: got %q, %v; want words about catalog.db", found, err)
			}
		}},
		{"by a read", func(t *testing.T, c *Catalog, log *record) {
			for _, err := range c.Events(t.Context(), 0) {
				if err != nil {
					return
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			c, _ := opened(t, dir)
			must(t, set(c, "sound", "true"))
			fill(t, c, 100)
			closed(t, c)
			spoil(t, filepath.Join(dir, changesName))
			if strings.Contains(test.name, "unclean") {
				must(t, mark(filepath.Join(dir, runningName), "as after a crash"))
			}
			c, log := opened(t, dir)
			test.meet(t, c, log)
			refused(t, "update", set(c, "a", "1"), millpond.Internal, "writes to catalog.db have stopped", "damaged")
			if c.Stopped() == nil {
				t.Error("Stopped: got nil")
			}
			if v := setting(t, c, "sound"); v != "true" {
				t.Errorf("a read beside the damage: got %q", v)
			}
			must(t, c.PutHolding(t.Context(), &catalog.Holding{Layer: "l"})) // the other file is well
			closed(t, c)
			_, _, err := try(dir)
			refused(t, "the next start", err, millpond.Corrupt, "catalog.db", "restore")
		})
	}
}

func TestUncleanStopOfSoundCatalog(t *testing.T) {
	dir := t.TempDir()
	c, log := opened(t, dir)
	must(t, set(c, "a", "1"))
	closed(t, c)
	if log.has("unclean") {
		t.Errorf("a new catalog was checked: %q", log.lines)
	}
	must(t, mark(filepath.Join(dir, runningName), "as after a crash"))
	c, log = opened(t, dir)
	log.await(t, "sound after an unclean stop")
	log.await(t, "sound after an unclean stop")
	must(t, set(c, "a", "2"))
	closed(t, c)
	if exists(dir, runningName) {
		t.Error("after Close the mark of a running catalog is still there")
	}
}

// steps are the migrations of catalog.db and one more.
func steps(t *testing.T, next string) schema {
	t.Helper()
	s, err := changesSchema()
	must(t, err)
	m := fstest.MapFS{"00005_more.sql": {Data: []byte("-- +goose Up\n" + next)}}
	names, err := fs.Glob(s.steps, "*.sql")
	must(t, err)
	for _, name := range names {
		b, err := fs.ReadFile(s.steps, name)
		must(t, err)
		m[name] = &fstest.MapFile{Data: b}
	}
	s.steps = m
	return s
}

func TestMigration(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, changesName)
	c, _ := opened(t, dir)
	must(t, set(c, "kept", "true"))
	closed(t, c)
	must(t, os.WriteFile(path+".schema-4.part", []byte("of a snapshot that was killed"), 0o600))

	o := Options{Log: slog.New(slog.DiscardHandler), Now: time.Now}
	_, err := openFile(context.Background(), path, everyCommit, steps(t, "CREATE TABLE more (n INTEGER); PRAGMA user_version = 5; INSERT INTO nowhere VALUES (1);"), o)
	if err == nil {
		t.Fatal("a step that fails gave no error")
	}
	c, _ = opened(t, dir) // as the program before
	if v := setting(t, c, "kept"); v != "true" {
		t.Errorf("after a step that failed: got %q; want what was there", v)
	}
	must(t, set(c, "kept", "false")) // after the snapshot that the failed step has left
	closed(t, c)

	for range 2 {
		f, err := openFile(context.Background(), path, everyCommit, steps(t, "CREATE TABLE more (n INTEGER); INSERT INTO more VALUES (7); PRAGMA user_version = 5;"), o)
		must(t, err)
		var n int
		must(t, f.read.QueryRow("SELECT SUM(n) FROM more").Scan(&n))
		if n != 7 {
			t.Errorf("the step was taken %d times; want once", n/7)
		}
		must(t, f.close())
	}
	_, _, err = try(dir)
	refused(t, "the program before, on the newer schema", err, millpond.Unsupported, "newer millpond", "schema is 5", "knows 4")

	must(t, os.Rename(path+".schema-4", path))
	c, _ = opened(t, dir)
	if v := setting(t, c, "kept"); v != "false" {
		t.Errorf("the snapshot: got %q; want what was there when the step was taken", v)
	}
}
