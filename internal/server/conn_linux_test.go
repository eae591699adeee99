package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

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
	segments := func() (n uint32) {
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
	r := bufio.NewReader(c)
	for _, n := range sizes {
		for _, method := range []string{"GET", "HEAD"} { // a HEAD leaves nothing behind that would spoil the next answer
			before := segments()
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
			if came := segments() - before; came != 1 {
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

// TestAnswerInOnePieceToClientThatLeft writes to a connection that the client has reset: the error must reach who writes.
func TestAnswerInOnePieceToClientThatLeft(t *testing.T) {
	l := listen(t)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{TCPConn: accepted}
	defer accepted.Close()
	client.(*net.TCPConn).SetLinger(0)
	client.Close()
	if _, err := accepted.Read(make([]byte, 1)); err == nil {
		t.Fatal("the client is still there")
	}
	c.inOnePiece(8192)
	head := "HTTP/1.1 200 OK\r\nContent-Length: 8192\r\n\r\n"
	first := head + strings.Repeat("b", 4096-len(head))
	if n, err := io.WriteString(c, first); n != len(first) || err != nil {
		t.Fatalf("the first piece: %d, %v; want it to be kept", n, err)
	}
	rest := strings.Repeat("b", 8192+len(head)-len(first))
	if n, err := io.WriteString(c, rest); n != 0 || err == nil {
		t.Errorf("the rest: %d bytes written, error %v; want none and an error", n, err)
	}
}
