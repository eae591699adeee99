package manysum

import "golang.org/x/sys/cpu"

// fast: with instructions for SHA-256 itself, texts are hashed as quickly one after another.
var fast = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && features()&(1<<29) == 0

// Fast reports whether this machine hashes many texts quicker than one after another.
func Fast() bool { return fast }

// features is the second word of what the processor says of its extensions. It is asked once: a virtual machine takes long to
// answer.
func features() uint32

// blocks hashes n blocks of each text. Of a text whose sum does not matter any blocks will do.
//
//go:noescape
func blocks(sums *[8][lanes]uint32, texts *[lanes]*byte, n int, k *[64]uint32, swap *[64]byte)
