package millpond

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"time"
)

// A Kind classes an error by what its receiver can do about it.
type Kind int

// The kinds, and the HTTP status that each has where a protocol asks for no other.
const (
	Internal        Kind = iota // 500: our fault; the words stay in the log
	Invalid                     // 400: the request can never be right
	Unauthenticated             // 401: come back with a credential
	Denied                      // 403: this caller may not
	NotFound                    // 404: every layer has said so
	Gone                        // 410: was here, was deleted
	Blocked                     // 403: a rule forbids it, perhaps until After
	Conflict                    // 409: exists with other bytes
	Precondition                // 412: the state the caller named is not the state
	Range                       // 416: no such bytes
	TooLarge                    // 413: over a limit
	Unsupported                 // 501: this repository does not do that
	Throttled                   // 429: an upstream, or this pond, asks for patience
	BadUpstream                 // 503: an upstream is ill and nothing older is kept
	Offline                     // 503: not held, and no upstream may be asked
	Full                        // 507: no room
	Corrupt                     // 503: bytes differ from what was declared; nothing was kept
	Canceled                    // 499: the caller went away
	Unready                     // 503: this pond cannot do it now, and its operator must see to it
)

var kinds = [...]struct {
	name   string
	status int
}{
	Internal:        {"internal", http.StatusInternalServerError},
	Invalid:         {"invalid", http.StatusBadRequest},
	Unauthenticated: {"unauthenticated", http.StatusUnauthorized},
	Denied:          {"denied", http.StatusForbidden},
	NotFound:        {"not found", http.StatusNotFound},
	Gone:            {"gone", http.StatusGone},
	Blocked:         {"blocked", http.StatusForbidden},
	Conflict:        {"conflict", http.StatusConflict},
	Precondition:    {"precondition failed", http.StatusPreconditionFailed},
	Range:           {"range not satisfiable", http.StatusRequestedRangeNotSatisfiable},
	TooLarge:        {"too large", http.StatusRequestEntityTooLarge},
	Unsupported:     {"unsupported", http.StatusNotImplemented},
	Throttled:       {"throttled", http.StatusTooManyRequests},
	BadUpstream:     {"bad upstream", http.StatusServiceUnavailable},
	Offline:         {"offline", http.StatusServiceUnavailable},
	Full:            {"full", http.StatusInsufficientStorage},
	Corrupt:         {"corrupt", http.StatusServiceUnavailable},
	Canceled:        {"canceled", 499},
	Unready:         {"unready", http.StatusServiceUnavailable},
}

// String is the kind in words, as logs and metrics show it.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kinds) {
		return "unknown"
	}
	return kinds[k].name
}

// Status is the HTTP status of the kind, for protocols that ask for no other.
func (k Kind) Status() int {
	if k < 0 || int(k) >= len(kinds) {
		return http.StatusInternalServerError
	}
	return kinds[k].status
}

// An Error is the one error type that crosses a package boundary with words for people. Everything else is wrapped with
// fmt.Errorf("…: %w").
type Error struct {
	Kind  Kind
	Key   Key       // what it is about; the zero Key if that is plain
	Why   string    // what happened, for the person at the client: "pypi answered 500 three times; nothing older is kept"
	Hint  string    // what to do about it; "" if nothing can be done
	After time.Time // when asking again makes sense; zero if not known
	Err   error     // the cause, for the log only
}

// Error is Why, and the cause behind it.
func (e *Error) Error() string {
	s := e.Why
	if s == "" {
		s = e.Kind.String()
		if k := e.Key.String(); k != "" {
			s = k + ": " + s
		}
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, fs.ErrNotExist) and its siblings true where the standard library has a word for the kind.
func (e *Error) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e.Kind == NotFound || e.Kind == Gone
	case fs.ErrExist:
		return e.Kind == Conflict
	case fs.ErrPermission:
		return e.Kind == Denied || e.Kind == Blocked || e.Kind == Unauthenticated
	case errors.ErrUnsupported:
		return e.Kind == Unsupported
	}
	return false
}

// KindOf is the kind of the outermost *Error in err's chain; Canceled for a context's end, NotFound for fs.ErrNotExist,
// and Internal for everything else. KindOf(nil) is Internal too: ask only about errors.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Canceled
	case errors.Is(err, fs.ErrNotExist):
		return NotFound
	}
	return Internal
}

// Is reports whether err is an error of that kind. Is(nil, k) is false.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
