package repo

import (
	"context"
	"fmt"
	"time"

	"millpond"
	"millpond/format"
)

// For is the repository as one caller may use it.
func (r *Repository) For(c Caller) format.Repo { return r.bind(c) }

func (r *Repository) bind(c Caller) *bound {
	b := &bound{Repository: r, caller: c, Accounts: c.Accounts}
	if b.Accounts == nil {
		b.Accounts = noAccounts{c.Actor}
	}
	return b
}

// A bound is a repository as one caller uses it.
type bound struct {
	*Repository
	format.Accounts
	caller   Caller
	heldOnly bool
}

func (b *bound) scope(s scope) scope {
	if b.heldOnly || b.pond.offline() {
		return held
	}
	return s
}

// Held implements format.Reader.
func (b *bound) Held() format.Repo {
	h := *b
	h.heldOnly = true
	return &h
}

// Package implements format.Reader.
func (b *bound) Package(ctx context.Context, name string) (*millpond.Package, error) {
	return b.packageIn(ctx, name, b.scope(fresh))
}

// LastKnown implements format.LastKnower.
func (b *bound) LastKnown(ctx context.Context, name string) (*millpond.Package, error) {
	return b.packageIn(b.Aside(ctx), name, b.scope(known))
}

func (b *bound) packageIn(ctx context.Context, name string, s scope) (*millpond.Package, error) {
	TraceOf(ctx).Package = name
	if err := b.readable(name); err != nil {
		return nil, err
	}
	if err := b.nameVerdict(name); err != nil {
		return nil, err
	}
	v, err := b.view(ctx, name, s)
	if err != nil {
		return nil, err
	}
	return v.pkg, nil
}

// Refresh implements format.Reader.
func (b *bound) Refresh(ctx context.Context, name string) error {
	if err := b.readable(name); err != nil {
		return err
	}
	if err := b.nameVerdict(name); err != nil || b.scope(fresh) == held {
		return err
	}
	below, err := b.below(ctx, name)
	if err != nil {
		return err
	}
	for _, l := range below {
		// What an upstream answers is in the records, or is asked for again by whoever reads on.
		if _, err := l.again(ctx, name); err != nil && ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// Stamp implements format.Reader.
func (b *bound) Stamp(ctx context.Context, name string) (string, time.Time, error) {
	if err := b.readable(name); err != nil {
		return "", time.Time{}, err
	}
	if name == "" {
		return b.namesStamp(ctx)
	}
	TraceOf(ctx).Package = name
	if err := b.nameVerdict(name); err != nil {
		return "", time.Time{}, err
	}
	v, err := b.glance(ctx, name, b.scope(fresh))
	if err != nil {
		return "", time.Time{}, err
	}
	if since, ok := b.pond.stamps.GetIfPresent(v.stamp); !ok || !since.Equal(v.modify) { // a look is cheaper than a write
		b.pond.stamps.Set(v.stamp, v.modify)
	}
	return v.stamp, v.fresh, nil
}

// nameVerdict is the rules' word where the name alone decides it.
func (r *Repository) nameVerdict(name string) error {
	err := blocked(millpond.Key{Package: name}, r.policy.NameOnly(r.pond.now(), name))
	if err != nil && (name == "" || r.apart(name)) {
		return nil // it is of no package
	}
	return err
}

// blocked is a verdict as the error a client gets; nil if it lets the file through.
func blocked(k millpond.Key, v millpond.Verdict) error {
	switch v.Opinion {
	case millpond.Deny, millpond.Hold:
		return &millpond.Error{Kind: millpond.Blocked, Key: k, Why: v.Why, After: v.After}
	case millpond.Need:
		return &millpond.Error{Kind: millpond.Blocked, Key: k, Why: v.Why,
			Hint: "a rule needs to know more of it than its upstream says; what cannot be judged is refused"}
	}
	return nil
}

// Kept implements format.Reader.
func (b *bound) Kept(ctx context.Context, p millpond.Part) (*format.Document, error) {
	d, err := b.pond.kept(ctx, p.Document)
	if millpond.Is(err, millpond.NotFound) && !p.Document.IsZero() {
		// Its listing is here, and says that there is such a package.
		if e := b.pond.spare(ctx, "a lost document", b.pond.catalog.LoseBlob(ctx, p.Document)); e != nil {
			return nil, e
		}
		b.pond.forgetBlob(p.Document)
		err = lostDocument(err)
	}
	if err != nil {
		return nil, err
	}
	d.Layer = p.Layer
	return d, nil
}

// Document implements format.Reader.
func (b *bound) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	t := TraceOf(ctx)
	t.Package, t.Version, t.File = k.Package, k.Version, k.File
	if err := b.readable(k.Package); err != nil {
		return nil, err
	}
	if err := b.nameVerdict(k.Package); err != nil {
		return nil, err
	}
	layers, err := b.below(ctx, k.Package)
	if err != nil {
		return nil, err
	}
	if k.Version != "" {
		// A version's documents come from the layer that has the version.
		v, err := b.view(ctx, k.Package, b.scope(known))
		if err != nil {
			return nil, err
		}
		if v.all.Blocked != "" {
			return nil, &millpond.Error{Kind: millpond.Blocked, Key: k, Why: v.all.Blocked}
		}
		version := v.all.Version(k.Version)
		if version == nil {
			return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("no version %s of %s", k.Version, k.Package)}
		}
		if err := v.verdict(k); err != nil {
			return nil, err
		}
		layers = []layer{b.layer(layerOf(version.Layer))}
	}
	if len(layers) == 0 {
		if h, err := b.hosted.record(ctx, k.Package); err != nil || h != nil {
			return nil, firstError(err, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s hosts no further document of %s", b.config.Name, k.Package)})
		}
		return nil, b.unknown(k.Package)
	}
	var last error
	for _, l := range layers {
		d, err := l.document(ctx, k, b.scope(fresh) != held)
		if err == nil {
			return d, nil
		}
		if last = err; !millpond.Is(err, millpond.NotFound) {
			break
		}
	}
	return nil, last
}

// verdict is what takedowns and then the rules say of a version, or of a file of it.
func (v *view) verdict(k millpond.Key) error {
	t := v.down[k.Version]
	if t == nil {
		t = v.cut[k.Version][k.File]
	}
	if t != nil {
		return t.blocked(k)
	}
	if v.judged == nil {
		return nil
	}
	if k.File != "" {
		if f := v.all.Version(k.Version); f != nil && f.File(k.File) != nil {
			return blocked(k, v.judged.File(k.Version, k.File))
		}
	}
	return blocked(k, v.judged.Version(k.Version))
}
