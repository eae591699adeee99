package repo

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/fetch"
	"millpond/format"
	"millpond/policy"
)

// A Repository is one configured repository.
type Repository struct {
	pond   *Pond
	config Config
	info   format.Info
	hosted *hosted
	layers []layer // upstreams and siblings, in order
	claims []*claim
	only   map[string][]*claim // of layers that may hear of some names alone, by layer: those names
	policy *policy.Policy      // the configuration's, in the spelling of the format; nil lets everything pass
	fills  []fill

	views    cache[viewKey, *view]
	shown    cache[viewKey, *shown]
	building builds
	hot      cache[millpond.Key, *hotFile]
	refs     cache[refKey, hotRef]
	// hostedChanges changes with what was published here, and has no value twice.
	hostedChanges atomic.Int64
	names         atomic.Pointer[nameCount]
	changes       changes
	shelf         shelf
	recorded      recorded
	sharing       shared
	// generations count the changes of packages, by a hash of the name: a view built meanwhile is not kept. heldChanges count
	// the changes of what is held of them, which only views of that depend on: of all that is shown nothing changes when a file
	// has come.
	generations, heldChanges [256]atomic.Uint64
	seed                     maphash.Seed
	said                     said
}

type fill struct {
	pattern policy.Pattern
	all     bool
	mode    Mode
}

// Weights of the memory caches, in bytes as estimated.
const (
	viewsWeight = 48 << 20
	hotWeight   = 24 << 20
)

func newRepository(p *Pond, c Config) (*Repository, error) {
	r := &Repository{pond: p, config: c, info: c.Format.Info(), seed: maphash.MakeSeed()}
	r.hosted = &hosted{r}
	r.changes.life = rand.Int64()
	r.hostedChanges.Store(p.now().UnixNano()) // no list of an earlier life is taken for one of this
	var err error
	if r.policy, err = c.Policy.For(c.Format); err != nil {
		return nil, fmt.Errorf("repository %s: %w", c.Name, err)
	}
	for _, text := range c.Claims {
		one, err := newClaim(r, text, "")
		if err != nil {
			return nil, fmt.Errorf("repository %s: %w", c.Name, err)
		}
		r.claims = append(r.claims, one)
	}
	for _, f := range c.Fill {
		one := fill{mode: f.Mode, all: f.Pattern == "" || f.Pattern == "*"}
		if !one.all {
			pattern, err := policy.ParsePattern(f.Pattern)
			if err != nil {
				return nil, fmt.Errorf("repository %s: fill %q: %w", c.Name, f.Pattern, err)
			}
			one.pattern = policy.CanonPattern(c.Format, pattern)
		}
		switch f.Mode {
		case Store, Redirect, Pass, CachedOnly:
		default:
			return nil, fmt.Errorf("repository %s: fill %q: not one of store, redirect, pass, cached-only", c.Name, f.Mode)
		}
		r.fills = append(r.fills, one)
	}
	if r.views, err = newCache(viewsWeight, viewKey.cacheKey, func(v *view) uint32 { return weigh(v.all) }); err != nil {
		return nil, err
	}
	if r.shown, err = newCache[viewKey, *shown](50_000, viewKey.cacheKey, nil); err != nil {
		return nil, err
	}
	if r.refs, err = newCache[refKey, hotRef](50_000, refKey.cacheKey, nil); err != nil {
		return nil, err
	}
	ofKey := func(k millpond.Key) cacheKey { return cacheKey{k.Package, k.Version, k.File} }
	r.hot, err = newCache(hotWeight, ofKey, func(f *hotFile) uint32 { return uint32(400 + len(f.body)) })
	return r, err
}

// weigh estimates the memory of a package.
func weigh(p *millpond.Package) uint32 {
	n := 500
	for i := range p.Versions {
		n += 250 + len(p.Versions[i].Meta) + 500*len(p.Versions[i].Files)
	}
	return uint32(min(n, 1<<30))
}

// connect gives the repository its layers, once all repositories exist.
func (r *Repository) connect(all map[string]*Repository) error {
	names := map[string]bool{}
	for _, u := range r.config.Upstreams {
		if u.Name == "" {
			u.Name = u.Sibling
		}
		if u.Name == "" && u.URL != nil {
			u.Name = u.URL.Hostname()
		}
		// Two upstreams of one host are told apart by number; a slash would be taken for a sibling's layer.
		u.Name = strings.ReplaceAll(u.Name, "/", "-")
		base := u.Name
		for n := 2; names[u.Name]; n++ {
			u.Name = fmt.Sprintf("%s-%d", base, n)
		}
		names[u.Name] = true
		l, err := r.layerFor(u, all)
		if err != nil {
			return fmt.Errorf("repository %s: upstream %s: %w", r.config.Name, u.Name, err)
		}
		r.layers = append(r.layers, l)
		for _, text := range u.Names {
			one, err := newClaim(r, text, "")
			if err != nil {
				return fmt.Errorf("repository %s: upstream %s: names: %w", r.config.Name, u.Name, err)
			}
			if r.only == nil {
				r.only = map[string][]*claim{}
			}
			r.only[u.Name] = append(r.only[u.Name], one)
		}
	}
	return nil
}

func (r *Repository) layerFor(u Upstream, all map[string]*Repository) (layer, error) {
	switch u.Merge {
	case "", "hide", "union":
	default:
		return nil, fmt.Errorf("merge is %q: not hide or union", u.Merge)
	}
	union := u.Merge == "union" || u.Merge == "" && r.config.Union
	if u.Sibling != "" {
		s := all[u.Sibling]
		switch {
		case s == nil:
			return nil, fmt.Errorf("there is no repository %s", u.Sibling)
		case s.info.Name != r.info.Name:
			return nil, fmt.Errorf("repository %s is of format %s, not %s", u.Sibling, s.info.Name, r.info.Name)
		}
		return &sibling{name: u.Name, repo: s, merge: u.Merge != "hide"}, nil
	}
	if u.URL == nil {
		return nil, errors.New("it has neither a URL nor a sibling's name")
	}
	if u.Username != "" || u.Password != "" || u.Token != "" || u.Netrc || len(u.Header) > 0 {
		for _, f := range r.fills {
			if f.mode == Redirect {
				return nil, errors.New("fill: redirect sends clients to an upstream that wants a credential, which they do not have; use store")
			}
		}
	}
	up, err := r.pond.fetch.Upstream(u.Settings)
	if err != nil {
		return nil, err
	}
	insider, ours := r.config.Format.(format.Insider)
	ours = ours && insider.Ours(func(name string) string {
		if v, ok := u.Options[name]; ok {
			return v
		}
		return r.option(name)
	})
	return &upstream{
		ours: ours, pond: r.pond, repo: r, format: r.config.Format, id: r.config.Name + "/" + u.Name, name: u.Name,
		settings: u.Settings, options: u.Options, up: up, merge: union, poll: u.Poll,
		flights: r.pond.flightsOf(r.config.Name + "/" + u.Name), corrupt: &failures{}, refresh: &failures{}, anew: &failures{},
	}, nil
}

// Config is what the repository was configured with.
func (r *Repository) Config() Config { return r.config }

// Upstreams tell how the repository's upstreams are, in order.
func (r *Repository) Upstreams() []fetch.State {
	states := make([]fetch.State, len(r.layers))
	for i, l := range r.layers {
		states[i] = l.state()
	}
	return states
}

func (r *Repository) layer(name string) layer {
	if name == "" {
		return r.hosted
	}
	for _, l := range r.layers {
		if l.layerName() == name {
			return l
		}
	}
	return nil
}

// layersFor are the layers below the hosted one that may hear of a name: a claimed one is nobody's business but ours, which
// upstreams that are our own share.
func (r *Repository) layersFor(name string) []layer {
	if !r.claimed(name) {
		return r.hearing(r.layers, name)
	}
	var ours []layer
	for _, l := range r.layers {
		_, below := l.(*sibling)
		if up, ok := l.(*upstream); below || ok && up.ours {
			ours = append(ours, l)
		}
	}
	return r.hearing(ours, name)
}

// all are the layers with the hosted one first.
func (r *Repository) all() []layer { return append([]layer{r.hosted}, r.layers...) }

// allFor are the layers that may hear of a name, with the hosted one first.
func (r *Repository) allFor(name string) []layer {
	return append([]layer{r.hosted}, r.layersFor(name)...)
}

func (r *Repository) mode(name string) Mode {
	for i := range r.fills {
		if r.fills[i].all || r.fills[i].pattern.Match(name) {
			return r.fills[i].mode
		}
	}
	return Store
}

func (r *Repository) option(name string) string {
	if v, ok := r.config.Options[name]; ok {
		return v
	}
	for _, o := range r.info.Options {
		if o.Name == name {
			return o.Default
		}
	}
	return ""
}

func (r *Repository) fresh() time.Duration {
	return firstPositive(r.config.Fresh, r.info.Fresh, 5*time.Minute)
}

func (r *Repository) absent() time.Duration {
	return firstPositive(r.config.Absent, r.info.Absent, time.Minute)
}

func firstPositive(ds ...time.Duration) time.Duration {
	for _, d := range ds {
		if d > 0 {
			return d
		}
	}
	return 0
}

func (r *Repository) generation(name string) uint64 {
	return r.generations[maphash.String(r.seed, name)%256].Load()
}

// generationOf is the generation of a view.
func (r *Repository) generationOf(k viewKey) uint64 {
	i := maphash.String(r.seed, k.name) % 256
	g := r.generations[i].Load()
	if k.held {
		g += r.heldChanges[i].Load()
	}
	return g
}

// forget drops what memory holds of a package, and returns the generation that begins.
func (r *Repository) forget(name string) uint64 {
	g := r.generations[maphash.String(r.seed, name)%256].Add(1)
	r.views.Invalidate(viewKey{name, false})
	r.shown.Invalidate(viewKey{name, false})
	r.views.Invalidate(viewKey{name, true})
	r.shown.Invalidate(viewKey{name, true})
	return g
}

// forgetHeld drops what memory holds of that part of a package that is held.
func (r *Repository) forgetHeld(name string) {
	r.heldChanges[maphash.String(r.seed, name)%256].Add(1)
	r.views.Invalidate(viewKey{name, true})
	r.shown.Invalidate(viewKey{name, true})
}

// unknown is the answer for a name that no layer may be asked about.
func (r *Repository) unknown(name string) error {
	if r.claimed(name) {
		return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name},
			Why:  fmt.Sprintf("%s is claimed by %s and nothing of that name is published here", name, r.config.Name),
			Hint: "publish it here; no upstream is asked for claimed names"}
	}
	if len(r.layers) > 0 {
		return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name},
			Why: fmt.Sprintf("%s has no %s, and none of its upstreams is to be asked about such a name", r.config.Name, name)}
	}
	return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name},
		Why: fmt.Sprintf("%s has no %s and reads through to no upstream", r.config.Name, name)}
}

// allDeleted is the answer for a name that was hosted here and of which nothing is left: it stays ours. Some clients take
// NotFound as leave to ask somebody else for it.
func (r *Repository) allDeleted(name string) error {
	return &millpond.Error{Kind: millpond.Gone, Key: millpond.Key{Package: name},
		Why:  fmt.Sprintf("everything of %s that was published in %s was deleted", name, r.config.Name),
		Hint: "no upstream is asked for a name that was hosted here, until an owner frees it: millpond merge " + r.config.Name + " " + name + " union"}
}

// unfinished is the answer for a name of which parts are here, and no version yet.
func (r *Repository) unfinished(name string) error {
	return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name},
		Why: fmt.Sprintf("no version of %s is published in %s: parts of one have come, and wait for the rest", name, r.config.Name)}
}

// notFound is the answer for a name that every layer has said it does not have.
func (r *Repository) notFound(name string, last error) error {
	if millpond.Is(last, millpond.Gone) {
		return last
	}
	names := make([]string, len(r.layers))
	for i, l := range r.layers {
		names[i] = l.layerName()
	}
	return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name},
		Why: fmt.Sprintf("no %s in %s", name, strings.Join(names, " or ")), Err: last}
}
