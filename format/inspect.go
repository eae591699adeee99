package format

import (
	"context"
	"io"

	"millpond"
)

// An Inspector is a Format that can look through a file of an upstream as it looks through one that is published. What
// publishing would refuse is served from an upstream all the same, for that is what clients get there; but it is told.
type Inspector interface {
	// Inspects reports whether there is anything to look through in a file of that key. It is pure and cheap.
	Inspects(k millpond.Key) bool
	// Inspect looks through the bytes, long after they were sealed and with no reader waiting: Invalid or TooLarge, whose Why
	// says what publishing would refuse, nil if nothing. Any other error says that it cannot be told now. What it needs of
	// memory is bounded, whatever the bytes are, and so is how much it unpacks.
	Inspect(ctx context.Context, k millpond.Key, r io.ReaderAt, size int64) error
}
