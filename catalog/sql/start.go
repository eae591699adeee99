package sql

import (
	"context"
	stdsql "database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/pressly/goose/v3"

	"millpond"
)

//go:embed migrations
var migrations embed.FS // never changed

// A schema is the steps from an empty file to what this program knows, and whose file it is.
type schema struct {
	steps fs.FS
	more  []*goose.Migration // steps that SQL cannot say
	id    int64
}

// schemaOf reads the embedded steps of one file: "catalog" or "cache".
func schemaOf(name string, id int64) (schema, error) {
	steps, err := fs.Sub(migrations, "migrations/sqlite/"+name)
	return schema{steps: steps, id: id}, err
}

// migrations are all steps. SQLite runs the text of one as it is: goose would cut it into statements, and takes 4 MiB of memory
// to look for the end of each line.
func (s schema) migrations() ([]*goose.Migration, error) {
	names, err := fs.Glob(s.steps, "*.sql")
	if err != nil {
		return nil, err
	}
	all := slices.Clone(s.more)
	for _, name := range names {
		n, err := goose.NumericComponent(name)
		if err != nil {
			return nil, err
		}
		text, err := fs.ReadFile(s.steps, name)
		if err != nil {
			return nil, err
		}
		all = append(all, goose.NewGoMigration(n, &goose.GoFunc{RunTx: func(ctx context.Context, tx *stdsql.Tx) error {
			_, err := tx.ExecContext(ctx, string(text))
			return err
		}}, nil))
	}
	return all, nil
}

// changesSchema is that of catalog.db.
func changesSchema() (schema, error) {
	s, err := schemaOf("catalog", changesID)
	s.more = []*goose.Migration{goose.NewGoMigration(3, &goose.GoFunc{RunTx: chainAll}, nil)}
	return s, err
}

// openChanges opens catalog.db, or says why it cannot be used.
func openChanges(ctx context.Context, dir string, o Options) (*file, error) {
	s, err := changesSchema()
	if err != nil {
		return nil, err
	}
	f, err := openFile(ctx, filepath.Join(dir, changesName), everyCommit, s, o)
	if millpond.Is(err, millpond.Corrupt) {
		e, _ := errors.AsType[*millpond.Error](err)
		e.Hint = fmt.Sprintf("restore %s from a backup of the data directory (remove %s-wal, %s-shm and %s first), or all of it with millpond backup restore; cached packages need no backup",
			changesName, changesName, changesName, filepath.Base(damagedName(changesName)))
	}
	return f, err
}

// openCache opens cache.db, and makes it anew if it cannot be used.
func openCache(ctx context.Context, dir string, o Options) (*file, error) {
	s, err := schemaOf("cache", cacheID)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, cacheName)
	f, err := openFile(ctx, path, checkpoints, s, o)
	if !millpond.Is(err, millpond.Corrupt) && !millpond.Is(err, millpond.Unsupported) {
		return f, err
	}
	o.Log.Error("cache.db cannot be used and is made anew: upstreams are asked again, and held packages are downloaded again",
		"moved_to", path+".aside", "err", err)
	for _, suffix := range suffixes {
		err := os.Rename(path+suffix, path+".aside"+suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if err := os.Remove(damagedName(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return openFile(ctx, path, checkpoints, s, o)
}

// openFile opens one database and migrates it. Corrupt if it is damaged or no database of ours, Unsupported if its schema
// is newer than this program.
func openFile(ctx context.Context, path string, d durability, s schema, o Options) (*file, error) {
	f := &file{name: filepath.Base(path), path: path, log: o.Log, now: o.Now, durable: d, mostLog: mostLog}
	// SQLite gives its other files the permissions of this one.
	made, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := made.Close(); err != nil {
		return nil, err
	}
	db, err := openWriter(path, d)
	if err != nil {
		return nil, err
	}
	err = f.prepare(ctx, db, s)
	if err == nil {
		err = f.connect(ctx, db)
	}
	if err == nil {
		return f, nil
	}
	if troubleOf(err) == damaged {
		err = corrupt(f.name, err.Error())
	}
	return nil, errors.Join(fmt.Errorf("open %s: %w", f.name, err), db.Close())
}

// prepare looks whether the file is sound and ours, and migrates it.
func (f *file) prepare(ctx context.Context, db *stdsql.DB, s schema) error {
	id, version, err := header(ctx, db)
	if err != nil {
		return err
	}
	if id != s.id && (id != 0 || version != 0) {
		return corrupt(f.name, fmt.Sprintf("it is the database of another program (application id %#x)", id))
	}
	if err := f.lookCloser(ctx, db); err != nil {
		return err
	}
	return f.migrate(ctx, db, s, version)
}

// lookCloser checks a file that was marked as damaged, and removes the mark if it is sound again.
func (f *file) lookCloser(ctx context.Context, db *stdsql.DB) error {
	words, err := os.ReadFile(damagedName(f.path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	found, err := fullCheck(ctx, db)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return corrupt(f.name, found[0])
	}
	f.log.Warn("was marked as damaged, and is sound", "file", f.name, "mark", string(words))
	return os.Remove(damagedName(f.path))
}

// migrate brings the schema up to what this program knows, each step in a transaction of its own, so that one which was
// killed half-way is taken again.
func (f *file) migrate(ctx context.Context, db *stdsql.DB, s schema, version int64) error {
	all, err := s.migrations()
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, nil, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(all...), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	steps := p.ListSources()
	newest := steps[len(steps)-1].Version
	switch {
	case version == newest:
		return nil
	case version > newest:
		return &millpond.Error{
			Kind: millpond.Unsupported,
			Why:  fmt.Sprintf("%s was written by a newer millpond: its schema is %d, and this program knows %d", f.name, version, newest),
			Hint: "start the newer program, or restore the data directory from a backup made before it was first started",
		}
	case version > 0:
		if err := f.snapshot(ctx, db, version); err != nil {
			return fmt.Errorf("snapshot before migrating: %w", err)
		}
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate to schema %d: %w", newest, err)
	}
	if version > 0 {
		f.log.Info("migrated", "file", f.name, "from", version, "to", newest)
	}
	return nil
}

// snapshot keeps a copy of the file as it is before it is migrated: catalog.db.schema-1. One that is there is replaced: whoever has
// gone back to it once has written more since.
func (f *file) snapshot(ctx context.Context, db *stdsql.DB, version int64) error {
	to := fmt.Sprintf("%s.schema-%d", f.path, version)
	part := to + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := snapshot(ctx, db, part); err != nil {
		return err
	}
	if err := os.Rename(part, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// connect opens the other connections.
func (f *file) connect(ctx context.Context, db *stdsql.DB) error {
	// The connection lives until close, longer than ctx.
	conn, err := db.Conn(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, waitInTurns); err != nil {
		return errors.Join(err, conn.Close())
	}
	if f.read, err = openReaders(f.path, readers); err != nil {
		return errors.Join(err, conn.Close())
	}
	if f.wal, err = openCheckpointer(f.path, f.durable); err != nil {
		return errors.Join(err, f.read.Close(), conn.Close())
	}
	f.writer = newWriter(f, db, conn)
	return nil
}

func corrupt(name, words string) error {
	return &millpond.Error{Kind: millpond.Corrupt, Why: name + " is damaged: " + words}
}
