package server

import (
	"errors"

	"millpond"
)

// A refusal is an answer of the server's own that no kind of error has.
type refusal struct {
	status    int
	kind      millpond.Kind
	why       string
	challenge string
}

func (e *refusal) Error() string { return e.why }

// plain is the error as others than the server know it.
func plain(err error) error {
	e, ok := errors.AsType[*refusal](err)
	if !ok {
		return err
	}
	kind := e.kind
	if kind == millpond.Internal {
		kind = millpond.Invalid
	}
	return &millpond.Error{Kind: kind, Why: e.why}
}
