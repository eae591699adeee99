package repo

import (
	"context"
	"fmt"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// A Promotion brings versions that one repository hosts into another of the same format: the same bytes, none copied.
type Promotion struct {
	From, To string
	Items    []millpond.Key // Version "" is every version of the package
	DryRun   bool           // say what would come of it
	Why      string
}

// Promoted says what came of a Promotion.
type Promoted struct {
	Items []PromotedItem
}

// A PromotedItem is one version of it.
type PromotedItem struct {
	Key millpond.Key
	New bool // false if it was there already, with the same bytes
}

// errDryRun undoes the transaction of a dry run.
var errDryRun = &millpond.Error{Kind: millpond.Canceled, Why: "a dry run changes nothing"}

// Promote brings all items or none. The caller needs VerbRead where they come from and VerbPromote where they go. What the
// rules or a takedown keep from the caller is not promoted.
func (p *Pond) Promote(ctx context.Context, c Caller, pr Promotion) (*Promoted, error) {
	from, err := p.bound(c, pr.From)
	if err != nil {
		return nil, err
	}
	to, err := p.bound(c, pr.To)
	if err != nil {
		return nil, err
	}
	if from.info.Name != to.info.Name {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%s is of format %s and %s of %s", pr.From, from.info.Name, pr.To, to.info.Name)}
	}
	if pr.From == pr.To || len(pr.Items) == 0 {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "a promotion names something, and two repositories", Hint: "millpond promote staging release widget@1.2.0"}
	}
	items, err := p.promotable(ctx, from, to, pr)
	if err != nil {
		return nil, err
	}
	if to.config.ReadOnly {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: pr.To + " hosts nothing", Hint: "promote to a repository that hosts; its operator can change hosted: false"}
	}
	out := &Promoted{}
	err = p.catalog.Update(ctx, c.Actor, func(tx catalog.Tx) error {
		out.Items = nil
		rights, err := to.rights().Now(tx)
		if err != nil {
			return err
		}
		for _, k := range items {
			if err := to.allowed(rights, millpond.VerbPromote, k.Package); err != nil {
				return err
			}
			isNew, err := promoteOne(tx, from, to, rights, k, pr)
			if err != nil {
				return err
			}
			out.Items = append(out.Items, PromotedItem{Key: k, New: isNew})
		}
		if pr.DryRun {
			return errDryRun
		}
		return nil
	})
	for _, k := range items {
		p.forgetHosted(pr.To, k.Package)
	}
	if err == error(errDryRun) || pr.DryRun && millpond.Is(err, millpond.Canceled) && ctx.Err() == nil {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// promotable are the versions that are meant, each of which the caller may open where it is.
func (p *Pond) promotable(ctx context.Context, from, to *bound, pr Promotion) ([]millpond.Key, error) {
	var out []millpond.Key
	for _, k := range pr.Items {
		name, err := from.config.Format.Canon(k.Package)
		if err != nil {
			return nil, err
		}
		if err := from.readable(name); err != nil {
			return nil, err
		}
		if err := to.allowed(to.rights(), millpond.VerbPromote, name); err != nil {
			return nil, err
		}
		v, err := from.view(ctx, name, known)
		if err != nil {
			return nil, err
		}
		found := false
		for i := range v.all.Versions {
			one := &v.all.Versions[i]
			if k.Version != "" && from.config.Format.Compare(one.Name, k.Version) != 0 || one.Layer != "" {
				continue
			}
			key := millpond.Key{Package: name, Version: one.Name}
			if err := v.verdict(key); err != nil {
				return nil, err
			}
			found = true
			out = append(out, key)
		}
		if !found {
			return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s hosts no %s", pr.From, k)}
		}
	}
	return out, nil
}

func promoteOne(tx catalog.Tx, from, to *bound, rights Rights, k millpond.Key, pr Promotion) (bool, error) {
	v, err := tx.HostedVersion(from.config.Name, k.Package, k.Version)
	if err != nil {
		return false, err
	}
	if !v.Deleted.IsZero() {
		return false, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s was deleted from %s", k, pr.From)}
	}
	pkg, err := tx.HostedPackage(from.config.Name, k.Package)
	if err != nil {
		return false, err
	}
	r := format.Release{Package: k.Package, Display: pkg.Display, Version: v.Version, Meta: pkg.Meta}
	for _, f := range v.HostedFiles {
		if f.Deleted.IsZero() {
			r.Version.Files = append(r.Version.Files, f.File)
		}
	}
	// A ref that the other repository does not have goes along.
	for ref, err := range tx.HostedRefs(from.config.Name, k.Package, "", "") {
		if err != nil {
			return false, err
		}
		if ref.Target != k.Version {
			continue
		}
		there, err := found(tx.HostedRef(to.config.Name, k.Package, ref.Name))
		if err != nil {
			return false, err
		}
		if there == nil {
			r.Refs = append(r.Refs, millpond.Ref{Name: ref.Name, Target: ref.Target})
		}
	}
	if pr.Why != "" {
		if r.Detail, err = details(nil, "why", pr.Why); err != nil {
			return false, err
		}
	}
	p := &publishing{b: to, tx: tx, rights: rights, r: r, now: to.pond.now().Truncate(time.Millisecond), from: pr.From, verb: "promote"}
	receipt, err := p.run()
	if err != nil {
		return false, err
	}
	return receipt.New, nil
}
