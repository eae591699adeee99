package debian

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz"
)

// largestWindow is how much of its own output an xz stream may point back to: what xz -9 takes. A stream may ask for 4 GiB,
// whatever is in it, and who unpacks it makes room for that first.
const largestWindow = 64 << 20

// unxz unpacks an xz stream.
func unxz(r io.Reader) (io.Reader, error) {
	w := &windows{in: bufio.NewReaderSize(r, 64<<10)}
	w.next = w.stream
	return xz.ReaderConfig{DictCap: 8 << 20}.NewReader(w)
}

// A windows passes an xz stream on as it is, and refuses a block whose window is too large before its reader sees it. It
// walks over the blocks as the format has them, and unpacks nothing.
type windows struct {
	in    *bufio.Reader
	out   []byte // was looked at, and is to be passed on
	skip  int64  // bytes behind that which are not looked at
	next  func() error
	check int64 // bytes behind each block
	data  int64 // bytes of the block
	left  int64 // numbers in the index
}

// Read implements io.Reader.
func (w *windows) Read(p []byte) (int, error) {
	for len(w.out) == 0 && w.skip == 0 {
		err := w.next()
		if err == io.EOF || err == io.ErrUnexpectedEOF { // its reader knows whether that is the end
			if len(w.out) == 0 {
				return 0, io.EOF
			}
			break
		}
		if err != nil {
			w.out, w.next = nil, func() error { return err }
			return 0, err
		}
	}
	if len(w.out) > 0 {
		n := copy(p, w.out)
		w.out = w.out[:copy(w.out, w.out[n:])]
		return n, nil
	}
	n, err := w.in.Read(p[:min(int64(len(p)), w.skip)])
	w.skip -= int64(n)
	return n, err
}

// take reads what is looked at.
func (w *windows) take(n int) ([]byte, error) {
	from := len(w.out)
	w.out = append(w.out, make([]byte, n)...)
	got, err := io.ReadFull(w.in, w.out[from:])
	w.out = w.out[:from+got]
	return w.out[from:], err
}

// ReadByte implements io.ByteReader.
func (w *windows) ReadByte() (byte, error) {
	b, err := w.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

var errXZ = errors.New("it is no xz") // never changed

// stream reads the header of a stream, or what fills the space before one.
func (w *windows) stream() error {
	b, err := w.take(4)
	if err != nil || bytes.Equal(b, make([]byte, 4)) {
		return err
	}
	if b, err = w.take(8); err != nil {
		return err
	}
	w.check = [...]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[b[3]&15]
	w.next = w.block
	return nil
}

// block reads the header of a block, or the first byte of the index behind the last.
func (w *windows) block() error {
	size, err := w.ReadByte()
	if err != nil {
		return err
	}
	w.data = 0
	if size == 0 {
		w.data, w.left, w.next = 1, -1, w.index
		return nil
	}
	head, err := w.take(4*int(size) + 3)
	if err != nil {
		return err
	}
	r := bytes.NewReader(head)
	flags, _ := r.ReadByte() // there are three bytes at least
	for bit := byte(0x40); bit != 0; bit <<= 1 {
		if flags&bit != 0 {
			if _, err := binary.ReadUvarint(r); err != nil {
				return errXZ
			}
		}
	}
	id, err := binary.ReadUvarint(r)
	if err != nil || id != 0x21 || flags&3 != 0 { // LZMA2 alone is unpacked here
		return errXZ
	}
	props := make([]byte, 2)
	if _, err := io.ReadFull(r, props); err != nil || props[0] != 1 || props[1] > 40 {
		return errXZ
	}
	if window := int64(2|props[1]&1) << (props[1]/2 + 11); window > largestWindow {
		return fmt.Errorf("its window has %d MiB, more than %d", window>>20, largestWindow>>20)
	}
	w.next = w.chunk
	return nil
}

// chunk reads the header of a part of a block, or its end.
func (w *windows) chunk() error {
	kind, err := w.ReadByte()
	if err != nil {
		return err
	}
	w.data++
	switch {
	case kind == 0:
		w.skip, w.next = -w.data&3+w.check, w.block
		return nil
	case kind < 3:
		b, err := w.take(2)
		if err != nil {
			return err
		}
		w.skip = int64(binary.BigEndian.Uint16(b)) + 1
		w.data += 2 + w.skip
		return nil
	case kind < 0x80:
		return errXZ
	}
	b, err := w.take(4)
	if err != nil {
		return err
	}
	w.skip = int64(binary.BigEndian.Uint16(b[2:])) + 1
	if kind >= 0xc0 {
		w.skip++ // its properties
	}
	w.data += 4 + w.skip
	return nil
}

// index reads one number of the index, and behind the last goes over what ends the stream.
func (w *windows) index() error {
	before := len(w.out)
	n, err := binary.ReadUvarint(w)
	if err != nil {
		return err
	}
	w.data += int64(len(w.out) - before)
	if w.left < 0 {
		if n > 1<<40 {
			return errXZ
		}
		w.left = 2 * int64(n)
	} else {
		w.left--
	}
	if w.left == 0 {
		w.skip, w.next = -w.data&3+4+12, w.stream
	}
	return nil
}
