package golang

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/dirhash"

	"millpond/format"
)

// hashMod is the h1 hash of a go.mod file.
func hashMod(b []byte) (string, error) {
	return dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	})
}

// hashZip is the h1 hash of a module zip, equal to dirhash.HashZip's, its files hashed side by side. It gives up when the files
// have more than limit bytes together, or ctx ends.
func hashZip(ctx context.Context, r io.ReaderAt, size, limit int64) (string, error) {
	z, err := format.OpenZip(r, size)
	if err != nil {
		return "", err
	}
	// Of several entries of one name the last is hashed, once for each: so it is in dirhash.
	last := make(map[string]int, len(z.File))
	names := make([]string, len(z.File))
	for i, f := range z.File {
		if strings.Contains(f.Name, "\n") {
			return "", fmt.Errorf("the name %q has a line feed", f.Name)
		}
		last[f.Name], names[i] = i, f.Name
	}
	files := make([]*zip.File, 0, len(last))
	for i, f := range z.File {
		if last[f.Name] == i {
			last[f.Name] = len(files)
			files = append(files, f)
		}
	}
	sums := make([][sha256.Size]byte, len(files))
	if err := format.SumMembers(ctx, files, sums, limit); err != nil {
		return "", err
	}
	slices.Sort(names)
	h := sha256.New()
	var line []byte
	for _, name := range names {
		line = hex.AppendEncode(line[:0], sums[last[name]][:])
		line = append(append(append(line, "  "...), name...), '\n')
		h.Write(line)
	}
	return "h1:" + base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
}
