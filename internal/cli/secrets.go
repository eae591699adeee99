package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// A keyRing keeps secrets as files of a directory that only its owner may read: beside the catalog and never in it, so that
// neither a stolen catalog nor a backup of it opens anything.
type keyRing struct {
	dir string
	mu  sync.Mutex // guards the making of a secret: two askers get the same one
}

// Secret implements repo.Secrets.
func (k *keyRing) Secret(_ context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	path := filepath.Join(k.dir, hex.EncodeToString([]byte(name))) // whatever a name holds, it is one file of this directory
	b, err := os.ReadFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if b, err = make(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return nil, err
	}
	if err := writeDurably(k.dir, path, b); err != nil {
		return nil, fmt.Errorf("keep the secret %s: %w", name, err)
	}
	return b, nil
}

// writeDurably makes a file that is there whole, or not at all, whatever happens meanwhile.
func writeDurably(dir, path string, b []byte) (err error) {
	f, err := os.CreateTemp(dir, "new-*") // readable by its owner only
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name()) // what stays is looked at by nobody
		}
	}()
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
