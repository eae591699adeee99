package npm

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// A walker goes over a JSON text and knows where it is. It holds one token in memory, never a document.
type walker struct {
	d       *jsontext.Decoder
	base    int64 // offset of the text that the decoder reads
	scratch []byte
}

// Members of one name are allowed, the last wins, as in JavaScript; so are strings that are no Unicode.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)} // never changed

// newWalker reads r, whose first byte is at offset base.
func newWalker(r io.Reader, base int64) *walker {
	return &walker{d: jsontext.NewDecoder(r, lenient...), base: base}
}

// reset begins another text.
func (w *walker) reset(r io.Reader, base int64) {
	w.d.Reset(r, lenient...)
	w.base = base
}

// end is the offset behind what was read last.
func (w *walker) end() int64 { return w.base + w.d.InputOffset() }

var errKind = errors.New("a value is of another kind than it should be")

// A name is the name of a member of an object, good until the next read.
type name struct {
	text []byte // unquoted
	from int64  // where it begins, with its quote
	lead int64  // bytes between the value before, or the opening brace, and from
}

// object walks over an object. each is given the names in turn and reads one value.
func (w *walker) object(each func(n name) error) (where cut, err error) {
	if w.d.PeekKind() != '{' {
		return where, w.failed()
	}
	if _, err := w.d.ReadToken(); err != nil {
		return where, err
	}
	where.from = w.end() - 1
	for w.d.PeekKind() == '"' {
		before := w.end()
		raw, err := w.d.ReadValue()
		if err != nil {
			return where, err
		}
		n := name{from: w.end() - int64(len(raw))}
		n.lead = n.from - before
		n.text = w.unquote(raw)
		if err := each(n); err != nil {
			return where, err
		}
	}
	if _, err := w.d.ReadToken(); err != nil { // the closing brace, or the error that stopped the loop
		return where, err
	}
	where.to = w.end()
	return where, nil
}

// failed is why the next value is not what it should be: the text is broken, or it is of another kind.
func (w *walker) failed() error {
	if _, err := w.d.ReadToken(); err != nil {
		return err
	}
	return errKind
}

// unquote returns the text of a string. What is no Unicode in it is replaced.
func (w *walker) unquote(raw jsontext.Value) []byte {
	if bytes.IndexByte(raw, '\\') < 0 && len(raw) >= 2 {
		return raw[1 : len(raw)-1]
	}
	w.scratch, _ = jsontext.AppendUnquote(w.scratch[:0], raw) // an error tells of what was replaced
	return w.scratch
}

// str reads a value and returns it if it is a string: its text, good until the next read, and where it is.
func (w *walker) str() (text []byte, where cut, err error) {
	if w.d.PeekKind() != '"' {
		return nil, where, w.d.SkipValue()
	}
	raw, err := w.d.ReadValue()
	if err != nil {
		return nil, where, err
	}
	where = cut{w.end() - int64(len(raw)), w.end()}
	return w.unquote(raw), where, nil
}

// value reads a whole value, which is good until the next read, and says where it is.
func (w *walker) value() (jsontext.Value, cut, error) {
	raw, err := w.d.ReadValue()
	return raw, cut{w.end() - int64(len(raw)), w.end()}, err
}

// skip reads over a value.
func (w *walker) skip() error { return w.d.SkipValue() }

// isObject reports whether the next value is an object.
func (w *walker) isObject() bool { return w.d.PeekKind() == '{' }
