//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package disk

import (
	"io/fs"
	"os"

	"millpond"
)

// lockDir fails: without a lock two processes would share a directory unawares.
func lockDir(string) (*os.File, error) {
	return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "blobs cannot be kept on disk on this system: it has no flock"}
}

func links(fs.FileInfo) int { return 1 }
