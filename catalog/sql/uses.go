package sql

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"iter"
	"slices"

	"millpond"
	"millpond/catalog"
)

const moveUse = `UPDATE held SET used = ? WHERE blob = ? AND used < ?`

// Used is as catalog.Uses says. Uses of blobs that no holding names are not kept: they are never evicted.
func (c *Catalog) Used(ctx context.Context, uses []catalog.Use) error {
	for some := range slices.Chunk(uses, dropAtOnce) {
		err := c.cache.keep(ctx, func(w *work) error {
			for _, u := range some {
				at := millis(u.At)
				if _, err := w.exec(moveUse, at, u.Blob.String(), at); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	oldestPage = 256

	newestUse  = `SELECT COALESCE(MAX(used), 0) FROM held`
	readOldest = `SELECT blob, size, used FROM held
	WHERE (used, blob) > (?, ?) AND used <= ? AND NOT EXISTS (SELECT 1 FROM holdings WHERE blob = held.blob AND keep = 1)
	ORDER BY used, blob LIMIT 0+?`
)

// Oldest is as catalog.Uses says; a blob that was never read counts from when its bytes were first held here. The loop may
// call the catalog: blobs that are used meanwhile are not yielded a second time.
func (c *Catalog) Oldest(ctx context.Context) iter.Seq2[catalog.Use, error] {
	return func(yield func(catalog.Use, error) bool) {
		var newest int64
		err := c.cache.each(ctx, newestUse, nil, func(rows *stdsql.Rows) error { return rows.Scan(&newest) })
		if err != nil {
			yield(catalog.Use{}, err)
			return
		}
		after, used := "", int64(-1<<62)
		for {
			page := make([]catalog.Use, 0, oldestPage)
			err := c.cache.each(ctx, readOldest, []any{used, after, newest, oldestPage}, func(rows *stdsql.Rows) error {
				var u catalog.Use
				err := rows.Scan((*digest)(&u.Blob), &u.Size, (*moment)(&u.At))
				page = append(page, u)
				return err
			})
			if err != nil {
				yield(catalog.Use{}, err)
				return
			}
			for _, u := range page {
				hosted, err := c.hosts(ctx, u.Blob)
				if err != nil {
					yield(catalog.Use{}, err)
					return
				}
				if hosted {
					continue
				}
				if !yield(u, nil) {
					return
				}
			}
			if len(page) < oldestPage {
				return
			}
			last := page[len(page)-1]
			after, used = last.Blob.String(), millis(last.At)
		}
	}
}

const isNamed = `SELECT EXISTS (SELECT 1 FROM holdings WHERE blob = ?) OR EXISTS (SELECT 1 FROM derived WHERE blob = ?)
	OR EXISTS (SELECT 1 FROM documents WHERE blob = ?)`

const isHosted = `SELECT EXISTS (SELECT 1 FROM files WHERE blob = ? AND purged = 0)`

// hosts reports whether a hosted file names a blob, which one that was deleted does until it is purged.
func (c *Catalog) hosts(ctx context.Context, d millpond.Digest) (is bool, err error) {
	err = c.changes.each(ctx, isHosted, []any{d.String()}, func(rows *stdsql.Rows) error { return rows.Scan(&is) })
	return is, err
}

// Named is as catalog.Uses says: those that a hosted file not purged, a holding, a derived document or an answer's document
// names are true.
func (c *Catalog) Named(ctx context.Context, ds []millpond.Digest) (map[millpond.Digest]bool, error) {
	named := make(map[millpond.Digest]bool, len(ds))
	for _, d := range ds {
		if d.IsZero() {
			continue
		}
		err := c.cache.each(ctx, isNamed, []any{d.String(), d.String(), d.String()}, func(rows *stdsql.Rows) error {
			var is bool
			err := rows.Scan(&is)
			if is {
				named[d] = true
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if named[d] {
			continue
		}
		hosted, err := c.hosts(ctx, d)
		if err != nil {
			return nil, err
		}
		if hosted {
			named[d] = true
		}
	}
	return named, nil
}

const (
	readSums = `SELECT what, SUM(n) FROM sums GROUP BY what`
	// Numbers of events have no gaps, and only the oldest are ever dropped.
	countEvents = `SELECT COALESCE((SELECT MAX(seq) FROM events) - (SELECT MIN(seq) FROM events) + 1, 0)`
)

// Totals is as catalog.Uses says. It counts no rows. HeldBytes counts a blob once, however many holdings name it.
func (c *Catalog) Totals(ctx context.Context) (catalog.Totals, error) {
	var t catalog.Totals
	into := map[string]*int64{
		sumAnswers: &t.Answers, sumHoldings: &t.Holdings, sumDerived: &t.Derived,
		sumHeldBytes: &t.HeldBytes, sumDerivedBytes: &t.DerivedBytes,
	}
	err := c.cache.each(ctx, readSums, nil, func(rows *stdsql.Rows) error {
		var what string
		var n int64
		err := rows.Scan(&what, &n)
		if to := into[what]; to != nil {
			*to = n
		}
		return err
	})
	if err != nil {
		return t, err
	}
	err = c.changes.each(ctx, countEvents, nil, func(rows *stdsql.Rows) error { return rows.Scan(&t.Events) })
	return t, err
}

// What the sums should be, counted, and whether held has a row for each blob that a holding names. One statement, so that
// all is of one moment.
const countSums = `SELECT what, layer, SUM(n) FROM (
	SELECT what, layer, -n AS n FROM sums
	UNION ALL SELECT '` + sumAnswers + `', layer, COUNT(*) FROM answers GROUP BY layer
	UNION ALL SELECT '` + sumHoldings + `', layer, COUNT(*) FROM holdings GROUP BY layer
	UNION ALL SELECT '` + sumBytes + `', layer, SUM(size) FROM holdings WHERE blob IS NOT NULL GROUP BY layer
	UNION ALL SELECT '` + sumHeldBytes + `', '', COALESCE(SUM(size), 0) FROM held
	UNION ALL SELECT 'held blobs', '', COUNT(*) FROM held
	UNION ALL SELECT 'held blobs', '', -COUNT(DISTINCT blob) FROM holdings
	UNION ALL SELECT '` + sumDerived + `', '', COUNT(*) FROM derived
	UNION ALL SELECT '` + sumDerivedBytes + `', '', COALESCE(SUM(size), 0) FROM derived
) AS parts GROUP BY what, layer HAVING SUM(n) <> 0`

// compareSums counts what the sums should be, and says in words which are not.
func (c *Catalog) compareSums(ctx context.Context) ([]string, error) {
	rows, err := c.cache.read.QueryContext(ctx, countSums) // long: it ends with ctx
	if err != nil {
		return nil, c.cache.readFailed(err)
	}
	var found []string
	err = c.cache.drain(rows, func(rows *stdsql.Rows) error {
		var what, layer string
		var n int64
		err := rows.Scan(&what, &layer, &n)
		if layer != "" {
			what += " of " + layer
		}
		found = append(found, fmt.Sprintf("%s: the sum of %s is off by %d", cacheName, what, n))
		return err
	})
	return found, err
}
