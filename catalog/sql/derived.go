package sql

import (
	"cmp"
	"context"
	stdsql "database/sql"
	"fmt"
	"slices"
	"strings"

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
	dropDerived   = `DELETE FROM derived WHERE repository = ? AND name = ? AND (stamp <> ? OR encoding = ?) RETURNING size`
	derivedFamily = `SELECT name, modified FROM derived WHERE repository = ? AND name >= ? AND name < ?`
	listFamily    = `SELECT name, stamp, encoding, type, blob, size, modified FROM derived WHERE repository = ? AND name >= ? AND name < ?`
	dropMember    = `DELETE FROM derived WHERE repository = ? AND name = ? RETURNING size`
	insertDerived = `INSERT INTO derived (repository, name, encoding, stamp, type, blob, size, modified) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
)

// PutDerived is as catalog.Derivations says.
func (c *Catalog) PutDerived(ctx context.Context, d *catalog.Derived) error {
	return c.cache.keep(ctx, func(w *work) error {
		err := w.each(dropDerived, []any{d.Repository, d.Name, d.Stamp, d.Encoding}, func(rows *stdsql.Rows) error {
			var size int64
			err := rows.Scan(&size)
			w.add(sumDerived, "", -1)
			w.add(sumDerivedBytes, "", -size)
			return err
		})
		if err != nil {
			return err
		}
		if err := w.dropOldest(d); err != nil {
			return err
		}
		w.add(sumDerived, "", 1)
		w.add(sumDerivedBytes, "", d.Size)
		_, err = w.exec(insertDerived, d.Repository, d.Name, d.Encoding, d.Stamp, d.Type, nullDigest(d.Blob), d.Size, millis(d.Modified))
		return err
	})
}

// Family is as catalog.Derivations says.
func (c *Catalog) Family(ctx context.Context, repository, name string) ([]catalog.Derived, error) {
	var all []catalog.Derived
	err := c.cache.each(ctx, listFamily, []any{repository, name + "\x00", name + "\x01"}, func(rows *stdsql.Rows) error {
		d := catalog.Derived{Repository: repository}
		err := rows.Scan(&d.Name, &d.Stamp, &d.Encoding, &d.Type, (*digest)(&d.Blob), &d.Size, (*moment)(&d.Modified))
		d.Name = strings.TrimPrefix(d.Name, name+"\x00")
		all = append(all, d)
		return err
	})
	slices.SortFunc(all, func(a, b catalog.Derived) int {
		return cmp.Or(b.Modified.Compare(a.Modified), strings.Compare(b.Name, a.Name))
	})
	return all, err
}

// dropOldest drops the oldest of a document's family but for Keep of them, and for those that were the newest until less
// than Linger ago. A family is all names that are the same up to a NUL.
func (w *work) dropOldest(d *catalog.Derived) error {
	family, _, ok := strings.Cut(d.Name, "\x00")
	if !ok {
		return nil
	}
	type member struct {
		name     string
		modified int64
	}
	var all []member
	err := w.each(derivedFamily, []any{d.Repository, family + "\x00", family + "\x01"}, func(rows *stdsql.Rows) error {
		var m member
		err := rows.Scan(&m.name, &m.modified)
		if m.name != d.Name {
			all = append(all, m)
		}
		return err
	})
	slices.SortFunc(all, func(a, b member) int {
		return cmp.Or(cmp.Compare(b.modified, a.modified), strings.Compare(b.name, a.name))
	})
	followed := millis(d.Modified) // when the next one was derived
	for i, m := range all {
		lingers := d.Linger > 0 && millis(d.Modified)-followed < d.Linger.Milliseconds()
		followed = m.modified
		if i < d.Keep || lingers {
			continue
		}
		if err != nil {
			return err
		}
		err = w.each(dropMember, []any{d.Repository, m.name}, func(rows *stdsql.Rows) error {
			var size int64
			err := rows.Scan(&size)
			w.add(sumDerived, "", -1)
			w.add(sumDerivedBytes, "", -size)
			return err
		})
	}
	return err
}
