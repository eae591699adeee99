package server

import (
	"bytes"
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A conn gives its slot back when it is closed. It is a *net.TCPConn in all else, so that files leave by sendfile.
type conn struct {
	*net.TCPConn
	gate   *gate
	place  *list.Element // in gate.idle; nil while it works
	closed sync.Once
	until  atomic.Int64 // the write deadline, in unix nanoseconds; 0 is none

	// Of the request that is being answered; only its goroutine has them.
	left  int64     // bytes of the answer's body that are still to be written, if the answer is to leave in one piece; else 0
	held  []byte    // what was written of such an answer
	parts [2][]byte // what leaves
	more  bool      // what is written next is followed by more at once
	raw   syscall.RawConn
}

// connKey is under what a request's context has its *conn.
type connKey struct{}

// withConn is an http.Server's ConnContext.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf is the connection of a request; nil if net/http does not write to it itself, for TLS stands between, or if it is a
// test's.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// inOnePiece says that an answer of which nothing was written yet has a body of so many bytes, and that they are written next:
// net/http hands the connection the first 4096 bytes and then the rest, and each time costs as much as finding the answer.
func (c *conn) inOnePiece(body int64) { c.left = body }

// beforeFile says that the header is what is written next, and a file right after it: then the header waits for the file.
// Alone it would be a packet, and would wake the client for nothing, which costs as much again as finding the file.
func (c *conn) beforeFile() { c.more = true }

// afterFile says that what is written next waits for nothing, though no header was written since beforeFile.
func (c *conn) afterFile() { c.more = false }

// Write sends bytes, or keeps the beginning of an answer that is to leave in one piece.
func (c *conn) Write(b []byte) (int, error) {
	if c.left == 0 {
		if c.more {
			c.more = false
			return c.writeMore(b)
		}
		return c.TCPConn.Write(b)
	}
	body := int64(len(b))
	if len(c.held) == 0 {
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 { // a header longer than net/http's buffer
			c.left = 0
			return c.TCPConn.Write(b)
		}
		body -= int64(end + 4)
	}
	if c.left -= body; c.left > 0 {
		c.held = append(c.held, b...)
		return len(b), nil
	}
	c.left = 0
	if len(c.held) == 0 {
		return c.TCPConn.Write(b)
	}
	c.parts = [2][]byte{c.held, b}
	all := net.Buffers(c.parts[:])
	n, err := all.WriteTo(c.TCPConn)
	n -= int64(len(c.held)) // of which it was said that they were written
	c.held, c.parts = c.held[:0], [2][]byte{}
	return int(max(n, 0)), err
}

// SetWriteDeadline leaves a deadline that is nearly as late as the one wanted: each request wants one, and to move a timer
// costs more than to compare two times.
func (c *conn) SetWriteDeadline(t time.Time) error {
	until := c.until.Load()
	if later := t.UnixNano() - until; until != 0 && !t.IsZero() && later >= 0 && later < int64(c.gate.slack) {
		return nil
	}
	c.note(t)
	return c.TCPConn.SetWriteDeadline(t)
}

// SetDeadline sets both.
func (c *conn) SetDeadline(t time.Time) error {
	c.note(t)
	return c.TCPConn.SetDeadline(t)
}

func (c *conn) note(t time.Time) {
	if t.IsZero() {
		c.until.Store(0)
		return
	}
	c.until.Store(t.UnixNano())
}

// Close ends the connection and gives its slot back.
func (c *conn) Close() error {
	err := c.TCPConn.Close()
	c.closed.Do(func() {
		c.gate.mu.Lock()
		if c.place != nil {
			c.gate.idle.Remove(c.place)
			c.place = nil
		}
		c.gate.mu.Unlock()
		c.gate.open.Dec()
		<-c.gate.slots
	})
	return err
}
