package golang

import (
	"context"
	"io"
	"strings"

	"golang.org/x/mod/module"

	"millpond"
	"millpond/format"
)

// Inspects implements format.Inspector: zips are looked through.
func (Format) Inspects(k millpond.Key) bool { return strings.HasSuffix(k.File, ".zip") }

// Inspect implements format.Inspector. Nothing is unpacked: what the files have is vouched for by their hash.
func (Format) Inspect(_ context.Context, k millpond.Key, r io.ReaderAt, size int64) error {
	m := module.Version{Path: k.Package, Version: k.Version}
	z, err := format.OpenZip(r, size)
	if millpond.Is(err, millpond.TooLarge) {
		return err
	}
	if err != nil {
		return refused(m, "the file is no whole zip file: "+err.Error(), "")
	}
	_, err = checkZip(r, size, z, m)
	return err
}
