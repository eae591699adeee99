package cargo

import (
	"context"
	"io"
	"strings"

	"millpond"
)

// Inspects implements format.Inspector: crates are looked through.
func (Format) Inspects(k millpond.Key) bool { return strings.HasSuffix(k.File, "-"+k.Version+".crate") }

// Inspect implements format.Inspector.
func (Format) Inspect(ctx context.Context, k millpond.Key, r io.ReaderAt, size int64) error {
	_, err := checkCrate(ctx, r, size, strings.TrimSuffix(k.File, "-"+k.Version+".crate"), k.Version)
	return err
}
