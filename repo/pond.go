package repo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/catalog"
	"millpond/fetch"
)

// byPond is who makes the changes that nobody asked for.
var byPond = millpond.Actor{Name: "pond"}

var errClosing = &millpond.Error{Kind: millpond.BadUpstream, Why: "the pond is being stopped", Hint: "ask again in a moment"}

// A Pond is all repositories of one process.
type Pond struct {
	blobs    blob.Store
	catalog  catalog.Catalog
	secrets  Secrets
	fetch    *fetch.Engine
	log      *slog.Logger
	clock    func() time.Time
	instance string

	state       atomic.Pointer[state]
	takedowns   atomic.Pointer[takedownTable]
	rereading   atomic.Bool   // takedowns are read once a second, until they can be
	takenUp     chan struct{} // closed, by takenUpOnce, when takedowns is set for the first time
	takenUpOnce sync.Once
	showing     sync.Mutex // held from a reading of claims until all see it, so that an older reading never replaces a newer one
	downing     sync.Mutex // the same of takedowns

	derived  cache[derivedKey, *derived]
	stamps   cache[string, time.Time] // since when readers see what a stamp stands for
	deriving derivations
	loose    loose

	life    context.Context // ends with Close
	end     context.CancelFunc
	work    sync.WaitGroup
	naming  sync.RWMutex // held for reading from the look at a blob until a record names it, and for writing while a sweep looks again and deletes
	mu      sync.Mutex   // guards closed, flights and uses; never held across I/O
	closed  bool
	flights map[string]*flights // by layer: they outlive a change of the configuration
	uses    map[millpond.Digest]catalog.Use

	fills   chan struct{} // a place for each fill that nobody waits for
	benches chan struct{} // a place for each program that a Source runs
	heavy   chan struct{} // a place for each file that takes much memory to judge
	scratch string        // see Parts
	lowDisk atomic.Bool
	polls   atomic.Bool  // Poll and Reverify are running
	looked  atomic.Int64 // when the disk was last looked at, in unix seconds

	doubting sync.Mutex // held while the list of a package's unverified files is changed

	inspections inspections
	jobs        jobs
	closing     chan struct{} // closed when Close begins
}

// A state is one configuration; requests under way finish with the one they began with.
type state struct {
	settings     Settings
	repositories []*Repository
	byName       map[string]*Repository
	claims       atomic.Pointer[claimTable]
}

// New opens a pond. The caller closes it, and after it the parts.
func New(ctx context.Context, parts Parts) (*Pond, error) {
	p := &Pond{
		blobs: parts.Blobs, catalog: parts.Catalog, secrets: parts.Secrets, fetch: parts.Fetch, log: parts.Log, clock: parts.Now,
		flights:  map[string]*flights{},
		uses:     map[millpond.Digest]catalog.Use{},
		fills:    make(chan struct{}, 4),
		benches:  make(chan struct{}, runtime.GOMAXPROCS(0)),
		heavy:    make(chan struct{}, runtime.GOMAXPROCS(0)),
		scratch:  parts.Scratch,
		closing:  make(chan struct{}),
		takenUp:  make(chan struct{}),
		deriving: derivations{running: map[derivedKey]*derivation{}, large: make(chan struct{}, 2)},
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.clock == nil {
		p.clock = time.Now
	}
	var err error
	if p.derived, err = newCache(hotWeight, derivedKey.cacheKey, func(d *derived) uint32 { return uint32(500 + len(d.body)) }); err != nil {
		return nil, err
	}
	if p.stamps, err = newCache[string, time.Time](10_000, func(stamp string) cacheKey { return cacheKey{stamp} }, nil); err != nil {
		return nil, err
	}
	if p.loose, err = newLoose(); err != nil {
		return nil, err
	}
	if p.instance, err = p.identify(ctx); err != nil {
		return nil, err
	}
	if p.fetch != nil {
		p.fetch.Instance = p.instance
	}
	if err := p.takeUp(ctx); err != nil {
		return nil, err
	}
	if err := p.takeUpJobs(ctx); err != nil {
		return nil, err
	}
	p.life, p.end = context.WithCancel(context.WithoutCancel(ctx))
	p.state.Store(&state{byName: map[string]*Repository{}})
	if err := p.firstTakedowns(ctx); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

// identify returns the pond's id; the first start makes it.
func (p *Pond) identify(ctx context.Context) (string, error) {
	var id string
	read := func(tx catalog.Tx) error {
		raw, err := tx.Setting("instance")
		if err != nil || raw == nil {
			return err
		}
		return json.Unmarshal(raw, &id)
	}
	if err := p.catalog.View(ctx, read); err != nil || id != "" {
		return id, err
	}
	random := make([]byte, 8)
	rand.Read(random) // never fails
	return hex.EncodeToString(random), p.catalog.Update(ctx, byPond, func(tx catalog.Tx) error {
		if err := read(tx); err != nil {
			return err
		}
		raw, err := json.Marshal(hex.EncodeToString(random))
		if err != nil {
			return err
		}
		return tx.SetSetting("instance", raw)
	})
}

// Configure replaces the settings and all repositories at once. If any of them cannot be, nothing changes and the error
// names the setting. Requests under way finish with what they began with.
func (p *Pond) Configure(ctx context.Context, s Settings, repositories []Config) error {
	next, err := p.arrange(s, repositories)
	if err != nil {
		return err
	}
	p.showing.Lock()
	defer p.showing.Unlock()
	if err := p.loadClaims(ctx, next); err != nil {
		return err
	}
	p.state.Store(next)
	return nil
}

// CheckConfigs is the error with which Configure would refuse repositories for what is configured of them, before there is a pond.
func CheckConfigs(s Settings, repositories []Config) error {
	p := &Pond{fetch: &fetch.Engine{}, clock: time.Now, flights: map[string]*flights{}}
	_, err := p.arrange(s, repositories)
	return err
}

// arrange makes the repositories of a configuration.
func (p *Pond) arrange(s Settings, repositories []Config) (*state, error) {
	if s.PublicURL != "" {
		if u, err := url.Parse(s.PublicURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("public_url %q is not an http or https address", s.PublicURL)
		}
	}
	next := &state{settings: s, byName: map[string]*Repository{}}
	for _, c := range repositories {
		if next.byName[c.Name] != nil {
			return nil, fmt.Errorf("two repositories are called %s", c.Name)
		}
		r, err := newRepository(p, c)
		if err != nil {
			return nil, err
		}
		next.repositories = append(next.repositories, r)
		next.byName[c.Name] = r
	}
	for _, r := range next.repositories {
		if err := r.connect(next.byName); err != nil {
			return nil, err
		}
	}
	if err := checkRings(next.repositories); err != nil {
		return nil, err
	}
	return next, nil
}

func (p *Pond) settings() Settings { return p.state.Load().settings }
func (p *Pond) offline() bool      { return p.state.Load().settings.Offline }
func (p *Pond) now() time.Time     { return p.clock() }

// Repositories are in the order of the configuration.
func (p *Pond) Repositories() []*Repository { return p.state.Load().repositories }

// Repository returns the repository of that name, or nil.
func (p *Pond) Repository(name string) *Repository { return p.state.Load().byName[name] }

// Instance is this pond's id, made at its first start, by which it knows itself when an upstream turns out to be it.
func (p *Pond) Instance() string { return p.instance }

// flightsOf are the inquiries under way to a layer, shared by all configurations that have it.
func (p *Pond) flightsOf(layer string) *flights {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flights[layer] == nil {
		p.flights[layer] = &flights{}
	}
	return p.flights[layer]
}

// goes runs f in a goroutine that belongs to the pond. It reports false, and runs nothing, once the pond is being closed. If f
// panics, that is said in the log.
func (p *Pond) goes(f func(context.Context)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.work.Go(func() {
		defer func() {
			if cause := recover(); cause != nil {
				p.log.ErrorContext(p.life, "work of the pond's own panicked", "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			}
		}()
		f(p.life)
	})
	return true
}

// ahead runs f if one of the few places for work that nobody waits for is free, and drops it otherwise.
func (p *Pond) ahead(f func(context.Context)) {
	select {
	case p.fills <- struct{}{}:
	default:
		return
	}
	if !p.goes(func(ctx context.Context) {
		defer func() { <-p.fills }()
		f(ctx)
	}) {
		<-p.fills
	}
}

// Idle waits until no fill runs that nobody waits for.
func (p *Pond) Idle(ctx context.Context) error {
	taken := 0
	defer func() {
		for range taken {
			<-p.fills
		}
	}()
	for taken < cap(p.fills) {
		select {
		case p.fills <- struct{}{}:
			taken++
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Close waits until what the pond does has ended, or ctx has: downloads that are left over resume when they are next asked
// for, also by the next pond on the same parts.
func (p *Pond) Close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.closing)
	}
	p.mu.Unlock()
	var err error
	if p.fetch != nil {
		err = p.fetch.Close(ctx)
	}
	done := make(chan struct{})
	go func() { p.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	p.end()
	<-done // everything of the pond's own ends with its context
	if p.fetch != nil {
		p.leave(context.WithoutCancel(ctx))
	}
	ctx = context.WithoutCancel(ctx)
	return firstError(err, p.flushUses(ctx), p.unmark(ctx))
}

// event records a change that the pond itself saw. It is logged where it cannot be recorded.
func (p *Pond) event(ctx context.Context, e millpond.Event) {
	p.log.WarnContext(ctx, "event", "verb", e.Verb, "repository", e.Repository, "layer", e.Layer, "key", e.Key.String(), "detail", string(e.Detail))
	if err := p.catalog.Update(ctx, byPond, func(tx catalog.Tx) error { return tx.Emit(e) }); err != nil {
		p.log.ErrorContext(ctx, "cannot record an event", "verb", e.Verb, "key", e.Key.String(), "error", err)
	}
}

// forgetViews drops what memory holds of a package, in every repository.
func (p *Pond) forgetViews(name string) {
	for _, r := range p.Repositories() {
		r.forget(name)
	}
}

// forgetViewsIn is forgetViews, and returns the generation that begins in one repository.
func (p *Pond) forgetViewsIn(r *Repository, name string) uint64 {
	var g uint64
	for _, one := range p.Repositories() {
		if of := one.forget(name); one == r {
			g = of
		}
	}
	return g
}

// forgetAll drops what memory holds of every package: what readers may see has changed as a whole.
func (p *Pond) forgetAll() {
	for _, r := range p.Repositories() {
		for i := range r.generations {
			r.generations[i].Add(1)
		}
		r.views.InvalidateAll()
		r.shown.InvalidateAll()
		r.hot.InvalidateAll()
		r.hostedChanges.Add(1)
		r.changes.all()
	}
}

// forgetHeld drops what memory holds of that part of a package that is held, in every repository.
func (p *Pond) forgetHeld(name string) {
	for _, r := range p.Repositories() {
		r.forgetHeld(name)
	}
}

// forgetBlob drops what memory holds under a digest.
func (p *Pond) forgetBlob(d millpond.Digest) {
	for _, r := range p.Repositories() {
		for k, v := range r.views.All() {
			if slices.ContainsFunc(v.all.Parts, func(one millpond.Part) bool { return one.Document == d }) {
				r.forget(k.name)
			}
		}
		for k, f := range r.hot.All() {
			if f.content.Digest == d {
				r.hot.Invalidate(k)
			}
		}
	}
	for k, x := range p.derived.All() {
		if x.content.Digest == d {
			p.derived.Invalidate(k)
		}
	}
}

func (p *Pond) setAside(ctx context.Context, d millpond.Digest) error {
	if a, ok := p.blobs.(blob.Aside); ok {
		return a.SetAside(ctx, d)
	}
	return p.blobs.Delete(ctx, d)
}
