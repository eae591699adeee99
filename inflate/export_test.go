package inflate

// Rest is what was read of the source and is not of the stream. It is asked after io.EOF, and good until Reset.
func (r *Reader) Rest() []byte {
	return r.in[r.i-int(r.n/8) : r.end]
}
