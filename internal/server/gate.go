package server

import (
	"container/list"
	"errors"
	"net"
	"net/http"
	"os"
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
	every time.Duration // how long a loop that accepts is left to wait: then it has to show that it moves

	mu      sync.Mutex // guards what follows, and every conn's place in idle; never held across I/O
	idle    *list.List // of *conn, longest idle first
	waiting int        // how many Accepts wait for a slot: connections that go idle are closed
	hungry  bool       // descriptors have run out: the next connection to go idle is closed
}

func newHall(most int, open prometheus.Gauge) *hall {
	return &hall{slots: make(chan struct{}, most), open: open, idle: list.New(), every: time.Second}
}

// A gate is a listener that leads into a hall.
type gate struct {
	*net.TCPListener
	*hall
	done   chan struct{}
	closed sync.Once
	made   time.Time
	moved  atomic.Int64 // when the loop that accepts was last seen to move, in nanoseconds since then: no clock that is set makes it stand still
}

func newGate(l *net.TCPListener, h *hall) *gate {
	g := &gate{TCPListener: l, hall: h, done: make(chan struct{}), made: time.Now()}
	g.beat()
	l.SetDeadline(time.Now().Add(g.every)) // if it is closed, accepting says so
	return g
}

// beat notes that the loop moves.
func (g *gate) beat() { g.moved.Store(int64(time.Since(g.made))) }

// still is how long the loop has not moved; 0 of a gate that was closed.
func (g *gate) still(now time.Time) time.Duration {
	select {
	case <-g.done:
		return 0
	default:
		return now.Sub(g.made) - time.Duration(g.moved.Load())
	}
}

// accept waits for a client. It wakes from time to time, which shows that the loop, and what wakes it, are alive.
func (g *gate) accept() (*net.TCPConn, error) {
	for {
		g.beat()
		c, err := g.AcceptTCP()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
		if err := g.SetDeadline(time.Now().Add(g.every)); err != nil {
			return nil, err
		}
	}
}

// room waits until there is a place for one more, or the gate is closed.
func (g *gate) room() bool {
	beat := time.NewTicker(g.every) // to wait for room is to move: the hall is full, and nothing is wrong with it
	defer beat.Stop()
	for {
		select {
		case g.slots <- struct{}{}:
			return true
		case <-g.done:
			return false
		case <-beat.C:
			g.beat()
		}
	}
}

// Accept waits for a client, and then until there is room for it.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.accept()
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
		if !g.room() {
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
	if above, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS, or what was read already
		nc = above.NetConn()
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
