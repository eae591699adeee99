package server

import (
	"container/list"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A gate is a listener that lets so many connections in and no more. When it is full the connection that has been idle
// longest makes room; when none is idle, who comes waits in the kernel's queue.
type gate struct {
	*net.TCPListener
	slots  chan struct{}
	done   chan struct{}
	closed sync.Once
	open   prometheus.Gauge
	slack  time.Duration // that a write deadline may come early

	mu     sync.Mutex // guards idle, and every conn's place in it; never held across I/O
	idle   *list.List // of *conn, longest idle first
	hungry bool       // Accept waits for a slot: the next connection to go idle is closed
}

func newGate(l *net.TCPListener, most int, open prometheus.Gauge) *gate {
	return &gate{TCPListener: l, slots: make(chan struct{}, most), done: make(chan struct{}), open: open, idle: list.New()}
}

// A conn gives its slot back when it is closed. It is a *net.TCPConn in all else, so that files leave by sendfile.
type conn struct {
	*net.TCPConn
	gate   *gate
	place  *list.Element // in gate.idle; nil while it works
	closed sync.Once
	until  time.Time // the write deadline, for who writes
}

// SetWriteDeadline leaves a deadline that is nearly as late as the one wanted: each request wants one, and to move a timer
// costs more than to compare two times.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if later := t.Sub(c.until); later >= 0 && later < c.gate.slack && !c.until.IsZero() {
		return nil
	}
	c.until = t
	return c.TCPConn.SetWriteDeadline(t)
}

// SetDeadline sets both.
func (c *conn) SetDeadline(t time.Time) error {
	c.until = t
	return c.TCPConn.SetDeadline(t)
}

// Accept waits for a client, and then until there is room for it.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.AcceptTCP()
	if err != nil {
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			g.dropIdle() // the server waits a little and comes again
		}
		return nil, err
	}
	select {
	case g.slots <- struct{}{}:
	default:
		g.dropIdle()
		select {
		case g.slots <- struct{}{}:
		case <-g.done:
			c.Close()
			return nil, net.ErrClosed
		}
		g.mu.Lock()
		g.hungry = false
		g.mu.Unlock()
	}
	g.open.Inc()
	return &conn{TCPConn: c, gate: g}, nil
}

// Close stops accepting.
func (g *gate) Close() error {
	g.closed.Do(func() { close(g.done) })
	return g.TCPListener.Close()
}

// dropIdle closes the connection that has been idle longest. If there is none, the next to go idle will be closed, for as
// long as Accept waits.
func (g *gate) dropIdle() {
	g.mu.Lock()
	front := g.idle.Front()
	if front == nil {
		g.hungry = true
		g.mu.Unlock()
		return
	}
	c := front.Value.(*conn)
	g.idle.Remove(front)
	c.place = nil
	g.mu.Unlock()
	c.Close()
}

// state follows what connections do; see http.Server.ConnState.
func (g *gate) state(nc net.Conn, state http.ConnState) {
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
		if g.hungry {
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
