package manysum

import "golang.org/x/sys/cpu"

// Fast reports whether this machine hashes many texts quicker than one after another.
func Fast() bool { return cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW }

// blocks hashes n blocks of each text. Of a text whose sum does not matter any blocks will do.
//
//go:noescape
func blocks(sums *[8][lanes]uint32, texts *[lanes]*byte, n int, k *[64]uint32, swap *[64]byte)
