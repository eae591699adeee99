package fetch

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// A Leftover is a download that ended before its bytes did, and how to go on with it. It can be kept as JSON.
type Leftover struct {
	ID     string    `json:"id"`             // of the File
	Writer string    `json:"writer"`         // of the blob begun, for Store.Resume
	ETag   string    `json:"etag,omitempty"` // of the object
	Size   int64     `json:"size"`           // of the whole; -1 if not known
	Time   time.Time `json:"time"`
}

const (
	leftLeast = 8 << 20 // what is worth resuming while the pond runs
	leftFor   = time.Hour
	leftMost  = 256
)

// Leftovers are the downloads that can be resumed, after Close those that it stopped among them. Who keeps them gives
// them to TakeUp after the next start; what nobody takes up, the store's Tidy removes.
func (e *Engine) Leftovers() []Leftover {
	e.init()
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.SortedFunc(maps.Values(e.left), func(a, b Leftover) int { return strings.Compare(a.ID, b.ID) })
}

// TakeUp tells a new engine which downloads an earlier one left over. Each goes on when its file is next opened.
func (e *Engine) TakeUp(left []Leftover) {
	e.init()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range left {
		e.left[l.ID] = l
	}
}

// abandon ends a download that failed, or was stopped: its bytes go, or wait for another try if they are worth it. Where all came
// and were refused, another try would ask for what is behind their end.
func (f *flight) abandon(stopped bool) {
	f.use.Lock()
	w, spilled := f.w, f.tl != nil
	f.w = nil
	if spilled {
		f.tl.drop()
		f.tl = nil
	}
	f.use.Unlock()
	if f.sealed { // only Sealed failed: a blob that nothing names is swept
		w.Close()
		return
	}
	keep := w != nil && !spilled && !f.file.Drop && f.file.Get == nil && f.coding == "" && (f.tag != "" || f.judged())
	if !keep || f.damaged || f.came || w.Size() == 0 || !stopped && w.Size() < leftLeast {
		discard(w)
		return
	}
	if w.Close() != nil {
		return // the store tidies it up
	}
	e := f.e
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	maps.DeleteFunc(e.left, func(_ string, l Leftover) bool { return now.Sub(l.Time) > leftFor })
	if len(e.left) < leftMost {
		e.left[f.file.ID] = Leftover{ID: f.file.ID, Writer: w.ID(), ETag: f.tag, Size: f.size, Time: now}
	}
}
