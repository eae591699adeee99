package repo

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/policy"
)

// A scope is how much of a repository is looked at.
type scope int

const (
	fresh scope = iota // upstreams are asked for what is no longer fresh
	known              // upstreams are asked for what was never known
	held               // nobody is asked, and only what is held here is seen
)

// A view is a package as its readers may see it, and what it was made of.
type view struct {
	*shown
	pkg    *millpond.Package // what readers see
	all    *millpond.Package // before the rules: what exists
	judged *policy.Judgement // nil if no rule had an opinion
	down   map[string]*Takedown
	cut    map[string]map[string]*Takedown // files of versions of which others stay
	bumps  []uint64                        // the generations that began when listings came in which this was built from
	once   sync.Once
	index  map[string]place // file name to place in all; made once, when asked for
}

// A shown is what is known of a view without its records: enough to answer with a document that was derived from it, and
// to know whether a verdict still stands. It is small, and outlives the records in memory.
type shown struct {
	stamp  string
	built  time.Time
	modify time.Time // since when readers see this
	fresh  time.Time // until when no upstream needs asking
	until  time.Time // until when the verdicts stand; zero is for ever
	stale  error     // why a layer's word is old
	check  time.Time // of the oldest layer's word
	anew   time.Time // when this was made for a reader who wants nothing old; zero if it was not
	of     uint64    // the generation that this is of: see generationOf
}

type place struct{ version, file int }

// good reports whether the view may be shown at that time.
func (v *shown) good(now time.Time, s scope) bool {
	if !v.until.IsZero() && !now.Before(v.until) || v.built.After(now.Add(leap)) {
		return false
	}
	return s != fresh || now.Before(v.fresh)
}

// old reports whether the view rests on an old word, for a reader who wants nothing old, and was not made for such a reader a
// moment ago: it is made again then, which asks the upstreams if they were not asked lately.
func (v *shown) old(now time.Time) bool { return now.Sub(v.check) > young && now.Sub(v.anew) > young }

type viewKey struct {
	name string
	held bool
}

func (k viewKey) cacheKey() cacheKey {
	if k.held {
		return cacheKey{k.name, "held"}
	}
	return cacheKey{k.name}
}

// view returns the package as the repository shows it.
func (r *Repository) view(ctx context.Context, name string, s scope) (*view, error) {
	if r.pond.offline() {
		s = held
	}
	key := viewKey{name, s == held}
	anew := s == fresh && TraceOf(ctx).Anew
	for {
		if v, ok := r.views.GetIfPresent(key); ok && v.good(r.pond.now(), s) && v.of == r.generationOf(key) && !(anew && v.old(r.pond.now())) {
			v.trace(ctx)
			return v, nil
		}
		v, err := r.building.do(ctx, buildKey{key, s, anew, r.generationOf(key)}, func() (*view, error) { return r.buildAndKeep(ctx, key, s) })
		if millpond.Is(err, millpond.Canceled) && ctx.Err() == nil {
			continue // the reader who built it for all who waited has left
		}
		if err != nil {
			return nil, err
		}
		v.trace(ctx)
		return v, nil
	}
}

// glance is what is known of the view, from memory if it is there.
func (r *Repository) glance(ctx context.Context, name string, s scope) (*shown, error) {
	if r.pond.offline() {
		s = held
	}
	anew := s == fresh && TraceOf(ctx).Anew
	key := viewKey{name, s == held}
	if v, ok := r.shown.GetIfPresent(key); ok && v.good(r.pond.now(), s) && v.of == r.generationOf(key) && !(anew && v.old(r.pond.now())) {
		v.trace(ctx)
		return v, nil
	}
	v, err := r.view(ctx, name, s)
	if err != nil {
		return nil, err
	}
	return v.shown, nil
}

func (r *Repository) buildAndKeep(ctx context.Context, key viewKey, s scope) (*view, error) {
	// The generation is read before the layers are: a change meanwhile makes this view one not to keep.
	generation := r.generationOf(key)
	v, err := r.build(ctx, key.name, s)
	if err != nil {
		return nil, err
	}
	now := r.generationOf(key)
	if v.of = generation; v.made(generation, now) {
		v.of = now
		r.views.Set(key, v)
		r.shown.Set(key, v.shown)
	}
	return v, nil
}

// made reports whether nothing has changed between two generations but what this view was built from.
func (v *view) made(from, to uint64) bool {
	own := uint64(0)
	for _, g := range v.bumps {
		if g > from && g <= to {
			own++
		}
	}
	return own == to-from
}

type buildKey struct {
	viewKey
	scope      scope
	anew       bool
	generation uint64 // who asks after a change does not get what was begun before it
}

// builds lets one reader build a view while others who want the same wait for it.
type builds struct {
	mu      sync.Mutex // guards running; never held while building
	running map[buildKey]*building
}

type building struct {
	done  chan struct{}
	v     *view
	err   error
	broke bool // err is that who builds may not ask an upstream now, which says nothing of others
}

func (b *builds) do(ctx context.Context, k buildKey, build func() (*view, error)) (*view, error) {
	t := TraceOf(ctx)
	b.mu.Lock()
	for one := b.running[k]; one != nil; one = b.running[k] {
		b.mu.Unlock()
		select {
		case <-one.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !one.broke || t.broke {
			return one.v, one.err
		}
		b.mu.Lock()
	}
	one := &building{done: make(chan struct{}), err: errClosing}
	if b.running == nil {
		b.running = map[buildKey]*building{}
	}
	b.running[k] = one
	b.mu.Unlock()
	defer func() { // also when building panics: nobody may wait for ever
		b.mu.Lock()
		delete(b.running, k)
		b.mu.Unlock()
		close(one.done)
	}()
	one.v, one.err = build()
	one.broke = one.err != nil && t.broke
	return one.v, one.err
}

// trace notes how good the view is that a request was answered from.
func (v *shown) trace(ctx context.Context) {
	t := TraceOf(ctx)
	if v.stale != nil {
		t.Result, t.Checked = "stale", v.check
	} else if t.Result == "" {
		t.Result = "hit"
	}
}

// build asks the layers, merges what they say and applies the rules.
func (r *Repository) build(ctx context.Context, name string, s scope) (*view, error) {
	v := &view{shown: &shown{built: r.pond.now()}}
	if TraceOf(ctx).Anew {
		v.anew = v.built
	}
	merged, id, err := r.merge(ctx, name, s, v)
	if err != nil {
		return nil, err
	}
	if s == held {
		if err := r.onlyHeld(ctx, merged, id); err != nil {
			return nil, err
		}
	}
	now := r.pond.now()
	v.all = merged
	v.pkg = merged
	if r.policy != nil {
		if v.all, err = r.described(ctx, merged, s); err != nil {
			return nil, err
		}
		v.judged = r.policy.Judge(now, r.config.Format, v.all)
		v.pkg = v.judged.View(v.all)
		v.until = v.judged.Until()
		fmt.Fprintf(id, "policy %s\n", r.policy.ID())
		if v.pkg != v.all {
			// Of a package with one version nothing may be left to tell that something is hidden.
			fmt.Fprintf(id, "shown %d\n", len(v.pkg.Versions))
			for i := range v.pkg.Versions {
				fmt.Fprintf(id, "shows %s\n", v.pkg.Versions[i].Name)
				for j := range v.pkg.Versions[i].Files {
					fmt.Fprintln(id, v.pkg.Versions[i].Files[j].Name)
				}
			}
		}
	}
	v.pkg = withoutVanished(v.pkg, r.info.HeldListed)
	r.takeOut(v, id)
	v.stamp = hex.EncodeToString(id.Sum(nil)[:16])
	stamped := *v.pkg
	stamped.Stamp, stamped.Fresh = v.stamp, v.fresh
	v.pkg = &stamped
	v.modify, err = r.since(ctx, name, s, v.stamp)
	return v, err
}

// takeOut leaves out of a view what was taken down.
func (r *Repository) takeOut(v *view, id hash.Hash) {
	for i := range v.all.Versions {
		name := v.all.Versions[i].Name
		t, files := r.takenDownFiles(v.all.Name, &v.all.Versions[i])
		if t == nil {
			for j := range v.all.Versions[i].Files {
				f := &v.all.Versions[i].Files[j]
				if t = r.pond.takenDownBytes(append(slices.Clone(f.Digests), f.Blob)...); t != nil {
					break
				}
			}
		}
		if t == nil && files != nil {
			if v.cut == nil {
				v.cut = map[string]map[string]*Takedown{}
			}
			v.cut[name] = files
			for _, file := range slices.Sorted(maps.Keys(files)) {
				fmt.Fprintf(id, "down %s %s %s\n", files[file].ID, name, file)
			}
		}
		if t == nil {
			continue
		}
		if v.down == nil {
			v.down = map[string]*Takedown{}
		}
		v.down[name] = t
		fmt.Fprintf(id, "down %s %s\n", t.ID, name)
	}
	if v.down == nil && v.cut == nil {
		return
	}
	out := *v.pkg
	out.Versions, out.Hidden = nil, slices.Clone(v.pkg.Hidden)
	for _, one := range v.pkg.Versions {
		if t := v.down[one.Name]; t != nil {
			out.Hidden = append(out.Hidden, millpond.Hidden{Version: one, Why: t.words(), Taken: true})
			continue
		}
		if files := v.cut[one.Name]; files != nil {
			one.Files = slices.DeleteFunc(slices.Clone(one.Files), func(f millpond.File) bool { return files[f.Name] != nil })
		}
		out.Versions = append(out.Versions, one)
	}
	v.pkg = &out
}

// onlyHeld leaves of a package what can be served without asking anybody.
func (r *Repository) onlyHeld(ctx context.Context, p *millpond.Package, id hash.Hash) error {
	holds := map[string]map[[2]string]bool{}
	for _, l := range r.all() {
		h, err := l.holds(ctx, p.Name)
		if err != nil {
			return err
		}
		holds[l.layerName()] = h
	}
	kept := p.Versions[:0:0]
	for _, v := range p.Versions {
		of := holds[layerOf(v.Layer)]
		if len(v.Files) == 0 { // a format that lists no files
			for k := range of {
				if k[0] == v.Name && r.isMain(k) {
					kept = append(kept, v)
					fmt.Fprintf(id, "has %s\n", v.Name)
					break
				}
			}
			continue
		}
		files := v.Files[:0:0]
		for _, f := range v.Files {
			if of[[2]string{v.Name, f.Name}] {
				files = append(files, f)
				fmt.Fprintf(id, "has %s %s\n", v.Name, f.Name)
			}
		}
		if v.Files = files; len(files) > 0 {
			kept = append(kept, v)
		}
	}
	p.Versions = kept
	return nil
}

// isMain reports whether a version is held when this file of it is.
func (r *Repository) isMain(versionAndFile [2]string) bool {
	return r.info.Main == nil || r.info.Main(versionAndFile[0]) == versionAndFile[1]
}

// layerOf is the repository's own layer in the name of a version's layer.
func layerOf(name string) string {
	first, _, _ := strings.Cut(name, "/")
	return first
}

// withoutVanished leaves out what its upstream lists no more: it can be opened, yet nobody is led to it. Formats that keep
// held versions in their lists keep vanished ones too.
func withoutVanished(p *millpond.Package, heldListed bool) *millpond.Package {
	gone := func(f millpond.File) bool { return f.Vanished }
	if heldListed || !slices.ContainsFunc(p.Versions, func(v millpond.Version) bool { return slices.ContainsFunc(v.Files, gone) }) {
		return p
	}
	out := *p
	out.Versions = nil
	for _, v := range p.Versions {
		if slices.ContainsFunc(v.Files, gone) {
			if v.Files = slices.DeleteFunc(slices.Clone(v.Files), gone); len(v.Files) == 0 {
				continue
			}
		}
		out.Versions = append(out.Versions, v)
	}
	return &out
}

// described fetches the facts that rules miss in a listing.
func (r *Repository) described(ctx context.Context, p *millpond.Package, s scope) (*millpond.Package, error) {
	var needs []string
	for version, fact := range r.policy.Judge(r.pond.now(), r.config.Format, p).Needs() {
		if fact == millpond.Description {
			needs = append(needs, version)
		}
	}
	if len(needs) == 0 {
		return p, nil
	}
	out := *p
	out.Versions = slices.Clone(p.Versions)
	index := make(map[string]int, len(p.Versions))
	for i := range p.Versions {
		index[p.Versions[i].Name] = i
	}
	began := time.Now()
	defer func() { TraceOf(ctx).Upstream += time.Since(began) }()
	err := parallel(ctx, 8, needs, func(ctx context.Context, version string) error {
		ctx = WithTrace(ctx, new(Trace)) // they run side by side, and a trace is of one request
		i, ok := index[version]
		if !ok {
			return nil
		}
		if v, err := r.describe(ctx, p.Name, &p.Versions[i], s); err == nil {
			out.Versions[i] = *v // nobody else's; the others read p
		}
		return nil // a fact that cannot be had is a denial, which the rule says itself
	})
	return &out, err
}

// describe completes one version by its layer's word.
func (r *Repository) describe(ctx context.Context, pkg string, v *millpond.Version, s scope) (*millpond.Version, error) {
	l := r.layer(layerOf(v.Layer))
	if l == nil {
		return nil, fmt.Errorf("version %s of %s is of a layer that is gone: %s", v.Name, pkg, v.Layer)
	}
	d, err := l.describe(ctx, pkg, v.Name, s != held)
	if err != nil {
		return nil, err
	}
	full := *v
	full.Partial, full.Published = false, d.Published
	if full.Licence == "" {
		full.Licence = d.Licence
	}
	if len(full.Files) == 0 {
		full.Files = d.Files
	}
	if full.Meta == nil {
		full.Meta = d.Meta
	}
	if full.Seen.IsZero() {
		full.Seen = d.Seen
	}
	return &full, nil
}

// since is when readers first saw what a stamp stands for. It is written once for each stamp.
func (r *Repository) since(ctx context.Context, name string, s scope, stamp string) (time.Time, error) {
	q := catalog.Question{Layer: r.config.Name, Kind: "view", Package: name}
	if s == held {
		q.Kind = "held view"
	}
	if a, err := r.pond.catalog.Answer(ctx, q); err == nil && string(a.Record) == stamp {
		return a.Changed, nil
	} else if err != nil && !millpond.Is(err, millpond.NotFound) {
		return time.Time{}, err
	}
	now := r.pond.now().Truncate(time.Second)
	err := r.pond.catalog.PutAnswer(ctx, &catalog.Answer{Question: q, Record: []byte(stamp), Checked: now, Changed: now})
	return now, r.pond.spare(ctx, "since when readers see "+name, err)
}
