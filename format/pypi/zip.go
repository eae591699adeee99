package pypi

import (
	"archive/zip"
	"encoding/binary"
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
	return z, checkLayout(r, size, z)
}

// checkLayout walks the archive from its first byte to its last: every byte belongs to one entry, to the directory, or to
// the directory's end, and each entry's own header says what the directory says.
func checkLayout(r io.ReaderAt, size int64, z *zip.Reader) error {
	at := make(map[int64]*zip.File, len(z.File))
	for _, f := range z.File {
		data, err := f.DataOffset()
		if err != nil {
			return badArchive("%.200q in the archive has no header: %v", f.Name, err)
		}
		at[data] = f
	}
	var pos int64
	header := make([]byte, 30)
	for range z.File {
		if _, err := r.ReadAt(header, pos); err != nil || string(header[:4]) != "PK\x03\x04" {
			return badArchive("the archive has bytes at %d that belong to none of its entries", pos)
		}
		le := binary.LittleEndian
		name := make([]byte, le.Uint16(header[26:]))
		if _, err := r.ReadAt(name, pos+30); err != nil {
			return badArchive("the archive ends within the header at %d", pos)
		}
		data := pos + 30 + int64(len(name)) + int64(le.Uint16(header[28:]))
		f := at[data]
		if f == nil {
			return badArchive("the archive has an entry %.200q that is not in its directory", name)
		}
		delete(at, data)
		flags := le.Uint16(header[6:])
		switch {
		case string(name) != f.Name:
			return badArchive("the entry %.200q is called %.200q in the archive's directory", name, f.Name)
		case le.Uint16(header[8:]) != f.Method, flags != f.Flags:
			return badArchive("the header of %.200q in the archive says otherwise than the directory", f.Name)
		}
		if flags&8 == 0 {
			packed, plain := le.Uint32(header[18:]), le.Uint32(header[22:])
			if le.Uint32(header[14:]) != f.CRC32 || !sameSize(packed, f.CompressedSize64) || !sameSize(plain, f.UncompressedSize64) {
				return badArchive("the header of %.200q in the archive says otherwise than the directory", f.Name)
			}
		}
		pos = data + int64(f.CompressedSize64)
		if pos > size || pos < data {
			return badArchive("%.200q in the archive is longer than the archive", f.Name)
		}
		if flags&8 != 0 {
			n, err := descriptor(r, pos, f)
			if err != nil {
				return err
			}
			pos += n
		}
	}
	return checkDirectory(r, size, pos, z)
}

// sameSize compares a size of 32 bits with the real one; all ones say that an extra field has it.
func sameSize(short uint32, size uint64) bool {
	return short == 1<<32-1 || uint64(short) == size
}

// descriptor is the length of what follows an entry whose header could not say its sizes: 12 to 24 bytes.
func descriptor(r io.ReaderAt, pos int64, f *zip.File) (int64, error) {
	b := make([]byte, 24)
	n, err := r.ReadAt(b, pos)
	if n < 12 && err != nil {
		return 0, badArchive("%.200q in the archive ends without its sizes", f.Name)
	}
	le := binary.LittleEndian
	signature := 0
	if string(b[:4]) == "PK\x07\x08" {
		signature = 4
	}
	d := b[signature:n]
	long := len(d) >= 20 && le.Uint64(d[4:]) == f.CompressedSize64 && le.Uint64(d[12:]) == f.UncompressedSize64
	short := len(d) >= 12 && uint64(le.Uint32(d[4:])) == f.CompressedSize64 && uint64(le.Uint32(d[8:])) == f.UncompressedSize64
	switch {
	case len(d) < 12 || le.Uint32(d) != f.CRC32 || !long && !short:
		return 0, badArchive("the sizes behind %.200q in the archive are not those of the directory", f.Name)
	case short:
		return int64(signature) + 12, nil
	}
	return int64(signature) + 20, nil
}

// checkDirectory walks the directory from where the entries end to the archive's last byte.
func checkDirectory(r io.ReaderAt, size, pos int64, z *zip.Reader) error {
	le := binary.LittleEndian
	b := make([]byte, 46)
	for range z.File {
		if _, err := r.ReadAt(b, pos); err != nil || string(b[:4]) != "PK\x01\x02" {
			return badArchive("the archive has bytes at %d that belong to none of its entries", pos)
		}
		pos += 46 + int64(le.Uint16(b[28:])) + int64(le.Uint16(b[30:])) + int64(le.Uint16(b[32:]))
	}
	end := make([]byte, 56)
	if n, _ := r.ReadAt(end, pos); n == len(end) && string(end[:4]) == "PK\x06\x06" { // zip64
		pos += 12 + int64(le.Uint64(end[4:]))
		if n, _ := r.ReadAt(end[:20], pos); n < 20 || string(end[:4]) != "PK\x06\x07" {
			return badArchive("the archive's directory ends in a way of its own")
		}
		pos += 20
	}
	if n, _ := r.ReadAt(end[:22], pos); n < 22 || string(end[:4]) != "PK\x05\x06" {
		return badArchive("the archive has bytes at %d that belong to none of its entries", pos)
	}
	if int(le.Uint16(end[10:])) != len(z.File)&0xffff && le.Uint16(end[10:]) != 0xffff {
		return badArchive("the archive's directory has %d entries, and says that it has %d", len(z.File), le.Uint16(end[10:]))
	}
	if pos += 22 + int64(le.Uint16(end[20:])); pos != size {
		return badArchive("%d bytes follow the end of the archive", size-pos)
	}
	if le.Uint16(end[20:]) != 0 {
		return badArchive("the archive has a comment, which can hold another archive")
	}
	return nil
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
