package fetch

import (
	"io"
	"sync"
	"time"

	"millpond"
)

const (
	tailWindow = 4 << 20   // how far behind a reader may be
	tailWhole  = 32 << 20  // of a body that a Verify has to see as a whole
	tailsMost  = 128 << 20 // of all downloads together
	tailChunk  = 256 << 10
)

// A tail is the end of a body that no store takes: as much of it as its readers still need.
type tail struct {
	e    *Engine
	from int64 // where it began; what is before is in the store's unfinished blob

	mu     sync.Mutex // guards the fields below
	base   int64      // the first byte that is still there
	end    int64
	chunks [][]byte // all full but the last
}

// append adds bytes. Full if there is no memory for them.
func (t *tail) append(p []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(p) > 0 {
		last := len(t.chunks) - 1
		if last < 0 || len(t.chunks[last]) == tailChunk {
			if t.e.memory.Add(tailChunk) > tailsMost {
				t.e.memory.Add(-tailChunk)
				return noRoom()
			}
			t.chunks = append(t.chunks, make([]byte, 0, tailChunk))
			last++
		}
		n := min(len(p), tailChunk-len(t.chunks[last]))
		t.chunks[last] = append(t.chunks[last], p[:n]...)
		t.end += int64(n)
		p = p[n:]
	}
	return nil
}

// ReadAt reads bytes that are still there.
func (t *tail) ReadAt(p []byte, off int64) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if off < t.base {
		return 0, errGone
	}
	if off >= t.end {
		return 0, io.EOF
	}
	at := off - t.base
	return copy(p, t.chunks[at/tailChunk][at%tailChunk:]), nil
}

// trim lets go of what is before an offset. It reports whether bytes are gone.
func (t *tail) trim(to int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.chunks) > 0 && len(t.chunks[0]) == tailChunk && t.base+tailChunk <= to {
		t.chunks[0] = nil
		t.chunks = t.chunks[1:]
		t.base += tailChunk
		t.e.memory.Add(-tailChunk)
	}
	return t.base > t.from
}

// drop lets go of all.
func (t *tail) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.e.memory.Add(-int64(len(t.chunks)) * tailChunk)
	t.base, t.chunks = t.end, nil
}

func noRoom() error {
	return &millpond.Error{Kind: millpond.Full, Why: "no room: the file is too large to be passed on unkept to readers so far apart"}
}

// settle is called after each piece of a body that is not stored. It waits for the slowest reader, within reason, and lets
// go of what all have read.
func (f *flight) settle() error {
	if f.file.Verify != nil { // which has to see all of it
		if f.arrived-f.tl.from > tailWhole {
			return noRoom()
		}
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pacing = true
	defer func() { f.pacing = false }()
	var patience *time.Timer
	for {
		if f.readers == 0 {
			return &millpond.Error{Kind: millpond.Full, Why: "no room to keep the file, and nobody waits for it any more"}
		}
		slowest := f.slowest()
		if f.arrived-slowest <= tailWindow {
			f.passed = f.tl.trim(slowest)
			return nil
		}
		if patience == nil {
			patience = time.NewTimer(f.e.grace())
			defer patience.Stop()
		}
		ch := f.change()
		f.mu.Unlock()
		late := false
		select {
		case <-ch:
		case <-patience.C:
			late = true
		case <-f.ctx.Done():
		}
		f.mu.Lock()
		if f.ctx.Err() != nil {
			return canceled(f.ctx)
		}
		if late && !f.shed() {
			return noRoom()
		}
	}
}

// slowest is where the reader furthest behind stands. Who waits for a body has read nothing. It is called with mu held.
func (f *flight) slowest() int64 {
	pos := f.arrived
	if f.readers > len(f.bodies) {
		pos = 0
	}
	for b := range f.bodies {
		if b.lost == nil {
			pos = min(pos, b.pos)
		}
	}
	return pos
}

// shed cuts the readers that are too far behind. It reports whether others are left. It is called with mu held.
func (f *flight) shed() bool {
	left := false
	for b := range f.bodies {
		if b.lost == nil && f.arrived-b.pos > tailWindow {
			b.lost = noRoom()
		}
		left = left || b.lost == nil
	}
	f.wake()
	return left && f.readers == len(f.bodies)
}
