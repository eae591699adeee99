package fetch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/mem"
	"millpond/fetch/faulty"
)

// A rig is an engine before a faulty upstream. When its test ends, the engine is closed and nothing may be left: no
// goroutine, no unfinished blob, no memory of bodies that were not stored.
type rig struct {
	*Engine
	t     *testing.T
	up    *Upstream
	srv   *faulty.Server
	store *tracked
	clock *clockwork
}

// clockwork is a clock that a test moves; it also runs, so that nothing stands still by accident.
type clockwork struct {
	mu  sync.Mutex
	add time.Duration
}

func (c *clockwork) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.add)
}

func (c *clockwork) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add += d
}

// newRig makes a rig; change may alter the settings and the engine before they are used.
func newRig(t *testing.T, change ...func(*Engine, *Settings)) *rig {
	return newRigOn(t, faulty.New(t), change...)
}

func newRigOn(t *testing.T, srv *faulty.Server, change ...func(*Engine, *Settings)) *rig {
	t.Helper()
	before := runtime.NumGoroutine()
	r := &rig{t: t, srv: srv, store: &tracked{Store: new(mem.Store)}, clock: new(clockwork)}
	r.Engine = &Engine{Blobs: r.store, Now: r.clock.Now, Version: "1.0", Instance: "pond-1",
		tune: tune{pause: time.Millisecond, grace: 5 * time.Second}}
	s := Settings{Name: "up", URL: mustParse(srv.URL + "/"), CA: srv.CA}
	for _, f := range change {
		f(r.Engine, &s)
	}
	var err error
	if r.up, err = r.Upstream(s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Errorf("close the engine: %v", err)
		}
		srv.Close()
		r.store.check(t)
		if n := r.memory.Load(); n != 0 {
			t.Errorf("%d bytes of memory are still counted", n)
		}
		if s := r.Stats(); s.Fills != 0 || s.Followers != 0 || s.Waiting != 0 {
			t.Errorf("left over: %+v", s)
		}
		for range 200 {
			if runtime.NumGoroutine() <= before {
				return
			}
			runtime.Gosched()
			time.Sleep(5 * time.Millisecond) // connections end in their own time
		}
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
	})
	return r
}

func mustParse(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// file asks for a path, whose bytes should be want; nil if nobody declared any.
func (r *rig) file(path string, want []byte) File {
	f := File{ID: path, URL: r.srv.URL + path, Size: -1}
	if want != nil {
		f.Want = []millpond.Digest{millpond.SHA256(want)}
	}
	return f
}

// read opens a file and reads all of it.
func (r *rig) read(f File) ([]byte, error) {
	b, err := r.up.Open(r.t.Context(), f)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// good fails the test unless a file reads as want.
func (r *rig) good(f File, want []byte) {
	r.t.Helper()
	got, err := r.read(f)
	if err != nil || !bytes.Equal(got, want) {
		r.t.Errorf("%s: read %d bytes, %v; want %d right ones", f.URL, len(got), err, len(want))
	}
}

// bad fails the test unless reading a file ends in an error of that kind with those words.
func (r *rig) bad(f File, kind millpond.Kind, words string) {
	r.t.Helper()
	got, err := r.read(f)
	wantError(r.t, err, kind, words)
	if err == nil {
		r.t.Errorf("read %d bytes with a clean end", len(got))
	}
}

// held fails the test unless the store holds exactly these bytes.
func (r *rig) held(want ...[]byte) {
	r.t.Helper()
	n := 0
	for d, err := range r.store.List(context.Background(), millpond.Digest{}) {
		if err != nil {
			r.t.Fatal(err)
		}
		n++
		found := false
		for _, w := range want {
			found = found || d == millpond.SHA256(w)
		}
		if !found {
			r.t.Errorf("the store holds %v, which nobody asked for", d)
		}
	}
	if n != len(want) {
		r.t.Errorf("the store holds %d blobs, want %d", n, len(want))
	}
}

func wantError(t *testing.T, err error, kind millpond.Kind, words string) {
	t.Helper()
	if !millpond.Is(err, kind) || !strings.Contains(fmt.Sprint(err), words) {
		t.Errorf("got error %v (%v), want %v with %q", err, millpond.KindOf(orNone(err)), kind, words)
	}
}

func orNone(err error) error {
	if err == nil {
		return fmt.Errorf("none")
	}
	return err
}

// noise is n bytes that do not repeat.
func noise(n int) []byte {
	b := make([]byte, n)
	if _, err := faulty.Noise(uint64(n), int64(n)).ReadAt(b, 0); err != nil && n > 0 {
		panic(err)
	}
	return b
}

// tracked is a store that knows its writers, and fails on order.
type tracked struct {
	blob.Store
	full func(written int64) error // asked before each write, with 0 at Create; nil always has room
	seal func() error              // asked before each Commit

	mu      sync.Mutex
	writers []*trackedWriter
}

type trackedWriter struct {
	blob.Writer
	s         *tracked
	mu        sync.Mutex
	committed bool
	discarded bool
	closed    bool
}

func (s *tracked) Create(ctx context.Context) (blob.Writer, error) {
	if s.full != nil {
		if err := s.full(0); err != nil {
			return nil, err
		}
	}
	w, err := s.Store.Create(ctx)
	return s.track(w), err
}

func (s *tracked) Resume(ctx context.Context, id string) (blob.Writer, error) {
	w, err := s.Store.Resume(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.track(w), nil
}

func (s *tracked) track(w blob.Writer) blob.Writer {
	if w == nil {
		return nil
	}
	tw := &trackedWriter{Writer: w, s: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writers = append(s.writers, tw)
	return tw
}

func (w *trackedWriter) Write(p []byte) (int, error) {
	if w.s.full != nil {
		if err := w.s.full(w.Size() + int64(len(p))); err != nil {
			n, _ := w.Writer.Write(p[:len(p)/2]) // as a disk does
			return n, err
		}
	}
	return w.Writer.Write(p)
}

func (w *trackedWriter) Commit(ctx context.Context, want ...millpond.Digest) (millpond.Digest, error) {
	if w.s.seal != nil {
		if err := w.s.seal(); err != nil {
			return millpond.Digest{}, err
		}
	}
	d, err := w.Writer.Commit(ctx, want...)
	w.mu.Lock()
	w.committed = err == nil
	w.discarded = w.discarded || millpond.Is(err, millpond.Corrupt)
	w.mu.Unlock()
	return d, err
}

func (w *trackedWriter) Discard() error {
	w.mu.Lock()
	w.discarded = true
	w.mu.Unlock()
	return w.Writer.Discard()
}

func (w *trackedWriter) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	return w.Writer.Close()
}

// check fails the test for every writer that was left behind.
func (s *tracked) check(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range s.writers {
		w.mu.Lock()
		if !w.closed || !w.committed && !w.discarded {
			t.Errorf("writer %d of %d: closed %v, committed %v, discarded %v, with %d bytes", i, len(s.writers), w.closed,
				w.committed, w.discarded, w.Size())
		}
		w.mu.Unlock()
	}
}
