package cli

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// A plain writer lets text through, and makes control characters visible instead of letting a terminal obey them: escape
// sequences, and the marks that turn the direction of writing. Lines and tabs stay.
type plain struct{ w io.Writer }

func (p *plain) Write(b []byte) (int, error) {
	if clean(b) {
		return p.w.Write(b)
	}
	var out bytes.Buffer
	for rest := b; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			out.WriteByte('?')
		case dangerous(r):
			fmt.Fprintf(&out, "\\u%04x", r) // also what JSON would write
		default:
			out.Write(rest[:n])
		}
		rest = rest[n:]
	}
	if _, err := p.w.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(b), nil
}

// clean reports whether b is nothing but printable ASCII and lines, as nearly all output is: also each line of the access log.
func clean(b []byte) bool {
	for len(b) >= 8 {
		if !printable(binary.LittleEndian.Uint64(b)) && !cleanBytes(b[:8]) {
			return false
		}
		b = b[8:]
	}
	return cleanBytes(b)
}

func cleanBytes(b []byte) bool {
	for _, c := range b {
		if (c < ' ' && c != '\n' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}

// printable reports whether all eight bytes of w are printable ASCII.
func printable(w uint64) bool {
	const each, top = 0x0101010101010101, 0x8080808080808080
	below := w - ' '*each  // borrows, and so sets the top bit, where a byte is less than a space
	above := w + 0x01*each // carries into the top bit where a byte is 0x7f
	return (w|below|above)&top == 0
}

func dangerous(r rune) bool {
	switch r {
	case '\n', '\t':
		return false
	case utf8.RuneError:
		return true
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}
