package inflate

import "math/bits"

// An entry of a table is what the next bits of a stream mean:
//
//	bits 0-5    how many bits it takes: those of its code, and those that follow the code and count
//	bits 8-11   how many of these are its code's; where another table goes on, how many bits index that
//	bit 15      special: another table goes on, or the block ends, or no code begins so
//	bits 16-30  the value: a byte, a length or distance to count from, or where the other table begins
//	bit 31      literal: the value is a byte
type entry = uint32

const (
	literal entry = 1 << 31
	special entry = 1 << 15
	further entry = special | 1<<14
	ends    entry = special | 1<<13

	codeAt  = 8
	valueAt = 16
	value   = 1<<15 - 1

	longest = 15 // bits of a code
)

func bitsOf(e entry) uint { return uint(e & 63) }
func codeOf(e entry) uint { return uint(e >> codeAt & 15) }

const (
	litBits  = 10
	distBits = 9
	preBits  = 7 // no code of lengths is longer

	// What begins with codes that are longer than the bits of a table's first part goes on behind that. Codes that are
	// complete need less room than this, and with a power of two no look-up can leave its table.
	litRoom  = 1 << 12
	distRoom = 1 << 10
	preRoom  = 1 << preBits

	lits       = 288 // symbols with a code in a block of the fixed codes
	mostLits   = 286
	dists      = 32
	mostDists  = 30
	endOfBlock = 256
)

// The entries of the symbols, but for the bits of their codes.
var litEntries, distEntries, preEntries = literals(), distances(), lengths()

func literals() (all [lits]entry) {
	for i := range endOfBlock {
		all[i] = literal | entry(i)<<valueAt
	}
	all[endOfBlock] = ends
	base := entry(3)
	for i := endOfBlock + 1; i < 285; i++ {
		more := max(i-261, 0) / 4
		all[i] = base<<valueAt | entry(more)
		base += 1 << more
	}
	all[285] = 258 << valueAt
	all[286], all[287] = special, special
	return all
}

func distances() (all [dists]entry) {
	base := entry(1)
	for i := range mostDists {
		more := max(i-2, 0) / 2
		all[i] = base<<valueAt | entry(more)
		base += 1 << more
	}
	all[30], all[31] = special, special
	return all
}

func lengths() (all [19]entry) {
	for i := range all {
		all[i] = entry(i) << valueAt
	}
	return all
}

// build makes the table of the code whose symbols have codes of those lengths; its first part is indexed by first bits. It
// reports whether the code is one: complete, or without any symbol, or of one symbol with a single bit, as distances may be.
func build(table []entry, first int, codes []uint8, symbols []entry) bool {
	var count, at [longest + 2]int
	for _, n := range codes {
		count[n]++
	}
	count[0] = 0
	room, most := 1<<longest, 0
	for n := 1; n <= longest; n++ {
		at[n+1] = at[n] + count[n]
		room -= count[n] << (longest - n)
		if count[n] > 0 {
			most = n
		}
	}
	if room != 0 {
		if most > 1 || count[1] > 1 {
			return false
		}
		clear(table[:1<<first])
		for i := range table[:1<<first] {
			table[i] = special
		}
		if most == 0 {
			return true
		}
	}
	var sorted [lits]uint16
	for symbol, n := range codes {
		if n > 0 {
			sorted[at[n]] = uint16(symbol)
			at[n]++
		}
	}
	if room != 0 {
		for i := 0; i < 1<<first; i += 2 {
			table[i] = coded(symbols[sorted[0]], 1)
		}
		return true
	}
	next, code, n := 0, 0, 1 // code: of the next symbol, its first bit lowest
	for ; n <= first; n++ {
		for range count[n] {
			table[code] = coded(symbols[sorted[next]], n)
			next++
			code = after(code, n)
		}
		if n < first {
			copy(table[1<<n:2<<n], table[:1<<n])
		}
	}
	free, above := 1<<first, -1 // where the next part begins; the first bits that the last one is for
	part, width := 0, 0
	for ; n <= most; n++ {
		for left := count[n]; left > 0; left-- {
			if begin := code & (1<<first - 1); begin != above {
				above, part = begin, free
				width = n - first
				for used := left; used < 1<<width; {
					width++
					used = used<<1 + count[first+width]
				}
				free += 1 << width
				table[begin] = further | entry(part)<<valueAt | entry(width)<<codeAt | entry(first)
			}
			e := coded(symbols[sorted[next]], n-first)
			next++
			for i := code >> first; i < 1<<width; i += 1 << (n - first) {
				table[part+i] = e
			}
			code = after(code, n)
		}
	}
	return true
}

// coded is the entry of a symbol whose code has, or has left, n bits.
func coded(symbol entry, n int) entry { return symbol + entry(n) | entry(n)<<codeAt }

// after is the code of n bits that comes after another one, both with their first bit lowest; after the last one it is the
// last.
func after(code, n int) int {
	zeros := code ^ (1<<n - 1)
	if zeros == 0 {
		return code
	}
	bit := 1 << (bits.Len(uint(zeros)) - 1)
	return code&(bit-1) | bit
}
