//go:build !unix

package cli

import (
	"os"
	"strconv"
)

// fileOf is the file of a descriptor that this process was started with.
func fileOf(fd int) *os.File { return os.NewFile(uintptr(fd), "handed over "+strconv.Itoa(fd)) }
