package repo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
	"millpond/policy"
)

// claims are the entries that say which names are ours; more stand in the configuration.
const claims = "claim"

// A Claim is a pattern of names that are ours: no upstream hears of them.
type Claim struct {
	Repository, Pattern string
	Merge               string // "hide" or "union": union joins what upstreams have, and asks them; "" is hide
	Configured          bool   // it stands in the configuration, and is changed there
	By                  string
	Time                time.Time
}

// A claim is a Claim that can be asked, in the format's own syntax where it has one.
type claim struct {
	repository  string
	text, merge string
	pattern     policy.Pattern
	format      format.Claimer // nil if the format has none
}

func newClaim(r *Repository, text, merge string) (*claim, error) {
	c := &claim{repository: r.config.Name, text: text, merge: merge}
	if c.format, _ = r.config.Format.(format.Claimer); c.format != nil {
		return c, nil
	}
	pattern, err := policy.ParsePattern(text)
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("claim %q cannot be read", text), Err: err}
	}
	c.pattern = policy.CanonPattern(r.config.Format, pattern)
	return c, nil
}

func (c *claim) covers(name string) bool {
	if c.format != nil {
		return c.format.Covers(c.text, name)
	}
	return c.pattern.Match(name)
}

// claimOf is the claim that a name falls under, of this repository or another one of its format; nil if there is none. The
// longest one counts.
func (r *Repository) claimOf(name string) *claim {
	var best *claim
	for _, c := range r.pond.claimsOf(r) {
		if (best == nil || len(c.text) > len(best.text)) && c.covers(name) {
			best = c
		}
	}
	return best
}

// claimed reports whether a name is ours, so that no upstream may hear of it.
func (r *Repository) claimed(name string) bool {
	c := r.claimOf(name)
	return c != nil && (c.merge != "union" || c.repository != r.config.Name)
}

// claimsOf are all claims of the repository's format.
func (p *Pond) claimsOf(r *Repository) []*claim {
	s := p.state.Load()
	if s.byName[r.config.Name] != r { // a repository of a configuration that is being made, or was replaced
		return r.claims
	}
	return s.claims.Load().byFormat[r.info.Name]
}

// A claimTable is all claims, by format.
type claimTable struct{ byFormat map[string][]*claim }

// loadClaims reads the claims that were made while the pond runs, and joins them with the configuration's. The caller holds
// p.showing until s is what all see.
func (p *Pond) loadClaims(ctx context.Context, s *state) error {
	table := &claimTable{byFormat: map[string][]*claim{}}
	for _, r := range s.repositories {
		table.byFormat[r.info.Name] = append(table.byFormat[r.info.Name], r.claims...)
	}
	err := p.catalog.View(ctx, func(tx catalog.Tx) error {
		for e, err := range tx.Entries(claims, "") {
			if err != nil {
				return err
			}
			var one Claim
			if err := json.Unmarshal(e.Value, &one); err != nil {
				return fmt.Errorf("claim %s: %w", e.ID, err)
			}
			r := s.byName[one.Repository]
			if r == nil {
				continue // of a repository that is not configured now
			}
			c, err := newClaim(r, one.Pattern, one.Merge)
			if err != nil {
				return err
			}
			table.byFormat[r.info.Name] = append(table.byFormat[r.info.Name], c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.claims.Store(table)
	return nil
}

// Claims lists all claims of the repositories that the caller may read.
func (p *Pond) Claims(ctx context.Context, c Caller) ([]Claim, error) {
	var out []Claim
	for _, r := range p.Repositories() {
		b := r.bind(c)
		if b.readable("") != nil {
			continue
		}
		for _, one := range r.claims {
			out = append(out, Claim{Repository: r.config.Name, Pattern: one.text, Configured: true})
		}
	}
	err := p.catalog.View(ctx, func(tx catalog.Tx) error {
		for e, err := range tx.Entries(claims, "") {
			if err != nil {
				return err
			}
			var one Claim
			if err := json.Unmarshal(e.Value, &one); err != nil {
				return err
			}
			if r := p.Repository(one.Repository); r != nil && r.bind(c).readable("") == nil {
				out = append(out, one)
			}
		}
		return nil
	})
	return out, err
}

func claimID(repository, pattern string) string { return repository + "/" + pattern }

// AddClaim makes names ours. Conflict if another repository has the same claim, and, unless force is set, if names under
// it were read from an upstream before: the error names them.
func (p *Pond) AddClaim(ctx context.Context, c Caller, repository, pattern, merge string, force bool) error {
	b, err := p.bound(c, repository)
	if err != nil {
		return err
	}
	if merge != "" && merge != "hide" && merge != "union" {
		return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("merge is %q: not hide or union", merge)}
	}
	if err := b.allowed(b.rights(), millpond.VerbGrant, ""); err != nil {
		return err
	}
	one, err := newClaim(b.Repository, pattern, merge)
	if err != nil {
		return err
	}
	for _, other := range p.claimsOf(b.Repository) {
		if other.text == pattern && other.repository != repository {
			return &millpond.Error{Kind: millpond.Conflict, Why: fmt.Sprintf("%s is claimed by %s", pattern, other.repository)}
		}
	}
	if !force {
		read, err := b.readUnder(ctx, one)
		if err != nil {
			return err
		}
		if len(read) > 0 {
			return &millpond.Error{Kind: millpond.Conflict, Why: fmt.Sprintf("%s covers names that were read from an upstream: %s", pattern, strings.Join(read, ", ")),
				Hint: "builds may need them; claim them all the same with --force"}
		}
	}
	value, err := json.Marshal(Claim{Repository: repository, Pattern: pattern, Merge: merge, By: c.Name, Time: p.now()})
	if err != nil {
		return err
	}
	return p.changeClaims(ctx, b, func(tx catalog.Tx) error {
		if err := tx.PutEntry(&catalog.Entry{Kind: claims, ID: claimID(repository, pattern), Owner: repository, Value: value}); err != nil {
			return err
		}
		return tx.Emit(millpond.Event{Verb: "claim", Repository: repository, Detail: value})
	})
}

// readUnder lists names under a claim of which files were fetched from upstreams: at most ten.
func (b *bound) readUnder(ctx context.Context, c *claim) ([]string, error) {
	var names []string
	for _, l := range b.layers {
		up, ok := l.(*upstream)
		if !ok {
			continue
		}
		for change, err := range up.heldNames(ctx) {
			if err != nil {
				return nil, err
			}
			if c.covers(change.Name) && !slices.Contains(names, change.Name) {
				names = append(names, change.Name)
			}
			if len(names) == 10 {
				return append(names, "…"), nil
			}
		}
	}
	return names, nil
}

// RemoveClaim ends a claim. NotFound if there is none; Unsupported for one of the configuration.
func (p *Pond) RemoveClaim(ctx context.Context, c Caller, repository, pattern string) error {
	b, err := p.bound(c, repository)
	if err != nil {
		return err
	}
	for _, one := range b.claims {
		if one.text == pattern {
			return &millpond.Error{Kind: millpond.Unsupported, Why: pattern + " is claimed in the configuration", Hint: "remove it there, and reload"}
		}
	}
	return p.changeClaims(ctx, b, func(tx catalog.Tx) error {
		err := tx.DropEntry(claims, claimID(repository, pattern))
		if millpond.Is(err, millpond.NotFound) {
			return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("%s claims no %s", repository, pattern), Hint: "'millpond claim list' shows what it claims; what the configuration claims is given up there"}
		}
		if err != nil {
			return err
		}
		detail, err := details(nil, "pattern", pattern)
		if err != nil {
			return err
		}
		return tx.Emit(millpond.Event{Verb: "unclaim", Repository: repository, Detail: detail})
	})
}

func (p *Pond) changeClaims(ctx context.Context, b *bound, f func(tx catalog.Tx) error) error {
	if err := b.change(ctx, millpond.VerbGrant, "", func(tx catalog.Tx, _ Rights) error { return f(tx) }); err != nil {
		return err
	}
	p.showing.Lock()
	err := p.loadClaims(context.WithoutCancel(ctx), p.state.Load()) // they are committed, though their client may have left
	p.showing.Unlock()
	p.forgetAll()
	return err
}

// SetMerge chooses whether a hosted name hides what upstreams have of it, or joins it: "hide", "union", or "" for what the
// repository does.
func (p *Pond) SetMerge(ctx context.Context, c Caller, repository, pkg, merge string) error {
	b, err := p.bound(c, repository)
	if err != nil {
		return err
	}
	if merge != "" && merge != "hide" && merge != "union" {
		return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("merge is %q: not hide or union", merge)}
	}
	if pkg, err = b.config.Format.Canon(pkg); err != nil {
		return err
	}
	if err := b.allowed(b.rights(), millpond.VerbGrant, pkg); err != nil {
		return err
	}
	err = b.change(ctx, millpond.VerbGrant, pkg, func(tx catalog.Tx, _ Rights) error {
		rec, err := tx.HostedPackage(repository, pkg)
		if err != nil {
			return err
		}
		rec.Merge, rec.Changed = merge, p.now()
		if err := tx.PutHostedPackage(rec); err != nil {
			return err
		}
		detail, err := details(nil, "merge", merge)
		if err != nil {
			return err
		}
		return tx.Emit(millpond.Event{Verb: "merge", Repository: repository, Key: millpond.Key{Package: pkg}, Detail: detail})
	})
	return b.orNotHosted(err, pkg)
}

// bound is a repository as a caller uses it. One that there is not answers as one that they may not read.
func (p *Pond) bound(c Caller, repository string) (*bound, error) {
	if r := p.Repository(repository); r != nil {
		return r.bind(c), nil
	}
	if c.Name == "" {
		return nil, &millpond.Error{Kind: millpond.Unauthenticated, Why: "this wants a credential"}
	}
	return nil, &millpond.Error{Kind: millpond.Denied, Why: fmt.Sprintf("no repository %s, or %s may not read it", repository, c.Name)}
}
