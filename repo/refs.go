package repo

import (
	"context"
	"time"

	"millpond"
)

type refKey struct{ pkg, name string }

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
