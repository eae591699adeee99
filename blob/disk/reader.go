package disk

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"millpond"
	"millpond/blob"
	"millpond/blob/disk/durable"
)

// A Reader reads the blobs of a directory that a process may have open as its store: it has no lock, makes nothing and
// changes nothing. What it lists may be gone when it is opened.
type Reader struct{ s *Store }

// OpenReader opens a directory for reading; fs.ErrNotExist if there is none. The caller closes the reader.
func OpenReader(name string) (*Reader, error) {
	if _, err := os.Stat(name); err != nil {
		return nil, err
	}
	dir, err := durable.Open(name, nil)
	if err != nil {
		return nil, fault("open the data directory", err)
	}
	return &Reader{&Store{dir: dir}}, nil
}

// Open is as Store.Open; NotFound also for what is no plain file.
func (r *Reader) Open(ctx context.Context, d millpond.Digest, off, n int64) (io.ReadCloser, error) {
	if _, err := r.plain(d); err != nil {
		return nil, err
	}
	return r.s.Open(ctx, d, off, n)
}

// plain is where a blob is, if it is a plain file.
func (r *Reader) plain(d millpond.Digest) (string, error) {
	name, ok := file(d)
	if !ok {
		return "", absent(d)
	}
	path := filepath.Join(r.s.dir.Path(), filepath.FromSlash(name))
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return "", absent(d)
	}
	return path, fault("look at blob "+d.String(), err)
}

// Stat is as Store.Stat.
func (r *Reader) Stat(ctx context.Context, d millpond.Digest) (blob.Info, error) {
	return r.s.Stat(ctx, d)
}

// List is as Store.List.
func (r *Reader) List(ctx context.Context, after millpond.Digest) iter.Seq2[millpond.Digest, error] {
	return r.s.List(ctx, after)
}

// Close ends the use of the reader.
func (r *Reader) Close() error { return r.s.dir.Close() }

// Link makes a blob of another directory one of this store, without copying it: both are then one file of the disk. Its bytes
// are taken on trust. NotFound if it is not there, or no plain file; an error that says so if the two are on different
// disks.
func (s *Store) Link(ctx context.Context, from *Reader, d millpond.Digest) error {
	if err := errors.Join(ctx.Err(), s.Stopped()); err != nil {
		return err
	}
	outside, err := from.plain(d)
	if err != nil {
		return err
	}
	name, _ := file(d)
	dir, err := s.openShard(d)
	if err != nil {
		return fault("make the data directory", err)
	}
	defer dir.Close()
	shard := s.shard(d)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if err := s.dir.LinkIn(outside, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return fault("link blob "+d.String(), err)
	}
	return s.sync(dir)
}
