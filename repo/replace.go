package repo

import (
	"bytes"
	"context"
	"hash/crc32"
	"maps"
	"slices"
	"sync"

	"millpond"
	"millpond/catalog"
)

// replacing is what is locked while a package's listing is replaced, so that who changes the kept one does not put an older one
// in the place of what came meanwhile.
func (f *flights) replacing(pkg string) *sync.Mutex {
	return &f.replace[crc32.ChecksumIEEE([]byte(pkg))%uint32(len(f.replace))]
}

// replace keeps an answer in the place of the one that it was made from; nil if there was none, or nothing is left of it. What
// was marked in that one since then is marked in the new one too.
func (l *upstream) replace(ctx context.Context, a, from *catalog.Answer) error {
	lock := l.flights.replacing(a.Package)
	lock.Lock()
	defer lock.Unlock()
	if from != nil && a.Kind == "package" {
		if err := l.takeMarks(ctx, a, from); err != nil {
			return err
		}
	}
	return l.pond.catalog.PutAnswer(ctx, a)
}

// takeMarks marks those files of a listing as corrupt, or as right again, that were marked so in the kept one since it was read.
func (l *upstream) takeMarks(ctx context.Context, a, from *catalog.Answer) error {
	kept, err := l.pond.catalog.Answer(ctx, a.Question)
	if err != nil || kept.Absent || bytes.Equal(kept.Record, from.Record) {
		return others(err)
	}
	was, err := decodeListing(from.Record, l.name)
	if err != nil {
		return nil // of another release: it is read anew
	}
	is, err := decodeListing(kept.Record, l.name)
	if err != nil {
		return nil
	}
	to, err := decodeListing(a.Record, l.name)
	if err != nil {
		return err
	}
	marked, before := false, corruptOf(was)
	now := corruptOf(is)
	for _, k := range slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(now))) {
		if before[k] == now[k] {
			continue
		}
		about, f := fileOf(is, k), fileOf(to, k)
		if about != nil && f != nil && f.Corrupt != now[k] && sameDigests(f.Digests, about.Digests) {
			f.Corrupt, marked = now[k], true
		}
	}
	if marked {
		a.Record = encodeListing(to)
	}
	return nil
}

// corruptOf are the files of a package that are marked, by version and name.
func corruptOf(p *millpond.Package) map[[2]string]bool {
	marked := map[[2]string]bool{}
	for i := range p.Versions {
		for j := range p.Versions[i].Files {
			if f := &p.Versions[i].Files[j]; f.Corrupt {
				marked[[2]string{p.Versions[i].Name, f.Name}] = true
			}
		}
	}
	return marked
}

func fileOf(p *millpond.Package, k [2]string) *millpond.File {
	if v := p.Version(k[0]); v != nil {
		return v.File(k[1])
	}
	return nil
}
