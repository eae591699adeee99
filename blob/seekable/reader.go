package seekable

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"

	"millpond"
)

// A Reader reads the text of a compressed file at any offset. Its methods may be called by many goroutines. It holds the
// frame that was read last, so that reading on in small steps decompresses each frame once.
type Reader struct {
	r      io.ReaderAt
	frames []frame // where each begins, and one more for where the last ends

	mu    sync.Mutex // guards what follows; held while a frame is decompressed, so that two readers do not do it twice
	held  int        // the frame whose text is held
	text  []byte
	valid bool
}

// A frame is where one begins in the file and in the text.
type frame struct{ file, text int64 }

// NewReader reads the table of a compressed file of size bytes. It is Corrupt if that is not what a Writer wrote. The
// Reader reads from r until its last use.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	if size < headSize+footerSize {
		return nil, corrupt("a file of %d bytes has no seek table", size)
	}
	tail := make([]byte, min(size, 4<<10)) // the tables of all but large texts
	if err := readFull(r, tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	foot := tail[len(tail)-footerSize:]
	if order.Uint32(foot[5:]) != footerMagic {
		return nil, corrupt("the file does not end with a seek table")
	}
	if foot[4] != 0 {
		return nil, corrupt("the seek table has an unknown descriptor %#x", foot[4])
	}
	n := int64(order.Uint32(foot))
	length := headSize + n*entrySize + footerSize
	if length > size {
		return nil, corrupt("a table of %d frames does not fit into %d bytes", n, size)
	}
	if length > int64(len(tail)) {
		tail = make([]byte, length)
		if err := readFull(r, tail, size-length); err != nil {
			return nil, err
		}
	}
	table := tail[int64(len(tail))-length:]
	if order.Uint32(table) != tableMagic || int64(order.Uint32(table[4:])) != length-headSize {
		return nil, corrupt("the seek table has a wrong head")
	}
	d := &Reader{r: r, frames: make([]frame, 1, n+1)}
	var at frame
	for e := table[headSize : headSize+n*entrySize]; len(e) > 0; e = e[entrySize:] {
		packed, plain := int64(order.Uint32(e)), int64(order.Uint32(e[4:]))
		if plain == 0 || plain > FrameSize || packed == 0 || packed > maxFrame {
			return nil, corrupt("frame %d has %d bytes for %d of text", len(d.frames)-1, packed, plain)
		}
		at.file += packed
		at.text += plain
		d.frames = append(d.frames, at)
	}
	if at.file+length != size {
		return nil, corrupt("frames of %d bytes and a table of %d do not make %d", at.file, length, size)
	}
	return d, nil
}

// Size is the length of the text.
func (r *Reader) Size() int64 { return r.frames[len(r.frames)-1].text }

// ReadAt reads text. It is Corrupt if the frames are not what the table says, and io.EOF where the text ends.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("seekable: negative offset")
	}
	if len(p) == 0 {
		return 0, nil
	}
	n := 0
	i := sort.Search(len(r.frames), func(i int) bool { return r.frames[i].text > off }) - 1
	for ; n < len(p) && i < len(r.frames)-1; i++ {
		k, err := r.readFrame(p[n:], i, off+int64(n)-r.frames[i].text)
		n += k
		if err != nil {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readFrame reads text of one frame from an offset within it.
func (r *Reader) readFrame(p []byte, i int, off int64) (int, error) {
	size := r.frames[i+1].text - r.frames[i].text
	if off == 0 && int64(len(p)) >= size { // the whole frame: straight to where it is wanted
		if err := r.decode(p[:size], i); err != nil {
			return 0, err
		}
		return int(size), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.valid || r.held != i {
		if int64(cap(r.text)) < size {
			r.text = make([]byte, size)
		}
		r.text, r.held, r.valid = r.text[:size], i, false
		if err := r.decode(r.text, i); err != nil {
			return 0, err
		}
		r.valid = true
	}
	return copy(p, r.text[off:]), nil
}

// decode fills text with all of a frame.
func (r *Reader) decode(text []byte, i int) error {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	packed := int(r.frames[i+1].file - r.frames[i].file)
	if cap(d.in) < packed {
		d.in = make([]byte, packed)
	}
	d.in = d.in[:packed]
	if err := readFull(r.r, d.in, r.frames[i].file); err != nil {
		return err
	}
	got, err := d.z.DecodeAll(d.in, text[:0:len(text)])
	if err != nil {
		return &millpond.Error{Kind: millpond.Corrupt, Why: fmt.Sprintf("frame %d of a kept text is damaged", i), Err: err}
	}
	if len(got) != len(text) {
		return corrupt("frame %d has %d bytes of text, not %d as the table says", i, len(got), len(text))
	}
	if &got[0] != &text[0] {
		copy(text, got)
	}
	return nil
}

// readFull reads all of p, which must be there.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		return fmt.Errorf("read a kept text: %w", err)
	}
	if n < len(p) {
		return corrupt("the file ends at %d, within its frames", off+int64(n))
	}
	return nil
}

func corrupt(format string, args ...any) error {
	return &millpond.Error{Kind: millpond.Corrupt, Why: fmt.Sprintf(format, args...)}
}
