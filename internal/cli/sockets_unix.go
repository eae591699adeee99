//go:build unix

package cli

import (
	"os"
	"strconv"
	"syscall"
)

// fileOf is the file of a descriptor that this process was started with. Programs that it starts do not get it.
func fileOf(fd int) *os.File {
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "handed over "+strconv.Itoa(fd))
}
