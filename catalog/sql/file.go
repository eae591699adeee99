package sql

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"millpond"
)

// readers is how many connections read one file at once.
const readers = 16

// A file is one of the two databases: a writer, a pool of readers, and whether writes have stopped.
type file struct {
	name, path string
	log        *slog.Logger
	now        func() time.Time
	durable    durability

	read   *stdsql.DB
	wal    *stdsql.DB // moves the log into the database
	writer *writer

	statements sync.Map // of read: text → *stdsql.Stmt, prepared at first use
	halt       atomic.Pointer[millpond.Error]
	refuse     atomic.Pointer[millpond.Error] // set while the log is too long to take more
	mostLog    int64                          // length of the log beyond which writes are refused
}

// damagedName is the mark that damage was found in a file; the next start looks at it closely before using the file.
func damagedName(path string) string { return path + ".damaged" }

// stopped says why writes to the file stopped; nil while they go on.
func (f *file) stopped() error {
	if e := f.halt.Load(); e != nil {
		return e
	}
	return nil
}

// stop ends all writes until the next start. The first reason is kept.
func (f *file) stop(why string, err error) *millpond.Error {
	e := &millpond.Error{
		Kind: millpond.Internal, Err: err,
		Why:  fmt.Sprintf("writes to %s have stopped: %s", f.name, why),
		Hint: "look at the disk, then start millpond again",
	}
	if f.halt.CompareAndSwap(nil, e) {
		f.log.Error("writes have stopped; reads go on", "file", f.name, "why", why, "err", err)
	}
	return f.halt.Load()
}

// damage stops writes and marks the file, so that the next start looks before it uses it.
func (f *file) damage(words string) *millpond.Error {
	e := f.stop("it is damaged", errors.New(words))
	if err := mark(damagedName(f.path), words); err != nil {
		f.log.Error("damage could not be marked", "file", f.name, "err", err)
	}
	return e
}

// readFailed turns an error of a read into one for people. A context's end stays what it is.
func (f *file) readFailed(err error) error {
	switch troubleOf(err) {
	case locked:
		return f.lockedError(err)
	case unopened:
		return f.unopenedError(err)
	case damaged:
		f.damage(err.Error())
	case other:
		select {
		case <-f.writer.stopping:
			return closedError()
		default:
		}
	}
	return fmt.Errorf("read %s: %w", f.name, err)
}

// writeFailed turns an error of a write into one for people, and stops writes if it leaves the disk in doubt.
func (f *file) writeFailed(err error) error {
	if _, ok := errors.AsType[*millpond.Error](err); ok {
		return err
	}
	switch troubleOf(err) {
	case locked:
		return f.lockedError(err)
	case unopened:
		return f.unopenedError(err)
	case full:
		return &millpond.Error{
			Kind: millpond.Full, Err: err,
			Why:  "there is no room to write to " + f.name,
			Hint: "free some disk space; nothing else has to be done",
		}
	case io:
		// After a failed fsync nobody knows what is on the disk, and asking again may wrongly say that all is well.
		return f.stop("an I/O error", err)
	case damaged:
		return f.damage(err.Error())
	}
	return fmt.Errorf("write %s: %w", f.name, err)
}

func (f *file) unopenedError(err error) error {
	return &millpond.Error{
		Kind: millpond.Unready, Err: err,
		Why:  f.name + " cannot be opened once more",
		Hint: "raise the limit of open files, or see to the rights of the data directory; nothing else has to be done",
	}
}

func (f *file) lockedError(err error) error {
	return &millpond.Error{
		Kind: millpond.Throttled, Err: err,
		Why:   fmt.Sprintf("%s has been locked by another process for %v", f.name, patience),
		Hint:  "find who has the file open, with fuser or lsof",
		After: f.now().Add(patience),
	}
}

// statement is the prepared form of a reading statement.
func (f *file) statement(ctx context.Context, text string) (*stdsql.Stmt, error) {
	if s, ok := f.statements.Load(text); ok {
		return s.(*stdsql.Stmt), nil
	}
	s, err := f.read.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if kept, loaded := f.statements.LoadOrStore(text, s); loaded {
		s.Close() // another was quicker; closing an unused statement cannot fail in a way that matters
		return kept.(*stdsql.Stmt), nil
	}
	return s, nil
}

// query reads a bounded number of rows. It looks at ctx once: the driver would start a goroutine for a context that can
// end, which costs more than the look-up.
func (f *file) query(ctx context.Context, text string, args ...any) (*stdsql.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	s, err := f.statement(ctx, text)
	if err != nil {
		return nil, f.readFailed(err)
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return nil, f.readFailed(err)
	}
	return rows, nil
}

// long reads what may take long: it ends when ctx does.
func (f *file) long(ctx context.Context, text string, args ...any) (*stdsql.Rows, error) {
	s, err := f.statement(context.WithoutCancel(ctx), text)
	if err != nil {
		return nil, f.readFailed(err)
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return nil, f.readFailed(err)
	}
	return rows, nil
}

// each calls scan for every row of a bounded query.
func (f *file) each(ctx context.Context, text string, args []any, scan func(*stdsql.Rows) error) error {
	rows, err := f.query(ctx, text, args...)
	if err != nil {
		return err
	}
	return f.drain(rows, scan)
}

// drain calls scan for every row, and closes.
func (f *file) drain(rows *stdsql.Rows, scan func(*stdsql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return f.readFailed(err)
		}
	}
	if err := rows.Err(); err != nil {
		return f.readFailed(err)
	}
	return nil
}

// checkBeside looks for damage while the file is in use.
func (f *file) checkBeside(ctx context.Context) {
	begun := f.now()
	found, err := quickCheck(ctx, f.read)
	switch {
	case ctx.Err() != nil:
	case err != nil && troubleOf(err) == damaged:
		f.damage(err.Error())
	case err != nil:
		f.log.Error("the check after an unclean stop failed", "file", f.name, "err", err)
	case len(found) > 0:
		f.damage(found[0])
	default:
		f.log.Info("sound after an unclean stop", "file", f.name, "took", f.now().Sub(begun))
	}
}

// close closes the file; the log is moved into the database. The writer's goroutine has ended.
func (f *file) close() error {
	err := errors.Join(f.read.Close(), f.wal.Close(), f.writer.work.close())
	if f.stopped() == nil {
		if _, cerr := checkpoint(context.Background(), f.writer.db, "TRUNCATE"); cerr != nil {
			err = errors.Join(err, fmt.Errorf("checkpoint %s: %w", f.name, cerr))
		}
	}
	return errors.Join(err, f.writer.db.Close())
}

// mark makes a small file durably, or leaves the one that is there.
func mark(path, words string) error {
	m, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = m.WriteString(words + "\n")
	if err := errors.Join(err, m.Sync(), m.Close()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
