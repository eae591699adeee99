package debian

import (
	"bytes"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

// packXZ packs a text into a stream of blocks.
func packXZ(t *testing.T, text []byte, c xz.WriterConfig) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := c.NewWriter(&out)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestWindowOfXZ: what a good stream holds comes out, and one that asks for a window of 4 GiB, in whichever block, is refused
// before anybody makes room for it.
func TestWindowOfXZ(t *testing.T) {
	random := make([]byte, 300<<10)
	rng := rand.NewChaCha8([32]byte{})
	rng.Read(random)
	text := append([]byte(strings.Repeat("a line of an index\n", 20_000)), random...)
	for name, c := range map[string]xz.WriterConfig{
		"one block": {}, "many blocks": {BlockSize: 100 << 10}, "sha256": {CheckSum: xz.SHA256, BlockSize: 33_333}, "no sums": {NoCheckSum: true, BlockSize: 77_777},
	} {
		packed := packXZ(t, text, c)
		twice := append(append(bytes.Clone(packed), make([]byte, 8)...), packed...)
		for what, one := range map[string]struct{ packed, want []byte }{"": {packed, text}, " twice": {twice, append(bytes.Clone(text), text...)}, ", empty": {packXZ(t, nil, c), nil}} {
			r, err := unxz(bytes.NewReader(one.packed))
			if err != nil {
				t.Fatalf("%s%s: %v", name, what, err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, one.want) {
				t.Errorf("%s%s: got %d bytes, %v, want %d", name, what, len(got), err, len(one.want))
			}
		}
		block := []byte{2, 0, 0x21, 1} // the header of one, up to its window
		for _, begin := range []int{bytes.Index(packed, block), bytes.LastIndex(packed, block)} {
			bad := bytes.Clone(packed)
			bad[begin+4] = 40
			sum := crc32.ChecksumIEEE(bad[begin : begin+8])
			copy(bad[begin+8:], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
			r, err := unxz(bytes.NewReader(bad))
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if err == nil || !strings.Contains(err.Error(), "window") {
				t.Errorf("%s: a window of 4 GiB at %d: got %v, want a refusal", name, begin, err)
			}
		}
	}
}
