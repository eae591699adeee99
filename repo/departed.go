package repo

import (
	"context"
	"slices"

	"millpond"
	"millpond/catalog"
)

// departed is where those versions stay that an upstream has withdrawn, with its package or alone. Whoever brings a name back
// does not begin anew with it: what it had is as old as it was, and what it did not have is new.
func (l *upstream) departed(pkg string) catalog.Question {
	return catalog.Question{Layer: l.id, Kind: "departed", Package: pkg}
}

// mostDeparted is how many versions of a package stay that were withdrawn before others were.
const mostDeparted = 5000

// depart keeps the last listing of a package that is gone. Other answers have nothing that is to outlive them.
func (l *upstream) depart(ctx context.Context, last *catalog.Answer) error {
	if last.Kind != "package" {
		return nil
	}
	pkg, err := decodeListing(last.Record, l.name)
	if err != nil {
		return nil // of another release
	}
	return l.withdrawn(ctx, last.Package, pkg.Versions)
}

// withdrawn keeps versions that are listed no more, beside those that were withdrawn before.
func (l *upstream) withdrawn(ctx context.Context, pkg string, versions []millpond.Version) error {
	last, err := l.lastListing(ctx, pkg)
	if err != nil {
		return err
	}
	all := &millpond.Package{Name: pkg, Versions: slices.Clone(versions)}
	if last != nil {
		again := namesOf(versions)
		for _, v := range last.Versions {
			if !again[v.Name] && len(all.Versions) < len(versions)+mostDeparted {
				all.Versions = append(all.Versions, v)
			}
		}
	}
	for i := range all.Versions {
		all.Versions[i].Meta = nil
	}
	now := l.pond.now()
	err = l.pond.catalog.PutAnswer(ctx, &catalog.Answer{Question: l.departed(pkg), Record: encodeListing(all), Checked: now, Changed: now})
	return l.pond.spare(ctx, "since when "+l.name+" has had "+pkg, err)
}

// rejoin is the listing before this one, nil if there was none, with what the upstream had withdrawn earlier and lists again.
func (l *upstream) rejoin(ctx context.Context, before, pkg *millpond.Package) (*millpond.Package, error) {
	if before == nil {
		return l.lastListing(ctx, pkg.Name)
	}
	had := namesOf(before.Versions)
	if l.format.Info().Moving || !slices.ContainsFunc(pkg.Versions, func(v millpond.Version) bool { return !had[v.Name] }) {
		return before, nil
	}
	last, err := l.lastListing(ctx, pkg.Name)
	if err != nil || last == nil {
		return before, err
	}
	has := namesOf(pkg.Versions)
	for _, v := range last.Versions {
		if has[v.Name] && !had[v.Name] {
			before.Versions = append(before.Versions, v)
		}
	}
	return before, nil
}

// miss keeps those versions of the listing before this one that this one has no more.
func (l *upstream) miss(ctx context.Context, before, pkg *millpond.Package) error {
	if before == nil || l.format.Info().Moving {
		return nil
	}
	has := namesOf(pkg.Versions)
	left := slices.DeleteFunc(before.Versions, func(v millpond.Version) bool { return has[v.Name] })
	if len(left) == 0 {
		return nil
	}
	return l.withdrawn(ctx, pkg.Name, left)
}

func namesOf(versions []millpond.Version) map[string]bool {
	names := make(map[string]bool, len(versions))
	for i := range versions {
		names[versions[i].Name] = true
	}
	return names
}

// lastListing has the versions of a package that its upstream has withdrawn, as they were listed last; nil if there are none.
func (l *upstream) lastListing(ctx context.Context, pkg string) (*millpond.Package, error) {
	a, err := l.pond.catalog.Answer(ctx, l.departed(pkg))
	if err != nil {
		return nil, others(err)
	}
	last, err := decodeListing(a.Record, l.name)
	if err != nil {
		return nil, nil // of another release
	}
	return last, nil
}

// release lets those held files be evicted again that the upstream lists anew with the bytes that are held.
func (l *upstream) release(ctx context.Context, pkg *millpond.Package, held map[[2]string]*catalog.Holding) error {
	kept := map[[2]string]*catalog.Holding{}
	for k, h := range held {
		if h.Keep {
			kept[k] = h
		}
	}
	if len(kept) == 0 {
		return nil // of most packages: theirs need not be looked through
	}
	for i := range pkg.Versions {
		v := &pkg.Versions[i]
		for j := range v.Files {
			f := &v.Files[j]
			h := kept[[2]string{v.Name, f.Name}]
			if h == nil || f.Vanished || !sameDigests(h.Digests, f.Digests) {
				continue
			}
			again := *h
			again.Keep = false
			if err := l.pond.spare(ctx, "that "+l.name+" has "+h.Key.String()+" again", l.pond.catalog.PutHolding(ctx, &again)); err != nil {
				return err
			}
		}
	}
	return nil
}
