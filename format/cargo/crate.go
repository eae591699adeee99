package cargo

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"millpond"
	"millpond/format"
)

// What a .crate may hold.
const (
	mostEntries   = 100_000
	mostUnpacked  = 512 << 20
	manifestLimit = 4 << 20
)

// checkCrate looks through a .crate: one gzip member, a tar of one folder named after the version, nothing in it that could be
// put elsewhere, and a Cargo.toml of the same name and version, whose text it returns.
func checkCrate(ctx context.Context, r io.ReaderAt, size int64, name, version string) (toml string, err error) {
	bad := func(format string, args ...any) (string, error) {
		return "", &millpond.Error{Kind: millpond.Invalid, Key: millpond.Key{Package: identity(name), Version: version},
			Why: "the crate is refused: " + fmt.Sprintf(format, args...)}
	}
	packed := bufio.NewReader(io.NewSectionReader(r, 0, size))
	z, err := gzip.NewReader(packed)
	if err != nil {
		return bad("it is not packed by gzip")
	}
	z.Multistream(false)
	unpacked := &io.LimitedReader{R: z, N: mostUnpacked + 1}
	top, found, promised := name+"-"+version+"/", false, int64(0)
	files := tar.NewReader(unpacked)
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if n > mostEntries {
			return bad("it has more than %d files", mostEntries)
		}
		entry, err := files.Next()
		if err == nil {
			promised += min(entry.Size, mostUnpacked+1) // before any of it is unpacked
		}
		if unpacked.N <= 0 || promised > mostUnpacked {
			return bad("unpacked it has more than %d MiB", mostUnpacked>>20)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return bad("its tar cannot be read: %v", err)
		}
		switch entry.Typeflag {
		case tar.TypeReg, tar.TypeDir, tar.TypeXGlobalHeader:
		default:
			return bad("%.200q is neither a file nor a folder", entry.Name)
		}
		if entry.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		clean := path.Clean(entry.Name)
		inside := strings.HasPrefix(clean+"/", top) && !strings.Contains(entry.Name, "\\") && !strings.Contains(entry.Name, "\x00")
		if !inside || strings.TrimSuffix(entry.Name, "/") != clean {
			return bad("%.200q is not in the folder %s", entry.Name, top)
		}
		if clean != top+"Cargo.toml" {
			continue
		}
		if found {
			return bad("it has two Cargo.toml")
		}
		text, err := io.ReadAll(io.LimitReader(files, manifestLimit+1))
		if err != nil || len(text) > manifestLimit {
			return bad("its Cargo.toml cannot be read")
		}
		for key, want := range map[string]string{"name": name, "version": version} {
			if got := unquote(format.KeyIn(string(text), "package", key)); got != want {
				return bad("its Cargo.toml has the %s %.100q, and not %q", key, got, want)
			}
		}
		found, toml = true, string(text)
	}
	if !found {
		return bad("it has no Cargo.toml")
	}
	if _, err := io.Copy(io.Discard, unpacked); err != nil {
		return bad("it is cut or damaged: %v", err)
	}
	if unpacked.N <= 0 {
		return bad("unpacked it has more than %d MiB", mostUnpacked>>20)
	}
	if _, err := packed.ReadByte(); !errors.Is(err, io.EOF) {
		return bad("something follows the packed files")
	}
	return toml, nil
}

// unquote is the text of a TOML string without escapes, as names and versions are.
func unquote(s string) string {
	s, _, _ = strings.Cut(s, "#")
	s = strings.TrimSpace(s)
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return ""
}
