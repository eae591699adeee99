package raw

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"io"
)

// Apple packs the pictures of apps so that only its own programs read them: a chunk CgBI before all others, pixels in the order
// blue, green, red, alpha, multiplied by alpha, and a stream of deflate without zlib's head and sum.

const (
	pngMagic   = "\x89PNG\r\n\x1a\n"
	widestIcon = 2048 // pixels
)

var errPNG = errors.New("this is no picture that can be read")

// isApples reports whether a picture is one that Apple has altered.
func isApples(b []byte) bool {
	return len(b) > 16 && string(b[:8]) == pngMagic && string(b[12:16]) == "CgBI"
}

// plainPNG is an altered picture as everybody reads it.
func plainPNG(b []byte) ([]byte, error) {
	var out, packed bytes.Buffer
	out.WriteString(pngMagic)
	chunk := func(kind string, body []byte) {
		out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(body))))
		at := out.Len()
		out.WriteString(kind)
		out.Write(body)
		out.Write(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(out.Bytes()[at:])))
	}
	var most int64 // bytes of all rows
	for rest := b[8:]; len(rest) >= 12; {
		n := int64(binary.BigEndian.Uint32(rest))
		if n > int64(len(rest))-12 {
			return nil, errPNG
		}
		kind, body := string(rest[4:8]), rest[8:8+n]
		rest = rest[12+n:]
		switch kind {
		case "IHDR":
			if len(body) != 13 || body[8] != 8 || body[9] != 6 || body[12] != 0 { // colours with alpha, eight bits each, row by row
				return nil, errPNG
			}
			w, h := int64(binary.BigEndian.Uint32(body)), int64(binary.BigEndian.Uint32(body[4:]))
			if w > widestIcon || h > widestIcon {
				return nil, errPNG
			}
			most = (4*w + 1) * h
			chunk(kind, body)
		case "IDAT":
			packed.Write(body)
		}
	}
	var again bytes.Buffer
	z := zlib.NewWriter(&again)
	if _, err := io.Copy(z, io.LimitReader(flate.NewReader(&packed), most)); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	chunk("IDAT", again.Bytes())
	chunk("IEND", nil)
	m, err := png.Decode(&out)
	if err != nil {
		return nil, err
	}
	raw, ok := m.(*image.NRGBA)
	if !ok {
		return nil, errPNG
	}
	for i := 0; i+4 <= len(raw.Pix); i += 4 {
		p := raw.Pix[i : i+4 : i+4]
		c := color.NRGBAModel.Convert(color.RGBA{R: min(p[2], p[3]), G: min(p[1], p[3]), B: min(p[0], p[3]), A: p[3]}).(color.NRGBA)
		p[0], p[1], p[2] = c.R, c.G, c.B
	}
	var plain bytes.Buffer
	if err := png.Encode(&plain, raw); err != nil {
		return nil, err
	}
	return plain.Bytes(), nil
}
