package http1

import (
	"errors"
	"io"
	"net"
	"os"
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

// sends reports whether sendFile does.
const sends = true

// sendFile sends n bytes of a file, from off on. errors.ErrUnsupported if the kernel cannot, or the file was closed.
func sendFile(to syscall.Conn, f *os.File, off, n int64) (int64, error) {
	out, err := to.SyscallConn()
	if err != nil {
		return 0, err
	}
	in, err := f.SyscallConn()
	if err != nil {
		return 0, errors.ErrUnsupported
	}
	var sent int64
	var failed error
	err = out.Write(func(to uintptr) bool {
		for sent < n {
			var k int
			closed := in.Control(func(from uintptr) {
				k, failed = unix.Sendfile(int(to), int(from), &off, int(min(n-sent, sendMost)))
			})
			switch {
			case closed != nil, failed == unix.EINVAL, failed == unix.ENOSYS:
				failed = errors.ErrUnsupported
				return true
			case failed == unix.EAGAIN:
				return false
			case failed == unix.EINTR:
			case failed != nil:
				return true
			case k == 0:
				failed = io.ErrUnexpectedEOF
				return true
			default:
				sent += int64(k)
			}
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return sent, err
}

// sendMost is what sendfile takes at once.
const sendMost = 1 << 30
