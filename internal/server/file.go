package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"

	"millpond/fetch"
)

// ReadFrom sends a body. A file goes to the connection as a file, so that the kernel can send it, and so does what has arrived
// of a download that goes into one; everything else is copied.
func (x *response) ReadFrom(src io.Reader) (int64, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	body, left := src, int64(1)<<62
	limited, isLimited := src.(*io.LimitedReader)
	if isLimited {
		body, left = limited.R, limited.N
	}
	send := x.sender(body)
	if send == nil {
		return io.Copy(onlyWriter{x}, src)
	}
	var sent int64
	for left > 0 {
		if err := x.withdrawn(); err != nil {
			return sent, err
		}
		x.moveDeadline(time.Now())
		n, more, err := send(min(left, chunk))
		sent += n
		left -= n
		x.bytes += n
		if isLimited {
			limited.N -= n
		}
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			n, err := io.Copy(onlyWriter{x}, src)
			return sent + n, err
		case errors.Is(err, os.ErrDeadlineExceeded) && n >= int64(x.server.patience.Seconds()*slowest) && n > 0:
			// Bytes that the client took in time buy it more time: the deadline bounds silence, not slowness.
			x.moved = time.Time{}
		case err != nil:
			return sent, err
		case !more:
			return sent, nil
		}
	}
	return sent, nil
}

// sender sends at most n bytes of a body from where it stands, and reports whether there may be more; nil for a body or a
// connection for which only copying will do.
func (x *response) sender(body io.Reader) func(n int64) (int64, bool, error) {
	if x.request.TLS != nil || x.counted > 0 {
		return nil
	}
	if to, ok := x.ResponseWriter.(io.ReaderFrom); ok {
		if _, ok := body.(syscall.Conn); ok {
			return func(n int64) (int64, bool, error) { return sendFile(to, body, n) }
		}
	}
	if to, ok := x.ResponseWriter.(partSender); ok {
		if arriving, ok := body.(fetch.Filed); ok {
			return func(n int64) (int64, bool, error) { return sendPiece(to, arriving, n) }
		}
	}
	return nil
}

// A partSender can send a part of a file that others use (see http1).
type partSender interface {
	SendFile(f *os.File, off, n int64) (int64, error)
}

// sendFile sends at most n bytes of a file from where it stands, and reports whether there may be more.
func sendFile(to io.ReaderFrom, file io.Reader, n int64) (int64, bool, error) {
	part := io.LimitedReader{R: file, N: n}
	sent, err := to.ReadFrom(&part)
	return sent, sent == n, err
}

// sendPiece sends at most n bytes of what has come of a download, and reports whether there may be more.
func sendPiece(to partSender, body fetch.Filed, n int64) (int64, bool, error) {
	f, off, n, err := body.Piece(n)
	if err == io.EOF {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	sent, err := to.SendFile(f, off, n)
	if sent > 0 {
		body.Seek(off+sent, io.SeekStart) // nothing can be wrong with where it has been
	}
	return sent, true, err
}

// onlyWriter hides ReadFrom, which would call itself.
type onlyWriter struct{ io.Writer }
