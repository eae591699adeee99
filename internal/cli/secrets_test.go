package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestKeyRing: a secret is made once, whoever asks, is the same after a restart, and nobody but its owner may read it.
func TestKeyRing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	ring := &keyRing{dir: dir}
	var wg sync.WaitGroup
	made := 0
	for range 20 {
		wg.Go(func() {
			b, err := ring.Secret(t.Context(), "npm/../signing", func() ([]byte, error) { made++; return []byte{1, 2, 3}, nil })
			if err != nil || !bytes.Equal(b, []byte{1, 2, 3}) {
				t.Errorf("got %v, %v", b, err)
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Errorf("it was made %d times", made)
	}
	again := &keyRing{dir: dir}
	b, err := again.Secret(t.Context(), "npm/../signing", func() ([]byte, error) { t.Error("made anew after a restart"); return nil, nil })
	if err != nil || !bytes.Equal(b, []byte{1, 2, 3}) {
		t.Errorf("after a restart: %v, %v", b, err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Fatalf("the directory has %v, %v", names, err)
	}
	for _, path := range []string{dir, filepath.Join(dir, names[0].Name())} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
}
