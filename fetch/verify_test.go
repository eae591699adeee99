package fetch

import (
	"context"
	"io"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
)

// A format's Verify asks the same upstream for what it compares with: sums beside a file, a checksum database.
func TestVerifyAsksAnUpstreamWhoseDownloadsAreAllUnderWay(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*Engine, *Settings)
	}{
		{"one connection", func(_ *Engine, s *Settings) { s.Connections = 1 }},
		{"one download in all", func(e *Engine, _ *Settings) { e.Most = 1 }},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newRig(t, x.change)
			b, sum := noise(2000), []byte("a sum")
			for _, path := range []string{"/a", "/b"} {
				r.srv.Put(path, faulty.Object{Body: b})
				r.srv.Put(path+".sum", faulty.Object{Body: sum})
				r.srv.Put(path+".sig", faulty.Object{Body: sum})
			}
			done := make(chan error, 2)
			for _, path := range []string{"/a", "/b"} {
				f := r.file(path, b)
				f.Verify = func(ctx context.Context, _ io.ReaderAt, _ int64) error {
					ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // which no good run comes near
					defer cancel()
					d, err := r.up.Get(ctx, Request{URL: r.srv.URL + path + ".sum"})
					if err != nil {
						return err
					}
					d.Close()
					sig, err := r.up.Open(ctx, r.file(path+".sig", sum))
					if err != nil {
						return err
					}
					defer sig.Close()
					_, err = io.Copy(io.Discard, sig)
					return err
				}
				go func() { _, err := r.read(f); done <- err }()
			}
			for range 2 {
				if err := <-done; err != nil {
					t.Errorf("read: %v", err)
				}
			}
			r.held(b, sum)
		})
	}
}

// What Verify refuses is asked for once more, in a place of its own again.
func TestVerifyThatRefusesLeavesNoPlaceBehind(t *testing.T) {
	r, b := newRig(t, func(_ *Engine, s *Settings) { s.Connections = 1 }), noise(2000)
	r.srv.Put("/f", faulty.Object{Body: b})
	f := r.file("/f", b)
	f.Verify = func(context.Context, io.ReaderAt, int64) error {
		return &millpond.Error{Kind: millpond.Corrupt, Why: "h1 differs"}
	}
	r.bad(f, millpond.Corrupt, "h1 differs")
	r.srv.Want(t, "/f", 2)
	if !r.up.slots.TryAcquire(1) {
		t.Error("its place is not free again")
	} else if r.up.slots.TryAcquire(1) {
		t.Error("one place too many is free")
	}
}

// What came whole and could not be verified has nothing to be resumed: the next download begins at its first byte, and does not
// ask for what is behind its last.
func TestVerifyThatFailsLeavesNothingToResume(t *testing.T) {
	r, b := newRig(t), noise(leftLeast+2000)
	r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
	f, ill := r.file("/f", b), true
	f.Verify = func(context.Context, io.ReaderAt, int64) error {
		if ill {
			return &millpond.Error{Kind: millpond.BadUpstream, Why: "nobody can be asked for its sum"}
		}
		return nil
	}
	r.bad(f, millpond.BadUpstream, "nobody can be asked")
	if left := r.Leftovers(); len(left) != 0 {
		t.Errorf("%d bytes that all came are left over: %+v", len(b), left)
	}
	ill = false
	r.good(f, b)
	r.srv.Want(t, "/f", 2)
	for _, q := range r.srv.Requests("/f") {
		if got := q.Header.Get("Range"); got != "" {
			t.Errorf("asked for %s of %d bytes", got, len(b))
		}
	}
}

// TestBeginRunsBesideTheDownload: it has begun when the bytes are judged, and nobody waits for its end.
func TestBeginRunsBesideTheDownload(t *testing.T) {
	r, b := newRig(t), noise(2000)
	r.srv.Put("/f", faulty.Object{Body: b})
	began, leave := make(chan struct{}), make(chan struct{})
	f := r.file("/f", b)
	f.Begin = func(ctx context.Context) {
		close(began)
		select {
		case <-leave:
		case <-ctx.Done():
		}
	}
	f.Verify = func(context.Context, io.ReaderAt, int64) error {
		select {
		case <-began:
			return nil
		case <-time.After(10 * time.Second):
			return &millpond.Error{Kind: millpond.Corrupt, Why: "nothing has begun"}
		}
	}
	r.good(f, b)
	close(leave)

	r.srv.Put("/g", faulty.Object{Body: b})
	g := r.file("/g", b)
	g.Begin = func(context.Context) { panic("a format's own") }
	r.good(g, b)
}
