package seekable

import (
	"errors"
	"io"
)

// A Writer compresses what is written to it. It holds at most one frame of text. It is for one goroutine.
type Writer struct {
	w      io.Writer
	text   []byte // not yet compressed, less than a frame
	table  []byte // the entries so far
	frames uint32
	size   int64
	err    error // the first failure; all later calls return it
}

// NewWriter returns a Writer that writes the compressed form to w. The caller closes it; w is not closed.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

var errClosed = errors.New("seekable: write after Close")

// Write takes text. After an error the Writer is of no more use.
func (w *Writer) Write(p []byte) (int, error) {
	n := 0
	for w.err == nil && n < len(p) {
		if len(w.text) == 0 && len(p)-n >= FrameSize {
			w.frame(p[n : n+FrameSize]) // whole frames need not be gathered
			n += FrameSize
			continue
		}
		k := min(len(p)-n, FrameSize-len(w.text))
		w.text = append(w.text, p[n:n+k]...)
		n += k
		if len(w.text) == FrameSize {
			w.frame(w.text)
			w.text = w.text[:0]
		}
	}
	if w.err != nil {
		return 0, w.err
	}
	w.size += int64(n)
	return n, nil
}

// Size is how much text was written.
func (w *Writer) Size() int64 { return w.size }

// Close writes the last frame and the table. Without it the file cannot be read at an offset.
func (w *Writer) Close() error {
	if w.err == errClosed {
		return nil
	}
	if w.err == nil && len(w.text) > 0 {
		w.frame(w.text)
	}
	w.text = nil
	if w.err != nil {
		return w.err
	}
	b := make([]byte, 0, headSize+len(w.table)+footerSize)
	b = order.AppendUint32(b, tableMagic)
	b = order.AppendUint32(b, uint32(len(w.table)+footerSize))
	b = append(b, w.table...)
	b = order.AppendUint32(b, w.frames)
	b = append(b, 0)
	b = order.AppendUint32(b, footerMagic)
	if _, err := w.w.Write(b); err != nil {
		w.err = err
		return err
	}
	w.err = errClosed
	return nil
}

// frame compresses text into a frame of its own.
func (w *Writer) frame(text []byte) {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.out = e.z.EncodeAll(text, e.out[:0])
	if _, err := w.w.Write(e.out); err != nil {
		w.err = err
		return
	}
	w.table = order.AppendUint32(w.table, uint32(len(e.out)))
	w.table = order.AppendUint32(w.table, uint32(len(text)))
	w.frames++
}
