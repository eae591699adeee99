package fetch

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// An allowance is what an upstream says of how many requests it still takes: registries count downloads, and refuse more.
type allowance struct{ limit, left atomic.Int64 } // as last said; a limit of 0 is none that was said

// note reads it off an answer: "RateLimit-Limit: 100;w=21600", and RateLimit-Remaining alike.
func (a *allowance) note(h http.Header) {
	limit, ok := firstNumber(h.Get("Ratelimit-Limit"))
	left, also := firstNumber(h.Get("Ratelimit-Remaining"))
	if ok && also && limit > 0 {
		a.limit.Store(limit)
		a.left.Store(left)
	}
}

// firstNumber is what stands before the parameters.
func firstNumber(s string) (int64, bool) {
	s, _, _ = strings.Cut(s, ";")
	s, _, _ = strings.Cut(s, ",")
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n, err == nil && n >= 0
}
