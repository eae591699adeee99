package disk_test

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/blobtest"
	"millpond/blob/disk"
	"millpond/blob/disk/durable"
)

func TestResumeAfterCrash(t *testing.T) {
	dir := t.TempDir()
	b := blobtest.Bytes(700_000, 1)
	s := open(t, dir, disk.Options{})
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(b[:400_000]); err != nil {
		t.Fatal(err)
	}
	s.Close() // and nobody closes the writer

	s = open(t, dir, disk.Options{})
	again, err := s.Resume(t.Context(), w.ID())
	if err != nil {
		t.Fatalf("Resume: %v", err)
	}
	defer again.Close()
	if again.Size() != 400_000 {
		t.Fatalf("Size = %d, want 400000", again.Size())
	}
	if _, err := again.Write(b[400_000:]); err != nil {
		t.Fatal(err)
	}
	sum := millpond.NewHash("sha512")
	sum.Write(b)
	want, _ := millpond.NewDigest("sha512", sum.Sum(nil))
	d, err := again.Commit(t.Context(), want)
	if err != nil || d != millpond.SHA256(b) {
		t.Fatalf("Commit = %s, %v; want %s", d, err, millpond.SHA256(b))
	}
	if got, err := get(s, d); err != nil || !bytes.Equal(got, b) {
		t.Fatalf("read %d bytes, %v; want %d", len(got), err, len(b))
	}
}

// The two moments between which a sealed blob has two names, or none but a read-only one.
func TestResumeOfWhatACrashLeft(t *testing.T) {
	for _, test := range []struct {
		name string
		dies durable.Op
		want millpond.Kind // of Resume; Internal is none
	}{
		{"before the link", durable.OpLink, millpond.Internal},
		{"after the link", durable.OpRemove, millpond.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			b := []byte("text")
			s := open(t, dir, disk.Options{Hook: func(c *durable.Call, do func() error) error {
				if c.Op == test.dies && strings.HasPrefix(c.Name, "incoming/") {
					return syscall.EIO
				}
				return do()
			}})
			w, err := s.Create(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w.Write(b)
			w.Commit(t.Context())
			w.Close()
			s.Close()

			s = open(t, dir, disk.Options{})
			again, err := s.Resume(t.Context(), w.ID())
			if test.want != millpond.Internal {
				if !millpond.Is(err, test.want) {
					t.Fatalf("Resume = %v, want %v", err, test.want)
				}
				if got, err := get(s, millpond.SHA256(b)); err != nil || !bytes.Equal(got, b) {
					t.Fatalf("the blob is %q, %v; want %q", got, err, b)
				}
				if got := tree(t, dir); len(got) != 2 {
					t.Errorf("files = %q, want the blob and the lock", got)
				}
				return
			}
			if err != nil {
				t.Fatalf("Resume: %v", err)
			}
			defer again.Close()
			if _, err := again.Write([]byte(" goes on")); err != nil {
				t.Fatal(err)
			}
			d, err := again.Commit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := get(s, d); err != nil || string(got) != "text goes on" {
				t.Fatalf("the blob is %q, %v; want %q", got, err, "text goes on")
			}
		})
	}
}

func TestTidyDropsSecondNames(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{Hook: func(c *durable.Call, do func() error) error {
		if c.Op == durable.OpRemove {
			return syscall.EIO
		}
		return do()
	}})
	d := mustPut(t, s, []byte("text"))
	s.Close()
	if got := tree(t, dir); len(got) != 3 {
		t.Fatalf("files = %q, want three: the blob has two names", got)
	}
	s = open(t, dir, disk.Options{})
	if err := s.Tidy(t.Context(), time.Now().Add(-24*time.Hour), nil); err != nil {
		t.Fatalf("Tidy: %v", err)
	}
	if got := tree(t, dir); len(got) != 2 {
		t.Errorf("files after Tidy = %q, want the blob and the lock", got)
	}
	if got, err := get(s, d); err != nil || string(got) != "text" {
		t.Errorf("the blob is %q, %v", got, err)
	}
}

// Declared algorithms are hashed as the bytes come: Commit reads nothing. So it is after Resume in the same process.
func TestBytesAreReadOnce(t *testing.T) {
	var read int
	s := open(t, t.TempDir(), disk.Options{Hook: func(c *durable.Call, do func() error) error {
		if c.Op == durable.OpRead {
			read++
		}
		return do()
	}})
	b := blobtest.Bytes(100_000, 3)
	sum := millpond.NewHash("sha1")
	sum.Write(b)
	want, _ := millpond.NewDigest("sha1", sum.Sum(nil))
	for _, test := range []struct {
		name     string
		declare  bool
		wantRead bool
	}{{"declared", true, false}, {"not declared", false, true}} {
		read = 0
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if test.declare {
			w.(blob.Declarer).Declare("sha1")
		}
		w.Write(b[:50_000])
		w.Close()
		if w, err = s.Resume(t.Context(), w.ID()); err != nil {
			t.Fatal(err)
		}
		if test.declare {
			w.(blob.Declarer).Declare("sha1")
		}
		w.Write(b[50_000:])
		if _, err := w.Commit(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if (read > 0) != test.wantRead {
			t.Errorf("%s: %d reads, want some: %t", test.name, read, test.wantRead)
		}
	}
}

// What a failed write left behind the bytes that were acknowledged is not resumed.
func TestResumeAfterAFailedWrite(t *testing.T) {
	failing := false
	s := open(t, t.TempDir(), disk.Options{Hook: func(c *durable.Call, do func() error) error {
		if failing && c.Op == durable.OpWrite {
			do()
			return syscall.EIO
		}
		return do()
	}})
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("one "))
	failing = true
	if n, err := w.Write([]byte("a long piece that fails")); n != 0 || !millpond.Is(err, millpond.Unready) {
		t.Fatalf("Write = %d, %v; want 0, Unready", n, err)
	}
	failing = false
	w.Write([]byte("two"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := s.Resume(t.Context(), w.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Size() != 7 {
		t.Fatalf("Size = %d, want 7", again.Size())
	}
	again.Write([]byte("."))
	if _, err := again.Commit(t.Context(), millpond.SHA256([]byte("one two."))); err != nil {
		t.Fatal(err)
	}
}
