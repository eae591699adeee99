package fetch

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	ratioLimit = 200     // a text may be this many times its compressed form,
	ratioFree  = 1 << 20 // or this long whatever its form
	zstdWindow = 8 << 20 // the largest that RFC 9659 lets a server use
)

// Decoders are costly to make. The pools hold no state that a caller could see.
var (
	gzips = sync.Pool{New: func() any { return new(gzip.Reader) }}
	zstds = sync.Pool{New: func() any {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			panic(err) // the options above do not agree with one another
		}
		return z
	}}
)

// codingOf is the one Content-Encoding of an answer, "" for none.
func codingOf(h http.Header) (string, error) {
	coding := strings.ToLower(strings.TrimSpace(strings.Join(h.Values("Content-Encoding"), ",")))
	switch coding {
	case "", "identity":
		return "", nil
	case "gzip", "x-gzip":
		return "gzip", nil
	case "zstd":
		return "zstd", nil
	}
	return "", fmt.Errorf("sent the encoding %q, which it was not asked for", coding)
}

// decode returns the plain text of a body. done gives the decoder back.
func decode(coding string, body io.Reader) (r io.Reader, done func(), err error) {
	switch coding {
	case "gzip":
		z := gzips.Get().(*gzip.Reader)
		if err := z.Reset(body); err != nil {
			gzips.Put(z)
			return nil, nil, err
		}
		return z, func() {
			z.Reset(strings.NewReader("")) // lets go of the body
			gzips.Put(z)
		}, nil
	case "zstd":
		z := zstds.Get().(*zstd.Decoder)
		if err := z.Reset(body); err != nil {
			zstds.Put(z)
			return nil, nil, err
		}
		return z, func() {
			z.Reset(nil) // lets go of the body
			zstds.Put(z)
		}, nil
	}
	return body, func() {}, nil
}

// errPacked marks a text whose packing is broken, as opposed to a body that broke off.
var errPacked = errors.New("cannot be unpacked")

// plain reads a body as its text: unpacked, and no longer or denser than it may be. n is the length of the text; a caller
// that stops for an error of its own gets it back. The body has been read to its end if err is nil.
func plain(body *watched, coding string, limit int64, w io.Writer, buf []byte) (n int64, err error) {
	began := body.wire
	src := &broke{r: body}
	r, done, err := decode(coding, src)
	if err != nil {
		return 0, src.or(err)
	}
	defer done()
	for {
		k, err := r.Read(buf)
		n += int64(k)
		if n > limit {
			return n, errLimit
		}
		if wire := body.wire - began; coding != "" && n > ratioFree && n > ratioLimit*wire {
			return n, errDense
		}
		if k > 0 {
			if _, err := w.Write(buf[:k]); err != nil {
				return n, &sinkError{err}
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, src.or(err)
		}
	}
	if coding != "" { // the frames of the transfer end behind those of the packing
		if k, err := io.CopyN(io.Discard, src, 1); k > 0 || err != io.EOF {
			return n, src.or(errors.New("more behind its end"))
		}
	}
	return n, nil
}

var errDense = errors.New("unpacks to more than it may")

// broke tells a body's own failure from those of its decoder.
type broke struct {
	r   io.Reader
	err error
}

func (b *broke) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// or is the body's failure, else err as one of the packing.
func (b *broke) or(err error) error {
	if b.err != nil {
		return b.err
	}
	return fmt.Errorf("%w: %w", errPacked, err)
}

// A sinkError is a failure of our own side.
type sinkError struct{ err error }

func (s *sinkError) Error() string { return s.err.Error() }
func (s *sinkError) Unwrap() error { return s.err }
