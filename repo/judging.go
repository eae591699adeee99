package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"millpond"
)

// Judge implements format.Judger.
func (b *bound) Judge(k millpond.Key, f *millpond.File) (time.Time, error) {
	if err := b.readable(k.Package); err != nil {
		return time.Time{}, err
	}
	if t := b.takenDown(k); t != nil {
		return time.Time{}, t.blocked(k)
	}
	if t := b.pond.takenDownBytes(f.Digests...); t != nil {
		return time.Time{}, t.blocked(k)
	}
	if b.policy == nil || k.Version == "" || b.unjudged(k) {
		return time.Time{}, nil
	}
	alone := &millpond.Package{Name: k.Package, Incomplete: true, Versions: []millpond.Version{
		{Name: k.Version, Partial: true, Seen: b.pond.now(), Files: []millpond.File{*f}}}}
	j := b.policy.Judge(b.pond.now(), b.config.Format, alone)
	if err := b.nameVerdict(k.Package); err != nil {
		return j.Until(), err
	}
	return j.Until(), blocked(k, j.File(k.Version, f.Name))
}

// Judging implements format.Judger.
func (b *bound) Judging() string {
	id := sha256.New()
	fmt.Fprintf(id, "%s\n%q\n%s\n", b.policy.ID(), b.claimTexts(), b.Readership())
	fmt.Fprintln(id, b.pond.down().digest)
	if mark, err := b.providedMark(b.pond.life); err != nil {
		fmt.Fprintln(id, b.pond.now()) // it is not known: what rests on it is made again
	} else {
		fmt.Fprintln(id, mark)
	}
	return hex.EncodeToString(id.Sum(nil)[:16])
}

// judge asks the rules about one version, or one file of it, outside a listing.
func (b *bound) judge(ctx context.Context, l layer, k millpond.Key, f *millpond.File, s scope) error {
	_, err := b.judgeUntil(ctx, l, k, f, opening{asking: s != held})
	return err
}

// judgeIn is judgeUntil for a file that may belong to several versions: as one of which it must pass. What rules have a word
// in and no known version needs is refused.
func (b *bound) judgeIn(ctx context.Context, l layer, k millpond.Key, f *millpond.File, o opening) (time.Time, error) {
	if k.Version != "" || f.In == nil {
		return b.judgeUntil(ctx, l, k, f, o)
	}
	var last error
	for _, name := range f.In {
		in := millpond.Key{Package: k.Package, Version: name, File: k.File}
		if t := b.takenDown(in); t != nil {
			last = t.blocked(in)
			continue
		}
		until, err := b.judgeUntil(ctx, l, in, f, o)
		if err == nil {
			return until, nil
		}
		last = err
	}
	if last != nil || b.policy == nil {
		return time.Time{}, last
	}
	alone := &millpond.Package{Name: k.Package, Incomplete: true, Versions: []millpond.Version{
		{Layer: l.layerName(), Partial: true, Seen: b.pond.now(), Files: []millpond.File{*f}}}}
	verdict, until := b.judgeOnce(alone, k, f)
	return until, blocked(k, verdict)
}

func (b *bound) judgeUntil(ctx context.Context, l layer, k millpond.Key, f *millpond.File, o opening) (time.Time, error) {
	if b.policy == nil || k.Version == "" || f != nil && b.unjudged(k) {
		return time.Time{}, nil
	}
	version := millpond.Version{Name: k.Version, Layer: l.layerName(), Partial: true, Seen: b.pond.now()}
	if f != nil {
		version.Files = []millpond.File{*f}
	}
	p := &millpond.Package{Name: k.Package, Incomplete: true, Versions: []millpond.Version{version}}
	verdict, until := b.judgeOnce(p, k, f)
	for range 2 { // a rule may need the description and then the listing
		if verdict.Opinion != millpond.Need {
			break
		}
		switch verdict.Need {
		case millpond.Description:
			// The rule's own words deny what cannot be described.
			if d, err := l.describe(ctx, k.Package, k.Version, o.asking); err == nil {
				d.Files, d.Partial = version.Files, false
				if d.Layer == "" {
					d.Layer = l.layerName()
				}
				p.Versions[0] = *d
			}
		case millpond.Listing:
			s := known
			if !o.asking {
				s = held
			}
			if v, err := b.Repository.view(ctx, k.Package, s); err == nil {
				p = withVersion(v.all, p.Versions[0])
			}
		}
		verdict, until = b.judgeOnce(p, k, f)
	}
	if verdict.Opinion != millpond.Pass && verdict.Opinion != millpond.Allow {
		TraceOf(ctx).Verdict = verdict.Opinion.String()
	}
	return until, blocked(k, verdict)
}

// judgeOnce is the verdict on one version, or one file of it, by what is known of the package.
func (b *bound) judgeOnce(p *millpond.Package, k millpond.Key, f *millpond.File) (millpond.Verdict, time.Time) {
	j := b.policy.Judge(b.pond.now(), b.config.Format, p)
	if f == nil {
		return j.Version(k.Version), j.Until()
	}
	return j.File(k.Version, k.File), j.Until()
}

// withVersion is the listing with one version in it as it is known now.
func withVersion(p *millpond.Package, v millpond.Version) *millpond.Package {
	out := *p
	out.Incomplete = false
	out.Versions = make([]millpond.Version, 0, len(p.Versions)+1)
	found := false
	for _, one := range p.Versions {
		if one.Name == v.Name {
			v.Seen = one.Seen
			one, found = v, true
		}
		out.Versions = append(out.Versions, one)
	}
	if !found {
		out.Versions = append(out.Versions, v)
	}
	return &out
}
