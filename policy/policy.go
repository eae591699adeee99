// Package policy judges packages by the rules of a repository: which versions and files its readers may see. It is pure: it
// reads no clock, no network and no store; facts that it lacks it names, and its caller fetches them.
//
// A policy is a list of rules, each a mapping with one key that says what it is:
//
//   - block: ["evil-*", "left-pad@<1.3"]    these names, or these versions of them, are kept from readers
//   - allow: ["requests", "acme-*"]         whatever is not listed is kept from readers
//   - trust: ["acme-*", "x@1.2"]            later rules do not judge these
//   - name: ["evil-*"]                      block, by names alone
//   - version: ["<1.0"]                     block, by versions alone; usually with for
//   - prerelease: deny
//   - hold: 7d                              versions and files younger than this wait
//   - latest: 5                             the newest five versions that earlier rules leave
//   - size: 100MiB                          of a file; or {file: 100MiB, package: 2GiB}
//   - platform: [windows, "macosx_*"]       files for these only are left out; or {only: [linux]}
//   - yanked: deny
//   - licence: [AGPL-*]                     these are left out; or {only: [MIT, Apache-2.0]}
//
// and beside it any of
//
//	for: ["acme-*", "x@<2"]   judge these alone
//	except: ["x@1.2"]         do not judge these; an entry may be {name: x@1.2, until: 2026-12-01, why: words}
//	until: 2026-12-01         the rule ends when that day begins, in UTC; or an RFC 3339 time
//	why: words                for whoever meets it
//	dry-run: true             tell what it would do, and do nothing
//	seen: true                with hold: what appears later than the package counts from then, whatever date it claims
//	unknown: pass             with size and licence: let through what says nothing; otherwise it is denied
//
// The entries of block, allow, trust, for and except are a Pattern, or one with "@" and versions in the ecosystem's own
// range syntax. Rules are asked in order and the first with an opinion on a version or file wins; a rule sees what earlier
// ones have left, so that "latest: 5" after a hold counts the five newest that are not held. A rule that cannot be
// evaluated denies, in words.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"millpond"
)

// A Policy is the rules of one repository, in order. A nil Policy lets everything pass. A Policy never changes and may be
// used by many goroutines.
type Policy struct {
	rules []*rule
	id    string
	index func(name string) bool // nil where no package is an index of others
}

// A rule is one test, and what limits it.
type rule struct {
	number int    // as people count: the first is 1
	key    string // what it is: "hold"
	name   string // as the configuration spells it: "hold: 7d"
	test   test
	only   *set // for; nil is everything
	except *set // nil is nothing
	until  time.Time
	why    string
	dry    bool
}

// A test has an opinion on versions and files. It tells the call, and finds the words for it later: most of them nobody reads.
type test interface {
	judge(c *call)
	words(a about, d *decision, now time.Time) string
	clone() test
	// lists are the sets that hold patterns and ranges of an ecosystem.
	lists() []**set
	// meaning is the same text for the same settings, however they were written.
	meaning() string
}

func (p *Policy) seal() *Policy {
	h := sha256.New()
	for _, r := range p.rules {
		fmt.Fprintf(h, "%s(%s) for%s except%s until %d why %q dry %t\n",
			r.key, r.test.meaning(), r.only.meaning(), r.except.meaning(), r.until.Unix(), r.why, r.dry)
	}
	p.id = hex.EncodeToString(h.Sum(nil)[:12])
	return p
}

func (s *set) meaning() string {
	if s == nil {
		return "-"
	}
	var b strings.Builder
	for _, it := range s.items {
		fmt.Fprintf(&b, " %q@%q until %d why %q;", it.pattern.glob, it.rng, it.until.Unix(), it.why)
	}
	return b.String()
}

// ID changes whenever the meaning of the rules does, and with nothing else. It is "" for the nil Policy.
func (p *Policy) ID() string {
	if p == nil {
		return ""
	}
	return p.id
}

// Names are the rules as the configuration spells them, in order.
func (p *Policy) Names() []string {
	if p == nil {
		return nil
	}
	names := make([]string, len(p.rules))
	for i, r := range p.rules {
		names[i] = r.name
	}
	return names
}

// For is the policy in the spelling of one ecosystem: its patterns name packages as the grammar spells them, so that
// Acme_Widget covers acme-widget where that is one name. It returns RuleErrors for ranges that the ecosystem cannot read.
// Whoever makes a policy for a repository calls it once.
func (p *Policy) For(g millpond.Grammar) (*Policy, error) {
	if p == nil {
		return nil, nil
	}
	var errs []error
	spelt := &Policy{rules: make([]*rule, len(p.rules))}
	if i, ok := g.(millpond.Indexer); ok {
		spelt.index = i.IsIndex
	}
	for i, old := range p.rules {
		r := *old
		r.test = old.test.clone()
		for _, s := range append([]**set{&r.only, &r.except}, r.test.lists()...) {
			if *s == nil {
				continue
			}
			items := append([]item(nil), (*s).items...)
			for k := range items {
				items[k].pattern = CanonPattern(g, items[k].pattern)
				if err := readable(g, items[k].rng); err != nil {
					errs = append(errs, &RuleError{Rule: r.number, Key: r.key, Why: fmt.Sprintf("%q: %v", items[k].String(), err)})
				}
			}
			*s = newSet(items)
		}
		spelt.rules[i] = &r
	}
	return spelt.seal(), errors.Join(errs...)
}

// readable reports whether the ecosystem can make sense of a range.
func readable(g millpond.Grammar, rng string) error {
	if rng == "" || rng == "*" || oneVersion(rng) {
		return nil
	}
	_, err := g.Match(rng, "1.0.0")
	if millpond.Is(err, millpond.Invalid) {
		return err
	}
	return nil
}

// CanonPattern is the pattern in the spelling that the grammar gives to names. A pattern of which no name can be made stays
// as it is.
func CanonPattern(g millpond.Grammar, p Pattern) Pattern {
	const letters = "q9z" // stands for a star, and is spelt the same everywhere
	if p.glob == "*" || strings.Contains(p.glob, "**") || strings.Contains(p.glob, letters) {
		return p
	}
	tail := p.text[len(p.glob):]
	below := []string{"", "/" + letters, ":" + letters} // @acme is no name, @acme/widget is
	if tail != "" {
		below = []string{"/" + letters, "", ":" + letters}
	}
	for _, under := range below {
		name, err := g.Canon(strings.ReplaceAll(p.glob, "*", letters) + under)
		if err != nil {
			continue
		}
		glob, ok := strings.CutSuffix(name, under)
		if !ok || strings.Count(glob, letters) != strings.Count(p.glob, "*") {
			continue
		}
		if spelt, err := ParsePattern(strings.ReplaceAll(glob, letters, "*") + tail); err == nil {
			return spelt
		}
	}
	return p
}

// NameOnly is what the name alone decides, so that it costs no listing: a Deny or an Allow of everything there is of the
// package, else Pass.
func (p *Policy) NameOnly(now time.Time, name string) millpond.Verdict {
	if p == nil {
		return millpond.Verdict{}
	}
	j := &Judgement{policy: p, now: now, pkg: &millpond.Package{Name: name}}
	for i, r := range p.rules {
		if r.dry {
			continue
		}
		switch r.test.(type) {
		case *block, *allow, *trust:
		default:
			continue
		}
		c, ok := j.call(int32(i+1), r, nil)
		if !ok {
			continue
		}
		r.test.judge(&c)
		if j.whole.rule != 0 {
			return j.Package()
		}
		if t, ok := r.test.(*trust); ok {
			if chosen := t.set.choose(now, name); !chosen.none() {
				return millpond.Verdict{} // it may let some versions through
			}
		}
	}
	return millpond.Verdict{}
}

// Rules are the policy's rules one by one, for a mirror to filter by. Those in dry run are left out.
func (p *Policy) Rules() []millpond.Rule {
	if p == nil {
		return nil
	}
	var rules []millpond.Rule
	for _, r := range p.rules {
		if !r.dry {
			rules = append(rules, single{&Policy{rules: []*rule{r}}})
		}
	}
	return rules
}
