package format

import "strings"

// Unescape decodes the escapes of a URL's path, each once. ok is false for one that is wrong, and for one that hides a slash:
// such a path could be read as another.
func Unescape(escaped string) (path string, ok bool) {
	at := strings.IndexByte(escaped, '%')
	if at < 0 {
		return escaped, true
	}
	b := append(make([]byte, 0, len(escaped)), escaped[:at]...)
	for i := at; i < len(escaped); i++ {
		c := escaped[i]
		if c == '%' {
			if i+2 >= len(escaped) {
				return "", false
			}
			hi, lo := digit(escaped[i+1]), digit(escaped[i+2])
			if c = hi<<4 | lo; hi > 15 || lo > 15 || c == '/' {
				return "", false
			}
			i += 2
		}
		b = append(b, c)
	}
	return string(b), true
}

// digit is the value of a hexadecimal digit; more than 15 if c is none.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// Escape is a path as a URL has it: letters and digits of ASCII and the bytes of plain stay, and the others are escaped. What
// separates segments is in plain, or segments are escaped one by one.
func Escape(path, plain string) string {
	stays := func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(plain, c) >= 0
	}
	n := 0
	for i := range len(path) {
		if !stays(path[i]) {
			n++
		}
	}
	if n == 0 {
		return path
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(path)+2*n)
	for i := range len(path) {
		if c := path[i]; stays(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}
