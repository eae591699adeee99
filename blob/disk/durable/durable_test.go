package durable_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"millpond/blob/disk/durable"
)

func open(t *testing.T, hook durable.Hook) *durable.Dir {
	t.Helper()
	d, err := durable.Open(filepath.Join(t.TempDir(), "a", "b"), hook)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// Every call is told to the hook by its kind, once.
func TestHookSeesEveryCall(t *testing.T) {
	var got []durable.Op
	d := open(t, func(c *durable.Call, do func() error) error {
		got = append(got, c.Op)
		return do()
	})
	check := func(want durable.Op, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if len(got) != 1 || got[0] != want {
			t.Errorf("the hook saw %q, want %q", got, want)
		}
		got = nil
	}
	root, err := d.OpenDir(".")
	check(durable.OpOpenDir, err)
	defer root.Close()
	check(durable.OpMkdir, d.Mkdir(root, "dir"))
	check(durable.OpMkdir, d.Mkdir(root, "dir"))
	check(durable.OpSyncDir, root.Sync())
	f, err := d.Create("dir/file")
	check(durable.OpCreate, err)
	_, err = f.WriteAt([]byte("text and more"), 0)
	check(durable.OpWrite, err)
	check(durable.OpTruncate, f.Truncate(4))
	p := make([]byte, 4)
	_, err = f.ReadAt(p, 0)
	check(durable.OpRead, err)
	if string(p) != "text" {
		t.Errorf("read %q, want %q", p, "text")
	}
	check(durable.OpChmod, f.Chmod(0o444))
	check(durable.OpSync, f.Sync())
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	then := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	check(durable.OpChtimes, d.Chtimes("dir/file", then))
	check(durable.OpLink, d.Link("dir/file", "second"))
	check(durable.OpRename, d.Rename("second", "third"))
	info, err := d.Stat("third")
	check(durable.OpStat, err)
	if info.Size() != 4 || !info.ModTime().Equal(then) || info.Mode() != 0o444 {
		t.Errorf("Stat = %d bytes, %v, %v; want 4, %v, 0444", info.Size(), info.ModTime(), info.Mode(), then)
	}
	names, err := d.List(".")
	check(durable.OpList, err)
	slices.Sort(names)
	if !slices.Equal(names, []string{"dir", "third"}) {
		t.Errorf("List = %q, want dir and third", names)
	}
	check(durable.OpRemove, d.Remove("third"))
	check(durable.OpChmod, d.Chmod("dir/file", 0o600))
	f, err = d.Edit("dir/file")
	check(durable.OpOpen, err)
	f.Close()
	bare, err := d.Open("dir/file")
	check(durable.OpOpen, err)
	bare.Close()
	_, _, err = d.Room()
	check(durable.OpRoom, err)
}

func TestNamesCannotLeadOut(t *testing.T) {
	d := open(t, nil)
	outside := filepath.Join(filepath.Dir(d.Path()), "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(d.Path(), "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../outside", "link", outside, ""} {
		if f, err := d.Open(name); err == nil {
			f.Close()
			t.Errorf("Open(%q) succeeded", name)
		}
		if f, err := d.Edit(name); err == nil {
			f.Close()
			t.Errorf("Edit(%q) succeeded", name)
		}
	}
	if _, err := d.Create("../new"); err == nil {
		t.Error("Create outside succeeded")
	}
	if err := d.Link("../outside", "inside"); err == nil {
		t.Error("Link from outside succeeded")
	}
}

func TestCreateTwice(t *testing.T) {
	d := open(t, nil)
	f, err := d.Create("file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := d.Create("file"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create = %v, want that it exists", err)
	}
}

func TestFailures(t *testing.T) {
	var fail durable.Op
	var did bool
	d := open(t, func(c *durable.Call, do func() error) error {
		if c.Op != fail {
			return do()
		}
		if did {
			do()
		}
		return syscall.EIO
	})
	for _, did = range []bool{false, true} {
		name := "file"
		if did {
			name = "other"
		}
		fail = durable.OpCreate
		if f, err := d.Create(name); f != nil || !errors.Is(err, syscall.EIO) {
			t.Fatalf("Create (did %t) = %v, %v; want EIO", did, f, err)
		}
		fail = ""
		if _, err := d.Stat(name); (err == nil) != did {
			t.Errorf("Stat after Create (did %t) = %v", did, err)
		}
		fail = durable.OpList
		if names, err := d.List("."); names != nil || !errors.Is(err, syscall.EIO) {
			t.Errorf("List (did %t) = %q, %v; want EIO", did, names, err)
		}
	}
}

func TestShortWrite(t *testing.T) {
	d := open(t, func(c *durable.Call, do func() error) error {
		if c.Op == durable.OpWrite {
			c.Data = c.Data[:3]
		}
		return do()
	})
	f, err := d.Create("file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := f.WriteAt([]byte("text"), 0); n != 3 || err != io.ErrShortWrite {
		t.Errorf("WriteAt = %d, %v; want 3, short write", n, err)
	}
	if info, err := d.Stat("file"); err != nil || info.Size() != 3 {
		t.Errorf("Stat = %v, %v; want 3 bytes", info, err)
	}
}
