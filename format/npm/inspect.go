package npm

import (
	"context"
	"io"
	"strings"

	"millpond"
)

// Inspects implements format.Inspector: tarballs are looked through.
func (Format) Inspects(k millpond.Key) bool { return strings.HasSuffix(k.File, ".tgz") }

// Inspect implements format.Inspector.
func (Format) Inspect(_ context.Context, k millpond.Key, r io.ReaderAt, size int64) error {
	p, err := unpack(r, size)
	if err != nil {
		return err
	}
	inside, err := readTop(p.manifest, "package.json in the tarball")
	switch {
	case err != nil:
		return err
	case inside.Name != k.Package:
		return refused("the tarball is of %.100q, and published as %s", inside.Name, k.Package)
	case k.Version != "" && plainVersion(inside.Version) != plainVersion(k.Version):
		return refused("the tarball is of version %.100q, and published as %s", inside.Version, k.Version)
	}
	return nil
}
