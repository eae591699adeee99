package npm

import (
	"fmt"
	"strings"

	"millpond"
)

// Match reports whether version lies within spec, in npm's range grammar. Prereleases count as in range, so that a rule
// about ^1.2.3 has no holes. A version that is no semver is matched only by a spec of the same bytes.
func (Format) Match(spec, version string) (bool, error) {
	r, ok := parseRange(spec, true)
	if !ok {
		if spec == version {
			return true, nil
		}
		return false, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.300q is no range of versions", spec)}
	}
	v, ok := parseVersion(version)
	if !ok {
		return spec == version || r.any(), nil
	}
	return r.has(&v), nil
}

// A span is what npm calls a range: any of its sets, all of a set's bounds. An empty set holds everything.
type span struct {
	sets       [][]bound
	prerelease bool // whether prereleases count as in range everywhere
}

// A bound is one comparison.
type bound struct {
	op string // "<", "<=", ">", ">=" or "="
	v  version
}

// parseRange reads a range. Where prereleases do not count they lie in range only beside a bound that names a prerelease
// of the same three numbers, as npm installs.
func parseRange(spec string, prerelease bool) (span, bool) {
	r := span{prerelease: prerelease}
	if len(spec) > 4096 {
		return r, false
	}
	for part := range strings.SplitSeq(spec, "||") {
		set, ok := parseSet(strings.Fields(part), prerelease)
		if !ok {
			return r, false
		}
		if len(set) == 0 { // everything, and then the other sets do not matter
			return span{sets: [][]bound{nil}, prerelease: prerelease}, true
		}
		r.sets = append(r.sets, set)
	}
	return r, true
}

// any reports whether every release lies in range.
func (r span) any() bool { return len(r.sets) == 1 && len(r.sets[0]) == 0 }

func (r span) has(v *version) bool {
	for _, set := range r.sets {
		if r.setHas(set, v) {
			return true
		}
	}
	return false
}

func (r span) setHas(set []bound, v *version) bool {
	beside := false
	for i := range set {
		b := &set[i]
		c := v.compare(&b.v)
		var in bool
		switch b.op {
		case "<":
			in = c < 0
		case "<=":
			in = c <= 0
		case ">":
			in = c > 0
		case ">=":
			in = c >= 0
		default:
			in = c == 0
		}
		if !in {
			return false
		}
		beside = beside || b.v.pre != "" && v.compareMain(&b.v) == 0
	}
	return v.pre == "" || r.prerelease || beside
}

// parseSet reads comparisons that all must hold.
func parseSet(words []string, prerelease bool) (set []bound, ok bool) {
	if len(words) == 3 && words[1] == "-" {
		from, okFrom := parsePartial(words[0])
		to, okTo := parsePartial(words[2])
		return hyphen(from, to, prerelease), okFrom && okTo
	}
	for i := 0; i < len(words); i++ {
		word := words[i]
		op := operator(word)
		if op == word { // "> 1.2" with a space
			if i++; i == len(words) {
				return nil, false
			}
			word = op + words[i]
		}
		p, ok := parsePartial(word[len(op):])
		if !ok {
			return nil, false
		}
		set = append(set, p.bounds(op, prerelease)...)
	}
	return set, true
}

// operator is the mark that a word begins with; "" if none.
func operator(word string) string {
	for _, op := range []string{"^", "~>", "~", ">=", "<=", ">", "<", "="} {
		if strings.HasPrefix(word, op) {
			return op
		}
	}
	return ""
}

// A partial is a version of which the end may be open: 1.2 and 1.2.x have two numbers.
type partial struct {
	version
	n int // how many of its numbers are given
}

func parsePartial(s string) (p partial, ok bool) {
	s = strings.TrimLeft(s, "v=")
	if s, p.build, ok = strings.Cut(s, "+"); ok && !identifiers(p.build, false) {
		return p, false
	}
	p.build = ""
	if s, p.pre, ok = strings.Cut(s, "-"); ok && (!identifiers(p.pre, true) || strings.Count(s, ".") != 2) {
		return p, false
	}
	if s == "" || strings.Count(s, ".") > 2 {
		return p, false
	}
	open := false
	to := [3]*uint64{&p.major, &p.minor, &p.patch}
	i := 0
	for word := range strings.SplitSeq(s, ".") {
		switch {
		case word == "x" || word == "X" || word == "*":
			open = true
		case open:
			return p, false // 1.x.3
		default:
			if *to[i], ok = number(word); !ok {
				return p, false
			}
			p.n++
		}
		i++
	}
	if p.n < 3 {
		p.pre = ""
	}
	return p, true
}

// low is the lowest version that the partial stands for.
func (p partial) low(prerelease bool) version {
	v := p.version
	if p.n < 3 && prerelease {
		v.pre = "0"
	}
	return v
}

// after is the lowest version above all that share the first n numbers.
func (p partial) after(n int) version {
	v := version{pre: "0"}
	switch n {
	case 1:
		v.major = p.major + 1
	case 2:
		v.major, v.minor = p.major, p.minor+1
	default:
		v.major, v.minor, v.patch = p.major, p.minor, p.patch+1
	}
	return v
}

// nothing is a bound that no version is within.
var nothing = bound{"<", version{pre: "0"}}

// bounds are the comparisons that an operator and a partial version mean.
func (p partial) bounds(op string, prerelease bool) []bound {
	if p.n == 0 {
		if op == "<" || op == ">" {
			return []bound{nothing}
		}
		return nil
	}
	switch op {
	case "^":
		same := 1 // how many numbers stay
		if p.major == 0 && p.n > 1 {
			same = 2
			if p.minor == 0 && p.n > 2 {
				same = 3
			}
		}
		return []bound{{">=", p.low(prerelease)}, {"<", p.after(same)}}
	case "~", "~>":
		return []bound{{">=", p.low(prerelease)}, {"<", p.after(min(p.n, 2))}}
	}
	if p.n == 3 {
		if op == "" {
			op = "="
		}
		return []bound{{op, p.version}}
	}
	switch op {
	case ">":
		v := p.after(p.n)
		if !prerelease {
			v.pre = ""
		}
		return []bound{{">=", v}}
	case ">=":
		return []bound{{">=", p.low(prerelease)}}
	case "<":
		v := p.version
		v.pre = "0"
		return []bound{{"<", v}}
	case "<=":
		return []bound{{"<", p.after(p.n)}}
	}
	return []bound{{">=", p.low(prerelease)}, {"<", p.after(p.n)}}
}

// hyphen is from - to, both ends in range.
func hyphen(from, to partial, prerelease bool) (set []bound) {
	if from.n > 0 {
		v := from.low(prerelease)
		if prerelease && v.pre == "" {
			v.pre = "0"
		}
		set = append(set, bound{">=", v})
	}
	switch {
	case to.n == 0:
	case to.n < 3:
		set = append(set, bound{"<", to.after(to.n)})
	case to.pre == "" && prerelease:
		set = append(set, bound{"<", to.after(3)})
	default:
		set = append(set, bound{"<=", to.version})
	}
	return set
}
