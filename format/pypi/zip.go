package pypi

import (
	"archive/zip"
	"io"
	"path"
	"strings"

	"millpond/format"
)

// openZip opens a zip archive that has one reading only: no entry twice, nothing before, between or behind, headers that
// agree with the directory, stored and deflated entries, and no more in it than its size allows.
func openZip(r io.ReaderAt, size int64) (*zip.Reader, error) {
	head := make([]byte, 4)
	if _, err := r.ReadAt(head, 0); err != nil || string(head) != "PK\x03\x04" {
		return nil, badArchive("the archive does not begin as a zip archive does")
	}
	z, err := format.OpenZip(r, size)
	if err != nil {
		return nil, badArchive("the zip archive cannot be read: %v", err)
	}
	seen := make(map[string]bool, len(z.File))
	var unpacked uint64
	for _, f := range z.File {
		if err := checkEntry(path.Clean(f.Name), f.Name); err != nil {
			return nil, err
		}
		if key := strings.ToLower(strings.TrimSuffix(f.Name, "/")); seen[key] {
			return nil, badArchive("%.200q is in the archive twice", f.Name)
		} else {
			seen[key] = true
		}
		if f.Method != zip.Store && f.Method != zip.Deflate {
			return nil, badArchive("%.200q in the archive is compressed by method %d; only stored and deflated entries are taken", f.Name, f.Method)
		}
		if f.Flags&1 != 0 {
			return nil, badArchive("%.200q in the archive is encrypted", f.Name)
		}
		if mode := f.Mode(); !mode.IsRegular() && !mode.IsDir() {
			return nil, badArchive("%.200q in the archive is neither file nor folder", f.Name)
		}
		unpacked += f.UncompressedSize64
		if unpacked > freeExpansion && unpacked/mostExpansion > uint64(size) || f.UncompressedSize64 > 1<<62 {
			return nil, badArchive("the archive unpacks to more than %d times its size", mostExpansion)
		}
	}
	if err := format.CheckZip(r, size, z); err != nil {
		why, _ := format.Words(err)
		return nil, badArchive("%s", why)
	}
	return z, nil
}

// zipText reads core metadata or a RECORD out of a zip archive.
func zipText(f *zip.File) ([]byte, error) {
	in, err := f.Open()
	if err != nil {
		return nil, readError(f.Name, err)
	}
	defer in.Close()
	text, err := readAll(in)
	if err != nil {
		return nil, readError(f.Name, err)
	}
	return text, nil
}
