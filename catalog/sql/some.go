package sql

import (
	stdsql "database/sql"
	"slices"
	"strings"

	"millpond"
	"millpond/catalog"
)

const (
	readSome = `SELECT version, ` + fileColumns + ` FROM files WHERE version = ? AND name >= ? AND name <= ? ORDER BY name`
	anyLive  = `SELECT 1 FROM files WHERE version = ? AND deleted = 0 LIMIT 1`
	// lastName is a name that comes after all that begin with what stands before it: no name has the character.
	lastName = "\U0010ffff"
)

// HostedSome is as catalog.Hosted says.
func (r *records) HostedSome(repository, pkg, version, prefix string) (*catalog.HostedVersion, error) {
	id, _, err := r.packageID(repository, pkg)
	if err != nil {
		return nil, err
	}
	row, v, err := r.head(id, version)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, notHosted(repository, millpond.Key{Package: pkg, Version: version})
	}
	v.HostedFiles, err = r.some(row, prefix)
	return v, err
}

// head reads a version without its files; nil if there is none.
func (r *records) head(pkg int64, name string) (id int64, v *catalog.HostedVersion, err error) {
	err = r.each(readVersion, []any{pkg, name}, func(rows *stdsql.Rows) (err error) {
		id, v, err = scanVersion(rows)
		return err
	})
	return id, v, err
}

// some are the files of a version whose names begin with prefix.
func (r *records) some(version int64, prefix string) (files []catalog.HostedFile, err error) {
	err = r.each(readSome, []any{version, prefix, prefix + lastName}, func(rows *stdsql.Rows) error {
		f, err := scanFile(rows, new(int64))
		if err == nil && strings.HasPrefix(f.Name, prefix) {
			files = append(files, f)
		}
		return err
	})
	return files, err
}

// PutHostedFiles is as catalog.Hosted says; NotFound without the package's record, Invalid if a Meta is not JSON.
func (u *update) PutHostedFiles(repository, pkg string, v *catalog.HostedVersion) error {
	for i := range v.HostedFiles {
		if err := isJSON(v.HostedFiles[i].Meta, "the record of "+v.HostedFiles[i].Name); err != nil {
			return err
		}
	}
	id, _, err := u.packageID(repository, pkg)
	if err != nil {
		return err
	}
	row, old, err := u.head(id, v.Name)
	if err != nil {
		return err
	}
	if old == nil {
		return u.PutHostedVersion(repository, pkg, v)
	}
	// How many files there are besides does not matter: only whether there is one.
	was, is := *old, *old
	live, err := u.one(anyLive, []any{row}, new(int64))
	if err != nil {
		return err
	}
	for i := range v.HostedFiles {
		f := &v.HostedFiles[i]
		have, err := u.some(row, f.Name)
		if err != nil {
			return err
		}
		k := slices.IndexFunc(have, func(one catalog.HostedFile) bool { return one.Name == f.Name })
		is.HostedFiles = append(is.HostedFiles, *f)
		if k >= 0 {
			was.HostedFiles = append(was.HostedFiles, have[k])
			if slices.Equal(rowOf(&have[k]), rowOf(f)) {
				continue
			}
		}
		if _, err := u.exec(writeFile, append([]any{row, id}, rowOf(f)...)...); err != nil {
			return err
		}
	}
	before, after := tallyOf(&was), tallyOf(&is)
	if v.Name == "" && old.Deleted.IsZero() {
		before.live = map[bool]int64{true: 1}[live]
		if live, err = u.one(anyLive, []any{row}, new(int64)); err != nil {
			return err
		}
		after.live = map[bool]int64{true: 1}[live]
	}
	return u.count(repository, id, before, after)
}
