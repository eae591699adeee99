package golang

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/sync/errgroup"

	"millpond/format"
)

// hashMod is the h1 hash of a go.mod file.
func hashMod(b []byte) (string, error) {
	return dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	})
}

var errBomb = errors.New("unpacks to more than a module may have")

// hashZip is the h1 hash of a module zip, equal to dirhash.HashZip's, its files hashed by as many goroutines as there are
// cores. It gives up when the files have more than limit bytes together, or ctx ends.
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
	sums := make([][sha256.Size]byte, len(z.File))
	var next, unpacked atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), len(z.File)) {
		g.Go(func() error {
			buf := make([]byte, 64<<10)
			for {
				i := int(next.Add(1) - 1)
				if i >= len(z.File) {
					return nil
				}
				if last[names[i]] != i {
					continue
				}
				if err := hashFile(ctx, z.File[i], buf, &sums[i], &unpacked, limit); err != nil {
					return fmt.Errorf("%s: %w", names[i], err)
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
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

// hashFile hashes one file of a zip, and adds its bytes to unpacked as they come: what the directory says of its size may
// be a lie.
func hashFile(ctx context.Context, f *zip.File, buf []byte, sum *[sha256.Size]byte, unpacked *atomic.Int64, limit int64) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	for {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if unpacked.Add(int64(n)) > limit {
			return errBomb
		}
		if err == io.EOF {
			h.Sum(sum[:0])
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
