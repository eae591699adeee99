package disk_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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

func open(t testing.TB, dir string, o disk.Options) *disk.Store {
	t.Helper()
	s, err := disk.Open(dir, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// put writes and seals b in one piece.
func put(s *disk.Store, b []byte, want ...millpond.Digest) (millpond.Digest, error) {
	w, err := s.Create(context.Background())
	if err != nil {
		return millpond.Digest{}, err
	}
	defer w.Close()
	if _, err := w.Write(b); err != nil {
		w.Discard()
		return millpond.Digest{}, err
	}
	return w.Commit(context.Background(), want...)
}

func mustPut(t testing.TB, s *disk.Store, b []byte) millpond.Digest {
	t.Helper()
	d, err := put(s, b, millpond.SHA256(b))
	if err != nil {
		t.Fatalf("put %d bytes: %v", len(b), err)
	}
	return d
}

func get(s *disk.Store, d millpond.Digest) ([]byte, error) {
	r, err := s.Open(context.Background(), d, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// quick makes the calls, but for fsync: a test whose machine stays up sees no difference, and is done sooner.
func quick(c *durable.Call, do func() error) error {
	if c.Op == durable.OpSync || c.Op == durable.OpSyncDir {
		return nil
	}
	return do()
}

// tree lists the files below a directory, relative to it.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestStore(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir(), disk.Options{}) })
}

func TestLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	now := time.Date(2031, 2, 3, 4, 5, 6, 789, time.UTC)
	s := open(t, dir, disk.Options{Now: func() time.Time { return now }})
	b := []byte("text")
	d := mustPut(t, s, b)
	name := "blobs/" + d.Hex()[:2] + "/" + d.Hex()
	if got := tree(t, dir); len(got) != 2 || got[0] != name || got[1] != "lock" {
		t.Errorf("files = %q, want %q and the lock", got, name)
	}
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil || info.Mode() != 0o444 {
		t.Errorf("mode of a blob = %v, %v; want 0444", info.Mode(), err)
	}
	if dirInfo, err := os.Stat(dir); err != nil || dirInfo.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory = %v, %v; want 0700", dirInfo.Mode(), err)
	}
	if got, err := s.Stat(t.Context(), d); err != nil || got.Size != 4 || !got.Sealed.Equal(now.Truncate(time.Second)) {
		t.Errorf("Stat = %+v, %v; want 4 bytes, %v", got, err, now.Truncate(time.Second))
	}
	now = now.Add(time.Hour)
	mustPut(t, s, b)
	if got, err := s.Stat(t.Context(), d); err != nil || !got.Sealed.Equal(now.Truncate(time.Second)) {
		t.Errorf("Sealed after the same bytes again = %v, %v; want %v", got.Sealed, err, now.Truncate(time.Second))
	}
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := os.Stat(filepath.Join(dir, "incoming", w.ID())); err != nil {
		t.Errorf("an unfinished blob is not in incoming: %v", err)
	}
}

// A response can leave by sendfile only if the file is not wrapped.
func TestOpenIsAFile(t *testing.T) {
	s := open(t, t.TempDir(), disk.Options{})
	d := mustPut(t, s, []byte("text"))
	r, err := s.Open(t.Context(), d, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, ok := r.(*os.File); !ok {
		t.Errorf("Open of a whole blob returns a %T, want an *os.File", r)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{})
	_, err := disk.Open(dir, disk.Options{})
	if want := fmt.Sprintf("%s is in use by process %d", dir, os.Getpid()); !millpond.Is(err, millpond.Unready) || !strings.Contains(err.Error(), want) {
		t.Fatalf("second Open = %v, want %q", err, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, disk.Options{})
}

// A data directory of a million blobs opens as fast as an empty one, because nothing looks at them.
func TestOpenMakesTheSameCallsHoweverMuchIsHeld(t *testing.T) {
	dir := t.TempDir()
	var calls []string
	count := func(c *durable.Call, do func() error) error {
		calls = append(calls, fmt.Sprint(c.Op, " ", c.Name))
		return do()
	}
	open(t, dir, disk.Options{Hook: count}).Close()
	first := strings.Join(calls, "\n")
	s := open(t, dir, disk.Options{Hook: quick})
	for i := range 600 {
		mustPut(t, s, fmt.Append(nil, i))
	}
	s.Close()
	calls = nil
	open(t, dir, disk.Options{Hook: count}).Close()
	if second := strings.Join(calls, "\n"); second != first || len(calls) > 6 {
		t.Errorf("Open of a full directory calls\n%s\nof an empty one\n%s", second, first)
	}
}

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
	if err := s.Tidy(t.Context(), time.Now().Add(-24*time.Hour)); err != nil {
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

func TestRotIsFoundWhenTheBytesComeAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{})
	b := blobtest.Bytes(10_000, 4)
	d := mustPut(t, s, b)
	name := filepath.Join(dir, "blobs", d.Hex()[:2], d.Hex())
	if err := os.Truncate(name, 100); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, b)
	if got, err := get(s, d); err != nil || !bytes.Equal(got, b) {
		t.Errorf("after sealing over a blob that was cut: %d bytes, %v; want %d", len(got), err, len(b))
	}
	if info, err := os.Stat(filepath.Join(dir, "damaged", d.Hex())); err != nil || info.Size() != 100 {
		t.Errorf("the damaged blob was not set aside: %v", err)
	}
}

func TestSetAsideKeepsTheBytes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{})
	d := mustPut(t, s, []byte("text"))
	if err := s.SetAside(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "damaged", d.Hex())); err != nil || string(got) != "text" {
		t.Errorf("the damaged blob is %q, %v; want its bytes", got, err)
	}
}

// Files that are not blobs, in a directory of blobs, are no blobs.
func TestListSkipsStrangers(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{})
	d := mustPut(t, s, []byte("text"))
	shard := filepath.Join(dir, "blobs", d.Hex()[:2])
	other := millpond.SHA256([]byte("elsewhere")).Hex() // of another directory
	for _, name := range []string{"lost+found", strings.ToUpper(d.Hex()), d.Hex() + ".tmp", other, "." + d.Hex()[1:]} {
		if err := os.WriteFile(filepath.Join(shard, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []millpond.Digest
	for d, err := range s.List(t.Context(), millpond.Digest{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d)
	}
	if len(got) != 1 || got[0] != d {
		t.Errorf("List = %v, want %v", got, d)
	}
}

func TestLow(t *testing.T) {
	free := int64(1000)
	room := func() (int64, int64, error) { return free, 5000, nil }
	s := open(t, t.TempDir(), disk.Options{Low: 200, Room: room})
	if got, err := s.Room(t.Context()); err != nil || got != (blob.Room{Free: 1000, Total: 5000}) {
		t.Fatalf("Room = %+v, %v; want 1000 of 5000", got, err)
	}
	begin := func() *disk.Writer {
		t.Helper()
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatalf("Create: %v", err)
		}
		t.Cleanup(func() { w.Close() })
		return w.(*disk.Writer)
	}
	expect := func(what string, err error, full bool) {
		t.Helper()
		if full && !millpond.Is(err, millpond.Full) || !full && err != nil {
			t.Errorf("%s = %v, want Full: %t", what, err, full)
		}
	}
	one, two := begin(), begin()
	expect("Expect(801) with 800 to spare", one.Expect(801), true)
	expect("Expect(500) with 800 to spare", one.Expect(500), false)
	expect("Expect(301) with 300 to spare", two.Expect(301), true)
	_, err := two.Write(make([]byte, 301))
	expect("Write of 301 with 300 to spare", err, true)
	_, err = two.Write(make([]byte, 300))
	expect("Write of 300 with 300 to spare", err, false)
	free -= 300 // as the disk says then
	_, err = two.Write(make([]byte, 1))
	expect("Write of 1 with nothing to spare", err, true)
	_, err = one.Write(make([]byte, 500))
	expect("Write of what was expected", err, false)
	free -= 500
	_, err = one.Write(make([]byte, 1))
	expect("Write of 1 more than was expected", err, true)
	_, err = s.Create(t.Context())
	expect("Create with nothing to spare", err, true)
	_, err = two.Commit(t.Context())
	expect("Commit with nothing to spare", err, false)
	free += 600
	_, err = one.Write(make([]byte, 100))
	expect("Write when room has returned", err, false)
}

// What was reserved is given back, however a writer ends.
func TestReservationsEnd(t *testing.T) {
	s := open(t, t.TempDir(), disk.Options{Room: func() (int64, int64, error) { return 1000, 1000, nil }})
	ends := map[string]func(w blob.Writer){
		"close":   func(w blob.Writer) {},
		"discard": func(w blob.Writer) { w.Discard() },
		"commit":  func(w blob.Writer) { w.Commit(t.Context()) },
		"corrupt": func(w blob.Writer) { w.Commit(t.Context(), millpond.SHA256([]byte("other"))) },
		"expect":  func(w blob.Writer) { w.(blob.Hint).Expect(10) },
	}
	for name, end := range ends {
		for range 3 {
			w, err := s.Create(t.Context())
			if err != nil {
				t.Fatalf("%s: Create: %v", name, err)
			}
			if err := w.(blob.Hint).Expect(1000); err != nil {
				t.Fatalf("%s: Expect of all there is: %v", name, err)
			}
			if _, err := w.Write([]byte(name)); err != nil {
				t.Fatalf("%s: Write: %v", name, err)
			}
			end(w)
			w.Close()
		}
	}
}

// A disk on which every fsync takes long holds up nobody who reads.
func TestSlowSyncDoesNotHoldUpReaders(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	var slow bool
	var once sync.Once
	s := open(t, t.TempDir(), disk.Options{Hook: func(c *durable.Call, do func() error) error {
		if c.Op == durable.OpSync && slow {
			once.Do(func() { close(begun) })
			<-goOn
		}
		return do()
	}})
	held := mustPut(t, s, []byte("held"))
	slow = true
	done := make(chan error)
	go func() {
		_, err := put(s, []byte("text"))
		done <- err
	}()
	<-begun
	if got, err := get(s, held); err != nil || string(got) != "held" {
		t.Errorf("read during an fsync = %q, %v", got, err)
	}
	if _, err := s.Stat(t.Context(), held); err != nil {
		t.Errorf("Stat during an fsync: %v", err)
	}
	for _, err := range s.List(t.Context(), millpond.Digest{}) {
		if err != nil {
			t.Errorf("List during an fsync: %v", err)
		}
	}
	if err := s.Delete(t.Context(), held); err != nil {
		t.Errorf("Delete during an fsync: %v", err)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Errorf("the slow commit: %v", err)
	}
}
