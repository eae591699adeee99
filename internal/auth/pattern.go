package auth

import (
	"fmt"
	"strings"
	"unicode"

	"millpond"
)

// A pattern is a name in which each * stands for any characters. "acme" covers no "acme-evil".

// covers reports whether pattern covers a name; or, for another pattern, each name that it covers (if it says so: of a few
// odd pairs it denies it).
func covers(pattern, name string) bool {
	if pattern == "*" {
		return true
	}
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, head)
	if !ok {
		return false
	}
	for {
		part, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], more
	}
}

// overlap reports whether some name is covered by both patterns.
func overlap(a, b string) bool {
	if a == "*" || b == "*" || a == b {
		return true
	}
	// row[j] says whether a[:i] and b[:j] can cover one name.
	row := make([]bool, len(b)+1)
	row[0] = true
	for j := range len(b) {
		row[j+1] = row[j] && b[j] == '*'
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = row[0] && a[i] == '*'
		for j := range len(b) {
			here := corner && a[i] == b[j]
			if a[i] == '*' || b[j] == '*' { // it stands for nothing, or for one character more
				here = row[j+1] || row[j]
			}
			corner, row[j+1] = row[j+1], here
		}
	}
	return row[len(b)]
}

// checkPattern is Invalid for what cannot be a pattern.
func checkPattern(p string) error {
	bad := strings.ContainsFunc(p, func(c rune) bool {
		return unicode.IsSpace(c) || unicode.IsControl(c) || c == '\uFFFD' || strings.ContainsRune(`?[]{}\!`, c)
	})
	if p == "" || len(p) > 512 || bad {
		return wrong(millpond.Invalid, fmt.Sprintf("%q is no pattern", p), "a pattern is a name with * for any characters")
	}
	return nil
}
