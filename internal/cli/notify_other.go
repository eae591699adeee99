//go:build !linux

package cli

// monotonic is 0: no service manager of this system asks for it.
func monotonic() int64 { return 0 }
