package sql

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Everything in this file is SQLite's own; the rest of the package speaks SQL that PostgreSQL speaks too, except the
// migrations, of which each dialect has its set.

const (
	driverName = "sqlite"

	begin      = "BEGIN IMMEDIATE" // takes the write lock at once: a transaction never fails half-way for want of it
	commit     = "COMMIT"
	rollback   = "ROLLBACK"
	savepoint  = "SAVEPOINT turn"
	release    = "RELEASE turn"
	rollbackTo = "ROLLBACK TO turn"

	// byNoIndex before a column keeps its condition from choosing the index.
	byNoIndex = "+"

	// journalLimit is what a write-ahead log shrinks to when it begins anew.
	journalLimit = 64 << 20
)

// The application ids in the header of the two files: "MPct" and "MPca".
const (
	changesID = 0x4d506374
	cacheID   = 0x4d506361
)

// open makes a pool of connections to the SQLite file at path, each set up with pragmas like "query_only(1)".
func open(path string, most int, pragmas ...string) (*stdsql.DB, error) {
	q := url.Values{"_error_rc": {"1"}, "_dqs": {"0"}}
	for _, p := range append([]string{"foreign_keys(1)", "wal_autocheckpoint(0)"}, pragmas...) {
		q.Add("_pragma", p)
	}
	dsn := (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
	db, err := stdsql.Open(driverName, dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db, nil
}

// openWriter makes the one connection that writes.
func openWriter(path string, durable durability) (*stdsql.DB, error) {
	return open(path, 1, busyTimeout, "journal_mode(WAL)", "synchronous("+string(durable)+")",
		fmt.Sprintf("journal_size_limit(%d)", journalLimit), "cache_size(-16000)")
}

// openReaders makes the pool that reads.
func openReaders(path string, most int) (*stdsql.DB, error) {
	return open(path, most, busyTimeout, "query_only(1)")
}

// openCheckpointer makes the connection that moves the log into the database. It gives up soon, for while it waits for
// readers it may hold up the writer.
func openCheckpointer(path string, durable durability) (*stdsql.DB, error) {
	return open(path, 1, "busy_timeout(200)", "synchronous("+string(durable)+")",
		fmt.Sprintf("journal_size_limit(%d)", journalLimit))
}

// A durability is when SQLite calls fsync.
type durability string

const (
	everyCommit durability = "FULL"   // a commit that was acknowledged survives a power cut
	checkpoints durability = "NORMAL" // a power cut loses the last commits, but leaves the file sound
)

// header reads what says whose a file is: its application id and the version of its schema; 0, 0 of a new file.
func header(ctx context.Context, db *stdsql.DB) (id, version int64, err error) {
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return 0, 0, err
	}
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return id, version, err
}

// quickCheck reads every page, but does not compare indexes with their tables: 0.3 s for 230 MB. It returns what is wrong.
func quickCheck(ctx context.Context, db *stdsql.DB) ([]string, error) {
	return wrong(ctx, db, "PRAGMA quick_check(20)")
}

// fullCheck compares indexes too, and references.
func fullCheck(ctx context.Context, db *stdsql.DB) ([]string, error) {
	found, err := wrong(ctx, db, "PRAGMA integrity_check(100)")
	if err != nil || len(found) > 0 {
		return found, err
	}
	return wrong(ctx, db, `SELECT "table" || ' ' || rowid || ' refers to a row that is not there' FROM pragma_foreign_key_check`)
}

// wrong runs a check that answers rows of words, or one row "ok".
func wrong(ctx context.Context, db *stdsql.DB, check string) ([]string, error) {
	rows, err := db.QueryContext(ctx, check)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var words stdsql.NullString
		if err := rows.Scan(&words); err != nil {
			return nil, err
		}
		for line := range strings.Lines(words.String) {
			if line = strings.TrimSpace(line); line != "" && line != "ok" && !strings.HasPrefix(line, "*** in database") {
				found = append(found, line)
			}
		}
	}
	return found, rows.Err()
}

// checkpoint moves what it can of the log into the database; with "TRUNCATE" it waits a little for readers, so that the log
// can begin anew. It reports whether all was moved.
func checkpoint(ctx context.Context, db *stdsql.DB, mode string) (bool, error) {
	var busy, log, moved int64
	err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &log, &moved)
	return busy == 0 && log == moved, err
}

// snapshot writes a copy of the database to a new file.
func snapshot(ctx context.Context, db *stdsql.DB, path string) error {
	_, err := db.ExecContext(ctx, "VACUUM INTO ?", path)
	return err
}

// suffixes are the files that make up one SQLite database.
var suffixes = [...]string{"", "-wal", "-shm"} // never changed

// A trouble is what a database error means to us.
type trouble int

const (
	other    trouble = iota // our mistake: a statement that cannot be right
	locked                  // another process has the lock
	unopened                // a file could not be opened: nothing was read or written
	full                    // no room
	io                      // reading or writing failed: what is on the disk is in doubt
	damaged                 // what is on the disk is not a sound database
)

// troubleOf classes an error of the driver.
func troubleOf(err error) trouble {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return other
	}
	switch e.Code() { // extended codes
	case sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP:
		return full // the index of the log could not grow: nothing was written yet
	case sqlite3.SQLITE_IOERR_NOMEM:
		return other
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return locked
	case sqlite3.SQLITE_CANTOPEN:
		return unopened
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY:
		return full
	case sqlite3.SQLITE_IOERR:
		return io
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return damaged
	}
	return other
}

const (
	// patience is how long a write waits for another process's lock.
	patience    = 5 * time.Second
	busyTimeout = "busy_timeout(5000)"

	// waitInTurns makes a connection answer at once that there is a lock: the writer waits by itself, so that it can be
	// stopped and answers each of those who wait in time.
	waitInTurns = "PRAGMA busy_timeout = 0"
	turnOfWait  = 20 * time.Millisecond
)
