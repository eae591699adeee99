package backup_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/blob/disk"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/format"
	"millpond/format/pypi"
	"millpond/internal/backup"
	"millpond/repo"
)

// all are the rights of everybody in these tests.
type all struct{}

func (all) May(millpond.Verb, string, string) bool { return true }
func (all) Scope(millpond.Verb, string) string     { return "*" }
func (a all) Now(catalog.Tx) (repo.Rights, error)  { return a, nil }

// A pond is one that is in use, in a directory.
type pond struct {
	t     *testing.T
	dir   string
	now   time.Time
	blobs *disk.Store
	rows  *sql.Catalog
	*repo.Pond
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) // never changed

func open(t *testing.T, dir string) *pond {
	t.Helper()
	p := &pond{t: t, dir: dir, now: noon}
	clock := func() time.Time { return p.now }
	var err error
	if p.blobs, err = disk.Open(dir, disk.Options{Now: clock}); err != nil {
		t.Fatal(err)
	}
	if p.rows, err = sql.Open(t.Context(), dir, sql.Options{Now: clock}); err != nil {
		t.Fatal(err)
	}
	if p.Pond, err = repo.New(t.Context(), repo.Parts{Blobs: p.blobs, Catalog: p.rows, Now: clock}); err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(t.Context(), repo.Settings{}, []repo.Config{{Name: "r", Format: pypi.Format{}, Public: true, Unpublish: true}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

func (p *pond) close() {
	if p.Pond == nil {
		return
	}
	ctx := context.Background() // a test's own has ended when it is cleaned up
	if err := errors.Join(p.Pond.Close(ctx), p.rows.Close(), p.blobs.Close()); err != nil {
		p.t.Errorf("close: %v", err)
	}
	p.Pond = nil
}

func (p *pond) repo() format.Repo {
	return p.Repository("r").For(repo.Caller{Actor: millpond.Actor{Name: "ann"}, Rights: all{}})
}

func fileOf(name string) string { return name + "-1.0-py3-none-any.whl" }

// publish publishes version 1.0 of a package whose bytes are its name, and returns their digest.
func (p *pond) publish(name string) millpond.Digest {
	p.t.Helper()
	ctx := p.t.Context()
	u, err := p.repo().Upload(ctx, format.Uploading{Package: name, Size: int64(len(name))})
	if err != nil {
		p.t.Fatal(err)
	}
	defer u.Close()
	if _, err := io.WriteString(u, name); err != nil {
		p.t.Fatal(err)
	}
	d, err := u.Commit(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = p.repo().Publish(ctx, format.Release{Package: name, Version: millpond.Version{Name: "1.0",
		Files: []millpond.File{{Name: fileOf(name), Digests: []millpond.Digest{d}, Blob: d, Size: int64(len(name))}}}})
	if err != nil {
		p.t.Fatalf("publish %s: %v", name, err)
	}
	return d
}

// hold makes what an upstream would have left behind: bytes, and a listing with the time when it was first seen.
func (p *pond) hold(name string) millpond.Digest {
	p.t.Helper()
	ctx := p.t.Context()
	w, err := p.blobs.Create(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	defer w.Close()
	io.WriteString(w, "upstream's "+name)
	d, err := w.Commit(ctx)
	if err == nil {
		err = p.rows.PutHolding(ctx, &catalog.Holding{Layer: "r/up", Key: millpond.Key{Package: name, Version: "1.0", File: name}, Blob: d,
			Size: int64(len("upstream's " + name)), SHA256: d, Modified: p.now})
	}
	if err == nil {
		err = p.rows.PutAnswer(ctx, &catalog.Answer{Question: catalog.Question{Layer: "r/up", Kind: "package", Package: name},
			Record: []byte("seen on " + p.now.String()), Checked: p.now})
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// has fails the test unless those packages are published, with their bytes, and no others.
func (p *pond) has(want ...string) {
	p.t.Helper()
	var got []string
	for c, err := range p.repo().Names(p.t.Context()) {
		if err != nil {
			p.t.Fatal(err)
		}
		body, err := p.repo().Open(p.t.Context(), millpond.Key{Package: c.Name, File: fileOf(c.Name)})
		if millpond.Is(err, millpond.Gone) {
			continue // deleted, and listed still
		}
		got = append(got, c.Name)
		if err != nil {
			p.t.Errorf("open %s: %v", c.Name, err)
			continue
		}
		text, err := io.ReadAll(body)
		if body.Close(); err != nil || string(text) != c.Name {
			p.t.Errorf("%s has %q, %v", c.Name, text, err)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		p.t.Errorf("published are %q, want %q", got, want)
	}
}

func (p *pond) sound(what string) *repo.Report {
	p.t.Helper()
	report, err := p.Check(p.t.Context(), repo.CheckOptions{ReadData: true})
	if err != nil || len(report.Damage) > 0 {
		p.t.Fatalf("%s: check says %+v, %v", what, report, err)
	}
	return report
}

func back(t *testing.T, data string, o backup.Options) (string, *backup.Manifest) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "backup")
	o.Now = func() time.Time { return noon }
	m, err := backup.Make(t.Context(), data, to, o)
	if err != nil {
		t.Fatal(err)
	}
	return to, m
}

func restore(t *testing.T, from string, o backup.Options) *pond {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	_, report, err := backup.Restore(t.Context(), from, to, o)
	if err != nil || len(report.Damage) > 0 {
		t.Fatalf("restore: %+v, %v", report, err)
	}
	return open(t, to)
}

// F45: what was published, read and said when the backup was made is there after a restore, though the pond went on; the log
// begins a new epoch that verifies, what was first seen when is still known, and nothing secret was in the backup.
func TestF45BackupAndRestore(t *testing.T) {
	for _, c := range []struct {
		name string
		o    backup.Options
	}{{"copied", backup.Options{}}, {"linked", backup.Options{Link: true}}} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, t.TempDir())
			p.publish("one")
			p.publish("two")
			p.hold("alpha")
			if err := os.Mkdir(filepath.Join(p.dir, "keys"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(p.dir, "keys", "k"), []byte("canary-key"), 0o600); err != nil {
				t.Fatal(err)
			}
			to, m := back(t, p.dir, c.o)
			if m.Blobs < 3 || m.Seq != 2 || len(m.Damaged) > 0 || c.o.Link != (m.Copied == 0) {
				t.Errorf("the manifest is %+v", m)
			}
			err := filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
				if err == nil && !e.IsDir() {
					var text []byte
					if text, err = os.ReadFile(path); strings.Contains(string(text), "canary-key") {
						t.Errorf("a key is in %s", path)
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			p.publish("three")
			p.now = p.now.AddDate(0, 0, 30)
			if _, err := p.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.close()

			q := restore(t, to, c.o)
			q.has("one", "two")
			q.sound("restored")
			a, err := q.rows.Answer(t.Context(), catalog.Question{Layer: "r/up", Kind: "package", Package: "alpha"})
			if err != nil || string(a.Record) != "seen on "+noon.String() {
				t.Errorf("what was seen when: %+v, %v", a, err)
			}
			head, err := q.rows.Head(t.Context())
			if err != nil || head.Epoch <= m.Epoch || head.Seq != m.Seq+1 {
				t.Errorf("the head is %+v, %v after epoch %d, event %d", head, err, m.Epoch, m.Seq)
			}
			noted := []catalog.Head{{Epoch: m.Epoch, Seq: m.Seq, Hash: m.Hash, Time: m.Made}}
			if b, _, err := q.rows.Verify(t.Context(), noted); b != nil || err != nil {
				t.Errorf("verify: %+v, %v", b, err)
			}
			// F37: a sweep long after takes none of what was restored.
			q.now = q.now.AddDate(1, 0, 0)
			if n, err := q.Sweep(t.Context()); n != 0 || err != nil {
				t.Errorf("swept %d restored blobs, %v", n, err)
			}
			q.has("one", "two")
			q.publish("four")
			q.has("four", "one", "two")
		})
	}
}

// What is deleted for good and swept between the copy of the catalog and that of the bytes is not missed in the backup.
func TestSweepDuringABackup(t *testing.T) {
	p := open(t, t.TempDir())
	for _, name := range []string{"one", "two", "three"} {
		p.publish(name)
	}
	held := p.hold("alpha")
	rounds := 0
	to, m := back(t, p.dir, backup.Options{Between: func(ctx context.Context) {
		rounds++
		gone := []string{"one", "two"}
		if rounds > len(gone) {
			return
		}
		if err := p.repo().Delete(ctx, format.Deletion{Key: millpond.Key{Package: gone[rounds-1], Version: "1.0"}, Why: "a mistake"}); err != nil {
			t.Fatal(err)
		}
		if err := p.rows.LoseBlob(ctx, held); err != nil {
			t.Fatal(err)
		}
		p.now = p.now.AddDate(0, 0, 30)
		if n, err := p.Sweep(ctx); n == 0 || err != nil {
			t.Fatalf("nothing was swept, %v", err)
		}
	}})
	// What was deleted the second time had been copied the first.
	if rounds != 2 || len(m.Damaged) > 0 {
		t.Errorf("the catalog was copied %d times, want 2; damaged %q", rounds, m.Damaged)
	}
	q := restore(t, to, backup.Options{})
	q.has("three", "two")
	q.sound("restored")
}

// A second backup links what the first has, and neither needs the other.
func TestBase(t *testing.T) {
	p := open(t, t.TempDir())
	p.publish("one")
	first, m := back(t, p.dir, backup.Options{})
	if m.Copied != 1 {
		t.Errorf("the first copied %d blobs, want 1", m.Copied)
	}
	p.publish("two")
	second, m := back(t, p.dir, backup.Options{Base: first})
	if m.Copied != 1 || m.Blobs != 2 {
		t.Errorf("the second copied %d of %d blobs, want 1 of 2", m.Copied, m.Blobs)
	}
	if err := os.RemoveAll(first); err != nil {
		t.Fatal(err)
	}
	restore(t, second, backup.Options{}).has("one", "two")
}

// What is damaged where it is backed up from is named; all else is backed up.
func TestDamageIsNotBackedUp(t *testing.T) {
	p := open(t, t.TempDir())
	d := p.publish("one")
	held := p.hold("alpha")
	p.publish("two")
	for _, d := range []millpond.Digest{d, held} {
		flip(t, filepath.Join(p.dir, "blobs", d.Hex()[:2], d.Hex()))
	}
	to, m := back(t, p.dir, backup.Options{})
	if len(m.Damaged) != 1 || !strings.Contains(m.Damaged[0], fileOf("one")) {
		t.Errorf("damaged are %q, want the file of one", m.Damaged)
	}
	_, report, err := backup.Restore(t.Context(), to, filepath.Join(t.TempDir(), "data"), backup.Options{})
	if err != nil || len(report.Damage) != 1 || !report.Damage[0].Hosted {
		t.Errorf("restore: %+v, %v, want the one that is missing", report, err)
	}
}

// What is published is backed up whatever has become of the cache's records, which a pond makes anew. Without those of what is
// published there is no backup, and that is said.
func TestDamagedRecords(t *testing.T) {
	p := open(t, t.TempDir())
	p.publish("one")
	p.hold("alpha")
	p.close()
	spoil(t, filepath.Join(p.dir, "cache.db"))
	to, m := back(t, p.dir, backup.Options{})
	if !slices.Equal(m.Damaged, []string{"cache.db"}) {
		t.Errorf("damaged are %q, want cache.db", m.Damaged)
	}
	q := restore(t, to, backup.Options{})
	q.has("one")
	q.sound("restored")

	spoil(t, filepath.Join(p.dir, "catalog.db"))
	_, err := backup.Make(t.Context(), p.dir, filepath.Join(t.TempDir(), "backup"), backup.Options{})
	if !millpond.Is(err, millpond.Corrupt) || !strings.Contains(err.Error(), "catalog.db is damaged") {
		t.Errorf("a backup of a damaged catalog: got %v; want Corrupt, and that it is damaged", err)
	}
}

// spoil overwrites all of a database but its first page.
func spoil(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b[4096:] {
		b[4096+i] = 0xff
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// F45: an older catalog with newer blobs, and the reverse: check lists exactly the differences.
func TestF45CheckListsTheDifferences(t *testing.T) {
	p := open(t, t.TempDir())
	kept := p.publish("kept")
	older, _ := back(t, p.dir, backup.Options{})
	newer := p.publish("newer")
	second, _ := back(t, p.dir, backup.Options{})
	mix := func(catalogOf, blobsOf string) *pond {
		dir := t.TempDir()
		for from, what := range map[string]string{catalogOf: "*.db", blobsOf: "blobs"} {
			found, err := filepath.Glob(filepath.Join(from, what))
			if err != nil || len(found) == 0 {
				t.Fatal(err, found)
			}
			for _, one := range found {
				if what == "blobs" {
					err = os.CopyFS(filepath.Join(dir, "blobs"), os.DirFS(one))
				} else {
					err = os.CopyFS(dir, only{os.DirFS(from), filepath.Base(one)})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		return open(t, dir)
	}
	q := mix(older, second)
	if r := q.sound("older catalog, newer blobs"); r.Orphans != 1 || !slices.Equal(r.Unnamed, []millpond.Digest{newer}) {
		t.Errorf("older catalog, newer blobs: %d unnamed, %v, want %s", r.Orphans, r.Unnamed, newer)
	}
	q.has("kept")
	q = mix(second, older)
	r, err := q.Check(t.Context(), repo.CheckOptions{})
	if err != nil || len(r.Damage) != 1 || r.Damage[0].Digest != newer || r.Orphans != 0 {
		t.Errorf("newer catalog, older blobs: %+v, %v, want %s, and not %s", r, err, newer, kept)
	}
}

// only is one file of a file system.
type only struct {
	fs.FS
	name string
}

func (o only) ReadDir(string) ([]fs.DirEntry, error) {
	info, err := fs.Stat(o.FS, o.name)
	return []fs.DirEntry{fs.FileInfoToDirEntry(info)}, err
}

// S03: links in a backup are not followed; a manifest names no paths.
func TestS03LinksInABackup(t *testing.T) {
	p := open(t, t.TempDir())
	d := p.publish("one")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		at   func(dir string) string
		o    backup.Options
		made bool // something is restored, without what is a link
	}{
		{"the catalog", func(dir string) string { return filepath.Join(dir, "catalog.db") }, backup.Options{}, false},
		{"the manifest", func(dir string) string { return filepath.Join(dir, "backup.json") }, backup.Options{}, false},
		{"a blob", func(dir string) string { return filepath.Join(dir, "blobs", d.Hex()[:2], d.Hex()) }, backup.Options{}, true},
		{"a blob that is linked", func(dir string) string { return filepath.Join(dir, "blobs", d.Hex()[:2], d.Hex()) }, backup.Options{Link: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, _ := back(t, p.dir, backup.Options{})
			if c.name == "the catalog" || c.name == "the manifest" {
				b, err := os.ReadFile(c.at(from))
				if err != nil {
					t.Fatal(err)
				}
				outside = filepath.Join(t.TempDir(), "same bytes")
				if err := os.WriteFile(outside, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.Remove(c.at(from)), os.Symlink(outside, c.at(from))); err != nil {
				t.Fatal(err)
			}
			data := filepath.Join(t.TempDir(), "data")
			_, report, err := backup.Restore(t.Context(), from, data, c.o)
			if (err == nil) != c.made {
				t.Errorf("restore: %+v, %v", report, err)
			}
			if c.made && err == nil && (len(report.Damage) != 1 || report.Damage[0].Digest != d) {
				t.Errorf("restore followed a link: %+v", report)
			}
			if !c.made {
				if _, err := os.Lstat(filepath.Join(data, "catalog.db")); err == nil {
					t.Error("there is a catalog after a restore that was refused")
				}
			}
		})
	}
	t.Run("paths in the manifest", func(t *testing.T) {
		from, _ := back(t, p.dir, backup.Options{})
		path := filepath.Join(from, "backup.json")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		maps.Copy(m["files"].(map[string]any), map[string]any{"../../evil": "sha256:" + strings.Repeat("0", 64)})
		if text, err = json.Marshal(m); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		restore(t, from, backup.Options{}).has("one")
	})
}

// Nothing that is there is written over.
func TestRefusals(t *testing.T) {
	p := open(t, t.TempDir())
	p.publish("one")
	to, _ := back(t, p.dir, backup.Options{})
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	half := t.TempDir()
	if err := os.WriteFile(filepath.Join(half, "backup.partial"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	torn, _ := back(t, p.dir, backup.Options{})
	flip(t, filepath.Join(torn, "catalog.db"))
	restoreInto := func(from, data string) func() error {
		return func() error { _, _, err := backup.Restore(t.Context(), from, data, backup.Options{}); return err }
	}
	makeOf := func(data, to string) func() error {
		return func() error { _, err := backup.Make(t.Context(), data, to, backup.Options{}); return err }
	}
	for _, c := range []struct {
		name string
		do   func() error
		want millpond.Kind
	}{
		{"over a backup", makeOf(p.dir, to), millpond.Conflict},
		{"into a directory that is used", makeOf(p.dir, full), millpond.Conflict},
		{"into the data", makeOf(p.dir, filepath.Join(p.dir, "backup")), millpond.Invalid},
		{"of nothing", makeOf(full, filepath.Join(t.TempDir(), "b")), millpond.NotFound},
		{"restore over a pond", restoreInto(to, p.dir), millpond.Conflict},
		{"restore into a directory that is used", restoreInto(to, full), millpond.Conflict},
		{"restore half a backup", restoreInto(half, filepath.Join(t.TempDir(), "d")), millpond.NotFound},
		{"restore what is no backup", restoreInto(full, filepath.Join(t.TempDir(), "d")), millpond.NotFound},
		{"restore another catalog than was backed up", restoreInto(torn, filepath.Join(t.TempDir(), "d")), millpond.Corrupt},
	} {
		if err := c.do(); millpond.KindOf(err) != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	p.has("one")
}
