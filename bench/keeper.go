package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// A keeper is the least that keeps what it passes on as a pond promises to: it writes the bytes to a file, computes their
// sha256, syncs the file, gives it the name of its digest, and lets the last bytes go only then. It has no records, no rules,
// no log, and no other reader meanwhile. What it takes nobody can save.
type keeper struct{ dir, upstream string }

// heldBack is how much of a body waits until it is kept; of one that is not longer than small, all.
const (
	heldBack = 64 << 10
	small    = 1 << 20
)

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/-/ready" {
		return
	}
	var err error
	if r.Method == http.MethodPut {
		if err = k.take(r); err == nil {
			w.WriteHeader(http.StatusCreated)
		}
	} else {
		err = k.pass(w, r)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError) // too late for a body that has begun, whose end is missing then
	}
}

// take keeps what a client sends, with its name.
func (k *keeper) take(r *http.Request) error {
	f, err := k.begin()
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, sum), r.Body); err != nil {
		return err
	}
	if err := k.seal(f, sum.Sum(nil)); err != nil {
		return err
	}
	dir, err := os.Open(k.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// pass keeps what the upstream sends, and passes it on.
func (k *keeper) pass(w http.ResponseWriter, r *http.Request) error {
	resp, err := http.Get(k.upstream + r.URL.EscapedPath())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.WriteHeader(resp.StatusCode)
		return nil
	}
	f, err := k.begin()
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	sum, buf := sha256.New(), make([]byte, 128<<10)
	ready := resp.ContentLength - heldBack
	if resp.ContentLength <= small {
		ready = 0
	}
	var arrived, sent int64
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if _, err := f.Write(buf[:n]); err != nil {
				return err
			}
			sum.Write(buf[:n])
			if left := min(ready-sent, int64(n)); left > 0 && sent == arrived {
				if _, err := w.Write(buf[:left]); err != nil {
					return err
				}
				sent += left
			}
			arrived += int64(n)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := k.seal(f, sum.Sum(nil)); err != nil {
		return err
	}
	if _, err := f.Seek(sent, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

func (k *keeper) begin() (*os.File, error) {
	return os.OpenFile(filepath.Join(k.dir, rand.Text()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

func (k *keeper) seal(f *os.File, sum []byte) error {
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(k.dir, hex.EncodeToString(sum)))
}

// keeper starts one, before this rig's upstream, from a path of it on.
func (r *rig) keeper(ctx context.Context, path string) (*process, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	dir := r.folder("keeper")
	return r.start(launch(ctx, "the least that keeps it", addr, "/-/ready", dir+".log", r.self, "role", "keeper", addr, dir, "http://"+r.upstream.addr+path))
}
