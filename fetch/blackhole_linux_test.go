package fetch

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
)

// blackHole is an address on which nothing answers: the queue of its listener is full, and the kernel drops what comes.
func blackHole(t *testing.T, at string) netip.AddrPort {
	t.Helper()
	want := netip.MustParseAddrPort(at)
	family, to := syscall.AF_INET, syscall.Sockaddr(&syscall.SockaddrInet4{Port: int(want.Port()), Addr: [4]byte{127, 0, 0, 1}})
	if want.Addr().Is6() {
		family, to = syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(want.Port()), Addr: want.Addr().As16()}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no such sockets here: %v", err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, to); err != nil {
		t.Skipf("%s cannot be bound here: %v", want, err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(0)
	switch name := name.(type) {
	case *syscall.SockaddrInet4:
		port = uint16(name.Port)
	case *syscall.SockaddrInet6:
		port = uint16(name.Port)
	}
	at = netip.AddrPortFrom(want.Addr(), port).String()
	for range 8 {
		c, err := net.DialTimeout("tcp", at, 100*time.Millisecond)
		if err != nil {
			return netip.MustParseAddrPort(at)
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("this kernel takes connections for a listener whose queue is full")
	return netip.AddrPort{}
}

// F12: nobody answers at all. It is tried twice, in the time that connecting may take, and then the breaker is open: who asks
// next does not wait.
func TestF12BlackHole(t *testing.T) {
	hole := blackHole(t, "127.0.0.1:0")
	r := newRig(t, func(_ *Engine, s *Settings) { s.URL = mustParse("http://" + hole.String() + "/") })
	r.up.guard.dialer.Timeout = 50 * time.Millisecond
	ask := func() error {
		_, err := r.up.Get(t.Context(), Request{URL: "http://" + hole.String() + "/f"})
		return err
	}
	wantError(t, ask(), millpond.BadUpstream, "twice")
	for range 10 {
		if err := ask(); !millpond.Is(err, millpond.BadUpstream) {
			t.Fatalf("got %v, want BadUpstream", err)
		}
	}
	tried := r.Stats().Requests
	for range 20 {
		if err := ask(); !millpond.Is(err, millpond.BadUpstream) {
			t.Fatalf("got %v, want BadUpstream", err)
		}
	}
	if n := r.Stats().Requests - tried; n != 0 {
		t.Errorf("the breaker is open, and it was tried %d times more", n)
	}
}

// F12: a name has two addresses, and the first, of IPv6, is dead: the other is tried beside it, long before connecting is
// given up.
func TestF12DeadIPv6(t *testing.T) {
	srv := faulty.New(t)
	at := netip.MustParseAddrPort(strings.TrimPrefix(srv.URL, "http://"))
	blackHole(t, fmt.Sprintf("[::1]:%d", at.Port()))
	host := fmt.Sprintf("both.example:%d", at.Port())
	r := newRigOn(t, srv, func(_ *Engine, s *Settings) { s.URL = mustParse("http://" + host + "/") })
	r.up.guard.dialer.Resolver = resolver(t, true, [4]byte{127, 0, 0, 1})
	r.up.guard.dialer.FallbackDelay = 20 * time.Millisecond
	b := noise(1000)
	srv.Put("/f", faulty.Object{Body: b})
	doc, err := r.up.Get(t.Context(), Request{URL: "http://" + host + "/f"})
	if err != nil {
		t.Fatal(err)
	}
	doc.Close()
	if n := r.Stats().Requests; n != 1 {
		t.Errorf("tried %d times, want 1", n)
	}
}
