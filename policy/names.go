package policy

import (
	"time"
)

// block keeps names, or versions of them, from readers.
type block struct{ set *set }

const unreadable = 1 // the reason: a range could not be read for this version

func (t *block) judge(c *call) {
	listed := t.set.choose(c.j.now, c.j.pkg.Name)
	c.ends(listed.ends)
	if listed.none() {
		return
	}
	d := deny()
	if listed.whole >= 0 {
		d.item = listed.whole
		c.all(d)
		return
	}
	for i, v := range c.each() {
		it, err := listed.version(c.g, v.Name)
		if it < 0 && err == nil {
			continue
		}
		d.item, d.reason = it, 0
		if it < 0 {
			d.reason = unreadable
		}
		c.version(i, d)
	}
}

func (t *block) words(a about, d *decision, _ time.Time) string {
	if d.reason == unreadable {
		return "nothing tells whether " + a.name + " is among the versions that are blocked in this repository"
	}
	return a.name + " is blocked in this repository"
}

func (t *block) lists() []**set  { return []**set{&t.set} }
func (t *block) clone() test     { return &block{t.set} }
func (t *block) meaning() string { return t.set.meaning() }

// allow keeps whatever it does not list from readers.
type allow struct{ set *set }

func (t *allow) judge(c *call) {
	listed := t.set.choose(c.j.now, c.j.pkg.Name)
	c.ends(listed.ends)
	switch {
	case listed.whole >= 0:
	case len(listed.ranges) == 0:
		c.all(deny())
	default:
		for i, v := range c.each() {
			if it, _ := listed.version(c.g, v.Name); it < 0 {
				c.version(i, deny())
			}
		}
	}
}

func (t *allow) words(a about, _ *decision, _ time.Time) string {
	return a.name + " is not among what this repository allows"
}

func (t *allow) lists() []**set  { return []**set{&t.set} }
func (t *allow) clone() test     { return &allow{t.set} }
func (t *allow) meaning() string { return t.set.meaning() }

// trust lets names, or versions of them, through whatever later rules say.
type trust struct{ set *set }

func (t *trust) judge(c *call) {
	listed := t.set.choose(c.j.now, c.j.pkg.Name)
	c.ends(listed.ends)
	if listed.none() {
		return
	}
	d := permit()
	if listed.whole >= 0 {
		d.item = listed.whole
		c.all(d)
		return
	}
	for i, v := range c.each() {
		if it, _ := listed.version(c.g, v.Name); it >= 0 {
			d.item = it
			c.version(i, d)
		}
	}
}

func (t *trust) words(a about, _ *decision, _ time.Time) string {
	return a.name + " is trusted in this repository"
}

func (t *trust) lists() []**set  { return []**set{&t.set} }
func (t *trust) clone() test     { return &trust{t.set} }
func (t *trust) meaning() string { return t.set.meaning() }

// prerelease keeps versions from readers that their ecosystem does not offer unasked.
type prerelease struct{}

func (prerelease) judge(c *call) {
	for i, v := range c.each() {
		if v.Prerelease {
			c.version(i, deny())
		}
	}
}

func (prerelease) words(a about, _ *decision, _ time.Time) string {
	return a.name + " is a prerelease, and this repository leaves those out"
}

func (prerelease) lists() []**set  { return nil }
func (prerelease) clone() test     { return prerelease{} }
func (prerelease) meaning() string { return "" }

// yanked keeps versions and files from readers that were withdrawn.
type yanked struct{}

func (yanked) judge(c *call) {
	for i, v := range c.each() {
		if v.Yanked {
			c.version(i, deny())
			continue
		}
		for k, f := range c.filesOf(i) {
			if f.Yanked {
				c.file(i, k, deny())
			}
		}
	}
}

func (yanked) words(a about, _ *decision, _ time.Time) string {
	why := ""
	switch {
	case a.f != nil && a.f.Yanked:
		why = a.f.YankedWhy
	case a.v != nil:
		why = a.v.YankedWhy
	}
	if why != "" {
		why = ": " + quotable(why) + ";"
	} else {
		why = ","
	}
	return a.name + " was yanked" + why + " this repository leaves out what was"
}

func (yanked) lists() []**set  { return nil }
func (yanked) clone() test     { return yanked{} }
func (yanked) meaning() string { return "" }
