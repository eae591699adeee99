package repo

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/fetch"
	"millpond/format"
)

// A hosted is the layer of what was published here. It is the first layer of every repository, its name is "", and it is
// never ill: what cannot be read of it is an error, and no upstream is asked instead.
type hosted struct{ repo *Repository }

// everFresh is how long a listing that no upstream has a word in is fresh: until it changes, which makes a new one.
const everFresh = 365 * 24 * time.Hour

func (l *hosted) layerName() string { return "" }
func (l *hosted) union() bool       { return true }

func (l *hosted) state() fetch.State { return fetch.State{Name: "hosted"} }

func (l *hosted) name() string { return l.repo.config.Name }

// record is the record of a name, nil if nothing was ever published under it.
func (l *hosted) record(ctx context.Context, pkg string) (*catalog.HostedPackage, error) {
	var p *catalog.HostedPackage
	err := l.repo.pond.catalog.View(ctx, func(tx catalog.Tx) error {
		var err error
		p, err = tx.HostedPackage(l.name(), pkg)
		return err
	})
	if millpond.Is(err, millpond.NotFound) {
		return nil, nil
	}
	return p, err
}

// hides reports whether a name that is hosted here hides what other layers have of it.
func (r *Repository) hides(p *catalog.HostedPackage) bool {
	switch p.Merge {
	case "union":
		return false
	case "hide":
		return true
	}
	if c := r.claimOf(p.Name); c != nil && c.merge != "" {
		return c.merge != "union"
	}
	return !r.config.Union
}

// hostsBelow reports whether a name is hosted in a repository that this one reads through to, however far down.
func (r *Repository) hostsBelow(ctx context.Context, pkg string) (bool, error) {
	for _, l := range r.layers {
		s, ok := l.(*sibling)
		if !ok {
			continue
		}
		if hides, _, err := s.repo.hosts(ctx, pkg); err != nil || hides {
			return err == nil, err
		}
		if below, err := s.repo.hostsBelow(ctx, pkg); below || err != nil {
			return below, err
		}
	}
	return false, nil
}

func (l *hosted) listing(ctx context.Context, name string, _ bool) (*listing, error) {
	out := &listing{fresh: l.repo.pond.now().Add(everFresh), checked: l.repo.pond.now()}
	err := l.repo.pond.catalog.View(ctx, func(tx catalog.Tx) error {
		h, err := hosting(tx, l.name(), name)
		if err != nil {
			return err
		}
		out.pkg = &h.Package
		if says, ok := l.repo.config.Format.(format.Blocker); ok {
			out.pkg.Blocked = says.Blocked(name, h.Parts[0].Meta)
		}
		out.id = fmt.Sprintf("hosted %d %d", h.Created.UnixMilli(), h.Changes)
		out.changed = h.Changed
		out.deleted = slices.ContainsFunc(h.Deleted, func(d format.Deleted) bool { return d.Version != "" })
		return nil
	})
	if millpond.Is(err, millpond.NotFound) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("read what %s hosts of %s: %w", l.name(), name, err)
	}
	return out, nil
}

// hosting is a package as it is hosted: NotFound if nothing was ever published under the name.
func hosting(tx catalog.Tx, repository, name string) (*format.Hosting, error) {
	p, err := tx.HostedPackage(repository, name)
	if err != nil {
		return nil, err
	}
	h := &format.Hosting{Display: p.Display, Merge: p.Merge, Changes: p.Changes, Created: p.Created, Changed: p.Changed, By: map[string]string{}}
	h.Name = name
	h.Parts = []millpond.Part{{Meta: p.Meta}}
	for v, err := range tx.HostedVersions(repository, name) {
		if err != nil {
			return nil, err
		}
		h.By[v.Name] = v.By
		if !v.Deleted.IsZero() {
			h.Deleted = append(h.Deleted, format.Deleted{Version: v.Name, Time: v.Deleted, By: v.DeletedBy, Why: v.DeletedWhy})
		}
		one := v.Version
		one.Layer, one.Files = "", nil
		for i := range v.HostedFiles {
			f := &v.HostedFiles[i]
			if !f.Deleted.IsZero() || !v.Deleted.IsZero() {
				h.Deleted = append(h.Deleted, format.Deleted{Version: v.Name, File: f.Name, Time: later(f.Deleted, v.Deleted), By: f.By})
				continue
			}
			one.Files = append(one.Files, f.File)
		}
		if v.Name == "" {
			h.Loose = one.Files
		}
		if v.Name == "" || !v.Deleted.IsZero() {
			continue // files without a version are opened by name, and listed nowhere
		}
		h.Versions = append(h.Versions, one)
	}
	for ref, err := range tx.HostedRefs(repository, name, "", "") {
		if err != nil {
			return nil, err
		}
		h.Refs = append(h.Refs, millpond.Ref{Name: ref.Name, Target: ref.Target, Checked: ref.Moved})
	}
	return h, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (l *hosted) again(ctx context.Context, name string) (*listing, error) {
	return l.listing(ctx, name, false)
}

func (l *hosted) describe(ctx context.Context, pkg, version string, _ bool) (*millpond.Version, error) {
	got, err := l.listing(ctx, pkg, false)
	if err != nil {
		return nil, err
	}
	if v := got.pkg.Version(version); v != nil {
		return v, nil
	}
	return nil, &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: pkg, Version: version}}
}

func (l *hosted) locate(context.Context, millpond.Key) (*millpond.File, error) {
	return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "what is hosted is found in its records"}
}

func (l *hosted) has(ctx context.Context, k millpond.Key) (bool, error) {
	v, err := l.version(ctx, k.Package, k.Version)
	if millpond.Is(err, millpond.NotFound) {
		return false, nil
	}
	return err == nil && v.Deleted.IsZero(), err
}

func (l *hosted) version(ctx context.Context, pkg, version string) (v *catalog.HostedVersion, err error) {
	err = l.repo.pond.catalog.View(ctx, func(tx catalog.Tx) error {
		v, err = tx.HostedVersion(l.name(), pkg, version)
		return err
	})
	return v, err
}

// versionOf is the version of a file, with that file at least.
func (l *hosted) versionOf(ctx context.Context, k millpond.Key) (v *catalog.HostedVersion, err error) {
	if k.Version != "" {
		return l.version(ctx, k.Package, k.Version)
	}
	return l.some(ctx, k.Package, k.File)
}

// some are the files that belong to no version whose names begin with prefix.
func (l *hosted) some(ctx context.Context, pkg, prefix string) (v *catalog.HostedVersion, err error) {
	err = l.repo.pond.catalog.View(ctx, func(tx catalog.Tx) error {
		v, err = tx.HostedSome(l.name(), pkg, "", prefix)
		return err
	})
	return v, err
}

// flags are none: what is wrong with it is refused when it is published.
func (l *hosted) flags(context.Context, string) (map[[2]string]string, error) { return nil, nil }

func (l *hosted) holds(ctx context.Context, pkg string) (map[[2]string]bool, error) {
	got, err := l.listing(ctx, pkg, false)
	if millpond.Is(err, millpond.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	held := map[[2]string]bool{}
	for i := range got.pkg.Versions {
		for j := range got.pkg.Versions[i].Files {
			held[[2]string{got.pkg.Versions[i].Name, got.pkg.Versions[i].Files[j].Name}] = true
		}
	}
	return held, nil
}

// open opens a hosted file. f is its record; nil has it looked up.
func (l *hosted) open(ctx context.Context, k millpond.Key, f *millpond.File, o opening) (*millpond.Content, error) {
	if f == nil {
		v, err := l.versionOf(ctx, k)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(v.HostedFiles, func(one catalog.HostedFile) bool { return one.Name == k.File })
		if i < 0 || !v.Deleted.IsZero() || !v.HostedFiles[i].Deleted.IsZero() {
			return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("no file %s of %s in %s", k.File, k.Package, l.name())}
		}
		if e := v.HostedFiles[i].Expires; !e.IsZero() && !l.repo.pond.now().Before(e) {
			return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s of %s was never made part of anything, and has expired", k.File, k.Package)}
		}
		if o.stat {
			if err := l.renew(ctx, k, &v.HostedFiles[i]); err != nil {
				return nil, err
			}
		}
		f = &v.HostedFiles[i].File
	}
	t := TraceOf(ctx)
	t.Layer, t.Result, t.Digest = "", "hit", f.Blob.String()
	c := &millpond.Content{Size: f.Size, Digest: f.Blob, Digests: f.Digests, Type: f.Type, Modified: f.Published.Truncate(time.Second)}
	if o.stat {
		return c, nil
	}
	err := l.repo.pond.openBlob(ctx, c)
	if millpond.Is(err, millpond.NotFound) {
		// Nobody else has these bytes: it must never look as if they had never been.
		return nil, &millpond.Error{Kind: millpond.Unready, Key: k, Why: fmt.Sprintf("%s was published here, and its bytes are lost or damaged", k),
			Hint: "its operator finds more with millpond check; publish it again or restore it from a backup", Err: err}
	}
	return c, err
}

// renew keeps a file that belongs to no version for as long again as it was to be kept: who asks whether it is here is about
// to name it. It is written down once an hour at most, for as long as a day is what such files are kept.
func (l *hosted) renew(ctx context.Context, k millpond.Key, f *catalog.HostedFile) error {
	now := l.repo.pond.now()
	if k.Version != "" || f.Expires.IsZero() || f.Expires.Sub(now) > unused-time.Hour {
		return nil
	}
	p := l.repo.pond
	err := p.catalog.Update(ctx, byPond, func(tx catalog.Tx) error {
		v, err := tx.HostedVersion(l.name(), k.Package, k.Version)
		if err != nil {
			return err
		}
		for i := range v.HostedFiles {
			one := &v.HostedFiles[i]
			if one.Name == k.File && one.Deleted.IsZero() && one.Expires.After(now) && one.Expires.Before(now.Add(unused)) {
				one.Expires = now.Add(unused)
				return tx.PutHostedVersion(l.name(), k.Package, v)
			}
		}
		return nil
	})
	return p.spare(ctx, "that "+k.String()+" was asked for", err)
}

func (l *hosted) ref(ctx context.Context, pkg, name string, _ bool) (millpond.Ref, error) {
	var ref *catalog.HostedRef
	err := l.repo.pond.catalog.View(ctx, func(tx catalog.Tx) error {
		var err error
		ref, err = tx.HostedRef(l.name(), pkg, name)
		return err
	})
	if err != nil {
		return millpond.Ref{}, err
	}
	return millpond.Ref{Name: ref.Name, Target: ref.Target, Checked: ref.Moved}, nil
}

func (l *hosted) document(_ context.Context, k millpond.Key, _ bool) (*format.Document, error) {
	return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s hosts no further document of %s", l.name(), k.Package)}
}

// names are those that anything is hosted of. Its id changes with every change of any of them.
func (l *hosted) names(ctx context.Context, _ bool) (*nameList, error) {
	id := fmt.Sprintf("hosted %d", l.repo.hostedChanges.Load())
	return &nameList{id: id, fresh: l.repo.pond.now().Add(everFresh), each: func(yield func(format.Change, error) bool) {
		err := l.repo.pond.catalog.View(ctx, func(tx catalog.Tx) error {
			for p, err := range tx.HostedNames(l.name(), "") {
				if err != nil {
					return err
				}
				cursor := fmt.Sprintf("%d.%d", p.Created.UnixMilli(), p.Changes) // changes with every change of the package
				if !yield(format.Change{Name: p.Name, Display: p.Display, Time: p.Changed, Cursor: cursor}, nil) {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			yield(format.Change{}, err)
		}
	}}, nil
}

func (l *hosted) relay(context.Context, format.Question) (*http.Response, error) {
	return nil, &millpond.Error{Kind: millpond.NotFound, Why: "what is hosted answers no such question"}
}

// records are the records of the hosted names that begin with prefix. They are remembered until something is changed.
func (l *hosted) records(ctx context.Context, prefix string) ([]format.Record, error) {
	changes := l.repo.hostedChanges.Load() // before they are read: what changes meanwhile is read again
	if out, ok := l.repo.recorded.of(changes, prefix); ok {
		return out, nil
	}
	var out []format.Record
	err := l.repo.pond.catalog.View(ctx, func(tx catalog.Tx) error {
		for p, err := range tx.HostedNames(l.name(), prefix) { // those behind it
			if err != nil {
				return err
			}
			if !strings.HasPrefix(p.Name, prefix) {
				break
			}
			out = append(out, format.Record{Name: p.Name, Display: p.Display, Meta: p.Meta, Changed: p.Changed})
		}
		return nil
	})
	if err == nil {
		l.repo.recorded.keep(changes, prefix, out)
	}
	return out, err
}

// recorded remembers records by the prefix of their names.
type recorded struct {
	mu      sync.Mutex // guards the rest; never held across I/O
	changes int64      // the repository's count when they were read
	by      map[string][]format.Record
}

func (r *recorded) of(changes int64, prefix string) ([]format.Record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out, ok := r.by[prefix]
	return out, ok && r.changes == changes
}

func (r *recorded) keep(changes int64, prefix string, all []format.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil || r.changes != changes || len(r.by) > 10_000 {
		r.by, r.changes = map[string][]format.Record{}, changes
	}
	r.by[prefix] = all
}
