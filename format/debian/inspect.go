package debian

import (
	"context"
	"io"
	"path"
	"strings"

	"millpond"
)

// Inspects implements format.Inspector: binary packages are looked into.
func (Format) Inspects(k millpond.Key) bool {
	file, _, _ := strings.Cut(k.File, "#")
	switch path.Ext(file) {
	case ".deb", ".udeb", ".ddeb":
		return true
	}
	return false
}

// Inspect implements format.Inspector. As when one is published, it is read up to its control file.
func (Format) Inspect(_ context.Context, _ millpond.Key, r io.ReaderAt, size int64) error {
	_, err := readDeb(io.NewSectionReader(r, 0, size), io.Discard)
	return err
}
