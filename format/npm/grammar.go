package npm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"millpond"
)

// Canon checks a name and never folds it: JSONStream and jsonstream are two packages. It takes every name that npm's
// registry ever took, longer than 214 bytes and upper case too, and returns Invalid for the rest.
func (Format) Canon(name string) (string, error) {
	if !validName(name) {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.300q is not an npm name", name)}
	}
	return name, nil
}

// validName reports whether npm ever allowed a package of that name.
func validName(name string) bool {
	if name == "" || len(name) > 1024 {
		return false
	}
	if name[0] == '@' {
		scope, base, ok := strings.Cut(name[1:], "/")
		return ok && plainWord(scope) && scope[0] != '.' && plainWord(base) && base[0] != '.'
	}
	if !plainWord(name) || name[0] == '.' || name[0] == '_' {
		return false
	}
	switch len(name) {
	case len("node_modules"):
		return !strings.EqualFold(name, "node_modules")
	case len("favicon.ico"):
		return !strings.EqualFold(name, "favicon.ico")
	}
	return true
}

// plainWord reports whether a word stands in a URL as it is.
func plainWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == '!', c == '~', c == '*', c == '\'', c == '(', c == ')':
		default:
			return false
		}
	}
	return s != ""
}

// Compare orders by semver, then by bytes, so that only equal strings are equal. What semver cannot parse is older than
// everything that it can.
func (Format) Compare(a, b string) int { return compareVersions(a, b) }

func compareVersions(a, b string) int {
	va, okA := parseVersion(a)
	vb, okB := parseVersion(b)
	switch {
	case okA && !okB:
		return 1
	case !okA && okB:
		return -1
	case okA && okB:
		if c := va.compare(&vb); c != 0 {
			return c
		}
	}
	return strings.Compare(a, b)
}

// newestFirst sorts versions by Compare, each name parsed once.
func newestFirst(all []millpond.Version) {
	type place struct {
		version
		name string
		ok   bool
		at   int
	}
	places := make([]place, len(all))
	for i := range all {
		v, ok := parseVersion(all[i].Name)
		places[i] = place{v, all[i].Name, ok, i}
	}
	slices.SortFunc(places, func(a, b place) int {
		switch {
		case a.ok != b.ok && a.ok:
			return -1
		case a.ok != b.ok:
			return 1
		case a.ok:
			if c := b.compare(&a.version); c != 0 {
				return c
			}
		}
		return strings.Compare(b.name, a.name)
	})
	was := slices.Clone(all)
	for i := range places {
		all[i] = was[places[i].at]
	}
}

// A version is a parsed semantic version; pre and build are as written, without their marks.
type version struct {
	major, minor, patch uint64
	pre, build          string
}

// most is the largest number that JavaScript counts exactly; npm takes no larger one.
const most = 1<<53 - 1

// parseVersion reads a semantic version as npm does: strictly, but for a leading v or =.
func parseVersion(s string) (v version, ok bool) {
	if len(s) > 256 {
		return v, false
	}
	s = strings.TrimPrefix(s, "v")
	if s, v.build, ok = strings.Cut(s, "+"); ok && !identifiers(v.build, false) {
		return v, false
	}
	if s, v.pre, ok = strings.Cut(s, "-"); ok && !identifiers(v.pre, true) {
		return v, false
	}
	for i, to := range []*uint64{&v.major, &v.minor, &v.patch} {
		word := s
		if i < 2 {
			if word, s, ok = strings.Cut(s, "."); !ok {
				return v, false
			}
		}
		if *to, ok = number(word); !ok {
			return v, false
		}
	}
	return v, true
}

// number reads a number without leading zeros.
func number(s string) (n uint64, ok bool) {
	if s == "" || len(s) > 16 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return n, n <= most
}

// identifiers reports whether s is words of letters, digits and hyphens between dots; numbers may be barred from leading
// zeros.
func identifiers(s string, strict bool) bool {
	for word := range strings.SplitSeq(s, ".") {
		if word == "" || strict && numeric(word) && len(word) > 1 && word[0] == '0' {
			return false
		}
		for i := range len(word) {
			c := word[i]
			if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
				return false
			}
		}
	}
	return true
}

func numeric(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// compare orders by precedence: builds do not count.
func (v *version) compare(w *version) int {
	if c := v.compareMain(w); c != 0 {
		return c
	}
	switch {
	case v.pre == w.pre:
		return 0
	case v.pre == "":
		return 1
	case w.pre == "":
		return -1
	}
	a, b := v.pre, w.pre
	for {
		var x, y string
		var moreA, moreB bool
		x, a, moreA = strings.Cut(a, ".")
		y, b, moreB = strings.Cut(b, ".")
		if c := compareIdentifiers(x, y); c != 0 {
			return c
		}
		switch {
		case !moreA && !moreB:
			return 0
		case !moreA:
			return -1
		case !moreB:
			return 1
		}
	}
}

func (v *version) compareMain(w *version) int {
	return cmp.Or(cmp.Compare(v.major, w.major), cmp.Compare(v.minor, w.minor), cmp.Compare(v.patch, w.patch))
}

func compareIdentifiers(x, y string) int {
	nx, ny := numeric(x), numeric(y)
	switch {
	case nx && ny:
		return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)) // no leading zeros: longer is larger
	case nx:
		return -1
	case ny:
		return 1
	}
	return strings.Compare(x, y)
}

// word is the first identifier of the prerelease: "canary" of 1.0.0-canary.3, "" of a release.
func (v *version) word() string {
	word, _, _ := strings.Cut(v.pre, ".")
	if numeric(word) {
		return ""
	}
	return word
}
