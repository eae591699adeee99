package inflate

import (
	"compress/gzip"
	"hash/crc32"
	"io"
)

// What may stand in the head of a gzip file.
const (
	hasSum     = 1 << 1
	hasExtra   = 1 << 2
	hasName    = 1 << 3
	hasComment = 1 << 4

	longestName = 512 // with the zero that ends it
)

// A Gzip unpacks one gzip file after another; several in a row are one text. It is used after Reset. Its errors are
// compress/gzip's, and ErrCorrupt.
type Gzip struct {
	stream Reader
	sum    uint32 // of the text so far, or of the head
	size   uint32
	err    error // what Read says from now on
}

// Reset makes z read another file, whose head is read. What src has behind the file may have been read too.
func (z *Gzip) Reset(src io.Reader) error {
	z.stream.Reset(src)
	z.err = z.head()
	return z.err
}

// Read reads the text. It is as it was packed once Read says io.EOF.
func (z *Gzip) Read(p []byte) (int, error) {
	for z.err == nil {
		n, err := z.stream.Read(p)
		z.sum = crc32.Update(z.sum, crc32.IEEETable, p[:n])
		z.size += uint32(n)
		switch {
		case err == nil && (n > 0 || len(p) == 0):
			return n, nil
		case err == io.EOF:
			z.err = z.tail()
		case err != nil:
			z.err = err
		}
	}
	return 0, z.err
}

// tail compares the text with what is said of it, and goes on to the next file.
func (z *Gzip) tail() error {
	r := &z.stream
	r.take(r.n % 8)
	r.begin()
	if !r.need(32) {
		return r.err
	}
	sum := uint32(r.take(32))
	if !r.need(32) {
		return r.err
	}
	if size := uint32(r.take(32)); sum != z.sum || size != z.size {
		return gzip.ErrChecksum
	}
	return z.head()
}

// head reads the head of a file. io.EOF if there is none.
func (z *Gzip) head() error {
	z.sum, z.size = 0, 0
	r := &z.stream
	if !r.need(8) {
		if r.srcErr == io.EOF {
			return io.EOF
		}
		return r.err
	}
	var b [10]byte
	if !z.told(b[:]) {
		return r.err
	}
	if b[0] != 0x1f || b[1] != 0x8b || b[2] != 8 {
		return gzip.ErrHeader
	}
	if b[3]&hasExtra != 0 && !z.extra() {
		return r.err
	}
	for _, has := range []byte{hasName, hasComment} {
		if b[3]&has == 0 {
			continue
		}
		if err := z.name(); err != nil {
			return err
		}
	}
	if b[3]&hasSum != 0 {
		want := uint16(z.sum)
		if !r.need(16) {
			return r.err
		}
		if uint16(r.take(16)) != want {
			return gzip.ErrHeader
		}
	}
	z.sum = 0
	return nil
}

// told reads bytes of a head.
func (z *Gzip) told(b []byte) bool {
	for i := range b {
		if !z.stream.need(8) {
			return false
		}
		b[i] = byte(z.stream.take(8))
	}
	z.sum = crc32.Update(z.sum, crc32.IEEETable, b)
	return true
}

// extra passes over what a head has for others.
func (z *Gzip) extra() bool {
	var b [2]byte
	if !z.told(b[:]) {
		return false
	}
	for range int(b[0]) | int(b[1])<<8 {
		if !z.told(b[:1]) {
			return false
		}
	}
	return true
}

// name passes over a name or a comment.
func (z *Gzip) name() error {
	var b [1]byte
	for range longestName {
		if !z.told(b[:]) {
			return z.stream.err
		}
		if b[0] == 0 {
			return nil
		}
	}
	return gzip.ErrHeader
}
