package raw

import (
	"cmp"
	"fmt"
	"path"
	"strconv"
	"strings"

	"millpond"
)

// Canon is the path itself: nothing is folded. With a slash at its end it is a directory marker, as S3 clients make them.
func (Format) Canon(name string) (string, error) {
	if strings.HasSuffix(name, "/") {
		return name, checkDir(name)
	}
	return name, check(name)
}

// Compare orders what was put here by number, after what upstreams have, which is ordered by its date.
func (Format) Compare(a, b string) int {
	x, y := number(a), number(b)
	if x != 0 || y != 0 {
		return cmp.Compare(x, y)
	}
	return strings.Compare(a, b)
}

// number is the number of a version that was put here; 0 if it is an upstream's.
func number(version string) int64 {
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != version {
		return 0
	}
	return n
}

// Match reports whether a version is the one named; "*" is every one.
func (Format) Match(spec, version string) (bool, error) {
	if spec == "" {
		return false, &millpond.Error{Kind: millpond.Invalid, Why: "an empty version matches nothing", Hint: "* is every version"}
	}
	return spec == "*" || spec == version, nil
}

// A ruleSet is an option whose value differs by path: words, each perhaps after "PATTERN=", of which the first whose pattern
// covers the path counts, else the one without a pattern.
type ruleSet []struct{ pattern, word string }

// rulesOf reads such an option: "deny releases/**=deny, *.log=allow" in words apart by spaces or commas. Invalid if a word is
// none of those allowed; none allows all.
func rulesOf(option, text string, allowed ...string) (ruleSet, error) {
	var rules ruleSet
	for one := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == ' ' || c == ',' || c == '\n' || c == '\t' }) {
		pattern, word, ok := strings.Cut(one, "=")
		if !ok {
			pattern, word = "", one
		}
		known := len(allowed) == 0
		for _, a := range allowed {
			known = known || a == word
		}
		if !known {
			return nil, &millpond.Error{Kind: millpond.Unready, Why: fmt.Sprintf("the option %s has the word %q, which is none of %s", option, word, strings.Join(allowed, ", ")),
				Hint: "its operator must mend the configuration"}
		}
		rules = append(rules, struct{ pattern, word string }{pattern, word})
	}
	return rules, nil
}

// of is the word for a path; "" if none is.
func (rs ruleSet) of(name string) string {
	bare := ""
	for _, r := range rs {
		if r.pattern == "" {
			bare = r.word
		} else if covers(r.pattern, name) {
			return r.word
		}
	}
	return bare
}

// anyCovers reports whether one of the patterns in a list, apart by spaces or commas, covers a path.
func anyCovers(list, name string) bool {
	for one := range strings.FieldsFuncSeq(list, func(c rune) bool { return c == ' ' || c == ',' || c == '\n' || c == '\t' }) {
		if covers(one, name) {
			return true
		}
	}
	return false
}

// covers reports whether a pattern covers a path: "dir/**" or "dir/" is everything below, "*.log" every file of that name
// wherever it is, anything else a path in whose segments "*" stands for any run of characters.
func covers(pattern, name string) bool {
	if pattern == "*" || pattern == "**" {
		return true
	}
	if dir, ok := strings.CutSuffix(strings.TrimSuffix(pattern, "**"), "/"); ok {
		for {
			i := strings.LastIndexByte(name, '/')
			if i < 0 {
				return false
			}
			name = name[:i]
			if ok, err := path.Match(dir, name); ok && err == nil {
				return true
			}
		}
	}
	if !strings.Contains(pattern, "/") {
		name = base(name)
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
