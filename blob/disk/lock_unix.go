//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"millpond"
)

// lockDir takes a directory for this process, until the file is closed or the process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault("lock the data directory", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault("lock the data directory", fmt.Errorf("flock: %w", err))
		}
		who := "another process"
		if b, err := io.ReadAll(io.LimitReader(f, 20)); err == nil && len(b) > 0 {
			who = "process " + strings.TrimSpace(string(b))
		}
		return nil, &millpond.Error{
			Kind: millpond.Unready,
			Why:  fmt.Sprintf("the data directory %s is in use by %s", dir, who),
			Hint: "stop it, or use another directory",
		}
	}
	// The number is for people; what counts is the lock.
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		f.Close()
		return nil, fault("lock the data directory", err)
	}
	return f, nil
}

// links is how many names a file has.
func links(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Nlink)
	}
	return 1
}
