//go:build !linux

package server

// writeMore is Write for bytes that may wait for those that follow them; here they do not.
func (c *conn) writeMore(b []byte) (int, error) { return c.TCPConn.Write(b) }
