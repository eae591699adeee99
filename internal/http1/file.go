package http1

import (
	"errors"
	"io"
	"net/http"
	"os"
	"syscall"
)

// ReadFrom sends the rest of the body. A file leaves by sendfile.
func (x *response) ReadFrom(src io.Reader) (int64, error) {
	limited, ok := src.(*io.LimitedReader)
	if !ok || limited.N <= 0 {
		return io.Copy(onlyWriter{x}, src)
	}
	if err := x.mayWrite(limited.N); err != nil {
		return 0, err
	}
	_, isFile := limited.R.(syscall.Conn)
	to, canSend := x.conn.Conn.(io.ReaderFrom)
	if !isFile || !canSend || !x.plain() {
		return io.Copy(onlyWriter{x}, src)
	}
	if err := x.begin(); err != nil {
		return 0, err
	}
	n, err := to.ReadFrom(limited)
	x.written += n
	return n, err
}

// onlyWriter hides ReadFrom, which would call itself.
type onlyWriter struct{ io.Writer }

// SendFile sends n bytes of a file, from off on, as a part of the body. The file may be in use by others: its offset is neither
// used nor moved. It says how many were sent; errors.ErrUnsupported if the rest cannot leave in this way.
func (x *response) SendFile(f *os.File, off, n int64) (int64, error) {
	if err := x.mayWrite(n); err != nil {
		return 0, err
	}
	to, canSend := x.conn.Conn.(syscall.Conn)
	if !canSend || !sends || !x.plain() {
		return 0, errors.ErrUnsupported
	}
	if err := x.begin(); err != nil {
		return 0, err
	}
	sent, err := sendFile(to, f, off, n)
	x.written += sent
	return sent, err
}

// plain reports whether the bytes of a file are those that go to the client, and nothing else has to be said or learnt of them.
func (x *response) plain() bool {
	return x.length >= 0 && x.typed && x.request.Method != http.MethodHead
}

// begin sends the header of a body that does not go through the buffer.
func (x *response) begin() error {
	x.beginBody(nil)
	if len(x.out) > 0 {
		// Alone the header would be a packet, and wake the client for nothing, which costs as much as finding the file.
		_, x.failed = writeMore(x.conn.Conn, x.out)
		x.out = x.out[:0]
	}
	return x.failed
}
