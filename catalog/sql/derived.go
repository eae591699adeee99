package sql

import (
	"cmp"
	"context"
	stdsql "database/sql"
	"fmt"
	"maps"
	"slices"

	"millpond"
	"millpond/catalog"
)

const readDerived = `SELECT type, blob, size, modified FROM derived WHERE repository = ? AND name = ? AND encoding = ? AND stamp = ?`

// Derived is as catalog.Derivations says. Times are whole milliseconds in UTC.
func (c *Catalog) Derived(ctx context.Context, repository, name, stamp, encoding string) (*catalog.Derived, error) {
	var d *catalog.Derived
	err := c.cache.each(ctx, readDerived, []any{repository, name, encoding, stamp}, func(rows *stdsql.Rows) error {
		d = &catalog.Derived{Repository: repository, Name: name, Stamp: stamp, Encoding: encoding}
		return rows.Scan(&d.Type, (*digest)(&d.Blob), &d.Size, (*moment)(&d.Modified))
	})
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("%s of %s was not derived from stamp %s in encoding %q", name, repository, stamp, encoding)}
	}
	return d, nil
}

const (
	derivedStamps = `SELECT stamp, modified FROM derived WHERE repository = ? AND name = ?`
	dropDerived   = `DELETE FROM derived WHERE repository = ? AND name = ? AND stamp = ? RETURNING size`
	dropEncoding  = `DELETE FROM derived WHERE repository = ? AND name = ? AND stamp = ? AND encoding = ? RETURNING size`
	insertDerived = `INSERT INTO derived (repository, name, encoding, stamp, type, blob, size, modified) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
)

// PutDerived is as catalog.Derivations says.
func (c *Catalog) PutDerived(ctx context.Context, d *catalog.Derived) error {
	return c.cache.keep(ctx, func(w *work) error {
		drop := func(text string, args ...any) error {
			return w.each(text, args, func(rows *stdsql.Rows) error {
				var size int64
				err := rows.Scan(&size)
				w.add(sumDerived, "", -1)
				w.add(sumDerivedBytes, "", -size)
				return err
			})
		}
		old, err := w.stamps(d)
		for _, stamp := range old {
			if err == nil {
				err = drop(dropDerived, d.Repository, d.Name, stamp)
			}
		}
		if err == nil {
			err = drop(dropEncoding, d.Repository, d.Name, d.Stamp, d.Encoding)
		}
		if err != nil {
			return err
		}
		w.add(sumDerived, "", 1)
		w.add(sumDerivedBytes, "", d.Size)
		_, err = w.exec(insertDerived, d.Repository, d.Name, d.Encoding, d.Stamp, d.Type, nullDigest(d.Blob), d.Size, millis(d.Modified))
		return err
	})
}

// stamps are the other stamps of a derived document's name, but for the latest ones that are kept.
func (w *work) stamps(d *catalog.Derived) ([]string, error) {
	last := map[string]int64{}
	err := w.each(derivedStamps, []any{d.Repository, d.Name}, func(rows *stdsql.Rows) error {
		var stamp string
		var modified int64
		err := rows.Scan(&stamp, &modified)
		if stamp != d.Stamp {
			last[stamp] = max(last[stamp], modified)
		}
		return err
	})
	stamps := slices.SortedFunc(maps.Keys(last), func(a, b string) int { return cmp.Or(cmp.Compare(last[b], last[a]), cmp.Compare(a, b)) })
	return stamps[min(d.Keep, len(stamps)):], err
}
