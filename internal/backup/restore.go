package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"millpond"
	"millpond/blob/disk"
	"millpond/catalog/sql"
	"millpond/repo"
)

// errRead is that bytes could not be read where they are.
var errRead = errors.New("the bytes cannot be read") // never changed

// copyBlob copies and verifies a blob.
func copyBlob(ctx context.Context, to *disk.Store, from *disk.Reader, d millpond.Digest) error {
	body, err := from.Open(ctx, d, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	w, err := to.Create(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	r := &reading{Reader: body}
	if _, err := io.Copy(w, struct{ io.Reader }{r}); err != nil {
		if r.err != nil {
			return fmt.Errorf("%w: %w", errRead, err)
		}
		return err
	}
	_, err = w.Commit(ctx, d)
	return err
}

// A reading remembers that reading failed, and not writing.
type reading struct {
	io.Reader
	err error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != io.EOF {
		r.err = err
	}
	return n, err
}

// Restore makes a data directory of a backup: each blob is verified, and the log begins a new epoch, whose first event says
// why. The directory must be empty, or hold nothing but keys, or a restore that was interrupted. Conflict if anything else is
// there; Corrupt if the backup's catalog is not what the manifest says. Nothing can be served from the directory before the
// catalog is there, which comes last.
//
// The report is of what is there afterwards: blobs of the backup that were damaged are missing.
func Restore(ctx context.Context, from, data string, o Options) (_ *Manifest, _ *repo.Report, err error) {
	if data, from, err = apart(data, from); err != nil {
		return nil, nil, err
	}
	m, err := Read(from)
	if err != nil {
		return nil, nil, err
	}
	if err := vacant(data); err != nil {
		return nil, nil, err
	}
	reader, err := disk.OpenReader(from)
	if err != nil {
		return nil, nil, err
	}
	defer reader.Close()
	part := filepath.Join(data, restoring) // before all else: it says what became of a restore that ends here
	if err := os.MkdirAll(part, 0o700); err != nil {
		return nil, nil, err
	}
	store, err := disk.Open(data, o.Store)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }() // whoever would serve the directory waits for this lock
	if err := syncDir(data); err != nil {
		return nil, nil, err
	}
	if err := restoreBlobs(ctx, store, reader, m, o); err != nil {
		return nil, nil, err
	}
	report, err := restoreRecords(ctx, from, part, store, m, o)
	if err != nil {
		return nil, nil, err
	}
	// The catalog comes last: it is what a data directory is known by.
	for _, name := range []string{headsName, "cache.db", "catalog.db"} {
		if !there(filepath.Join(part, name)) || name == headsName && there(filepath.Join(data, name)) {
			continue
		}
		if err := os.Rename(filepath.Join(part, name), filepath.Join(data, name)); err != nil {
			return nil, nil, err
		}
		if err := syncDir(data); err != nil {
			return nil, nil, err
		}
	}
	return m, report, errors.Join(os.RemoveAll(part), syncDir(data))
}

// vacant is Conflict unless a pond can be restored into a directory.
func vacant(data string) error {
	have, err := names(data)
	if err != nil {
		return err
	}
	if there(filepath.Join(data, sql.Files()[0])) {
		return &millpond.Error{Kind: millpond.Conflict, Why: "there is a pond in " + data, Hint: "restore into a directory of its own, look at it, and put it in this one's place"}
	}
	if there(filepath.Join(data, restoring)) {
		return nil
	}
	for _, name := range have {
		if name != keysName && name != headsName {
			return &millpond.Error{Kind: millpond.Conflict, Why: fmt.Sprintf("%s is not empty: it has %s", data, name), Hint: "restore into a directory that is empty, or has nothing but the keys of the pond that was backed up"}
		}
	}
	return nil
}

func restoreBlobs(ctx context.Context, store *disk.Store, reader *disk.Reader, m *Manifest, o Options) error {
	done := int64(0)
	for d, err := range reader.List(ctx, millpond.Digest{}) {
		if err != nil {
			return err
		}
		if done++; o.Told != nil {
			o.Told(done, m.Blobs)
		}
		if _, err := store.Stat(ctx, d); err == nil {
			continue // it was sealed whole by a restore that was interrupted
		}
		if o.Link {
			err = store.Link(ctx, reader, d)
		} else {
			err = copyBlob(ctx, store, reader, d)
		}
		// What is damaged or no plain file is missing then, and the report says so.
		if err != nil && !millpond.Is(err, millpond.Corrupt) && !millpond.Is(err, millpond.NotFound) && !errors.Is(err, errRead) {
			return err
		}
	}
	return nil
}

// restoreRecords copies the catalog and begins an epoch in it.
func restoreRecords(ctx context.Context, from, part string, store *disk.Store, m *Manifest, o Options) (_ *repo.Report, err error) {
	root, err := os.OpenRoot(from)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := sql.Discard(part); err != nil {
		return nil, err
	}
	for _, name := range append(sql.Files(), headsName) {
		want, ok := m.Files[name]
		if !ok {
			if name == sql.Files()[0] {
				return nil, &millpond.Error{Kind: millpond.Corrupt, Why: "the backup names no " + name}
			}
			continue
		}
		f, err := openPlain(root, name)
		if err != nil {
			return nil, err
		}
		err = errors.Join(copyTo(filepath.Join(part, name), f), f.Close())
		if err != nil {
			return nil, err
		}
		got, err := sumOf(filepath.Join(part, name))
		if err != nil {
			return nil, err
		}
		if got != want {
			return nil, &millpond.Error{Kind: millpond.Corrupt, Why: fmt.Sprintf("%s of the backup is not what was backed up: it has %s, not %s", name, got, want), Hint: "restore an earlier backup"}
		}
	}
	records, err := sql.Open(ctx, part, sql.Options{Now: o.Now})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	why := fmt.Sprintf("restored from the backup of %s", m.Made.UTC().Format("2006-01-02 15:04:05"))
	if err := records.Begin(ctx, millpond.Actor{Name: "pond"}, why); err != nil {
		return nil, err
	}
	return look(ctx, store, records, repo.CheckOptions{Repair: true})
}
