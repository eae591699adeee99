package pear

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"millpond"
)

func alnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// isChannel reports whether a host name in lower case can be a channel.
func isChannel(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !alnum(c) && c != '-' || c >= 'A' && c <= 'Z' {
				return false
			}
		}
	}
	return true
}

// isName reports whether a package can be called so, in any case.
func isName(s string) bool {
	if s == "" || len(s) > 128 || !alnum(s[0]) || digit(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alnum(c) && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// isVersion reports whether a release can be called so.
func isVersion(s string) bool {
	if s == "" || len(s) > 64 || !digit(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alnum(c) && c != '.' && c != '_' && c != '+' {
			return false
		}
	}
	return true
}

// Canon is the channel and the package in lower case, "pear.acme.example/hello_world", or a channel alone.
func (Format) Canon(name string) (string, error) {
	name = strings.ToLower(name)
	channel, pkg, ok := strings.Cut(name, "/")
	if !isChannel(channel) || ok && !isName(pkg) {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.100q is not the name of a package: it is a channel, a slash and a name", name)}
	}
	return name, nil
}

// Compare orders versions as PHP's version_compare does.
func (Format) Compare(a, b string) int {
	if a == b {
		return 0
	}
	as, bs := partsOf(a), partsOf(b)
	for i := range min(len(as), len(bs)) {
		if n := comparePart(as[i], bs[i]); n != 0 {
			return n
		}
	}
	switch {
	case len(as) > len(bs):
		return rest(as[len(bs)])
	case len(as) < len(bs):
		return -rest(bs[len(as)])
	}
	return 0
}

// rest says whether what one version has more than the other makes it newer: a number does, and so does a patch level.
func rest(part string) int {
	if digit(part[0]) {
		return 1
	}
	return comparePart(part, "#")
}

// partsOf cuts a version into numbers and words.
func partsOf(v string) []string {
	var parts []string
	start := 0
	for i := 0; i <= len(v); i++ {
		switch {
		case i < len(v) && !alnum(v[i]), i == len(v):
			if i > start {
				parts = append(parts, v[start:i])
			}
			start = i + 1
		case i > start && digit(v[i]) != digit(v[i-1]):
			parts = append(parts, v[start:i])
			start = i
		}
	}
	return parts
}

func comparePart(a, b string) int {
	an, bn := digit(a[0]), digit(b[0])
	switch {
	case an && bn:
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	case an:
		a = "#"
	case bn:
		b = "#"
	}
	n := cmp.Compare(form(a), form(b))
	if n == 0 && form(a) < 0 {
		return cmp.Compare(a, b) // PHP knows no order of words that it does not know
	}
	return n
}

// form is the rank of a word in a version, by its beginning.
func form(word string) int {
	for _, one := range [...]struct {
		word string
		rank int
	}{{"dev", 0}, {"alpha", 1}, {"a", 1}, {"beta", 2}, {"b", 2}, {"RC", 3}, {"rc", 3}, {"#", 4}, {"pl", 5}, {"p", 5}} {
		if strings.HasPrefix(word, one.word) {
			return one.rank
		}
	}
	return -1
}

// Match reports whether a version satisfies every condition of a spec: ">= 1.2.0, < 2.0.0, != 1.5.0". A bare version is
// that one.
func (f Format) Match(spec, version string) (bool, error) {
	if !isVersion(version) {
		return false, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.100q is not a version", version)}
	}
	all, any := true, false
	for one := range strings.SplitSeq(spec, ",") {
		one = strings.TrimSpace(one)
		i := strings.IndexFunc(one, func(r rune) bool { return !strings.ContainsRune("<>=!", r) })
		if one == "*" {
			any = true
			continue
		}
		if i < 0 || !isVersion(strings.TrimSpace(one[i:])) {
			return false, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.100q is not a range of versions", spec), Hint: `write ">= 1.2.0, < 2.0.0"`}
		}
		n := f.Compare(version, strings.TrimSpace(one[i:]))
		holds, ok := map[string]bool{"": n == 0, "=": n == 0, "==": n == 0, "!=": n != 0, "<": n < 0, "<=": n <= 0, ">": n > 0, ">=": n >= 0}[one[:i]]
		if !ok {
			return false, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.100q is not a range of versions: %q", spec, one[:i])}
		}
		all, any = all && holds, true
	}
	return all && any, nil
}

// stabilities in order, least stable first.
var stabilities = []string{"snapshot", "devel", "alpha", "beta", "stable"} // never changed

func isStability(s string) bool { return slices.Contains(stabilities, s) }
