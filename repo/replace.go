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

// A replacing is of the packages whose names have one sum. It is locked while a kept listing of them is replaced, so that who
// changes one does not put an older one in the place of what came meanwhile.
type replacing struct {
	sync.Mutex
	noted bool // something was noted in one of them since the start
}

func (f *flights) replacing(pkg string) *replacing {
	return &f.replace[crc32.ChecksumIEEE([]byte(pkg))%uint32(len(f.replace))]
}

// replace keeps an answer in the place of the one that it was made from; nil if there was none, or nothing is left of it. What
// was marked in that one since then is marked in the new one too.
func (l *upstream) replace(ctx context.Context, a, from *catalog.Answer) error {
	r := l.flights.replacing(a.Package)
	r.Lock()
	defer r.Unlock()
	if r.noted && from != nil && a.Kind == "package" {
		if err := l.takeMarks(ctx, a, from); err != nil {
			return err
		}
	}
	return l.pond.catalog.PutAnswer(ctx, a)
}

// wrong notes in the listing that the upstream's bytes of a file are, so that a format can leave out what it cannot give.
func (l *upstream) wrong(ctx context.Context, k millpond.Key) error {
	return l.note(ctx, k, func(f *millpond.File) bool {
		was := f.Corrupt
		f.Corrupt = true
		return !was
	})
}

// right takes back that they are wrong.
func (l *upstream) right(ctx context.Context, k millpond.Key) error {
	return l.note(ctx, k, func(f *millpond.File) bool {
		was := f.Corrupt
		f.Corrupt = false
		return was
	})
}

// stay makes the listing agree with the bytes that are held of a file, where f, which it says, does not: they came first, while
// it was read anew and had others.
func (l *upstream) stay(ctx context.Context, k millpond.Key, f *millpond.File, h *catalog.Holding) error {
	first := h.Digests
	if len(first) == 0 {
		first = []millpond.Digest{h.SHA256}
	}
	same := func(f *millpond.File) bool {
		return sameDigests(f.Digests, first) && sameDigests(f.Digests, []millpond.Digest{h.SHA256})
	}
	if same(f) || l.format.Info().Moving {
		return nil
	}
	err := l.note(ctx, k, func(f *millpond.File) bool {
		if same(f) {
			return false
		}
		f.Digests, f.Size = first, h.Size
		return true
	})
	return l.pond.spare(ctx, "which bytes of "+k.String()+" came first", err)
}

// note changes what the kept listing says of a file. It does nothing for a file that no listing names, or if change says that
// nothing differs.
func (l *upstream) note(ctx context.Context, k millpond.Key, change func(f *millpond.File) bool) error {
	r := l.flights.replacing(k.Package)
	r.Lock()
	defer r.Unlock()
	a, err := l.pond.catalog.Answer(ctx, catalog.Question{Layer: l.id, Kind: "package", Package: k.Package})
	if err != nil || a.Absent {
		return others(err)
	}
	pkg, err := decodeListing(a.Record, l.name)
	if err != nil {
		return err
	}
	f := fileOf(pkg, [2]string{k.Version, k.File})
	if f == nil || !change(f) {
		return nil
	}
	a.Record, a.Changed = encodeListing(pkg), l.pond.now()
	r.noted = true
	if err := l.pond.catalog.PutAnswer(ctx, a); err != nil {
		return err
	}
	l.pond.forgetViews(k.Package)
	return nil
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
