package repo

import (
	"context"
	"iter"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// Retention lists what of a repository its options say is to go now. It changes nothing.
func (r *Repository) Retention(ctx context.Context) ([]millpond.Key, error) {
	f, ok := r.config.Format.(format.Retainer)
	if !ok {
		return nil, nil
	}
	var keys []millpond.Key
	for k, err := range f.Retain(r.pond.now(), r.option, r.hosted.all(ctx)) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// all yields every package that is hosted, each as it is at that moment.
func (l *hosted) all(ctx context.Context) iter.Seq2[*format.Hosting, error] {
	return func(yield func(*format.Hosting, error) bool) {
		for one, err := range l.list(ctx, format.Walk{}) {
			if err != nil {
				yield(nil, err)
				return
			}
			var h *format.Hosting
			err := l.repo.pond.catalog.View(ctx, func(tx catalog.Tx) (err error) {
				h, err = found(hosting(tx, l.name(), one.Name))
				return err
			})
			if h == nil && err == nil {
				continue // it went meanwhile
			}
			if !yield(h, err) || err != nil {
				return
			}
		}
	}
}

// retain deletes what the options of the repositories say is to go: each with its event, to be purged when it can no longer
// be restored.
func (p *Pond) retain(ctx context.Context) error {
	began := p.now()
	for _, r := range p.Repositories() {
		keys, err := r.Retention(ctx)
		if err != nil {
			return err
		}
		b := r.bind(Caller{Actor: byPond, Rights: all{}})
		ours := map[string]bool{} // what this run itself has changed
		for _, k := range keys {
			err := b.change(ctx, millpond.VerbDelete, k.Package, func(tx catalog.Tx, _ Rights) error {
				if one, err := tx.HostedPackage(r.config.Name, k.Package); err != nil || !one.Changed.Before(began) && !ours[k.Package] {
					return err // what was put anew meanwhile is not what was judged
				}
				return b.deleteIn(tx, format.Deletion{Key: k, Why: "retention"}, p.now())
			})
			ours[k.Package] = true
			if err != nil && !millpond.Is(err, millpond.NotFound) {
				return err
			}
		}
	}
	return nil
}
