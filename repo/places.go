package repo

import (
	"slices"

	"millpond"
)

// place finds a file in the listing.
func (v *view) place(k millpond.Key) (place, bool) {
	if k.Version != "" {
		for i := range v.all.Versions {
			if v.all.Versions[i].Name != k.Version {
				continue
			}
			for j := range v.all.Versions[i].Files {
				if v.all.Versions[i].Files[j].Name == k.File {
					return place{i, j}, true
				}
			}
		}
		return place{}, false
	}
	v.once.Do(func() {
		// Where several layers have a file of that name it is that of the first: what is hosted no upstream takes the place of.
		rank := make(map[string]int, len(v.all.Parts))
		for i := range v.all.Parts {
			rank[v.all.Parts[i].Layer] = i - len(v.all.Parts)
		}
		v.index = map[string]place{}
		for i := range v.all.Versions {
			for j := range v.all.Versions[i].Files {
				name := v.all.Versions[i].Files[j].Name
				at, ok := v.index[name]
				if !ok || rank[v.all.Versions[i].Layer] < rank[v.all.Versions[at.version].Layer] {
					v.index[name] = place{i, j}
				}
			}
		}
	})
	at, ok := v.index[k.File]
	return at, ok
}

// otherPlace is another version that has the same bytes under the same name, and may be opened; nil if there is none, or
// the asker named one.
func (v *view) otherPlace(k millpond.Key, f *millpond.File) *millpond.Version {
	if k.Version != "" {
		return nil
	}
	for i := range v.all.Versions {
		one := &v.all.Versions[i]
		same := one.File(k.File)
		if same == nil || same.Blob != f.Blob || len(same.Digests) == 0 || !slices.Equal(same.Digests, f.Digests) {
			continue
		}
		if v.verdict(millpond.Key{Package: k.Package, Version: one.Name, File: k.File}) == nil {
			return one
		}
	}
	return nil
}
