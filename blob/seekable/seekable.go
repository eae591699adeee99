// Package seekable keeps texts compressed and readable at any offset.
//
// The form is the zstd seekable format: the text is cut into pieces of 1 MiB, each is a zstd frame of its own, and behind
// the last one a skippable frame holds the table of their lengths. To every zstd tool it is an ordinary compressed file.
//
// https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md
package seekable

import (
	"encoding/binary"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// FrameSize is how much text one frame holds; only the last may hold less.
const FrameSize = 1 << 20

// The table is a skippable frame: magic and length, an entry of two lengths per frame, and the footer: the number of
// frames, a descriptor (zero: no checksums in the table, for each frame has its own), and a second magic.
const (
	tableMagic  = 0x184D2A5E
	footerMagic = 0x8F92EAB1
	headSize    = 8
	entrySize   = 8
	footerSize  = 9
)

// maxFrame bounds a compressed frame: zstd stores what does not shrink in blocks of 128 KiB with 3 bytes before each.
const maxFrame = FrameSize + FrameSize/1024 + 64

var order = binary.LittleEndian

// Coders cost about a megabyte to make and nothing to use again. The pools hold no state that a caller could see.
var (
	encoders = sync.Pool{New: func() any {
		z, err := zstd.NewWriter(nil,
			zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderLevel(zstd.SpeedFastest), // an index gets no smaller by the next level, which takes half as long again
			zstd.WithWindowSize(FrameSize),
			zstd.WithLowerEncoderMem(true),
			zstd.WithSingleSegment(true),
			zstd.WithEncoderCRC(true))
		if err != nil {
			panic(err) // the options above do not agree with one another
		}
		return &encoder{z: z}
	}}
	decoders = sync.Pool{New: func() any {
		z, err := zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(FrameSize),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err) // the options above do not agree with one another
		}
		return &decoder{z: z}
	}}
)

type encoder struct {
	z   *zstd.Encoder
	out []byte // scratch for a compressed frame
}

type decoder struct {
	z  *zstd.Decoder
	in []byte // scratch for a compressed frame
}
