package cli

import "golang.org/x/sys/unix"

// monotonic is the machine's monotonic clock in microseconds, as the service manager reads it.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // which no system does
	}
	return t.Nano() / 1000
}
