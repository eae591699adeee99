package server

import (
	"container/list"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

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
