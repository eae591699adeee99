package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// handed hands a listening socket over to this process, as a service manager would, and returns its address.
func handed(t *testing.T, name string) (*sockets, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
	t.Setenv("LISTEN_FDS", "1")
	t.Setenv("LISTEN_FDNAMES", name)
	s, err := handedOver(os.Getpid(), fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if is, ok := os.LookupEnv(v); ok {
			t.Errorf("%s=%s is left to programs that this one starts", v, is)
		}
	}
	if flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0); errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
		t.Errorf("the descriptor's flags are %#x, %v: programs that this one starts have it too", flags, errno)
	}
	return s, l.Addr().String()
}

func TestHandedOver(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range []struct{ name, pid, fds, want string }{
		{"nothing", "", "", ""},
		{"of another process", "1", "3", ""},
		{"no number", "", "many", `LISTEN_FDS is "many"`},
		{"negative", "", "-1", `LISTEN_FDS is "-1"`},
		{"no socket", "", "1", "is no listening socket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.pid == "" {
				c.pid = fmt.Sprint(os.Getpid())
			}
			t.Setenv("LISTEN_PID", c.pid)
			t.Setenv("LISTEN_FDS", c.fds)
			fd, err := syscall.Dup(int(file.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			s, err := handedOver(os.Getpid(), fd)
			switch {
			case c.want == "" && (err != nil || s.any()):
				t.Errorf("handedOver = %v, %v; want no socket", s, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("handedOver: %v; want %q", err, c.want)
			}
			if is, ok := os.LookupEnv("LISTEN_FDS"); ok {
				t.Errorf("LISTEN_FDS=%s is left", is)
			}
		})
	}
}

// TestSocketsAreFoundByAddress: as the kernel would tell addresses apart.
func TestSocketsAreFoundByAddress(t *testing.T) {
	at := func(address string) *sockets {
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return &sockets{all: []*socket{{addr: a}}}
	}
	for _, c := range []struct {
		socket, want string
		found        bool
	}{
		{"127.0.0.1:8080", "127.0.0.1:8080", true},
		{"127.0.0.1:8080", "localhost:8080", true},
		{"127.0.0.1:8080", "127.0.0.1:8081", false},
		{"127.0.0.1:8080", "127.0.0.2:8080", false},
		{"127.0.0.1:8080", ":8080", false},
		{"127.0.0.1:8080", "127.0.0.1:0", false},
		{"0.0.0.0:8080", ":8080", true},
		{"[::]:8080", ":8080", true},
		{"[::]:8080", "0.0.0.0:8080", true},
		{"0.0.0.0:8080", "[::]:8080", true},
		{"0.0.0.0:8080", "127.0.0.1:8080", false},
		{"[::1]:8080", "[::1]:8080", true},
		{"[::1]:8080", "nonsense", false},
	} {
		if got := at(c.socket).find(c.want) != nil; got != c.found {
			t.Errorf("socket %s for %s: found %t, want %t", c.socket, c.want, got, c.found)
		}
	}
	if (*sockets)(nil).find(":8080") != nil {
		t.Error("a socket was found where none was handed over")
	}
}

// TestServeOnSocketsHandedOver: the pond's own listener and a repository's, both handed over, and a third that nobody wants.
func TestServeOnSocketsHandedOver(t *testing.T) {
	p := planFor(t, upstream(t, wheel(t)).URL+"/simple/")
	first, main := handed(t, "main")
	second, door := handed(t, "door")
	third, idle := handed(t, "idle")
	p.listen, p.repositories[0].Listen = main, door
	all := &sockets{all: append(append(first.all, second.all...), third.all...)}
	u := (&underTest{t: t, next: p}).begin(func(process Process) error {
		process.sockets = all
		return serve(context.Background(), &process, p, nil)
	})
	if u.base != "http://"+main+"/" {
		t.Errorf("serves %s, want http://%s/", u.base, main)
	}
	for name, address := range map[string]string{"main": u.base + "pypi/simple/demo/", "door": "http://" + door + "/simple/demo/"} {
		resp, err := (&underTest{t: t, base: address}).get("")
		if resp.StatusCode != 200 {
			t.Errorf("%s: GET %s = %s %s", name, address, resp.Status, err)
		}
	}
	u.stop()
	if want := idle + " (idle)"; !strings.Contains(u.log.String(), want) || strings.Contains(u.log.String(), main+" (main)") {
		t.Errorf("the log does not name %s, and no other, as a socket that nobody wants:\n%s", want, u.log)
	}
	c, err := net.Dial("tcp", main)
	if err != nil {
		t.Fatalf("once the pond has ended: %v; want a connection that waits for the next", err)
	}
	c.Close()

	p.listen, p.repositories[0].Listen = "127.0.0.1:0", ""
	for _, one := range all.all {
		one.used = false
	}
	process := Process{Out: newScreen(), Err: newScreen(), sockets: all}
	if err := serve(context.Background(), &process, p, nil); exitCodeOf(err) != ExitUsage || !strings.Contains(err.Error(), "nothing listens on the sockets that were handed over, "+main) {
		t.Errorf("sockets for other addresses than the configuration's: %v, want the words", err)
	}
}

func exitCodeOf(err error) int {
	if e, ok := errors.AsType[*exit](err); ok {
		return e.code
	}
	return -1
}

// An ear hears what a process tells its service manager.
type ear struct {
	t *testing.T
	*net.UnixConn
	manager *manager
}

func listening(t *testing.T) *ear {
	t.Helper()
	at := filepath.Join(t.TempDir(), "n")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(time.Minute))
	return &ear{t, c, &manager{socket: at, log: discard()}}
}

func (e *ear) next() string {
	e.t.Helper()
	b := make([]byte, 4096)
	n, err := e.Read(b)
	if err != nil {
		e.t.Fatalf("nothing was heard: %v", err)
	}
	return string(b[:n])
}

func (e *ear) hears(words string) string {
	e.t.Helper()
	got := e.next()
	if !strings.Contains(got, words) {
		e.t.Fatalf("heard %q, want %q", got, words)
	}
	return got
}

// TestStartWaits: a start that a service manager has made waits for the process before it, and says so.
func TestStartWaits(t *testing.T) {
	e := listening(t)
	p := planFor(t, upstream(t, wheel(t)).URL+"/simple/")
	before, err := openHouse(t.Context(), houseParts{data: p.data, log: discard()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.listen = l.Addr().String()
	u := &underTest{t: t, next: p, out: newScreen(), log: newScreen(), signals: make(chan os.Signal), ended: make(chan error, 1), base: "http://" + p.listen + "/"}
	begin := func() {
		process := Process{Out: u.out, Err: u.log, Version: "test", Signals: u.signals, manager: e.manager}
		go func() {
			u.ended <- serve(context.Background(), &process, p, func(context.Context) (*plan, error) { return u.next, nil })
		}()
	}
	begin()
	e.hears("EXTEND_TIMEOUT_USEC=90000000\nSTATUS=waits: another program listens on " + p.listen)
	u.signals <- syscall.SIGTERM
	if err := <-u.ended; err != nil {
		t.Errorf("told to stop while it waits: %v, want no error", err)
	}
	begin()
	e.hears("STATUS=waits: another program")
	l.Close()
	e.hears("STATUS=waits: the data directory " + p.data + " is in use by process")
	u.signals <- syscall.SIGHUP
	if err := before.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.hears("READY=1\nSTATUS=serves " + u.base)
	if got := e.hears("RELOADING=1\nMONOTONIC_USEC="); strings.HasSuffix(got, "=0") {
		t.Errorf("heard %q, want the time", got)
	}
	e.hears("READY=1")
	u.reloaded()
	u.stop()
	e.hears("STOPPING=1")
}

// TestStartWaitsOnlyForWhatPasses: what waiting cannot mend, and what stands in the way of a person's second pond, is said at once.
func TestStartWaitsOnlyForWhatPasses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := planFor(t, "http://127.0.0.1:1/simple/")
	p.listen = l.Addr().String()
	if err := serve(t.Context(), &Process{Out: newScreen(), Err: newScreen()}, p, nil); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("without a service manager: %v, want at once that another program listens", err)
	}
	p.listen = "nonsense"
	if err := serve(t.Context(), &Process{Out: newScreen(), Err: newScreen(), manager: listening(t).manager}, p, nil); exitCodeOf(err) != ExitUsage {
		t.Errorf("an address that is none: %v, want exit code %d at once", err, ExitUsage)
	}
	r := &running{process: &Process{}, log: discard(), patience: time.Millisecond}
	busy := errors.New("the disk is busy")
	tried := 0
	if err := r.insist(t.Context(), func() error { tried++; return busy }); err != busy || tried < 1 {
		t.Errorf("insist = %v after %d tries, want the error in the end", err, tried)
	}
}

// TestWatchdog: the manager hears that the process is alive each time that it is, and only then.
func TestWatchdog(t *testing.T) {
	e := listening(t)
	e.manager.watchdog = 2 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	asked := 0
	e.manager.watch(ctx, func() error {
		switch asked++; {
		case asked == 9:
			stop()
		case asked > 2 && asked < 6:
			return errors.New("stuck")
		}
		return nil
	})
	e.manager.say("END=1")
	heard := 0
	for e.next() == "WATCHDOG=1" {
		heard++
	}
	if want := asked - 3; heard != want {
		t.Errorf("heard %d times that it is alive, want %d of %d", heard, want, asked)
	}
}

func TestManagerOf(t *testing.T) {
	for _, c := range []struct {
		name, socket, usec, pid string
		want                    *manager
	}{
		{"nobody", "", "1000000", "", nil},
		{"no watchdog", "/run/n", "", "", &manager{}},
		{"a watchdog", "/run/n", "30000000", "", &manager{watchdog: 30 * time.Second}},
		{"a watchdog of ours", "@n", "30000000", fmt.Sprint(os.Getpid()), &manager{watchdog: 30 * time.Second}},
		{"another's watchdog", "@n", "30000000", "1", &manager{}},
		{"nonsense", "@n", "soon", "", &manager{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", c.socket)
			t.Setenv("WATCHDOG_USEC", c.usec)
			t.Setenv("WATCHDOG_PID", c.pid)
			got := managerOf(os.Getpid())
			if (got == nil) != (c.want == nil) || got != nil && (got.socket != c.socket || got.watchdog != c.want.watchdog) {
				t.Errorf("managerOf = %+v, want %+v at %s", got, c.want, c.socket)
			}
			if is, ok := os.LookupEnv("NOTIFY_SOCKET"); ok {
				t.Errorf("NOTIFY_SOCKET=%s is left", is)
			}
		})
	}
}
