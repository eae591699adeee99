package inflate

import "encoding/binary"

// symbol decodes one symbol of a block, with care for the end of the input. There is room for it.
func (r *Reader) symbol() {
	e, ok := r.next(r.lit[:], litBits)
	if !ok {
		return
	}
	if e&literal != 0 {
		r.take(bitsOf(e))
		r.out[r.w] = byte(e >> valueAt)
		r.w++
		return
	}
	if e&special != 0 {
		r.take(bitsOf(e))
		r.state = between
		return
	}
	length := r.amount(e)
	if e, ok = r.next(r.dist[:], distBits); !ok {
		return
	}
	distance := r.amount(e)
	if distance > r.w {
		r.fail(ErrCorrupt)
		return
	}
	for range length {
		r.out[r.w] = r.out[r.w-distance]
		r.w++
	}
}

// amount takes the bits of an entry that is a length or a distance.
func (r *Reader) amount(e entry) int {
	own := codeOf(e)
	r.take(own)
	return int(e>>valueAt&value) + r.take(bitsOf(e)-own)
}

// decode decodes symbols of a block while there is plenty of input and of room.
func (r *Reader) decode() {
	in, out := r.in[:r.end], r.out[:]
	i, w := r.i, r.w
	b, n := r.b, r.n
	for i+inLeast <= len(in) && w+outLeast <= len(out) {
		// Whole bytes are taken, and the bits above them stay: they are what comes next, and are added to themselves then.
		b |= binary.LittleEndian.Uint64(in[i:]) << (n & 63)
		i += int((63 - n) >> 3)
		n |= 56
		e := r.lit[b&(1<<litBits-1)]
		if e&literal != 0 {
			b >>= e & 63
			n -= uint(e & 63)
			out[w] = byte(e >> valueAt)
			w++
			e = r.lit[b&(1<<litBits-1)]
			if e&literal != 0 {
				b >>= e & 63
				n -= uint(e & 63)
				out[w] = byte(e >> valueAt)
				w++
				e = r.lit[b&(1<<litBits-1)]
				if e&literal != 0 {
					b >>= e & 63
					n -= uint(e & 63)
					out[w] = byte(e >> valueAt)
					w++
					continue
				}
			}
		}
		if e&special != 0 {
			if e&further == further {
				b >>= e & 63
				n -= uint(e & 63)
				e = r.lit[(e>>valueAt&value+entry(b&(1<<(e>>codeAt&15)-1)))&(litRoom-1)]
				if e&literal != 0 {
					b >>= e & 63
					n -= uint(e & 63)
					out[w] = byte(e >> valueAt)
					w++
					continue
				}
			}
			if e&special != 0 {
				if e&ends != ends {
					r.fail(ErrCorrupt)
				} else {
					r.state = between
				}
				b >>= e & 63
				n -= uint(e & 63)
				break
			}
		}
		length := int(e>>valueAt&value) + int(b&(1<<(e&63)-1)>>(e>>codeAt&15))
		b >>= e & 63
		n -= uint(e & 63)
		if n < 28 {
			b |= binary.LittleEndian.Uint64(in[i:]) << (n & 63)
			i += int((63 - n) >> 3)
			n |= 56
		}
		e = r.dist[b&(1<<distBits-1)]
		if e&special != 0 {
			if e&further == further {
				b >>= e & 63
				n -= uint(e & 63)
				e = r.dist[(e>>valueAt&value+entry(b&(1<<(e>>codeAt&15)-1)))&(distRoom-1)]
			}
			if e&special != 0 {
				r.fail(ErrCorrupt)
				break
			}
		}
		distance := int(e>>valueAt&value) + int(b&(1<<(e&63)-1)>>(e>>codeAt&15))
		b >>= e & 63
		n -= uint(e & 63)
		from := w - distance
		if from < 0 {
			r.fail(ErrCorrupt)
			break
		}
		to := w + length
		if distance >= 8 {
			binary.LittleEndian.PutUint64(out[w:], binary.LittleEndian.Uint64(out[from:]))
			binary.LittleEndian.PutUint64(out[w+8:], binary.LittleEndian.Uint64(out[from+8:]))
			for w += 16; w < to; w += 8 {
				from += 8
				binary.LittleEndian.PutUint64(out[w:], binary.LittleEndian.Uint64(out[from+8:]))
			}
		} else {
			for w < to {
				out[w] = out[from]
				w++
				from++
			}
		}
		w = to
	}
	r.i, r.w, r.b, r.n = i, w, b, n
}
