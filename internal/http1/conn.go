package http1

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// What a connection waits for.
const (
	fresh  int32 = iota // its first request
	idle                // another one
	busy                // its answer, or the rest of a request's header
	closed              // nothing
)

const (
	// mostHeader is the longest header of a request that is plain.
	mostHeader = 4 << 10
	// lingers is how long a client may take to read its last answer.
	lingers = 500 * time.Millisecond
)

// A conn is a connection that has brought nothing but plain requests.
type conn struct {
	net.Conn
	server *Server
	values context.Context // what handlers find in their contexts
	remote string
	came   time.Time
	phase  atomic.Int32

	in         [mostHeader]byte
	start, end int           // what was read and not answered yet
	until      time.Time     // the read deadline
	handed     bool          // it is another's by now; guarded by the requestContext's mu, if there is one
	watched    chan struct{} // closed when nobody reads beside the request; nil if nobody does; guarded as handed
	out, held  []byte        // buffers of answers
}

// serve answers requests until the connection ends or brings one that is not plain.
func (c *conn) serve() {
	defer c.leave()
	for {
		head, ok := c.read()
		if !ok {
			return
		}
		r := parse(head, c.remote)
		if r == nil {
			c.handOver()
			return
		}
		c.start += len(head)
		if !c.answer(r) {
			return
		}
	}
}

// leave ends the connection, if it is still this one's.
func (c *conn) leave() {
	if !c.handed {
		c.phase.Store(closed)
		c.Conn.Close()
		c.tell(http.StateClosed)
	}
	c.server.gone(c)
}

// tell says what becomes of the connection.
func (c *conn) tell(state http.ConnState) {
	if f := c.server.ConnState; f != nil {
		f(c.Conn, state)
	}
}

// handOver gives the connection to net/http, with what was read of it.
func (c *conn) handOver() {
	c.handed = true
	c.Conn.SetDeadline(time.Time{}) // net/http sets its own
	c.server.others.take(&resumed{Conn: c.Conn, unread: bytes.Clone(c.in[c.start:c.end])})
}

// headEnd ends the header of a request.
var headEnd = []byte("\r\n\r\n")

// read waits for all of a request's header. What it returns is not plain for certain if it does not end with headEnd. It
// reports false if the connection has ended.
func (c *conn) read() ([]byte, bool) {
	if c.start == c.end {
		c.start, c.end = 0, 0
		if !c.await() {
			return nil, false
		}
	} else {
		c.phase.Store(busy)
	}
	searched := c.start
	for first := true; ; first = false {
		if i := bytes.Index(c.in[searched:c.end], headEnd); i >= 0 {
			return c.in[c.start : searched+i+len(headEnd)], true
		}
		if hasBareLF(c.in[c.start:c.end]) {
			return c.in[c.start:c.end], true
		}
		searched = max(c.start, c.end-len(headEnd)+1)
		if c.end == len(c.in) {
			if c.start == 0 {
				return c.in[:], true // longer than plain requests are
			}
			copy(c.in[:], c.in[c.start:c.end])
			searched -= c.start
			c.start, c.end = 0, c.end-c.start
		}
		if first {
			c.readWithin(c.server.ReadHeaderTimeout, 0)
		}
		n, err := c.Conn.Read(c.in[c.end:])
		c.end += n
		if n == 0 && err != nil {
			return c.in[c.start:c.end], err == io.EOF // net/http has a word for who leaves in the middle
		}
	}
}

// hasBareLF reports whether a line ends with LF alone, as net/http lets it.
func hasBareLF(b []byte) bool {
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') {
			return true
		}
	}
	return false
}

// await waits for the first byte of a request.
func (c *conn) await() bool {
	if c.phase.Load() == fresh {
		c.readWithin(c.server.ReadHeaderTimeout, 0)
		c.tell(http.StateNew)
	} else {
		if c.server.ending.Load() {
			return false
		}
		c.tell(http.StateIdle)
		if !c.phase.CompareAndSwap(busy, idle) {
			return false
		}
		c.readWithin(c.server.IdleTimeout, c.server.IdleTimeout/8)
	}
	n, err := c.Conn.Read(c.in[:])
	c.end = n
	if n == 0 && err != nil || c.phase.Swap(busy) == closed {
		return false
	}
	c.tell(http.StateActive)
	return true
}

// readWithin sets how long reads may take from now on; 0 is for ever. A deadline that is earlier by no more than slack stays:
// to move a timer costs more than to compare two times.
func (c *conn) readWithin(d, slack time.Duration) {
	var t time.Time
	if d > 0 {
		t = time.Now().Add(d)
		if later := t.Sub(c.until); !c.until.IsZero() && later >= 0 && later <= slack {
			return
		}
	}
	c.until = t
	c.Conn.SetReadDeadline(t) // of a connection that has ended: the next read says so
}

// answer has the handler answer a request, and reports whether the connection stays.
func (c *conn) answer(r *http.Request) (stays bool) {
	ctx := &requestContext{conn: c}
	r = r.WithContext(ctx)
	if c.server.WriteTimeout > 0 {
		c.Conn.SetWriteDeadline(time.Now().Add(c.server.WriteTimeout)) // of a connection that has ended: the next write says so
	}
	x := newResponse(c, r, ctx)
	defer x.end()
	if !c.handle(x, r) {
		return false
	}
	if x.finish() {
		return true
	}
	c.linger()
	return false
}

// handle calls the handler, and reports whether the answer is to be finished. What a handler that panics has not sent yet is not
// sent.
func (c *conn) handle(x *response, r *http.Request) (done bool) {
	defer func() {
		if cause := recover(); cause != nil && cause != http.ErrAbortHandler && c.server.ErrorLog != nil {
			c.server.ErrorLog.Printf("http1: panic while serving %s: %v\n%s", c.remote, cause, debug.Stack())
		}
		x.ctx.end()
		c.unwatch()
		done = done && !c.handed
	}()
	c.server.Handler.ServeHTTP(x, r)
	return true
}

// linger lets the client read its last answer: a connection that is closed while something that it has sent was not read is
// reset, and what it has not read yet is lost.
func (c *conn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.readWithin(lingers, 0)
	io.CopyN(io.Discard, onlyReader{c.Conn}, 256<<10) // its end is as good as any other
}

// onlyReader hides what else a connection can do.
type onlyReader struct{ io.Reader }

// watch reads beside a request, and calls left if the client leaves. The request's goroutine, and it alone, ends it with
// unwatch.
func (c *conn) watch(left func()) {
	if c.handed || c.start < c.end {
		return // it is another's, or the client has sent another request already, so it waits
	}
	c.start, c.end = 0, 0
	c.until = time.Time{}
	c.Conn.SetReadDeadline(time.Time{}) // of a connection that has ended: the read says so
	done := make(chan struct{})
	c.watched = done
	go func() {
		defer close(done)
		n, err := c.Conn.Read(c.in[:])
		c.end = n
		if e, ok := err.(net.Error); err != nil && !(ok && e.Timeout()) {
			left()
		}
	}()
}

// unwatch ends watch.
func (c *conn) unwatch() {
	if c.watched == nil {
		return
	}
	c.Conn.SetReadDeadline(time.Unix(1, 0)) // of a connection that has ended: the read has ended too
	<-c.watched
	c.watched, c.until = nil, time.Unix(1, 0)
}

// resumed is a connection of which something was read already. In all else it is the one below: files leave it by sendfile.
type resumed struct {
	net.Conn
	unread []byte
}

func (r *resumed) Read(b []byte) (int, error) {
	if len(r.unread) == 0 {
		return r.Conn.Read(b)
	}
	n := copy(b, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

// ReadFrom sends what a reader has, a file by way of the kernel.
func (r *resumed) ReadFrom(src io.Reader) (int64, error) { return io.Copy(r.Conn, src) }

// CloseWrite ends what is sent.
func (r *resumed) CloseWrite() error {
	if half, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return http.ErrNotSupported
}

// NetConn is the connection below.
func (r *resumed) NetConn() net.Conn { return r.Conn }
