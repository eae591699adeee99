package fetch

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
)

func TestF32NoRoom(t *testing.T) {
	full := &millpond.Error{Kind: millpond.Full, Why: "no room"}
	for _, tt := range []struct {
		name string
		at   int64
	}{{"at once", 0}, {"half-way", 5 << 20}} {
		t.Run(tt.name, func(t *testing.T) {
			const n = 12 << 20
			r, b := newRig(t), noise(n)
			r.store.full = func(written int64) error {
				if written >= tt.at {
					return full
				}
				return nil
			}
			r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
			r.srv.Order("/f", "cut 9000000")
			f := r.file("/f", b)
			f.Sealed = func(context.Context, Sealed) error { t.Error("sealed"); return nil }
			var readers sync.WaitGroup
			for range 5 {
				readers.Go(func() { r.good(f, b) })
			}
			readers.Wait()
			r.held()
			r.srv.Order("/f", "always lie")
			r.bad(f, millpond.Corrupt, "not the declared ones")
			r.store.full = nil
			r.srv.Order("/f")
			f.Sealed = nil
			r.good(f, b)
			r.held(b)
		})
	}
	t.Run("a reader who stands still is cut, the other is served", func(t *testing.T) {
		const n = 12 << 20
		r, b := newRig(t, func(e *Engine, _ *Settings) { e.tune.grace = 100 * time.Millisecond }), noise(n)
		r.store.full = func(int64) error { return full }
		r.srv.Put("/f", faulty.Object{Body: b})
		gate := r.srv.Gate("/f", 3<<20)
		f := r.file("/f", b)
		still, err := r.up.Open(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		defer still.Close()
		moving, err := r.up.Open(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		gate.Open()
		got, err := io.ReadAll(moving)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("the moving reader: %d bytes, %v", len(got), err)
		}
		moving.Close()
		_, err = io.Copy(io.Discard, still)
		wantError(t, err, millpond.Full, "no room")
	})
	t.Run("a reader who comes when the first bytes are gone has a download of its own", func(t *testing.T) {
		const n = 12 << 20
		r, b := newRig(t), noise(n)
		r.store.full = func(int64) error { return full }
		r.srv.Put("/f", faulty.Object{Body: b})
		gate := r.srv.Gate("/f", 9<<20)
		f := r.file("/f", b)
		first, err := r.up.Open(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		head := make([]byte, 7<<20) // 3 MiB more than are kept for who is late
		if _, err := io.ReadFull(first, head); err != nil {
			t.Fatal(err)
		}
		late, err := r.up.Open(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		defer late.Close()
		if late.Joined() {
			t.Error("the late reader joined a download whose first bytes are gone")
		}
		gate.Open()
		var both sync.WaitGroup
		both.Go(func() {
			rest, err := io.ReadAll(first)
			if got := append(head, rest...); err != nil || !bytes.Equal(got, b) {
				t.Errorf("the first reader: %d bytes, %v; want %d right ones", len(got), err, n)
			}
		})
		both.Go(func() {
			if got, err := io.ReadAll(late); err != nil || !bytes.Equal(got, b) {
				t.Errorf("the late reader: %d bytes, %v; want %d right ones", len(got), err, n)
			}
		})
		both.Wait()
		r.srv.Want(t, "/f", 2)
	})
	t.Run("at the seal", func(t *testing.T) {
		r, b := newRig(t), noise(2<<20)
		r.store.seal = func() error { return full }
		r.srv.Put("/f", faulty.Object{Body: b})
		r.good(r.file("/f", b), b)
		r.held()
	})
	t.Run("to be verified", func(t *testing.T) {
		r, b := newRig(t), noise(6<<20)
		r.store.full = func(int64) error { return full }
		r.srv.Put("/f", faulty.Object{Body: b})
		f := r.file("/f", nil)
		f.Verify = func(_ context.Context, ra io.ReaderAt, size int64) error {
			if got, err := io.ReadAll(io.NewSectionReader(ra, 0, size)); err != nil || !bytes.Equal(got, b) {
				t.Errorf("Verify sees %d bytes, %v", len(got), err)
			}
			return nil
		}
		r.good(f, b)
	})
}
