package policy

import (
	"fmt"
	"strings"
	"time"
)

// platform keeps files from readers that are for platforms nobody here has. A file for several platforms stays as long as
// one of them does, and a file for all of them always.
type platform struct {
	listed words
	only   bool // deny what is not listed instead
}

// words is a list of patterns for words of an ecosystem's own: "*" is any run of characters, and case does not count.
type words []string

// families are what people call the platforms of one system, in every ecosystem's words for it.
var families = map[string]words{ // never changed
	"windows": {"windows*", "win32", "win_*", "win-*", "x64-mingw*", "x86-mingw*", "*-mingw*", "*-mswin*"},
	"macos":   {"macos*", "*darwin*"},
	"linux":   {"*linux*"},
	"freebsd": {"*freebsd*"},
}

func (ws words) match(word string) bool {
	word = strings.ToLower(word)
	for _, w := range ws {
		if like(strings.ToLower(w), word) {
			return true
		}
	}
	return false
}

// like reports whether word is as the pattern says, "*" being any run of characters.
func like(pattern, word string) bool {
	p, w, star, from := 0, 0, -1, 0
	for w < len(word) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, w
			p++
		case p < len(pattern) && pattern[p] == word[w]:
			p++
			w++
		case star >= 0:
			from++
			p, w = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// newPlatform makes the rule of words as the configuration has them.
func newPlatform(listed words, only bool) *platform {
	t := &platform{only: only}
	for _, w := range listed {
		if family, ok := families[strings.ToLower(w)]; ok {
			t.listed = append(t.listed, family...)
		}
		t.listed = append(t.listed, w)
	}
	return t
}

// denies reports whether a file for these platforms is kept from readers.
func (t *platform) denies(platforms string) bool {
	if platforms == "" {
		return false
	}
	for one := range strings.FieldsFuncSeq(platforms, func(c rune) bool { return c == '.' || c == ',' || c == ' ' }) {
		if t.listed.match(one) == t.only {
			return false
		}
	}
	return true
}

func (t *platform) judge(c *call) {
	last, denied := "", false // most files of a package are for few platforms
	for i := range c.each() {
		for k, f := range c.filesOf(i) {
			if f.Platform != last {
				last, denied = f.Platform, t.denies(f.Platform)
			}
			if denied {
				c.file(i, k, deny())
			}
		}
	}
}

func (t *platform) words(a about, _ *decision, _ time.Time) string {
	if a.f == nil {
		return a.name + " is for platforms that this repository leaves out"
	}
	return a.name + " is for " + quotable(a.f.Platform) + ", which this repository leaves out"
}

func (t *platform) lists() []**set  { return nil }
func (t *platform) clone() test     { copied := *t; return &copied }
func (t *platform) meaning() string { return fmt.Sprintf("%q %t", t.listed, t.only) }
