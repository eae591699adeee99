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

// Whoever linked a blob that is held may have died before its name was durable; who seals it again is told that it is.
func TestSealingWhatIsHeldSyncsItsName(t *testing.T) {
	var synced []string
	s := open(t, t.TempDir(), disk.Options{Hook: func(c *durable.Call, do func() error) error {
		if c.Op == durable.OpSyncDir {
			synced = append(synced, c.Name)
		}
		return do()
	}})
	d := mustPut(t, s, []byte("text"))
	synced = nil
	mustPut(t, s, []byte("text"))
	if want := "blobs/" + d.Hex()[:2]; len(synced) != 1 || synced[0] != want {
		t.Errorf("synced %q, want %q", synced, want)
	}
}
