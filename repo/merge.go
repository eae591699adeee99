package repo

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"slices"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// merge brings the layers' words together. hide: the first layer that has the name is the package. union: each version
// comes from the first layer that has it, and a layer that is ill is missed only by the versions that it alone has.
func (r *Repository) merge(ctx context.Context, name string, s scope, v *view) (*millpond.Package, hash.Hash, error) {
	id := sha256.New()
	out := &millpond.Package{Name: name}
	found, asked := false, 0
	var absent error
	v.fresh = r.pond.now().Add(everFresh)
	layers, joins := r.layersFor(name), false
	own, err := r.hosted.listing(ctx, name, false)
	switch {
	case millpond.Is(err, millpond.NotFound):
	case err != nil:
		return nil, nil, err // what is ours cannot be read: nobody else is asked for it
	default:
		rec := &catalog.HostedPackage{Name: name}
		if h, err := r.hosted.record(ctx, name); err != nil {
			return nil, nil, err
		} else if h != nil {
			rec = h
		}
		fmt.Fprintf(id, "hosted %s\n", own.id)
		v.check = own.checked
		if len(own.pkg.Versions) > 0 || !r.hides(rec) {
			join(out, own.pkg, r.config.Format)
		}
		found = len(own.pkg.Versions) > 0
		if r.hides(rec) {
			layers = nil
			switch {
			case !found && own.deleted:
				return nil, nil, r.allDeleted(name)
			case !found:
				return nil, nil, r.unfinished(name)
			}
		} else {
			joins = true
		}
	}
	below, err := r.hostsBelow(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	for _, l := range layers {
		if _, outside := l.(*upstream); outside && below {
			continue // a name that is hosted anywhere down the chain hides every outside upstream
		}
		if found && !l.union() && !joins {
			continue
		}
		asked++
		got, err := r.listingOf(ctx, l, name, s)
		switch {
		case err == nil:
		case millpond.Is(err, millpond.NotFound), millpond.Is(err, millpond.Gone):
			if !millpond.Is(absent, millpond.Gone) { // that there was something says more than that there is nothing
				absent = err
			}
			continue
		case found:
			// What the layers above have is served meanwhile.
			v.stale, v.fresh = err, r.pond.now().Add(pause)
			continue
		default:
			return nil, nil, err
		}
		if got.bump != 0 {
			v.bumps = append(v.bumps, got.bump)
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
		join(out, got.pkg, r.config.Format)
		found, joins = true, false // what is hosted joins the first that has the name
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
	newestFirst(out.Versions, r.config.Format.Compare)
	return out, id, nil
}

// newestFirst sorts versions. A format may have a listing in that order already, which costs one comparison for each; else names
// are sorted, for a name is moved about faster than a version.
func newestFirst(all []millpond.Version, compare func(a, b string) int) {
	if slices.IsSortedFunc(all, func(a, b millpond.Version) int { return compare(b.Name, a.Name) }) {
		return
	}
	type place struct {
		name string
		at   int
	}
	names := make([]place, len(all))
	for i := range all {
		names[i] = place{all[i].Name, i}
	}
	slices.SortStableFunc(names, func(a, b place) int { return compare(b.name, a.name) })
	was := slices.Clone(all)
	for i := range names {
		all[i] = was[names[i].at]
	}
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
func join(out, more *millpond.Package, f format.Format) {
	if len(out.Parts) == 0 {
		out.Versions = slices.Clone(more.Versions)
		out.Refs = slices.Clone(more.Refs)
		out.Parts = slices.Clone(more.Parts)
		out.Hidden = slices.Clone(more.Hidden)
		out.Blocked = more.Blocked
		return
	}
	compare := f.Compare
	groups := map[string]bool{}
	grouper, grouped := f.(format.Grouper)
	if grouped {
		for i := range out.Versions {
			groups[grouper.Group(out.Versions[i].Name)] = true
		}
	}
	have := make([]string, len(out.Versions)) // a name is moved about faster than a version
	for i := range out.Versions {
		have[i] = out.Versions[i].Name
	}
	slices.SortFunc(have, compare)
	out.Versions = slices.Grow(out.Versions, len(more.Versions))
	for i := range more.Versions {
		// Two spellings of one version (1.0, 1.0.0) are one: its files are never mixed.
		_, found := slices.BinarySearchFunc(have, more.Versions[i].Name, compare)
		if !found && !(grouped && groups[grouper.Group(more.Versions[i].Name)]) {
			out.Versions = append(out.Versions, more.Versions[i])
		}
	}
	for _, ref := range more.Refs {
		if !slices.ContainsFunc(out.Refs, func(r millpond.Ref) bool { return r.Name == ref.Name }) {
			out.Refs = append(out.Refs, ref)
		}
	}
	out.Parts = append(out.Parts, more.Parts...)
	out.Hidden = append(slices.Clone(out.Hidden), more.Hidden...)
	out.Hidden = slices.DeleteFunc(out.Hidden, func(h millpond.Hidden) bool { return out.Version(h.Version.Name) != nil }) // another layer shows it
	if out.Blocked == "" {
		out.Blocked = more.Blocked
	}
}

// overlay adds what only this pond knows: the digest first seen of files whose publisher declared none, and, where the
// format wants it, the versions that are held though no list names them.
func (r *Repository) overlay(ctx context.Context, p *millpond.Package, id hash.Hash) error {
	if !slices.ContainsFunc(p.Versions, func(v millpond.Version) bool { return v.Layer != "" }) && !r.info.HeldListed {
		return nil
	}
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
	listed := make(map[string]bool, len(p.Versions))
	for i := range p.Versions {
		listed[p.Versions[i].Name] = true
	}
	more := map[string]time.Time{} // when the first file of each came
	for k, h := range holdings {
		if h.Blob.IsZero() || listed[k[0]] {
			continue
		}
		if seen, ok := more[k[0]]; !ok || h.Modified.Before(seen) {
			more[k[0]] = h.Modified
		}
	}
	for _, name := range slices.Sorted(maps.Keys(more)) {
		p.Versions = append(p.Versions, millpond.Version{Name: name, Layer: up.name, Partial: true, Seen: more[name]})
		fmt.Fprintf(id, "held %s\n", name)
	}
}
