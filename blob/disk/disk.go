// Package disk keeps blobs in a directory.
//
//	blobs/ab/abcd…     a blob, whole and verified, named by its sha256 and never changed
//	incoming/XYZ…      an unfinished blob, named by its ID
//	damaged/abcd…      a blob that was set aside, for a person to look at
//	lock               the process that has the directory
//
// A blob appears under its name in one step, and only after its bytes are on the disk: whatever stops the process or the
// machine, a name has the right bytes or is not there. Opening a store looks at none of them.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/disk/durable"
)

// Options are those of a store. The zero Options are good defaults.
type Options struct {
	Low  int64            // bytes of the disk that are left free: what would use them is Full
	Now  func() time.Time // nil is time.Now
	Hook durable.Hook     // sees, and may fail, every call to the disk; for tests

	// Room says how many bytes the disk has free and in all, negative if that is not known; nil asks the system.
	Room func() (free, total int64, err error)
}

// A Store is a blob.Store in a directory. Open makes one.
type Store struct {
	dir     *durable.Dir
	lock    *os.File
	options Options
	stopped atomic.Pointer[millpond.Error]
	shards  [256]shard // by a digest's first byte

	mu       sync.Mutex // guards what follows; held while an unfinished blob is tidied away, so that nobody resumes it
	writing  map[string]bool
	sums     map[string]sums // what was hashed of unfinished blobs that this process closed
	reserved int64           // bytes that writers have announced and not yet written
}

// A shard is one directory of blobs.
type shard struct {
	mu   sync.Mutex // held while a name in it is made or removed: who is told that a blob is held must find it
	made bool       // the directory is there, durably
}

var (
	_ blob.Store    = (*Store)(nil)
	_ blob.Aside    = (*Store)(nil)
	_ blob.Sweeper  = (*Store)(nil)
	_ blob.Stopper  = (*Store)(nil)
	_ blob.Hint     = (*Writer)(nil)
	_ blob.Declarer = (*Writer)(nil)
	_ blob.Placer   = (*Writer)(nil)
)

const (
	blobs    = "blobs"
	incoming = "incoming"
	damaged  = "damaged"
)

// Open opens the store in a directory, which it makes if it is missing. It is Unready if another process has it. The
// caller closes the store after its last use.
func Open(name string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	dir, err := durable.Open(name, o.Hook)
	if err != nil {
		return nil, fault("open the data directory", err)
	}
	if o.Room == nil {
		o.Room = dir.Room
	}
	lock, err := lockDir(dir.Path())
	if err != nil {
		dir.Close()
		return nil, err
	}
	s := &Store{dir: dir, lock: lock, options: o, writing: make(map[string]bool), sums: make(map[string]sums)}
	if err := s.make(".", blobs, incoming, damaged); err != nil {
		s.Close()
		return nil, fault("make the data directory", err)
	}
	return s, nil
}

// make makes directories, durably.
func (s *Store) make(in string, names ...string) error {
	parent, err := s.dir.OpenDir(in)
	if err != nil {
		return err
	}
	defer parent.Close()
	if err := s.dir.Mkdir(parent, names...); err != nil {
		return err
	}
	return s.sync(parent)
}

// Close gives the directory up. Writers must have been closed; readers may read on.
func (s *Store) Close() error { return errors.Join(s.dir.Close(), s.lock.Close()) }

// Stopped is Unready after the disk failed to make bytes durable: what it says afterwards cannot be believed, so that
// nothing is written until the store is opened anew.
func (s *Store) Stopped() error {
	if err := s.stopped.Load(); err != nil {
		return err
	}
	return nil
}

// sync makes a file or directory durable, and stops all writing if that fails.
func (s *Store) sync(f *durable.File) error {
	if err := f.Sync(); err != nil {
		s.stop(err)
	}
	return s.Stopped()
}

func (s *Store) stop(err error) {
	s.stopped.CompareAndSwap(nil, &millpond.Error{
		Kind: millpond.Unready,
		Why:  "the disk failed to make bytes durable; nothing is written until a restart",
		Hint: "look at the disk, then restart",
		Err:  err,
	})
}

// file is where a blob is; ok is false if d cannot name one.
func file(d millpond.Digest) (name string, ok bool) {
	if d.Algorithm() != "sha256" {
		return "", false
	}
	hex := d.Hex()
	return blobs + "/" + hex[:2] + "/" + hex, true
}

func absent(d millpond.Digest) error {
	return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("blob %s is not held", d)}
}

// Open returns bytes of a blob. All of it (off 0, n negative) is an *os.File; what it returns for a part is an io.Seeker
// too. Range if off is behind the end.
func (s *Store) Open(ctx context.Context, d millpond.Digest, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name, ok := file(d)
	if !ok {
		return nil, absent(d)
	}
	f, err := s.dir.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, absent(d)
	case err != nil:
		return nil, fault("open blob "+d.String(), err)
	case off == 0 && n < 0:
		return f, nil
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fault("open blob "+d.String(), err)
	}
	size := info.Size()
	if off < 0 || off > size {
		f.Close()
		return nil, &millpond.Error{Kind: millpond.Range, Why: fmt.Sprintf("blob %s has %d bytes, none at %d", d, size, off)}
	}
	if n < 0 || n > size-off {
		n = size - off
	}
	return part{io.NewSectionReader(f, off, n), f}, nil
}

// A part reads some bytes of a blob.
type part struct {
	*io.SectionReader
	io.Closer
}

// Stat is the blob's size and when it was last sealed.
func (s *Store) Stat(ctx context.Context, d millpond.Digest) (blob.Info, error) {
	if err := ctx.Err(); err != nil {
		return blob.Info{}, err
	}
	name, ok := file(d)
	if !ok {
		return blob.Info{}, absent(d)
	}
	info, err := s.dir.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return blob.Info{}, absent(d)
	case err != nil:
		return blob.Info{}, fault("look at blob "+d.String(), err)
	}
	return blob.Info{Size: info.Size(), Sealed: info.ModTime().Truncate(time.Second)}, nil
}

// List yields digests in order. It reads one directory of 256 at a time: a blob that is sealed or deleted meanwhile is in
// the list or is not.
func (s *Store) List(ctx context.Context, after millpond.Digest) iter.Seq2[millpond.Digest, error] {
	return func(yield func(millpond.Digest, error) bool) {
		for i := range len(s.shards) {
			shard := fmt.Sprintf("%02x", i)
			if shard < after.Hex()[:min(2, len(after.Hex()))] {
				continue
			}
			names, err := s.dir.List(blobs + "/" + shard)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				yield(millpond.Digest{}, fault("list blobs", err))
				return
			}
			slices.Sort(names)
			for _, name := range names {
				d, err := millpond.ParseDigest("sha256:" + name)
				if err != nil || name[:2] != shard || d.String() <= after.String() {
					continue // not ours, or before where we begin
				}
				if err := ctx.Err(); err != nil {
					yield(millpond.Digest{}, err)
					return
				}
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// Room is what the disk has free, Low included. Free is negative where the system does not tell.
func (s *Store) Room(ctx context.Context) (blob.Room, error) {
	if err := ctx.Err(); err != nil {
		return blob.Room{}, err
	}
	free, total, err := s.options.Room()
	if err != nil {
		return blob.Room{}, fault("look for room", err)
	}
	return blob.Room{Free: free, Total: total}, nil
}
