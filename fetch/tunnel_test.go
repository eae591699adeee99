package fetch

import (
	"io"
	"net"
	"strings"
	"testing"

	"millpond"
)

// TestS09Tunnel: a tunnel leads to private addresses that the operator named, and to none that nobody may name.
func TestS09Tunnel(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // ends with the listener
		if c, err := l.Accept(); err == nil {
			io.WriteString(c, "hello")
			c.Close()
		}
	}()
	conn, err := Tunnel(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if b, err := io.ReadAll(conn); err != nil || string(b) != "hello" {
		t.Errorf("through the tunnel: got %q, %v", b, err)
	}
	l.Close()
	for _, address := range []string{"169.254.169.254:443", "100.100.100.200:443", "[fe80::1]:443", "0.0.0.0:443", l.Addr().String()} {
		conn, err := Tunnel(t.Context(), address)
		if err == nil {
			conn.Close()
		}
		if !millpond.Is(err, millpond.BadUpstream) {
			t.Errorf("%s: got %v, want it refused", address, err)
		}
		if forbidden := address != l.Addr().String(); forbidden && !strings.Contains(err.Error(), " is at ") {
			t.Errorf("%s: got %v, want the words of who refuses it", address, err)
		}
	}
}
