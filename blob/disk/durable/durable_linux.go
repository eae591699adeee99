package durable

import (
	"os"

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
