package cli

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"millpond"
	"millpond/blob/disk"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/internal/audit"
	"millpond/repo"
)

// houseParts are what a house is opened with.
type houseParts struct {
	data    string
	log     *slog.Logger
	version string
	// downloads at once, and readers that may wait for one; 0 is the engine's own limit.
	downloads, waiting int
}

// A house is a pond with all that it stands on. One process at a time has the house of a data directory.
type house struct {
	data    string
	blobs   *disk.Store
	catalog *sql.Catalog
	fetch   *fetch.Engine
	pond    *repo.Pond
	notary  *audit.Notary // signs the ends of the log
	keys    *keyRing
}

// openHouse opens the pond in a data directory. It is Unready if another process has it.
func openHouse(ctx context.Context, p houseParts) (_ *house, err error) {
	if err := checkPair(p.data); err != nil {
		return nil, err
	}
	h := &house{data: p.data, keys: &keyRing{dir: filepath.Join(p.data, "keys")}}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close(ctx))
		}
	}()
	// The store has the lock of the directory: it is opened first and closed last.
	if h.blobs, err = disk.Open(p.data, disk.Options{}); err != nil {
		return nil, err
	}
	if h.catalog, err = sql.Open(ctx, p.data, sql.Options{Log: p.log}); err != nil {
		return nil, err
	}
	h.fetch = &fetch.Engine{Blobs: h.blobs, Log: p.log, Version: p.version, Most: p.downloads, Waiting: p.waiting}
	if h.pond, err = repo.New(ctx, repo.Parts{Blobs: h.blobs, Catalog: h.catalog, Fetch: h.fetch, Secrets: h.keys, Log: p.log,
		Scratch: filepath.Join(p.data, "scratch")}); err != nil {
		return nil, err
	}
	if h.notary, err = audit.Open(ctx, filepath.Join(p.data, "heads"), h.keys, h.catalog, audit.Options{Log: p.log}); err != nil {
		return nil, err
	}
	return h, nil
}

// backedUp is the file in a data directory that is touched when a backup of it was made.
const backedUp = "backed-up"

// jobs are when a backup was last made of the data, and when the head of the log was last signed.
func (h *house) jobs() map[string]time.Time {
	all := map[string]time.Time{}
	if at := h.notary.Well(); !at.IsZero() {
		all["head"] = at
	}
	if info, err := os.Stat(filepath.Join(h.data, backedUp)); err == nil {
		all["backup"] = info.ModTime()
	}
	return all
}

// noteBackup notes that a backup was made.
func noteBackup(data string) error {
	name := filepath.Join(data, backedUp)
	if err := os.WriteFile(name, []byte("touched when a backup was made\n"), 0o600); err != nil {
		return err
	}
	now := time.Now()
	return os.Chtimes(name, now, now)
}

// checkPair refuses bytes without the records that name them: to go on would sweep them all.
func checkPair(data string) error {
	if _, err := os.Stat(filepath.Join(data, "catalog.db")); !errors.Is(err, fs.ErrNotExist) {
		return nil // it is there, or opening it will say what is wrong
	}
	d, err := os.Open(filepath.Join(data, "blobs"))
	if err != nil {
		return nil
	}
	defer d.Close()
	if names, _ := d.Readdirnames(1); len(names) == 0 {
		return nil
	}
	return &millpond.Error{Kind: millpond.Corrupt, Why: "there are blobs in " + data + ", but no catalog that names them",
		Hint: "restore catalog.db from a backup, or name another directory with --data"}
}

// close lets what runs end, for a while, and gives everything back.
func (h *house) close(ctx context.Context) error {
	// ctx may have ended: that is why the house is closed. What is left over resumes after the next start.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var errs []error
	if h.pond != nil {
		errs = append(errs, h.pond.Close(ctx))
	}
	if h.fetch != nil {
		errs = append(errs, h.fetch.Close(ctx))
	}
	if h.notary != nil {
		errs = append(errs, h.notary.Close())
	}
	if h.catalog != nil {
		errs = append(errs, h.catalog.Close())
	}
	if h.blobs != nil {
		errs = append(errs, h.blobs.Close())
	}
	return errors.Join(errs...)
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
