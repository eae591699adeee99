package debian

import (
	"strconv"
	"strings"
	"time"

	"millpond"
)

// A poolName is the name under which a file of a package is kept: its path and the digest that pins it, so that a file which
// was replaced under its path is another file. What is asked for says besides when the file was first seen and whose it is.
type poolName struct {
	path   string
	digest millpond.Digest // zero: no index lists it
	size   int64
	seen   time.Time
	layer  string
	// releases are those of the suites that list it, with commas between them: see releaseOf. "" says nothing of them.
	releases string
}

func (n poolName) canonical() string {
	if n.digest.IsZero() {
		return n.path + "#"
	}
	return n.path + "#" + n.digest.String() + "." + strconv.FormatInt(n.size, 10)
}

func (n poolName) String() string {
	s := n.canonical()
	if n.seen.IsZero() && n.releases == "" {
		return s
	}
	s += "#"
	if !n.seen.IsZero() {
		s += strconv.FormatInt(n.seen.Unix(), 10)
	}
	if n.releases != "" {
		s += "~" + n.releases
	}
	return s + "@" + n.layer
}

func parsePoolName(s string) (poolName, bool) {
	path, rest, ok := strings.Cut(s, "#")
	n := poolName{path: path, size: -1}
	if !ok || !clean(path) {
		return n, false
	}
	pin, more, _ := strings.Cut(rest, "#")
	if pin != "" {
		digest, size, ok := strings.Cut(pin, ".")
		var err, err2 error
		n.digest, err = millpond.ParseDigest(digest)
		n.size, err2 = strconv.ParseInt(size, 10, 64)
		if !ok || err != nil || err2 != nil {
			return n, false
		}
	}
	if seen, layer, ok := strings.Cut(more, "@"); ok {
		seen, n.releases, _ = strings.Cut(seen, "~")
		if n.layer = layer; seen == "" {
			return n, true
		}
		unix, err := strconv.ParseInt(seen, 10, 64)
		if err != nil {
			return n, false
		}
		n.seen = time.Unix(unix, 0).UTC()
	}
	return n, true
}
