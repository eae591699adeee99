package pypi

import (
	"context"
	"io"

	"millpond"
)

// Inspects implements format.Inspector: wheels and source distributions are looked through, those that can be published.
func (Format) Inspects(k millpond.Key) bool {
	_, end := splitEnd(k.File)
	return end == ".whl" || end == ".tar.gz" || end == ".zip"
}

// Inspect implements format.Inspector.
func (Format) Inspect(_ context.Context, k millpond.Key, r io.ReaderAt, size int64) error {
	s := submission{name: k.File}
	kind, _ := packageType(k.File)
	if err := s.look(r, size, kind); err != nil {
		return err
	}
	if s.project != k.Package {
		return invalid("%s: its metadata is of the project %.100q", k.File, s.display)
	}
	return nil
}
