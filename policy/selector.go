package policy

import (
	"fmt"
	"strings"
	"time"

	"millpond"
)

// An item selects names, or some of their versions: "left-pad", "acme-*", "left-pad@<1.3".
type item struct {
	pattern Pattern
	rng     string    // the ecosystem's own range syntax, or one version; "" is all versions
	until   time.Time // when the item ends; zero if never
	why     string
}

// parseItem reads "pattern" or "pattern@range". The last "@" divides them, unless it is the first character.
func parseItem(text string) (item, error) {
	name, rng := text, ""
	if i := strings.LastIndexByte(text, '@'); i > 0 {
		name, rng = text[:i], strings.TrimSpace(text[i+1:])
		if rng == "" {
			return item{}, fmt.Errorf("%q names no versions after its @", text)
		}
	}
	p, err := ParsePattern(name)
	return item{pattern: p, rng: rng}, err
}

func (i item) String() string {
	if i.rng == "" {
		return i.pattern.String()
	}
	return i.pattern.String() + "@" + i.rng
}

// over reports whether the item has ended.
func (i *item) over(now time.Time) bool { return !i.until.IsZero() && !now.Before(i.until) }

// A set is a list of items in which those that cover a name are found without trying all.
type set struct {
	items []item
	exact map[string][]int32 // by pattern, for those without a wildcard
	globs []int32            // all others
}

func newSet(items []item) *set {
	s := &set{items: items, exact: map[string][]int32{}}
	for i := range items {
		if p := items[i].pattern; p.exact {
			s.exact[p.glob] = append(s.exact[p.glob], int32(i))
		} else {
			s.globs = append(s.globs, int32(i))
		}
	}
	return s
}

// covering is which items cover a name and have not ended, in no particular order.
func (s *set) covering(now time.Time, name string) []int32 {
	var found []int32
	add := func(candidates []int32) {
		for _, i := range candidates {
			if !s.items[i].over(now) {
				found = append(found, i)
			}
		}
	}
	for end := 1; end <= len(name); end++ {
		if atBoundary(name[end:]) {
			add(s.exact[name[:end]])
		}
	}
	for _, i := range s.globs {
		if s.items[i].pattern.Match(name) {
			add([]int32{i})
		}
	}
	return found
}

// A choice is a set as it applies to one package.
type choice struct {
	set    *set
	whole  int32   // an item that covers the whole package; -1 if none does
	ranges []int32 // items that cover some of its versions
	ends   time.Time
}

// choose narrows the set to a package.
func (s *set) choose(now time.Time, name string) choice {
	c := choice{set: s, whole: -1}
	if s == nil {
		return c
	}
	for _, i := range s.covering(now, name) {
		it := &s.items[i]
		c.ends = earlier(c.ends, it.until)
		switch {
		case it.rng != "":
			c.ranges = append(c.ranges, i)
		case c.whole < 0 || i < c.whole:
			c.whole = i
		}
	}
	return c
}

// none reports whether the set has nothing to say of the package.
func (c *choice) none() bool { return c.whole < 0 && len(c.ranges) == 0 }

// version is the item that covers a version, or -1. The error is that of the first range which could not be read, if no
// other covers it.
func (c *choice) version(g millpond.Grammar, version string) (int32, error) {
	if c.whole >= 0 {
		return c.whole, nil
	}
	var failed error
	for _, i := range c.ranges {
		ok, err := inRange(g, c.set.items[i].rng, version)
		if ok {
			return i, nil
		}
		if err != nil && failed == nil {
			failed = err
		}
	}
	return -1, failed
}

// inRange reports whether a version is the one that rng names, or lies within it.
func inRange(g millpond.Grammar, rng, version string) (bool, error) {
	if rng == version || rng == "*" {
		return true, nil
	}
	ok, err := g.Match(rng, version)
	if ok || !oneVersion(rng) {
		return ok, err
	}
	return g.Compare(rng, version) == 0, nil
}

// oneVersion reports whether rng can only be a version: no ecosystem's ranges lack all of these.
func oneVersion(rng string) bool { return !strings.ContainsAny(rng, "<>=!~^*,|()[] ") }

// earlier is the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
