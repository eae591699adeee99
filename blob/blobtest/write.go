package blobtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"millpond"
	"millpond/blob"
)

var names = []string{"sha512", "sha384", "sha256", "sha1", "md5"}

// digestsOf are the digests of b by every algorithm that a store can compute.
func digestsOf(t *testing.T, b []byte) []millpond.Digest {
	t.Helper()
	var ds []millpond.Digest
	for _, name := range names {
		h := millpond.NewHash(name)
		h.Write(b)
		d, err := millpond.NewDigest(name, h.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, d)
	}
	return ds
}

func algorithms(t *testing.T, s blob.Store) {
	for i, name := range names {
		for _, declared := range []bool{false, true} {
			b := Bytes(10_000+i, byte(i))
			want := digestsOf(t, b)[i]
			w := begin(t, s)
			if d, ok := w.(blob.Declarer); ok && declared {
				d.Declare(name)
			}
			write(t, w, b[:5000])
			write(t, w, b[5000:])
			if _, err := w.Commit(t.Context(), want); err != nil {
				t.Fatalf("Commit with %s (declared %t): %v", want, declared, err)
			}
			holds(t, s, b)
		}
	}
	b := Bytes(70_000, 99)
	w := begin(t, s)
	if d, ok := w.(blob.Declarer); ok {
		d.Declare(append(names, "h1", "blake2b-256", "no such thing")...)
	}
	write(t, w, b)
	if _, err := w.Commit(t.Context(), digestsOf(t, b)...); err != nil {
		t.Fatalf("Commit with all digests: %v", err)
	}
	holds(t, s, b)
}

func wrong(t *testing.T, s blob.Store) {
	for i, name := range names {
		for _, declared := range []bool{false, true} {
			b := Bytes(10_000+i, byte(i))
			want := digestsOf(t, b)
			want[i] = digestsOf(t, b[1:])[i]
			w := begin(t, s)
			if d, ok := w.(blob.Declarer); ok && declared {
				d.Declare(names...)
			}
			write(t, w, b)
			_, err := w.Commit(t.Context(), want...)
			is(t, "Commit with a wrong "+name, err, millpond.Corrupt)
			lacks(t, s, millpond.SHA256(b))
			lacks(t, s, millpond.SHA256(b[1:]))
			if err := w.Close(); err != nil {
				t.Fatalf("Close after Corrupt: %v", err)
			}
			w, err = s.Resume(t.Context(), w.ID())
			if err == nil {
				w.Close()
			}
			is(t, "Resume after Corrupt", err, millpond.NotFound)
		}
	}
	if ds := all(t, s, millpond.Digest{}); len(ds) != 0 {
		t.Errorf("List = %v, want nothing", ds)
	}
}

func uncomputable(t *testing.T, s blob.Store) {
	h1, err := millpond.NewDigest("h1", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []millpond.Digest{h1, {}} {
		w := begin(t, s)
		write(t, w, []byte("text"))
		_, err = w.Commit(t.Context(), d)
		is(t, fmt.Sprintf("Commit with %q", d), err, millpond.Invalid)
	}
	lacks(t, s, millpond.SHA256([]byte("text")))
}

func again(t *testing.T, s blob.Store) {
	b := Bytes(10_000, 5)
	one, two := begin(t, s), begin(t, s)
	if one.ID() == two.ID() || one.ID() == "" {
		t.Fatalf("IDs %q and %q of two writers", one.ID(), two.ID())
	}
	write(t, one, b)
	write(t, two, b)
	keep(t, s, b)
	keep(t, s, b)
	for _, w := range []blob.Writer{one, two} {
		d, err := w.Commit(t.Context(), digestsOf(t, b)...)
		if err != nil || d != millpond.SHA256(b) {
			t.Fatalf("Commit of what is held = %s, %v", d, err)
		}
		got := make([]byte, len(b))
		if n, err := w.ReadAt(got, 0); n != len(b) || err != nil || !bytes.Equal(got, b) {
			t.Fatalf("ReadAt after Commit of what is held = %d, %v", n, err)
		}
	}
	holds(t, s, b)
	if ds := all(t, s, millpond.Digest{}); len(ds) != 1 {
		t.Errorf("List = %v, want one", ds)
	}
}

func follow(t *testing.T, s blob.Store) {
	b := Bytes(1<<20+7, 6)
	w := begin(t, s)
	var g sync.WaitGroup
	more := make([]chan struct{}, 8) // told after each write
	for i := range more {
		more[i] = make(chan struct{}, 1)
		g.Go(func() {
			p := make([]byte, 10_000+i)
			for off := 0; off < len(b); {
				n, err := w.ReadAt(p, int64(off))
				if !bytes.Equal(p[:n], b[off:off+n]) {
					t.Errorf("reader %d: wrong bytes in %d from %d on", i, n, off)
					return
				}
				off += n
				if n == len(p) && err == nil || off == len(b) {
					continue
				}
				if err != io.EOF {
					t.Errorf("reader %d: ReadAt(%d, %d) = %d, %v; want EOF where no more is written", i, len(p), off-n, n, err)
					return
				}
				<-more[i]
			}
		})
	}
	for off := 0; off < len(b); {
		k := min(33_333, len(b)-off)
		write(t, w, b[off:off+k])
		off += k
		if w.Size() != int64(off) {
			t.Errorf("Size = %d, want %d", w.Size(), off)
		}
		p := make([]byte, k)
		if n, err := w.ReadAt(p, int64(off-k)); n != k || err != nil && err != io.EOF {
			t.Errorf("ReadAt of the last %d bytes written = %d, %v", k, n, err)
		}
		for _, c := range more {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
	if _, err := w.Commit(t.Context()); err != nil {
		t.Errorf("Commit: %v", err)
	}
	for _, c := range more {
		close(c)
	}
	g.Wait()
	if _, err := w.ReadAt(make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("ReadAt(-1) = %v, want an error", err)
	}
	if n, err := w.ReadAt(make([]byte, 1), int64(len(b))); n != 0 || err != io.EOF {
		t.Errorf("ReadAt at the end = %d, %v; want EOF", n, err)
	}
}

func resume(t *testing.T, s blob.Store) {
	b := Bytes(200_000, 7)
	w := begin(t, s)
	id := w.ID()
	for off := 0; ; {
		if got := w.Size(); got != int64(off) {
			t.Fatalf("Size after Resume = %d, want %d", got, off)
		}
		k := min(50_001, len(b)-off)
		write(t, w, b[off:off+k])
		off += k
		got := make([]byte, off)
		if n, err := w.ReadAt(got, 0); n != off || err != nil && err != io.EOF || !bytes.Equal(got, b[:off]) {
			t.Fatalf("ReadAt after Resume = %d, %v; want %d", n, err, off)
		}
		if off == len(b) {
			break
		}
		if err := w.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		var err error
		if w, err = s.Resume(t.Context(), id); err != nil {
			t.Fatalf("Resume at %d: %v", off, err)
		}
		defer w.Close()
		if w.ID() != id {
			t.Fatalf("ID after Resume = %q, want %q", w.ID(), id)
		}
	}
	if _, err := w.Commit(t.Context(), digestsOf(t, b)...); err != nil {
		t.Fatalf("Commit after Resume: %v", err)
	}
	holds(t, s, b)
}

func resumeAlgorithms(t *testing.T, s blob.Store) {
	b := Bytes(30_000, 8)
	w := begin(t, s)
	for i, name := range names {
		if d, ok := w.(blob.Declarer); ok {
			d.Declare(name)
		}
		write(t, w, b[i*6000:(i+1)*6000])
		if err := w.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		var err error
		if w, err = s.Resume(t.Context(), w.ID()); err != nil {
			t.Fatalf("Resume: %v", err)
		}
		defer w.Close()
	}
	if _, err := w.Commit(t.Context(), digestsOf(t, b)...); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	holds(t, s, b)
}

func conflict(t *testing.T, s blob.Store) {
	w := begin(t, s)
	write(t, w, []byte("half"))
	_, err := s.Resume(t.Context(), w.ID())
	is(t, "Resume while it is written", err, millpond.Conflict)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w, err = s.Resume(t.Context(), w.ID())
	if err != nil {
		t.Fatalf("Resume: %v", err)
	}
	defer w.Close()
	_, err = s.Resume(t.Context(), w.ID())
	is(t, "Resume while another has resumed", err, millpond.Conflict)
}

func discard(t *testing.T, s blob.Store) {
	w := begin(t, s)
	write(t, w, []byte("text"))
	if err := w.Discard(); err != nil {
		t.Fatalf("Discard: %v", err)
	}
	if err := w.Discard(); err != nil {
		t.Fatalf("second Discard: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("Close after Discard: %v", err)
	}
	_, err := s.Resume(t.Context(), w.ID())
	is(t, "Resume after Discard", err, millpond.NotFound)
	lacks(t, s, millpond.SHA256([]byte("text")))
}

func afterEnd(t *testing.T, s blob.Store) {
	w := begin(t, s)
	write(t, w, []byte("text"))
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write([]byte("more")); n != 0 || err == nil {
		t.Errorf("Write after Commit = %d, %v; want an error", n, err)
	}
	if err := w.Discard(); err != nil {
		t.Errorf("Discard after Commit = %v; want nothing to happen", err)
	}
	holds(t, s, []byte("text"))
	w = begin(t, s)
	write(t, w, []byte("other"))
	w.Discard()
	if n, err := w.Write([]byte("more")); n != 0 || err == nil {
		t.Errorf("Write after Discard = %d, %v; want an error", n, err)
	}
	if _, err := w.Commit(t.Context()); err == nil {
		t.Error("Commit after Discard succeeded")
	}
	w.Close()
	if n, err := w.Write([]byte("more")); n != 0 || err == nil {
		t.Errorf("Write after Close = %d, %v; want an error", n, err)
	}
	if _, err := w.ReadAt(make([]byte, 1), 0); err == nil || err == io.EOF {
		t.Errorf("ReadAt after Close = %v; want an error", err)
	}
	lacks(t, s, millpond.SHA256([]byte("other")))
}
