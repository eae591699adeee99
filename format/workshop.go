package format

import (
	"context"
	"net/http"
)

// An Insider is a Format some of whose upstreams are a team's own: Ours reports it of one with these options. Such an upstream is
// asked about claimed names as well, so that its Source must itself keep to names that are ours. It is pure.
type Insider interface {
	Ours(option func(name string) string) bool
}

// A Workshop is a Remote whose Source may make bytes by programs of this machine instead of reading them: a Fetcher. The
// pond's Remotes are Workshops. What such a program asks of a network goes through Send, which adds the credentials: none are
// given to the program.
type Workshop interface {
	// Scratch is a folder of this upstream's own, by an absolute path. What is in it may be lost between two questions. Unready
	// if the pond has no folder to work in.
	Scratch() (string, error)
	// Turn waits for one of the places that such programs have together, one for each core. The caller calls done.
	Turn(ctx context.Context) (done func(), err error)
	// Send sends a request to an absolute URL, of the upstream or one that it may lead to, with the credentials if it is of the
	// upstream's own origin, and returns the answer as it comes, whatever its status. Of the header only what describes the
	// body and the answer wanted goes along, and Git-Protocol. Errors are those of Document. The caller closes the body, which
	// ends in an error after limit bytes.
	Send(r *http.Request, limit int64) (*http.Response, error)
}

// A Gate is a Remote that has a few places, one for each core, for work that takes much memory while it lasts, as the table of a
// large archive does: a hundred files may be judged at once. The pond's Remotes are Gates.
type Gate interface {
	// Enter waits for a place. The caller calls leave soon, and asks nobody for anything before it has.
	Enter(ctx context.Context) (leave func(), err error)
}

// Enter waits at the gate of a Remote that is one.
func Enter(ctx context.Context, r Remote) (leave func(), err error) {
	if g, ok := r.(Gate); ok {
		return g.Enter(ctx)
	}
	return func() {}, nil
}
