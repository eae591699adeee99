package pypi

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"millpond"
	"millpond/format"
)

// Bounds of what is published. Real archives stay far below them.
const (
	mostEntries   = 200_000
	freeExpansion = 64 << 20 // decompressed bytes, up to which no ratio is looked at
	mostExpansion = 50       // decompressed bytes for each packed one, above that
)

// An archiveError says what is wrong with an archive, for the person who made it.
type archiveError struct{ why string }

func (e archiveError) Error() string { return e.why }

func badArchive(f string, args ...any) error { return archiveError{fmt.Sprintf(f, args...)} }

// A packed is what the checks of an archive found in it.
type packed struct {
	metadata []byte // METADATA or PKG-INFO
	dir      string // the folder that it is in
}

// readWheel checks that every program which opens the wheel sees the same files in it, and returns its METADATA.
func readWheel(r io.ReaderAt, size int64) (*packed, error) {
	z, err := openZip(r, size)
	if err != nil {
		return nil, err
	}
	p := &packed{}
	info := map[string]*zip.File{}
	for _, f := range z.File {
		dir, file, ok := strings.Cut(f.Name, "/")
		if !ok || !strings.HasSuffix(strings.ToLower(dir), ".dist-info") {
			continue
		}
		if p.dir != "" && dir != p.dir {
			return nil, badArchive("the wheel has two .dist-info folders, %s and %s", p.dir, dir)
		}
		p.dir = dir
		info[file] = f
	}
	for _, name := range [...]string{"METADATA", "RECORD", "WHEEL"} {
		if info[name] == nil {
			return nil, badArchive("the wheel has no .dist-info/%s", name)
		}
	}
	if err := checkRecord(info["RECORD"], z.File); err != nil {
		return nil, err
	}
	p.metadata, err = zipText(info["METADATA"])
	return p, err
}

// checkRecord refuses a wheel whose RECORD does not name every file that is in it, or says something else of one: an
// installer that goes by RECORD and one that unpacks would install two things. Signatures of RECORD cannot stand in it.
func checkRecord(record *zip.File, files []*zip.File) error {
	text, err := zipText(record)
	if err != nil {
		return err
	}
	in := csv.NewReader(bytes.NewReader(text))
	in.FieldsPerRecord = -1
	rows, err := in.ReadAll()
	if err != nil {
		return readError(record.Name, err)
	}
	named := make(map[string][]string, len(rows))
	for _, row := range rows {
		named[row[0]] = row[1:]
	}
	dir := path.Dir(record.Name)
	for _, f := range files {
		row, ok := named[f.Name]
		switch {
		case strings.HasSuffix(f.Name, "/"), f.Name == dir+"/RECORD", f.Name == dir+"/RECORD.jws", f.Name == dir+"/RECORD.p7s":
			continue
		case !ok:
			return badArchive("the wheel's RECORD does not name %.200q, which is in the wheel", f.Name)
		case len(row) > 1 && row[1] != "" && row[1] != strconv.FormatUint(f.UncompressedSize64, 10):
			return badArchive("the wheel's RECORD says that %.200q has %.20s bytes; it has %d", f.Name, row[1], f.UncompressedSize64)
		}
		sum, ok := strings.CutPrefix(strings.Join(row[:min(len(row), 1)], ""), "sha256=")
		if !ok || f.Name != dir+"/METADATA" { // what is read here anyhow
			continue
		}
		text, err := zipText(f)
		if err != nil {
			return err
		}
		got := sha256.Sum256(text)
		if have := base64.RawURLEncoding.EncodeToString(got[:]); have != strings.TrimRight(sum, "=") {
			return badArchive("the wheel's RECORD says that METADATA has sha256 %.60s; it has %s", sum, have)
		}
	}
	return nil
}

// readSdist checks a source distribution, a gzipped tar or a zip archive, and returns its PKG-INFO.
func readSdist(r io.ReaderAt, size int64, end string) (*packed, error) {
	if end == ".zip" {
		z, err := openZip(r, size)
		if err != nil {
			return nil, err
		}
		var found *zip.File
		for _, f := range z.File {
			if dir, file, ok := strings.Cut(f.Name, "/"); ok && file == "PKG-INFO" && dir != "" {
				if found != nil {
					return nil, badArchive("the archive has two PKG-INFO, %s and %s", found.Name, f.Name)
				}
				found = f
			}
		}
		if found == nil {
			return nil, badArchive("the archive has no PKG-INFO in its folder")
		}
		text, err := zipText(found)
		if err != nil {
			return nil, err
		}
		return &packed{metadata: text, dir: path.Dir(found.Name)}, nil
	}
	return readTar(r, size)
}

// readTar reads a gzipped tar archive to its end.
func readTar(r io.ReaderAt, size int64) (*packed, error) {
	if _, err := format.OpenZip(r, size); err == nil || millpond.Is(err, millpond.TooLarge) {
		return nil, badArchive("the archive can be read as a zip archive too")
	}
	in := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10)
	g, err := gzip.NewReader(in)
	if err != nil {
		return nil, badArchive("the archive is not gzipped: %v", err)
	}
	g.Multistream(false) // one stream: what comes behind it, some programs read and some do not
	plain := &bounded{r: g, left: max(freeExpansion, size*mostExpansion)}
	t := tar.NewReader(plain)
	var found *packed
	seen := map[string]bool{}
	for n := 0; ; n++ {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, readError("the archive", err)
		}
		if n == mostEntries {
			return nil, badArchive("the archive has more than %d entries", mostEntries)
		}
		name := path.Clean(h.Name)
		if err := checkEntry(name, h.Name); err != nil {
			return nil, err
		}
		switch h.Typeflag {
		case tar.TypeReg:
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		case tar.TypeSymlink, tar.TypeLink:
			if !inside(name, h.Linkname, h.Typeflag == tar.TypeLink) {
				return nil, badArchive("%.200q in the archive is a link to %.200q, outside of it", h.Name, h.Linkname)
			}
		default:
			return nil, badArchive("%.200q in the archive is neither file nor folder (type %q)", h.Name, h.Typeflag)
		}
		if _, sparse := h.PAXRecords["GNU.sparse.map"]; sparse || h.PAXRecords["GNU.sparse.major"] != "" {
			return nil, badArchive("%.200q in the archive is a sparse file", h.Name)
		}
		if seen[name] {
			return nil, badArchive("%.200q is in the archive twice", name)
		}
		seen[name] = true
		dir, file, ok := strings.Cut(name, "/")
		if !ok || file != "PKG-INFO" {
			continue
		}
		if found != nil {
			return nil, badArchive("the archive has two PKG-INFO, in %s and %s", found.dir, dir)
		}
		if h.Typeflag != tar.TypeReg {
			return nil, badArchive("the archive's PKG-INFO is a link")
		}
		text, err := readAll(t)
		if err != nil {
			return nil, readError(name, err)
		}
		found = &packed{metadata: text, dir: dir}
	}
	if _, err := io.Copy(io.Discard, plain); err != nil { // the padding, and the checksum
		return nil, readError("the archive", err)
	}
	if rest, err := io.Copy(io.Discard, in); err != nil || rest > 0 {
		return nil, badArchive("%d bytes follow the end of the archive", rest)
	}
	if found == nil {
		return nil, badArchive("the archive has no PKG-INFO in its folder")
	}
	return found, nil
}

// readError is what an archive's reader said, for its maker.
func readError(what string, err error) error {
	if bad, ok := errors.AsType[archiveError](err); ok {
		return bad
	}
	return badArchive("%.200s cannot be read: %v", what, err)
}

// checkEntry refuses names that lead out of the folder into which they are unpacked.
func checkEntry(clean, name string) error {
	if name == "" || clean == ".." || strings.HasPrefix(clean, "../") || path.IsAbs(clean) ||
		strings.ContainsAny(name, "\\\x00") || len(name) > 1 && name[1] == ':' {
		return badArchive("the archive has an entry %.200q, which leads out of its folder", name)
	}
	return nil
}

// inside reports whether a link leads to a place within the archive. A hard link names an entry, a symbolic one a path
// from where it stands.
func inside(name, target string, hard bool) bool {
	if target == "" || path.IsAbs(target) || strings.ContainsAny(target, "\\\x00") {
		return false
	}
	if !hard {
		target = path.Join(path.Dir(name), target)
	}
	target = path.Clean(target)
	return target != ".." && !strings.HasPrefix(target, "../")
}

// bounded fails when more is read than an archive may hold.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, badArchive("the archive unpacks to more than %d times its size", mostExpansion)
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}
