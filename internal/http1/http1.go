// Package http1 is an http.Server for a house whose requests are nearly all alike: GET and HEAD over plain HTTP/1.1 (RFC 9112),
// without a body, on connections that stay. Those it reads and answers by itself, in a third less time than net/http, which
// has to be ready for everything: it starts a goroutine beside each request to learn whether the client leaves, moves two timers,
// and writes what is longer than its buffer in pieces.
//
// It takes only what cannot be understood in two ways. A connection that brings anything else (a body, an upgrade, HTTP/1.0, a
// line without CR, a header beyond the buffer, a doubtful byte) is given to net/http, with all that was not answered yet, and
// stays there. So there is one place where doubtful requests are judged, and it is the one that the world uses.
package http1

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Server is an http.Server with a way of its own for plain requests. It uses the http.Server's Handler, ReadHeaderTimeout,
// IdleTimeout, WriteTimeout, ConnState, ConnContext and ErrorLog. Handlers find what they find in net/http, but for this: the
// context of a request learns that the client has left only after somebody has asked for its Done, which every context that
// is derived from it does; and a 1xx status is not sent.
type Server struct {
	*http.Server

	others *others
	ending atomic.Bool // no connection stays after its answer
	dated  atomic.Pointer[dated]

	mu       sync.Mutex // guards what follows; never held across I/O
	listener net.Listener
	conns    map[*conn]bool
	emptied  chan struct{} // closed when the last of conns has gone; nil while nobody waits
}

// dated is a second, and how it stands in a Date.
type dated struct {
	second int64
	text   string
}

// date is what the Date of an answer says that is sent now. Thousands of answers a second say the same.
func (s *Server) date(now time.Time) string {
	d, second := s.dated.Load(), now.Unix()
	if d == nil || d.second != second {
		d = &dated{second, now.UTC().Format(http.TimeFormat)}
		s.dated.Store(d)
	}
	return d.text
}

// New makes a server around one of net/http, which must not be used by itself.
func New(s *http.Server) *Server {
	return &Server{Server: s, conns: map[*conn]bool{}, others: newOthers()}
}

// Serve answers what comes to the listener until Shutdown or Close, and returns http.ErrServerClosed, or the error with which
// the listener failed. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	if s.ending.Load() {
		return http.ErrServerClosed
	}
	s.others.addr = l.Addr()
	go s.Server.Serve(s.others) // ends with Shutdown or Close
	var pause time.Duration
	for {
		c, err := l.Accept()
		if err == nil {
			pause = 0
			s.admit(c)
			continue
		}
		if s.ending.Load() {
			return http.ErrServerClosed
		}
		if e, ok := errors.AsType[syscall.Errno](err); !ok || !e.Temporary() {
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		time.Sleep(pause)
	}
}

// admit begins to serve a connection.
func (s *Server) admit(nc net.Conn) {
	ctx := context.WithValue(context.Background(), http.ServerContextKey, s.Server)
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, nc.LocalAddr())
	if s.ConnContext != nil {
		ctx = s.ConnContext(ctx, nc)
	}
	c := &conn{Conn: nc, server: s, values: ctx, remote: nc.RemoteAddr().String(), came: time.Now()}
	s.mu.Lock()
	s.conns[c] = true
	s.mu.Unlock()
	go c.serve() // ends with the connection
}

// gone forgets a connection.
func (s *Server) gone(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.emptied != nil && len(s.conns) == 0 {
		close(s.emptied)
		s.emptied = nil
	}
}

// SetKeepAlivesEnabled says whether connections stay after an answer, as that of net/http.
func (s *Server) SetKeepAlivesEnabled(stay bool) {
	s.ending.Store(!stay)
	s.Server.SetKeepAlivesEnabled(stay)
}

// newFor is how long a connection that has not brought anything yet may do so after Shutdown, as in net/http.
const newFor = 5 * time.Second

// Shutdown stops accepting, closes connections that wait for nothing, and waits until the others are answered, or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.SetKeepAlivesEnabled(false)
	s.mu.Lock()
	if s.listener != nil {
		s.listener.Close()
	}
	s.mu.Unlock()
	look := time.NewTicker(newFor / 10) // for those that were new
	defer look.Stop()
	for left := s.closeIdle(); left != nil; left = s.closeIdle() {
		select {
		case <-left:
		case <-look.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.Server.Shutdown(ctx))
		}
	}
	return s.Server.Shutdown(ctx) // only now: connections may have been given to it until here
}

// closeIdle closes the connections that no answer is due to, and returns what is closed when the others have gone; nil if there
// are none.
func (s *Server) closeIdle() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.phase.CompareAndSwap(idle, closed) || time.Since(c.came) > newFor && c.phase.CompareAndSwap(fresh, closed) {
			c.Conn.Close()
		}
	}
	if len(s.conns) == 0 {
		return nil
	}
	if s.emptied == nil {
		s.emptied = make(chan struct{})
	}
	return s.emptied
}

// Close ends everything at once.
func (s *Server) Close() error {
	s.SetKeepAlivesEnabled(false)
	s.mu.Lock()
	if s.listener != nil {
		s.listener.Close()
	}
	for c := range s.conns {
		c.Conn.Close()
	}
	s.mu.Unlock()
	return s.Server.Close()
}

// others are the connections that net/http serves, as a listener.
type others struct {
	addr  net.Addr
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func newOthers() *others { return &others{conns: make(chan net.Conn), ended: make(chan struct{})} }

// take gives a connection to net/http.
func (o *others) take(c net.Conn) {
	select {
	case o.conns <- c:
	case <-o.ended:
		c.Close()
	}
}

func (o *others) Accept() (net.Conn, error) {
	select {
	case c := <-o.conns:
		return c, nil
	case <-o.ended:
		return nil, net.ErrClosed
	}
}

func (o *others) Close() error {
	o.once.Do(func() { close(o.ended) })
	return nil
}

func (o *others) Addr() net.Addr { return o.addr }
