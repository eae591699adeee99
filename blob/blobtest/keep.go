package blobtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/blob"
)

func deleteOpen(t *testing.T, s blob.Store) {
	b := Bytes(500_000, 9)
	d := keep(t, s, b)
	r, err := s.Open(t.Context(), d, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	head := make([]byte, 1000)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), d); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	lacks(t, s, d)
	is(t, "second Delete", s.Delete(t.Context(), d), millpond.NotFound)
	rest, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(append(head, rest...), b) {
		t.Fatalf("a reader who had it open read %d more bytes, %v; want %d", len(rest), err, len(b)-len(head))
	}
	keep(t, s, b)
	holds(t, s, b)
}

func list(t *testing.T, s blob.Store) {
	var want []millpond.Digest
	for i := range 40 {
		want = append(want, keep(t, s, []byte(fmt.Sprint("blob ", i))))
	}
	slices.SortFunc(want, func(a, b millpond.Digest) int { return strings.Compare(a.String(), b.String()) })
	w := begin(t, s)
	write(t, w, []byte("unfinished"))
	if got := all(t, s, millpond.Digest{}); !slices.Equal(got, want) {
		t.Fatalf("List = %v\nwant %v", got, want)
	}
	for i, d := range want {
		if got := all(t, s, d); !slices.Equal(got, want[i+1:]) {
			t.Fatalf("List after %s = %v\nwant %v", d, got, want[i+1:])
		}
	}
	missing := millpond.SHA256([]byte("never kept"))
	i, _ := slices.BinarySearchFunc(want, missing, func(a, b millpond.Digest) int { return strings.Compare(a.String(), b.String()) })
	if got := all(t, s, missing); !slices.Equal(got, want[i:]) {
		t.Fatalf("List after the missing %s = %v\nwant %v", missing, got, want[i:])
	}
	n := 0
	for _, err := range s.List(t.Context(), millpond.Digest{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n = 0
	for _, err := range s.List(ctx, millpond.Digest{}) {
		if n++; n == 5 {
			cancel()
		}
		if n == 6 {
			is(t, "List after its context ended", err, millpond.Canceled)
		}
	}
	if n != 6 {
		t.Errorf("List went on for %d steps after its context ended", n-5)
	}
}

func concurrent(t *testing.T, s blob.Store) {
	var g sync.WaitGroup
	for i := range 8 {
		g.Go(func() {
			for j := range 10 {
				b := Bytes(1000*j+i%2, byte(j)) // every blob is written by four
				w, err := s.Create(t.Context())
				if err != nil {
					t.Errorf("Create: %v", err)
					return
				}
				if n, err := w.Write(b); n != len(b) || err != nil {
					t.Errorf("Write = %d, %v", n, err)
				}
				if d, err := w.Commit(t.Context(), millpond.SHA256(b)); d != millpond.SHA256(b) || err != nil {
					t.Errorf("Commit = %s, %v", d, err)
				}
				if err := w.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				r, err := s.Open(t.Context(), millpond.SHA256(b), 0, -1)
				if err != nil {
					t.Errorf("Open: %v", err)
					return
				}
				got, err := io.ReadAll(r)
				r.Close()
				if err != nil || !bytes.Equal(got, b) {
					t.Errorf("read %d bytes, %v; want %d", len(got), err, len(b))
				}
			}
		})
	}
	g.Wait()
	if got := all(t, s, millpond.Digest{}); len(got) != 20 {
		t.Errorf("List has %d blobs, want 20", len(got))
	}
}

// While one goroutine deletes a blob over and over, whoever seals it and is told that it is held, must be able to open it
// unless a deletion came after. So each round here deletes first, and seals beside a DeleteOlder that must not win.
func sealAgainstDelete(t *testing.T, s blob.Store) {
	sweeper, ok := s.(blob.Sweeper)
	if !ok {
		t.Skipf("a %T has no DeleteOlder", s)
	}
	b := Bytes(5000, 10)
	d := keep(t, s, b)
	before := time.Now().Add(-time.Hour)
	for round := range 50 {
		if round%2 == 0 {
			if err := s.Delete(t.Context(), d); err != nil && !millpond.Is(err, millpond.NotFound) {
				t.Fatalf("Delete: %v", err)
			}
		}
		var g sync.WaitGroup
		for range 2 {
			g.Go(func() {
				err := sweeper.DeleteOlder(t.Context(), d, before)
				if !millpond.Is(err, millpond.Conflict) && !millpond.Is(err, millpond.NotFound) {
					t.Errorf("DeleteOlder of a young blob = %v, want Conflict or NotFound", err)
				}
			})
		}
		keep(t, s, b)
		g.Wait()
		holds(t, s, b)
	}
}

func tidy(t *testing.T, s blob.Store) {
	d := keep(t, s, []byte("held"))
	left, open := begin(t, s), begin(t, s)
	write(t, left, []byte("left"))
	write(t, open, []byte("open"))
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Tidy(t.Context(), time.Now().Add(-time.Hour), nil); err != nil {
		t.Fatalf("Tidy: %v", err)
	}
	w, err := s.Resume(t.Context(), left.ID())
	if err != nil {
		t.Fatalf("Resume after a Tidy that should have left it: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Tidy(t.Context(), time.Now().Add(time.Hour), func(id string) bool { return id == left.ID() }); err != nil {
		t.Fatalf("Tidy: %v", err)
	}
	if w, err = s.Resume(t.Context(), left.ID()); err != nil {
		t.Fatalf("Resume after a Tidy that was told to leave it: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Tidy(t.Context(), time.Now().Add(time.Hour), nil); err != nil {
		t.Fatalf("Tidy: %v", err)
	}
	_, err = s.Resume(t.Context(), left.ID())
	is(t, "Resume after Tidy", err, millpond.NotFound)
	write(t, open, []byte(" still"))
	if _, err := open.Commit(t.Context()); err != nil {
		t.Fatalf("Commit of what was being written during Tidy: %v", err)
	}
	holds(t, s, []byte("open still"))
	lacks(t, s, millpond.SHA256([]byte("left")))
	if _, err := s.Stat(t.Context(), d); err != nil {
		t.Errorf("Tidy took a blob: %v", err)
	}
}

func room(t *testing.T, s blob.Store) {
	r, err := s.Room(t.Context())
	if err != nil {
		t.Fatalf("Room: %v", err)
	}
	if r.Free >= 0 && r.Total < r.Free {
		t.Errorf("Room = %+v: more is free than there is", r)
	}
	h, ok := begin(t, s).(blob.Hint)
	if !ok || r.Free < 0 {
		t.Skip("the store has no limit that it knows of")
	}
	is(t, "Expect of more than there is", h.Expect(r.Total+1), millpond.Full)
	if err := h.Expect(1); err != nil {
		t.Errorf("Expect(1): %v", err)
	}
}

func aside(t *testing.T, s blob.Store) {
	a, ok := s.(blob.Aside)
	if !ok {
		t.Skipf("a %T has no SetAside", s)
	}
	b := Bytes(5000, 11)
	for range 2 {
		d := keep(t, s, b)
		if err := a.SetAside(t.Context(), d); err != nil {
			t.Fatalf("SetAside: %v", err)
		}
		lacks(t, s, d)
		is(t, "second SetAside", a.SetAside(t.Context(), d), millpond.NotFound)
		if ds := all(t, s, millpond.Digest{}); len(ds) != 0 {
			t.Fatalf("List = %v, want nothing", ds)
		}
	}
	keep(t, s, b)
	holds(t, s, b)
}

func deleteOlder(t *testing.T, s blob.Store) {
	sweeper, ok := s.(blob.Sweeper)
	if !ok {
		t.Skipf("a %T has no DeleteOlder", s)
	}
	d := keep(t, s, []byte("text"))
	info, err := s.Stat(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	is(t, "DeleteOlder of what was sealed then", sweeper.DeleteOlder(t.Context(), d, info.Sealed), millpond.Conflict)
	holds(t, s, []byte("text"))
	if err := sweeper.DeleteOlder(t.Context(), d, info.Sealed.Add(time.Second)); err != nil {
		t.Fatalf("DeleteOlder: %v", err)
	}
	lacks(t, s, d)
	is(t, "DeleteOlder of nothing", sweeper.DeleteOlder(t.Context(), d, info.Sealed), millpond.NotFound)
}
