package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestReplacedDirectory: a directory in which a file was opened stays open, yet one that is put in its place is seen.
func TestReplacedDirectory(t *testing.T) {
	name := t.TempDir()
	d, err := Open(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	write := func(file, text string) {
		t.Helper()
		path := filepath.Join(name, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(file, want string) {
		t.Helper()
		f, err := d.Open(file)
		if err != nil {
			t.Fatalf("open %s: %v", file, err)
		}
		defer f.Close()
		b := make([]byte, 10)
		if n, err := f.Read(b); err != nil || string(b[:n]) != want {
			t.Errorf("%s: got %q, %v; want %q", file, b[:n], err, want)
		}
	}
	write("in/one", "1")
	read("in/one", "1")
	write("in/two", "2")
	read("in/two", "2") // through the directory that is open
	if err := os.Rename(filepath.Join(name, "in"), filepath.Join(name, "away")); err != nil {
		t.Fatal(err)
	}
	write("in/three", "3")
	read("in/three", "3")
	if _, err := d.Open("in/four"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open a file that is not there: %v, want %v", err, fs.ErrNotExist)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(name, "in", "out")); err != nil {
		t.Fatal(err)
	}
	if f, err := d.Open("in/out"); err == nil {
		f.Close()
		t.Error("a link that leads out of the directory was followed")
	}
	read("in/../in/three", "3")
	read("away/../in/three", "3")
	write("top", "0")
	read("away/../top", "0")
	if f, err := d.Open("away/../.."); err == nil {
		f.Close()
		t.Error("a name that leads out of the directory was opened")
	}
}

// TestFewDirectoriesStayOpen: files are opened in any number of directories, of which no more stay open than may.
func TestFewDirectoriesStayOpen(t *testing.T) {
	name := t.TempDir()
	d, err := Open(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.most = 3
	for range 2 {
		for i := range 10 {
			dir := fmt.Sprint(i)
			if err := os.MkdirAll(filepath.Join(name, dir), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(name, dir, "file"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := d.Open(dir + "/file")
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
	}
	kept := 0
	for range d.near.Range {
		kept++
	}
	if kept != 3 || d.kept.Load() != 3 {
		t.Errorf("%d directories are open, and %d are counted; want 3", kept, d.kept.Load())
	}
}
