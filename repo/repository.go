package repo

import (
	"context"
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

	"github.com/maypok86/otter/v2"
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

	views    *otter.Cache[viewKey, *view]
	shown    *otter.Cache[viewKey, *shown]
	building builds
	hot      *otter.Cache[millpond.Key, *hotFile]
	refs     *otter.Cache[refKey, hotRef]
	// hostedChanges changes with what was published here, and has no value twice.
	hostedChanges atomic.Int64
	changes       changes
	recorded      recorded
	sharing       shared
	// generations count the changes of packages, by a hash of the name: a view built meanwhile is not kept.
	generations [256]atomic.Uint64
	seed        maphash.Seed
	said        said
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
	if r.views, err = otter.New(&otter.Options[viewKey, *view]{
		MaximumWeight: viewsWeight, Weigher: func(_ viewKey, v *view) uint32 { return weigh(v.all) },
	}); err != nil {
		return nil, err
	}
	if r.shown, err = otter.New(&otter.Options[viewKey, *shown]{MaximumSize: 50_000}); err != nil {
		return nil, err
	}
	if r.refs, err = otter.New(&otter.Options[refKey, hotRef]{MaximumSize: 50_000}); err != nil {
		return nil, err
	}
	r.hot, err = otter.New(&otter.Options[millpond.Key, *hotFile]{
		MaximumWeight: hotWeight, Weigher: func(_ millpond.Key, f *hotFile) uint32 { return uint32(400 + len(f.body)) },
	})
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
		settings: u.Settings, options: u.Options, up: up, merge: union,
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
	r.generations[maphash.String(r.seed, name)%256].Add(1)
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
		Hint: "no upstream is asked for a name that was hosted here, until an owner frees it"}
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

// For is the repository as one caller may use it.
func (r *Repository) For(c Caller) format.Repo { return r.bind(c) }

func (r *Repository) bind(c Caller) *bound {
	b := &bound{Repository: r, caller: c, Accounts: c.Accounts}
	if b.Accounts == nil {
		b.Accounts = noAccounts{c.Actor}
	}
	return b
}

// A bound is a repository as one caller uses it.
type bound struct {
	*Repository
	format.Accounts
	caller   Caller
	heldOnly bool
}

func (b *bound) scope(s scope) scope {
	if b.heldOnly || b.pond.offline() {
		return held
	}
	return s
}

// Held implements format.Reader.
func (b *bound) Held() format.Repo {
	h := *b
	h.heldOnly = true
	return &h
}

// Package implements format.Reader.
func (b *bound) Package(ctx context.Context, name string) (*millpond.Package, error) {
	TraceOf(ctx).Package = name
	if err := b.readable(name); err != nil {
		return nil, err
	}
	if err := b.nameVerdict(name); err != nil {
		return nil, err
	}
	v, err := b.view(ctx, name, b.scope(fresh))
	if err != nil {
		return nil, err
	}
	return v.pkg, nil
}

// Refresh implements format.Reader.
func (b *bound) Refresh(ctx context.Context, name string) error {
	if err := b.readable(name); err != nil {
		return err
	}
	if err := b.nameVerdict(name); err != nil || b.scope(fresh) == held {
		return err
	}
	below, err := b.below(ctx, name)
	if err != nil {
		return err
	}
	for _, l := range below {
		// What an upstream answers is in the records, or is asked for again by whoever reads on.
		if _, err := l.again(ctx, name); err != nil && ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// Stamp implements format.Reader.
func (b *bound) Stamp(ctx context.Context, name string) (string, time.Time, error) {
	if err := b.readable(name); err != nil {
		return "", time.Time{}, err
	}
	if name == "" {
		return b.namesStamp(ctx)
	}
	TraceOf(ctx).Package = name
	if err := b.nameVerdict(name); err != nil {
		return "", time.Time{}, err
	}
	v, err := b.glance(ctx, name, b.scope(fresh))
	if err != nil {
		return "", time.Time{}, err
	}
	b.pond.stamps.Set(v.stamp, v.modify)
	return v.stamp, v.fresh, nil
}

// nameVerdict is the rules' word where the name alone decides it.
func (r *Repository) nameVerdict(name string) error {
	return blocked(millpond.Key{Package: name}, r.policy.NameOnly(r.pond.now(), name))
}

// blocked is a verdict as the error a client gets; nil if it lets the file through.
func blocked(k millpond.Key, v millpond.Verdict) error {
	switch v.Opinion {
	case millpond.Deny, millpond.Hold:
		return &millpond.Error{Kind: millpond.Blocked, Key: k, Why: v.Why, After: v.After}
	case millpond.Need:
		return &millpond.Error{Kind: millpond.Blocked, Key: k, Why: v.Why,
			Hint: "a rule needs to know more of it than its upstream says; what cannot be judged is refused"}
	}
	return nil
}

// Kept implements format.Reader.
func (b *bound) Kept(ctx context.Context, p millpond.Part) (*format.Document, error) {
	d, err := b.pond.kept(ctx, p.Document)
	if millpond.Is(err, millpond.NotFound) && !p.Document.IsZero() {
		// Its listing is here, and says that there is such a package.
		if e := b.pond.spare(ctx, "a lost document", b.pond.catalog.LoseBlob(ctx, p.Document)); e != nil {
			return nil, e
		}
		b.pond.forgetBlob(p.Document)
		err = lostDocument(err)
	}
	if err != nil {
		return nil, err
	}
	d.Layer = p.Layer
	return d, nil
}

// Ref implements format.Reader.
func (b *bound) Ref(ctx context.Context, pkg, name string) (millpond.Ref, error) {
	TraceOf(ctx).Package, TraceOf(ctx).Version = pkg, name
	if err := b.readable(pkg); err != nil {
		return millpond.Ref{}, err
	}
	if err := b.nameVerdict(pkg); err != nil {
		return millpond.Ref{}, err
	}
	if t := b.takenDown(pkg, ""); t != nil {
		return millpond.Ref{}, t.blocked(millpond.Key{Package: pkg})
	}
	if ref, ok := b.refFromMemory(ctx, pkg, name); ok {
		if t := b.takenDown(pkg, ref.Target); t != nil {
			return millpond.Ref{}, t.blocked(millpond.Key{Package: pkg, Version: ref.Target})
		}
		return ref, nil
	}
	of := b.generation(pkg)
	h, err := b.hosted.record(ctx, pkg)
	if err != nil {
		return millpond.Ref{}, err
	}
	layers, err := b.below(ctx, pkg)
	if err != nil {
		return millpond.Ref{}, err
	}
	if h != nil {
		layers = append([]layer{b.hosted}, layers...)
	}
	if len(layers) == 0 {
		return millpond.Ref{}, b.unknown(pkg)
	}
	var last error
	for _, l := range layers {
		ref, err := l.ref(ctx, pkg, name, b.scope(fresh) != held)
		if millpond.Is(err, millpond.NotFound) || millpond.Is(err, millpond.Unsupported) {
			last = err
			continue
		}
		if err != nil {
			return millpond.Ref{}, err
		}
		if t := b.takenDown(pkg, ref.Target); t != nil {
			return millpond.Ref{}, t.blocked(millpond.Key{Package: pkg, Version: ref.Target})
		}
		b.refToMemory(l, pkg, ref, of)
		err = b.judge(ctx, l, millpond.Key{Package: pkg, Version: ref.Target}, nil, b.scope(known))
		if up, ok := l.(*upstream); ok && millpond.Is(err, millpond.Blocked) && b.info.Previous != nil && b.info.Previous(b.option) {
			return b.formerRef(ctx, up, pkg, ref, err)
		}
		return ref, err
	}
	return millpond.Ref{}, firstError(b.nothingLeft(ctx, pkg), last)
}

// formerRef is a ref with the last target before the one it has that may be read; why is the answer if there is none.
func (b *bound) formerRef(ctx context.Context, l *upstream, pkg string, ref millpond.Ref, why error) (millpond.Ref, error) {
	before, err := l.former(ctx, pkg, ref.Name)
	if err != nil {
		return ref, err
	}
	for _, target := range before {
		if b.takenDown(pkg, target) != nil || b.judge(ctx, l, millpond.Key{Package: pkg, Version: target}, nil, b.scope(known)) != nil {
			continue
		}
		ref.Target = target
		return ref, nil
	}
	return ref, why
}

// nothingLeft says that there were versions of a package, and that all were deleted or taken down; nil if that is not so, or
// not known.
func (b *bound) nothingLeft(ctx context.Context, pkg string) error {
	v, err := b.view(ctx, pkg, b.scope(known))
	switch {
	case millpond.Is(err, millpond.Gone):
		return err
	case err != nil || len(v.down) == 0 || len(v.pkg.Versions) > 0:
		return nil
	}
	for _, one := range v.all.Versions {
		if v.down[one.Name] == nil {
			return nil
		}
	}
	return &millpond.Error{Kind: millpond.Gone, Key: millpond.Key{Package: pkg}, Why: fmt.Sprintf("all versions of %s were taken down: %s", pkg, v.down[v.all.Versions[0].Name].Why)}
}

// Document implements format.Reader.
func (b *bound) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	t := TraceOf(ctx)
	t.Package, t.Version, t.File = k.Package, k.Version, k.File
	if err := b.readable(k.Package); err != nil {
		return nil, err
	}
	if err := b.nameVerdict(k.Package); err != nil {
		return nil, err
	}
	layers, err := b.below(ctx, k.Package)
	if err != nil {
		return nil, err
	}
	if k.Version != "" {
		// A version's documents come from the layer that has the version.
		v, err := b.view(ctx, k.Package, b.scope(known))
		if err != nil {
			return nil, err
		}
		if v.all.Blocked != "" {
			return nil, &millpond.Error{Kind: millpond.Blocked, Key: k, Why: v.all.Blocked}
		}
		version := v.all.Version(k.Version)
		if version == nil {
			return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("no version %s of %s", k.Version, k.Package)}
		}
		if err := v.verdict(k); err != nil {
			return nil, err
		}
		layers = []layer{b.layer(layerOf(version.Layer))}
	}
	if len(layers) == 0 {
		if h, err := b.hosted.record(ctx, k.Package); err != nil || h != nil {
			return nil, firstError(err, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s hosts no further document of %s", b.config.Name, k.Package)})
		}
		return nil, b.unknown(k.Package)
	}
	var last error
	for _, l := range layers {
		d, err := l.document(ctx, k, b.scope(fresh) != held)
		if err == nil {
			return d, nil
		}
		if last = err; !millpond.Is(err, millpond.NotFound) {
			break
		}
	}
	return nil, last
}

// verdict is what takedowns and then the rules say of a version, or of a file of it.
func (v *view) verdict(k millpond.Key) error {
	if t := v.down[k.Version]; t != nil {
		return t.blocked(k)
	}
	if v.judged == nil {
		return nil
	}
	if k.File != "" {
		if f := v.all.Version(k.Version); f != nil && f.File(k.File) != nil {
			return blocked(k, v.judged.File(k.Version, k.File))
		}
	}
	return blocked(k, v.judged.Version(k.Version))
}
