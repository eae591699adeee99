package golang

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"millpond"
)

// A view is what a reader may be offered of a module.
type view struct {
	versions []string // tagged, oldest first
	pseudo   []string // newest first
	unread   bool     // whether a hidden version retracts some of these is not known for the moment
}

// view leaves out what the rules hide and what was withdrawn. If the rules hide the version whose go.mod tells which
// versions are retracted, those are left out too: a hold must not hide a warning.
func (h handler) view(ctx context.Context, path string) (view, error) {
	p, err := h.repo.Package(ctx, path)
	if err != nil {
		return view{}, err
	}
	var v view
	retracted, err := h.retractions(ctx, p)
	switch {
	case err == nil:
	case millpond.Is(err, millpond.Canceled), millpond.Is(err, millpond.Internal):
		return view{}, err
	default: // a warning that cannot be had is no reason to withhold the list
		v.unread = true
	}
	for i := range p.Versions {
		switch one := &p.Versions[i]; {
		case one.Yanked:
		case module.IsPseudoVersion(one.Name):
			v.pseudo = append(v.pseudo, one.Name)
		case !covered(retracted, one.Name):
			v.versions = append(v.versions, one.Name)
		}
	}
	slices.SortFunc(v.versions, Format{}.Compare)
	slices.SortFunc(v.pseudo, func(a, b string) int {
		ta, _ := module.PseudoVersionTime(a) // both are pseudo-versions
		tb, _ := module.PseudoVersionTime(b)
		return tb.Compare(ta)
	})
	return v, nil
}

func covered(retracted []*modfile.Retract, version string) bool {
	return slices.ContainsFunc(retracted, func(r *modfile.Retract) bool {
		return semver.Compare(r.Low, version) <= 0 && semver.Compare(version, r.High) <= 0
	})
}

// retractions are what the newest version retracts, if the rules hide it: else the client reads them itself.
func (h handler) retractions(ctx context.Context, p *millpond.Package) ([]*modfile.Retract, error) {
	if len(p.Hidden) == 0 {
		return nil, nil
	}
	var all view
	hidden := map[string]bool{}
	for i := range p.Versions {
		all.add(p.Versions[i].Name)
	}
	for i := range p.Hidden {
		all.add(p.Hidden[i].Version.Name)
		hidden[p.Hidden[i].Version.Name] = true
	}
	slices.SortFunc(all.versions, Format{}.Compare)
	newest := all.latest()
	if newest == "" || !hidden[newest] {
		return nil, nil
	}
	c, err := h.repo.Open(ctx, Path{Kind: Mod, Module: p.Name, Version: newest}.Key())
	if err != nil {
		return nil, err
	}
	b, err := readAll(c, modLimit)
	if err != nil {
		return nil, err
	}
	f, err := modfile.ParseLax("go.mod", b, nil)
	if err != nil {
		return nil, nil // the client could not read a retraction from it either
	}
	return f.Retract, nil
}

func (v *view) add(version string) {
	if !module.IsPseudoVersion(version) {
		v.versions = append(v.versions, version)
	}
}

// list is the body of @v/list.
func (v view) list() string {
	if len(v.versions) == 0 {
		return ""
	}
	return strings.Join(v.versions, "\n") + "\n"
}

// latest is the highest release, else the highest pre-release, else "".
func (v view) latest() string {
	for _, version := range slices.Backward(v.versions) {
		if !isPrerelease(version) {
			return version
		}
	}
	if n := len(v.versions); n > 0 {
		return v.versions[n-1]
	}
	return ""
}

func (v view) newestPseudo() string {
	if len(v.pseudo) == 0 {
		return ""
	}
	return v.pseudo[0]
}
