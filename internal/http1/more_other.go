//go:build !linux

package http1

import "net"

// writeMore writes bytes that may wait for those that follow them; here they do not.
func writeMore(c net.Conn, b []byte) (int, error) { return c.Write(b) }
