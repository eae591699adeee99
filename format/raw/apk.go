package raw

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"path"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Kinds of chunks of a binary XML document, as Android packs its manifests.
const (
	axmlDocument = 0x0003
	axmlStrings  = 0x0001
	axmlIDs      = 0x0180
	axmlElement  = 0x0102
	axmlUTF8     = 1 << 8
	axmlText     = 0x03 // of a value
	axmlDecimal  = 0x10
	axmlHex      = 0x11
)

// Attributes of Android's own have a number; their names may be left out.
var androidNames = map[uint32]string{0x01010001: "label", 0x0101020c: "minSdkVersion", 0x0101021b: "versionCode", 0x0101021c: "versionName"} // never changed

// readAPK reads what an Android build says of itself: AndroidManifest.xml. Its icon is looked for where builds have it.
func readAPK(z *zip.Reader, name string) (*app, error) {
	text, _, err := readMember(z, name, "AndroidManifest.xml")
	if err != nil {
		return nil, err
	}
	a, err := readManifest(text)
	if err != nil {
		return nil, errZip(name+": its AndroidManifest.xml cannot be read", err)
	}
	a.readIcon(z, func(file string) int {
		dir, icon := path.Split(file)
		if stem, _, _ := strings.Cut(icon, "."); stem != "ic_launcher" && stem != "ic_launcher_round" && stem != "icon" {
			return 0
		}
		for i, density := range densities {
			if strings.HasPrefix(dir, "res/mipmap-"+density) || strings.HasPrefix(dir, "res/drawable-"+density) {
				return i + 1
			}
		}
		return 0
	})
	return a, nil
}

// densities of Android's screens, the finest last; never changed.
var densities = [...]string{"ldpi", "mdpi", "hdpi", "xhdpi", "xxhdpi", "xxxhdpi"}

var errAXML = errors.New("no binary XML")

// readManifest reads the elements that matter of a binary manifest. What it makes nothing of it passes over.
func readManifest(b []byte) (*app, error) {
	if len(b) < 8 || binary.LittleEndian.Uint16(b) != axmlDocument {
		return nil, errAXML
	}
	out := &app{}
	var texts axmlPool
	var ids []uint32
	named := false
	for at := int(binary.LittleEndian.Uint16(b[2:])); at+8 <= len(b); {
		kind, head, size := binary.LittleEndian.Uint16(b[at:]), int(binary.LittleEndian.Uint16(b[at+2:])), int(binary.LittleEndian.Uint32(b[at+4:]))
		if size < 8 || head < 8 || head > size || size > len(b)-at {
			return nil, errAXML
		}
		chunk := b[at : at+size]
		at += size
		switch kind {
		case axmlStrings:
			var err error
			if texts, err = axmlTexts(chunk); err != nil {
				return nil, err
			}
		case axmlIDs:
			for i := head; i+4 <= size; i += 4 {
				ids = append(ids, binary.LittleEndian.Uint32(chunk[i:]))
			}
		case axmlElement:
			name, attributes, err := axmlAttributes(chunk[head:], texts, ids)
			if err != nil {
				return nil, err
			}
			switch name {
			case "manifest":
				named = attributes["package"] != ""
				out.ID, out.Version, out.Build = attributes["package"], attributes["versionName"], attributes["versionCode"]
			case "uses-sdk":
				out.MinSDK = attributes["minSdkVersion"]
			case "application":
				out.Title = attributes["label"]
			}
		}
	}
	if !named {
		return nil, errors.New("it names no package")
	}
	return out, nil
}

// An axmlPool are the texts of a document. Each is read when it is asked for: many may stand for the same long one.
type axmlPool struct {
	offsets, data []byte
	utf8          bool
}

// longestText is the longest that is read of those that a build says of itself.
const longestText = 1 << 10

// axmlTexts are the texts of a document, in UTF-8 or UTF-16.
func axmlTexts(b []byte) (axmlPool, error) {
	if len(b) < 28 {
		return axmlPool{}, errAXML
	}
	count, flags, start := int(binary.LittleEndian.Uint32(b[8:])), binary.LittleEndian.Uint32(b[16:]), int(binary.LittleEndian.Uint32(b[20:]))
	if count < 0 || count > (len(b)-28)/4 || start < 0 || start > len(b) {
		return axmlPool{}, errAXML
	}
	return axmlPool{b[28 : 28+4*count], b[start:], flags&axmlUTF8 != 0}, nil
}

// text is one of them; "" if it cannot be read, or is too long.
func (p axmlPool) text(i uint32) string {
	if uint64(i) >= uint64(len(p.offsets)/4) {
		return ""
	}
	off := binary.LittleEndian.Uint32(p.offsets[4*i:])
	if uint64(off) > uint64(len(p.data)) {
		return ""
	}
	b := p.data[off:]
	if p.utf8 {
		_, b, ok := axmlLength(b, 1) // in characters
		if !ok {
			return ""
		}
		n, b, ok := axmlLength(b, 1)
		if !ok || n > len(b) || n > longestText || !utf8.Valid(b[:n]) {
			return ""
		}
		return string(b[:n])
	}
	n, b, ok := axmlLength(b, 2)
	if !ok || n > len(b)/2 || n > longestText {
		return ""
	}
	units := make([]uint16, n)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// axmlLength reads a length of one unit, or of two if the highest bit of the first is set.
func axmlLength(b []byte, unit int) (int, []byte, bool) {
	read := func() (n int, ok bool) {
		if len(b) < unit {
			return 0, false
		}
		if n = int(b[0]); unit == 2 {
			n = int(binary.LittleEndian.Uint16(b))
		}
		b = b[unit:]
		return n, true
	}
	high := 1 << (8*unit - 1)
	n, ok := read()
	if !ok || n&high == 0 {
		return n, b, ok
	}
	more, ok := read()
	return (n&^high)<<(8*unit) | more, b, ok
}

// axmlAttributes are the attributes of an element whose values are texts or numbers.
func axmlAttributes(b []byte, texts axmlPool, ids []uint32) (name string, out map[string]string, err error) {
	if len(b) < 20 {
		return "", nil, errAXML
	}
	text := texts.text
	start, size, count := int(binary.LittleEndian.Uint16(b[8:])), int(binary.LittleEndian.Uint16(b[10:])), int(binary.LittleEndian.Uint16(b[12:]))
	if size < 20 || start+size*count > len(b) {
		return "", nil, errAXML
	}
	out = map[string]string{}
	for i := range count {
		a := b[start+size*i:]
		named, value := binary.LittleEndian.Uint32(a[4:]), binary.LittleEndian.Uint32(a[16:])
		key := text(named)
		if uint64(named) < uint64(len(ids)) && androidNames[ids[named]] != "" {
			key = androidNames[ids[named]]
		}
		switch a[15] {
		case axmlText:
			out[key] = text(value)
		case axmlDecimal, axmlHex:
			out[key] = strconv.FormatUint(uint64(value), 10)
		}
	}
	return text(binary.LittleEndian.Uint32(b[4:])), out, nil
}
