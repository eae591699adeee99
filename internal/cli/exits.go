package cli

import (
	"fmt"
	"io"
	"text/tabwriter"

	"millpond"
)

// Exit codes that scripts may rely on.
const (
	ExitOK         = 0
	ExitFailed     = 1
	ExitUsage      = 2
	ExitLogin      = 3
	ExitDenied     = 4
	ExitNotFound   = 5
	ExitConflict   = 6
	ExitBlocked    = 7
	ExitNoStore    = 10
	ExitLocked     = 11
	ExitUnverified = 12
	ExitSignal     = 128
)

// exitCodes says what they mean, for 'help exit-codes'.
func exitCodes(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, e := range []struct {
		code int
		what string
	}{
		{ExitOK, "it worked"},
		{ExitFailed, "it did not work; of 'check': there is damage"},
		{ExitUsage, "the command line or the configuration is wrong, or the pond says that what was asked can never be right"},
		{ExitLogin, "the pond wants a token, or does not know the one it got"},
		{ExitDenied, "the pond knows the caller, who may not do it"},
		{ExitNotFound, "there is nothing of that name, or no longer"},
		{ExitConflict, "something else is there already, or stands in the way"},
		{ExitBlocked, "a rule or a takedown forbids it"},
		{ExitNoStore, "there is no data in the directory"},
		{ExitLocked, "another process has the data, and did not help"},
		{ExitUnverified, "of 'audit --verify': the log is not what it was"},
		{ExitSignal, "and the number of the signal that ended it: 130 for Ctrl-C; of 'serve' a signal that it obeys is 0"},
	} {
		fmt.Fprintf(t, "%d\t%s\n", e.code, e.what)
	}
	return t.Flush()
}

// exitOf is the exit code of an error.
func exitOf(err error) int {
	switch millpond.KindOf(err) {
	case millpond.Invalid:
		return ExitUsage
	case millpond.Unauthenticated:
		return ExitLogin
	case millpond.Denied:
		return ExitDenied
	case millpond.NotFound, millpond.Gone:
		return ExitNotFound
	case millpond.Conflict, millpond.Precondition:
		return ExitConflict
	case millpond.Blocked:
		return ExitBlocked
	}
	return ExitFailed
}
