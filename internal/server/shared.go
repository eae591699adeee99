package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// limitShared has caches that several clients share ask again after a while for what they may keep for longer: a takedown
// must reach those who read through a cache that nobody purges.
func limitShared(h http.Header, most time.Duration) {
	said := h["Cache-Control"]
	if len(said) != 1 || strings.Contains(said[0], "private") || strings.Contains(said[0], "s-maxage") {
		return
	}
	_, rest, ok := strings.Cut(said[0], "max-age=")
	if !ok {
		return
	}
	digits, _, _ := strings.Cut(rest, ",")
	if age, err := strconv.ParseInt(digits, 10, 64); err != nil || time.Duration(age)*time.Second <= most && age < 1<<32 {
		return
	}
	h["Cache-Control"] = []string{fmt.Sprintf("%s, s-maxage=%d", said[0], int64(most.Seconds()))} // a new slice: the old one may be everybody's
}
