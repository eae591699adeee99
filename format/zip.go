package format

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"millpond"
	"millpond/inflate"
)

const (
	// MostMembers is how many members an archive may have that is looked into.
	MostMembers = 200_000
	// longestDirectory is how long the directory of a zip archive may be: their names and comments together.
	longestDirectory = 64 << 20
)

// OpenZip is zip.NewReader for archives of strangers: what it reads into memory is bounded, whatever the end of the archive
// says that there is in it. TooLarge if it has more than MostMembers, or more to say of them than anybody needs; other
// errors are zip.NewReader's.
func OpenZip(r io.ReaderAt, size int64) (*zip.Reader, error) {
	d := &directory{ReaderAt: r}
	z, err := zip.NewReader(d, size)
	if d.over != nil {
		return nil, d.over
	}
	d.open = true // members are read by their own bounds
	if err == nil {
		z.RegisterDecompressor(zip.Deflate, unpacking)
	}
	return z, err
}

// unpacking unpacks faster than what archive/zip has; the sum of each member is looked at there.
func unpacking(r io.Reader) io.ReadCloser {
	f, ok := unpackers.Get().(*inflate.Reader)
	if !ok {
		f = new(inflate.Reader)
	}
	f.Reset(r)
	return &unpacker{f}
}

var unpackers sync.Pool // of *inflate.Reader

// An unpacker is used by others after Close.
type unpacker struct{ r *inflate.Reader }

func (u *unpacker) Read(p []byte) (int, error) {
	if u.r == nil {
		return 0, fs.ErrClosed
	}
	return u.r.Read(p)
}

func (u *unpacker) Close() error {
	if u.r != nil {
		u.r.Reset(nil)
		unpackers.Put(u.r)
		u.r = nil
	}
	return nil
}

// A directory counts what zip.NewReader reads of an archive in one go: its end, and then its directory from first to last.
type directory struct {
	io.ReaderAt
	open    bool
	read    int64
	members int
	tail    [3]byte // of what was read last: a signature may lie across two reads
	next    int64   // where the last read ended
	over    error
}

var member = []byte("PK\x01\x02") // what the directory has before each, never changed

func (d *directory) ReadAt(b []byte, off int64) (int, error) {
	if d.open {
		return d.ReaderAt.ReadAt(b, off)
	}
	if d.over != nil {
		return 0, d.over
	}
	n, err := d.ReaderAt.ReadAt(b, off)
	if off != d.next { // it looks for the end, or has found where the directory begins
		d.read, d.members, d.tail = 0, 0, [3]byte{}
	}
	d.read += int64(n)
	d.members += bytes.Count(b[:n], member) + bytes.Count(append(d.tail[:len(d.tail):len(d.tail)], b[:min(n, 3)]...), member)
	d.tail, d.next = [3]byte{}, off+int64(n)
	copy(d.tail[3-min(n, 3):], b[max(0, n-3):n])
	switch {
	case d.members > MostMembers:
		d.over = &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("the archive has more than %d members", MostMembers)}
	case d.read > longestDirectory:
		d.over = &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("the directory of the archive is longer than %d MiB", longestDirectory>>20)}
	default:
		return n, err
	}
	return 0, d.over
}
