package repo

import (
	"iter"
	"slices"

	"millpond/format"
)

// hears reports whether a layer may be asked about a name: its upstream's Names cover it, or it has none. What is of no name
// is for all to hear.
func (r *Repository) hears(l layer, name string) bool {
	only := r.only[l.layerName()]
	return only == nil || name == "" || slices.ContainsFunc(only, func(c *claim) bool { return c.covers(name) }) || r.apart(name)
}

// hearing are the layers that may be asked about a name.
func (r *Repository) hearing(layers []layer, name string) []layer {
	if len(r.only) == 0 {
		return layers
	}
	var some []layer
	for _, l := range layers {
		if r.hears(l, name) {
			some = append(some, l)
		}
	}
	return some
}

// heard leaves out of a layer's names those that it may not be asked about.
func (r *Repository) heard(l layer, all iter.Seq2[format.Change, error]) iter.Seq2[format.Change, error] {
	if r.only[l.layerName()] == nil {
		return all
	}
	return func(yield func(format.Change, error) bool) {
		for c, err := range all {
			if err == nil && !r.hears(l, c.Name) {
				continue
			}
			if !yield(c, err) {
				return
			}
		}
	}
}
