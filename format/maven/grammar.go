package maven

import (
	"fmt"
	"strings"

	"millpond"
)

// Compare orders versions as Maven's resolver does: words and numbers alike end at ".", "-", "_" and where digits meet
// letters. Versions that it takes for the same (1.0 and 1.0.0) are two directories here, so that spelling orders them.
func (Format) Compare(a, b string) int {
	c, plain := compareNumbers(a, b)
	if !plain {
		var roomA, roomB [12]item
		c = compareItems(items(a, roomA[:0]), items(b, roomB[:0]))
	}
	if c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// compareNumbers compares versions that are small numbers and dots, as most are, at once.
func compareNumbers(a, b string) (c int, ok bool) {
	for i, j := 0, 0; i < len(a) || j < len(b); {
		x, next := number(a, i)
		y, after := number(b, j)
		if x < 0 || y < 0 {
			return 0, false
		}
		if c == 0 {
			c = x - y
		}
		i, j = next, after
	}
	return c, true
}

// number is the one that s[at:] begins with, and what comes behind the dot after it; -1 if it is none, or large.
func number(s string, at int) (n, next int) {
	for ; at < len(s); at++ {
		digit := int(s[at]) - '0'
		if digit < 0 || digit > 9 || n >= 1e9 {
			if s[at] == '.' {
				return n, at + 1
			}
			return -1, at
		}
		n = n*10 + digit
	}
	return n, at
}

// The kinds of items, in their order. An item whose kind has the bit of aQualifier is a word, else a number.
const (
	aMin       = 0
	aQualifier = 2 // a word that Maven knows
	aString    = 3
	anInt      = 4
	aMax       = 8
)

// An item is one word or number of a version.
type item struct {
	kind int
	n    int    // of a qualifier
	s    string // of a string, in lower case; of a number its digits, without zeros before it
}

func (i item) number() bool { return i.kind&aQualifier == 0 }

// pad compares the item with what a version that lacks it is taken to have: 0, or "ga".
func (i item) pad() int {
	switch i.kind {
	case aMin:
		return -1
	case anInt:
		return len(i.s)
	case aQualifier:
		return i.n
	}
	return 1
}

func (i item) compare(o item) int {
	if i.kind != o.kind {
		return i.kind - o.kind
	}
	switch i.kind {
	case anInt:
		if len(i.s) != len(o.s) {
			return len(i.s) - len(o.s)
		}
		return strings.Compare(i.s, o.s)
	case aQualifier:
		return i.n - o.n
	}
	return strings.Compare(i.s, o.s)
}

// qualifier is what a known word counts as. One letter counts only before a digit.
func qualifier(word string, beforeNumber bool) (int, bool) {
	switch word {
	case "alpha":
		return -5, true
	case "beta":
		return -4, true
	case "milestone":
		return -3, true
	case "rc", "cr":
		return -2, true
	case "snapshot":
		return -1, true
	case "ga", "final", "release":
		return 0, true
	case "sp":
		return 1, true
	}
	if beforeNumber {
		switch word {
		case "a":
			return -5, true
		case "b":
			return -4, true
		case "m":
			return -3, true
		}
	}
	return 0, false
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func delimits(c byte) bool { return c == '.' || c == '-' || c == '_' }

// items cuts a version into its items, and drops those at the end of a run that say nothing.
func items(v string, out []item) []item {
	if v == "" {
		v = "0"
	}
	for at := 0; at < len(v); {
		start := at
		isNumber := digit(v[at])
		for at < len(v) && !delimits(v[at]) && digit(v[at]) == isNumber {
			at++
		}
		token := v[start:at]
		beforeNumber := at < len(v) && digit(v[at])
		if at < len(v) && delimits(v[at]) {
			at++
		}
		switch {
		case token == "" || isNumber:
			out = append(out, item{kind: anInt, s: strings.TrimLeft(token, "0")})
		case at >= len(v) && strings.EqualFold(token, "min"):
			out = append(out, item{kind: aMin})
		case at >= len(v) && strings.EqualFold(token, "max"):
			out = append(out, item{kind: aMax})
		default:
			word := strings.ToLower(token)
			if n, ok := qualifier(word, beforeNumber); ok {
				out = append(out, item{kind: aQualifier, n: n})
			} else {
				out = append(out, item{kind: aString, s: word})
			}
		}
	}
	return trim(out)
}

// trim drops what pads each run of numbers and of words at its end: 1.0.0-ga-1 is 1-1.
func trim(all []item) []item {
	end := len(all) - 1
	for i, run := len(all)-1, -1; i > 0; i-- {
		kind := 0
		if all[i].number() {
			kind = 1
		}
		if kind != run {
			end, run = i, kind
		}
		if end == i && (i == len(all)-1 || all[i-1].number() == all[i].number()) && all[i].pad() == 0 {
			all = append(all[:i], all[i+1:]...)
			end--
		}
	}
	return all
}

func compareItems(a, b []item) int {
	number := true // of the items before
	for i := 0; ; i++ {
		switch {
		case i >= len(a) && i >= len(b):
			return 0
		case i >= len(a):
			return -comparePadding(b[i:], nil)
		case i >= len(b):
			return comparePadding(a[i:], nil)
		}
		if a[i].number() != b[i].number() {
			if number == a[i].number() {
				return comparePadding(a[i:], &number)
			}
			return -comparePadding(b[i:], &number)
		}
		if c := a[i].compare(b[i]); c != 0 {
			return c
		}
		number = a[i].number()
	}
}

// comparePadding compares what is left of one version with nothing, as far as it is of one kind.
func comparePadding(rest []item, number *bool) int {
	for _, i := range rest {
		if number != nil && *number != i.number() {
			continue
		}
		if c := i.pad(); c != 0 {
			return c
		}
	}
	return 0
}

// isPrerelease reports whether a version is a SNAPSHOT, a build of one, or says that it comes before a release.
func isPrerelease(version string) bool {
	if _, ok := buildOf(version); ok {
		return true
	}
	if !strings.ContainsFunc(version, func(c rune) bool { return c != '.' && (c < '0' || c > '9') }) {
		return false
	}
	var room [12]item
	for _, i := range items(version, room[:0]) {
		if i.kind == aQualifier && i.n < 0 {
			return true
		}
	}
	return false
}

// Match reads Maven's ranges: "[1.0,2.0)", "(,1.0]", "[1.2]", "[1.2.*]", several of them with commas between; a version without
// brackets, which Maven takes for a wish, is matched by itself.
func (f Format) Match(spec, version string) (bool, error) {
	spec = strings.TrimSpace(spec)
	if spec == "" {
		return false, badRange(spec)
	}
	if spec[0] != '[' && spec[0] != '(' {
		if strings.ContainsAny(spec, "[](),") {
			return false, badRange(spec)
		}
		return f.same(spec, version), nil
	}
	found := false
	for rest := spec; ; {
		end := strings.IndexAny(rest, "])")
		if end < 0 || rest[0] != '[' && rest[0] != '(' {
			return false, badRange(spec)
		}
		in, err := f.within(rest[:end+1], version)
		if err != nil {
			return false, err
		}
		found = found || in
		if rest = strings.TrimSpace(rest[end+1:]); rest == "" {
			return found, nil
		}
		if rest = strings.TrimSpace(strings.TrimPrefix(rest, ",")); rest == "" {
			return false, badRange(spec)
		}
	}
}

func badRange(spec string) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.200q is no version range", spec)}
}

func (Format) same(a, b string) bool {
	return a == b || compareItems(items(a, nil), items(b, nil)) == 0
}

// within matches one range, with its brackets.
func (f Format) within(one, version string) (bool, error) {
	low, high, pair := strings.Cut(one[1:len(one)-1], ",")
	low, high = strings.TrimSpace(low), strings.TrimSpace(high)
	if strings.ContainsAny(low+high, "[](),") {
		return false, badRange(one)
	}
	if !pair {
		if low == "" || one[0] != '[' || one[len(one)-1] != ']' {
			return false, badRange(one)
		}
		if prefix, ok := strings.CutSuffix(low, ".*"); ok {
			return compare(version, prefix+".min") >= 0 && compare(version, prefix+".max") <= 0, nil
		}
		return f.same(low, version), nil
	}
	if low != "" && high != "" && compare(low, high) > 0 {
		return false, badRange(one)
	}
	if low != "" {
		if c := compare(version, low); c < 0 || c == 0 && one[0] == '(' {
			return false, nil
		}
	}
	if high != "" {
		if c := compare(version, high); c > 0 || c == 0 && one[len(one)-1] == ')' {
			return false, nil
		}
	}
	return true, nil
}

// compare is Compare without the last word of spelling.
func compare(a, b string) int { return compareItems(items(a, nil), items(b, nil)) }
