package format

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"millpond"
)

// A body is a body in memory.
type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

// A counter counts how a body came.
type counter struct {
	*httptest.ResponseRecorder
	writes, reads int
}

func (c *counter) Write(b []byte) (int, error) {
	c.writes++
	return c.ResponseRecorder.Write(b)
}

func (c *counter) ReadFrom(r io.Reader) (int64, error) {
	c.reads++
	return io.Copy(struct{ io.Writer }{c.ResponseRecorder}, r)
}

func TestServeBodies(t *testing.T) {
	text := []byte("0123456789")
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, ask     string
		file          bool
		want          string
		writes, reads int
	}{
		{name: "memory, whole", want: "0123456789", writes: 1},
		{name: "memory, from the middle to the end", ask: "bytes=4-", want: "456789", writes: 1},
		{name: "memory, the last bytes", ask: "bytes=-3", want: "789", writes: 1},
		{name: "memory, a part", ask: "bytes=2-4", want: "234", reads: 1},
		{name: "a file, whole", file: true, want: "0123456789", reads: 1},
		{name: "a file, from the middle to the end", ask: "bytes=4-", file: true, want: "456789", reads: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			content := &millpond.Content{ReadSeekCloser: body{bytes.NewReader(text)}, Size: int64(len(text))}
			if c.file {
				f, err := os.Open(name)
				if err != nil {
					t.Fatal(err)
				}
				content.ReadSeekCloser = f
			}
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if c.ask != "" {
				r.Header.Set("Range", c.ask)
			}
			w := &counter{ResponseRecorder: httptest.NewRecorder()}
			if err := Serve(w, r, content); err != nil {
				t.Fatalf("Serve: %v", err)
			}
			if got := w.Body.String(); got != c.want || w.writes != c.writes || w.reads != c.reads {
				t.Errorf("got %q in %d writes and %d ReadFrom; want %q in %d and %d", got, w.writes, w.reads, c.want, c.writes, c.reads)
			}
		})
	}
}

func TestServeCutsShortBodies(t *testing.T) {
	defer func() {
		if cause := recover(); cause != http.ErrAbortHandler {
			t.Errorf("a body of 4 bytes that should have 10 ended with %v; want http.ErrAbortHandler", cause)
		}
	}()
	w := httptest.NewRecorder()
	err := Serve(w, httptest.NewRequest(http.MethodGet, "/", nil),
		&millpond.Content{ReadSeekCloser: body{bytes.NewReader([]byte("0123"))}, Size: 10})
	t.Errorf("Serve of a short body returned %v", err)
}
