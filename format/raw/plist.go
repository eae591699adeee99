package raw

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"unicode/utf16"
)

var errPlist = errors.New("this is no property list that can be read")

const (
	largestPlist = 4 << 20
	mostValues   = 10_000
)

// readPlist reads the texts at the top of a property list, binary or XML. What is nested is passed over.
func readPlist(b []byte) (map[string]string, error) {
	if bytes.HasPrefix(b, []byte("bplist0")) {
		return readBinaryPlist(b)
	}
	out := map[string]string{}
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = true
	depth, key := 0, ""
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, errPlist
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if depth++; depth != 3 || len(out) > mostValues { // plist, dict, key
				continue
			}
			var text string
			if t.Name.Local != "key" && t.Name.Local != "string" {
				if err := d.Skip(); err != nil {
					return nil, errPlist
				}
			} else if err := d.DecodeElement(&text, &t); err != nil {
				return nil, errPlist
			}
			depth--
			if t.Name.Local == "key" {
				key = text
			} else if t.Name.Local == "string" {
				out[key] = text
			}
		case xml.EndElement:
			depth--
		}
		if depth > 3 {
			return nil, errPlist
		}
	}
	if len(out) == 0 {
		return nil, errPlist
	}
	return out, nil
}

// A binaryPlist is one in Apple's binary form: objects, a table of where they are, and a trailer.
type binaryPlist struct {
	b       []byte
	offSize int
	refSize int
	count   uint64
	table   uint64
}

func readBinaryPlist(b []byte) (map[string]string, error) {
	if len(b) < 40 {
		return nil, errPlist
	}
	t := b[len(b)-32:]
	p := &binaryPlist{b: b[:len(b)-32], offSize: int(t[6]), refSize: int(t[7]), count: binary.BigEndian.Uint64(t[8:]), table: binary.BigEndian.Uint64(t[24:])}
	top := binary.BigEndian.Uint64(t[16:])
	if p.offSize < 1 || p.offSize > 8 || p.refSize < 1 || p.refSize > 8 || p.count > uint64(len(b)) || p.table > uint64(len(b)) {
		return nil, errPlist
	}
	at, ok := p.at(top)
	if !ok || p.b[at]>>4 != 0xd {
		return nil, errPlist
	}
	n, at, ok := p.length(at)
	if !ok || n > mostValues || at+2*n*uint64(p.refSize) > uint64(len(p.b)) {
		return nil, errPlist
	}
	out := map[string]string{}
	for i := range n {
		key, isText := p.text(p.number(at+i*uint64(p.refSize), p.refSize))
		value, valueIsText := p.text(p.number(at+(n+i)*uint64(p.refSize), p.refSize))
		if isText && valueIsText {
			out[key] = value
		}
	}
	return out, nil
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

// text reads an object if it is a text.
func (p *binaryPlist) text(object uint64) (string, bool) {
	at, ok := p.at(object)
	if !ok {
		return "", false
	}
	kind := p.b[at] >> 4
	n, from, ok := p.length(at)
	if !ok || kind != 5 && kind != 6 {
		return "", false
	}
	width := uint64(1)
	if kind == 6 {
		width = 2
	}
	if from+n*width > uint64(len(p.b)) {
		return "", false
	}
	raw := p.b[from : from+n*width]
	if kind == 5 {
		return string(raw), true
	}
	units := make([]uint16, n)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(raw[2*i:])
	}
	return string(utf16.Decode(units)), true
}
