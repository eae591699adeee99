package repo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// provided are the entries that say whose files are installed by a name: see format.Provider. Their values are the packages, by
// scope. The one without a name counts them.
const provided = "provides"

func providedID(repository, name string) string { return repository + "/" + name }

// A provision is a name by which a file of a package is installed, in a scope.
type provision struct{ name, scope string }

// provisions are those of files, each once.
func (r *Repository) provisions(pkg string, files []millpond.File) []provision {
	f, ok := r.config.Format.(format.Provider)
	if !ok {
		return nil
	}
	var all []provision
	seen := map[provision]bool{}
	for i := range files {
		var p provision
		if p.name, p.scope = f.Provides(pkg, &files[i]); p.name != "" && !seen[p] {
			seen[p] = true
			all = append(all, p)
		}
	}
	return all
}

// provide makes the names of the release's files its package's, if the caller may publish them too.
func (p *publishing) provide() error {
	verb := millpond.VerbPublish
	if p.from != "" {
		verb = millpond.VerbPromote
	}
	for _, one := range p.b.provisions(p.r.Package, p.r.Version.Files) {
		if one.name == p.r.Package {
			continue
		}
		if err := p.b.allowed(p.rights, verb, one.name); err != nil {
			return err
		}
	}
	return p.b.provide(p.tx, p.key(), p.r.Version.Files)
}

// provide makes the names of a version's files its package's. Conflict for one that is another package's, as long as that has a
// file of it.
func (r *Repository) provide(tx catalog.Tx, k millpond.Key, files []millpond.File) error {
	for _, one := range r.provisions(k.Package, files) {
		of, err := providers(tx, r.config.Name, one.name)
		if err != nil {
			return err
		}
		other := of[one.scope]
		if other == k.Package {
			continue
		}
		if other != "" {
			if still, err := r.provides(tx, other, one); err != nil {
				return err
			} else if still {
				return &millpond.Error{Kind: millpond.Conflict, Key: k, Hint: "delete what " + other + " has of it first",
					Why: fmt.Sprintf("%s is of %s in %s, and cannot be of %s too", one.name, other, one.scope, k.Package)}
			}
		}
		if of == nil {
			n, err := countProvided(tx, r.config.Name)
			if err != nil {
				return err
			}
			if err := putEntry(tx, providedID(r.config.Name, ""), n+1); err != nil {
				return err
			}
			of = map[string]string{}
		}
		of[one.scope] = k.Package
		if err := putEntry(tx, providedID(r.config.Name, one.name), of); err != nil {
			return err
		}
	}
	return nil
}

func putEntry(tx catalog.Tx, id string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return tx.PutEntry(&catalog.Entry{Kind: provided, ID: id, Value: raw})
}

// countProvided is of how many names a file was ever published.
func countProvided(tx catalog.Tx, repository string) (n int64, err error) {
	e, err := found(tx.Entry(provided, providedID(repository, "")))
	if e == nil || err != nil {
		return 0, err
	}
	return n, json.Unmarshal(e.Value, &n)
}

// providers are the packages of whose files one is installed by a name, by scope; nil if there was never one.
func providers(tx catalog.Tx, repository, name string) (of map[string]string, err error) {
	e, err := found(tx.Entry(provided, providedID(repository, name)))
	if e == nil || err != nil {
		return nil, err
	}
	return of, json.Unmarshal(e.Value, &of)
}

// provides reports whether a package has a file of that name still.
func (r *Repository) provides(tx catalog.Tx, pkg string, one provision) (bool, error) {
	now, err := found(hosting(tx, r.config.Name, pkg))
	if now == nil || err != nil {
		return false, err
	}
	for i := range now.Versions {
		for _, has := range r.provisions(pkg, now.Versions[i].Files) {
			if has == one {
				return true, nil
			}
		}
	}
	return false, nil
}

// hosts reports whether something was published here under a name, be it a package's or one that a file is installed by, so that
// it hides what other layers have of it; ever is whether anything was.
func (r *Repository) hosts(ctx context.Context, name string) (hides, ever bool, err error) {
	_, provides := r.config.Format.(format.Provider)
	err = r.pond.catalog.View(ctx, func(tx catalog.Tx) error {
		hides, ever = false, false
		names := map[string]bool{name: true}
		if provides {
			of, err := providers(tx, r.config.Name, name)
			if err != nil {
				return err
			}
			for _, pkg := range of {
				names[pkg] = true
			}
			ever = len(of) > 0
		}
		for one := range names {
			p, err := found(tx.HostedPackage(r.config.Name, one))
			if err != nil {
				return err
			}
			ever = ever || p != nil
			hides = hides || p != nil && r.hides(p)
		}
		return nil
	})
	return hides, ever, err
}

// A nameCount is how many names files were published under, as of a state of what is hosted.
type nameCount struct{ of, n int64 }

// countNames writes how many names files were published under here.
func (r *Repository) countNames(ctx context.Context, to *strings.Builder) error {
	now := r.hostedChanges.Load() // before it is looked up
	c := r.names.Load()
	if c == nil || c.of != now {
		c = &nameCount{of: now}
		if err := r.pond.catalog.View(ctx, func(tx catalog.Tx) (err error) {
			c.n, err = countProvided(tx, r.config.Name)
			return err
		}); err != nil {
			return err
		}
		r.names.Store(c)
	}
	fmt.Fprintf(to, "%d ", c.n)
	return nil
}

// mayProvide is an error if the caller may not publish every name of the release's files.
func (b *bound) mayProvide(ctx context.Context, r *format.Release) error {
	for _, one := range b.provisions(r.Package, r.Version.Files) {
		if one.name == r.Package {
			continue
		}
		if err := b.May(ctx, millpond.VerbPublish, one.name); err != nil {
			return err
		}
	}
	return nil
}

// providedMark changes when there are more names that files are installed by, here or in the repositories below; "" where the
// format has none.
func (r *Repository) providedMark(ctx context.Context) (string, error) {
	if _, ok := r.config.Format.(format.Provider); !ok {
		return "", nil
	}
	var mark strings.Builder
	err := r.countNames(ctx, &mark)
	for _, l := range r.layers {
		if s, ok := l.(*sibling); ok && err == nil {
			var below string
			below, err = s.repo.providedMark(ctx)
			mark.WriteString(below)
		}
	}
	return mark.String(), err
}
