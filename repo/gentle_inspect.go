package repo

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Files are looked through when nobody waits for a download: somebody who installs a thousand packages has the processors. Of
// those the downloads leave gaps, so that none has to have come for a moment.
const (
	calm        = 2 * time.Second       // for how long nothing was downloaded
	longestLull = 5 * time.Minute       // the longest that looking waits for downloads, in all, until nothing is due any more
	lullLook    = 50 * time.Millisecond // how often it looks whether they have ended
)

// A lull is for how long looking has waited for downloads.
type lull struct{ waited time.Duration }

// wait waits while the pond is busy, but no longer than longestLull in all. It reports false if the pond is being closed.
func (l *lull) wait(ctx context.Context, closing <-chan struct{}, busy func() bool) bool {
	for l.waited < longestLull && busy() {
		look := time.NewTimer(lullLook)
		select {
		case <-look.C:
			l.waited += lullLook
		case <-closing:
			look.Stop()
			return false
		case <-ctx.Done():
			look.Stop()
			return false
		}
	}
	return true
}

// filling reports whether downloads run, wait for their turn or have ended but now, though of that nothing is made while
// somebody waits for the looking.
func (p *Pond) filling() bool {
	if s := p.fetch.Stats(); s.Fills+s.Waiting > 0 {
		return true
	}
	i := &p.inspections
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.waiting == 0 && time.Since(i.came) < calm
}

// A gentleAt rests while downloads run, and as long as it was made to work, so that looking takes no more than half of one
// processor.
type gentleAt struct {
	ctx    context.Context
	pond   *Pond
	at     io.ReaderAt
	mu     sync.Mutex // guards the rest: one reads at a time
	since  time.Time  // when the last rest was over
	failed error      // why bytes could not be read: then nothing is known of them
}

func (g *gentleAt) ReadAt(b []byte, off int64) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, err := g.read(b, off)
	if err != nil && err != io.EOF {
		g.failed = err
	}
	return n, err
}

func (g *gentleAt) read(b []byte, off int64) (int, error) {
	if worked := time.Since(g.since); worked >= inspectStretch {
		rest := time.NewTimer(min(worked, longestRest))
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-g.pond.closing:
			return 0, errClosing
		case <-g.ctx.Done():
			return 0, errors.Join(errClosing, g.ctx.Err())
		}
		if !g.pond.inspections.lull.wait(g.ctx, g.pond.closing, g.pond.filling) {
			return 0, errors.Join(errClosing, g.ctx.Err())
		}
		g.since = time.Now()
	}
	return g.at.ReadAt(b, off)
}
