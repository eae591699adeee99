package http1

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// writeMore writes bytes that may wait for those that follow them.
func writeMore(c net.Conn, b []byte) (int, error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return c.Write(b)
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		for {
			n, failed = unix.SendmsgN(int(fd), b, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
			if failed != unix.EINTR {
				return failed != unix.EAGAIN
			}
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return 0, &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	}
	if n == len(b) {
		return n, nil
	}
	rest, err := c.Write(b[n:])
	return n + rest, err
}
