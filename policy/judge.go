package policy

import (
	"iter"
	"sync"
	"time"

	"millpond"
)

// A Judgement is what a policy makes of one listing at one time. It never changes and may be used by many goroutines. The
// nil Judgement, which a nil Policy gives, lets everything pass.
type Judgement struct {
	policy   *Policy
	pkg      *millpond.Package
	now      time.Time
	whole    decision     // of the package
	versions []decision   // by index; nil while no version was decided
	files    [][]decision // by index of the version and of the file; nil while none was decided
	hides    bool         // something is kept from readers
	until    time.Time
	needs    map[string]millpond.Fact
	findings []finding

	once  sync.Once
	index map[string]int32 // of versions by name; made by once
}

// A decision is a verdict before its words.
type decision struct {
	rule    int32 // its number; 0 is undecided
	item    int32 // the entry of the rule's list that decided; -1 if it has none
	opinion int8  // a millpond.Opinion
	need    int8  // a millpond.Fact
	reason  int8  // the rule's own
	n       int64 // the rule's own: a number of bytes
	since   time.Time
	after   time.Time
}

func (d *decision) hides() bool {
	return d.rule != 0 && millpond.Opinion(d.opinion) != millpond.Allow
}

// A finding is what a rule in dry run would have decided.
type finding struct {
	d             decision
	version, file int32 // indexes; -1 for the whole
}

// A Finding is what a rule in dry run would have said.
type Finding struct {
	Rule    string
	Target  millpond.Target
	Verdict millpond.Verdict
}

// about is what words are about.
type about struct {
	name string // of the file, version or package, fit to be quoted
	v    *millpond.Version
	f    *millpond.File // one of the files, where it is about a version because of them
}

// Judge judges a package, which must not change as long as the judgement is used. p is the whole listing, newest version
// first, unless it says that it is Incomplete.
func (p *Policy) Judge(now time.Time, g millpond.Grammar, pkg *millpond.Package) *Judgement {
	if p == nil {
		return nil
	}
	j := &Judgement{policy: p, pkg: pkg, now: now}
	for i, r := range p.rules {
		c, ok := j.call(int32(i+1), r, g)
		if !ok {
			continue
		}
		r.test.judge(&c)
		if j.whole.rule != 0 {
			break
		}
	}
	return j
}

// A call is one rule judging one package.
type call struct {
	j        *Judgement
	r        *rule
	g        millpond.Grammar
	number   int32
	only     choice
	except   choice
	narrowed bool // it may judge some versions only
}

// call prepares a rule for the package; false if it has nothing to do with it.
func (j *Judgement) call(number int32, r *rule, g millpond.Grammar) (call, bool) {
	if !r.until.IsZero() && !j.now.Before(r.until) {
		return call{}, false
	}
	if j.policy.index != nil && j.policy.index(j.pkg.Name) && !r.names(j.now, j.pkg.Name) {
		return call{}, false
	}
	c := call{j: j, r: r, g: g, number: number, only: choice{whole: -1}, except: choice{whole: -1}}
	if r.only != nil {
		c.only = r.only.choose(j.now, j.pkg.Name)
		if c.only.none() {
			return call{}, false
		}
		c.narrowed = c.only.whole < 0
	}
	if r.except != nil {
		c.except = r.except.choose(j.now, j.pkg.Name)
		c.narrowed = c.narrowed || len(c.except.ranges) > 0
	}
	if !r.dry {
		j.until = earlier(earlier(earlier(j.until, r.until), c.only.ends), c.except.ends)
	}
	return c, c.except.whole < 0
}

// names reports whether a rule speaks of a package in particular: such rules only judge an index of others.
func (r *rule) names(now time.Time, pkg string) bool {
	for _, s := range append([]**set{&r.only}, r.test.lists()...) {
		if *s == nil {
			continue
		}
		if chosen := (*s).choose(now, pkg); !chosen.none() {
			return true
		}
	}
	return false
}

// judges reports whether the rule may judge version i: nobody has, and it is neither outside for nor within except. A limit
// that cannot be read for a version limits nothing, but keeps a rule that lets through from it.
func (c *call) judges(i int) bool {
	if c.j.versions != nil && c.j.versions[i].rule != 0 {
		return false
	}
	if !c.narrowed {
		return true
	}
	name := c.j.pkg.Versions[i].Name
	_, lets := c.r.test.(*trust)
	if c.r.only != nil && c.only.whole < 0 {
		if it, err := c.only.version(c.g, name); it < 0 && (err == nil || lets) {
			return false
		}
	}
	it, err := c.except.version(c.g, name)
	return it < 0 && (err == nil || !lets)
}

// each yields the versions that the rule may judge.
func (c *call) each() iter.Seq2[int, *millpond.Version] {
	return func(yield func(int, *millpond.Version) bool) {
		versions := c.j.pkg.Versions
		for i := range versions {
			if c.judges(i) && !yield(i, &versions[i]) {
				return
			}
		}
	}
}

// filesOf yields the files of version i that no rule has decided. A file that describes another is judged as that one is.
func (c *call) filesOf(i int) iter.Seq2[int, *millpond.File] {
	return func(yield func(int, *millpond.File) bool) {
		files := c.j.pkg.Versions[i].Files
		for k := range files {
			if files[k].Of == "" && !c.j.decided(i, k) && !yield(k, &files[k]) {
				return
			}
		}
	}
}

// decided reports whether a file itself was decided.
func (j *Judgement) decided(i, k int) bool {
	return j.files != nil && j.files[i] != nil && j.files[i][k].rule != 0
}

// shown reports whether anything of version i is left to readers.
func (j *Judgement) shown(i int) bool {
	if j.versions != nil && j.versions[i].rule != 0 {
		return !j.versions[i].hides()
	}
	if j.files == nil || j.files[i] == nil {
		return true
	}
	for k := range j.files[i] {
		if j.pkg.Versions[i].Files[k].Of == "" && !j.files[i][k].hides() {
			return true
		}
	}
	return false
}

// all decides everything that the rule may judge and that is not decided yet.
func (c *call) all(d decision) {
	if c.narrowed {
		for i := range c.each() {
			c.version(i, d)
		}
		return
	}
	c.decide(-1, -1, d)
}

func (c *call) version(i int, d decision) { c.decide(i, -1, d) }
func (c *call) file(i, k int, d decision) { c.decide(i, k, d) }

func (c *call) decide(i, k int, d decision) {
	j := c.j
	d.rule = c.number
	if c.r.dry {
		j.findings = append(j.findings, finding{d, int32(i), int32(k)})
		return
	}
	if millpond.Opinion(d.opinion) == millpond.Hold {
		j.until = earlier(j.until, d.after)
	}
	j.hides = j.hides || d.hides()
	switch {
	case i < 0:
		j.whole = d
	case k < 0:
		if j.versions == nil {
			j.versions = make([]decision, len(j.pkg.Versions))
		}
		j.versions[i] = d
	default:
		if j.files == nil {
			j.files = make([][]decision, len(j.pkg.Versions))
		}
		if j.files[i] == nil {
			j.files[i] = make([]decision, len(j.pkg.Versions[i].Files))
		}
		j.files[i][k] = d
	}
	if millpond.Opinion(d.opinion) == millpond.Need {
		if j.needs == nil {
			j.needs = map[string]millpond.Fact{}
		}
		switch fact := millpond.Fact(d.need); {
		case fact == millpond.Listing || i < 0:
			j.needs[""] = fact
		default:
			j.needs[j.pkg.Versions[i].Name] = fact
		}
	}
}

// ends says that the rule's own list changes at a time.
func (c *call) ends(t time.Time) {
	if !c.r.dry {
		c.j.until = earlier(c.j.until, t)
	}
}

func deny() decision   { return decision{opinion: int8(millpond.Deny), item: -1} }
func permit() decision { return decision{opinion: int8(millpond.Allow), item: -1} }

func need(f millpond.Fact) decision {
	return decision{opinion: int8(millpond.Need), need: int8(f), item: -1}
}
