package server

import (
	"net"

	"golang.org/x/sys/unix"
)

// writeMore is Write for bytes that may wait for those that follow them.
func (c *conn) writeMore(b []byte) (int, error) {
	if c.raw == nil {
		raw, err := c.SyscallConn()
		if err != nil {
			return 0, err
		}
		c.raw = raw
	}
	var n int
	var failed error
	err := c.raw.Write(func(fd uintptr) bool {
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
	rest, err := c.TCPConn.Write(b[n:])
	return n + rest, err
}
