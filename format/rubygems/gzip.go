package rubygems

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
)

// A packer makes one gzip member of a text that grows: Ruby stops after the first. Blocks stay as they are; what is appended
// adds blocks and another trailer.
type packer struct {
	blocks bytes.Buffer
	w      *flate.Writer
	crc    uint32
	size   int
}

// gzipHead says: deflate, no name, no time, any system.
var gzipHead = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255} // never changed

// pack returns the member of a text that begins with what was packed before.
func (p *packer) pack(text []byte) ([]byte, error) {
	if p.w == nil {
		var err error
		if p.w, err = flate.NewWriter(&p.blocks, flate.DefaultCompression); err != nil {
			return nil, err
		}
	}
	if more := text[p.size:]; len(more) > 0 {
		if _, err := p.w.Write(more); err != nil {
			return nil, err
		}
		if err := p.w.Flush(); err != nil {
			return nil, err
		}
		p.crc = crc32.Update(p.crc, crc32.IEEETable, more)
		p.size = len(text)
	}
	out := make([]byte, 0, len(gzipHead)+p.blocks.Len()+10)
	out = append(append(out, gzipHead...), p.blocks.Bytes()...)
	out = append(out, 3, 0) // a last block, with nothing in it
	out = binary.LittleEndian.AppendUint32(out, p.crc)
	return binary.LittleEndian.AppendUint32(out, uint32(p.size)), nil
}

// packed is the newest snapshot of a generation that is not older than s, and its text as gzip.
func (g *generation) packed(s *snapshot) (*snapshot, []byte, error) {
	g.gzMu.Lock()
	defer g.gzMu.Unlock()
	if g.gzOf == nil || len(g.gzOf.text) < len(s.text) {
		b, err := g.gz.pack(s.text)
		if err != nil {
			return nil, nil, err
		}
		g.gzOf, g.gzPacked = s, b
	}
	return g.gzOf, g.gzPacked, nil
}
