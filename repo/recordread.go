package repo

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"millpond"

	"github.com/klauspost/compress/zstd"
)

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

// decodeListing reads what encodeListing wrote; every version's Layer is layer.
func decodeListing(b []byte, layer string) (*millpond.Package, error) {
	text, err := unpacked(b)
	if err != nil {
		return nil, err
	}
	d := decoder{s: text}
	if v := d.uint(); v != recordVersion && v != withoutTails {
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

func decodeVersion(b []byte, layer string) (*millpond.Version, error) {
	d := decoder{s: string(b)}
	if v := d.uint(); v != recordVersion && v != withoutTails {
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

type decoder struct {
	s      string
	failed bool
	last   json.RawMessage
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

// texts are the name and the address of a file, and, of one that leads, those of the next.
func (d *decoder) texts(flags uint64) (name, address, nextName, nextAddress string) {
	var end, ownName, ownAddress int
	if flags&flagTail != 0 {
		end = int(d.uint())
	} else {
		name = d.string()
	}
	if flags&flagLeads != 0 {
		ownName = int(d.uint())
	}
	address = d.string()
	if flags&flagLeads != 0 {
		ownAddress = int(d.uint())
	}
	if flags&flagTail != 0 {
		if end < 0 || end > len(address) {
			d.failed = true
			return "", "", "", ""
		}
		name = address[len(address)-end:]
	}
	if flags&flagLeads == 0 {
		return name, address, "", ""
	}
	if ownName <= 0 || ownName > len(name) || ownAddress <= 0 || ownAddress > len(address) {
		d.failed = true
		return "", "", "", ""
	}
	return name[:ownName], address[:ownAddress], name, address
}

// meta is a copy of a record of a format; those that follow each other and are alike have one.
func (d *decoder) meta() json.RawMessage {
	s := d.string()
	if s == "" {
		return nil
	}
	if string(d.last) != s {
		d.last = slices.Clip(json.RawMessage(s)) // who appends to one changes no other
	}
	return d.last
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
			f.Name, f.URL, name, address = d.texts(flags)
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
