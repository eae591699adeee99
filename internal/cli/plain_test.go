package cli

import (
	"bytes"
	"fmt"
	"testing"
)

// TestCleanLooksAtEachByte: of every byte, at every place of a text that is looked at in eights.
func TestCleanLooksAtEachByte(t *testing.T) {
	for c := range 256 {
		want := c >= ' ' && c < 0x7f || c == '\n' || c == '\t'
		for at := range 19 {
			for _, among := range []byte{' ', '~', '\n'} {
				b := bytes.Repeat([]byte{among}, 19)
				b[at] = byte(c)
				if clean(b) != want {
					t.Fatalf("%q among %q at %d: %t, want %t", byte(c), among, at, !want, want)
				}
			}
		}
	}
}

func BenchmarkClean(b *testing.B) {
	line := []byte(fmt.Sprintf("%0450d\n", 7))
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if !clean(line) {
			b.Fatal("not clean")
		}
	}
}
