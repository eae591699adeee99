package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"millpond"
	"millpond/format"
)

// A coming is a body whose bytes come into a file while it is read, some thousand at a time.
type coming struct {
	f      *os.File
	whole  []byte
	came   int64
	at     int64
	closes int64 // where the file is closed by others, and the rest is to be read; 0 is nowhere
	reads  atomic.Int64
}

func (c *coming) Arrived() int64 { return c.came }

func (c *coming) Await(context.Context, int64) bool { return true }

func (c *coming) Close() error { return nil }

func (c *coming) Seek(off int64, whence int) (int64, error) {
	if whence != io.SeekStart {
		return 0, errors.ErrUnsupported
	}
	c.at = off
	return off, nil
}

func (c *coming) Read(p []byte) (int, error) {
	if c.at == int64(len(c.whole)) {
		return 0, io.EOF
	}
	n := copy(p, c.whole[c.at:])
	c.at += int64(n)
	c.reads.Add(1)
	return n, nil
}

func (c *coming) Piece(n int64) (*os.File, int64, int64, error) {
	if c.at == int64(len(c.whole)) {
		return nil, 0, 0, io.EOF
	}
	if c.closes > 0 && c.at >= c.closes {
		c.f.Close()
		c.came = int64(len(c.whole))
	}
	if c.at == c.came {
		end := min(c.came+30_000, int64(len(c.whole)))
		if _, err := c.f.WriteAt(c.whole[c.came:end], c.came); err != nil {
			return nil, 0, 0, err
		}
		c.came = end
	}
	return c.f, c.at, min(n, c.came-c.at), nil
}

// TestDownloadsLeaveByTheKernel: what has come of a download goes from its file to the client, without being read.
func TestDownloadsLeaveByTheKernel(t *testing.T) {
	whole := make([]byte, 200_000)
	for i := range whole {
		whole[i] = byte(i / 100)
	}
	var body *coming
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		if err := format.Serve(w, r, &millpond.Content{ReadSeekCloser: body, Size: int64(len(whole)), Growing: true}); err != nil {
			format.Report(w, err)
		}
	}}))
	addr, _ := serve(t, s, Listening{})
	for _, tt := range []struct {
		name, span string
		closes     int64
		from       int
		read       bool
	}{
		{name: "all"},
		{name: "a range", span: "bytes=70001-", from: 70001},
		{name: "a file that goes away", closes: 90_000, read: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "file"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.Seek(7, io.SeekStart); err != nil { // others use the file
				t.Fatal(err)
			}
			body = &coming{f: f, whole: whole, closes: tt.closes}
			if tt.from > 0 {
				body.came = int64(tt.from)
			}
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+"/alpha/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.span != "" {
				req.Header.Set("Range", tt.span)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, whole[tt.from:]) {
				t.Fatalf("read %d bytes, %v; want the %d from %d on", len(got), err, len(whole)-tt.from, tt.from)
			}
			if reads := body.reads.Load(); reads > 0 != tt.read {
				t.Errorf("the body was read %d times; want it to be read: %v", reads, tt.read)
			}
			if at, err := f.Seek(0, io.SeekCurrent); !tt.read && (err != nil || at != 7) {
				t.Errorf("the file's offset was moved to %d (%v); want 7", at, err)
			}
		})
	}
}
