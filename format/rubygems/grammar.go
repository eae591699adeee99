package rubygems

import (
	"fmt"
	"strings"

	"millpond"
)

// Canon checks a gem's name: it has one spelling.
func (Format) Canon(name string) (string, error) {
	if !isName(name) {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.100q is no name of a gem", name)}
	}
	return name, nil
}

func isName(name string) bool {
	if name == "" || len(name) > 200 || name[0] == '.' || name[0] == '-' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isLetter(c) && !isDigit(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	for _, end := range [...]string{".gem", ".json", ".html", ".gemspec", ".yaml", ".rz"} {
		if strings.HasSuffix(name, end) {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// isNumber reports whether s is a version's number: digits, then elements of letters and digits.
func isNumber(s string) bool {
	if s == "" || len(s) > 100 || !isDigit(s[0]) {
		return false
	}
	element := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if element == 0 {
				return false
			}
			element = 0
		case isDigit(c) || isLetter(c):
			element++
		default:
			return false
		}
	}
	return element > 0
}

func isPlatform(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && !isDigit(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 100
}

// isVersion reports whether s is a number, perhaps with a platform.
func isVersion(s string) bool {
	number, platform, has := strings.Cut(s, "-")
	return isNumber(number) && (!has || isPlatform(platform))
}

// split is a version's number and platform; "ruby" is that of a version that names none.
func split(version string) (number, platform string) {
	number, platform, ok := strings.Cut(version, "-")
	if !ok {
		platform = "ruby"
	}
	return number, platform
}

// Group implements format.Grouper: a number's platforms are never mixed of several layers, for who locks one relies on them all.
func (Format) Group(version string) string {
	number, _ := split(version)
	return number
}

// join is the version of a number and a platform.
func join(number, platform string) string {
	if platform == "" || platform == "ruby" {
		return number
	}
	return number + "-" + platform
}

// isPrerelease reports whether a version's number has a letter in it.
func isPrerelease(version string) bool {
	number, _, _ := strings.Cut(version, "-")
	return strings.ContainsFunc(number, func(r rune) bool { return r > '9' })
}

// Compare orders by number, as Gem::Version does, then by platform with plain Ruby first. Numbers that are the same to
// Gem::Version, as 1 and 1.0, are ordered by their text.
func (Format) Compare(a, b string) int {
	na, pa := split(a)
	nb, pb := split(b)
	if c := compareNumbers(na, nb); c != 0 {
		return c
	}
	if pa != pb {
		switch {
		case pa == "ruby":
			return -1
		case pb == "ruby":
			return 1
		}
		return strings.Compare(pa, pb)
	}
	return strings.Compare(a, b)
}

// compareNumbers compares as Gem::Version does.
func compareNumbers(a, b string) int {
	if a == b {
		return 0
	}
	sa, sb := segments(a), segments(b)
	for i := range max(len(sa), len(sb)) {
		one, other := "0", "0"
		if i < len(sa) {
			one = sa[i]
		}
		if i < len(sb) {
			other = sb[i]
		}
		if c := compareSegments(one, other); c != 0 {
			return c
		}
	}
	return 0
}

// compareSegments: letters are older than any number.
func compareSegments(a, b string) int {
	da, db := isDigit(a[0]), isDigit(b[0])
	switch {
	case da && db:
		if len(a) != len(b) {
			return len(a) - len(b) // neither has zeros before it
		}
		return strings.Compare(a, b)
	case da:
		return 1
	case db:
		return -1
	}
	return strings.Compare(a, b)
}

// segments are the runs of digits and of letters, without zeros that mean nothing: at the end, and before the first letters.
func segments(number string) []string {
	var out []string
	letters := false
	trim := func() {
		for len(out) > 0 && out[len(out)-1] == "0" {
			out = out[:len(out)-1]
		}
	}
	for i := 0; i < len(number); {
		at := i
		switch {
		case isDigit(number[i]):
			for i < len(number) && isDigit(number[i]) {
				i++
			}
			run := strings.TrimLeft(number[at:i], "0")
			if run == "" {
				run = "0"
			}
			out = append(out, run)
		case isLetter(number[i]):
			for i < len(number) && isLetter(number[i]) {
				i++
			}
			if !letters {
				trim()
				letters = true
			}
			out = append(out, number[at:i])
		default:
			i++
		}
	}
	trim()
	return out
}

// Match reads requirements as gemspecs write them: "~> 1.2, >= 1.2.3". All must hold of the number; the platform is none of
// their business.
func (Format) Match(spec, version string) (bool, error) {
	number, _ := split(version)
	all := true
	for one := range strings.SplitSeq(spec, ",") {
		op, want := cutOperator(strings.TrimSpace(one))
		if !isNumber(want) {
			return false, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.100q is no requirement", spec)}
		}
		c := compareNumbers(number, want)
		switch op {
		case "=":
			all = all && c == 0
		case "!=":
			all = all && c != 0
		case ">":
			all = all && c > 0
		case "<":
			all = all && c < 0
		case ">=":
			all = all && c >= 0
		case "<=":
			all = all && c <= 0
		case "~>":
			all = all && c >= 0 && compareNumbers(release(number), bump(want)) < 0
		}
	}
	return all, nil
}

func cutOperator(s string) (op, version string) {
	for _, op := range [...]string{"!=", ">=", "<=", "~>", "=", ">", "<"} {
		if rest, ok := strings.CutPrefix(s, op); ok {
			return op, strings.TrimSpace(rest)
		}
	}
	return "=", s
}

// numeric are the elements before the first with a letter.
func numeric(number string) []string {
	var out []string
	for element := range strings.SplitSeq(number, ".") {
		if strings.Trim(element, "0123456789") != "" {
			break
		}
		out = append(out, element)
	}
	if len(out) == 0 {
		out = []string{"0"}
	}
	return out
}

func release(number string) string { return strings.Join(numeric(number), ".") }

// bump is the number that ~> stays below: 1.2.3 gives 1.3, and 1 gives 2.
func bump(number string) string {
	parts := numeric(number)
	if len(parts) > 1 {
		parts = parts[:len(parts)-1]
	}
	last := []byte(parts[len(parts)-1])
	for i := len(last) - 1; ; i-- {
		if i < 0 {
			last = append([]byte{'1'}, last...)
			break
		}
		if last[i] < '9' {
			last[i]++
			break
		}
		last[i] = '0'
	}
	parts[len(parts)-1] = string(last)
	return strings.Join(parts, ".")
}
