package sql

import (
	stdsql "database/sql"
	"fmt"
	"iter"
	"slices"
	"strings"

	"millpond"
	"millpond/catalog"
)

const (
	versionColumns = `id, name, display, publisher, promoted, published, seen, prerelease, yanked, yanked_why, partial, licence, meta, deleted, deleter, deleted_why`
	fileColumns    = `name, about, platform, size, digests, blob, url, type, published, seen, yanked, yanked_why, vanished, corrupt, meta, publisher, deleted, purged, expires`

	versionsFrom  = `FROM versions WHERE package = ? AND name >= ? ORDER BY name LIMIT 0+?`
	versionsAfter = `FROM versions WHERE package = ? AND name > ? ORDER BY name LIMIT 0+?`
	readVersion   = `SELECT ` + versionColumns + ` FROM versions WHERE package = ? AND name = ?`
	readFiles     = `SELECT version, ` + fileColumns + ` FROM files WHERE version = ? ORDER BY name`
	filesOf       = `SELECT version, ` + fileColumns + ` FROM files WHERE version IN (SELECT id %s) ORDER BY version, name`
)

func scanVersion(rows *stdsql.Rows) (id int64, v *catalog.HostedVersion, err error) {
	v = &catalog.HostedVersion{}
	err = rows.Scan(&id, &v.Name, &v.Display, &v.By, &v.From, (*moment)(&v.Published), (*moment)(&v.Seen), &v.Prerelease,
		&v.Yanked, &v.YankedWhy, &v.Partial, &v.Licence, (*document)(&v.Meta), (*moment)(&v.Deleted), &v.DeletedBy, &v.DeletedWhy)
	return id, v, err
}

// scanFile scans a file's columns after what comes before them.
func scanFile(rows *stdsql.Rows, before ...any) (f catalog.HostedFile, err error) {
	err = rows.Scan(append(before, &f.Name, &f.Of, &f.Platform, &f.Size, (*digests)(&f.Digests), (*digest)(&f.Blob), &f.URL, &f.Type,
		(*moment)(&f.Published), (*moment)(&f.Seen), &f.Yanked, &f.YankedWhy, &f.Vanished, &f.Corrupt, (*document)(&f.Meta),
		&f.By, (*moment)(&f.Deleted), &f.Purged, (*moment)(&f.Expires))...)
	return f, err
}

// HostedVersion is as catalog.Hosted says. Times are whole milliseconds in UTC; Layer is "".
func (r *records) HostedVersion(repository, pkg, version string) (*catalog.HostedVersion, error) {
	id, _, err := r.packageID(repository, pkg)
	if err != nil {
		return nil, err
	}
	_, v, err := r.version(id, version)
	if err == nil && v == nil {
		err = notHosted(repository, millpond.Key{Package: pkg, Version: version})
	}
	return v, err
}

// version reads a version with its files; nil if there is none.
func (r *records) version(pkg int64, name string) (id int64, v *catalog.HostedVersion, err error) {
	err = r.each(readVersion, []any{pkg, name}, func(rows *stdsql.Rows) (err error) {
		id, v, err = scanVersion(rows)
		return err
	})
	if err != nil || v == nil {
		return 0, nil, err
	}
	err = r.each(readFiles, []any{id}, func(rows *stdsql.Rows) error {
		f, err := scanFile(rows, &id)
		v.HostedFiles = append(v.HostedFiles, f)
		return err
	})
	return id, v, err
}

// HostedVersions is as catalog.Hosted says; it yields nothing of a package that is not there.
func (r *records) HostedVersions(repository, pkg string) iter.Seq2[*catalog.HostedVersion, error] {
	return func(yield func(*catalog.HostedVersion, error) bool) {
		id, _, err := r.packageID(repository, pkg)
		if err != nil {
			if !millpond.Is(err, millpond.NotFound) {
				yield(nil, err)
			}
			return
		}
		pages(recordPage, func(last *catalog.HostedVersion, first bool) (page []*catalog.HostedVersion, err error) {
			from, after := versionsFrom, ""
			if !first {
				from, after = versionsAfter, last.Name
			}
			args := []any{id, after, recordPage}
			byID := map[int64]*catalog.HostedVersion{}
			err = r.each(`SELECT `+versionColumns+` `+from, args, func(rows *stdsql.Rows) error {
				id, v, err := scanVersion(rows)
				byID[id] = v
				page = append(page, v)
				return err
			})
			if err != nil {
				return nil, err
			}
			err = r.each(fmt.Sprintf(filesOf, from), args, func(rows *stdsql.Rows) error {
				var version int64
				f, err := scanFile(rows, &version)
				if v := byID[version]; v != nil {
					v.HostedFiles = append(v.HostedFiles, f)
				}
				return err
			})
			return page, err
		}, yield)
	}
}

const (
	writeVersion = `INSERT INTO versions (package, name, display, publisher, promoted, published, seen, prerelease, yanked, yanked_why,
		partial, licence, meta, deleted, deleter, deleted_why) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (package, name) DO UPDATE SET display = excluded.display, publisher = excluded.publisher, promoted = excluded.promoted,
		published = excluded.published, seen = excluded.seen, prerelease = excluded.prerelease, yanked = excluded.yanked,
		yanked_why = excluded.yanked_why, partial = excluded.partial, licence = excluded.licence, meta = excluded.meta,
		deleted = excluded.deleted, deleter = excluded.deleter, deleted_why = excluded.deleted_why
	RETURNING id`
	writeFile = `INSERT INTO files (version, package, ` + fileColumns + `)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (version, name) DO UPDATE SET about = excluded.about, platform = excluded.platform, size = excluded.size,
		digests = excluded.digests, blob = excluded.blob, url = excluded.url, type = excluded.type, published = excluded.published,
		seen = excluded.seen, yanked = excluded.yanked, yanked_why = excluded.yanked_why, vanished = excluded.vanished,
		corrupt = excluded.corrupt, meta = excluded.meta, publisher = excluded.publisher, deleted = excluded.deleted,
		purged = excluded.purged, expires = excluded.expires`
	dropFile    = `DELETE FROM files WHERE version = ? AND name = ?`
	dropVersion = `DELETE FROM versions WHERE id = ?`
)

// rowOf are the columns of a file, as the driver gives them back.
func rowOf(f *catalog.HostedFile) []any {
	return []any{
		f.Name, f.Of, f.Platform, f.Size, digestList(f.Digests), nullDigest(f.Blob), f.URL, f.Type, millis(f.Published), millis(f.Seen),
		number(f.Yanked), f.YankedWhy, number(f.Vanished), number(f.Corrupt), nullJSON(f.Meta), f.By, millis(f.Deleted),
		number(f.Purged), millis(f.Expires),
	}
}

// PutHostedVersion is as catalog.Hosted says; NotFound without the package's record, Invalid if two files have one name or a
// Meta is not JSON. Layer and Files are not kept.
func (u *update) PutHostedVersion(repository, pkg string, v *catalog.HostedVersion) error {
	if err := isJSON(v.Meta, "the record of "+pkg+" "+v.Name); err != nil {
		return err
	}
	for i := range v.HostedFiles {
		if err := isJSON(v.HostedFiles[i].Meta, "the record of "+v.HostedFiles[i].Name); err != nil {
			return err
		}
	}
	id, _, err := u.packageID(repository, pkg)
	if err != nil {
		return err
	}
	_, old, err := u.version(id, v.Name)
	if err != nil {
		return err
	}
	var row int64
	_, err = u.one(writeVersion, []any{id, v.Name, v.Display, v.By, v.From, millis(v.Published), millis(v.Seen), number(v.Prerelease),
		number(v.Yanked), v.YankedWhy, number(v.Partial), v.Licence, nullJSON(v.Meta), millis(v.Deleted), v.DeletedBy, v.DeletedWhy}, &row)
	if err != nil {
		return err
	}
	was := map[string][]any{}
	if old != nil {
		for i := range old.HostedFiles {
			was[old.HostedFiles[i].Name] = rowOf(&old.HostedFiles[i])
		}
	}
	seen := map[string]bool{}
	for i := range v.HostedFiles {
		f := &v.HostedFiles[i]
		if seen[f.Name] {
			return &millpond.Error{
				Kind: millpond.Invalid, Key: millpond.Key{Package: pkg, Version: v.Name, File: f.Name},
				Why: fmt.Sprintf("%s %s has two files of the name %q", pkg, v.Name, f.Name),
			}
		}
		seen[f.Name] = true
		columns := rowOf(f)
		if slices.Equal(columns, was[f.Name]) {
			continue
		}
		if _, err := u.exec(writeFile, append([]any{row, id}, columns...)...); err != nil {
			return err
		}
	}
	for name := range was {
		if seen[name] {
			continue
		}
		if _, err := u.exec(dropFile, row, name); err != nil {
			return err
		}
	}
	return u.count(repository, id, tallyOf(old), tallyOf(v))
}

// DropHostedVersion is as catalog.Hosted says; NotFound if it never was.
func (u *update) DropHostedVersion(repository, pkg, version string) error {
	id, _, err := u.packageID(repository, pkg)
	if err != nil {
		return err
	}
	row, old, err := u.version(id, version)
	if err != nil {
		return err
	}
	if old == nil {
		return notHosted(repository, millpond.Key{Package: pkg, Version: version})
	}
	if _, err := u.exec(dropVersion, row); err != nil {
		return err
	}
	return u.count(repository, id, tallyOf(old), tally{})
}

var (
	// What is not deleted comes first.
	findFile = `SELECT v.name, ` + prefixed("f.", fileColumns) + ` FROM files f JOIN versions v ON v.id = f.version
	WHERE f.package = ? AND f.name = ?
	ORDER BY CASE WHEN f.deleted = 0 AND v.deleted = 0 THEN 0 ELSE 1 END,
		CASE WHEN f.published <> 0 THEN f.published ELSE v.published END DESC, v.id DESC
	LIMIT 1` // never changed
)

func prefixed(prefix, columns string) string {
	return prefix + strings.ReplaceAll(columns, ", ", ", "+prefix)
}

// HostedFile is as catalog.Hosted says.
func (r *records) HostedFile(repository, pkg, file string) (version string, f *catalog.HostedFile, err error) {
	id, _, err := r.packageID(repository, pkg)
	if err != nil {
		return "", nil, err
	}
	err = r.each(findFile, []any{id, file}, func(rows *stdsql.Rows) error {
		found, err := scanFile(rows, &version)
		f = &found
		return err
	})
	if err == nil && f == nil {
		err = notHosted(repository, millpond.Key{Package: pkg, File: file})
	}
	return version, f, err
}

const placesOf = `SELECT p.repository, p.name, v.name, f.name FROM files f
	JOIN versions v ON v.id = f.version JOIN packages p ON p.id = v.package
	WHERE f.blob = ? AND f.purged = 0 AND f.deleted = 0 AND v.deleted = 0
	ORDER BY p.repository, p.name, v.name, f.name`

// HostedBlob is as catalog.Hosted says: a file of a deleted version is deleted.
func (r *records) HostedBlob(d millpond.Digest) iter.Seq2[catalog.Place, error] {
	return func(yield func(catalog.Place, error) bool) {
		if d.IsZero() {
			return
		}
		var places []catalog.Place
		err := r.each(placesOf, []any{d.String()}, func(rows *stdsql.Rows) error {
			var p catalog.Place
			err := rows.Scan(&p.Repository, &p.Key.Package, &p.Key.Version, &p.Key.File)
			places = append(places, p)
			return err
		})
		if err != nil {
			yield(catalog.Place{}, err)
			return
		}
		for _, p := range places {
			if !yield(p, nil) {
				return
			}
		}
	}
}
