package catalog

import (
	"context"
	"iter"
	"time"

	"millpond"
)

// Log is the record of changes: the events, chained by hashes so that none can be changed or taken out unnoticed.
//
// The hash of an event is SHA-256 of the hash before it and of SHA-256 of its body; the body is the event as canonical JSON
// with a random salt, so that who may not see an event can be given the hash of its body and still verify the chain.
type Log interface {
	// Find yields the events that match, and ends.
	Find(ctx context.Context, f Filter) iter.Seq2[*millpond.Event, error]
	// Head is the end of the log; the zero Head if nothing has happened yet.
	Head(ctx context.Context) (Head, error)
	// Verify walks the whole log and compares it with itself and with heads that were noted earlier. It returns the first
	// thing that is wrong, nil if nothing is, and how many events it read.
	Verify(ctx context.Context, heads []Head) (*Break, int64, error)
	// Chain yields the links of all events after a number, and ends: for those who verify elsewhere.
	Chain(ctx context.Context, after int64) iter.Seq2[*Link, error]
	// Begin starts a new epoch, as a restore from a backup does; its first event says why and holds the last hash known. Its
	// number is the time in milliseconds since 1970, or the next one where that is no higher; the first epoch is 1.
	Begin(ctx context.Context, by millpond.Actor, why string) error
}

// A Link is an event as it is chained.
type Link struct {
	Event millpond.Event
	Body  []byte // canonical JSON, with the salt: who is shown it sees the event
}

// A Filter chooses events; what is zero does not choose.
type Filter struct {
	After, Before    int64 // Seq
	Since, Until     time.Time
	Actor            string
	Verb             string
	Repository       string
	Package, Version string
	Newest           bool // newest first instead of oldest first
	Limit            int
}

// A Head is the end of the log at some time.
type Head struct {
	Epoch, Seq int64
	Hash       millpond.Digest
	Time       time.Time // of the event
}

// A Break is where the log is not what it was.
type Break struct {
	Epoch, Seq int64
	Why        string // "event 17 was changed", "events after 20 are gone: head 25 was noted at …"
}
