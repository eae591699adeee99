package sql

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
)

// eventsThere is how many events BenchmarkBesideEvents puts into the log: F53 asks for 10000000.
var eventsThere = flag.Int("events", 100_000, "how many events are in the log of BenchmarkBesideEvents") // never changed

// logsIn is where BenchmarkBesideEvents keeps its logs for the next run: ten million events take half an hour to fill in.
var logsIn = flag.String("logs-in", "", "the directory where BenchmarkBesideEvents finds and leaves its logs") // never changed

// BenchmarkBesideEvents is F53: what is asked of a catalog with a long log, and of one with a short log. It reports the 99th
// of 100 too, in µs, and of the start how long the slowest took.
func BenchmarkBesideEvents(b *testing.B) {
	for _, n := range []int{100, *eventsThere} {
		dir := b.TempDir()
		if *logsIn != "" {
			dir = filepath.Join(*logsIn, fmt.Sprint(n))
		}
		if _, err := os.Stat(filepath.Join(dir, changesName)); err != nil {
			fillLog(b, dir, n)
		}
		measure := func(name string, run func(c *Catalog, i int) error) {
			b.Run(fmt.Sprintf("%s/events=%d", name, n), func(b *testing.B) {
				c, err := Open(context.Background(), dir, Options{})
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				var took []time.Duration
				for i := 0; b.Loop(); i++ {
					begun := time.Now()
					if err := run(c, i); err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(begun))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			})
		}
		measure("version", func(c *Catalog, i int) error {
			return c.View(context.Background(), func(tx catalog.Tx) error {
				_, err := tx.HostedVersion("r", fmt.Sprint("p", i%1000), "1")
				return err
			})
		})
		measure("named", func(c *Catalog, i int) error {
			_, err := c.Named(context.Background(), []millpond.Digest{millpond.SHA256(fmt.Append(nil, i%1000))})
			return err
		})
		measure("totals", func(c *Catalog, i int) error { _, err := c.Totals(context.Background()); return err })
		measure("head", func(c *Catalog, i int) error { _, err := c.Head(context.Background()); return err })
		measure("update", func(c *Catalog, i int) error {
			return c.Update(context.Background(), millpond.Actor{Name: "ann"}, func(tx catalog.Tx) error {
				return tx.Emit(millpond.Event{Verb: "publish", Repository: "r", Key: millpond.Key{Package: fmt.Sprint("p", i%1000)}})
			})
		})
		for name, f := range map[string]catalog.Filter{
			"newest":     {Newest: true, Limit: 50},
			"of-package": {Package: "p7", Newest: true, Limit: 50},
			"nothing":    {Actor: "actor3", Verb: "yank", Newest: true, Limit: 50},
			"of-a-time":  {Since: time.UnixMilli(1_700_000_000_000 + int64(n)/2), Until: time.UnixMilli(1_700_000_000_000 + int64(n)/2 + 50)},
		} {
			measure("find-"+name, func(c *Catalog, i int) error {
				for _, err := range c.Find(context.Background(), f) {
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		b.Run(fmt.Sprintf("start/events=%d", n), func(b *testing.B) {
			var slowest time.Duration
			for b.Loop() {
				begun := time.Now()
				c, err := Open(context.Background(), dir, Options{})
				slowest = max(slowest, time.Since(begun))
				if err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
			b.ReportMetric(float64(slowest.Microseconds()), "most-µs")
		})
	}
}

// fillLog makes a catalog of 1,000 hosted packages with n events, whose hashes are of nothing: it is a log to be long, not
// to be verified.
func fillLog(b *testing.B, dir string, n int) {
	c, err := Open(context.Background(), dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	err = c.Update(context.Background(), millpond.Actor{}, func(tx catalog.Tx) error {
		for i := range 1000 {
			name := fmt.Sprint("p", i)
			if err := tx.PutHostedPackage(&catalog.HostedPackage{Repository: "r", Name: name}); err != nil {
				return err
			}
			v := &catalog.HostedVersion{Version: millpond.Version{Name: "1"}, HostedFiles: []catalog.HostedFile{{File: millpond.File{Name: "f", Blob: millpond.SHA256(fmt.Append(nil, i))}}}}
			if err := tx.PutHostedVersion("r", name, v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	const step = 100_000
	for from := 0; from < n; from += step {
		err := c.changes.keep(context.Background(), func(w *work) error {
			_, err := w.exec(`WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)
				INSERT INTO events (seq, time, actor, verb, repository, layer, package, version, file, detail, salt, hash)
				SELECT i, 1700000000000 + i, 'actor' || (i % 100), CASE WHEN i % 10 = 0 THEN 'yank' ELSE 'publish' END, 'r', '', 'p' || (i % 10000), '1.' || i, '',
					'{"files": ["p-1.tar.gz"]}', randomblob(16), randomblob(32) FROM n`, from+1, min(from+step, n))
			if err == nil {
				_, err = w.exec(`INSERT INTO head SELECT 1, epoch, seq, hash, time FROM events WHERE seq = ?
					ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, time = excluded.time`, min(from+step, n))
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		c.changes.shorten(context.Background()) // no writer of events is as quick as this one
	}
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, changesName)); err == nil {
		b.Logf("%d events: %d MiB", n, info.Size()>>20)
	}
}
