package npm

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"millpond"
)

// largestRest is the largest body of a publish or an edit, less the tarball in it: it is in memory.
const largestRest = 8 << 20

// A splitter reads the one JSON document that a publish is, and takes the tarball out of it: the string at
// _attachments.*.data is decoded as it arrives, and a decoder that holds whole strings in memory never meets it. The members
// may be in any order. It follows valid JSON; whatever is not is left for the decoder of the rest to refuse.
type splitter struct {
	in    *bufio.Reader
	rest  []byte
	stack []byte    // the braces and brackets that are open
	keys  [3]string // the names that lead to the value now read, as deep as they matter
}

// split returns the document with empty strings where tarballs were. divert is given the name of each attachment, whose
// bytes it wants written. An attachment in clear text (.sigstore) stays in the rest.
func split(r io.Reader, divert func(name string) (io.Writer, error)) ([]byte, error) {
	s := splitter{in: bufio.NewReaderSize(r, 64<<10)}
	name := false // whether the next string is a name
	for {
		c, err := s.in.ReadByte()
		if err == io.EOF {
			return s.rest, nil
		}
		if err != nil {
			return nil, broken(err)
		}
		if err := s.keep(c); err != nil {
			return nil, err
		}
		switch c {
		case '{', '[':
			if len(s.stack) >= 10_000 {
				return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the body is nested too deeply"}
			}
			s.stack = append(s.stack, c)
			name = c == '{'
		case '}', ']':
			if len(s.stack) > 0 {
				s.stack = s.stack[:len(s.stack)-1]
			}
			name = false
		case ',':
			name = len(s.stack) > 0 && s.stack[len(s.stack)-1] == '{'
		case ':':
			name = false
		case '"':
			if !name && s.attachment() {
				to, err := divert(s.keys[1])
				if err != nil {
					return nil, err
				}
				if err := s.decode(to); err != nil {
					return nil, err
				}
				continue
			}
			if err := s.str(name); err != nil {
				return nil, err
			}
		}
	}
}

// attachment reports whether the value that begins here is a tarball.
func (s *splitter) attachment() bool {
	return string(s.stack) == "{{{" && s.keys[0] == "_attachments" && s.keys[2] == "data" && !strings.HasSuffix(s.keys[1], ".sigstore")
}

func (s *splitter) keep(c byte) error {
	if len(s.rest) >= largestRest {
		return &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("the body without its tarball is larger than %d MiB", largestRest>>20)}
	}
	s.rest = append(s.rest, c)
	return nil
}

// str reads to the end of a string whose quote was read, and notes it if it is a name.
func (s *splitter) str(name bool) error {
	from := len(s.rest) - 1
	for escaped := false; ; {
		c, err := s.in.ReadByte()
		if err != nil {
			return broken(err)
		}
		if err := s.keep(c); err != nil {
			return err
		}
		if c == '"' && !escaped {
			break
		}
		escaped = c == '\\' && !escaped
	}
	if depth := len(s.stack); name && depth > 0 && depth <= len(s.keys) {
		var word string
		if json.Unmarshal(s.rest[from:], &word) != nil {
			return &millpond.Error{Kind: millpond.Invalid, Why: "the body is not JSON"}
		}
		s.keys[depth-1] = word
	}
	return nil
}

// decode writes the base64 up to the closing quote, decoded. It may hold escaped slashes and line breaks, nothing else that
// is escaped.
func (s *splitter) decode(to io.Writer) error {
	d := decoder{to: to}
	for {
		if _, err := s.in.Peek(1); err != nil {
			return broken(err)
		}
		b, _ := s.in.Peek(s.in.Buffered()) // what is buffered can be peeked at
		i := bytes.IndexAny(b, `"\`)
		if i < 0 {
			i = len(b)
		}
		if err := d.write(b[:i]); err != nil {
			return err
		}
		s.in.Discard(i) // of what is buffered
		if i == len(b) {
			continue
		}
		c, err := s.in.ReadByte()
		if err != nil {
			return broken(err)
		}
		if c == '"' {
			break
		}
		if c, err = s.in.ReadByte(); err != nil {
			return broken(err)
		}
		switch c {
		case '/':
			if err := d.write([]byte{'/'}); err != nil {
				return err
			}
		case 'n', 'r':
		default:
			return errBase64
		}
	}
	if err := d.end(); err != nil {
		return err
	}
	return s.keep('"')
}

var errBase64 = &millpond.Error{Kind: millpond.Invalid, Why: "the attached data is not base64"}

// A decoder decodes base64 that comes in pieces.
type decoder struct {
	to    io.Writer
	left  []byte // less than a group of four
	out   []byte
	ended bool // padding was met
}

func (d *decoder) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if d.ended {
		return errBase64
	}
	d.left = append(d.left, b...)
	n := len(d.left) / 4 * 4
	d.out = append(d.out[:0], make([]byte, n/4*3)...)
	m, err := base64.StdEncoding.Decode(d.out, d.left[:n])
	if err != nil || bytes.ContainsAny(d.left[:n], "\r\n") {
		return errBase64
	}
	d.ended = m < n/4*3
	d.left = d.left[:copy(d.left, d.left[n:])]
	_, err = d.to.Write(d.out[:m])
	return err
}

func (d *decoder) end() error {
	if len(d.left) > 0 {
		return errBase64
	}
	return nil
}

func broken(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &millpond.Error{Kind: millpond.Invalid, Why: "the body ends before its end"}
	}
	return &millpond.Error{Kind: millpond.Invalid, Why: "the body cannot be read to its end", Err: err}
}
