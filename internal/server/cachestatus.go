package server

import (
	"net/http"
	"strconv"
	"time"

	"millpond/repo"
)

// The answers of RFC 9211 that need no figures. They are never changed.
var (
	cacheHit       = []string{"millpond; hit"}
	cacheMiss      = []string{"millpond; fwd=miss; stored"}
	cacheFollowed  = []string{"millpond; fwd=miss; stored; collapsed"}
	cacheUnstored  = []string{"millpond; fwd=miss"}
	cacheConfirmed = []string{"millpond; fwd=stale; fwd-status=304"}
	cacheAbsent    = []string{"millpond; hit; detail=absent"}
	cacheBlocked   = []string{"millpond; detail=blocked"}
)

// writeCacheStatus tells the client, and caches between, where the answer comes from. hit and fwd exclude each other: a
// stale answer is a forward that failed if an upstream was asked, and else a hit past its time. Of what went wrong nothing was
// stored.
func writeCacheStatus(h http.Header, t *repo.Trace, status int, now time.Time) {
	result := t.Result
	if status >= 500 && (result == "miss" || result == "coalesced") {
		result = "unstored"
	}
	switch result {
	case "hit", "derived":
		h["Cache-Status"] = cacheHit
	case "miss":
		h["Cache-Status"] = cacheMiss
	case "coalesced":
		h["Cache-Status"] = cacheFollowed
	case "unstored":
		h["Cache-Status"] = cacheUnstored
	case "revalidated":
		h["Cache-Status"] = cacheConfirmed
	case "absent":
		h["Cache-Status"] = cacheAbsent
	case "blocked":
		h["Cache-Status"] = cacheBlocked
	case "stale":
		age := int64(0)
		if !t.Checked.IsZero() {
			age = max(0, int64(now.Sub(t.Checked)/time.Second))
			h["Age"] = []string{strconv.FormatInt(age, 10)}
		}
		s := "millpond; hit; ttl=-" + strconv.FormatInt(age, 10)
		switch {
		case t.Status != 0:
			s = "millpond; fwd=stale; fwd-status=" + strconv.Itoa(t.Status)
		case t.Upstream > 0:
			s = "millpond; fwd=stale"
		}
		h["Cache-Status"] = []string{s}
		h["Warning"] = []string{staleWarning(t, age)}
	}
}

// staleWarning says in words what Cache-Status says: clients of registries print it.
func staleWarning(t *repo.Trace, age int64) string {
	why := "its upstream was not asked"
	switch {
	case t.Status != 0:
		why = "its upstream answered " + strconv.Itoa(t.Status)
	case t.Upstream > 0:
		why = "its upstream did not answer"
	}
	return `299 - "kept from ` + strconv.FormatInt(age, 10) + ` seconds ago: ` + why + `"`
}
