package durable

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func room(name string) (free, total int64, err error) {
	var s unix.Statfs_t
	for {
		err = unix.Statfs(name, &s)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return -1, -1, err
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), nil
}

// start ignores errors: without a flag to wait, the kernel keeps those of writing back for the next fsync, and a file
// system that cannot do this has lost nothing.
func start(f *os.File, off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}

// A near is an open directory, from which files are opened in fewer steps than by an os.Root: that asks the kernel five more
// times, whether a file can be waited for and what it is, which costs as much as sending a small one.
type near struct {
	dir *os.File
	raw syscall.RawConn // of dir
}

// mostNear is how many directories may stay open: an eighth of what this process may have open, of which clients and upstreams need
// more.
func mostNear() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int64(min(limit.Cur/8, 1024))
}

func openDir(root *os.Root, name string) (*near, error) {
	dir, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	raw, err := dir.SyscallConn()
	if err != nil {
		dir.Close()
		return nil, err
	}
	return &near{dir, raw}, nil
}

// open opens a file of the directory for reading. base is its name there and no link; as is what the file calls itself.
func (n *near) open(base, as string) (*os.File, error) {
	var fd int
	var failed error
	err := n.raw.Control(func(dir uintptr) {
		for {
			fd, failed = unix.Openat(int(dir), base, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
			if failed != unix.EINTR {
				return
			}
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: as, Err: err}
	}
	return os.NewFile(uintptr(fd), as), nil
}

func (n *near) close() error { return n.dir.Close() }
