package policy

import (
	"fmt"
	"strings"
	"time"

	"millpond"
)

// licence keeps versions from readers by what they may be used under. What their publishers wrote is read as an SPDX
// expression: of A OR B the reader takes the better, with A AND B both bind.
type licence struct {
	listed  words
	only    bool // deny what is not listed, instead of what is
	unknown bool // let through what says nothing, or nothing that is SPDX
}

const (
	noLicence     = iota + 1 // the reasons
	notExpression            // it is prose, and a list of what is denied says nothing of it
)

func (t *licence) judge(c *call) {
	last, lastReason, lastDenied := "", int8(0), false
	for i, v := range c.each() {
		if v.Licence == "" {
			switch {
			case t.unknown:
			case v.Partial:
				c.version(i, need(millpond.Description))
			default:
				d := deny()
				d.reason = noLicence
				c.version(i, d)
			}
			continue
		}
		if v.Licence != last {
			last = v.Licence
			lastDenied, lastReason = t.denies(v.Licence)
		}
		if lastDenied {
			d := deny()
			d.reason = lastReason
			c.version(i, d)
		}
	}
}

// denies judges a licence as its publisher wrote it.
func (t *licence) denies(text string) (bool, int8) {
	text = strings.TrimSpace(text)
	if t.listed.match(text) { // the whole text is listed, be it prose
		return !t.only, 0
	}
	e := expression{rest: text, ok: func(one, id string) bool { return (t.listed.match(one) || t.listed.match(id)) == t.only }}
	good, sound := e.read()
	switch {
	case sound:
		return !good, 0
	case t.only:
		return true, 0
	}
	return !t.unknown, notExpression
}

func (t *licence) words(a about, d *decision, _ time.Time) string {
	switch {
	case d.need != 0:
		return "nothing says yet under which licence " + a.name + " is, and this repository judges by it"
	case d.reason == noLicence:
		return a.name + " does not say under which licence it is, and this repository judges by it"
	case d.reason == notExpression:
		return "the licence of " + a.name + " reads “" + quotable(a.v.Licence) + "”, which this repository cannot judge"
	}
	return a.name + " is under " + quotable(a.v.Licence) + ", which this repository leaves out"
}

func (t *licence) lists() []**set  { return nil }
func (t *licence) clone() test     { copied := *t; return &copied }
func (t *licence) meaning() string { return fmt.Sprintf("%q %t %t", t.listed, t.only, t.unknown) }

// An expression reads SPDX licence expressions: identifiers, WITH, AND, OR and parentheses.
type expression struct {
	rest  string
	depth int
	// ok judges one licence: the whole of it, "GPL-2.0-only WITH Classpath-exception-2.0", and its identifier alone.
	ok func(one, id string) bool
}

// read judges the whole expression; sound is false if the text is none.
func (e *expression) read() (good, sound bool) {
	good, sound = e.or()
	return good, sound && e.next() == ""
}

func (e *expression) or() (good, sound bool) {
	good, sound = e.and()
	for sound && strings.EqualFold(e.next(), "OR") {
		e.take()
		var other bool
		other, sound = e.and()
		good = good || other
	}
	return good, sound
}

func (e *expression) and() (good, sound bool) {
	good, sound = e.one()
	for sound && strings.EqualFold(e.next(), "AND") {
		e.take()
		var other bool
		other, sound = e.one()
		good = good && other
	}
	return good, sound
}

func (e *expression) one() (good, sound bool) {
	id := e.take()
	if id == "(" {
		if e.depth++; e.depth > 50 {
			return false, false
		}
		good, sound = e.or()
		e.depth--
		return good, sound && e.take() == ")"
	}
	if !identifier(id) {
		return false, false
	}
	whole := id
	if strings.EqualFold(e.next(), "WITH") {
		e.take()
		exception := e.take()
		if !identifier(exception) {
			return false, false
		}
		whole += " WITH " + exception
	}
	return e.ok(whole, id), true
}

// identifier reports whether a word may name a licence or an exception.
func identifier(word string) bool {
	for i := range len(word) {
		c := word[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("-.+:", rune(c)) {
			return false
		}
	}
	switch strings.ToUpper(word) {
	case "", "AND", "OR", "WITH":
		return false
	}
	return true
}

// next is the next word, "" at the end.
func (e *expression) next() string {
	e.rest = strings.TrimLeft(e.rest, " \t\r\n")
	if e.rest == "" {
		return ""
	}
	if e.rest[0] == '(' || e.rest[0] == ')' {
		return e.rest[:1]
	}
	if i := strings.IndexAny(e.rest, " \t\r\n()"); i >= 0 {
		return e.rest[:i]
	}
	return e.rest
}

// take is next, and goes on behind it.
func (e *expression) take() string {
	word := e.next()
	e.rest = e.rest[len(word):]
	return word
}
