package catalogtest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A Template is what a directory holds when it has just become a catalog. Many tests begin with an empty one, and to make it
// takes longer than most of them. Its zero value is ready.
type Template struct {
	once  sync.Once
	files map[string][]byte
	err   error
}

// Lay fills an empty directory with a new catalog. The first call lets create make one, which opens it in a directory and closes
// it. Not for a test of how catalogs are made.
func (of *Template) Lay(t testing.TB, dir string, create func(dir string) error) {
	t.Helper()
	of.once.Do(func() { of.files, of.err = made(t.TempDir(), create) })
	if of.err != nil {
		t.Fatalf("make a catalog: %v", of.err)
	}
	for name, b := range of.files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func made(dir string, create func(dir string) error) (map[string][]byte, error) {
	if err := create(dir); err != nil {
		return nil, err
	}
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, one := range all {
		if files[one.Name()], err = os.ReadFile(filepath.Join(dir, one.Name())); err != nil {
			return nil, err
		}
	}
	return files, nil
}
