package format

import (
	"context"
	"errors"
	"fmt"
	"io"

	"millpond"
)

// An Incoming is what a client sends. It remembers why reading it failed, which tells a client that has not sent all from the
// failures of whoever takes the bytes.
type Incoming struct {
	r   io.Reader
	n   int64
	err error
}

// NewIncoming reads from r.
func NewIncoming(r io.Reader) *Incoming { return &Incoming{r: r} }

// Read implements io.Reader.
func (in *Incoming) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	in.n += int64(n)
	if err != nil && err != io.EOF {
		in.err = err
	}
	return n, err
}

// Why is the err of a copy from it: as it is, or Invalid in words if the client has not sent all. A client that has left is
// told nothing, and what reading says in words of its own stays.
func (in *Incoming) Why(ctx context.Context, k millpond.Key, err error) error {
	if _, worded := errors.AsType[*millpond.Error](in.err); in.err == nil || worded || ctx.Err() != nil {
		return err
	}
	return &millpond.Error{Kind: millpond.Invalid, Key: k, Why: fmt.Sprintf("the body ended after %d bytes", in.n), Err: in.err}
}
