package rubygems

import (
	"context"
	"fmt"
	"io"
	"strings"

	"millpond"
)

// Inspects implements format.Inspector: gems are looked through.
func (Format) Inspects(k millpond.Key) bool { return strings.HasSuffix(k.File, ".gem") }

// Inspect implements format.Inspector.
func (Format) Inspect(_ context.Context, k millpond.Key, r io.ReaderAt, size int64) error {
	spec, err := readMetadata(io.NewSectionReader(r, 0, size))
	if err != nil {
		return err
	}
	if of := spec.name + "-" + spec.version(); of+".gem" != k.File {
		return invalid(fmt.Sprintf("its metadata is that of %.200q", of))
	}
	return checkGem(io.NewSectionReader(r, 0, size))
}
