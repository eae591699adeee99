// Package blobtest is the suite that every blob.Store passes.
package blobtest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"millpond"
	"millpond/blob"
)

// Run tests a kind of store. Each test opens one of its own, which must be empty; whatever open needs to clean up it hangs
// on t.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	tests := []struct {
		name string
		f    func(*testing.T, blob.Store)
	}{
		{"an empty store has nothing", empty},
		{"commit, stat and open", commit},
		{"a blob of no bytes", zero},
		{"parts of a blob", parts},
		{"every algorithm", algorithms},
		{"wrong digests", wrong},
		{"digests that a store cannot compute", uncomputable},
		{"sealing what is held", again},
		{"read while it is written", follow},
		{"close and resume", resume},
		{"resume with algorithms", resumeAlgorithms},
		{"one writer at a time", conflict},
		{"discard", discard},
		{"use after the end", afterEnd},
		{"delete under a reader", deleteOpen},
		{"list", list},
		{"many at once", concurrent},
		{"seal against delete", sealAgainstDelete},
		{"tidy", tidy},
		{"room", room},
		{"a context that ended", ended},
		{"set aside", aside},
		{"delete unless sealed again", deleteOlder},
		{"pieces at their places", place},
		{"pieces over a resumption", placeResumed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.f(t, open(t)) })
	}
}

// Bytes are n bytes that depend on the seed, for tests of stores.
func Bytes(n int, seed byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// begin creates a writer that is closed when the test ends.
func begin(t *testing.T, s blob.Store) blob.Writer {
	t.Helper()
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func write(t *testing.T, w blob.Writer, b []byte) {
	t.Helper()
	if n, err := w.Write(b); n != len(b) || err != nil {
		t.Fatalf("Write of %d bytes = %d, %v", len(b), n, err)
	}
}

// keep seals b.
func keep(t *testing.T, s blob.Store, b []byte) millpond.Digest {
	t.Helper()
	w := begin(t, s)
	write(t, w, b)
	d, err := w.Commit(t.Context())
	if err != nil || d != millpond.SHA256(b) {
		t.Fatalf("Commit of %d bytes = %s, %v; want %s", len(b), d, err, millpond.SHA256(b))
	}
	if err := w.Close(); err != nil {
		t.Fatalf("Close after Commit: %v", err)
	}
	return d
}

// read opens and reads a part of a blob.
func read(t *testing.T, s blob.Store, d millpond.Digest, off, n int64) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), d, off, n)
	if err != nil {
		t.Fatalf("Open(%s, %d, %d): %v", d, off, n, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %s from %d, %d bytes: %v", d, off, n, err)
	}
	return b
}

// holds fails the test unless the store holds exactly b under its digest.
func holds(t *testing.T, s blob.Store, b []byte) {
	t.Helper()
	d := millpond.SHA256(b)
	if got := read(t, s, d, 0, -1); !bytes.Equal(got, b) {
		t.Fatalf("blob %s has %d bytes with digest %s, want %d", d, len(got), millpond.SHA256(got), len(b))
	}
	info, err := s.Stat(t.Context(), d)
	if err != nil || info.Size != int64(len(b)) {
		t.Fatalf("Stat(%s) = %+v, %v; want size %d", d, info, err, len(b))
	}
}

// lacks fails the test if the store has d.
func lacks(t *testing.T, s blob.Store, d millpond.Digest) {
	t.Helper()
	if r, err := s.Open(t.Context(), d, 0, -1); !millpond.Is(err, millpond.NotFound) {
		if err == nil {
			r.Close()
		}
		t.Fatalf("Open(%s) = %v, want NotFound", d, err)
	}
	if _, err := s.Stat(t.Context(), d); !millpond.Is(err, millpond.NotFound) {
		t.Fatalf("Stat(%s) = %v, want NotFound", d, err)
	}
}

// all lists the store.
func all(t *testing.T, s blob.Store, after millpond.Digest) []millpond.Digest {
	t.Helper()
	var ds []millpond.Digest
	for d, err := range s.List(t.Context(), after) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		ds = append(ds, d)
	}
	return ds
}

// is fails the test unless err is of the kind.
func is(t *testing.T, what string, err error, kind millpond.Kind) {
	t.Helper()
	if !millpond.Is(err, kind) {
		t.Fatalf("%s = %v, want %v", what, err, kind)
	}
}

func empty(t *testing.T, s blob.Store) {
	lacks(t, s, millpond.SHA256([]byte("x")))
	lacks(t, s, millpond.Digest{})
	md5, _ := millpond.NewDigest("md5", make([]byte, 16))
	lacks(t, s, md5)
	is(t, "Delete", s.Delete(t.Context(), millpond.SHA256(nil)), millpond.NotFound)
	is(t, "Delete of no digest", s.Delete(t.Context(), millpond.Digest{}), millpond.NotFound)
	if ds := all(t, s, millpond.Digest{}); len(ds) != 0 {
		t.Errorf("List = %v, want nothing", ds)
	}
	for _, id := range []string{"", ".", "..", "nothing", "../blobs", "a/b", "AAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		w, err := s.Resume(t.Context(), id)
		if err == nil {
			w.Close()
		}
		is(t, "Resume("+id+")", err, millpond.NotFound)
	}
}

func commit(t *testing.T, s blob.Store) {
	b := Bytes(300_000, 1)
	w := begin(t, s)
	if h, ok := w.(blob.Hint); ok {
		if err := h.Expect(int64(len(b))); err != nil {
			t.Fatalf("Expect(%d): %v", len(b), err)
		}
	}
	for rest := b; len(rest) > 0; {
		k := min(77_777, len(rest))
		write(t, w, rest[:k])
		rest = rest[k:]
	}
	if w.Size() != int64(len(b)) {
		t.Fatalf("Size = %d, want %d", w.Size(), len(b))
	}
	lacks(t, s, millpond.SHA256(b))
	d, err := w.Commit(t.Context(), millpond.SHA256(b))
	if err != nil || d != millpond.SHA256(b) {
		t.Fatalf("Commit = %s, %v; want %s", d, err, millpond.SHA256(b))
	}
	holds(t, s, b)
	got := make([]byte, len(b))
	if n, err := w.ReadAt(got, 0); n != len(b) || err != nil || !bytes.Equal(got, b) {
		t.Fatalf("ReadAt after Commit = %d, %v; want %d", n, err, len(b))
	}
	if again, err := w.Commit(t.Context()); again != d || err != nil {
		t.Fatalf("second Commit = %s, %v; want %s", again, err, d)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	holds(t, s, b)
	info, err := s.Stat(t.Context(), d)
	if err != nil || info.Sealed.IsZero() || info.Sealed.Nanosecond() != 0 {
		t.Fatalf("Stat = %+v, %v; want whole seconds", info, err)
	}
	w, err = s.Resume(t.Context(), w.ID())
	if err == nil {
		w.Close()
	}
	is(t, "Resume after Commit", err, millpond.NotFound)
}

func zero(t *testing.T, s blob.Store) {
	keep(t, s, nil)
	holds(t, s, nil)
	if got := read(t, s, millpond.SHA256(nil), 0, 0); len(got) != 0 {
		t.Errorf("read %d bytes of none", len(got))
	}
}

func parts(t *testing.T, s blob.Store) {
	b := Bytes(100_000, 2)
	d := keep(t, s, b)
	for _, part := range []struct{ off, n, want int64 }{
		{0, 0, 0}, {0, 1, 1}, {0, -1, 100_000}, {0, 100_000, 100_000}, {0, 200_000, 100_000},
		{1, -1, 99_999}, {99_999, 1, 1}, {99_999, 5, 1}, {50_000, 1000, 1000}, {100_000, -1, 0}, {100_000, 5, 0},
	} {
		got := read(t, s, d, part.off, part.n)
		if !bytes.Equal(got, b[part.off:part.off+part.want]) {
			t.Errorf("Open(%d, %d) gave %d bytes, want %d (or others)", part.off, part.n, len(got), part.want)
		}
	}
	for _, off := range []int64{100_001, 1 << 40, -1} {
		r, err := s.Open(t.Context(), d, off, -1)
		if err == nil {
			r.Close()
		}
		is(t, "Open outside the blob", err, millpond.Range)
	}
	r, err := s.Open(t.Context(), d, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seeker, ok := r.(io.Seeker)
	if !ok {
		t.Fatalf("Open of a whole blob returns a %T, which cannot seek", r)
	}
	if n, err := seeker.Seek(-10, io.SeekEnd); n != int64(len(b))-10 || err != nil {
		t.Fatalf("Seek(-10, end) = %d, %v; want %d", n, err, len(b)-10)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, b[len(b)-10:]) {
		t.Errorf("after Seek read %d bytes, %v; want the last 10", len(got), err)
	}
}

func ended(t *testing.T, s blob.Store) {
	d := keep(t, s, []byte("held"))
	w := begin(t, s)
	write(t, w, []byte("text"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Open(ctx, d, 0, -1)
	is(t, "Open", err, millpond.Canceled)
	_, err = s.Create(ctx)
	is(t, "Create", err, millpond.Canceled)
	_, err = s.Resume(ctx, w.ID())
	is(t, "Resume", err, millpond.Canceled)
	_, err = w.Commit(ctx)
	is(t, "Commit", err, millpond.Canceled)
	is(t, "Delete", s.Delete(ctx, d), millpond.Canceled)
	for _, err := range s.List(ctx, millpond.Digest{}) {
		is(t, "List", err, millpond.Canceled)
	}
	holds(t, s, []byte("held"))
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit after one that was canceled: %v", err)
	}
	holds(t, s, []byte("text"))
}
