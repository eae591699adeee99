// Package backup copies the data of a pond while it is in use, and makes a pond of such a copy.
//
// A backup is a directory laid out as a data directory is, so that whatever reads one reads the other:
//
//	catalog.db cache.db   the catalog as it was at one moment
//	blobs/                every blob that it names
//	heads                 the signed ends of the log, as far as they were noted
//	backup.json           what was copied, and when; written last: without it the backup is not whole
//
// Keys are not in it, nor the configuration: whoever steals a backup can open nothing with it. They are to be kept elsewhere.
package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"millpond"
	"millpond/blob/disk"
)

// A Manifest says what a backup holds.
type Manifest struct {
	Format  int                        `json:"format"`
	Made    time.Time                  `json:"made"` // when its catalog was as it is there
	Version string                     `json:"version"`
	Epoch   int64                      `json:"epoch"` // the end of the log
	Seq     int64                      `json:"seq"`
	Hash    millpond.Digest            `json:"hash"`
	Blobs   int64                      `json:"blobs"`
	Bytes   int64                      `json:"bytes"`
	Copied  int64                      `json:"copied"`            // of the blobs; the others were linked, or there from an earlier attempt
	Damaged []string                   `json:"damaged,omitempty"` // what was published, and cannot be read where it was copied from; cache.db itself if that cannot
	Files   map[string]millpond.Digest `json:"files"`
}

// Options choose how blobs are copied. The zero value reads and writes, and so verifies, each of them.
type Options struct {
	Link    bool   // link blobs instead of copying them, on one file system: quick, unverified, and no help against a bad disk
	Base    string // an earlier backup, on the same file system: blobs that are there are linked from it
	Version string // of this program, for the manifest
	Now     func() time.Time
	Told    func(done, all int64)     // told of each blob; all is 0 while it is not known; nil is silent
	Store   disk.Options              // of the store that is written; for tests
	Between func(ctx context.Context) // called after each copy of the catalog, before its blobs are; for tests
}

func (o *Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

const (
	format       = 1
	manifestName = "backup.json"
	partialName  = "backup.partial"  // there while a backup is not whole
	restoring    = "restore.partial" // a directory, there while a restore is not whole
	headsName    = "heads"
	keysName     = "keys"
	mostManifest = 1 << 20
)

// Read reads the manifest of a backup: NotFound if there is none, or if it is not whole.
func Read(dir string) (*Manifest, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := openPlain(root, manifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &millpond.Error{Kind: millpond.NotFound, Why: "there is no whole backup in " + dir, Hint: "a backup that was interrupted is finished by making it again"}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostManifest))
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, &millpond.Error{Kind: millpond.Corrupt, Why: filepath.Join(dir, manifestName) + " cannot be read", Err: err}
	}
	if m.Format != format {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: fmt.Sprintf("the backup in %s is of format %d, and this program knows %d", dir, m.Format, format),
			Hint: "restore it with the program that made it, or a newer one"}
	}
	return m, nil
}

// openPlain opens a file that is no link.
func openPlain(root *os.Root, name string) (*os.File, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &millpond.Error{Kind: millpond.Corrupt, Why: filepath.Join(root.Name(), name) + " is no plain file", Hint: "a backup has no links; look who has put it there"}
	}
	return root.Open(name)
}

// sumOf is the digest of a file, which is made durable on the way.
func sumOf(name string) (millpond.Digest, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return millpond.Digest{}, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return millpond.Digest{}, err
	}
	if err := f.Sync(); err != nil {
		return millpond.Digest{}, err
	}
	return millpond.NewDigest("sha256", sum.Sum(nil))
}

// write makes a small file, whole or not at all, durably.
func write(dir, name string, text []byte) error {
	path := filepath.Join(dir, name)
	if err := copyTo(path+".new", bytes.NewReader(text)); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(dir)
}

// copyTo writes a file anew, durably but for its name.
func copyTo(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// names lists a directory; none if it is not there.
func names(dir string) ([]string, error) {
	all, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, one := range all {
		out = append(out, one.Name())
	}
	return out, err
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
