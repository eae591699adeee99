package sql

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"millpond"
	"millpond/catalog"
)

// TestTampering is S43: whatever is changed in the database behind the catalog's back, Verify names the event.
func TestTampering(t *testing.T) {
	dir := t.TempDir()
	c, _ := opened(t, dir)
	for i := range 20 {
		must(t, c.Update(t.Context(), millpond.Actor{Name: "ann", Token: "t", Client: "192.0.2.1", Request: "r"}, func(tx catalog.Tx) error {
			return tx.Emit(millpond.Event{
				Verb: "publish", Repository: "pypi", Layer: "l", Key: millpond.Key{Package: fmt.Sprint("p", i), Version: "1", File: "f"}, Detail: []byte(`{"x": 1}`),
			})
		}))
	}
	head, err := c.Head(t.Context())
	must(t, err)
	closed(t, c)
	pristine := filepath.Join(t.TempDir(), "pristine")
	copyFile(t, filepath.Join(dir, changesName), pristine)
	other := sha(t, "other")

	type test struct {
		name    string
		edit    []string
		seq     int64
		words   string
		checked bool // the structure alone shows it
		head    bool // only a head that was noted shows it
	}
	tests := []test{
		{name: "removed", edit: []string{"DELETE FROM events WHERE seq = 7"}, seq: 7, words: "event 7 is gone", checked: true},
		{name: "several removed", edit: []string{"DELETE FROM events WHERE seq BETWEEN 7 AND 9"}, seq: 7, words: "events 7 to 9 are gone", checked: true},
		{name: "the first removed", edit: []string{"DELETE FROM events WHERE seq = 1"}, seq: 1, words: "event 1 is gone", checked: true},
		{name: "removed and closed up", edit: []string{"DELETE FROM events WHERE seq = 7", "UPDATE events SET seq = seq - 1 WHERE seq > 7", "UPDATE head SET seq = 19"},
			seq: 7, words: "event 7 was changed"},
		{name: "swapped", edit: []string{"UPDATE events SET seq = 99 WHERE seq = 7", "UPDATE events SET seq = 7 WHERE seq = 8", "UPDATE events SET seq = 8 WHERE seq = 99"},
			seq: 7, words: "event 7 was changed"},
		{name: "replayed", edit: []string{`INSERT INTO events SELECT 21, time, actor, verb, repository, layer, package, version, file, detail, epoch, token, client, request, salt, hash
			FROM events WHERE seq = 20`, "UPDATE head SET seq = 21"}, seq: 21, words: "event 21 was changed"},
		{name: "tail cut", edit: []string{"DELETE FROM events WHERE seq > 15"}, seq: 16, words: "events after 15 are gone: head 20 is what the log itself says", checked: true},
		{name: "tail cut, and the head with it", edit: []string{"DELETE FROM events WHERE seq > 15",
			"UPDATE head SET seq = 15, hash = (SELECT hash FROM events WHERE seq = 15)"}, seq: 16, words: "events after 15 are gone: head 20 was noted", head: true},
		{name: "all removed", edit: []string{"DELETE FROM events", "DELETE FROM head"}, seq: 1, words: "events after 0 are gone: head 20 was noted", head: true},
		{name: "the head removed", edit: []string{"DELETE FROM head"}, seq: 1, words: "the log's own head is gone", checked: true},
		{name: "the head's hash", edit: []string{"UPDATE head SET hash = x'" + other + "'"}, seq: 20, words: "the log's own head is not the hash of event 20", checked: true},
		{name: "an epoch that nothing began", edit: []string{"UPDATE events SET epoch = 2 WHERE seq > 10"}, seq: 11, words: "event 11 was changed", checked: true},
		{name: "salt taken away", edit: []string{"UPDATE events SET salt = x'' WHERE seq = 7"}, seq: 7, words: "event 7 was changed", checked: true},
		{name: "hash taken away", edit: []string{"UPDATE events SET hash = x'' WHERE seq = 7"}, seq: 7, words: "event 7 was changed", checked: true},
		{name: "a hash", edit: []string{"UPDATE events SET hash = x'" + other + "' WHERE seq = 7"}, seq: 7, words: "event 7 was changed"},
	}
	for _, column := range []string{"actor", "token", "client", "request", "verb", "repository", "layer", "package", "version", "file"} {
		tests = append(tests, test{name: column, edit: []string{"UPDATE events SET " + column + " = 'x' WHERE seq = 12"}, seq: 12, words: "event 12 was changed"})
	}
	tests = append(tests,
		test{name: "time", edit: []string{"UPDATE events SET time = time + 1 WHERE seq = 12"}, seq: 12, words: "event 12 was changed"},
		test{name: "detail", edit: []string{`UPDATE events SET detail = '{"x":1}' WHERE seq = 12`}, seq: 12, words: "event 12 was changed"},
		test{name: "no detail", edit: []string{`UPDATE events SET detail = NULL WHERE seq = 12`}, seq: 12, words: "event 12 was changed"},
		test{name: "the last", edit: []string{`UPDATE events SET verb = 'yank' WHERE seq = 20`}, seq: 20, words: "event 20 was changed"},
	)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, changesName)
			copyFile(t, pristine, path)
			change(t, path, test.edit...)
			c, _ := opened(t, dir)
			b, _, err := c.Verify(t.Context(), nil)
			if test.head {
				if err != nil || b != nil {
					t.Errorf("without heads: got %v, %v; want nothing", b, err)
				}
			} else if err != nil || b == nil || b.Seq != test.seq || !strings.Contains(b.Why, test.words) {
				t.Errorf("got %+v, %v; want event %d and the words %q", b, err, test.seq, test.words)
			}
			b, _, err = c.Verify(t.Context(), []catalog.Head{head})
			if err != nil || b == nil || b.Seq != test.seq {
				t.Errorf("with a head: got %+v, %v; want event %d", b, err, test.seq)
			}
			found, err := c.Check(t.Context())
			if err != nil || (len(found) > 0) != test.checked {
				t.Errorf("check: got %q, %v; should find something: %v", found, err, test.checked)
			}
		})
	}
	t.Run("changed and chained anew", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, changesName)
		copyFile(t, pristine, path)
		change(t, path, "UPDATE events SET actor = 'bob' WHERE seq = 12")
		db, err := open(path, 1)
		must(t, err)
		tx, err := db.Begin()
		must(t, err)
		must(t, chainAll(t.Context(), tx))
		must(t, tx.Commit())
		must(t, db.Close())
		c, _ := opened(t, dir)
		if b, n, err := c.Verify(t.Context(), nil); b != nil || err != nil || n != 20 {
			t.Errorf("without heads: got %+v, %d, %v; want 20 events and nothing", b, n, err)
		}
		b, _, err := c.Verify(t.Context(), []catalog.Head{head})
		if err != nil || b == nil || b.Seq != 20 || !strings.Contains(b.Why, "event 20 or one before it was changed") {
			t.Errorf("with a head: got %+v, %v; want event 20", b, err)
		}
	})
}

func sha(t *testing.T, s string) string { t.Helper(); return millpond.SHA256([]byte(s)).Hex() }

// first makes a database as the program before the chain did, with n events.
func first(t *testing.T, path string, n int) {
	t.Helper()
	s, err := changesSchema()
	must(t, err)
	b, err := fs.ReadFile(s.steps, "00001_begin.sql")
	must(t, err)
	s.steps, s.more = fstest.MapFS{"00001_begin.sql": {Data: b}}, nil
	f, err := openFile(t.Context(), path, everyCommit, s, Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
	must(t, err)
	must(t, f.close())
	change(t, path, fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO events (time, actor, verb, repository, layer, package, version, file, detail)
		SELECT 1700000000000 + i, 'pond', 'replaced', 'pypi', 'upstream', 'p' || i, '1', 'f', CASE WHEN i %% 2 = 0 THEN '{"n": ' || i || '}' END FROM n WHERE i <= %d`, n, n),
		`INSERT INTO settings (name, value) VALUES ('kept', '"é"')`)
}

// migrated checks that all of what first made is there, and chained.
func migrated(t *testing.T, c *Catalog, n int64) {
	t.Helper()
	b, read, err := c.Verify(t.Context(), nil)
	if b != nil || err != nil || read != n {
		t.Errorf("verify: got %+v, %d, %v; want %d events and nothing", b, read, err, n)
	}
	for e, err := range c.Find(t.Context(), catalog.Filter{Newest: true, Limit: 1}) {
		must(t, err)
		want := millpond.Event{
			Epoch: 1, Seq: n, Time: time.UnixMilli(1700000000000 + n).UTC(), Actor: millpond.Actor{Name: "pond"}, Verb: "replaced",
			Repository: "pypi", Layer: "upstream", Key: millpond.Key{Package: fmt.Sprint("p", n), Version: "1", File: "f"}, Hash: e.Hash,
		}
		want.Detail = []byte(fmt.Sprintf(`{"n": %d}`, n))
		if fmt.Sprintf("%+v", *e) != fmt.Sprintf("%+v", want) {
			t.Errorf("the last event: got %+v; want %+v", *e, want)
		}
	}
	if v := setting(t, c, "kept"); v != `"é"` {
		t.Errorf("the setting: got %s", v)
	}
	if found, err := c.Check(t.Context()); err != nil || found != nil {
		t.Errorf("check: got %q, %v; want nothing", found, err)
	}
	must(t, c.Update(t.Context(), millpond.Actor{Name: "me"}, func(tx catalog.Tx) error { return tx.Emit(millpond.Event{Verb: "new"}) }))
	if b, read, err := c.Verify(t.Context(), nil); b != nil || err != nil || read != n+1 {
		t.Errorf("verify after one more: got %+v, %d, %v", b, read, err)
	}
}

// TestMigrationOfFirst: the events of a program before the chain are chained as they are.
func TestMigrationOfFirst(t *testing.T) {
	for _, n := range []int{2, 2500} {
		dir := t.TempDir()
		first(t, filepath.Join(dir, changesName), n)
		c, log := opened(t, dir)
		if !log.has("migrated", "from=1", "to=4") || !exists(dir, changesName+".schema-1") {
			t.Errorf("the log says nothing of a migration, or there is no snapshot: %q", log.lines)
		}
		migrated(t, c, int64(n))
	}
	dir := t.TempDir()
	first(t, filepath.Join(dir, changesName), 0)
	c, _ := opened(t, dir)
	if h, err := c.Head(t.Context()); err != nil || h != (catalog.Head{}) {
		t.Errorf("the head of no events: got %+v, %v; want none", h, err)
	}
}

// migrateDir is set for a child: where it migrates until it is killed.
const migrateDir = "CATALOG_MIGRATE_DIR"

// TestMigrationKilled is F43: a migration that is killed at any time is taken again by the next start.
func TestMigrationKilled(t *testing.T) {
	if dir := os.Getenv(migrateDir); dir != "" {
		fmt.Println("begin")
		c, err := Open(context.Background(), dir, Options{})
		must(t, err)
		fmt.Println("end")
		must(t, c.Close())
		return
	}
	const n, kills = 2000, 4
	fixture := filepath.Join(t.TempDir(), "fixture")
	first(t, fixture, n)
	// migrate begins one in a process of its own, and returns it when it has begun.
	migrate := func() (dir string, child *exec.Cmd, lines *bufio.Reader) {
		dir = t.TempDir()
		copyFile(t, fixture, filepath.Join(dir, changesName))
		child = exec.Command(os.Args[0], "-test.run=^TestMigrationKilled$", "-test.count=1")
		child.Env = append(os.Environ(), migrateDir+"="+dir)
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		lines = bufio.NewReader(out)
		if line, err := lines.ReadString('\n'); line != "begin\n" {
			t.Fatalf("the child said %q, %v", line, err)
		}
		return dir, child, lines
	}
	_, whole, lines := migrate()
	began := time.Now()
	if line, err := lines.ReadString('\n'); line != "end\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	took := time.Since(began)
	must(t, whole.Wait())
	cut := 0
	for range kills {
		dir, child, _ := migrate()
		path := filepath.Join(dir, changesName)
		wait := time.Duration(rand.Int64N(int64(took)))
		time.Sleep(wait) // the time of the kill is what is random here: nothing is waited for
		must(t, child.Process.Kill())
		child.Wait() // killed, or just ended
		db, err := open(path, 1)
		must(t, err)
		_, version, err := header(t.Context(), db)
		must(t, err)
		must(t, db.Close())
		if version < 4 {
			cut++
		}
		c, _ := opened(t, dir)
		migrated(t, c, n)
		closed(t, c)
		if t.Failed() {
			t.Fatalf("killed after %v, at schema %d", wait, version)
		}
	}
	t.Logf("%d of %d kills met the migration", cut, kills)
	if cut == 0 {
		t.Error("no kill met the migration: this tests nothing")
	}
}
