package cli

import (
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A progress shows on a terminal that long work goes on, and how far it has come. Its methods do nothing on nil.
type progress struct {
	bar  *progressbar.ProgressBar
	stop chan struct{}
	work sync.WaitGroup
}

// working begins to show work of which nobody knows how long it takes: the words, what was counted so far, and the time. It is
// nil where nobody looks, or JSON is wanted. The caller calls done.
func (p *Process) working(words string) *progress {
	if p.bare == nil || p.json {
		return nil
	}
	o := &progress{stop: make(chan struct{}), bar: progressbar.NewOptions64(-1, progressbar.OptionSetWriter(p.bare), progressbar.OptionSetDescription(shown(words)),
		progressbar.OptionShowCount(), progressbar.OptionSetElapsedTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))}
	o.work.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				o.bar.RenderBlank() // a terminal that cannot be drawn on shows nothing
			case <-o.stop:
				return
			}
		}
	})
	return o
}

// add counts.
func (o *progress) add(n int64) {
	if o != nil {
		o.bar.Add64(n)
	}
}

// done takes it from the terminal.
func (o *progress) done() {
	if o == nil {
		return
	}
	close(o.stop)
	o.work.Wait()
	o.bar.Finish()
}
