//go:build !linux

package http1

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// writeMore writes bytes that may wait for those that follow them; here they do not.
func writeMore(c net.Conn, b []byte) (int, error) { return c.Write(b) }

// sends reports whether sendFile does.
const sends = false

func sendFile(syscall.Conn, *os.File, int64, int64) (int64, error) { return 0, errors.ErrUnsupported }
