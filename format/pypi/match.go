package pypi

import (
	"fmt"
	"strings"

	"millpond"
)

// match reports whether a version satisfies every clause of a PEP 440 specifier set, ">=1.0, !=1.3.*, <2"; the empty set
// holds everything. Prereleases are in range. A version that PEP 440 cannot read lies below all others, and equals only
// itself; of a file whose version is not known at all nothing can be said, which is Invalid.
func match(spec, v string) (bool, error) {
	if v == Unknown {
		return false, invalid("the version of the file is not known, so %q cannot be judged", spec)
	}
	all := true
	for clause := range strings.SplitSeq(spec, ",") {
		if clause = strings.TrimSpace(clause); clause == "" {
			continue
		}
		ok, err := matchClause(clause, v)
		if err != nil {
			return false, err
		}
		all = all && ok // the clauses that follow must still be readable
	}
	return all, nil
}

// operators, those that begin with another one first.
var operators = [...]string{"===", "==", "!=", "<=", ">=", "~=", "<", ">"} // never changed

func matchClause(clause, text string) (bool, error) {
	var op, want string
	for _, o := range operators {
		if rest, ok := strings.CutPrefix(clause, o); ok {
			op, want = o, strings.TrimSpace(rest)
			break
		}
	}
	if op == "" || want == "" {
		return false, invalid("%q is no version specifier: it should read like >=1.2", clause)
	}
	if op == "===" {
		return strings.EqualFold(want, normalVersion(text)), nil
	}
	prefix, wild := strings.CutSuffix(want, ".*")
	w, ok := parseVersion(prefix)
	if !ok || wild && (op != "==" && op != "!=" || w.dev != "" || w.local != "") {
		return false, invalid("%q is no version specifier: %q cannot be compared with %s", clause, want, op)
	}
	if w.local != "" && op != "==" && op != "!=" {
		return false, invalid("%q is no version specifier: only == and != know local versions", clause)
	}
	if op == "~=" && !strings.Contains(w.release, ".") {
		return false, invalid("%q is no version specifier: ~= needs at least two numbers", clause)
	}
	v, ok := parseVersion(text)
	if !ok { // below everything, equal to nothing
		return op == "!=" || op == "<" || op == "<=", nil
	}
	switch op {
	case "==", "!=":
		return equal(v, w, wild) == (op == "=="), nil
	case "<=":
		return v.public().compare(w) <= 0, nil
	case ">=":
		return v.public().compare(w) >= 0, nil
	case "<": // 2.0rc1 is no "<2", but it is a "<2.0rc2"
		return v.compare(w) < 0 && (w.prerelease() || !v.prerelease() || !sameRelease(v, w)), nil
	case ">": // 1.0.post1 and 1.0+local are no ">1.0"
		return v.compare(w) > 0 && !(v.post != "" && w.post == "" && sameRelease(v, w)) &&
			!(v.local != "" && sameRelease(v, w)), nil
	}
	// ~= 1.4.5 is >=1.4.5, ==1.4.*
	family := version{epoch: w.epoch, release: w.release[:strings.LastIndexByte(w.release, '.')]}
	return v.public().compare(w) >= 0 && equal(v, family, true), nil
}

// equal is the == clause. Without a local part of its own it takes any; as a prefix it takes what begins with it.
func equal(v, w version, prefix bool) bool {
	if !prefix {
		if w.local == "" {
			v = v.public()
		}
		return v.compare(w) == 0
	}
	if v.epoch != w.epoch {
		return false
	}
	if w.pre != "" || w.post != "" { // "1.0a1.*": the release must be whole
		return sameRelease(v, w) && v.pre == w.pre && v.preN == w.preN && (w.post == "" || v.post == w.post)
	}
	return v.release == w.release || strings.HasPrefix(pad(v.release, w.release), w.release+".")
}

// pad fills a release up with zeros until it has more numbers than another.
func pad(release, other string) string {
	for strings.Count(release, ".") <= strings.Count(other, ".") {
		release += ".0"
	}
	return release
}

func sameRelease(v, w version) bool {
	return v.epoch == w.epoch && compareReleases(v.release, w.release) == 0
}

func invalid(why string, args ...any) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf(why, args...)}
}
