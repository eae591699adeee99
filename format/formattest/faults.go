package formattest

import (
	"context"
	"errors"
	"sync"

	"millpond"
	"millpond/blob"
	"millpond/catalog"
)

var errFault = errors.New("this write fails, for the test")

// A fault makes one write of a House fail, before it happened or after. Then, as after a crash, none follows it.
type fault struct {
	mu    sync.Mutex // guards all; never held across I/O
	left  int        // writes until it; 0 before it is armed
	after bool       // the write that fails has happened
	hit   bool
	all   bool // also what is kept of upstreams and of derived documents counts as a write
}

// CrashAt restarts the pond, and lets its n-th write from now on be the last one: that fails, before it happened or after, and
// all that come later. What is kept of upstreams, and of documents that were derived, counts too.
func (h *House) CrashAt(n int, after bool) {
	h.T.Helper()
	f := &fault{after: after, all: true}
	h.fault = f
	h.Restart()
	f.arm(n)
}

// Mended restarts the pond after CrashAt, with all its writes, and reports whether the one that fails was reached.
func (h *House) Mended() bool {
	h.T.Helper()
	hit := h.fault.wasHit()
	h.fault = nil
	h.Restart()
	return hit
}

// LoseCatalog takes the catalog from the running pond: nothing can be read of it or written to it until Restart.
func (h *House) LoseCatalog() {
	h.T.Helper()
	if err := h.Catalog.Close(); err != nil {
		h.T.Fatal(err)
	}
	h.lost = true
}

// arm lets the n-th write from now on fail.
func (f *fault) arm(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = n
}

// do does a write, or fails.
func (f *fault) do(write func() error) error {
	f.mu.Lock()
	crashed := f.hit
	f.left--
	now := f.left == 0
	f.hit = f.hit || now
	f.mu.Unlock()
	if crashed || now && !f.after {
		return errFault
	}
	err := write()
	if now {
		return errors.Join(errFault, err)
	}
	return err
}

func (f *fault) wasHit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

type faultyBlobs struct {
	blob.Store
	fault *fault
}

func (s faultyBlobs) Create(ctx context.Context) (w blob.Writer, err error) {
	err = s.fault.do(func() error {
		w, err = s.Store.Create(ctx)
		return err
	})
	if err != nil {
		if w != nil {
			w.Close()
		}
		return nil, err
	}
	return faultyWriter{w, s.fault}, nil
}

func (s faultyBlobs) Resume(ctx context.Context, id string) (blob.Writer, error) {
	w, err := s.Store.Resume(ctx, id)
	if err != nil {
		return nil, err
	}
	return faultyWriter{w, s.fault}, nil
}

// A faultyWriter is a blob.Placer: the stores of a House have no others.
type faultyWriter struct {
	blob.Writer
	fault *fault
}

func (w faultyWriter) Write(p []byte) (n int, err error) {
	err = w.fault.do(func() error {
		n, err = w.Writer.Write(p)
		return err
	})
	return n, err
}

func (w faultyWriter) Commit(ctx context.Context, want ...millpond.Digest) (d millpond.Digest, err error) {
	err = w.fault.do(func() error {
		d, err = w.Writer.Commit(ctx, want...)
		return err
	})
	return d, err
}

func (w faultyWriter) placer() blob.Placer { return w.Writer.(blob.Placer) }

func (w faultyWriter) PlaceAt(p []byte, off int64) error {
	return w.fault.do(func() error { return w.placer().PlaceAt(p, off) })
}

func (w faultyWriter) Flush() error                                     { return w.fault.do(w.placer().Flush) }
func (w faultyWriter) Rewind(size int64) error                          { return w.placer().Rewind(size) }
func (w faultyWriter) Take(ctx context.Context, size int64) error       { return w.placer().Take(ctx, size) }
func (w faultyWriter) Sum(ctx context.Context) (millpond.Digest, error) { return w.placer().Sum(ctx) }

type faultyCatalog struct {
	catalog.Catalog
	fault *fault
}

func (c faultyCatalog) Update(ctx context.Context, by millpond.Actor, f func(catalog.Tx) error) error {
	return c.fault.do(func() error { return c.Catalog.Update(ctx, by, f) })
}

func (c faultyCatalog) PutAnswer(ctx context.Context, a *catalog.Answer) error {
	return c.kept(func() error { return c.Catalog.PutAnswer(ctx, a) })
}

func (c faultyCatalog) PutHolding(ctx context.Context, h *catalog.Holding) error {
	return c.kept(func() error { return c.Catalog.PutHolding(ctx, h) })
}

func (c faultyCatalog) DropHoldings(ctx context.Context, layer, pkg, version string) error {
	return c.kept(func() error { return c.Catalog.DropHoldings(ctx, layer, pkg, version) })
}

func (c faultyCatalog) PutDerived(ctx context.Context, d *catalog.Derived) error {
	return c.kept(func() error { return c.Catalog.PutDerived(ctx, d) })
}

// kept is a write of the half of the catalog that can be read again.
func (c faultyCatalog) kept(write func() error) error {
	if !c.fault.all {
		return write()
	}
	return c.fault.do(write)
}
