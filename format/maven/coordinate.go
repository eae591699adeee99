package maven

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"millpond"
)

const (
	snapshotWord = "SNAPSHOT"
	stampLayout  = "20060102.150405"
	dateLayout   = "20060102150405" // of metadata
)

// isSnapshot reports whether a version is the name of all builds of one: "1.0-SNAPSHOT".
func isSnapshot(version string) bool {
	return strings.HasSuffix(version, "-"+snapshotWord) || version == snapshotWord
}

// stampLength is how long the "20261121.081759-1" is that s begins with; 0 if it begins with none.
func stampLength(s string) int {
	const n = len(stampLayout)
	if len(s) < n+2 || s[8] != '.' || s[n] != '-' {
		return 0
	}
	for i := range n {
		if i != 8 && (s[i] < '0' || s[i] > '9') {
			return 0
		}
	}
	end := n + 1
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	if end == n+1 || end > n+10 {
		return 0
	}
	return end
}

// A build is one build of a SNAPSHOT.
type build struct {
	base   string // "1.0-SNAPSHOT"
	stamp  string // "20261121.081759"
	number int
}

// buildOf reads the name of a build: "1.0-20261121.081759-1".
func buildOf(version string) (build, bool) {
	dash := strings.LastIndexByte(version, '-')
	at := dash - len(stampLayout)
	if dash < 0 || at < 0 || at > 0 && version[at-1] != '-' || stampLength(version[at:]) != len(version)-at {
		return build{}, false
	}
	number, err := strconv.Atoi(version[dash+1:])
	if err != nil {
		return build{}, false
	}
	return build{version[:at] + snapshotWord, version[at:dash], number}, true
}

func (b build) String() string {
	return strings.TrimSuffix(b.base, snapshotWord) + b.stamp + "-" + strconv.Itoa(b.number)
}

// time is when the build was made, as its name says; zero if its name has no such date.
func (b build) time() time.Time {
	t, _ := time.Parse(stampLayout, b.stamp) // digits that are no date
	return t
}

// newer reports whether b is the newer of two builds.
func (b build) newer(other build) bool {
	if b.stamp != other.stamp {
		return b.stamp > other.stamp
	}
	return b.number > other.number
}

// baseOf is the directory of a version.
func baseOf(version string) string {
	if b, ok := buildOf(version); ok {
		return b.base
	}
	return version
}

// A name is what a package's name says: the coordinate, and the SNAPSHOT of one whose builds are the package.
type name struct{ group, artifact, snapshot string }

// nameOf reads a package's name, or reports false. A directory of one word has no artifact.
func nameOf(s string) (n name, ok bool) {
	rest := ""
	n.group, rest, ok = strings.Cut(s, ":")
	if !ok {
		return n, isSegment(n.group) && !strings.Contains(n.group, ".")
	}
	n.artifact, n.snapshot, ok = strings.Cut(rest, ":")
	if ok && !isSnapshot(n.snapshot) || !isSegment(n.artifact) || ok && !isSegment(n.snapshot) {
		return n, false
	}
	for word := range strings.SplitSeq(n.group, ".") {
		if !isSegment(word) {
			return n, false
		}
	}
	return n, true
}

// dir is the path of the package's directory, escaped, with a slash at its end.
func (n name) dir() string {
	var b strings.Builder
	for word := range strings.SplitSeq(n.group, ".") {
		escape(&b, word)
		b.WriteByte('/')
	}
	for _, word := range []string{n.artifact, n.snapshot} {
		if word != "" {
			escape(&b, word)
			b.WriteByte('/')
		}
	}
	return b.String()
}

// file is the path of a file of a version, escaped.
func (n name) file(version, file string) string {
	var b strings.Builder
	b.WriteString(n.dir())
	escape(&b, baseOf(version))
	b.WriteByte('/')
	escape(&b, file)
	return b.String()
}

// Canon returns the name as it is: case matters in coordinates, and nothing folds.
func (Format) Canon(s string) (string, error) {
	if _, ok := nameOf(s); !ok {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.200q is no group:artifact", s)}
	}
	return s, nil
}

// Covers reads a claim: "com.acme" and "com.acme.*" are that group, all below it, and their documents; "com.acme:lib" is one
// artifact, and "com.acme:lib-*" several of one group.
func (Format) Covers(claim, pkg string) bool {
	n, ok := nameOf(pkg)
	if !ok {
		return false
	}
	group, artifact, exact := strings.Cut(claim, ":")
	if exact {
		return n.group == group && n.artifact != "" && matches(artifact, n.artifact)
	}
	group = strings.TrimSuffix(group, ".*")
	if group == "*" {
		return true
	}
	return below(group, n.group) || n.artifact != "" && below(group, n.group+"."+n.artifact)
}

// below reports whether dir is a group's, or below it. A star in the group stands for any run of a word's characters.
func below(group, dir string) bool {
	words, in := strings.Split(group, "."), strings.Split(dir, ".")
	if len(in) < len(words) {
		return false
	}
	for i, word := range words {
		if !matches(word, in[i]) {
			return false
		}
	}
	return true
}

// matches reports whether s is as the pattern says, in which "*" stands for any run of characters.
func matches(pattern, s string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, head)
	for ok {
		var part string
		if part, rest, wild = strings.Cut(rest, "*"); !wild {
			return strings.HasSuffix(s, part)
		}
		_, s, ok = strings.Cut(s, part)
	}
	return false
}
