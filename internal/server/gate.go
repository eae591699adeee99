package server

import (
	"container/list"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A hall is what the connections of all listeners share: so many come in and no more. When it is full the connection that
// has been idle longest makes room; when none is idle, who comes waits in the kernel's queue.
type hall struct {
	slots chan struct{}
	open  prometheus.Gauge
	slack time.Duration // that a write deadline may come early

	mu      sync.Mutex // guards what follows, and every conn's place in idle; never held across I/O
	idle    *list.List // of *conn, longest idle first
	waiting int        // how many Accepts wait for a slot: connections that go idle are closed
	hungry  bool       // descriptors have run out: the next connection to go idle is closed
}

func newHall(most int, open prometheus.Gauge) *hall {
	return &hall{slots: make(chan struct{}, most), open: open, idle: list.New()}
}

// A gate is a listener that leads into a hall.
type gate struct {
	*net.TCPListener
	*hall
	done   chan struct{}
	closed sync.Once
}

func newGate(l *net.TCPListener, h *hall) *gate {
	return &gate{TCPListener: l, hall: h, done: make(chan struct{})}
}

// A conn gives its slot back when it is closed. It is a *net.TCPConn in all else, so that files leave by sendfile.
type conn struct {
	*net.TCPConn
	gate   *gate
	place  *list.Element // in gate.idle; nil while it works
	closed sync.Once
	until  atomic.Int64 // the write deadline, in unix nanoseconds; 0 is none
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

// Accept waits for a client, and then until there is room for it.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.AcceptTCP()
	if err != nil {
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			g.dropIdle(func() { g.hungry = true }) // the server waits a little and comes again
		}
		return nil, err
	}
	select {
	case g.slots <- struct{}{}:
	default:
		waits := !g.dropIdle(func() { g.waiting++ })
		select {
		case g.slots <- struct{}{}:
		case <-g.done:
			c.Close()
			c = nil
		}
		if waits {
			g.mu.Lock()
			g.waiting--
			g.mu.Unlock()
		}
		if c == nil {
			return nil, net.ErrClosed
		}
	}
	g.open.Inc()
	return &conn{TCPConn: c, gate: g}, nil
}

// Close stops accepting.
func (g *gate) Close() error {
	g.closed.Do(func() { close(g.done) })
	return g.TCPListener.Close()
}

// dropIdle closes the connection that has been idle longest. If there is none it calls none, which says under the lock what
// is to become of the next that goes idle, and reports false.
func (h *hall) dropIdle(none func()) bool {
	h.mu.Lock()
	front := h.idle.Front()
	if front == nil {
		none()
		h.mu.Unlock()
		return false
	}
	c := front.Value.(*conn)
	h.idle.Remove(front)
	c.place = nil
	h.mu.Unlock()
	c.Close()
	return true
}

// state follows what connections do; see http.Server.ConnState.
func (g *hall) state(nc net.Conn, state http.ConnState) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	g.mu.Lock()
	if c.place != nil {
		g.idle.Remove(c.place)
		c.place = nil
	}
	drop := false
	if state == http.StateIdle {
		if g.hungry || g.waiting > 0 {
			g.hungry, drop = false, true
		} else {
			c.place = g.idle.PushBack(c)
		}
	}
	g.mu.Unlock()
	if drop {
		c.Close()
	}
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
