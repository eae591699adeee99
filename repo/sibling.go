package repo

import (
	"context"
	"errors"
	"maps"
	"net/http"

	"millpond"
	"millpond/fetch"
	"millpond/format"
)

// A sibling is the layer of another repository of this pond. It shows what the other shows: its claims and rules hold.
type sibling struct {
	name  string
	repo  *Repository
	merge bool
}

func (l *sibling) layerName() string { return l.name }
func (l *sibling) union() bool       { return l.merge }

func (l *sibling) state() fetch.State {
	return fetch.State{Name: l.name, URL: "repository " + l.repo.config.Name}
}

// as is the other repository as this layer uses it.
func (l *sibling) as(asking bool) *bound {
	return &bound{Repository: l.repo, caller: Caller{Actor: byPond, Rights: all{}}, Accounts: noAccounts{byPond}, heldOnly: !asking}
}

func (l *sibling) listing(ctx context.Context, name string, asking bool) (*listing, error) {
	b := l.as(asking)
	if err := b.nameVerdict(name); err != nil {
		return nil, err
	}
	v, err := b.view(ctx, name, b.scope(fresh))
	if err != nil {
		return nil, err
	}
	pkg := *v.pkg
	pkg.Versions = append([]millpond.Version(nil), pkg.Versions...)
	for i := range pkg.Versions {
		pkg.Versions[i].Layer = l.name + "/" + pkg.Versions[i].Layer
	}
	pkg.Parts = append([]millpond.Part(nil), pkg.Parts...)
	for i := range pkg.Parts {
		pkg.Parts[i].Layer = l.name + "/" + pkg.Parts[i].Layer
	}
	pkg.Hidden = append([]millpond.Hidden(nil), pkg.Hidden...) // whoever asks for one is told why
	for i := range pkg.Hidden {
		pkg.Hidden[i].Version.Layer = l.name + "/" + pkg.Hidden[i].Version.Layer
	}
	return &listing{pkg: &pkg, id: pkg.Stamp, changed: v.modify, checked: v.check, fresh: earlier(v.fresh, v.until), stale: v.stale}, nil
}

func (l *sibling) again(ctx context.Context, name string) (*listing, error) {
	for _, under := range l.repo.allFor(name) {
		if _, err := under.again(ctx, name); err != nil && !millpond.Is(err, millpond.NotFound) {
			return nil, err
		}
	}
	return l.listing(ctx, name, true)
}

func (l *sibling) describe(ctx context.Context, pkg, version string, asking bool) (*millpond.Version, error) {
	var last error = &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: pkg, Version: version}}
	for _, under := range l.repo.allFor(pkg) {
		v, err := under.describe(ctx, pkg, version, asking)
		if err == nil || !millpond.Is(err, millpond.NotFound) {
			return v, err
		}
		last = err
	}
	return nil, last
}

func (l *sibling) locate(ctx context.Context, k millpond.Key) (*millpond.File, error) {
	var absent error
	for _, under := range l.repo.layersFor(k.Package) {
		f, err := under.locate(ctx, k)
		if err == nil || others(err) != nil && !millpond.Is(err, millpond.Unsupported) {
			return f, err
		}
		if millpond.Is(err, millpond.NotFound) {
			absent = err
		}
	}
	if absent != nil {
		return nil, absent
	}
	return nil, &millpond.Error{Kind: millpond.Unsupported, Why: l.name + " only hosts"}
}

func (l *sibling) has(ctx context.Context, k millpond.Key) (bool, error) {
	for _, under := range l.repo.allFor(k.Package) {
		if has, err := under.has(ctx, k); has || err != nil {
			return has, err
		}
	}
	return false, nil
}

func (l *sibling) holds(ctx context.Context, pkg string) (map[[2]string]bool, error) {
	all := map[[2]string]bool{}
	for _, under := range l.repo.all() {
		h, err := under.holds(ctx, pkg)
		if err != nil {
			return nil, err
		}
		for k := range h {
			all[k] = true
		}
	}
	return all, nil
}

func (l *sibling) flags(ctx context.Context, pkg string) (map[[2]string]string, error) {
	all := map[[2]string]string{}
	for _, under := range l.repo.all() {
		f, err := under.flags(ctx, pkg)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, f)
	}
	return all, nil
}

func (l *sibling) open(ctx context.Context, k millpond.Key, _ *millpond.File, o opening) (*millpond.Content, error) {
	b := l.as(o.asking)
	if o.stat {
		return b.Stat(ctx, k)
	}
	return b.Open(ctx, k)
}

func (l *sibling) ref(ctx context.Context, pkg, name string, asking bool) (millpond.Ref, error) {
	return l.as(asking).Ref(ctx, pkg, name)
}

func (l *sibling) document(ctx context.Context, k millpond.Key, asking bool) (*format.Document, error) {
	return l.as(asking).Document(ctx, k)
}

func (l *sibling) names(ctx context.Context, asking bool) (*nameList, error) {
	b := l.as(asking)
	stamp, fresh, err := b.namesStamp(ctx)
	if err != nil {
		return nil, err
	}
	return &nameList{id: stamp, fresh: fresh, each: b.Names(ctx)}, nil
}

func (l *sibling) relay(ctx context.Context, q format.Question) (*http.Response, error) {
	return l.as(true).Relay(ctx, q)
}

// checkRings refuses siblings that read through to each other in a circle.
func checkRings(repositories []*Repository) error {
	state := map[*Repository]int{} // 1 on the way, 2 done
	var visit func(r *Repository) error
	visit = func(r *Repository) error {
		switch state[r] {
		case 1:
			return errors.New("repository " + r.config.Name + " reads through to itself: its upstreams form a circle")
		case 2:
			return nil
		}
		state[r] = 1
		for _, l := range r.layers {
			if s, ok := l.(*sibling); ok {
				if err := visit(s.repo); err != nil {
					return err
				}
			}
		}
		state[r] = 2
		return nil
	}
	for _, r := range repositories {
		if err := visit(r); err != nil {
			return err
		}
	}
	return nil
}
