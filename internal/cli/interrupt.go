package cli

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// A signaled is the end of a command that a signal has asked for.
type signaled struct{ os.Signal }

func (s signaled) Error() string { return "stopped by a signal: " + s.String() }

// code is what a shell says of a process that the signal has ended.
func (s signaled) code() int {
	if n, ok := s.Signal.(syscall.Signal); ok {
		return ExitSignal + int(n)
	}
	return ExitFailed
}

// signalGrace is how long a command that was told to end may take to give back what it has taken.
const signalGrace = 2 * time.Second

// heed has the first signal end the context of a command other than serve; the process ends at the second, or when the command has not
// ended in a while: it may wait for somebody to type. done is called when the command has ended.
func (p *Process) heed(ctx context.Context) (_ context.Context, done func()) {
	if p.Signals == nil {
		return ctx, func() {}
	}
	ctx, end := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-ended:
			return
		case s := <-p.Signals:
			why := signaled{s}
			end(why)
			select {
			case <-ended:
				return
			case <-p.Signals:
			case <-time.After(signalGrace):
			}
			p.typed.giveBack()
			if p.Exit != nil {
				fmt.Fprintln(p.Err, "\nmillpond:", why)
				p.Exit(why.code())
			}
		}
	})
	return ctx, sync.OnceFunc(func() { close(ended); watch.Wait(); end(nil) })
}

// A typing is a terminal at which something is typed that is not shown. The nil *typing is none.
type typing struct {
	mu    sync.Mutex // guards again; never held across a read
	again func()     // has the terminal show what is typed again; nil while it does
}

// hide notes how a terminal is brought back to what it was; nil once it is.
func (t *typing) hide(again func()) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.again = again
}

func (t *typing) giveBack() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.again != nil {
		t.again()
	}
}
