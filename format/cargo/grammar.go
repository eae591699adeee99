package cargo

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"millpond"
)

// longestName is the longest name that a crate can have.
const longestName = 64

// Canon is a crate's identity: two crates whose names differ only in case, or in "-" and "_", cannot both exist.
func (Format) Canon(name string) (string, error) {
	if !isName(name) {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.100q is not the name of a crate", name),
			Hint: "a name has up to 64 ASCII letters, digits, - and _"}
	}
	return identity(name), nil
}

// identity is Canon of a name that isName.
func identity(name string) string {
	if !strings.ContainsFunc(name, func(c rune) bool { return c == '-' || upper(c) }) {
		return name
	}
	return strings.ReplaceAll(strings.ToLower(name), "-", "_")
}

// isName reports whether a crate may be called that in an index. Publishing wants more: see checkName.
func isName(s string) bool {
	if s == "" || len(s) > longestName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// Covers implements format.Claimer: a claim is a pattern of names in any spelling.
func (Format) Covers(claim, name string) bool {
	claim = strings.ReplaceAll(strings.ToLower(claim), "-", "_")
	prefix, open := strings.CutSuffix(claim, "*")
	if open {
		return strings.HasPrefix(name, prefix)
	}
	return name == claim
}

// A semver is a version, read.
type semver struct {
	number     [3]uint64
	pre, build string
}

// readVersion reads a version strictly.
func readVersion(s string) (v semver, ok bool) {
	if len(s) > 255 {
		return v, false
	}
	s, v.build, ok = strings.Cut(s, "+")
	if ok && !identifiers(v.build, false) {
		return v, false
	}
	s, v.pre, ok = strings.Cut(s, "-")
	if ok && !identifiers(v.pre, true) {
		return v, false
	}
	for i := range v.number {
		part := s
		if i < 2 {
			if part, s, ok = strings.Cut(s, "."); !ok {
				return v, false
			}
		}
		if v.number[i], ok = number(part); !ok {
			return v, false
		}
	}
	return v, true
}

func isVersion(s string) bool { _, ok := readVersion(s); return ok }

// number reads digits without a leading zero.
func number(s string) (uint64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// identifiers reports whether s is a list of identifiers with dots between; strict forbids leading zeros of numbers.
func identifiers(s string, strict bool) bool {
	for one := range strings.SplitSeq(s, ".") {
		if one == "" {
			return false
		}
		digits := true
		for i := range len(one) {
			c := one[i]
			digit := c >= '0' && c <= '9'
			if !digit && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
				return false
			}
			digits = digits && digit
		}
		if strict && digits && len(one) > 1 && one[0] == '0' {
			return false
		}
	}
	return true
}

// precedence orders versions without their build metadata.
func (v semver) precedence(o semver) int {
	for i := range v.number {
		if c := cmp.Compare(v.number[i], o.number[i]); c != 0 {
			return c
		}
	}
	switch {
	case v.pre == o.pre:
		return 0
	case v.pre == "":
		return 1
	case o.pre == "":
		return -1
	}
	return compareIdentifiers(v.pre, o.pre)
}

// compareIdentifiers orders lists of identifiers: numbers by value and before words, and the shorter list first.
func compareIdentifiers(a, b string) int {
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		dx, dy := strings.Trim(x, "0123456789") == "", strings.Trim(y, "0123456789") == ""
		c := 0
		switch {
		case dx && dy:
			nx, ny := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c = cmp.Compare(len(nx), len(ny)); c == 0 {
				c = strings.Compare(nx, ny)
			}
		case dx:
			c = -1
		case dy:
			c = 1
		default:
			c = strings.Compare(x, y)
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// Compare orders by precedence, then by build metadata, so that it is zero for one version only. What is no version at all is
// older than all that is.
func (Format) Compare(a, b string) int {
	va, isa := readVersion(a)
	vb, isb := readVersion(b)
	switch {
	case isa && isb:
		if c := va.precedence(vb); c != 0 {
			return c
		}
		if c := compareIdentifiers(va.build, vb.build); c != 0 {
			return c
		}
	case isa:
		return 1
	case isb:
		return -1
	}
	return strings.Compare(a, b)
}

// Match reads requirements as cargo does: comparators with commas between, each with an operator or none, which is "^".
// Unlike cargo it counts prereleases as in range, as every Grammar does.
func (Format) Match(spec, version string) (bool, error) {
	v, ok := readVersion(version)
	all, err := readRequirement(spec)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, nil
	}
	for _, c := range all {
		if !c.has(v) {
			return false, nil
		}
	}
	return true, nil
}

// A comparator is one part of a requirement.
type comparator struct {
	op    string // "=", ">", ">=", "<", "<=", "~", "^" or "*"
	at    semver
	parts int // how many numbers were given
}

// readRequirement reads a requirement; none at all is any version.
func readRequirement(spec string) ([]comparator, error) {
	invalid := &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.100q is not a version requirement", spec),
		Hint: `one reads like "1.2", "~1.2.3", ">=1, <1.5" or "1.*"`}
	var all []comparator
	if s := strings.TrimSpace(spec); s == "" || s == "*" {
		return nil, nil
	}
	for one := range strings.SplitSeq(spec, ",") {
		c, ok := readComparator(strings.TrimSpace(one))
		if !ok {
			return nil, invalid
		}
		all = append(all, c)
	}
	return all, nil
}

func readComparator(s string) (c comparator, ok bool) {
	c.op = "^"
	for _, op := range [...]string{">=", "<=", "=", ">", "<", "~", "^"} {
		if rest, is := strings.CutPrefix(s, op); is {
			c.op, s = op, strings.TrimSpace(rest)
			break
		}
	}
	given := c.op
	s, c.at.build, ok = strings.Cut(s, "+")
	if ok && !identifiers(c.at.build, false) {
		return c, false
	}
	s, c.at.pre, ok = strings.Cut(s, "-")
	if ok && !identifiers(c.at.pre, true) {
		return c, false
	}
	wild := false
	for part := range strings.SplitSeq(s, ".") {
		switch {
		case c.parts == 3, wild && part != "*":
			return c, false
		case part == "*" || part == "x" || part == "X":
			if c.parts == 0 {
				return c, false // "*" alone stands for itself
			}
			wild = true
			continue
		}
		if c.at.number[c.parts], ok = number(part); !ok {
			return c, false
		}
		c.parts++
	}
	if wild && given == "^" {
		c.op = "*"
	}
	return c, (c.parts == 3 || c.at.pre == "") && (!wild || c.at.pre == "")
}

// bump is the lowest version of all, prereleases too, that has another number at i.
func (v semver) bump(i int) semver {
	out := semver{pre: "0"}
	copy(out.number[:], v.number[:i+1])
	out.number[i]++
	return out
}

// has reports whether a version is in range.
func (c comparator) has(v semver) bool {
	low, last := c.at, c.parts-1
	switch c.op {
	case "=", "*":
		if c.parts == 3 {
			return v.precedence(low) == 0
		}
		return v.precedence(low) >= 0 && v.precedence(low.bump(last)) < 0
	case ">":
		if c.parts == 3 {
			return v.precedence(low) > 0
		}
		return v.precedence(low.bump(last)) >= 0
	case ">=":
		return v.precedence(low) >= 0
	case "<":
		return v.precedence(low) < 0
	case "<=":
		if c.parts == 3 {
			return v.precedence(low) <= 0
		}
		return v.precedence(low.bump(last)) < 0
	case "~":
		return v.precedence(low) >= 0 && v.precedence(low.bump(min(last, 1))) < 0
	}
	// "^": up to the next change of the first number that is not zero, of those given
	at := 0
	for at < last && low.number[at] == 0 {
		at++
	}
	return v.precedence(low) >= 0 && v.precedence(low.bump(at)) < 0
}
