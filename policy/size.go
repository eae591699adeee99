package policy

import (
	"fmt"
	"math"
	"time"

	"millpond"
)

// size keeps files from readers that are too large, and packages whose files are together.
type size struct {
	file, total int64 // zero is no limit
	unknown     bool  // let through what does not say its size
}

const (
	noSize  = iota + 1 // the reasons
	tooMuch            // of the package
	noTotal
	tooLarge
)

func (t *size) judge(c *call) {
	if t.file > 0 {
		t.judgeFiles(c)
	}
	if t.total > 0 && c.j.whole.rule == 0 {
		t.judgeTotal(c)
	}
}

func (t *size) judgeFiles(c *call) {
	for i, v := range c.each() {
		for k, f := range c.filesOf(i) {
			switch {
			case f.Size > t.file:
				d := deny()
				d.reason, d.n = tooLarge, f.Size
				c.file(i, k, d)
			case f.Size >= 0 || t.unknown:
			case v.Partial:
				c.file(i, k, need(millpond.Description))
			default:
				d := deny()
				d.reason = noSize
				c.file(i, k, d)
			}
		}
	}
}

func (t *size) judgeTotal(c *call) {
	if c.j.pkg.Incomplete {
		for i := range c.each() {
			c.version(i, need(millpond.Listing))
		}
		return
	}
	var sum int64
	silent := false
	for i := range c.each() {
		for _, f := range c.filesOf(i) {
			sum += min(max(f.Size, 0), math.MaxInt64-sum) // an upstream may say anything
			silent = silent || f.Size < 0
		}
	}
	d := deny()
	switch {
	case sum > t.total:
		d.reason, d.n = tooMuch, sum
		c.all(d)
	case silent && !t.unknown:
		d.reason = noTotal
		c.all(d)
	}
}

func (t *size) words(a about, d *decision, _ time.Time) string {
	files := "this repository takes files up to " + bytesWords(t.file)
	packages := "this repository takes packages up to " + bytesWords(t.total)
	switch d.reason {
	case tooLarge:
		return a.name + " has " + bytesWords(d.n) + "; " + files
	case tooMuch:
		return "the files of " + a.name + " have " + bytesWords(d.n) + " together; " + packages
	case noTotal:
		return "not all files of " + a.name + " say how large they are; " + packages
	case noSize:
		return "nothing says how large " + a.name + " is; " + files
	}
	if millpond.Fact(d.need) == millpond.Listing {
		return "nothing tells yet how large all files are together; " + packages
	}
	return "nothing says yet how large " + a.name + " is; " + files
}

func (t *size) lists() []**set  { return nil }
func (t *size) clone() test     { copied := *t; return &copied }
func (t *size) meaning() string { return fmt.Sprint(t.file, t.total, t.unknown) }
