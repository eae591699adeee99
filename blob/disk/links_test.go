package disk_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"millpond"
	"millpond/blob/disk"
)

// S03: a link in the place of a blob, or of a directory of blobs, that leads out of the data directory is not followed: what is
// outside is neither read nor removed.
func TestS03LinksInTheDataDirectory(t *testing.T) {
	outside := t.TempDir()
	secret := []byte("not for everybody")
	d := millpond.SHA256(secret)
	for _, c := range []struct {
		name string
		at   func(blob string) (link, to string)
	}{
		{"a blob", func(blob string) (string, string) { return blob, filepath.Join(outside, d.Hex()) }},
		{"its directory", func(blob string) (string, string) { return filepath.Dir(blob), outside }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(outside, d.Hex()), secret, 0o600); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			s, err := disk.Open(dir, disk.Options{})
			if err != nil {
				t.Fatal(err)
			}
			seal(t, s, secret)
			blob := find(t, dir, d.Hex())
			link, to := c.at(blob)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(link); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(to, link); err != nil {
				t.Fatal(err)
			}
			if s, err = disk.Open(dir, disk.Options{}); err != nil {
				return // refused as a whole: well
			}
			defer s.Close()
			if r, err := s.Open(context.Background(), d, 0, -1); err == nil {
				b, _ := io.ReadAll(r)
				r.Close()
				t.Errorf("read %q from outside the data directory", b)
			}
			s.Delete(context.Background(), d) // whatever it says
			if b, err := os.ReadFile(filepath.Join(outside, d.Hex())); err != nil || string(b) != string(secret) {
				t.Errorf("what is outside is now %q, %v", b, err)
			}
		})
	}
}

func seal(t *testing.T, s *disk.Store, b []byte) {
	t.Helper()
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// find is the file of that name below a directory.
func find(t *testing.T, dir, name string) (at string) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Name() == name {
			at = path
		}
		return err
	})
	if err != nil || at == "" {
		t.Fatalf("no file %s below %s: %v", name, dir, err)
	}
	return at
}
