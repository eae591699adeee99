package repo

import (
	"context"

	"millpond"
	"millpond/catalog"
)

// departed is where the last listing stays of a package that its upstream has no more. Whoever brings the name back does not
// begin anew with it: its versions are as old as they were, and those that were not there are new.
func (l *upstream) departed(pkg string) catalog.Question {
	return catalog.Question{Layer: l.id, Kind: "departed", Package: pkg}
}

// depart keeps the last listing of a package that is gone. Other answers have nothing that is to outlive them.
func (l *upstream) depart(ctx context.Context, last *catalog.Answer) error {
	if last.Kind != "package" {
		return nil
	}
	err := l.pond.catalog.PutAnswer(ctx, &catalog.Answer{
		Question: l.departed(last.Package), Record: last.Record, Checked: last.Checked, Changed: last.Changed,
	})
	return l.pond.spare(ctx, "since when "+l.name+" has had "+last.Package, err)
}

// lastListing is what a package's upstream listed before it had the package no more; nil if that was never so.
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
