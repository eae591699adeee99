package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/blobtest"
	"millpond/blob/disk"
	"millpond/blob/disk/durable"
)

// A failer fails the call with a number, once.
type failer struct {
	mu   sync.Mutex
	n    int   // of calls so far; negative before it is armed
	at   int   // the call to fail
	err  error // with this
	did  bool  // after it took place
	half bool  // a write takes place by half
	call durable.Call
}

func (f *failer) hook(c *durable.Call, do func() error) error {
	f.mu.Lock()
	hit := false
	if f.n >= 0 {
		f.n++
		hit = f.n == f.at
	}
	f.mu.Unlock()
	if !hit {
		return quick(c, do)
	}
	f.call = *c
	if f.half && c.Op == durable.OpWrite {
		c.Data = c.Data[:len(c.Data)/2]
		do()
		return f.err
	}
	if f.did {
		do()
	}
	return f.err
}

func (f *failer) arm()    { f.mu.Lock(); f.n = 0; f.mu.Unlock() }
func (f *failer) disarm() { f.mu.Lock(); f.n = -1; f.mu.Unlock() }
func (f *failer) hit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n >= f.at
}

// sound fails the test unless every blob of the store has the bytes that its name says, and returns their digests.
func sound(t *testing.T, s *disk.Store) []millpond.Digest {
	t.Helper()
	var ds []millpond.Digest
	for d, err := range s.List(t.Context(), millpond.Digest{}) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		b, err := get(s, d)
		if err != nil || millpond.SHA256(b) != d {
			t.Fatalf("blob %s has %d bytes of %s, %v", d, len(b), millpond.SHA256(b), err)
		}
		ds = append(ds, d)
	}
	return ds
}

// descriptors counts what the process has open.
func descriptors(t *testing.T) int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // not known on this system: all counts are equal
	}
	return len(names)
}

// Every call of writing, resuming and sealing a blob fails once, in every way: for ever more of them, until a run passes
// untouched. After each the store has all of the blob or nothing, and the next attempt succeeds, unless bytes could not be
// made durable.
func TestEveryCallFails(t *testing.T) {
	big := blobtest.Bytes(300_000, 1)
	small := []byte("small")
	runs := []struct {
		name string
		run  func(s *disk.Store) error // writes big
	}{
		{"one writer", func(s *disk.Store) error {
			_, err := put(s, big, millpond.SHA256(big))
			return err
		}},
		{"in two parts, with an algorithm declared late", func(s *disk.Store) error {
			w, err := s.Create(t.Context())
			if err != nil {
				return err
			}
			_, err = w.Write(big[:100_000])
			if err := errors.Join(err, w.Close()); err != nil {
				return err
			}
			if w, err = s.Resume(t.Context(), w.ID()); err != nil {
				return err
			}
			defer w.Close()
			rest := big[100_000:]
			for len(rest) > 0 { // who is told of an error may go on
				n, err := w.Write(rest)
				if rest = rest[n:]; err != nil {
					return err
				}
			}
			h := millpond.NewHash("md5")
			h.Write(big)
			want, _ := millpond.NewDigest("md5", h.Sum(nil))
			_, err = w.Commit(t.Context(), want)
			return err
		}},
		{"what is held", func(s *disk.Store) error {
			for range 2 {
				if _, err := put(s, big); err != nil {
					return err
				}
			}
			return nil
		}},
		{"over damage", func(s *disk.Store) error {
			if _, err := put(s, small); err != nil {
				return err
			}
			if err := s.SetAside(t.Context(), millpond.SHA256(small)); err != nil {
				return err
			}
			if err := s.Tidy(t.Context(), time.Now(), nil); err != nil {
				return err
			}
			_, err := put(s, big)
			return err
		}},
	}
	ways := []struct {
		name      string
		err       error
		did, half bool
		kind      millpond.Kind
	}{
		{"EIO", syscall.EIO, false, false, millpond.Unready},
		{"EIO but did", syscall.EIO, true, false, millpond.Unready},
		{"ENOSPC", syscall.ENOSPC, false, false, millpond.Full},
		{"ENOSPC but did", syscall.ENOSPC, true, false, millpond.Full},
		{"ENOSPC after half", syscall.ENOSPC, false, true, millpond.Full},
		{"EMFILE", syscall.EMFILE, false, false, millpond.Unready},
		{"EMFILE but did", syscall.EMFILE, true, false, millpond.Unready},
		{"EROFS", syscall.EROFS, false, false, millpond.Unready},
		{"EROFS but did", syscall.EROFS, true, false, millpond.Unready},
	}
	for i, run := range runs {
		for _, way := range ways {
			if i > 0 && way.err != syscall.EIO && !way.half && !*long {
				continue // to the calls of the other runs one error number is as good as another
			}
			t.Run(run.name+"/"+way.name, func(t *testing.T) {
				before := descriptors(t)
				for n := 1; ; n++ {
					if n > 200 {
						t.Fatal("a run of 200 calls and no end")
					}
					f := &failer{at: n, err: way.err, did: way.did, half: way.half, n: -1}
					dir := t.TempDir()
					s, err := disk.Open(dir, disk.Options{Hook: f.hook})
					if err != nil {
						t.Fatal(err)
					}
					held := mustPut(t, s, []byte("held before"))
					f.arm()
					err = run.run(s)
					hit := f.hit()
					f.disarm()
					what := fmt.Sprintf("call %d (%s %s)", n, f.call.Op, f.call.Name)
					if !hit {
						if err != nil {
							t.Fatalf("the untouched run: %v", err)
						}
						s.Close()
						break
					}
					sync := f.call.Op == durable.OpSync || f.call.Op == durable.OpSyncDir
					if err != nil && millpond.KindOf(err) != way.kind && !(sync && millpond.Is(err, millpond.Unready)) {
						t.Errorf("%s: error %v of kind %v, want %v", what, err, millpond.KindOf(err), way.kind)
					}
					if err == nil && f.call.Op != durable.OpRemove {
						t.Errorf("%s failed, and nobody was told", what)
					}
					if got, err := get(s, held); err != nil || string(got) != "held before" {
						t.Errorf("%s: what was held before reads %q, %v", what, got, err)
					}
					ds := sound(t, s)
					if err == nil && !slices.Contains(ds, millpond.SHA256(big)) {
						t.Errorf("%s: acknowledged, and not there", what)
					}
					if stopped := s.Stopped(); (stopped != nil) != sync {
						t.Errorf("%s: Stopped = %v", what, stopped)
					}
					if sync {
						if _, err := put(s, []byte("other")); !millpond.Is(err, millpond.Unready) {
							t.Errorf("%s: writing went on after it: %v", what, err)
						}
						s.Close()
						if s, err = disk.Open(dir, disk.Options{Hook: quick}); err != nil {
							t.Fatalf("%s: Open after it: %v", what, err)
						}
					}
					if err := run.run(s); err != nil {
						t.Errorf("%s: the next attempt: %v", what, err)
					}
					if got, err := get(s, millpond.SHA256(big)); err != nil || !bytes.Equal(got, big) {
						t.Errorf("%s: after the next attempt the blob has %d bytes, %v; want %d", what, len(got), err, len(big))
					}
					if err := s.Tidy(t.Context(), time.Now().Add(time.Hour), nil); err != nil {
						t.Errorf("%s: Tidy: %v", what, err)
					}
					for _, name := range tree(t, dir) {
						if strings.HasPrefix(name, "incoming/") {
							t.Errorf("%s: %s is left", what, name)
						}
					}
					s.Close()
					if t.Failed() {
						break
					}
				}
				if after := descriptors(t); after > before {
					t.Errorf("%d descriptors were open before and %d are after", before, after)
				}
			})
		}
	}
}

func TestEveryCallOfOpenFails(t *testing.T) {
	for _, did := range []bool{false, true} {
		for n := 1; ; n++ {
			f := &failer{at: n, err: syscall.EIO, did: did}
			dir := t.TempDir()
			s, err := disk.Open(dir, disk.Options{Hook: f.hook})
			if !f.hit() {
				if err != nil {
					t.Fatalf("untouched Open: %v", err)
				}
				s.Close()
				break
			}
			if !millpond.Is(err, millpond.Unready) {
				t.Errorf("Open with a failing %s = %v, want Unready", f.call.Op, err)
			}
			mustPut(t, open(t, dir, disk.Options{}), []byte("text")) // it let go of the lock
		}
	}
}

// A writer whose call failed may go on with the same Writer.
func TestWriterGoesOnAfterAFailure(t *testing.T) {
	b := blobtest.Bytes(200_000, 2)
	for _, half := range []bool{false, true} {
		for _, did := range []bool{false, true} {
			for n := 1; ; n++ {
				f := &failer{at: n, err: syscall.ENOSPC, did: did, half: half, n: -1}
				s := open(t, t.TempDir(), disk.Options{Hook: f.hook})
				w, err := s.Create(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				f.arm()
				for rest := b; len(rest) > 0; {
					k, _ := w.Write(rest[:min(60_000, len(rest))])
					rest = rest[k:]
				}
				_, err = w.Commit(t.Context(), millpond.SHA256(b))
				hit := f.hit()
				f.disarm()
				if s.Stopped() == nil && err != nil {
					_, err = w.Commit(t.Context(), millpond.SHA256(b))
				}
				if err != nil && s.Stopped() == nil {
					t.Errorf("after %s %s failed (did %t, half %t): %v", f.call.Op, f.call.Name, did, half, err)
				}
				if got, rerr := get(s, millpond.SHA256(b)); err == nil && (rerr != nil || !bytes.Equal(got, b)) {
					t.Errorf("after %s %s failed: the blob has %d bytes, %v", f.call.Op, f.call.Name, len(got), rerr)
				}
				sound(t, s)
				w.Close()
				if !hit {
					break
				}
			}
		}
	}
}

// A file that may have the name of a blob already is not written, whatever Commit said.
func TestNoWriteAfterTheSealBegan(t *testing.T) {
	failing := true
	s := open(t, t.TempDir(), disk.Options{Hook: func(c *durable.Call, do func() error) error {
		if failing && c.Op == durable.OpLink {
			do()
			return syscall.EIO
		}
		return do()
	}})
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Write([]byte("text"))
	if _, err := w.Commit(t.Context()); !millpond.Is(err, millpond.Unready) {
		t.Fatalf("Commit with a failing link = %v, want Unready", err)
	}
	if n, err := w.Write([]byte(" more")); n != 0 || !millpond.Is(err, millpond.Conflict) {
		t.Errorf("Write = %d, %v; want Conflict", n, err)
	}
	failing = false
	if _, err := w.Commit(t.Context()); err != nil {
		t.Errorf("second Commit: %v", err)
	}
	if got := sound(t, s); len(got) != 1 {
		t.Errorf("blobs = %v, want one", got)
	}
}

func TestWriterThatFollowersReadSurvivesAFullDisk(t *testing.T) {
	full := false
	s := open(t, t.TempDir(), disk.Options{Hook: func(c *durable.Call, do func() error) error {
		if full && c.Op == durable.OpWrite {
			return syscall.ENOSPC
		}
		return do()
	}})
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Write([]byte("what was written "))
	full = true
	if _, err := w.Write([]byte("and not")); !millpond.Is(err, millpond.Full) {
		t.Fatalf("Write to a full disk = %v, want Full", err)
	}
	p := make([]byte, 100)
	if n, err := w.ReadAt(p, 0); string(p[:n]) != "what was written " || err != io.EOF {
		t.Errorf("ReadAt = %q, %v; want what was written", p[:n], err)
	}
	if err := w.Discard(); err != nil {
		t.Errorf("Discard on a full disk: %v", err)
	}
	full = false
	mustPut(t, s, []byte("when there is room again"))
}

// Bytes that the disk lost under a writer are an error and not an end.
func TestWriterWhoseFileWasCut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{})
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Write(make([]byte, 1000))
	if err := os.Truncate(filepath.Join(dir, "incoming", w.ID()), 500); err != nil {
		t.Fatal(err)
	}
	if n, err := w.ReadAt(make([]byte, 800), 0); n != 500 || err != io.ErrUnexpectedEOF {
		t.Errorf("ReadAt = %d, %v; want 500, unexpected EOF", n, err)
	}
	md5, _ := millpond.NewDigest("md5", make([]byte, 16))
	if _, err := w.Commit(t.Context(), md5); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Commit that must read = %v, want unexpected EOF", err)
	}
	w.Close()
}

func TestWords(t *testing.T) {
	for _, test := range []struct {
		err  error
		kind millpond.Kind
		why  string
	}{
		{syscall.ENOSPC, millpond.Full, "the disk is full"},
		{syscall.EDQUOT, millpond.Full, "quota"},
		{syscall.EROFS, millpond.Unready, "read-only"},
		{syscall.EIO, millpond.Unready, "failed"},
		{syscall.EMFILE, millpond.Unready, "too many files"},
		{syscall.ENFILE, millpond.Unready, "too many files"},
		{syscall.EACCES, millpond.Unready, "may not be used"},
		{syscall.EINVAL, millpond.Internal, "begin a blob"},
	} {
		s := open(t, t.TempDir(), disk.Options{Hook: func(c *durable.Call, do func() error) error {
			if c.Op == durable.OpCreate {
				return &os.PathError{Op: "openat", Path: c.Name, Err: test.err}
			}
			return do()
		}})
		_, err := s.Create(t.Context())
		if millpond.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.why) || !errors.Is(err, test.err) {
			t.Errorf("Create with %v = %v (%v), want %v with %q", test.err, err, millpond.KindOf(err), test.kind, test.why)
		}
	}
}

func TestStoppedStoreReadsOn(t *testing.T) {
	failing := false
	s := open(t, t.TempDir(), disk.Options{Hook: func(c *durable.Call, do func() error) error {
		if failing && c.Op == durable.OpSync {
			return syscall.EIO
		}
		return do()
	}})
	held := mustPut(t, s, []byte("held"))
	unfinished, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unfinished.Close()
	unfinished.Write([]byte("half"))
	if err := s.Stopped(); err != nil {
		t.Fatalf("Stopped = %v", err)
	}
	failing = true
	if _, err := put(s, []byte("text")); !millpond.Is(err, millpond.Unready) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("Commit with a failing fsync = %v, want Unready", err)
	}
	failing = false // it would succeed now, and that would mean nothing
	writes := map[string]func() error{
		"Create":  func() error { _, err := s.Create(t.Context()); return err },
		"Resume":  func() error { _, err := s.Resume(t.Context(), unfinished.ID()); return err },
		"Write":   func() error { _, err := unfinished.Write([]byte("x")); return err },
		"Commit":  func() error { _, err := unfinished.Commit(t.Context()); return err },
		"Stopped": s.Stopped,
	}
	for name, f := range writes {
		if err := f(); !millpond.Is(err, millpond.Unready) {
			t.Errorf("%s after it = %v, want Unready", name, err)
		}
	}
	if got, err := get(s, held); err != nil || string(got) != "held" {
		t.Errorf("read after it = %q, %v", got, err)
	}
	if _, err := s.Stat(t.Context(), millpond.SHA256([]byte("text"))); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("what was not made durable is there: %v", err)
	}
	var _ blob.Stopper = s
	if err := s.SetAside(t.Context(), held); err != nil {
		t.Errorf("SetAside after it: %v", err)
	}
	if _, err := get(s, held); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("Open of what was set aside = %v, want NotFound", err)
	}
}
