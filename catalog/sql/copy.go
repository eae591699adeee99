package sql

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"millpond"
)

// Copy writes a copy of the catalog in one directory into another, durably, while whoever has it open reads and writes on.
// Each of the two files is as it was at one moment, catalog.db at the earlier; what was taken out of them before is not in
// the copy. NotFound (fs.ErrNotExist) if there is no catalog, Corrupt if catalog.db is damaged; the files must not exist where
// the copy is to be. left is the name of cache.db if that is damaged: the copy is without it, and begins one anew.
func Copy(ctx context.Context, from, to string) (left string, err error) {
	for _, name := range []string{changesName, cacheName} {
		err := copyOne(ctx, filepath.Join(from, name), filepath.Join(to, name))
		switch {
		case name == cacheName && errors.Is(err, fs.ErrNotExist):
			continue // it is made anew where it is missing
		case name == cacheName && troubleOf(err) == damaged:
			left, err = name, remove(filepath.Join(to, name))
		case troubleOf(err) == damaged:
			err = &millpond.Error{Kind: millpond.Corrupt, Why: name + " is damaged: " + err.Error(),
				Hint: "what an earlier backup has can be restored; keep the directory as it is"}
		}
		if err != nil {
			return "", fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return left, syncDir(to)
}

// Files are the names of the files that a closed catalog consists of.
func Files() []string { return []string{changesName, cacheName} }

// Discard removes a catalog that nobody has open.
func Discard(dir string) error {
	var errs []error
	for _, name := range Files() {
		errs = append(errs, remove(filepath.Join(dir, name)))
	}
	if err := os.Remove(filepath.Join(dir, runningName)); !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// remove removes a database that nobody has open, if it is there.
func remove(path string) error {
	var errs []error
	for _, suffix := range suffixes {
		if err := os.Remove(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func copyOne(ctx context.Context, from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	db, err := open(from, 1, busyTimeout)
	if err != nil {
		return err
	}
	err = snapshot(ctx, db, to)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Sync(), f.Close())
}
