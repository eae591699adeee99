package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"millpond"
	"millpond/blob/disk"
	"millpond/fetch/faulty"
)

// byPieces reads as a server does that has the kernel send the bytes.
type byPieces struct {
	Filed
	pieces int
}

func (b *byPieces) Read(p []byte) (int, error) {
	f, off, n, err := b.Piece(int64(len(p)))
	if errors.Is(err, errors.ErrUnsupported) {
		return b.Filed.Read(p)
	}
	if err != nil {
		return 0, err
	}
	k, err := f.ReadAt(p[:n], off)
	if k > 0 {
		err = nil
		b.pieces++
		b.Seek(off+int64(k), io.SeekStart)
	}
	return k, err
}

// onDisk has a rig keep its blobs in files.
func onDisk(t *testing.T) func(*Engine, *Settings) {
	store, err := disk.Open(t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() }) // after the engine, which is closed first
	return func(e *Engine, _ *Settings) { e.Blobs = store }
}

// pieces opens a file for a reader by pieces.
func (r *rig) pieces(f File) *byPieces {
	r.t.Helper()
	body, err := r.up.Open(r.t.Context(), f)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { body.Close() })
	filed, ok := body.(Filed)
	if !ok {
		r.t.Fatalf("a download's body is a %T, and of no file", body)
	}
	return &byPieces{Filed: filed}
}

func TestPieces(t *testing.T) {
	const n = 3 << 20
	b := noise(n)
	t.Run("cut and resumed", func(t *testing.T) {
		r := newRig(t, onDisk(t))
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		r.srv.Order("/f", fmt.Sprintf("cut %d", n/2))
		gate := r.srv.Gate("/f", n/4)
		p := r.pieces(r.file("/f", b))
		head := make([]byte, 1000)
		if _, err := io.ReadFull(p, head); err != nil {
			t.Fatal(err)
		}
		if have, max := p.Arrived(), int64(n/4); have > max {
			t.Fatalf("%d bytes are to be had of %d that came", have, max)
		}
		gate.Open()
		rest, err := io.ReadAll(p)
		if err != nil || !bytes.Equal(append(head, rest...), b) {
			t.Errorf("read %d bytes more, %v; want the rest of %d", len(rest), err, n)
		}
		if p.pieces == 0 {
			t.Error("nothing was had by pieces")
		}
	})
	t.Run("never what is not verified", func(t *testing.T) {
		r := newRig(t, onDisk(t))
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		r.srv.Order("/f", "always lie")
		got, err := io.ReadAll(r.pieces(r.file("/f", b)))
		wantError(t, err, millpond.Corrupt, "not the declared ones")
		if len(got) > n-lastBytes {
			t.Errorf("%d bytes of a lie were had; want the last %d kept back", len(got), lastBytes)
		}
	})
	t.Run("changed under the reader", func(t *testing.T) {
		changed := noise(n + 5)
		r := newRig(t, onDisk(t))
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		r.srv.Order("/f", fmt.Sprintf("cut %d", n/2))
		gate := r.srv.Gate("/f", n/2-1)
		p := r.pieces(r.file("/f", nil))
		if _, err := io.CopyN(io.Discard, p, 1000); err != nil {
			t.Fatal(err)
		}
		r.srv.Put("/f", faulty.Object{Body: changed, ETag: `"2"`})
		gate.Open()
		rest, err := io.ReadAll(p)
		wantError(t, err, millpond.BadUpstream, "changed")
		if got := append(b[:1000:1000], rest...); !bytes.Equal(got, b[:len(got)]) {
			t.Errorf("a splice of %d bytes", len(got))
		}
	})
	t.Run("closed", func(t *testing.T) {
		r := newRig(t, onDisk(t))
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		gate := r.srv.Gate("/f", n/2)
		defer gate.Open()
		p := r.pieces(r.file("/f", b))
		p.Close()
		if _, _, _, err := p.Piece(1); err == nil {
			t.Error("a closed body gave a piece")
		}
	})
	t.Run("of a store without files", func(t *testing.T) {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
		p := r.pieces(r.file("/f", b))
		got, err := io.ReadAll(p)
		if err != nil || !bytes.Equal(got, b) || p.pieces != 0 {
			t.Errorf("read %d bytes, %v, %d by pieces; want %d, none by pieces", len(got), err, p.pieces, n)
		}
	})
}
