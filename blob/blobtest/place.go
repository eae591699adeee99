package blobtest

import (
	"bytes"
	"sync"
	"testing"

	"millpond"
	"millpond/blob"
)

// placer is a writer as a blob.Placer; the test ends if the store has none.
func placer(t *testing.T, w blob.Writer) blob.Placer {
	t.Helper()
	p, ok := w.(blob.Placer)
	if !ok {
		t.Skip("the store takes bytes in order only")
	}
	return p
}

func good(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// reads compares what can be read of a writer from off on.
func reads(t *testing.T, what string, w blob.Writer, want []byte, off int64) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := w.ReadAt(got, off); n != len(want) || !bytes.Equal(got, want) {
		t.Fatalf("%s: ReadAt(%d) = %d bytes, %v; they are the placed ones: %t", what, off, n, err, bytes.Equal(got, want))
	}
}

// summed compares the sum of what is the blob's.
func summed(t *testing.T, what string, w blob.Writer, want []byte) {
	t.Helper()
	got, err := w.(blob.Placer).Sum(t.Context())
	if err != nil || got != millpond.SHA256(want) || w.Size() != int64(len(want)) {
		t.Fatalf("%s: Sum is %s, %v, of %d bytes; want %s of %d", what, got, err, w.Size(), millpond.SHA256(want), len(want))
	}
}

func place(t *testing.T, s blob.Store) {
	b := Bytes(90_000, 7)
	w := begin(t, s)
	p := placer(t, w)
	write(t, w, b[:10_000])
	good(t, "the last piece", p.PlaceAt(b[70_000:], 70_000))
	if w.Size() != 10_000 {
		t.Errorf("Size with a piece ahead is %d, want 10000", w.Size())
	}
	reads(t, "a piece ahead", w, b[70_000:], 70_000)
	reads(t, "where nothing was placed", w, make([]byte, 60_000), 10_000)
	is(t, "a piece where the blob's own bytes are", p.PlaceAt([]byte("x"), 9_999), millpond.Invalid)
	is(t, "more than was placed", p.Take(t.Context(), 90_001), millpond.Invalid)
	var wg sync.WaitGroup
	for at := 10_000; at < 70_000; at += 10_000 {
		wg.Go(func() {
			if err := p.PlaceAt(bytes.Repeat([]byte("x"), 5000), int64(at)); err != nil { // cut, and placed again
				t.Errorf("PlaceAt(%d): %v", at, err)
			}
			if err := p.PlaceAt(b[at:at+10_000], int64(at)); err != nil {
				t.Errorf("PlaceAt(%d) again: %v", at, err)
			}
			if err := p.Flush(); err != nil {
				t.Errorf("Flush: %v", err)
			}
		})
	}
	wg.Wait()
	good(t, "Take", p.Take(t.Context(), 40_000))
	summed(t, "the first pieces", w, b[:40_000])
	good(t, "Take of what was taken", p.Take(t.Context(), 20_000))
	summed(t, "the first pieces again", w, b[:40_000])
	is(t, "a piece where one was taken", p.PlaceAt([]byte("x"), 39_999), millpond.Invalid)
	is(t, "Rewind beyond what is the blob's", p.Rewind(40_001), millpond.Invalid)
	good(t, "Rewind", p.Rewind(15_000))
	summed(t, "rewound", w, b[:15_000])
	good(t, "Take", p.Take(t.Context(), 80_000))
	summed(t, "all but the end", w, b[:80_000])
	d, err := w.Commit(t.Context(), millpond.SHA256(b[:80_000]))
	if err != nil || d != millpond.SHA256(b[:80_000]) {
		t.Fatalf("Commit = %s, %v; want %s", d, err, millpond.SHA256(b[:80_000]))
	}
	holds(t, s, b[:80_000])
	if p.PlaceAt([]byte("x"), 90_000) == nil || p.Rewind(0) == nil || p.Take(t.Context(), 90_000) == nil {
		t.Errorf("a sealed blob takes pieces")
	}
	good(t, "Close", w.Close())
	holds(t, s, b[:80_000])
}

func placeResumed(t *testing.T, s blob.Store) {
	b := Bytes(60_000, 8)
	w := begin(t, s)
	p := placer(t, w)
	good(t, "the second piece", p.PlaceAt(b[20_000:40_000], 20_000))
	good(t, "the first piece", p.PlaceAt(b[:20_000], 0))
	good(t, "Take", p.Take(t.Context(), 20_000))
	good(t, "a piece far ahead", p.PlaceAt([]byte("of another blob"), 70_000))
	good(t, "Flush", p.Flush())
	good(t, "Close", w.Close())
	for _, from := range []int64{20_000, 0} { // where it was, and by who does not know
		var err error
		if w, err = s.Resume(t.Context(), w.ID()); err != nil {
			t.Fatalf("Resume: %v", err)
		}
		p = placer(t, w)
		good(t, "Rewind", p.Rewind(from))
		summed(t, "resumed", w, b[:from])
		reads(t, "what was placed before", w, b[from:40_000], from)
		good(t, "Close", w.Close())
	}
	w, err := s.Resume(t.Context(), w.ID())
	good(t, "Resume", err)
	defer w.Close()
	p = placer(t, w)
	good(t, "Rewind", p.Rewind(0))
	good(t, "the last piece", p.PlaceAt(b[40_000:], 40_000))
	good(t, "Take", p.Take(t.Context(), 60_000))
	if d, err := w.Commit(t.Context()); err != nil || d != millpond.SHA256(b) {
		t.Fatalf("Commit = %s, %v; want %s", d, err, millpond.SHA256(b))
	}
	holds(t, s, b)
}
