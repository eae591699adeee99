package durable

import "golang.org/x/sys/unix"

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
