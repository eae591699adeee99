package cli

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"millpond"
)

const (
	// startPatience is how long a start that a service manager has made waits for what stands in its way: a process that ends may
	// take half a minute for its last requests, and then gives up its data.
	startPatience = time.Minute
	// startAgain is how often it tries again meanwhile.
	startAgain = 25 * time.Millisecond
)

// errStopped ends a start that was told to stop while it waited.
var errStopped = errors.New("told to stop before it served")

// patienceOf is how long a start waits for what stands in its way. A person who starts a second pond is told at once.
func (p *Process) patienceOf(notice time.Duration) time.Duration {
	if p.manager == nil && !p.sockets.any() {
		return 0
	}
	return startPatience + notice // for which the process before goes on as usual
}

// insist tries again while it can help to wait, for r.patience, and says meanwhile what it waits for. It returns what stands in
// the way at the end, or errStopped.
func (r *running) insist(ctx context.Context, try func() error) error {
	err := try()
	if err == nil || r.patience <= 0 || !passes(err) {
		return err
	}
	r.log.Warn("something stands in the way of the start, which waits", "most", r.patience.String(), "error", err)
	r.process.manager.starting(err.Error(), r.patience+30*time.Second)
	again := time.NewTicker(startAgain)
	defer again.Stop()
	for end := time.Now().Add(r.patience); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return err
		case s := <-r.process.Signals:
			if s != syscall.SIGHUP {
				r.log.Info("stopped before it served", "signal", s.String())
				return errStopped
			}
			r.again = true
			continue
		case <-again.C:
		}
		if err = try(); err == nil || !passes(err) {
			return err
		}
	}
	return err
}

// passes reports whether an error of a start may be gone in a while.
func passes(err error) bool {
	switch millpond.KindOf(err) {
	case millpond.Unready, millpond.Throttled, millpond.Full, millpond.Internal:
		return !errors.Is(err, os.ErrPermission)
	}
	return false
}
