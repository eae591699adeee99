package raw

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"

	"millpond"
)

// h3Body is the body of an S3 request without the framing that streaming signatures put around it, and its length; -1 if it is
// not known. Who identifies the caller has checked the signatures of the chunks as they are read.
func h3Body(r *http.Request) (io.ReadCloser, int64, error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return r.Body, r.ContentLength, nil
	}
	size, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	if err != nil || size < 0 {
		return nil, 0, code("MissingContentLength", millpond.Invalid, "a body in chunks needs X-Amz-Decoded-Content-Length")
	}
	return &chunked{Closer: r.Body, r: bufio.NewReaderSize(r.Body, 64<<10), header: http.Header{}}, size, nil
}

// A chunked reads the chunks of a body, and the trailer behind them.
type chunked struct {
	io.Closer
	r      *bufio.Reader
	left   int64 // of the chunk
	begun  bool
	ended  bool
	header http.Header // the trailer
}

func badFrame(err error) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: "the chunks of the body cannot be read, or do not end", Err: err}
}

func (c *chunked) Read(p []byte) (int, error) {
	for c.left == 0 {
		if c.ended {
			return 0, io.EOF
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err == io.EOF {
		err = badFrame(io.ErrUnexpectedEOF)
	}
	return n, err
}

// next reads the header of the next chunk, or the trailer.
func (c *chunked) next() error {
	if c.begun {
		if line, err := c.line(); err != nil || line != "" {
			return badFrame(err)
		}
	}
	c.begun = true
	line, err := c.line()
	if err != nil {
		return badFrame(err)
	}
	text, _, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(text, 16, 40)
	if err != nil {
		return badFrame(err)
	}
	if c.left = int64(n); n > 0 {
		return nil
	}
	c.ended = true
	for {
		line, err := c.line()
		if err == io.EOF && line == "" {
			return nil
		}
		if err != nil {
			return badFrame(err)
		}
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || len(c.header) > 10 {
			return badFrame(nil)
		}
		c.header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
}

func (c *chunked) line() (string, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return string(line), err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
}

// declared are the digests in the trailer, once all was read. Those that are not known beforehand are taken as they come.
func (c *chunked) declared() (Sums, error) { return declared(c.header) }

// promised are the algorithms whose digests a trailer will bring.
func promised(h http.Header) []string {
	var out []string
	for one := range strings.SplitSeq(h.Get("X-Amz-Trailer"), ",") {
		if name, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(one)), "x-amz-checksum-"); ok {
			out = append(out, name)
		}
	}
	return out
}
