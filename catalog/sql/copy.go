package sql

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Copy writes a copy of the catalog in one directory into another, durably, while whoever has it open reads and writes on.
// Each of the two files is as it was at one moment, catalog.db at the earlier; what was taken out of them before is not in
// the copy. NotFound (fs.ErrNotExist) if there is no catalog; the files must not exist where the copy is to be.
func Copy(ctx context.Context, from, to string) error {
	for _, name := range []string{changesName, cacheName} {
		err := copyOne(ctx, filepath.Join(from, name), filepath.Join(to, name))
		if name == cacheName && errors.Is(err, fs.ErrNotExist) {
			continue // it is made anew where it is missing
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return syncDir(to)
}

// Files are the names of the files that a closed catalog consists of.
func Files() []string { return []string{changesName, cacheName} }

// Discard removes a catalog that nobody has open.
func Discard(dir string) error {
	var errs []error
	for _, name := range Files() {
		for _, suffix := range suffixes {
			errs = append(errs, os.Remove(filepath.Join(dir, name+suffix)))
		}
	}
	errs = append(errs, os.Remove(filepath.Join(dir, runningName)))
	for i, err := range errs {
		if errors.Is(err, fs.ErrNotExist) {
			errs[i] = nil
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
