package raw

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"rsc.io/qr"
)

func FuzzPlist(f *testing.F) {
	f.Add([]byte(xmlPlist))
	f.Add(binPlist())
	f.Fuzz(func(_ *testing.T, b []byte) { readPlist(b) }) // it must only not fail otherwise than by an error
}

const xmlPlist = `<?xml version="1.0"?><plist version="1.0"><dict><key>CFBundleIdentifier</key><string>example.app</string>
<key>UIDevices</key><array><integer>1</integer></array><key>CFBundleDisplayName</key><string>Mill &amp; Pond</string><key>CFBundleShortVersionString</key><string>1.2</string></dict></plist>`

// binPlist is {"CFBundleIdentifier": "example.app", "CFBundleName": "Tür"} in Apple's binary form.
func binPlist() []byte {
	b := []byte("bplist00")
	var at []byte
	add := func(raw ...byte) { at = append(at, byte(len(b))); b = append(b, raw...) }
	add(0xd2, 1, 2, 3, 4)
	add(append([]byte{0x5f, 0x10, 18}, "CFBundleIdentifier"...)...)
	add(append([]byte{0x5c}, "CFBundleName"...)...)
	add(append([]byte{0x5b}, "example.app"...)...)
	add(0x63, 0, 'T', 0, 0xfc, 0, 'r')
	table := byte(len(b))
	b = append(b, at...)
	return append(b, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, table)
}

// packedPlist is what Python's plistlib makes of a dictionary with one in it.
const packedPlist = "YnBsaXN0MDDWAQIDBAUGBw4PEBESXUNGQnVuZGxlSWNvbnNfEBJDRkJ1bmRsZUlkZW50aWZpZXJcQ0ZCdW5kbGVOYW1lUmF0UW5TeWVz0QgJXxATQ0ZCdW5kbGVQcmltYXJ5SWNvbtEKC18QEUNGQnVuZGxlSWNvbkZpbGVzogwNXEFwcEljb242MHg2MFF4W2V4YW1wbGUuYXBwYwBUAPwAcjNByJyUX4AAABAHCQgVIzhFSEpOUWdqfoGOkJyjrK4AAAAAAAABAQAAAAAAAAATAAAAAAAAAAAAAAAAAAAArw=="

const profileText = "\x30\x82signed\x00" + `<?xml version="1.0"?><!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "x"><plist version="1.0"><dict><key>Name</key><string>Mill ad hoc</string>
<key>TeamName</key><string>Millers &lt;Inc&gt;</string><key>DeveloperCertificates</key><array><data>AAAA</data></array><key>ExpirationDate</key><date>2020-05-01T10:00:00Z</date>
<key>ProvisionedDevices</key><array><string>a</string><string>b</string><string>c</string></array></dict></plist>` + "\x00\xff more"

// drawn is a small picture with colours that differ, some of them half transparent.
func drawn() *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, 5, 4))
	for x := range 5 {
		for y := range 4 {
			m.SetNRGBA(x, y, color.NRGBA{uint8(50 * x), uint8(60 * y), 200, []uint8{255, 128, 0}[(x+y)%3]})
		}
	}
	return m
}

// appled is a picture as Apple packs it.
func appled(m *image.NRGBA) []byte {
	var rows, packed bytes.Buffer
	for y := range m.Rect.Dy() {
		rows.WriteByte(0)
		for x := range m.Rect.Dx() {
			c := m.NRGBAAt(x, y)
			by := func(v uint8) byte { return byte((int(v)*int(c.A) + 127) / 255) }
			rows.Write([]byte{by(c.B), by(c.G), by(c.R), c.A})
		}
	}
	z, _ := flate.NewWriter(&packed, 9) // 9 is a level
	z.Write(rows.Bytes())
	z.Close()
	out := bytes.NewBufferString(pngMagic)
	chunk := func(kind string, body []byte) {
		binary.Write(out, binary.BigEndian, uint32(len(body)))
		out.WriteString(kind)
		out.Write(body)
		binary.Write(out, binary.BigEndian, crc32.ChecksumIEEE(append([]byte(kind), body...)))
	}
	chunk("CgBI", []byte{0x50, 0, 0x20, 2})
	chunk("IHDR", append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(m.Rect.Dx())), uint32(m.Rect.Dy())), 8, 6, 0, 0, 0))
	chunk("IDAT", packed.Bytes()[:packed.Len()/2])
	chunk("IDAT", packed.Bytes()[packed.Len()/2:])
	chunk("IEND", nil)
	return out.Bytes()
}

func TestCase12Icons(t *testing.T) {
	want := drawn()
	text, err := plainPNG(appled(want))
	if err != nil {
		t.Fatal(err)
	}
	got, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	near := func(a, b uint32) bool { return max(a, b)-min(a, b) <= 0x300 } // multiplied by alpha and back
	for x := range 5 {
		for y := range 4 {
			r, g, b, a := got.At(x, y).RGBA()
			wr, wg, wb, wa := want.At(x, y).RGBA()
			if !near(r, wr) || !near(g, wg) || !near(b, wb) || a != wa {
				t.Errorf("%d, %d: got %v, want %v", x, y, got.At(x, y), want.At(x, y))
			}
		}
	}
	whole := appled(want)
	for n := range whole {
		plainPNG(whole[:max(n, 8)]) // which must not fail otherwise than by an error
	}
}

func FuzzIcon(f *testing.F) {
	f.Add(appled(drawn()))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if isApples(b) {
			plainPNG(b)
		}
	})
}

// TestCase12InstallPage shows what a build says of itself, its icon, who has signed it, and leads to what a device asks.
func TestCase12InstallPage(t *testing.T) {
	h := newHouse(t)
	packed, err := base64.StdEncoding.DecodeString(packedPlist)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readPlist(packed)
	if err != nil || m["n"] != int64(7) || m["yes"] != true || m.list("CFBundleIcons", "CFBundlePrimaryIcon", "CFBundleIconFiles") == nil {
		t.Errorf("the packed property list is %v, %v", m, err)
	}
	ipa := zipOf(t, "Payload/Mill.app/Info.plist", string(packed), "Payload/Mill.app/AppIcon60x60@2x.png", string(appled(drawn())), "Payload/Mill.app/other.png", string(appled(drawn())),
		"Payload/Mill.app/embedded.mobileprovision", profileText)
	put(h, "/ios/a%20b.ipa", ipa)
	page := string(h.Good("page", h.Get("/-/install/ios/a%20b.ipa"), nil).Body)
	for _, want := range []string{"<h1>Tür</h1>", "Millers &lt;Inc&gt;", "Mill ad hoc", "1 May 2020", "<dt>Devices</dt><dd>3</dd>", `src="data:image/png;base64,`, "itms-services://?action="} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q: %s", want, page)
		}
	}
	icon := h.Good("icon", h.Get("/-/install/ios/a%20b.ipa/!/icon.png"), nil)
	if m, err := png.Decode(bytes.NewReader(icon.Body)); err != nil || m.Bounds().Dx() != 5 || icon.Header.Get("Content-Type") != "image/png" {
		t.Errorf("the icon is %v, %v", icon.Header, err)
	}
	manifest, err := readPlist(h.Good("manifest", h.Get("/-/install/ios/a%20b.ipa/!/manifest.plist"), nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	item := dict(manifest.list("items")[0].(dict))
	if item.text("metadata", "bundle-identifier") != "example.app" || len(item.list("assets")) != 3 {
		t.Errorf("the manifest is %v", manifest)
	}
	for _, one := range item.list("assets") {
		at := strings.TrimPrefix(one.(dict).text("url"), h.URL)
		got := h.Good(at, h.Do("GET", at, nil), nil)
		if one.(dict).text("kind") == "software-package" && string(got.Body) != ipa {
			t.Errorf("%s: got other bytes", at)
		}
	}
	// The code is of the page itself, at an address where a device may ask it.
	code := regexp.MustCompile(`alt="QR code[^"]*" src="data:image/png;base64,([^"]*)"`).FindStringSubmatch(page)
	if code == nil {
		t.Fatalf("the page has no code: %s", page)
	}
	want, err := qr.Encode(h.URL+"/r/-/install/ios/a%20b.ipa/!/", qr.L)
	if err != nil {
		t.Fatal(err)
	}
	text, err := base64.StdEncoding.DecodeString(code[1])
	if err != nil {
		t.Fatal(err)
	}
	got, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for x := range want.Size {
		for y := range want.Size {
			c := color.GrayModel.Convert(got.At((x+4)*4+1, (y+4)*4+2)).(color.Gray)
			if (c.Y == 0) != want.Black(x, y) {
				t.Fatalf("the code is not that of the page for devices, at %d, %d", x, y)
			}
		}
	}
	h.Good("the page for devices", h.Get("/-/install/ios/a%20b.ipa/!/"), nil)

	put(h, "/android/app.apk", zipOf(t, "AndroidManifest.xml", string(packedManifest(true)), "res/mipmap-hdpi-v4/ic_launcher.png", "no picture", "res/mipmap-mdpi-v4/ic_launcher.webp", "RIFF\x00\x00\x00\x00WEBPVP8 x"))
	page = string(h.Good("android", h.Get("/-/install/android/app.apk"), nil).Body)
	if !strings.Contains(page, `src="data:image/webp;base64,`) || !strings.Contains(page, "/-/install/android/app.apk/!/app.apk") {
		t.Errorf("the page is %s", page)
	}
	if got := h.Good("the build", h.Get("/-/install/android/app.apk/!/app.apk"), nil); got.Header.Get("Content-Type") != typeAPK {
		t.Errorf("the build: Content-Type is %q", got.Header.Get("Content-Type"))
	}
	h.Want("no icon that a manifest could name", h.Get("/-/install/android/app.apk/!/icon.png"), http.StatusNotFound)
	h.Want("no manifest", h.Get("/-/install/android/app.apk/!/manifest.plist"), http.StatusNotFound)
}
