package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"

	"golang.org/x/sys/unix"
)

// A memory is a body that is held in memory.
type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// TestSmallAnswersLeaveInOnePiece counts the segments in which answers come over loopback, where each system call makes one:
// net/http by itself makes two of a body that does not fit its buffer of 4 KiB.
func TestSmallAnswersLeaveInOnePiece(t *testing.T) {
	sizes := []int{1, 2048, 2049, 3900, 4096, 5000, 20_000, 60_000, 20_000}
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		n := 0
		fmt.Sscanf(r.URL.RawQuery, "%d", &n)
		body := memory{bytes.NewReader(bytes.Repeat([]byte{'b'}, n))}
		w.Header().Set("Content-Type", "application/octet-stream")
		if err := format.Serve(w, r, &millpond.Content{ReadSeekCloser: body, Size: int64(n)}); err != nil {
			format.Report(w, err)
		}
	}}))
	addr, _ := serve(t, s, Listening{})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, n := range sizes {
		for _, method := range []string{"GET", "HEAD"} { // a HEAD leaves nothing behind that would spoil the next answer
			before := segments(t, c)
			fmt.Fprintf(c, "%s /alpha/x?%d HTTP/1.1\r\nHost: %s\r\n\r\n", method, n, addr)
			resp, err := http.ReadResponse(r, &http.Request{Method: method})
			if err != nil {
				t.Fatalf("%s of %d bytes: %v", method, n, err)
			}
			got, err := io.ReadAll(resp.Body)
			want := n
			if method == "HEAD" {
				want = 0
			}
			if err != nil || string(got) != strings.Repeat("b", want) {
				t.Fatalf("%s of %d bytes: read %d, %v", method, n, len(got), err)
			}
			if came := segments(t, c) - before; came != 1 {
				t.Errorf("%s of %d bytes came in %d pieces; want 1", method, n, came)
			}
		}
	}
	// An answer that ends the connection is whole too.
	fmt.Fprintf(c, "GET /alpha/x?5000 HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", addr)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(resp.Body); err != nil || len(got) != 5000 {
		t.Errorf("of the last answer %d bytes came, %v; want 5000", len(got), err)
	}
}

// segments is how many segments with data have come on a connection.
func segments(t *testing.T, c net.Conn) (n uint32) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		info, e := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err = e; e == nil {
			n = info.Data_segs_in
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestHeaderLeavesWithItsFile: the header of a file's answer is no segment of its own, and waits for nothing but the file.
func TestHeaderLeavesWithItsFile(t *testing.T) {
	const size = 30_000 // it fits into one segment of loopback
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, bytes.Repeat([]byte{'b'}, size), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		if err := format.Serve(w, r, &millpond.Content{ReadSeekCloser: f, Size: size}); err != nil {
			format.Report(w, err)
		}
	}}))
	addr, _ := serve(t, s, Listening{})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, one := range []struct {
		span string
		size int
	}{{"", size}, {"Range: bytes=10-29999\r\n", size - 10}, {"Range: bytes=0-0\r\n", 1}, {"Range: bytes=1-4096\r\n", 4096}, {"Range: bytes=1-4097\r\n", 4097}} {
		before, began := segments(t, c), time.Now()
		fmt.Fprintf(c, "GET /alpha/x HTTP/1.1\r\nHost: %s\r\n%s\r\n", addr, one.span)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(resp.Body); err != nil || len(got) != one.size {
			t.Fatalf("%q: read %d bytes, %v; want %d", one.span, len(got), err, one.size)
		}
		if came := segments(t, c) - before; came != 1 {
			t.Errorf("%q: the answer came in %d pieces; want 1", one.span, came)
		}
		t.Logf("%q took %v", one.span, time.Since(began))
	}
}
