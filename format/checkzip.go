package format

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"

	"millpond"
)

func badZip(format string, args ...any) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf(format, args...)}
}

// CheckZip walks a zip archive from its first byte to its last: every byte belongs to one entry, to the directory, or to
// the directory's end, and each entry's own header says what the directory says. So a program that reads the archive from its
// beginning and one that goes by its directory find the same. It returns Invalid, whose Why says what is wrong.
func CheckZip(r io.ReaderAt, size int64, z *zip.Reader) error {
	at := make(map[int64]*zip.File, len(z.File))
	for _, f := range z.File {
		data, err := f.DataOffset()
		if err != nil {
			return badZip("%.200q in the archive has no header: %v", f.Name, err)
		}
		at[data] = f
	}
	var pos int64
	header := make([]byte, 30)
	for range z.File {
		if _, err := r.ReadAt(header, pos); err != nil || string(header[:4]) != "PK\x03\x04" {
			return badZip("the archive has bytes at %d that belong to none of its entries", pos)
		}
		le := binary.LittleEndian
		name := make([]byte, le.Uint16(header[26:]))
		if _, err := r.ReadAt(name, pos+30); err != nil {
			return badZip("the archive ends within the header at %d", pos)
		}
		data := pos + 30 + int64(len(name)) + int64(le.Uint16(header[28:]))
		f := at[data]
		if f == nil {
			return badZip("the archive has an entry %.200q that is not in its directory", name)
		}
		delete(at, data)
		flags := le.Uint16(header[6:])
		switch {
		case string(name) != f.Name:
			return badZip("the entry %.200q is called %.200q in the archive's directory", name, f.Name)
		case le.Uint16(header[8:]) != f.Method, flags != f.Flags:
			return badZip("the header of %.200q in the archive says otherwise than the directory", f.Name)
		}
		if flags&8 == 0 {
			packed, plain := le.Uint32(header[18:]), le.Uint32(header[22:])
			if le.Uint32(header[14:]) != f.CRC32 || !sameZipSize(packed, f.CompressedSize64) || !sameZipSize(plain, f.UncompressedSize64) {
				return badZip("the header of %.200q in the archive says otherwise than the directory", f.Name)
			}
		}
		pos = data + int64(f.CompressedSize64)
		if pos > size || pos < data {
			return badZip("%.200q in the archive is longer than the archive", f.Name)
		}
		if flags&8 != 0 {
			n, err := zipDescriptor(r, pos, f)
			if err != nil {
				return err
			}
			pos += n
		}
	}
	return checkZipEnd(r, size, pos, z)
}

// sameZipSize compares a size of 32 bits with the real one; all ones say that an extra field has it.
func sameZipSize(short uint32, size uint64) bool {
	return short == 1<<32-1 || uint64(short) == size
}

// zipDescriptor is the length of what follows an entry whose header could not say its sizes: 12 to 24 bytes.
func zipDescriptor(r io.ReaderAt, pos int64, f *zip.File) (int64, error) {
	b := make([]byte, 24)
	n, err := r.ReadAt(b, pos)
	if n < 12 && err != nil {
		return 0, badZip("%.200q in the archive ends without its sizes", f.Name)
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
		return 0, badZip("the sizes behind %.200q in the archive are not those of the directory", f.Name)
	case short:
		return int64(signature) + 12, nil
	}
	return int64(signature) + 20, nil
}

// checkZipEnd walks the directory from where the entries end to the archive's last byte.
func checkZipEnd(r io.ReaderAt, size, pos int64, z *zip.Reader) error {
	le := binary.LittleEndian
	b := make([]byte, 46)
	for range z.File {
		if _, err := r.ReadAt(b, pos); err != nil || string(b[:4]) != "PK\x01\x02" {
			return badZip("the archive has bytes at %d that belong to none of its entries", pos)
		}
		pos += 46 + int64(le.Uint16(b[28:])) + int64(le.Uint16(b[30:])) + int64(le.Uint16(b[32:]))
	}
	end := make([]byte, 56)
	if n, _ := r.ReadAt(end, pos); n == len(end) && string(end[:4]) == "PK\x06\x06" { // zip64
		pos += 12 + int64(le.Uint64(end[4:]))
		if n, _ := r.ReadAt(end[:20], pos); n < 20 || string(end[:4]) != "PK\x06\x07" {
			return badZip("the archive's directory ends in a way of its own")
		}
		pos += 20
	}
	if n, _ := r.ReadAt(end[:22], pos); n < 22 || string(end[:4]) != "PK\x05\x06" {
		return badZip("the archive has bytes at %d that belong to none of its entries", pos)
	}
	if int(le.Uint16(end[10:])) != len(z.File)&0xffff && le.Uint16(end[10:]) != 0xffff {
		return badZip("the archive's directory has %d entries, and says that it has %d", len(z.File), le.Uint16(end[10:]))
	}
	if pos += 22 + int64(le.Uint16(end[20:])); pos != size {
		return badZip("%d bytes follow the end of the archive", size-pos)
	}
	if le.Uint16(end[20:]) != 0 {
		return badZip("the archive has a comment, which can hold another archive")
	}
	return nil
}
