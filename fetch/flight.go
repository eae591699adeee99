package fetch

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/url"
	"os"
	"path"
	"runtime/debug"
	"sync"
	"time"

	"millpond"
	"millpond/blob"
)

const (
	small     = 1 << 20  // a body of up to so many bytes is verified before its first leaves
	lastBytes = 64 << 10 // of every body wait for the verification
	fileLimit = 20 << 30
	headBytes = 512
)

// A flight is one download and its readers. Its own goroutine runs fill; the readers follow it through Body.
//
// Order of locks: use, then mu.
type flight struct {
	e     *Engine
	u     *Upstream
	file  File
	ctx   context.Context // ends when the engine stops
	began time.Time

	use sync.RWMutex // held for reading while bytes are read; for writing while what they are read from is replaced
	w   blob.Writer  // nil if the store takes nothing (then tail has the bytes), and after the end
	tl  *tail        // bytes that the store did not take
	gen int          // raised when the download starts over; changed under use and mu

	mu      sync.Mutex    // guards the fields below; never held across I/O
	changed chan struct{} // closed at the next change; nil while nobody waits for one
	size    int64         // -1 if not known
	arrived int64
	sniffed bool // the head is as it should be
	hold    bool // show nothing before the end
	over    bool // all is verified and kept, or err says why not
	err     error
	kind    string             // Content-Type
	readers int                // that hold a body or wait for one
	bodies  map[*body]struct{} // that have something to read
	pacing  bool               // the filling goroutine waits for its slowest reader
	passed  bool               // its first bytes are gone: who comes now is too late for it

	// What follows is the filling goroutine's own.
	head    []byte
	sums    map[string]hash.Hash // of the bytes so far, where the store's word is not enough; by algorithm
	tag     string               // the strong entity tag of the object being downloaded
	whole   bool                 // the last answer said where its end is
	coding  string               // the Content-Encoding it came in although none was asked for
	raw     bool                 // keep such a body as it came
	fresh   bool                 // ask past caches: the first bytes were wrong
	url     *url.URL
	wire    int64
	resumed bool // w was begun by an earlier download
	doubted bool // what that one had is not known yet to be of the object that the upstream has now
	damaged bool // the bytes were judged and found wrong
	came    bool // all of them, in the last try
	sealed  bool // the store has them
}

// ended remembers a download that has just ended well, for a reader who asked the catalog a moment too early.
type ended struct {
	blob millpond.Digest
	size int64
	kind string
	at   time.Time
}

const (
	endedFor  = 10 * time.Second
	endedMost = 4096
)

// Open opens a file: it begins the download, or joins the one that runs. The download goes on when ctx ends. Open returns
// when the first bytes that may be read are there (all of them, for a small file), or the error with nothing to read.
func (u *Upstream) Open(ctx context.Context, f File) (Body, error) {
	e := u.e
	for {
		fl, done, err := u.board(ctx, f)
		if err != nil {
			return nil, err
		}
		if fl != nil {
			return fl.join(ctx)
		}
		if b, err := e.reopen(ctx, done); err == nil {
			return b, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, canceled(ctx)
		}
		e.mu.Lock()
		if e.ended[f.ID] == done {
			delete(e.ended, f.ID) // its blob is gone: download it again, unless somebody has meanwhile
		}
		e.mu.Unlock()
	}
}

// A boarding is a flight, and whether another reader began it.
type boarding struct {
	*flight
	joined bool
}

// board finds the download of that ID or begins it; one that is not stored and has let go of its first bytes does not do any
// more. It returns what is known of one that has just ended instead, if there
// is one.
func (u *Upstream) board(ctx context.Context, f File) (*boarding, ended, error) {
	e := u.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ended{}, stopping()
	}
	late := false
	if fl := e.flights[f.ID]; fl != nil {
		if fl.board() {
			return &boarding{fl, true}, ended{}, nil
		}
		late = true
	}
	if done, ok := e.ended[f.ID]; ok && !f.Drop && e.now().Sub(done.at) < endedFor {
		return nil, done, nil
	}
	if most := orDefault(e.Waiting, 1024) + orDefault(e.Most, 256); len(e.flights)+e.passed >= most {
		return nil, ended{}, busy(e.now())
	}
	if late {
		e.passed++ // it goes on for the readers that it has
	}
	if f.Limit <= 0 {
		f.Limit = fileLimit
	}
	fl := &flight{e: e, u: u, file: f, began: time.Now(), size: -1, readers: 1, bodies: map[*body]struct{}{},
		ctx: WithVia(e.ctx, Via(ctx))} // not the first reader's: it outlives them
	e.flights[f.ID] = fl
	e.work.Add(1)
	e.fills.Add(1)
	if f.Begin != nil {
		e.work.Go(fl.prepare)
	}
	go fl.run()
	return &boarding{fl, false}, ended{}, nil
}

// board counts a reader in, unless the first bytes are no longer there for it.
func (f *flight) board() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.passed {
		return false
	}
	f.readers++
	return true
}

// reopen reads what has just been downloaded.
func (e *Engine) reopen(ctx context.Context, d ended) (Body, error) {
	r, err := e.Blobs.Open(ctx, d.blob, 0, -1)
	if err != nil {
		return nil, err
	}
	rs, ok := r.(io.ReadSeekCloser)
	if !ok {
		r.Close()
		return nil, errors.ErrUnsupported
	}
	return &held{ReadSeekCloser: rs, size: d.size, kind: d.kind}, nil
}

// held is the Body of a download that has ended.
type held struct {
	io.ReadSeekCloser
	size int64
	kind string
}

func (h *held) Arrived() int64                    { return h.size }
func (h *held) Await(context.Context, int64) bool { return true }
func (h *held) Size() int64                       { return h.size }
func (h *held) Type() string                      { return h.kind }
func (h *held) Joined() bool                      { return true }

// run downloads, and tells the end.
func (f *flight) run() {
	e := f.e
	defer e.work.Done()
	defer e.fills.Add(-1)
	sealed, err := f.guarded(f.ctx)
	stopped := err != nil && f.ctx.Err() != nil
	if stopped {
		err = stopping()
	} else if err != nil && f.file.Failed != nil {
		f.file.Failed(err)
	}
	e.mu.Lock()
	if e.flights[f.file.ID] == f {
		delete(e.flights, f.file.ID)
	} else {
		e.passed--
	}
	if now := e.now(); !sealed.IsZero() {
		if len(e.ended) >= endedMost {
			maps.DeleteFunc(e.ended, func(_ string, d ended) bool { return now.Sub(d.at) >= endedFor })
		}
		if len(e.ended) < endedMost {
			e.ended[f.file.ID] = ended{sealed, f.arrived, f.kind, now}
		}
	}
	e.mu.Unlock()
	f.mu.Lock()
	f.over, f.err = true, err
	if err == nil {
		f.size = f.arrived
	}
	alone := f.readers == 0
	f.wake()
	f.mu.Unlock()
	switch {
	case err != nil:
		f.abandon(stopped)
	case alone:
		f.release()
	}
}

// guarded is fill, whatever a format's Sniff, Verify or Get does on bytes that it did not expect.
func (f *flight) guarded(ctx context.Context) (sealed millpond.Digest, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &millpond.Error{Kind: millpond.Internal, Why: "a download panicked", Err: fmt.Errorf("%v\n%s", p, debug.Stack())}
			f.e.log.Error("a download panicked", "upstream", f.u.settings.Name, "file", f.name(), "err", err)
		}
	}()
	return f.fill(ctx)
}

// prepare runs what a download begins with, guarded as the download is.
func (f *flight) prepare() {
	defer func() {
		if p := recover(); p != nil {
			f.e.log.Error("the preparing of a download panicked", "upstream", f.u.settings.Name, "file", f.name(), "err", p, "stack", string(debug.Stack()))
		}
	}()
	f.file.Begin(f.ctx)
}

// release lets go of the bytes when nobody can read them any more.
func (f *flight) release() {
	f.use.Lock()
	defer f.use.Unlock()
	if f.w != nil {
		if f.file.Drop || f.tl != nil {
			f.w.Discard() // what cannot be removed now is tidied up later
		}
		f.w.Close()
		f.w = nil
	}
	if f.tl != nil {
		f.tl.drop()
		f.tl = nil
	}
}

// wake tells all who wait for a change. It is called with mu held.
func (f *flight) wake() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// change is closed at the next change. It is called with mu held.
func (f *flight) change() <-chan struct{} {
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed
}

// readable is how many bytes from the start readers may have. It is called with mu held.
func (f *flight) readable() int64 {
	switch {
	case f.over:
		return f.arrived
	case f.hold, !f.sniffed:
		return 0
	case f.size >= 0 && f.size <= small, f.size < 0 && f.arrived <= small:
		return 0
	case f.size >= 0:
		return max(min(f.arrived, f.size-lastBytes), 0)
	}
	return f.arrived - lastBytes
}

// join waits until there is something to read and makes a reader of it.
func (b *boarding) join(ctx context.Context) (Body, error) {
	f := b.flight
	f.mu.Lock()
	for !f.over && f.readable() == 0 {
		ch := f.change()
		f.mu.Unlock()
		select {
		case <-ch:
		case <-ctx.Done():
			f.part()
			return nil, canceled(ctx)
		}
		f.mu.Lock()
	}
	if err := f.err; err != nil {
		f.mu.Unlock()
		f.part()
		return nil, err
	}
	defer f.mu.Unlock()
	r := &body{f: f, joined: b.joined, told: f.size, closed: make(chan struct{})}
	f.bodies[r] = struct{}{}
	f.e.followers.Add(1)
	return r, nil
}

// part counts a reader who leaves. The last one of a download that has ended takes the bytes along.
func (f *flight) part() {
	f.mu.Lock()
	f.readers--
	last := f.over && f.err == nil && f.readers == 0 // what failed is taken away by run
	if f.pacing {
		f.wake()
	}
	f.mu.Unlock()
	if last {
		f.release()
	}
}

// readAt reads bytes that have arrived. It is called with use held.
func (f *flight) readAt(p []byte, off int64) (int, error) {
	if f.tl == nil {
		if f.w == nil {
			return 0, errGone
		}
		return f.w.ReadAt(p, off)
	}
	if off < f.tl.from {
		if f.w == nil {
			return 0, errGone
		}
		return f.w.ReadAt(p[:min(int64(len(p)), f.tl.from-off)], off)
	}
	return f.tl.ReadAt(p, off)
}

// shared is the file of the store that the bytes of a generation are in, nil if they are not all in one; false if that generation
// is over.
func (f *flight) shared(gen int) (*os.File, bool) {
	f.use.RLock()
	defer f.use.RUnlock()
	if f.gen != gen {
		return nil, false
	}
	w, ok := f.w.(blob.Filed)
	if !ok || f.tl != nil {
		return nil, true
	}
	return w.File(), true
}

var errGone = errors.New("fetch: the bytes are no longer there")

// name is the file's, for words.
func (f *flight) name() string {
	if u, err := url.Parse(f.file.URL); err == nil && path.Base(u.Path) != "." && path.Base(u.Path) != "/" {
		return path.Base(u.Path)
	}
	return "a file"
}

func busy(now time.Time) error {
	return &millpond.Error{Kind: millpond.Throttled, After: now.Add(5 * time.Second),
		Why: "this pond is busy: too many downloads wait for a place"}
}
