package catalog

import "time"

// Observed is a catalog that tells how its writes are getting on. Neither method touches the disk's data.
type Observed interface {
	// Writing is how the writes are getting on now.
	Writing() Writing
	// Stuck says, in words, which writer has not moved in a while that ends now, although nothing but this process keeps it
	// from moving; nil if all do. A writer that waits for the disk, or for another process's lock, is not stuck, however long
	// it waits: to start the process anew would not make the disk quicker, and would take from readers what they are served.
	Stuck(now time.Time, within time.Duration) error
}

// Writing is how the writes of a catalog are getting on.
type Writing struct {
	Waiting int          // writes that nobody has begun with
	Log     int64        // bytes written that are not yet in their place
	Commits []CommitTime // by how long they took, shortest first
	Count   uint64       // of commits since the start
	Took    time.Duration
	Since   time.Duration // how long the disk has been busy with the write that it is busy with; 0 if it is not
}

// A CommitTime counts the commits that took no longer than a time.
type CommitTime struct {
	Most  time.Duration
	Count uint64
}
