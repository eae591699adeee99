// Package inflate unpacks deflate streams (RFC 1951), about twice as fast as compress/flate. It takes what that takes, and
// refuses what that refuses.
//
// It is fast because it decodes where there is room: a piece of input and a piece of output at a time, so that it need not ask
// at each byte whether there is another, and copies eight bytes where a match may be of three.
package inflate

import (
	"errors"
	"io"
)

const (
	window  = 32 << 10
	inSize  = 16 << 10
	outSize = window + 64<<10

	// The fast loop runs while one turn of it can leave neither the input nor the output.
	inLeast  = 24
	outLeast = 3 + 258 + 16
)

// ErrCorrupt is what Read says of a stream that is not deflate. One that is cut short is io.ErrUnexpectedEOF.
var ErrCorrupt = errors.New("inflate: the stream is damaged")

type state uint8

const (
	between state = iota // before a block's head
	stored               // within a block of bytes as they are
	coding               // within a block of codes
	over                 // after the last block, or an error
)

// A Reader unpacks one stream after another. It is used after Reset.
type Reader struct {
	src    io.Reader
	srcErr error
	err    error // what Read says when all is read

	state state
	last  bool // the block is the stream's last
	fixed bool // the tables are the fixed codes'
	left  int  // bytes of a stored block

	b uint64 // bits to come, the next one lowest; of those above n each is what input has there, or zero
	n uint   // how many of them are taken from in

	i, end int // what is still to come of in
	r, w   int // what is still to be read of out; before it is what matches reach back to

	lit  [litRoom]entry
	dist [distRoom]entry
	in   [inSize]byte
	out  [outSize]byte
}

// Reset makes r read another stream, from its first byte. What src has behind the stream may have been read too.
func (r *Reader) Reset(src io.Reader) {
	r.src, r.srcErr = src, nil
	r.b, r.n, r.i, r.end = 0, 0, 0, 0
	r.err, r.state, r.last, r.left, r.r, r.w = nil, between, false, 0, 0, 0
}

// Read reads what is unpacked.
func (r *Reader) Read(p []byte) (int, error) {
	if err := r.unpack(); err != nil {
		return 0, err
	}
	n := copy(p, r.out[r.r:r.w])
	r.r += n
	return n, nil
}

// WriteTo writes all that is unpacked to w.
func (r *Reader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if err := r.unpack(); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
		n, err := w.Write(r.out[r.r:r.w])
		total += int64(n)
		r.r += n
		if err != nil {
			return total, err
		}
	}
}

// unpack sees to it that there is something to read.
func (r *Reader) unpack() error {
	if r.r < r.w {
		return nil
	}
	if r.w > window {
		copy(r.out[:window], r.out[r.w-window:r.w])
		r.r, r.w = window, window
	}
	for r.err == nil && r.w <= outSize-outLeast {
		r.step()
	}
	if r.r < r.w {
		return nil
	}
	return r.err
}

// step goes on as far as it can without asking for room or for much input.
func (r *Reader) step() {
	switch r.state {
	case between:
		if r.last {
			r.fail(io.EOF)
			return
		}
		r.head()
	case stored:
		r.copyStored()
	case coding:
		if r.end-r.i >= inLeast {
			r.decode()
			return
		}
		r.symbol()
	}
}

func (r *Reader) fail(err error) {
	r.err, r.state = err, over
}

// need sees to it that n bits are there, at most 56. It reports whether they are; if not, the stream has failed.
func (r *Reader) need(n uint) bool {
	for r.n < n {
		if r.i == r.end && !r.fill() {
			return false
		}
		r.b |= uint64(r.in[r.i]) << r.n
		r.i++
		r.n += 8
	}
	return true
}

// take takes n bits that are there.
func (r *Reader) take(n uint) int {
	v := int(r.b & (1<<n - 1))
	r.b >>= n
	r.n -= n
	return v
}

// fill reads more input when all is used.
func (r *Reader) fill() bool {
	for empty := 0; r.srcErr == nil && empty < 100; empty++ {
		r.i = 0
		r.end, r.srcErr = r.src.Read(r.in[:])
		if r.end > 0 {
			return true
		}
	}
	switch r.srcErr {
	case nil:
		r.fail(io.ErrNoProgress)
	case io.EOF:
		r.fail(io.ErrUnexpectedEOF)
	default:
		r.fail(r.srcErr)
	}
	return false
}

// head reads the head of a block.
func (r *Reader) head() {
	if !r.need(3) {
		return
	}
	r.last = r.take(1) == 1
	switch r.take(2) {
	case 0:
		r.take(r.n % 8)
		if !r.need(32) {
			return
		}
		n := r.take(16)
		if r.take(16) != n^0xffff {
			r.fail(ErrCorrupt)
			return
		}
		r.state, r.left = stored, n
	case 1:
		r.useFixed()
		r.state = coding
	case 2:
		if r.readCodes() {
			r.state = coding
		}
	default:
		r.fail(ErrCorrupt)
	}
}

// copyStored copies of a stored block what is there and has room.
func (r *Reader) copyStored() {
	for ; r.left > 0 && r.n > 0 && r.w < outSize; r.left-- { // whole bytes
		r.out[r.w] = byte(r.take(8))
		r.w++
	}
	if r.n == 0 {
		r.b = 0 // of the bits above, which are of bytes that do not pass through it
	}
	if r.left > 0 && r.i == r.end && !r.fill() {
		return
	}
	n := copy(r.out[r.w:], r.in[r.i:min(r.end, r.i+r.left)])
	r.i, r.w, r.left = r.i+n, r.w+n, r.left-n
	if r.left == 0 {
		r.state = between
	}
}
