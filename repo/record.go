package repo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"time"

	"millpond"

	"github.com/klauspost/compress/zstd"
)

// recordVersion changes whenever a listing would be read from the same document in another way, so that listings recorded
// before are read anew.
const recordVersion = 5

// withoutTails is the version of records in which no name is kept as the end of an address. They are read all the same.
const withoutTails = 4

// packedVersion leads a record that is packed: its length and then itself, compressed. What is written into the catalog is
// copied several times on its way, and of the listing of a large package nine tenths are repetition.
const packedVersion = 2

// packFrom is how long a record must be to be worth packing, and mostPacked how many times longer than what it was packed
// into a text may be.
const (
	packFrom   = 256 << 10
	mostPacked = 200
)

var errRecord = errors.New("record is damaged or of another release")

// encodeListing writes a package as one compact record: what an upstream's listing said, without what is computed from it.
// Strings are kept whole and in order, so that decoding allocates one string for the record and slices it. The name and the
// address of a file that another one describes are the beginnings of that one's, and kept as such: half the files of a large
// package have another beside them.
func encodeListing(p *millpond.Package) []byte {
	room := roomFor(p)
	if room >= packFrom {
		if b, ok := packListing(p, room); ok {
			return b
		}
	}
	e := encoder{b: make([]byte, 0, room)}
	e.listing(p)
	return e.b
}

// packListing writes a package as one packed record, and never has the text of it as a whole in memory.
func packListing(p *millpond.Package, room int) ([]byte, bool) {
	var packed bytes.Buffer
	packed.Grow(room / 5)                // grown from nothing it would be copied a dozen times
	packed.Write(make([]byte, headRoom)) // what leads is known at the end only
	z, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(err) // the options are good
	}
	e := encoder{b: make([]byte, 0, 2*flushFrom), to: z}
	e.listing(p)
	e.flush()
	z.Close() // a buffer takes all
	head := binary.AppendUvarint([]byte{packedVersion}, uint64(e.written))
	b := packed.Bytes()[headRoom-len(head):]
	copy(b, head)
	return b, e.written <= mostPacked*len(b)
}

// headRoom is the longest that leads a packed record.
const headRoom = 1 + binary.MaxVarintLen64

func (e *encoder) listing(p *millpond.Package) {
	e.uint(recordVersion)
	e.string(p.Name)
	e.string(p.Blocked)
	e.uint(uint64(len(p.Parts)))
	for _, part := range p.Parts {
		e.string(part.Layer)
		e.digest(part.Document)
		e.bytes(part.Meta)
		e.time(part.Latest)
	}
	e.uint(uint64(len(p.Refs)))
	for _, r := range p.Refs {
		e.string(r.Name)
		e.string(r.Target)
	}
	e.uint(uint64(len(p.Versions)))
	for i := range p.Versions {
		e.version(&p.Versions[i])
	}
}

// hugeText is from how long a record on the collector is called between its forms.
const hugeText = 4 << 20

// collect frees what was needed to make one form of a listing before the next is made, if the listing has so much text that
// two of them side by side would matter: the collector by itself would let as much garbage lie as there is of what is used.
func collect(text int) {
	if text >= hugeText {
		runtime.GC()
	}
}

// textOf is how long a record is when it is unpacked.
func textOf(record []byte) int {
	if len(record) == 0 || record[0] != packedVersion {
		return len(record)
	}
	n, _ := binary.Uvarint(record[1:])
	return int(n)
}

// roomFor is about as many bytes as the record of a package takes, and seldom less: a large one that grows as it is written
// is copied a dozen times.
func roomFor(p *millpond.Package) int {
	n := 1 << 10
	for i := range p.Versions {
		v := &p.Versions[i]
		n += 64 + len(v.Name) + len(v.YankedWhy) + len(v.Licence) + len(v.Meta)
		for j := range v.Files {
			f := &v.Files[j]
			n += 40 + len(f.Name) + len(f.Of) + len(f.Platform) + len(f.URL) + len(f.Type) + len(f.YankedWhy) + len(f.Meta)
			for _, d := range f.Digests {
				n += 2 + len(d.String())
			}
		}
	}
	return n
}

func encodeVersion(v *millpond.Version) []byte {
	var e encoder
	e.uint(recordVersion)
	e.version(v)
	return e.b
}

const (
	flagPrerelease = 1 << iota
	flagYanked
	flagPartial
	flagVanished
	flagCorrupt
	flagLeads   // name and address of the next file are kept in place of its own, and how much of them is its own
	flagFollows // they were kept with the file before
	flagTail    // of the name only the length is kept: it is the end of the address
)

// leads reports whether the i-th file's name and address are the beginnings of the next one's, which is of it.
func leads(files []millpond.File, i int) bool {
	if i+1 >= len(files) {
		return false
	}
	f, next := &files[i], &files[i+1]
	return f.Name != "" && f.URL != "" && next.Of == f.Name && strings.HasPrefix(next.Name, f.Name) && strings.HasPrefix(next.URL, f.URL)
}

// An encoder gathers a record in b, or, where it has a to, passes it on in pieces.
type encoder struct {
	b       []byte
	to      io.Writer
	written int
}

// flushFrom is how much an encoder gathers before it passes it on.
const flushFrom = 64 << 10

func (e *encoder) flush() {
	e.to.Write(e.b) // it compresses into memory, and fails never
	e.written += len(e.b)
	e.b = e.b[:0]
}

func (e *encoder) uint(n uint64)            { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) int(n int64)              { e.b = binary.AppendVarint(e.b, n) }
func (e *encoder) string(s string)          { e.uint(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) bytes(b []byte)           { e.uint(uint64(len(b))); e.b = append(e.b, b...) }
func (e *encoder) digest(d millpond.Digest) { e.string(d.String()) }

func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.int(0)
		return
	}
	e.int(t.UnixMicro())
}

func (e *encoder) flags(on ...bool) {
	var f uint64
	for i, b := range on {
		if b {
			f |= 1 << i
		}
	}
	e.uint(f)
}

func (e *encoder) version(v *millpond.Version) {
	e.string(v.Name)
	e.flags(v.Prerelease, v.Yanked, v.Partial)
	e.time(v.Published)
	e.time(v.Seen)
	e.string(v.YankedWhy)
	e.string(v.Licence)
	e.bytes(v.Meta)
	e.uint(uint64(len(v.Files)))
	follows := false
	for i := range v.Files {
		f := &v.Files[i]
		led := !follows && leads(v.Files, i)
		texts := f // whose name and address are kept
		if led {
			texts = &v.Files[i+1]
		}
		tail := !follows && strings.HasSuffix(texts.URL, texts.Name)
		e.flags(false, f.Yanked, false, f.Vanished, f.Corrupt, led, follows, tail)
		if !follows {
			if tail {
				e.uint(uint64(len(texts.Name)))
			} else {
				e.string(texts.Name)
			}
			if led {
				e.uint(uint64(len(f.Name)))
			}
			e.string(texts.URL)
			if led {
				e.uint(uint64(len(f.URL)))
			}
			e.string(f.Of)
		}
		follows = led
		e.string(f.Platform)
		e.int(f.Size)
		e.string(f.Type)
		e.time(f.Published)
		e.time(f.Seen)
		e.string(f.YankedWhy)
		e.bytes(f.Meta)
		e.uint(uint64(len(f.Digests)))
		for _, d := range f.Digests {
			e.digest(d)
		}
		if e.to != nil && len(e.b) > flushFrom {
			e.flush()
		}
	}
}
