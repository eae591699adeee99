package server

import (
	"net/http"
	"sync"
	"time"
)

// A stream is an answer over HTTP/2. There net/http ends a stream whose write deadline passes also while nobody writes: while a
// client sends a large file, while the pond works, while it waits for news. A stream's client has as long as any other to take
// what is sent to it, and as long as it likes where nothing is.
type stream struct {
	http.ResponseWriter
	patience time.Duration
	deadline func(time.Time) error // sets net/http's

	mu      sync.Mutex // guards what follows; held across deadline, which waits for no client
	timer   *time.Timer
	own     bool      // net/http has no deadline any more: the timer counts
	writing bool      // something is being sent,
	since   time.Time // and from when on
	ended   bool      // the handler has returned: net/http's part is no more to be touched
}

// newStream is how a handler answers a request over HTTP/2; nil for an answer without deadlines, which is a test's. For the first
// half of the time net/http's own deadline does, so that a quick answer costs a timer that is stopped again.
func newStream(w http.ResponseWriter, patience time.Duration) *stream {
	d, ok := w.(interface{ SetWriteDeadline(time.Time) error })
	if !ok {
		return nil
	}
	x := &stream{ResponseWriter: w, patience: patience, deadline: d.SetWriteDeadline}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.timer = time.AfterFunc(patience/2, x.tick)
	return x
}

// tick takes the place of net/http's deadline, or ends the stream of a client that has taken nothing.
func (x *stream) tick() {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.ended:
	case !x.own:
		x.own = true
		x.deadline(time.Time{}) // of a stream that has ended: writing says so
		if x.writing {
			x.timer.Reset(x.patience)
		}
	case x.writing && time.Since(x.since) >= x.patience:
		x.deadline(time.Unix(1, 0))
	}
}

// begin says that something is being sent from now on.
func (x *stream) begin() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writing = true
	if x.own {
		x.since = time.Now()
		x.timer.Reset(x.patience)
	}
}

// pause says that it was sent.
func (x *stream) pause() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writing = false
	if x.own {
		x.timer.Stop()
	}
}

// piece is how much a client is to take within the patience, of what is written to it: TLS forgives no write that was late.
const piece = 64 << 10

func (x *stream) Write(b []byte) (int, error) {
	sent := 0
	for {
		x.begin()
		n, err := x.ResponseWriter.Write(b[sent:min(len(b), sent+piece)])
		x.pause()
		sent += n
		if err != nil || sent == len(b) {
			return sent, err
		}
	}
}

// Flush sends what is buffered.
func (x *stream) Flush() {
	x.begin()
	x.ResponseWriter.(http.Flusher).Flush() // every answer over HTTP/2 is one
	x.pause()
}

// SetWriteDeadline moves net/http's deadline on, while it counts.
func (x *stream) SetWriteDeadline(t time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.own || x.ended {
		return nil
	}
	return x.deadline(t)
}

// Unwrap lets http.ResponseController reach what is below.
func (x *stream) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// end gives net/http its deadline back: for what it has still to send.
func (x *stream) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	x.timer.Stop()
	if x.own {
		x.deadline(time.Now().Add(x.patience))
	}
}
