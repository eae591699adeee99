package http1

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A requestContext ends when its request is answered or the client leaves. That somebody looks whether it does costs a
// goroutine and several system calls, so nobody does before Done is called.
type requestContext struct {
	conn *conn

	mu    sync.Mutex // guards ended, and the making of inner
	ended bool
	inner atomic.Pointer[inner]
}

// An inner context is a request's, once somebody has asked for its Done.
type inner struct {
	context.Context
	cancel context.CancelFunc
}

func (c *requestContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done begins to look whether the client leaves.
func (c *requestContext) Done() <-chan struct{} {
	if in := c.inner.Load(); in != nil {
		return in.Done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if in := c.inner.Load(); in != nil {
		return in.Done()
	}
	ctx, cancel := context.WithCancel(c.conn.values)
	c.inner.Store(&inner{ctx, cancel})
	if c.ended {
		cancel()
	} else {
		c.conn.watch(cancel)
	}
	return ctx.Done()
}

func (c *requestContext) Err() error {
	if in := c.inner.Load(); in != nil {
		return in.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return context.Canceled
	}
	return nil
}

// Value knows the context's own cancellation too, by a key of package context's, so that one that is derived from it needs no
// goroutine.
func (c *requestContext) Value(key any) any {
	if in := c.inner.Load(); in != nil {
		return in.Value(key)
	}
	return c.conn.values.Value(key)
}

// end ends the context: its request is answered.
func (c *requestContext) end() {
	c.mu.Lock()
	c.ended = true
	in := c.inner.Load()
	c.mu.Unlock()
	if in != nil {
		in.cancel()
	}
}

// hijack ends the watch: the connection is another's. It reports false if it was already.
func (c *requestContext) hijack() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn.handed {
		return false
	}
	c.conn.handed = true
	c.conn.unwatch()
	return true
}
