package raw

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/format"
)

// tookOver is how long a request waits for the one before it to let go of an upload.
const tookOver = 5 * time.Second

// receiving are the chunks that are on their way in. A client whose connection hangs comes again on another: the chunk that it
// sent before is ended then, and what came of it is kept.
type receiving struct {
	mu sync.Mutex // guards by
	by map[string]*chunk
}

// A chunk is the body of a request that goes on with an upload.
type chunk struct {
	body io.Reader
	over atomic.Bool
	done chan struct{} // closed when nobody writes to the upload any more

	mu      sync.Mutex               // guards control; never held across I/O
	control *http.ResponseController // of its request; nil once that is answered, for its connection serves another then
}

var errTakenOver = &millpond.Error{Kind: millpond.Conflict, Why: "another request goes on with this upload", Err: errors.New("taken over")}

func (c *chunk) Read(p []byte) (int, error) {
	if c.over.Load() {
		return 0, errTakenOver
	}
	n, err := c.body.Read(p)
	if c.over.Load() {
		return 0, errTakenOver // also of what came late
	}
	return n, err
}

// cut ends the reading of the body, if its request is still there.
func (c *chunk) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.control != nil {
		c.control.SetReadDeadline(time.Unix(1, 0)) // a connection without deadlines ends in its own time
	}
}

// end says that the request is about to be answered.
func (c *chunk) end() {
	c.mu.Lock()
	c.control = nil
	c.mu.Unlock()
	close(c.done)
}

func (h handler) receiving() *receiving {
	s, ok := h.repo.(format.Sharer)
	if !ok {
		return &receiving{by: map[string]*chunk{}}
	}
	return s.Shared("uploads", func() any { return &receiving{by: map[string]*chunk{}} }).(*receiving)
}

// begin notes a chunk. Its end is told by end.
func (r *receiving) begin(id string, w http.ResponseWriter, body io.Reader) (c *chunk, end func()) {
	c = &chunk{body: body, control: http.NewResponseController(w), done: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by[id] = c
	return c, func() {
		c.end()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.by[id] == c {
			delete(r.by, id)
		}
	}
}

// interrupt ends the chunk of an upload that is on its way, and waits until nobody writes to it.
func (r *receiving) interrupt(ctx context.Context, id string) {
	r.mu.Lock()
	c := r.by[id]
	r.mu.Unlock()
	if c == nil {
		return
	}
	c.over.Store(true)
	ctx, cancel := context.WithTimeout(ctx, tookOver)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond) // whoever reads the body may have set a later deadline meanwhile
	defer again.Stop()
	for {
		c.cut()
		select {
		case <-c.done:
			return
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}
