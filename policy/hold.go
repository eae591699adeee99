package policy

import (
	"strconv"
	"time"

	"millpond"
)

// hold keeps what is younger than an age from readers until it is not.
//
// A file is as old as its own publication date says, else its version's. What has none, or none that a description could
// still bring, counts from when this pond first saw it; and with nothing at all it stays denied. A date yet to come is
// waited for, and no date makes anything ripen before it.
type hold struct {
	age time.Duration
	// seen counts what appeared after the package from then on, whatever its date says: a version that was not in the
	// listing yesterday was not published last year.
	seen bool
}

const (
	bySeen = iota + 1 // the reason: counted from when it was first seen
	noDate
)

func (t *hold) judge(c *call) {
	if t.seen && c.j.pkg.Incomplete {
		for i := range c.each() {
			c.version(i, need(millpond.Listing))
		}
		return
	}
	var first map[string]time.Time
	if t.seen {
		first = firstSeen(c.j.pkg)
	}
	latest := latestOf(c.j.pkg)
	for i, v := range c.each() {
		if len(v.Files) == 0 {
			if d := t.date(c.j.now, v, nil, first, latest); d.opinion != 0 {
				c.version(i, d)
			}
			continue
		}
		for k, f := range c.filesOf(i) {
			d := t.date(c.j.now, v, f, first, latest)
			if millpond.Opinion(d.opinion) == millpond.Need {
				c.version(i, d)
				break
			}
			if d.opinion != 0 {
				c.file(i, k, d)
			}
		}
	}
}

// date judges one file of a version, or a version without files.
func (t *hold) date(now time.Time, v *millpond.Version, f *millpond.File, first, latest map[string]time.Time) decision {
	published, seen := v.Published, v.Seen
	if f != nil {
		if !f.Published.IsZero() {
			published = f.Published
		}
		if f.Seen.After(seen) {
			seen = f.Seen
		}
	}
	if published.IsZero() && v.Partial {
		if at := latest[v.Layer]; first == nil && !at.IsZero() && !now.Before(at.Add(t.age)) {
			return decision{} // whenever it was, it was long enough ago
		}
		return need(millpond.Description)
	}
	since, reason := published, int8(0)
	if since.IsZero() || first != nil && seen.After(first[v.Layer]) && seen.After(since) {
		since, reason = seen, bySeen
	}
	if since.IsZero() {
		d := deny()
		d.reason = noDate
		return d
	}
	if published.After(now) && seen.After(since) {
		since, reason = seen, bySeen
	}
	after := since.Add(t.age)
	if !now.Before(after) {
		return decision{}
	}
	return decision{opinion: int8(millpond.Hold), item: -1, reason: reason, since: since, after: after}
}

// latestOf is until when each layer has published what it lists of the package, as far as it says.
func latestOf(p *millpond.Package) map[string]time.Time {
	var latest map[string]time.Time
	for i := range p.Parts {
		if part := &p.Parts[i]; !part.Latest.IsZero() {
			if latest == nil {
				latest = map[string]time.Time{}
			}
			latest[part.Layer] = part.Latest
		}
	}
	return latest
}

// firstSeen is when each layer's listing of the package was first read.
func firstSeen(p *millpond.Package) map[string]time.Time {
	first := map[string]time.Time{}
	for i := range p.Versions {
		v := &p.Versions[i]
		if t, ok := first[v.Layer]; !v.Seen.IsZero() && (!ok || v.Seen.Before(t)) {
			first[v.Layer] = v.Seen
		}
	}
	return first
}

func (t *hold) words(a about, d *decision, now time.Time) string {
	rule := "; this repository holds new versions for " + span(t.age)
	switch {
	case millpond.Fact(d.need) == millpond.Listing:
		return "nothing tells yet when " + a.name + " appeared" + rule
	case d.need != 0:
		return "nothing says yet when " + a.name + " was published" + rule
	case d.reason == noDate:
		return "nothing says when " + a.name + " was published" + rule
	case d.since.After(now):
		return a.name + " is dated " + d.since.UTC().Format("2 Jan 2006 15:04 UTC") + ", which is yet to come" + rule
	case d.reason == bySeen:
		return a.name + " was first seen here " + age(now.Sub(d.since)) + " ago" + rule
	}
	return a.name + " was published " + age(now.Sub(d.since)) + " ago" + rule
}

func (t *hold) lists() []**set { return nil }
func (t *hold) clone() test    { copied := *t; return &copied }

func (t *hold) meaning() string {
	return strconv.FormatInt(int64(t.age), 10) + " " + strconv.FormatBool(t.seen)
}

// latest leaves the newest versions that earlier rules leave, and no more.
type latest struct{ n int }

func (t *latest) judge(c *call) {
	if c.j.pkg.Incomplete {
		for i := range c.each() {
			c.version(i, need(millpond.Listing))
		}
		return
	}
	left := t.n
	for i := range c.each() {
		switch {
		case !c.j.shown(i):
		case left > 0:
			left--
		default:
			c.version(i, deny())
		}
	}
}

func (t *latest) words(a about, d *decision, _ time.Time) string {
	rule := "; this repository shows the newest " + count(int64(t.n), "version")
	if d.need != 0 {
		return "nothing tells yet how new " + a.name + " is" + rule
	}
	return a.name + " is older" + rule
}

func (t *latest) lists() []**set  { return nil }
func (t *latest) clone() test     { copied := *t; return &copied }
func (t *latest) meaning() string { return strconv.Itoa(t.n) }
