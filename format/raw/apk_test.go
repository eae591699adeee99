package raw

import (
	"encoding/binary"
	"net/http"
	"strings"
	"testing"
	"unicode/utf16"
)

// packedManifest is a manifest as Android packs it: package example.app, version 1.2 (34), minimum SDK 26, label "Tür".
func packedManifest(inUTF8 bool) []byte {
	texts := []string{"", "", "", "label", "package", "manifest", "uses-sdk", "application", "example.app", "1.2", "T\u00fcr"}
	ids := []uint32{0x0101021b, 0x0101021c, 0x0101020c, 0x01010001} // of the first texts, whose names are left out or not
	u16 := func(b []byte, n ...uint16) []byte {
		for _, one := range n {
			b = binary.LittleEndian.AppendUint16(b, one)
		}
		return b
	}
	u32 := func(b []byte, n ...uint32) []byte {
		for _, one := range n {
			b = binary.LittleEndian.AppendUint32(b, one)
		}
		return b
	}
	var offsets, data []byte
	for _, s := range texts {
		offsets = u32(offsets, uint32(len(data)))
		if inUTF8 {
			data = append(data, byte(len([]rune(s))), byte(len(s)))
			data = append(append(data, s...), 0)
			continue
		}
		units := utf16.Encode([]rune(s))
		data = u16(u16(u16(data, uint16(len(units))), units...), 0)
	}
	for len(data)%4 != 0 {
		data = append(data, 0)
	}
	flags := uint32(0)
	if inUTF8 {
		flags = axmlUTF8
	}
	head := uint32(28 + len(offsets))
	pool := u32(u16(nil, axmlStrings, 28), head+uint32(len(data)), uint32(len(texts)), 0, flags, head, 0)
	pool = append(append(pool, offsets...), data...)
	body := append(pool, u32(u32(u16(nil, axmlIDs, 8), uint32(8+4*len(ids))), ids...)...)
	element := func(name uint32, attributes ...[3]uint32) {
		b := u16(u32(nil, 0xffffffff, name), 20, 20, uint16(len(attributes)), 0, 0, 0)
		for _, a := range attributes {
			b = u32(append(u16(u32(b, 0xffffffff, a[0], 0xffffffff), 8), 0, byte(a[1])), a[2])
		}
		body = append(body, append(u32(u16(nil, axmlElement, 16), uint32(16+len(b)), 1, 0xffffffff), b...)...)
	}
	element(5, [3]uint32{0, axmlDecimal, 34}, [3]uint32{1, axmlText, 9}, [3]uint32{4, axmlText, 8})
	element(6, [3]uint32{2, axmlDecimal, 26})
	element(7, [3]uint32{3, axmlText, 10})
	return append(u32(u16(nil, axmlDocument, 8), uint32(8+len(body))), body...)
}

// TestCase12Android reads manifests with both kinds of texts, and cut ones without harm.
func TestCase12Android(t *testing.T) {
	h := newHouse(t)
	for name, inUTF8 := range map[string]bool{"utf8": true, "utf16": false} {
		put(h, "/"+name+".apk", zipOf(t, "AndroidManifest.xml", string(packedManifest(inUTF8)), "classes.dex", "x"))
		page := string(h.Good(name, h.Get("/-/install/"+name+".apk"), nil).Body)
		for _, want := range []string{"<h1>T\u00fcr</h1>", "<dd>example.app</dd>", "<dd>1.2</dd>", "<dd>34</dd>", "<dt>Needs Android API level</dt><dd>26</dd>", "/r/-/install/" + name + ".apk/!/" + name + ".apk\">Install"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page lacks %s: %s", name, want, page)
			}
		}
		whole := packedManifest(inUTF8)
		for n := range whole {
			if a, err := readManifest(whole[:n]); err == nil && a.ID != "example.app" {
				t.Errorf("%s cut after %d bytes: got %+v", name, n, a)
			}
		}
	}
	put(h, "/none.apk", zipOf(t, "a", "b"))
	h.Want("no manifest", h.Get("/-/install/none.apk"), http.StatusBadRequest)
	put(h, "/text.apk", zipOf(t, "AndroidManifest.xml", "<manifest/>"))
	h.Want("a manifest that is not packed", h.Get("/-/install/text.apk"), http.StatusBadRequest)
}

func FuzzManifest(f *testing.F) {
	f.Add(packedManifest(true))
	f.Add(packedManifest(false))
	f.Fuzz(func(_ *testing.T, b []byte) { readManifest(b) }) // it must only not fail otherwise than by an error
}
