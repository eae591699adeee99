package sql

import (
	stdsql "database/sql"
	"fmt"
	"iter"
	"strings"

	"millpond"
	"millpond/catalog"
)

const (
	refColumns = `SELECT name, target, moved, mover, meta FROM refs`
	readRef    = refColumns + ` WHERE package = ? AND name = ?`
	refsFrom   = refColumns + ` WHERE package = ? AND name >= ? ORDER BY name LIMIT 0+?`
	refsAfter  = refColumns + ` WHERE package = ? AND name > ? ORDER BY name LIMIT 0+?`
	dropRef    = `DELETE FROM refs WHERE package = ? AND name = ?`
	writeRef   = `INSERT INTO refs (package, name, target, moved, mover, meta) VALUES (?, ?, ?, ?, ?, ?)
	ON CONFLICT (package, name) DO UPDATE SET target = excluded.target, moved = excluded.moved, mover = excluded.mover, meta = excluded.meta`
)

func scanRef(rows *stdsql.Rows) (*catalog.HostedRef, error) {
	f := &catalog.HostedRef{}
	err := rows.Scan(&f.Name, &f.Target, (*moment)(&f.Moved), &f.By, (*document)(&f.Meta))
	return f, err
}

// HostedRef is as catalog.Hosted says.
func (r *records) HostedRef(repository, pkg, name string) (f *catalog.HostedRef, err error) {
	id, _, err := r.packageID(repository, pkg)
	if err != nil {
		return nil, err
	}
	err = r.each(readRef, []any{id, name}, func(rows *stdsql.Rows) (err error) {
		f, err = scanRef(rows)
		return err
	})
	if err == nil && f == nil {
		err = &millpond.Error{
			Kind: millpond.NotFound, Key: millpond.Key{Package: pkg},
			Why: fmt.Sprintf("no ref %q of %s was set in %s", name, pkg, repository),
		}
	}
	return f, err
}

// HostedRefs is as catalog.Hosted says; it yields nothing of a package that is not there.
func (r *records) HostedRefs(repository, pkg, prefix, after string) iter.Seq2[*catalog.HostedRef, error] {
	return func(yield func(*catalog.HostedRef, error) bool) {
		id, _, err := r.packageID(repository, pkg)
		if err != nil {
			if !millpond.Is(err, millpond.NotFound) {
				yield(nil, err)
			}
			return
		}
		pages(recordPage, func(last *catalog.HostedRef, first bool) (page []*catalog.HostedRef, err error) {
			text, from := refsAfter, after
			switch {
			case !first:
				from = last.Name
			case after == "" || after < prefix:
				text, from = refsFrom, prefix
			}
			err = r.each(text, []any{id, from, recordPage}, func(rows *stdsql.Rows) error {
				f, err := scanRef(rows)
				page = append(page, f)
				return err
			})
			return page, err
		}, func(f *catalog.HostedRef, err error) bool {
			// Names that begin with the prefix stand together.
			if err == nil && !strings.HasPrefix(f.Name, prefix) {
				return false
			}
			return yield(f, err)
		})
	}
}

// PutHostedRef is as catalog.Hosted says; NotFound without the package's record, Invalid if Meta is not JSON. To remove one
// that is not there is no error.
func (u *update) PutHostedRef(repository, pkg string, f *catalog.HostedRef) error {
	if err := isJSON(f.Meta, "the record of the ref "+f.Name); err != nil {
		return err
	}
	id, _, err := u.packageID(repository, pkg)
	if err != nil {
		return err
	}
	if f.Target == "" {
		_, err = u.exec(dropRef, id, f.Name)
	} else {
		_, err = u.exec(writeRef, id, f.Name, f.Target, millis(f.Moved), f.By, nullJSON(f.Meta))
	}
	return err
}
