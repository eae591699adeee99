//go:build !amd64

package manysum

// Fast reports whether this machine hashes many texts quicker than one after another.
func Fast() bool { return false }

func blocks(*[8][lanes]uint32, *[lanes]*byte, int, *[64]uint32, *[64]byte) {
	panic("manysum: not here")
}
