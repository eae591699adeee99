package repo

import (
	"context"
	"iter"

	"millpond"
	"millpond/format"
)

// Documents implements format.Gatherer.
func (b *bound) Documents(ctx context.Context, k millpond.Key) iter.Seq2[*format.Document, error] {
	return func(yield func(*format.Document, error) bool) {
		if err := b.readable(k.Package); err != nil {
			yield(nil, err)
			return
		}
		for _, l := range b.layersFor(k.Package) {
			if s, ok := l.(*sibling); ok {
				for d, err := range s.as(!b.heldOnly).Documents(ctx, k) {
					if !yield(d, err) {
						return
					}
				}
				continue
			}
			if !yield(l.document(ctx, k, b.scope(fresh) != held)) {
				return
			}
		}
	}
}
