package raw

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf16"
)

var errPlist = errors.New("this is no property list that can be read")

const (
	largestPlist = 4 << 20
	mostValues   = 10_000
	deepestPlist = 32
)

// A dict is a dictionary of a property list. Its values are string, int64, bool, time.Time, []any and dict; what is of another
// kind is nil.
type dict map[string]any

// text is the text at the end of a way through dictionaries; "" if none is there.
func (d dict) text(way ...string) string {
	s, _ := d.at(way).(string)
	return s
}

// list is the list at the end of a way through dictionaries; nil if none is there.
func (d dict) list(way ...string) []any {
	l, _ := d.at(way).([]any)
	return l
}

func (d dict) at(way []string) any {
	for ; len(way) > 1; way = way[1:] {
		d, _ = d[way[0]].(dict)
	}
	return d[way[0]]
}

// readPlist reads a property list, binary or XML, which is a dictionary.
func readPlist(b []byte) (dict, error) {
	if bytes.HasPrefix(b, []byte("bplist0")) {
		return readBinaryPlist(b)
	}
	x := &xmlPlistReader{d: xml.NewDecoder(bytes.NewReader(b))}
	for {
		tok, err := x.d.Token()
		if err != nil {
			return nil, errPlist
		}
		if t, ok := tok.(xml.StartElement); ok && t.Name.Local != "plist" {
			v, err := x.value(&t, 0)
			if d, ok := v.(dict); ok && err == nil && len(d) > 0 {
				return d, nil
			}
			return nil, errPlist
		}
	}
}

// An xmlPlistReader reads a property list in XML.
type xmlPlistReader struct {
	d *xml.Decoder
	n int // values that were read
}

// value reads what an element that was begun holds, to its end.
func (x *xmlPlistReader) value(t *xml.StartElement, depth int) (any, error) {
	if x.n++; x.n > mostValues || depth > deepestPlist {
		return nil, errPlist
	}
	kind := t.Name.Local
	if kind != "dict" && kind != "array" {
		var text string
		if err := x.d.DecodeElement(&text, t); err != nil {
			return nil, errPlist
		}
		switch kind {
		case "string", "key":
			return text, nil
		case "true", "false":
			return kind == "true", nil
		case "integer":
			n, err := strconv.ParseInt(text, 10, 64)
			return n, err
		case "date":
			at, err := time.Parse(time.RFC3339, text)
			return at, err
		}
		return nil, nil
	}
	out, all, key := dict{}, []any{}, ""
	for {
		tok, err := x.d.Token()
		if err != nil {
			return nil, errPlist
		}
		switch t := tok.(type) {
		case xml.EndElement:
			if kind == "array" {
				return all, nil
			}
			return out, nil
		case xml.StartElement:
			v, err := x.value(&t, depth+1)
			if err != nil {
				return nil, errPlist
			}
			switch {
			case kind == "array":
				all = append(all, v)
			case t.Name.Local == "key":
				key, _ = v.(string)
			default:
				out[key] = v
			}
		}
	}
}

// A binaryPlist is one in Apple's binary form: objects, a table of where they are, and a trailer.
type binaryPlist struct {
	b       []byte
	offSize int
	refSize int
	count   uint64
	table   uint64
	read    int    // values that were read
	chars   uint64 // of texts that were
}

func readBinaryPlist(b []byte) (dict, error) {
	if len(b) < 40 {
		return nil, errPlist
	}
	t := b[len(b)-32:]
	p := &binaryPlist{b: b[:len(b)-32], offSize: int(t[6]), refSize: int(t[7]), count: binary.BigEndian.Uint64(t[8:]), table: binary.BigEndian.Uint64(t[24:])}
	top := binary.BigEndian.Uint64(t[16:])
	if p.offSize < 1 || p.offSize > 8 || p.refSize < 1 || p.refSize > 8 || p.count > uint64(len(b)) || p.table > uint64(len(b)) {
		return nil, errPlist
	}
	v, err := p.value(top, 0)
	if d, ok := v.(dict); ok && err == nil {
		return d, nil
	}
	return nil, errPlist
}

// epochOfApple is when dates of binary property lists begin.
const epochOfApple = 978307200 // 1 January 2001, as Unix has it

// value reads an object. One that lies within itself ends by its depth, one that stands in many places by their number.
func (p *binaryPlist) value(object uint64, depth int) (any, error) {
	at, ok := p.at(object)
	if p.read++; !ok || p.read > mostValues || depth > deepestPlist {
		return nil, errPlist
	}
	kind := p.b[at] >> 4
	n, from, ok := p.length(at)
	if !ok {
		return nil, errPlist
	}
	left := uint64(len(p.b)) - min(from, uint64(len(p.b)))
	switch kind {
	case 0x0:
		return p.b[at] == 0x09, nil
	case 0x1, 0x3: // of a number and of a date n is the power of their size
		if n > 3 || left < 1<<n || kind == 3 && n != 3 {
			return nil, nil
		}
		v := p.number(from, 1<<n)
		if kind == 1 {
			return int64(v), nil
		}
		if seconds := math.Float64frombits(v); math.Abs(seconds) < 1e11 {
			return time.Unix(epochOfApple+int64(seconds), 0).UTC(), nil
		}
	case 0x5, 0x6:
		return p.text(kind, n, from)
	case 0xa, 0xd:
		refs := n
		if kind == 0xd {
			refs = 2 * n
		}
		if n > mostValues || refs*uint64(p.refSize) > left {
			return nil, errPlist
		}
		all := make([]any, refs)
		for i := range all {
			var err error
			if all[i], err = p.value(p.number(from+uint64(i*p.refSize), p.refSize), depth+1); err != nil {
				return nil, err
			}
		}
		if kind == 0xa {
			return all, nil
		}
		out := dict{}
		for i := range n {
			if key, ok := all[i].(string); ok {
				out[key] = all[n+i]
			}
		}
		return out, nil
	}
	return nil, nil
}

// number reads a big-endian number that is known to lie within.
func (p *binaryPlist) number(at uint64, size int) (n uint64) {
	for _, c := range p.b[at : at+uint64(size)] {
		n = n<<8 | uint64(c)
	}
	return n
}

// at is where an object begins.
func (p *binaryPlist) at(object uint64) (uint64, bool) {
	entry := p.table + object*uint64(p.offSize)
	if object >= p.count || entry+uint64(p.offSize) > uint64(len(p.b)) {
		return 0, false
	}
	at := p.number(entry, p.offSize)
	return at, at < uint64(len(p.b))
}

// length reads how long an object is, and where its content begins.
func (p *binaryPlist) length(at uint64) (n, content uint64, ok bool) {
	if n = uint64(p.b[at] & 0xf); n != 0xf {
		return n, at + 1, true
	}
	if at+2 > uint64(len(p.b)) || p.b[at+1]>>4 != 1 {
		return 0, 0, false
	}
	size := uint64(1) << (p.b[at+1] & 0xf)
	if size > 8 || at+2+size > uint64(len(p.b)) {
		return 0, 0, false
	}
	n = p.number(at+2, int(size))
	return n, at + 2 + size, n <= uint64(len(p.b))
}

// text reads a text of n characters, or of n units of UTF-16.
func (p *binaryPlist) text(kind byte, n, from uint64) (any, error) {
	width := uint64(1)
	if kind == 6 {
		width = 2
	}
	if p.chars += n; p.chars > largestPlist || from+n*width > uint64(len(p.b)) { // many may stand for the same long one
		return nil, errPlist
	}
	raw := p.b[from : from+n*width]
	if kind == 5 {
		return string(raw), nil
	}
	units := make([]uint16, n)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(raw[2*i:])
	}
	return string(utf16.Decode(units)), nil
}
