#include "textflag.h"

// Sixteen sums side by side: each register has one word of sixteen texts, so that what SHA-256 (FIPS 180-4) does to a word is
// done to all of them at once.
//
// Z0 to Z15 are the words of a block, Z16 to Z23 the sums a to h, Z24 to Z27 are for what is reckoned with.

// SWAP reads 64 bytes of a text, its words with their first byte highest.
#define SWAP(text, to) \
	MOVQ      (text*8)(SI), R8 \
	VMOVDQU32 (R8)(DX*1), to   \
	VPSHUFB   Z24, to, to

// PAIRS and FOURS put the words of two, and of four, texts side by side.
#define PAIRS(a, b, low, high) \
	VPUNPCKLDQ b, a, low \
	VPUNPCKHDQ b, a, high

#define FOURS(a, b, c, d, w0, w1, w2, w3) \
	VPUNPCKLQDQ c, a, w0 \
	VPUNPCKHQDQ c, a, w1 \
	VPUNPCKLQDQ d, b, w2 \
	VPUNPCKHQDQ d, b, w3

// ALL puts the words of all texts together: of four registers each with four words of four texts.
#define ALL(a, b, c, d) \
	VSHUFI32X4 $0x44, b, a, Z16     \
	VSHUFI32X4 $0xee, b, a, Z17     \
	VSHUFI32X4 $0x44, d, c, Z18     \
	VSHUFI32X4 $0xee, d, c, Z19     \
	VSHUFI32X4 $0x88, Z18, Z16, a   \
	VSHUFI32X4 $0xdd, Z18, Z16, b   \
	VSHUFI32X4 $0x88, Z19, Z17, c   \
	VSHUFI32X4 $0xdd, Z19, Z17, d

// ROUND is one of the 64. 0x96 is the sum of three bits, 0xca chooses by the first, 0xe8 is the most of three.
#define ROUND(i, w, a, b, c, d, e, f, g, h) \
	VPADDD      w, h, h                \
	VPADDD.BCST (i*4)(R9), h, h        \
	VPRORD      $6, e, Z24             \
	VPRORD      $11, e, Z25            \
	VPRORD      $25, e, Z26            \
	VMOVDQA32   e, Z27                 \
	VPTERNLOGD  $0x96, Z26, Z25, Z24   \
	VPTERNLOGD  $0xca, g, f, Z27       \
	VPADDD      Z24, h, h              \
	VPADDD      Z27, h, h              \
	VPADDD      h, d, d                \
	VPRORD      $2, a, Z24             \
	VPRORD      $13, a, Z25            \
	VPRORD      $22, a, Z26            \
	VMOVDQA32   a, Z27                 \
	VPTERNLOGD  $0x96, Z26, Z25, Z24   \
	VPTERNLOGD  $0xe8, c, b, Z27       \
	VPADDD      Z24, h, h              \
	VPADDD      Z27, h, h

// LATER makes the word of sixteen rounds later: of itself, and of those 15, 7 and 2 before that.
#define LATER(w, w15, w7, w2) \
	VPRORD     $7, w15, Z24          \
	VPRORD     $18, w15, Z25         \
	VPSRLD     $3, w15, Z26          \
	VPTERNLOGD $0x96, Z26, Z25, Z24  \
	VPADDD     w7, w, w              \
	VPADDD     Z24, w, w             \
	VPRORD     $17, w2, Z24          \
	VPRORD     $19, w2, Z25          \
	VPSRLD     $10, w2, Z26          \
	VPTERNLOGD $0x96, Z26, Z25, Z24  \
	VPADDD     Z24, w, w

#define SIXTEEN \
	ROUND(0, Z0, Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23)  \
	ROUND(1, Z1, Z23, Z16, Z17, Z18, Z19, Z20, Z21, Z22)  \
	ROUND(2, Z2, Z22, Z23, Z16, Z17, Z18, Z19, Z20, Z21)  \
	ROUND(3, Z3, Z21, Z22, Z23, Z16, Z17, Z18, Z19, Z20)  \
	ROUND(4, Z4, Z20, Z21, Z22, Z23, Z16, Z17, Z18, Z19)  \
	ROUND(5, Z5, Z19, Z20, Z21, Z22, Z23, Z16, Z17, Z18)  \
	ROUND(6, Z6, Z18, Z19, Z20, Z21, Z22, Z23, Z16, Z17)  \
	ROUND(7, Z7, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z16)  \
	ROUND(8, Z8, Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23)  \
	ROUND(9, Z9, Z23, Z16, Z17, Z18, Z19, Z20, Z21, Z22)  \
	ROUND(10, Z10, Z22, Z23, Z16, Z17, Z18, Z19, Z20, Z21) \
	ROUND(11, Z11, Z21, Z22, Z23, Z16, Z17, Z18, Z19, Z20) \
	ROUND(12, Z12, Z20, Z21, Z22, Z23, Z16, Z17, Z18, Z19) \
	ROUND(13, Z13, Z19, Z20, Z21, Z22, Z23, Z16, Z17, Z18) \
	ROUND(14, Z14, Z18, Z19, Z20, Z21, Z22, Z23, Z16, Z17) \
	ROUND(15, Z15, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z16)

// func blocks(sums *[8][16]uint32, texts *[16]*byte, n int, k *[64]uint32, swap *[64]byte)
TEXT ·blocks(SB), NOSPLIT, $0-40
	MOVQ sums+0(FP), DI
	MOVQ texts+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ k+24(FP), BX
	MOVQ swap+32(FP), R10
	XORQ DX, DX            // how far into the texts

block:
	TESTQ CX, CX
	JZ    done
	VMOVDQU32 (R10), Z24
	SWAP(0, Z0)
	SWAP(1, Z1)
	SWAP(2, Z2)
	SWAP(3, Z3)
	SWAP(4, Z4)
	SWAP(5, Z5)
	SWAP(6, Z6)
	SWAP(7, Z7)
	SWAP(8, Z8)
	SWAP(9, Z9)
	SWAP(10, Z10)
	SWAP(11, Z11)
	SWAP(12, Z12)
	SWAP(13, Z13)
	SWAP(14, Z14)
	SWAP(15, Z15)
	PAIRS(Z0, Z1, Z16, Z17)
	PAIRS(Z2, Z3, Z18, Z19)
	PAIRS(Z4, Z5, Z20, Z21)
	PAIRS(Z6, Z7, Z22, Z23)
	PAIRS(Z8, Z9, Z24, Z25)
	PAIRS(Z10, Z11, Z26, Z27)
	PAIRS(Z12, Z13, Z28, Z29)
	PAIRS(Z14, Z15, Z30, Z31)
	FOURS(Z16, Z17, Z18, Z19, Z0, Z1, Z2, Z3)
	FOURS(Z20, Z21, Z22, Z23, Z4, Z5, Z6, Z7)
	FOURS(Z24, Z25, Z26, Z27, Z8, Z9, Z10, Z11)
	FOURS(Z28, Z29, Z30, Z31, Z12, Z13, Z14, Z15)
	ALL(Z0, Z4, Z8, Z12)
	ALL(Z1, Z5, Z9, Z13)
	ALL(Z2, Z6, Z10, Z14)
	ALL(Z3, Z7, Z11, Z15)

	VMOVDQU32 (DI), Z16
	VMOVDQU32 64(DI), Z17
	VMOVDQU32 128(DI), Z18
	VMOVDQU32 192(DI), Z19
	VMOVDQU32 256(DI), Z20
	VMOVDQU32 320(DI), Z21
	VMOVDQU32 384(DI), Z22
	VMOVDQU32 448(DI), Z23
	MOVQ      BX, R9
	MOVQ      $3, R8

rounds:
	SIXTEEN
	LATER(Z0, Z1, Z9, Z14)
	LATER(Z1, Z2, Z10, Z15)
	LATER(Z2, Z3, Z11, Z0)
	LATER(Z3, Z4, Z12, Z1)
	LATER(Z4, Z5, Z13, Z2)
	LATER(Z5, Z6, Z14, Z3)
	LATER(Z6, Z7, Z15, Z4)
	LATER(Z7, Z8, Z0, Z5)
	LATER(Z8, Z9, Z1, Z6)
	LATER(Z9, Z10, Z2, Z7)
	LATER(Z10, Z11, Z3, Z8)
	LATER(Z11, Z12, Z4, Z9)
	LATER(Z12, Z13, Z5, Z10)
	LATER(Z13, Z14, Z6, Z11)
	LATER(Z14, Z15, Z7, Z12)
	LATER(Z15, Z0, Z8, Z13)
	ADDQ      $64, R9
	DECQ      R8
	JNZ       rounds
	SIXTEEN

	VPADDD    (DI), Z16, Z16
	VPADDD    64(DI), Z17, Z17
	VPADDD    128(DI), Z18, Z18
	VPADDD    192(DI), Z19, Z19
	VPADDD    256(DI), Z20, Z20
	VPADDD    320(DI), Z21, Z21
	VPADDD    384(DI), Z22, Z22
	VPADDD    448(DI), Z23, Z23
	VMOVDQU32 Z16, (DI)
	VMOVDQU32 Z17, 64(DI)
	VMOVDQU32 Z18, 128(DI)
	VMOVDQU32 Z19, 192(DI)
	VMOVDQU32 Z20, 256(DI)
	VMOVDQU32 Z21, 320(DI)
	VMOVDQU32 Z22, 384(DI)
	VMOVDQU32 Z23, 448(DI)
	ADDQ      $64, DX
	DECQ      CX
	JMP       block

done:
	VZEROUPPER
	RET

// func features() uint32
TEXT ·features(SB), NOSPLIT, $0-4
	MOVL $7, AX
	XORL CX, CX
	CPUID
	MOVL BX, ret+0(FP)
	RET
