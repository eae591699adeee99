// Package sql keeps the catalog in SQL: in two SQLite files of one directory.
//
// catalog.db holds changes, their events and the settings. Each commit is synced, and many updates share one commit.
// cache.db holds the bookkeeping of what was read from upstreams. Its commits are not synced one by one: a power cut may
// lose the last moments of it, never its soundness. Each file has one connection that writes, owned by one goroutine, and
// a pool that reads; readers and the writer never wait for each other.
package sql

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"millpond"
	"millpond/catalog"
)

// Options of a catalog. The zero value is good.
type Options struct {
	Log *slog.Logger     // nil discards
	Now func() time.Time // nil is time.Now
}

// A Catalog is a catalog.Catalog in a directory. Open makes one.
type Catalog struct {
	dir     string
	log     *slog.Logger
	now     func() time.Time
	changes *file
	cache   *file

	stop   context.CancelFunc // ends what runs beside
	beside sync.WaitGroup
	closed chan struct{}
	once   sync.Once
	err    error // of Close

	mu   sync.Mutex    // guards news
	news chan struct{} // closed when there are new events
}

var _ catalog.Catalog = (*Catalog)(nil)

const (
	changesName = "catalog.db"
	cacheName   = "cache.db"
	runningName = "catalog.running" // there while the catalog is open, and after a stop that was not clean
)

// Open opens the catalog in dir, which is made if it is not there. A schema older than this program's is migrated, after a
// snapshot. It is Unsupported if catalog.db was written by a newer program, and Corrupt if it is damaged: Why and Hint say
// what to do. A cache.db that is either is moved aside, said in the log, and made anew. After a stop that was not clean
// both files are checked while the catalog is already in use; damage then stops the writes to that file. ctx bounds the
// opening only.
func Open(ctx context.Context, dir string, o Options) (*Catalog, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	running := filepath.Join(dir, runningName)
	_, err = os.Stat(running)
	unclean := err == nil

	c := &Catalog{dir: dir, log: o.Log, now: o.Now, closed: make(chan struct{}), news: make(chan struct{})}
	c.changes, err = openChanges(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	c.cache, err = openCache(ctx, dir, o)
	if err != nil {
		return nil, errors.Join(err, c.changes.close())
	}
	if err := mark(running, "the catalog is open, or was not closed"); err != nil {
		return nil, errors.Join(err, c.changes.close(), c.cache.close())
	}
	c.start(unclean)
	return c, nil
}

// start begins what runs beside until Close.
func (c *Catalog) start(unclean bool) {
	// Close ends this context.
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.changes.writer.linger = linger
	c.changes.writer.committed = c.announce
	for _, f := range []*file{c.changes, c.cache} {
		c.beside.Go(func() { f.writer.run() })
		c.beside.Go(func() { f.keepLogShort(ctx) })
		if unclean {
			c.beside.Go(func() { f.checkBeside(ctx) })
		}
	}
}

// Close waits for the write in progress, refuses all others, and closes the files. Closing twice is the same as once.
func (c *Catalog) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.stop()
		c.changes.writer.close()
		c.cache.writer.close()
		c.beside.Wait()
		c.err = errors.Join(c.changes.close(), c.cache.close())
		if c.err == nil && c.Stopped() == nil {
			c.err = os.Remove(filepath.Join(c.dir, runningName))
		}
	})
	return c.err
}

// Stopped says why writes stopped, if an I/O error or damage made them: they stay so until the next start. nil while they
// go on. A full disk or another process's lock does not stop them.
func (c *Catalog) Stopped() error {
	for _, f := range []*file{c.changes, c.cache} {
		if err := f.stopped(); err != nil {
			return err
		}
	}
	return nil
}

// Check reads all of both files, compares indexes and sums with their tables, and the log's end
// with its head, and returns what is wrong in words; nil is
// sound. Reads and writes go on meanwhile. Damage that it finds in a file stops the writes to it.
func (c *Catalog) Check(ctx context.Context) ([]string, error) {
	var found []string
	for _, f := range []*file{c.changes, c.cache} {
		words, err := fullCheck(ctx, f.read)
		if err != nil && troubleOf(err) != damaged {
			return nil, f.readFailed(err)
		}
		if err != nil {
			words = append(words, err.Error())
		}
		if len(words) > 0 {
			f.damage(words[0])
		}
		for _, w := range words {
			found = append(found, f.name+": "+w)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	words, err := c.compareSums(ctx)
	found = append(found, words...)
	for _, check := range hostedChecks {
		if err == nil {
			words, err = c.compareHosted(ctx, check)
			found = append(found, words...)
		}
	}
	return found, err
}

// closedError is what a closed catalog answers.
func closedError() error {
	return &millpond.Error{Kind: millpond.Internal, Why: "the catalog is closed"}
}
