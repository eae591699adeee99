package policy

import (
	"fmt"
	"strings"
	"unicode"

	"millpond"
)

// A Pattern covers package names: those a claim makes ours, those a rule is about. Names and patterns are canonical.
//
//	acme            acme, and everything below it: acme/widget, acme:widget
//	acme-*          names that begin with acme-
//	@acme/*         every name below @acme; the same as @acme
//	com.acme.*      com.acme:widget, com.acme.sub:widget
//	git.acme.example  that path, and every path below it; the same as git.acme.example/*
//	acme/**         the same as acme/*
//	*               every name
//
// A pattern ends at a boundary or not at all: the end of the name, "/" or ":". So acme does not cover acme-evil, acme_x,
// acme.x or acmeco, and com.acme.* does not cover com.acmeco. Inside a pattern "*" stands for any run of characters except
// boundaries, "**" for any run at all. A final ".*" also covers what is directly below the word before it, since a Maven
// group owns its own artifacts. Nothing else is special.
type Pattern struct {
	text  string // as written, for people
	glob  string // without a final "/*" or "/**"
	group string // the prefix before a final ".*"; "" if there is none
	exact bool   // glob has no "*"
}

// ParsePattern reads a pattern. It returns Invalid for an empty one and for characters that other pattern languages give a
// meaning to, so that nobody believes in a wildcard that is none.
func ParsePattern(text string) (Pattern, error) {
	invalid := func(why string) (Pattern, error) {
		return Pattern{}, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%q is not a pattern: %s", text, why)}
	}
	if text == "" {
		return invalid("it is empty")
	}
	for _, c := range text {
		switch {
		case unicode.IsSpace(c) || unicode.IsControl(c):
			return invalid("it has a space in it")
		case strings.ContainsRune(`?[]{}\!`, c):
			return invalid(fmt.Sprintf("%q is not understood; the one wildcard is *", c))
		}
	}
	p := Pattern{text: text, glob: text}
	for _, tail := range []string{"/**", "/*"} {
		if cut, ok := strings.CutSuffix(p.glob, tail); ok && cut != "" {
			p.glob = cut
			break
		}
	}
	if group, ok := strings.CutSuffix(p.glob, ".*"); ok {
		p.group = group
	}
	p.exact = !strings.Contains(p.glob, "*")
	return p, nil
}

// String is the pattern as it was written.
func (p Pattern) String() string { return p.text }

// Match reports whether the pattern covers the canonical name. The zero Pattern covers nothing.
func (p Pattern) Match(name string) bool {
	if p.glob == "" {
		return false
	}
	if p.exact {
		rest, ok := strings.CutPrefix(name, p.glob)
		return ok && atBoundary(rest)
	}
	if match(p.glob, name) {
		return true
	}
	if p.group == "" {
		return false
	}
	if !strings.Contains(p.group, "*") {
		rest, ok := strings.CutPrefix(name, p.group)
		return ok && rest != "" && boundary(rest[0])
	}
	for i := range len(name) {
		if boundary(name[i]) && match(p.group, name[:i]) {
			return true
		}
	}
	return false
}

// boundary reports whether c ends a word of a name.
func boundary(c byte) bool { return c == '/' || c == ':' }

func atBoundary(rest string) bool { return rest == "" || boundary(rest[0]) }

// match reports whether glob covers a prefix of name that ends at a boundary. When it is stuck it lets the last "*" take one
// more character, and if that would be a boundary the last "**": earlier stars have nothing to gain. So it takes no more than
// the product of the lengths, for each kind of star.
func match(glob, name string) bool {
	type mark struct{ glob, name int } // where to go on after a star, and what it has taken up to
	star, deep := mark{-1, 0}, mark{-1, 0}
	g, n := 0, 0
	for {
		switch {
		case g == len(glob):
			if n == len(name) || boundary(name[n]) {
				return true
			}
		case glob[g] == '*':
			if g+1 < len(glob) && glob[g+1] == '*' {
				for g < len(glob) && glob[g] == '*' {
					g++
				}
				deep, star = mark{g, n}, mark{-1, 0}
			} else {
				g++
				star = mark{g, n}
			}
			if g == len(glob) {
				return true // the rest of this word, and all below it
			}
			continue
		case n < len(name) && glob[g] == name[n]:
			g++
			n++
			continue
		}
		switch {
		case star.glob >= 0 && star.name < len(name) && !boundary(name[star.name]):
			star.name++
			g, n = star.glob, star.name
		case deep.glob >= 0 && deep.name < len(name):
			deep.name++
			star = mark{-1, 0}
			g, n = deep.glob, deep.name
		default:
			return false
		}
	}
}
