package sql

import (
	"fmt"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/catalog"
)

// writerBeat is how often a writer without work shows that it moves.
const writerBeat = time.Second

// pace is how the writer of one file is getting on, for those who look on.
type pace struct {
	made   time.Time
	moved  atomic.Int64 // when the writer last did something, in nanoseconds since then: no clock that is set makes it stand still
	inside atomic.Bool  // it waits for SQLite, and so for the disk

	commits [len(commitTimes) + 1]atomic.Uint64 // by how long they took
	took    atomic.Int64                        // all of them together
}

// commitTimes are the bounds of what commits are counted by.
var commitTimes = [...]time.Duration{ // never changed
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second,
}

// beat notes that the writer moves.
func (p *pace) beat() { p.moved.Store(int64(time.Since(p.made))) }

// enter notes that what follows is SQLite's, until the function that it returns is called.
func (p *pace) enter() (leave func()) {
	p.inside.Store(true)
	return p.left
}

func (p *pace) left() {
	p.beat()
	p.inside.Store(false)
}

// commit counts a commit that was begun at a time and has ended.
func (p *pace) commit(begun time.Time) {
	took := time.Since(begun)
	i := 0
	for i < len(commitTimes) && took > commitTimes[i] {
		i++
	}
	p.commits[i].Add(1)
	p.took.Add(int64(took))
}

// still is how long the writer has not moved.
func (p *pace) still(now time.Time) time.Duration {
	return now.Sub(p.made) - time.Duration(p.moved.Load())
}

var _ catalog.Observed = (*Catalog)(nil)

// Writing implements catalog.Observed.
func (c *Catalog) Writing() catalog.Writing {
	out := catalog.Writing{Commits: make([]catalog.CommitTime, len(commitTimes))}
	now := time.Now()
	for _, f := range []*file{c.changes, c.cache} {
		p := &f.writer.work.pace
		out.Waiting += len(f.writer.queue)
		out.Log += f.logSize()
		out.Took += time.Duration(p.took.Load())
		if p.inside.Load() {
			out.Since = max(out.Since, p.still(now))
		}
		n := uint64(0)
		for i := range p.commits {
			n += p.commits[i].Load()
			if i < len(commitTimes) {
				out.Commits[i].Most = commitTimes[i]
				out.Commits[i].Count += n
			}
		}
		out.Count += n
	}
	return out
}

// Stuck implements catalog.Observed.
func (c *Catalog) Stuck(now time.Time, within time.Duration) error {
	select {
	case <-c.closed:
		return nil
	default:
	}
	for _, f := range []*file{c.changes, c.cache} {
		p := &f.writer.work.pace
		if inside, still := p.inside.Load(), p.still(now); !inside && still > within {
			return &millpond.Error{Kind: millpond.Unready,
				Why: fmt.Sprintf("the writer of %s has not moved for %s; %d writes wait for it", f.name, still.Round(time.Second), len(f.writer.queue))}
		}
	}
	return nil
}
