package pear

import (
	"context"
	"io"
	"strings"

	"millpond"
)

// Inspects implements format.Inspector: the archives of releases are looked through.
func (Format) Inspects(k millpond.Key) bool { return strings.HasSuffix(k.File, ".tgz") }

// Inspect implements format.Inspector.
func (Format) Inspect(ctx context.Context, k millpond.Key, r io.ReaderAt, size int64) error {
	_, err := readArchive(ctx, io.NewSectionReader(r, 0, size), size, k, true)
	if err != nil && ctx.Err() == nil {
		return bad(k, err)
	}
	return err
}
