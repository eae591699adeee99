package repo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/catalog"
)

type refKey struct{ pkg, name string }

func (k refKey) cacheKey() cacheKey { return cacheKey{k.pkg, k.name} }

// A hotRef is a ref as memory keeps it: enough to answer without asking the catalog again.
type hotRef struct {
	millpond.Ref
	of    uint64    // the package's generation
	until time.Time // when its upstream is to be asked again; zero is when the package changes
}

// refFromMemory resolves a ref that was resolved a moment ago, and on which no rule has a word.
func (b *bound) refFromMemory(ctx context.Context, pkg, name string) (millpond.Ref, bool) {
	ref, ok := b.refs.GetIfPresent(refKey{pkg, name})
	now := b.pond.now()
	if !ok || ref.of != b.generation(pkg) || !ref.until.IsZero() && !stands(now, ref.Checked, ref.until) {
		return millpond.Ref{}, false
	}
	t := TraceOf(ctx)
	if t.Anew && ref.Layer != "" && now.Sub(ref.Checked) > young {
		return millpond.Ref{}, false
	}
	t.Layer, t.Result = ref.Layer, "hit"
	return ref.Ref, true
}

// refToMemory keeps what a ref was resolved to for those who ask next. of is the package's generation before it was.
func (b *bound) refToMemory(l layer, pkg string, ref millpond.Ref, of uint64) {
	if b.policy != nil {
		return
	}
	hot := hotRef{Ref: ref, of: of}
	switch l.(type) {
	case *hosted:
	case *upstream:
		hot.until = ref.Checked.Add(b.lasts(ref.Name))
	default:
		return // the other repository's own memory has it
	}
	b.refs.Set(refKey{pkg, ref.Name}, hot)
}

// Ref implements format.Reader.
func (b *bound) Ref(ctx context.Context, pkg, name string) (millpond.Ref, error) {
	TraceOf(ctx).Package, TraceOf(ctx).Version = pkg, name
	if err := b.readable(pkg); err != nil {
		return millpond.Ref{}, err
	}
	if err := b.nameVerdict(pkg); err != nil {
		return millpond.Ref{}, err
	}
	if t := b.takenDown(millpond.Key{Package: pkg}); t != nil {
		return millpond.Ref{}, t.blocked(millpond.Key{Package: pkg})
	}
	if ref, ok := b.refFromMemory(ctx, pkg, name); ok {
		if t := b.takenDown(millpond.Key{Package: pkg, Version: ref.Target}); t != nil {
			return millpond.Ref{}, t.blocked(millpond.Key{Package: pkg, Version: ref.Target})
		}
		return ref, nil
	}
	of := b.generation(pkg)
	h, err := b.hosted.record(ctx, pkg)
	if err != nil {
		return millpond.Ref{}, err
	}
	layers, err := b.below(ctx, pkg)
	if err != nil {
		return millpond.Ref{}, err
	}
	if h != nil {
		layers = append([]layer{b.hosted}, layers...)
	}
	if len(layers) == 0 {
		return millpond.Ref{}, b.unknown(pkg)
	}
	var last error
	for _, l := range layers {
		ref, err := l.ref(ctx, pkg, name, b.scope(fresh) != held)
		if millpond.Is(err, millpond.NotFound) || millpond.Is(err, millpond.Unsupported) {
			last = err
			continue
		}
		if err != nil {
			return millpond.Ref{}, err
		}
		if t := b.takenDown(millpond.Key{Package: pkg, Version: ref.Target}); t != nil {
			return millpond.Ref{}, t.blocked(millpond.Key{Package: pkg, Version: ref.Target})
		}
		b.refToMemory(l, pkg, ref, of)
		err = b.judge(ctx, l, millpond.Key{Package: pkg, Version: ref.Target}, nil, b.scope(known))
		if up, ok := l.(*upstream); ok && millpond.Is(err, millpond.Blocked) && b.info.Previous != nil && b.info.Previous(b.option) {
			return b.formerRef(ctx, up, pkg, ref, err)
		}
		return ref, err
	}
	return millpond.Ref{}, firstError(b.nothingLeft(ctx, pkg), last)
}

// formerRef is a ref with the last target before the one it has that may be read; why is the answer if there is none.
func (b *bound) formerRef(ctx context.Context, l *upstream, pkg string, ref millpond.Ref, why error) (millpond.Ref, error) {
	before, err := l.former(ctx, pkg, ref.Name)
	if err != nil {
		return ref, err
	}
	for _, target := range before {
		if b.takenDown(millpond.Key{Package: pkg, Version: target}) != nil || b.judge(ctx, l, millpond.Key{Package: pkg, Version: target}, nil, b.scope(known)) != nil {
			continue
		}
		ref.Target = target
		return ref, nil
	}
	return ref, why
}

// nothingLeft says that there were versions of a package, and that all were deleted or taken down; nil if that is not so, or
// not known.
func (b *bound) nothingLeft(ctx context.Context, pkg string) error {
	v, err := b.view(ctx, pkg, b.scope(known))
	switch {
	case millpond.Is(err, millpond.Gone):
		return err
	case err != nil || len(v.down) == 0 || len(v.pkg.Versions) > 0:
		return nil
	}
	for _, one := range v.all.Versions {
		if v.down[one.Name] == nil {
			return nil
		}
	}
	return &millpond.Error{Kind: millpond.Gone, Key: millpond.Key{Package: pkg}, Why: fmt.Sprintf("all versions of %s were taken down: %s", pkg, v.down[v.all.Versions[0].Name].Why)}
}

// lasts is how long a ref is served without asking its upstream.
func (r *Repository) lasts(name string) time.Duration {
	if r.info.Lasts != nil {
		if d := r.info.Lasts(r.option, name); d > 0 {
			return d
		}
	}
	return r.fresh()
}

func (l *upstream) ref(ctx context.Context, pkg, name string, asking bool) (millpond.Ref, error) {
	r, err := l.ask(ctx, inquiry{
		Question: catalog.Question{Kind: "ref", Package: pkg, Name: name},
		fresh:    l.repo.lasts(name),
		read: func(ctx context.Context, s *session, kept *catalog.Answer) ([]byte, error) {
			ref, err := l.format.Source(s).Ref(ctx, pkg, name)
			if err != nil || kept == nil || l.repo.info.Previous == nil {
				return []byte(ref.Target), err
			}
			return movedTo(ref.Target, kept.Record), nil
		},
	}, asking)
	if err != nil {
		return millpond.Ref{}, err
	}
	target, _, _ := strings.Cut(string(r.Record), "\n")
	return millpond.Ref{Name: name, Target: target, Layer: l.name, Checked: r.Checked}, nil
}

// movedTo is the record of a ref that points at target now.
func movedTo(target string, before []byte) []byte {
	all := strings.Split(string(before), "\n")
	all = slices.DeleteFunc(all, func(old string) bool { return old == target })
	all = append([]string{target}, all...)
	return []byte(strings.Join(all[:min(len(all), mostTargets)], "\n"))
}

// former are the targets that a ref had before, the last one first.
func (l *upstream) former(ctx context.Context, pkg, name string) ([]string, error) {
	a, err := l.pond.catalog.Answer(ctx, catalog.Question{Layer: l.id, Kind: "ref", Package: pkg, Name: name})
	if err != nil || a.Absent {
		return nil, others(err)
	}
	return strings.Split(string(a.Record), "\n")[1:], nil
}
