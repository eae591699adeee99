package inflate

// fixedLengths are the lengths of the codes that need not be told.
var fixedLengths = func() (all [lits + dists]uint8) {
	for i := range all {
		switch {
		case i < 144:
			all[i] = 8
		case i < 256:
			all[i] = 9
		case i < 280:
			all[i] = 7
		case i < lits:
			all[i] = 8
		default:
			all[i] = 5
		}
	}
	return all
}()

func (r *Reader) useFixed() {
	if r.fixed {
		return
	}
	build(r.lit[:], litBits, fixedLengths[:lits], litEntries[:])
	build(r.dist[:], distBits, fixedLengths[lits:], distEntries[:])
	r.fixed = true
}

// preOrder is the order in which the lengths of the code of lengths are told.
var preOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// readCodes reads the codes of a block. If it is false, the stream has failed.
func (r *Reader) readCodes() bool {
	r.fixed = false
	if !r.need(14) {
		return false
	}
	nlit, ndist, npre := r.take(5)+257, r.take(5)+1, r.take(4)+4
	if nlit > mostLits || ndist > mostDists {
		r.fail(ErrCorrupt)
		return false
	}
	var pre [19]uint8
	for _, at := range preOrder[:npre] {
		if !r.need(3) {
			return false
		}
		pre[at] = uint8(r.take(3))
	}
	var table [preRoom]entry
	if !build(table[:], preBits, pre[:], preEntries[:]) {
		r.fail(ErrCorrupt)
		return false
	}
	var all [mostLits + mostDists]uint8
	if !r.readLengths(all[:nlit+ndist], &table) {
		return false
	}
	if !build(r.lit[:], litBits, all[:nlit], litEntries[:]) || !build(r.dist[:], distBits, all[nlit:nlit+ndist], distEntries[:]) {
		r.fail(ErrCorrupt)
		return false
	}
	return true
}

// readLengths reads the lengths of all codes of a block.
func (r *Reader) readLengths(all []uint8, table *[preRoom]entry) bool {
	for i := 0; i < len(all); {
		e, ok := r.next(table[:], preBits)
		if !ok {
			return false
		}
		r.take(bitsOf(e))
		n := uint8(e >> valueAt)
		if n < 16 {
			all[i] = n
			i++
			continue
		}
		again, more, what := 3, uint(2), uint8(0)
		switch n {
		case 16:
			if i == 0 {
				r.fail(ErrCorrupt)
				return false
			}
			what = all[i-1]
		case 17:
			more = 3
		case 18:
			again, more = 11, 7
		}
		if !r.need(more) {
			return false
		}
		if again += r.take(more); i+again > len(all) {
			r.fail(ErrCorrupt)
			return false
		}
		for range again {
			all[i] = what
			i++
		}
	}
	return true
}

// next looks up the next code, and asks for no more input than that needs. The bits of its entry are there, and not taken.
// Of a code that goes on in another table the bits of the first are taken. If it is false, the stream has failed.
func (r *Reader) next(table []entry, first uint) (e entry, ok bool) {
	from, width := entry(0), first
	for {
		e = table[from+entry(r.b&(1<<width-1))]
		switch {
		case bitsOf(e) > r.n:
			if !r.need(r.n + 1) {
				return 0, false
			}
		case e&literal != 0:
			return e, true
		case e&further == further:
			r.take(bitsOf(e))
			from, width = e>>valueAt&value, codeOf(e)
		case e&further == special && e&ends != ends:
			r.fail(ErrCorrupt)
			return 0, false
		default:
			return e, true
		}
	}
}
