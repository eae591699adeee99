package repo

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"millpond"

	"github.com/klauspost/compress/zstd"
)

// recordVersion changes whenever a listing would be read from the same document in another way, so that listings recorded
// before are read anew.
const recordVersion = 4

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
		if b, ok := packListing(p); ok {
			return b
		}
	}
	e := encoder{b: make([]byte, 0, room)}
	e.listing(p)
	return e.b
}

// packListing writes a package as one packed record, and never has the text of it as a whole in memory.
func packListing(p *millpond.Package) ([]byte, bool) {
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(err) // the options are good
	}
	e := encoder{b: make([]byte, 0, 2*flushFrom), to: z}
	e.listing(p)
	e.flush()
	z.Close() // a buffer takes all
	head := binary.AppendUvarint([]byte{packedVersion}, uint64(e.written))
	return append(head, packed.Bytes()...), e.written <= mostPacked*packed.Len()
}

// unpacked is the text of a record.
func unpacked(b []byte) (string, error) {
	if len(b) == 0 || b[0] != packedVersion {
		return string(b), nil
	}
	size, n := binary.Uvarint(b[1:])
	if n <= 0 || size > mostPacked*uint64(len(b)) {
		return "", errRecord // a damaged length takes no memory
	}
	z, err := zstd.NewReader(bytes.NewReader(b[1+n:]), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(1<<20))
	if err != nil {
		return "", errRecord
	}
	defer z.Close()
	var text strings.Builder
	text.Grow(int(size))
	if got, err := io.Copy(&text, io.LimitReader(z, int64(size)+1)); err != nil || got != int64(size) {
		return "", errRecord
	}
	return text.String(), nil
}

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

// decodeListing reads what encodeListing wrote; every version's Layer is layer.
func decodeListing(b []byte, layer string) (*millpond.Package, error) {
	text, err := unpacked(b)
	if err != nil {
		return nil, err
	}
	d := decoder{s: text}
	if d.uint() != recordVersion {
		return nil, errRecord
	}
	p := &millpond.Package{Name: d.string(), Blocked: d.string()}
	p.Parts = make([]millpond.Part, d.count())
	for i := range p.Parts {
		d.string()
		p.Parts[i] = millpond.Part{Layer: layer, Document: d.digest(), Meta: d.meta(), Latest: d.time()}
	}
	p.Refs = make([]millpond.Ref, d.count())
	for i := range p.Refs {
		p.Refs[i] = millpond.Ref{Name: d.string(), Target: d.string(), Layer: layer}
	}
	p.Versions = make([]millpond.Version, d.count())
	for i := range p.Versions {
		d.version(&p.Versions[i])
		p.Versions[i].Layer = layer
	}
	if d.failed || d.s != "" {
		return nil, errRecord
	}
	return p, nil
}

func encodeVersion(v *millpond.Version) []byte {
	var e encoder
	e.uint(recordVersion)
	e.version(v)
	return e.b
}

func decodeVersion(b []byte, layer string) (*millpond.Version, error) {
	d := decoder{s: string(b)}
	if d.uint() != recordVersion {
		return nil, errRecord
	}
	v := &millpond.Version{}
	d.version(v)
	v.Layer = layer
	if d.failed {
		return nil, errRecord
	}
	return v, nil
}

const (
	flagPrerelease = 1 << iota
	flagYanked
	flagPartial
	flagVanished
	flagCorrupt
	flagLeads   // name and address of the next file are kept in place of its own, and how much of them is its own
	flagFollows // they were kept with the file before
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
		e.flags(false, f.Yanked, false, f.Vanished, f.Corrupt, led, follows)
		switch {
		case led:
			e.string(v.Files[i+1].Name)
			e.uint(uint64(len(f.Name)))
			e.string(v.Files[i+1].URL)
			e.uint(uint64(len(f.URL)))
			e.string(f.Of)
		case !follows:
			e.string(f.Name)
			e.string(f.URL)
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

type decoder struct {
	s      string
	failed bool
}

func (d *decoder) uint() uint64 {
	// A varint is at most ten bytes, so the copy for binary.Uvarint stays on the stack.
	var buf [binary.MaxVarintLen64]byte
	v, n := binary.Uvarint(buf[:copy(buf[:], d.s)])
	if n <= 0 {
		d.failed, d.s = true, ""
		return 0
	}
	d.s = d.s[n:]
	return v
}

func (d *decoder) int() int64 {
	u := d.uint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads a length and bounds it by what is left: every element takes at least a byte.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.s)) {
		d.failed, d.s = true, ""
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	n := d.count()
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

// part is a text of a file: its own, or, of one that leads, the beginning of what it sets next to.
func (d *decoder) part(flags uint64, next *string) string {
	s := d.string()
	if flags&flagLeads == 0 {
		*next = ""
		return s
	}
	*next = s
	n := d.uint()
	if n == 0 || n > uint64(len(s)) {
		d.failed, *next = true, ""
		return ""
	}
	return s[:n]
}

func (d *decoder) meta() json.RawMessage {
	if s := d.string(); s != "" {
		return json.RawMessage(s)
	}
	return nil
}

func (d *decoder) digest() millpond.Digest {
	s := d.string()
	if s == "" {
		return millpond.Digest{}
	}
	digest, err := millpond.ParseDigest(s)
	if err != nil {
		d.failed = true
	}
	return digest
}

func (d *decoder) time() time.Time {
	if us := d.int(); us != 0 {
		return time.UnixMicro(us).UTC()
	}
	return time.Time{}
}

func (d *decoder) version(v *millpond.Version) {
	v.Name = d.string()
	flags := d.uint()
	v.Prerelease, v.Yanked, v.Partial = flags&flagPrerelease != 0, flags&flagYanked != 0, flags&flagPartial != 0
	v.Published, v.Seen = d.time(), d.time()
	v.YankedWhy, v.Licence = d.string(), d.string()
	v.Meta = d.meta()
	v.Files = make([]millpond.File, d.count())
	var name, address string // of the file that follows, until it does
	for i := range v.Files {
		f := &v.Files[i]
		flags := d.uint()
		f.Yanked, f.Vanished, f.Corrupt = flags&flagYanked != 0, flags&flagVanished != 0, flags&flagCorrupt != 0
		if flags&flagFollows == 0 {
			f.Name = d.part(flags, &name)
			f.URL = d.part(flags, &address)
			f.Of = d.string()
		} else if f.Name, f.URL = name, address; i == 0 || name == "" {
			d.failed = true
		} else {
			f.Of, name = v.Files[i-1].Name, ""
		}
		f.Platform = d.string()
		f.Size = d.int()
		f.Type = d.string()
		f.Published, f.Seen = d.time(), d.time()
		f.YankedWhy = d.string()
		f.Meta = d.meta()
		f.Digests = make([]millpond.Digest, d.count())
		for j := range f.Digests {
			f.Digests[j] = d.digest()
		}
	}
}
