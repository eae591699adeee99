//go:build unix

package server

import "syscall"

// descriptors is how many files this process may have open, 0 if that is not known.
func descriptors() int64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil || r.Cur > 1<<40 {
		return 0
	}
	return int64(r.Cur)
}
