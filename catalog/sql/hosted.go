package sql

import (
	stdsql "database/sql"
	"fmt"
	"iter"
	"strings"

	"millpond"
	"millpond/catalog"
)

// recordPage is how many records a loop reads at once. A page is read to its end before any of it is yielded, so that a
// loop may use its transaction.
//
// Queries say LIMIT 0+? and not LIMIT ?: for a bare parameter SQLite prepares the statement anew each time one is bound, to see
// whether the number would change its plan, which takes as long as reading twenty records.
const recordPage = 256

// pages calls read for page after page and yields what it returned, until a page is not full.
func pages[T any](size int, read func(last T, first bool) ([]T, error), yield func(T, error) bool) {
	var last T
	for first := true; ; first = false {
		page, err := read(last, first)
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		for _, r := range page {
			if !yield(r, nil) {
				return
			}
		}
		if len(page) < size {
			return
		}
		last = page[len(page)-1]
	}
}

const (
	packageColumns = `SELECT repository, name, display, merge, meta, created, changed, changes FROM packages`
	readPackage    = packageColumns + ` WHERE repository = ? AND name = ?`
	packagesFrom   = packageColumns + ` WHERE repository = ? AND name >= ? ORDER BY name LIMIT 0+?`
	packagesAfter  = packageColumns + ` WHERE repository = ? AND name > ? ORDER BY name LIMIT 0+?`
)

func scanPackage(rows *stdsql.Rows) (*catalog.HostedPackage, error) {
	p := &catalog.HostedPackage{}
	err := rows.Scan(&p.Repository, &p.Name, &p.Display, &p.Merge, (*document)(&p.Meta), (*moment)(&p.Created), (*moment)(&p.Changed), &p.Changes)
	return p, err
}

// HostedPackage is as catalog.Hosted says. Times are whole milliseconds in UTC.
func (r *records) HostedPackage(repository, name string) (p *catalog.HostedPackage, err error) {
	err = r.each(readPackage, []any{repository, name}, func(rows *stdsql.Rows) (err error) {
		p, err = scanPackage(rows)
		return err
	})
	if err == nil && p == nil {
		err = notHosted(repository, millpond.Key{Package: name})
	}
	return p, err
}

func notHosted(repository string, k millpond.Key) error {
	return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("no %s was published in %s", k, repository)}
}

// repositoryAfter seeks in the index: a repository costs one look-up however many packages it has.
const repositoryAfter = `SELECT repository FROM packages WHERE repository > ? ORDER BY repository LIMIT 1`

// HostedRepositories is as catalog.Hosted says.
func (r *records) HostedRepositories() ([]string, error) {
	var all []string
	last := ""
	for {
		found, err := r.one(repositoryAfter, []any{last}, &last)
		if err != nil || !found {
			return all, err
		}
		all = append(all, last)
	}
}

// HostedNames is as catalog.Hosted says; after "" are all.
func (r *records) HostedNames(repository, after string) iter.Seq2[*catalog.HostedPackage, error] {
	return func(yield func(*catalog.HostedPackage, error) bool) {
		pages(recordPage, func(last *catalog.HostedPackage, first bool) (page []*catalog.HostedPackage, err error) {
			text, from := packagesAfter, after
			if first && after == "" {
				text = packagesFrom
			}
			if !first {
				from = last.Name
			}
			err = r.each(text, []any{repository, from, recordPage}, func(rows *stdsql.Rows) error {
				p, err := scanPackage(rows)
				page = append(page, p)
				return err
			})
			return page, err
		}, yield)
	}
}

// lastRecord is the youngest record of a package's versions: their rows are numbered in the order in which they came.
const lastRecord = `FROM packages p
	JOIN versions v ON v.id = (SELECT MAX(id) FROM versions WHERE package = p.id AND deleted = 0 AND name <> '')
	JOIN files f ON f.version = v.id AND f.name = (SELECT MIN(name) FROM files WHERE version = v.id AND deleted = 0)
	WHERE p.repository = ? AND p.live > 0 AND p.name `

// lastColumns are those that a directory shows: each costs as much as half of what finds a row.
const lastColumns = `p.name, v.name, f.name, f.size, f.digests, f.blob, f.type, f.published, f.yanked, f.meta `

var (
	lastFrom  = `SELECT ` + lastColumns + lastRecord + `>= ? AND p.name <= ? ORDER BY p.name LIMIT 0+?` // never changed
	lastAfter = `SELECT ` + lastColumns + lastRecord + `> ? AND p.name <= ? ORDER BY p.name LIMIT 0+?`  // never changed
)

// HostedLast is as catalog.Hosted says.
func (r *records) HostedLast(repository, prefix, after string, most int) iter.Seq2[*catalog.HostedLast, error] {
	return func(yield func(*catalog.HostedLast, error) bool) {
		text, from := lastAfter, after
		if after < prefix {
			text, from = lastFrom, prefix
		}
		var page []*catalog.HostedLast
		err := r.each(text, []any{repository, from, prefix + lastName, most}, func(rows *stdsql.Rows) error {
			one := &catalog.HostedLast{}
			f := &one.File
			page = append(page, one)
			return rows.Scan(&one.Name, &one.Version, &f.Name, &f.Size, (*digests)(&f.Digests), (*digest)(&f.Blob), &f.Type, (*moment)(&f.Published), &f.Yanked, (*document)(&f.Meta))
		})
		if err != nil {
			yield(nil, err)
			return
		}
		for _, one := range page {
			if !strings.HasPrefix(one.Name, prefix) || !yield(one, nil) {
				return
			}
		}
	}
}

const writePackage = `INSERT INTO packages (repository, name, display, merge, meta, created, changed, changes)
	VALUES (?, ?, ?, ?, ?, ?, ?, 1)
	ON CONFLICT (repository, name) DO UPDATE SET display = excluded.display, merge = excluded.merge, meta = excluded.meta,
		created = excluded.created, changed = excluded.changed, changes = packages.changes + 1
	RETURNING changes`

// PutHostedPackage is as catalog.Hosted says; p.Changes is set to what it is now. Invalid if Meta is not JSON.
func (u *update) PutHostedPackage(p *catalog.HostedPackage) error {
	if err := isJSON(p.Meta, "the record of "+p.Name); err != nil {
		return err
	}
	_, err := u.one(writePackage, []any{p.Repository, p.Name, p.Display, p.Merge, nullJSON(p.Meta), millis(p.Created), millis(p.Changed)}, &p.Changes)
	return err
}

const (
	findPackage = `SELECT id, live FROM packages WHERE repository = ? AND name = ?`
	dropPackage = `DELETE FROM packages WHERE id = ?`
)

// packageID finds the row of a package; NotFound if there is none.
func (r *records) packageID(repository, name string) (id, live int64, err error) {
	found, err := r.one(findPackage, []any{repository, name}, &id, &live)
	if err == nil && !found {
		err = notHosted(repository, millpond.Key{Package: name})
	}
	return id, live, err
}

// FreeHostedPackage is as catalog.Hosted says; NotFound if there is no such package.
func (u *update) FreeHostedPackage(repository, name string) error {
	id, live, err := u.packageID(repository, name)
	if err != nil {
		return err
	}
	if live > 0 {
		return &millpond.Error{
			Kind: millpond.Conflict, Key: millpond.Key{Package: name},
			Why:  fmt.Sprintf("%d versions of %s are hosted in %s", live, name, repository),
			Hint: "delete them first",
		}
	}
	_, err = u.exec(dropPackage, id)
	return err
}

// The sums of what is hosted and not deleted, by repository.
const (
	sumHostedPackages = "hosted packages"
	sumHostedVersions = "hosted versions"
	sumHostedFiles    = "hosted files"
	sumHostedBytes    = "hosted bytes"
)

// A tally is what one version adds to the sums.
type tally struct{ live, versions, files, bytes int64 }

// tallyOf counts a version with its files. Files that belong to no version make no version.
func tallyOf(v *catalog.HostedVersion) (t tally) {
	if v == nil || !v.Deleted.IsZero() {
		return t
	}
	for i := range v.HostedFiles {
		if f := &v.HostedFiles[i]; f.Deleted.IsZero() {
			t.files++
			t.bytes += max(f.Size, 0)
		}
	}
	if v.Name != "" {
		t.versions = 1
	}
	if v.Name != "" || t.files > 0 {
		t.live = 1
	}
	return t
}

const addLive = `UPDATE packages SET live = live + ? WHERE id = ? RETURNING live`

// count moves the sums from what a version was to what it is.
func (u *update) count(repository string, pkg int64, was, is tally) error {
	var packages int64
	if d := is.live - was.live; d != 0 {
		var live int64
		if _, err := u.one(addLive, []any{d, pkg}, &live); err != nil {
			return err
		}
		switch {
		case d > 0 && live == d:
			packages = 1
		case d < 0 && live == 0:
			packages = -1
		}
	}
	for what, n := range map[string]int64{
		sumHostedPackages: packages, sumHostedVersions: is.versions - was.versions,
		sumHostedFiles: is.files - was.files, sumHostedBytes: is.bytes - was.bytes,
	} {
		if n == 0 {
			continue
		}
		if _, err := u.exec(addSum, what, repository, n); err != nil {
			return err
		}
	}
	return nil
}

const (
	readHostedSums    = `SELECT what, SUM(n) FROM sums GROUP BY what`
	readHostedSumsOne = `SELECT what, n FROM sums WHERE layer = ? AND what IN ('` + sumHostedPackages + `', '` + sumHostedVersions + `', '` +
		sumHostedFiles + `', '` + sumHostedBytes + `')`
)

// HostedTotals is as catalog.Hosted says. It counts no rows.
func (r *records) HostedTotals(repository string) (t catalog.HostedTotals, err error) {
	into := map[string]*int64{
		sumHostedPackages: &t.Packages, sumHostedVersions: &t.Versions, sumHostedFiles: &t.Files, sumHostedBytes: &t.Bytes,
	}
	text, args := readHostedSums, []any(nil)
	if repository != "" {
		text, args = readHostedSumsOne, []any{repository}
	}
	err = r.each(text, args, func(rows *stdsql.Rows) error {
		var what string
		var n int64
		err := rows.Scan(&what, &n)
		if to := into[what]; to != nil {
			*to = n
		}
		return err
	})
	return t, err
}
