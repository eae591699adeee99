package oci

import (
	"archive/tar"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"

	"millpond"
	"millpond/format"
)

// Pack implements format.Packer: a folder that is an OCI layout, as one archive. It has no versions.
func (Format) Pack(_ context.Context, _ format.Machine, folder, version string, w io.Writer) (string, error) {
	if version != "" {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: "a layout of images has no versions", Hint: "name a tag"}
	}
	if _, err := os.Stat(filepath.Join(folder, "index.json")); err != nil {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: folder + " is no OCI layout: it has no index.json", Err: err}
	}
	t := tar.NewWriter(w)
	dir, err := os.OpenRoot(folder)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	add := func(name string) error {
		f, err := dir.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size()}); err != nil {
			return err
		}
		_, err = io.CopyN(t, f, info.Size())
		return err
	}
	blobs, err := filepath.Glob(filepath.Join(folder, "blobs", "*", "*"))
	if err != nil {
		return "", err
	}
	slices.Sort(blobs)
	for _, file := range append([]string{filepath.Join(folder, "index.json")}, blobs...) {
		name, err := filepath.Rel(folder, file)
		if err != nil {
			return "", err
		}
		if err := add(filepath.ToSlash(name)); err != nil {
			return "", err
		}
	}
	return filepath.Base(folder) + ".tar", t.Close()
}
