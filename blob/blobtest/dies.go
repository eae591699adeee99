package blobtest

import (
	"os"
	"sync/atomic"
)

// A Dying process counts what it writes, and ends at one of the writes as kill -9 does: for tests that start themselves
// again, to see what such an end leaves.
type Dying struct {
	// At is the write that it dies at: before it, or after it if At is below zero. With 0 it lives.
	At int64

	asleep atomic.Bool
	done   atomic.Int64
}

// Do writes, unless the process dies before it.
func (d *Dying) Do(write func() error) error {
	if d.asleep.Load() {
		return write()
	}
	n := d.done.Add(1)
	if n == d.At {
		Die()
	}
	err := write()
	if n == -d.At {
		Die()
	}
	return err
}

// Sleep lets writes pass uncounted until Wake, which begins anew.
func (d *Dying) Sleep() { d.asleep.Store(true) }

// Wake counts writes from here on.
func (d *Dying) Wake() {
	d.done.Store(0)
	d.asleep.Store(false)
}

// Done is how many writes were counted.
func (d *Dying) Done() int64 { return d.done.Load() }

// Die ends the process, and runs nothing of it any more.
func Die() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Kill()
	}
	select {} // until it takes effect
}
