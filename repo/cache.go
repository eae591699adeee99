package repo

import (
	"iter"

	"github.com/maypok86/otter/v2"
)

// A cache holds values in memory up to a weight; those that are seldom asked for go first. Many may use one at once.
//
// It is an interface so that packages which import this one need not compile the cache for each of its types again: that took
// most of the time of building them.
type cache[K comparable, V any] interface {
	GetIfPresent(K) (V, bool)
	Set(K, V) (V, bool) // returns the value that is in the cache now, and whether there was none before
	Invalidate(K) (V, bool)
	InvalidateAll()
	All() iter.Seq2[K, V]
}

// newCache makes a cache that holds values up to a weight in all; of a nil weigh, so many.
func newCache[K comparable, V any](most int, weigh func(K, V) uint32) (cache[K, V], error) {
	o := &otter.Options[K, V]{MaximumSize: most}
	if weigh != nil {
		o = &otter.Options[K, V]{MaximumWeight: uint64(most), Weigher: weigh}
	}
	return otter.New(o)
}
