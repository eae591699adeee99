package format_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"millpond"
	"millpond/format"
)

// An arriving is a body whose bytes come when the test says so, as a download's do.
type arriving struct {
	*bytes.Reader

	mu      sync.Mutex // guards the rest
	arrived int64
	sealed  bool
	err     error
	changed chan struct{}
	once    sync.Once
	closed  chan struct{}
}

func newArriving(body []byte) *arriving {
	return &arriving{Reader: bytes.NewReader(body), changed: make(chan struct{}), closed: make(chan struct{})}
}

// come lets n bytes have arrived; all of them and the seal if err is nil and n is the whole length.
func (a *arriving) come(n int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.arrived, a.err, a.sealed = n, err, err == nil && n == a.Reader.Size()
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *arriving) Arrived() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.arrived
}

func (a *arriving) Await(ctx context.Context, n int64) bool {
	for {
		a.mu.Lock()
		arrived, sealed, err, changed := a.arrived, a.sealed, a.err, a.changed
		a.mu.Unlock()
		if sealed || err != nil || arrived >= n && n < a.Reader.Size() {
			return err == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		case <-a.closed:
			return false
		}
	}
}

func (a *arriving) Read(b []byte) (int, error) {
	at, err := a.Reader.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if !a.Await(context.Background(), min(at+1, a.Reader.Size()-1)) && a.failed() == nil {
		return 0, io.ErrClosedPipe
	}
	if err := a.failed(); err != nil {
		return 0, err
	}
	return a.Reader.Read(b[:min(int64(len(b)), a.Arrived()-at)])
}

func (a *arriving) failed() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *arriving) Close() error {
	a.once.Do(func() { close(a.closed) })
	return nil
}

// A reply is what a client has of an answer while it comes.
type reply struct {
	*httptest.ResponseRecorder
	mu  sync.Mutex // guards the recorder's body
	cut bool       // the handler ended the connection; set before ended is closed
}

func (r *reply) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ResponseRecorder.Write(b)
}

func (r *reply) has() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Body.Len()
}

// ask serves a growing body to a client that wants a range of it.
func ask(ctx context.Context, a *arriving, spec string) (*reply, <-chan struct{}) {
	w := &reply{ResponseRecorder: httptest.NewRecorder()}
	req := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	req.Header.Set("Range", spec)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { w.cut = recover() == http.ErrAbortHandler }()
		format.Serve(w, req, &millpond.Content{ReadSeekCloser: a, Size: a.Reader.Size(), Growing: true})
	}()
	return w, ended
}

const kib = 1 << 10

func TestLastBytesOfARangeWaitForTheSeal(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 64*kib) // 1 MiB
	for _, c := range []struct {
		name, spec string
		off, n     int
	}{
		{"at the start", "bytes=0-262143", 0, 256 * kib},
		{"in the middle", "bytes=100000-299999", 100000, 200000},
		{"hardly more than what waits", "bytes=7-65543", 7, 64*kib + 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newArriving(body)
				a.come(512*kib, nil)
				w, ended := ask(t.Context(), a, c.spec)
				synctest.Wait()
				if got, want := w.has(), c.n-64*kib; w.Code != 206 || got != want {
					t.Errorf("before the seal the client has %d and %d bytes, want 206 and %d", w.Code, got, want)
				}
				time.Sleep(time.Hour) // in the test's own time
				if got, want := w.has(), c.n-64*kib; got != want {
					t.Errorf("an hour later the client has %d bytes, want %d", got, want)
				}
				a.come(int64(len(body)), nil)
				<-ended
				if !bytes.Equal(w.Body.Bytes(), body[c.off:c.off+c.n]) || w.cut {
					t.Errorf("after the seal the client has %d bytes (cut %v), want those %d", w.Body.Len(), w.cut, c.n)
				}
			})
		})
	}
}

func TestRangeOfWrongBytesNeverEndsCleanly(t *testing.T) {
	body := make([]byte, 512*kib)
	for _, spec := range []string{"bytes=0-131071", "bytes=0-9", "bytes=-20"} {
		t.Run(spec, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newArriving(body)
				a.come(400*kib, nil)
				w, ended := ask(t.Context(), a, spec)
				synctest.Wait()
				a.come(int64(len(body)), errors.New("other bytes than declared"))
				<-ended
				if !w.cut {
					t.Errorf("the reply %d with %d bytes ended cleanly, want it cut", w.Code, w.Body.Len())
				}
			})
		})
	}
}

// A range that lies within what waits for the seal has nothing to send meanwhile: a client that would give up on a silent
// server gets the whole body as it grows.
func TestSmallRangeIsWaitedForAndThenTheWholeIsGiven(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 300*kib)
	for _, c := range []struct {
		name        string
		after       time.Duration
		status, got int
	}{
		{"sealed in time", 9 * time.Second, 206, 10},
		{"not sealed in time", 11 * time.Second, 200, 300 * kib},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newArriving(body)
				a.come(200*kib, nil)
				w, ended := ask(t.Context(), a, "bytes=0-9")
				time.Sleep(c.after)
				a.come(int64(len(body)), nil)
				<-ended
				if w.Code != c.status || w.Body.Len() != c.got {
					t.Errorf("got %d with %d bytes, want %d with %d", w.Code, w.Body.Len(), c.status, c.got)
				}
			})
		})
	}
}

// A reader who leaves is let go at once, though no byte more comes.
func TestReaderWhoLeaves(t *testing.T) {
	for spec, want := range map[string]int{"bytes=0-131071": 64 * kib, "": 400 * kib} {
		t.Run(spec, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newArriving(make([]byte, 512*kib))
				a.come(400*kib, nil)
				ctx, leave := context.WithCancel(t.Context())
				w, ended := ask(ctx, a, spec)
				synctest.Wait()
				leave()
				<-ended
				if !w.cut || w.Body.Len() != want {
					t.Errorf("cut %v with %d bytes, want true and %d", w.cut, w.Body.Len(), want)
				}
			})
		})
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		condition, tag string
		want           bool
	}{
		{`"a"`, `"a"`, true},
		{`W/"a"`, `"a"`, true},
		{`"b", "a"`, `"a"`, true},
		{`*`, `"a"`, true},
		{`*`, ``, false},
		{``, `"a"`, false},
		{`"ab"`, `"a"`, false},
		{`a`, `"a"`, false},
	} {
		if got := format.Matches(c.condition, c.tag); got != c.want {
			t.Errorf("Matches(%q, %q) = %t, want %t", c.condition, c.tag, got, c.want)
		}
	}
}

func TestIsHosted(t *testing.T) {
	for layer, want := range map[string]bool{"": true, "staging/": true, "upstream.example": false, "staging/upstream.example": false} {
		if got := format.IsHosted(layer); got != want {
			t.Errorf("IsHosted(%q) = %t, want %t", layer, got, want)
		}
	}
}
