// Package durable is like os, but it fsyncs, and it says which calls it makes.
//
// A Dir is a directory and what is below it; names are relative to it and cannot lead out of it. Every call that touches
// the disk goes through the Dir's Hook, if it has one: the one place where tests let calls fail, stop the process, or
// write down what a power cut would leave.
package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// An Op is a kind of call.
type Op string

// The calls.
const (
	OpMkdir    Op = "mkdir"
	OpOpenDir  Op = "open directory"
	OpSyncDir  Op = "sync directory"
	OpList     Op = "list"
	OpCreate   Op = "create"
	OpOpen     Op = "open"
	OpStat     Op = "stat"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpChmod    Op = "chmod"
	OpChtimes  Op = "chtimes"
	OpSync     Op = "sync"
	OpLink     Op = "link"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpRoom     Op = "room"
)

// A Call is one call to the operating system.
type Call struct {
	Op   Op
	Name string // what it is about, relative to the Dir
	To   string // the new name, of link and rename
	Data []byte // what write writes; a hook that shortens it before do makes a short write
	Off  int64  // of read and write; the size of truncate
}

// A Hook is called in place of every call to the operating system, and do makes the call. A hook that returns an error
// without do is a call that failed; one that does and then returns an error is a call that failed but took place.
type Hook func(c *Call, do func() error) error

// A Dir is a directory and what is below it. Its methods may be called by many goroutines.
type Dir struct {
	root *os.Root
	hook Hook
	near sync.Map     // from name to *near: directories that files were opened in
	kept atomic.Int64 // how many of them there are, or will be in a moment
	most int64        // how many there may be
}

// Open opens a directory. It makes it, and those above it, where they are missing. The Dir's own entry is durable then.
func Open(name string, hook Hook) (*Dir, error) {
	name, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	if err := makeAll(name); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &Dir{root: root, hook: hook, most: mostNear()}, nil
}

// makeAll makes a directory and those above it, and syncs each one's parent.
func makeAll(name string) error {
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(name)
	if err := makeAll(parent); err != nil {
		return err
	}
	if err := os.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Close ends the use of the Dir; files that were opened in it can be used on.
func (d *Dir) Close() error {
	err := d.root.Close()
	for name, dir := range d.near.Range {
		d.near.Delete(name)
		err = errors.Join(err, dir.(*near).close())
	}
	return err
}

// Path is the directory's absolute path.
func (d *Dir) Path() string { return d.root.Name() }

func (d *Dir) do(c Call, f func() error) error {
	if d.hook == nil {
		return f()
	}
	return d.hook(&c, f)
}

// Mkdir makes directories in one that is open, which is to be synced. It is no error that some exist; they may not be
// durable yet.
func (d *Dir) Mkdir(in *File, names ...string) error {
	for _, name := range names {
		name = path.Join(in.name, name)
		err := d.do(Call{Op: OpMkdir, Name: name}, func() error { return d.root.Mkdir(name, 0o700) })
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// OpenDir opens a directory, for Sync. Whoever changes a directory opens it before: an error of writing back what was
// changed could be lost with the inode of a directory that nobody has open.
func (d *Dir) OpenDir(name string) (*File, error) {
	return d.open(Call{Op: OpOpenDir, Name: name}, OpSyncDir, os.O_RDONLY)
}

// Create makes a file that must not exist, for reading and writing.
func (d *Dir) Create(name string) (*File, error) {
	return d.open(Call{Op: OpCreate, Name: name}, OpSync, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Edit opens a file for reading and writing.
func (d *Dir) Edit(name string) (*File, error) {
	return d.open(Call{Op: OpOpen, Name: name}, OpSync, os.O_RDWR)
}

// Open opens a file for reading.
func (d *Dir) Open(name string) (*os.File, error) {
	var f *os.File
	err := d.do(Call{Op: OpOpen, Name: name}, func() (err error) {
		f, err = d.openNear(name)
		return err
	})
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	return f, nil
}

// openNear opens a file from its directory, which stays open: the way down to it costs more than the file. What is not
// found so is looked for from the top, for a directory may have been replaced by another of its name.
func (d *Dir) openNear(name string) (*os.File, error) {
	above, base := path.Split(name)
	if dir, ok := d.near.Load(above); ok && base != ".." {
		if f, err := dir.(*near).open(base, name); err == nil {
			return f, nil
		}
		return d.root.Open(name)
	}
	f, err := d.root.Open(name)
	if err == nil && above != "" && d.kept.Load() < d.most {
		d.keepNear(above)
	}
	return f, err
}

// keepNear leaves a directory open, for the files in it that are wanted later. It need not succeed.
func (d *Dir) keepNear(name string) {
	if d.kept.Add(1) <= d.most {
		if dir, err := openDir(d.root, name); err == nil {
			if _, there := d.near.LoadOrStore(name, dir); !there {
				return
			}
			dir.close()
		}
	}
	d.kept.Add(-1)
}

func (d *Dir) open(c Call, sync Op, flag int) (*File, error) {
	var f *os.File
	err := d.do(c, func() (err error) {
		f, err = d.root.OpenFile(c.Name, flag, 0o600)
		return err
	})
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	return &File{d: d, f: f, name: c.Name, sync: sync}, nil
}

// List returns the names in a directory, in no order.
func (d *Dir) List(name string) ([]string, error) {
	var names []string
	err := d.do(Call{Op: OpList, Name: name}, func() error {
		f, err := d.root.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		names, err = f.Readdirnames(-1)
		return err
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

// Stat describes a file. It does not follow links: a store has none.
func (d *Dir) Stat(name string) (fs.FileInfo, error) {
	var info fs.FileInfo
	err := d.do(Call{Op: OpStat, Name: name}, func() (err error) {
		info, err = d.root.Lstat(name)
		return err
	})
	return info, err
}

// Chmod sets a file's mode.
func (d *Dir) Chmod(name string, mode fs.FileMode) error {
	return d.do(Call{Op: OpChmod, Name: name}, func() error { return d.root.Chmod(name, mode) })
}

// Chtimes sets when a file was last changed.
func (d *Dir) Chtimes(name string, t time.Time) error {
	return d.do(Call{Op: OpChtimes, Name: name}, func() error { return d.root.Chtimes(name, t, t) })
}

// Link gives a file another name, which must not exist.
func (d *Dir) Link(name, to string) error {
	return d.do(Call{Op: OpLink, Name: name, To: to}, func() error { return d.root.Link(name, to) })
}

// LinkIn gives a file from outside a name in the Dir too.
func (d *Dir) LinkIn(outside, to string) error {
	return d.do(Call{Op: OpLink, Name: outside, To: to}, func() error {
		return os.Link(outside, filepath.Join(d.root.Name(), filepath.FromSlash(to)))
	})
}

// Rename gives a file another name, and drops what had it.
func (d *Dir) Rename(name, to string) error {
	return d.do(Call{Op: OpRename, Name: name, To: to}, func() error { return d.root.Rename(name, to) })
}

// Remove drops a name.
func (d *Dir) Remove(name string) error {
	return d.do(Call{Op: OpRemove, Name: name}, func() error { return d.root.Remove(name) })
}

// Room is how many bytes the file system has free for this process, and in all; negative where that cannot be known.
func (d *Dir) Room() (free, total int64, err error) {
	err = d.do(Call{Op: OpRoom}, func() (err error) {
		free, total, err = room(d.root.Name())
		return err
	})
	return free, total, err
}

// A File is an open file or directory. Reading and writing may go on at once.
type File struct {
	d    *Dir
	f    *os.File
	name string
	sync Op
}

// ReadAt is as of os.File.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if f.d.hook == nil {
		return f.f.ReadAt(p, off)
	}
	err = f.d.do(Call{Op: OpRead, Name: f.name, Off: off}, func() (err error) {
		n, err = f.f.ReadAt(p, off)
		return err
	})
	return n, err
}

// WriteAt is as of os.File.
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	if f.d.hook == nil {
		return f.f.WriteAt(p, off)
	}
	c := Call{Op: OpWrite, Name: f.name, Data: p, Off: off}
	err = f.d.hook(&c, func() (err error) {
		n, err = f.f.WriteAt(c.Data, off)
		return err
	})
	switch {
	case err == nil && n < len(p):
		err = io.ErrShortWrite
	case err != nil && n == len(p):
		n = 0 // it took place, and says that it did not
	}
	return n, err
}

// Start begins to bring some bytes to the disk, where the system can, and does not wait: a later Sync has less to do, and
// still tells of every failure.
func (f *File) Start(off, n int64) { start(f.f, off, n) }

// Shared is the file for those who read it where they like: they move no offset and close nothing. It is nil where a hook is to
// see what is read.
func (f *File) Shared() *os.File {
	if f.d.hook != nil {
		return nil
	}
	return f.f
}

// Truncate cuts the file to a size.
func (f *File) Truncate(size int64) error {
	return f.d.do(Call{Op: OpTruncate, Name: f.name, Off: size}, func() error { return f.f.Truncate(size) })
}

// Chmod sets the file's mode.
func (f *File) Chmod(mode fs.FileMode) error {
	return f.d.do(Call{Op: OpChmod, Name: f.name}, func() error { return f.f.Chmod(mode) })
}

// Sync returns when what was written is on the disk; for a directory, the names in it. After an error nobody knows what
// is, and a second Sync may succeed though the first one's bytes are lost.
func (f *File) Sync() error {
	return f.d.do(Call{Op: f.sync, Name: f.name}, f.f.Sync)
}

// Close ends the use of the file. It does not sync.
func (f *File) Close() error { return f.f.Close() }
