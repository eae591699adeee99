package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
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
	pkg    *millpond.Package // what readers see
	all    *millpond.Package // before the rules: what exists
	judged *policy.Judgement // nil if no rule had an opinion
	once   sync.Once
	index  map[string]place // file name to place in all; made once, when asked for
	built  time.Time
	modify time.Time // since when readers see this
	fresh  time.Time // until when no upstream needs asking
	until  time.Time // until when the verdicts stand; zero is for ever
	stale  error     // why a layer's word is old
	status int
	check  time.Time // of the oldest layer's word
}

type place struct{ version, file int }

// good reports whether the view may be shown at that time.
func (v *view) good(now time.Time, s scope) bool {
	if !v.until.IsZero() && !now.Before(v.until) || v.built.After(now.Add(leap)) {
		return false
	}
	return s != fresh || now.Before(v.fresh)
}

type viewKey struct {
	name string
	held bool
}

// view returns the package as the repository shows it.
func (r *Repository) view(ctx context.Context, name string, s scope) (*view, error) {
	if r.pond.offline() {
		s = held
	}
	key := viewKey{name, s == held}
	if v, ok := r.views.GetIfPresent(key); ok && v.good(r.pond.now(), s) {
		r.traceView(ctx, v)
		return v, nil
	}
	// The generation is read before the layers are: a change meanwhile makes this view one not to keep.
	generation := r.generation(name)
	v, err := r.build(ctx, name, s)
	if err != nil {
		return nil, err
	}
	if r.generation(name) == generation {
		r.views.Set(key, v)
	}
	r.traceView(ctx, v)
	return v, nil
}

// traceView notes how good the view is that a request was answered from.
func (r *Repository) traceView(ctx context.Context, v *view) {
	t := TraceOf(ctx)
	if v.stale != nil {
		t.Result, t.Checked = "stale", v.check
	} else if t.Result == "" {
		t.Result = "hit"
	}
}

// build asks the layers, merges what they say and applies the rules.
func (r *Repository) build(ctx context.Context, name string, s scope) (*view, error) {
	v := &view{built: r.pond.now()}
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
			for i := range v.pkg.Versions {
				fmt.Fprintf(id, "%d %s\n", len(v.pkg.Versions[i].Files), v.pkg.Versions[i].Name)
			}
		}
	}
	v.pkg = withoutVanished(v.pkg, r.info.HeldListed)
	shown := *v.pkg
	shown.Stamp = hex.EncodeToString(id.Sum(nil)[:16])
	shown.Fresh = v.fresh
	v.pkg = &shown
	v.modify, err = r.since(ctx, name, s, shown.Stamp)
	return v, err
}

// merge brings the layers' words together. hide: the first layer that has the name is the package. union: each version
// comes from the first layer that has it, and a layer that is ill is missed only by the versions that it alone has.
func (r *Repository) merge(ctx context.Context, name string, s scope, v *view) (*millpond.Package, hash.Hash, error) {
	id := sha256.New()
	out := &millpond.Package{Name: name}
	found, asked := false, 0
	var absent error
	v.fresh = r.pond.now().Add(365 * 24 * time.Hour)
	for _, l := range r.layersFor(name) {
		if found && !l.union() {
			continue
		}
		asked++
		got, err := r.listingOf(ctx, l, name, s)
		switch {
		case err == nil:
		case millpond.Is(err, millpond.NotFound):
			absent = err
			continue
		case found:
			// What the layers above have is served meanwhile.
			v.stale, v.fresh = err, r.pond.now().Add(pause)
			continue
		default:
			return nil, nil, err
		}
		if got.stale != nil {
			v.stale = got.stale
			// An ill upstream is asked again soon, yet not by every reader.
			got.fresh = r.pond.now().Add(pause)
		}
		if v.check.IsZero() || got.checked.Before(v.check) {
			v.check = got.checked
		}
		if !found && got.stale == nil {
			TraceOf(ctx).Layer = l.layerName()
		}
		if got.fresh.Before(v.fresh) {
			v.fresh = got.fresh
		}
		fmt.Fprintf(id, "%s %s\n", l.layerName(), got.id)
		join(out, got.pkg)
		found = true
	}
	if !found {
		if asked == 0 {
			return nil, nil, r.unknown(name)
		}
		return nil, nil, r.notFound(name, absent)
	}
	if err := r.overlay(ctx, out, id); err != nil {
		return nil, nil, err
	}
	compare := r.config.Format.Compare
	slices.SortStableFunc(out.Versions, func(a, b millpond.Version) int { return compare(b.Name, a.Name) })
	return out, id, nil
}

func (r *Repository) listingOf(ctx context.Context, l layer, name string, s scope) (*listing, error) {
	if s == known {
		// What is known will do, however old; only what is not is asked for.
		if got, err := l.listing(ctx, name, false); err == nil {
			got.stale = nil
			return got, nil
		} else if !millpond.Is(err, millpond.Offline) && !millpond.Is(err, millpond.NotFound) {
			return nil, err
		}
	}
	got, err := l.listing(ctx, name, s != held)
	if s != held || !r.info.HeldListed || !millpond.Is(err, millpond.Offline) {
		return got, err
	}
	// Files may be held of a package whose list nobody has asked for.
	holds, e := l.holds(ctx, name)
	if e != nil {
		return nil, e
	}
	if len(holds) == 0 {
		return nil, err
	}
	bare := &millpond.Package{Name: name, Parts: []millpond.Part{{Layer: l.layerName()}}}
	return &listing{pkg: bare, id: "not listed", fresh: r.pond.now()}, nil
}

// join adds to a package what another layer has and it has not.
func join(out, more *millpond.Package) {
	if len(out.Parts) == 0 {
		out.Versions = slices.Clone(more.Versions)
		out.Refs = slices.Clone(more.Refs)
		out.Parts = slices.Clone(more.Parts)
		out.Blocked = more.Blocked
		return
	}
	have := make(map[string]bool, len(out.Versions))
	for i := range out.Versions {
		have[out.Versions[i].Name] = true
	}
	for i := range more.Versions {
		if !have[more.Versions[i].Name] {
			out.Versions = append(out.Versions, more.Versions[i])
		}
	}
	for _, ref := range more.Refs {
		if !slices.ContainsFunc(out.Refs, func(r millpond.Ref) bool { return r.Name == ref.Name }) {
			out.Refs = append(out.Refs, ref)
		}
	}
	out.Parts = append(out.Parts, more.Parts...)
	if out.Blocked == "" {
		out.Blocked = more.Blocked
	}
}

// overlay adds what only this pond knows: the digest first seen of files whose publisher declared none, and, where the
// format wants it, the versions that are held though no list names them.
func (r *Repository) overlay(ctx context.Context, p *millpond.Package, id hash.Hash) error {
	bare := func(f millpond.File) bool { return len(f.Digests) == 0 }
	for _, l := range r.layers {
		up, ok := l.(*upstream)
		if !ok {
			continue
		}
		needed := r.info.HeldListed
		for i := range p.Versions {
			needed = needed || p.Versions[i].Layer == up.name && slices.ContainsFunc(p.Versions[i].Files, bare)
		}
		if !needed {
			continue
		}
		holdings, err := up.holdings(ctx, p.Name)
		if err != nil {
			return err
		}
		r.overlayHoldings(p, up, holdings, id)
	}
	return nil
}

func (r *Repository) overlayHoldings(p *millpond.Package, up *upstream, holdings map[[2]string]*catalog.Holding, id hash.Hash) {
	for i := range p.Versions {
		v := &p.Versions[i]
		if v.Layer != up.name {
			continue
		}
		for j := range v.Files {
			if h := holdings[[2]string{v.Name, v.Files[j].Name}]; h != nil && len(v.Files[j].Digests) == 0 {
				v.Files = slices.Clone(v.Files) // the layer's own record stays as it is
				v.Files[j].Digests = []millpond.Digest{h.SHA256}
				v.Files[j].Size = h.Size
				fmt.Fprintf(id, "first %s\n", h.SHA256)
			}
		}
	}
	if !r.info.HeldListed {
		return
	}
	var more []string
	for k, h := range holdings {
		if !h.Blob.IsZero() && p.Version(k[0]) == nil && !slices.Contains(more, k[0]) {
			more = append(more, k[0])
		}
	}
	slices.Sort(more)
	for _, name := range more {
		p.Versions = append(p.Versions, millpond.Version{Name: name, Layer: up.name, Partial: true})
		fmt.Fprintf(id, "held %s\n", name)
	}
}

// onlyHeld leaves of a package what can be served without asking anybody.
func (r *Repository) onlyHeld(ctx context.Context, p *millpond.Package, id hash.Hash) error {
	holds := map[string]map[[2]string]bool{}
	for _, l := range r.layers {
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
				if k[0] == v.Name {
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
