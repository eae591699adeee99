package server

import (
	"io"
	"net/http"
	"time"
)

// A body is what a client sends, bounded in size and in the time between two reads, so that one who sends a byte a minute
// holds nothing for long.
type body struct {
	io.ReadCloser
	control  *http.ResponseController
	patience time.Duration
}

func newBody(x *response, r *http.Request, most int64) *body {
	return &body{
		ReadCloser: http.MaxBytesReader(x.ResponseWriter, r.Body, most),
		control:    http.NewResponseController(x.ResponseWriter),
		patience:   x.server.patience,
	}
}

func (b *body) Read(p []byte) (int, error) {
	b.control.SetReadDeadline(time.Now().Add(b.patience)) // a connection without deadlines is a test's
	return b.ReadCloser.Read(p)
}
