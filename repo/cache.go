package repo

import (
	"iter"

	"github.com/maypok86/otter/v2"
)

// A cache holds values in memory up to a weight; those that are seldom asked for go first. Many may use one at once.
//
// It is an interface so that packages which import this one need not compile what is behind it again.
type cache[K comparable, V any] interface {
	GetIfPresent(K) (V, bool)
	Set(K, V)
	Invalidate(K)
	InvalidateAll()
	All() iter.Seq2[K, V]
}

// A cacheKey is what every key is made of: all caches are of one type, for to compile the library for each one's own took most of
// the time of building this package.
type cacheKey [4]string

// A bounded is a cache. What it has for a key is a *cached[K, V].
type bounded[K comparable, V any] struct {
	all *otter.Cache[cacheKey, any]
	of  func(K) cacheKey
}

type cached[K comparable, V any] struct {
	key   K
	value V
}

// newCache makes a cache that holds values up to a weight in all; of a nil weigh, so many. Two keys are one if of says
// the same of them.
func newCache[K comparable, V any](most int, of func(K) cacheKey, weigh func(V) uint32) (cache[K, V], error) {
	o := &otter.Options[cacheKey, any]{MaximumSize: most}
	if weigh != nil {
		o = &otter.Options[cacheKey, any]{MaximumWeight: uint64(most), Weigher: func(_ cacheKey, e any) uint32 {
			return weigh(e.(*cached[K, V]).value)
		}}
	}
	all, err := otter.New(o)
	if err != nil {
		return nil, err
	}
	return bounded[K, V]{all, of}, nil
}

func (c bounded[K, V]) GetIfPresent(k K) (v V, ok bool) {
	e, ok := c.all.GetIfPresent(c.of(k))
	if !ok {
		return v, false
	}
	return e.(*cached[K, V]).value, true
}

func (c bounded[K, V]) Set(k K, v V) { c.all.Set(c.of(k), &cached[K, V]{k, v}) }

func (c bounded[K, V]) Invalidate(k K) { c.all.Invalidate(c.of(k)) }

func (c bounded[K, V]) InvalidateAll() { c.all.InvalidateAll() }

func (c bounded[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for e := range c.all.Values() {
			if one := e.(*cached[K, V]); !yield(one.key, one.value) {
				return
			}
		}
	}
}
