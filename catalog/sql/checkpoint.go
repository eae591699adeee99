package sql

import (
	"context"
	"fmt"
	"os"
	"time"

	"millpond"
)

const (
	// someLog is the length of the log from which on it is moved into the database.
	someLog = 4 << 20
	// mostLog is the length at which writes are refused: somebody reads without end, and the log cannot begin anew.
	mostLog = 2 << 30
	// lookEvery is how often the log is looked at.
	lookEvery = time.Second
)

// keepLogShort moves the log into the database as it grows, beside the writes, so that no commit has to.
func (f *file) keepLogShort(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if f.stopped() == nil && (f.writer.dirty.Swap(false) || f.refuse.Load() != nil) {
				f.shorten(ctx)
			}
		}
	}
}

// shorten is one look at the log.
func (f *file) shorten(ctx context.Context) {
	size := f.logSize()
	if size < someLog && f.refuse.Load() == nil {
		return
	}
	all, err := checkpoint(ctx, f.wal, "PASSIVE")
	if err == nil && (!all || size > journalLimit || f.refuse.Load() != nil) && size > 2*someLog {
		// Writers that never pause keep the log from beginning anew, and none begins it while all are refused. This waits for a
		// moment without readers.
		_, err = checkpoint(ctx, f.wal, "TRUNCATE")
	}
	switch trouble := troubleOf(err); {
	case err == nil || ctx.Err() != nil || trouble == locked:
	case trouble == full:
		f.log.Warn("no room to move the log into the database", "file", f.name, "err", err)
	default:
		f.writeFailed(err) // stops writes and says so in the log, if it leaves the disk in doubt
		f.log.Error("the log could not be moved into the database", "file", f.name, "err", err)
	}
	if size = f.logSize(); size < f.mostLog {
		f.refuse.Store(nil)
		return
	}
	e := &millpond.Error{
		Kind: millpond.Full,
		Why:  fmt.Sprintf("the write-ahead log of %s has grown to %d MiB, for a process reads the file without end", f.name, size>>20),
		Hint: "find who has the file open, with fuser or lsof",
	}
	if f.refuse.Swap(e) == nil {
		f.log.Error("writes are refused until the log is shorter", "file", f.name, "bytes", size)
	}
	f.writer.dirty.Store(true) // look again
}

// logSize is the length of the log; 0 if there is none.
func (f *file) logSize() int64 {
	info, err := os.Stat(f.path + "-wal")
	if err != nil {
		return 0
	}
	return info.Size()
}
