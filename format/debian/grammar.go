package debian

import (
	"fmt"
	"strings"

	"millpond"
)

// Canon checks a name: of a source package, or of a suite, which has a slash in it.
func (Format) Canon(name string) (string, error) {
	ok := name != "" && len(name) <= 500 && !strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f })
	if IsSuite(name) {
		ok = ok && clean(strings.TrimSuffix(strings.TrimPrefix(name+"x", "./"), "x")+"x")
	} else {
		ok = ok && isSourceName(name)
	}
	if !ok {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.100q is the name of no source package and no suite", name),
			Hint: "a source package is called like coreutils, a suite like dists/stable"}
	}
	return name, nil
}

// IsSuite reports whether a name is that of a suite: it has a slash in it, and no source package's has.
func IsSuite(name string) bool { return strings.IndexByte(name, '/') >= 0 }

// IsIndex implements millpond.Indexer: a suite is an index of packages.
func (Format) IsIndex(name string) bool { return IsSuite(name) }

// isSourceName is wider than policy wants it: archives of vendors have capitals and underscores.
func isSourceName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || strings.IndexByte("+.-_~", c) < 0) {
			return false
		}
	}
	return s != ""
}

// Compare orders Debian versions as dpkg does: by epoch, by upstream version, by revision. Names of snapshots, which begin
// with their date, stand in the order of their dates. What dpkg takes for equal and is spelt otherwise is ordered by its
// bytes.
func (Format) Compare(a, b string) int {
	if c := compare(a, b); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

func compare(a, b string) int {
	ea, ua, ra := parts(a)
	eb, ub, rb := parts(b)
	if c := compareNumbers(ea, eb); c != 0 {
		return c
	}
	if c := compareText(ua, ub); c != 0 {
		return c
	}
	return compareText(ra, rb)
}

func parts(v string) (epoch, upstream, revision string) {
	epoch, rest, ok := strings.Cut(v, ":")
	if !ok {
		epoch, rest = "", v
	}
	if i := strings.LastIndexByte(rest, '-'); i >= 0 {
		return epoch, rest[:i], rest[i+1:]
	}
	return epoch, rest, ""
}

// compareText alternates between what is no digits, where "~" is before the end, the end before letters and those before all
// else, and numbers.
func compareText(a, b string) int {
	for a != "" || b != "" {
		for {
			ca, cb := order(a), order(b)
			if ca != cb {
				return ca - cb
			}
			if ca == 0 { // both are at a digit or at the end
				break
			}
			a, b = a[1:], b[1:]
		}
		var na, nb string
		na, a = number(a)
		nb, b = number(b)
		if c := compareNumbers(na, nb); c != 0 {
			return c
		}
	}
	return 0
}

func order(s string) int {
	if s == "" {
		return 0
	}
	switch c := s[0]; {
	case '0' <= c && c <= '9':
		return 0
	case c == '~':
		return -1
	case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		return int(c)
	default:
		return int(c) + 256
	}
}

func number(s string) (digits, rest string) {
	i := 0
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// isVersion reports whether s is a version as dpkg takes it.
func isVersion(s string) bool {
	epoch, upstream, revision := parts(s)
	if _, rest := number(epoch); rest != "" || strings.HasPrefix(s, ":") || strings.HasSuffix(s, "-") {
		return false
	}
	plain := func(s, more string) bool {
		for i := range len(s) {
			c := s[i]
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') && strings.IndexByte(more, c) < 0 {
				return false
			}
		}
		return true
	}
	return upstream != "" && plain(upstream, ".+-~:") && plain(revision, ".+~")
}

// Match reads relations as in the fields of a package: "<< 2", "<= 2", "= 2", ">= 2", ">> 2", also "<" and ">"; several with
// commas between them must all hold. A version alone is that version, "*" and "" are any.
func (f Format) Match(spec, version string) (bool, error) {
	all := true
	for one := range strings.SplitSeq(spec, ",") {
		one = strings.TrimSpace(one)
		if one == "" || one == "*" {
			continue
		}
		bound := strings.TrimLeft(one, "<>=")
		op := one[:len(one)-len(bound)]
		bound = strings.TrimSpace(bound)
		if !isVersion(bound) {
			return false, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.100q is no relation to a Debian version", one), Hint: ">= 1.2-3, << 2, or = 1:1.0"}
		}
		c := compare(version, bound)
		var ok bool
		switch op {
		case "<", "<<":
			ok = c < 0
		case "<=":
			ok = c <= 0
		case "", "=", "==":
			ok = c == 0
		case ">=":
			ok = c >= 0
		case ">", ">>":
			ok = c > 0
		default:
			return false, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%q is no relation of Debian versions", op), Hint: "<<, <=, =, >= and >> are"}
		}
		all = all && ok
	}
	return all, nil
}

// Covers reads a claim as a pattern in which a star stands for anything, slashes too: "acme-*" is of source packages,
// "dists/acme*" of suites, "*acme*" of both.
func (Format) Covers(claim, name string) bool {
	first, rest, starred := strings.Cut(claim, "*")
	if !starred {
		return claim == name
	}
	name, ok := strings.CutPrefix(name, first)
	for ok && strings.Contains(rest, "*") {
		first, rest, _ = strings.Cut(rest, "*")
		_, name, ok = strings.Cut(name, first)
	}
	return ok && strings.HasSuffix(name, rest)
}
