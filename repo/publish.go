package repo

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// May implements format.Writer.
func (b *bound) May(ctx context.Context, v millpond.Verb, pkg string) error {
	// What the configuration says to every reader needs no credential to be told.
	if !b.config.ReadOnly || v == millpond.VerbRead || b.readable(pkg) != nil {
		if err := b.allowed(b.rights(), v, pkg); err != nil {
			return err
		}
	}
	if v == millpond.VerbRead {
		return nil
	}
	if b.config.ReadOnly {
		return &millpond.Error{Kind: millpond.Unsupported, Key: millpond.Key{Package: pkg}, Why: b.config.Name + " takes no publishes",
			Hint: "publish to a repository that hosts; its operator can change hosted: false"}
	}
	if err := b.pond.Stopped(); err != nil {
		return &millpond.Error{Kind: millpond.Unready, Why: "nothing can be written until the pond is restarted", Err: err}
	}
	if v != millpond.VerbPublish || pkg == "" {
		return nil
	}
	return b.ours(ctx, pkg)
}

// change runs f in a transaction of the caller's, whose rights are asked again inside it, and forgets what memory holds of
// the package.
func (b *bound) change(ctx context.Context, v millpond.Verb, pkg string, f func(tx catalog.Tx, rights Rights) error) error {
	err := b.pond.catalog.Update(ctx, b.caller.Actor, func(tx catalog.Tx) error {
		rights, err := b.rights().Now(tx)
		if err != nil {
			return err
		}
		if err := b.allowed(rights, v, pkg); err != nil {
			return err
		}
		return f(tx, rights)
	})
	// Also after an error: a commit whose outcome is not known may have happened.
	b.pond.forgetHosted(b.config.Name, pkg)
	return err
}

// forgetHosted drops what memory holds of a package that was changed here.
func (p *Pond) forgetHosted(repository, pkg string) {
	if r := p.Repository(repository); r != nil {
		r.hostedChanges.Add(1)
	}
	p.forgetViews(pkg) // before the change is told: who is told reads anew
	if r := p.Repository(repository); r != nil {
		r.changes.add(pkg)
	}
}

// Publish implements format.Writer.
func (b *bound) Publish(ctx context.Context, r format.Release) (*format.Receipt, error) {
	t := TraceOf(ctx)
	t.Package, t.Version = r.Package, r.Version.Name
	if err := b.May(ctx, millpond.VerbPublish, r.Package); err != nil {
		return nil, err
	}
	if err := b.mayProvide(ctx, &r); err != nil {
		return nil, err
	}
	// Until the records name the blobs no sweep may take them: one that nothing names may be a day old.
	b.pond.naming.RLock()
	defer b.pond.naming.RUnlock()
	for i := range r.Version.Files {
		f := &r.Version.Files[i]
		info, err := b.pond.blobs.Stat(ctx, f.Blob)
		if err != nil {
			return nil, fmt.Errorf("publish %s: the bytes of %s: %w", r.Package, f.Name, err)
		}
		f.Size = info.Size
	}
	var receipt *format.Receipt
	err := b.change(ctx, millpond.VerbPublish, r.Package, func(tx catalog.Tx, rights Rights) error {
		p := &publishing{b: b, tx: tx, rights: rights, r: r, now: b.pond.now().Truncate(time.Millisecond)}
		p.r.Version.Files = slices.Clone(r.Version.Files)
		p.r.Refs = slices.Clone(r.Refs)
		var err error
		receipt, err = p.run()
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipt, nil
}

// A publishing is one release on its way into the records, within one transaction.
type publishing struct {
	b      *bound
	tx     catalog.Tx
	rights Rights
	r      format.Release
	now    time.Time
	pkg    *catalog.HostedPackage // as it was; nil if the name is new
	old    *catalog.HostedVersion // as it was; nil if the version is new
	before map[string]string      // of files that got other bytes: what they were
	added  []string               // names of files that are new or other
	from   string                 // the repository it is promoted from
	verb   string                 // of the event
}

func (p *publishing) key() millpond.Key {
	return millpond.Key{Package: p.r.Package, Version: p.r.Version.Name}
}

func (p *publishing) run() (*format.Receipt, error) {
	var err error
	if p.pkg, err = found(p.tx.HostedPackage(p.b.config.Name, p.r.Package)); err != nil {
		return nil, err
	}
	if p.r.Settle != nil {
		now, err := found(hosting(p.tx, p.b.config.Name, p.r.Package))
		if err != nil {
			return nil, err
		}
		if err := p.r.Settle(now, &p.r); err != nil {
			return nil, err
		}
	}
	few, err := p.readOld()
	if err != nil {
		return nil, err
	}
	v, err := p.version()
	if err != nil {
		return nil, err
	}
	shown := v.Version
	shown.Files = nil
	for i := range v.HostedFiles {
		if v.HostedFiles[i].Deleted.IsZero() {
			shown.Files = append(shown.Files, v.HostedFiles[i].File)
		}
	}
	if p.old != nil && p.old.Deleted.IsZero() && len(p.added) == 0 && p.r.Loose == 0 {
		return &format.Receipt{Version: &shown}, p.again()
	}
	if err := p.provide(); err != nil {
		return nil, err
	}
	if err := p.putPackage(); err != nil {
		return nil, err
	}
	put := p.tx.PutHostedVersion
	if few {
		put = p.tx.PutHostedFiles
	}
	if err := put(p.b.config.Name, p.r.Package, v); err != nil {
		return nil, err
	}
	if p.r.Loose > 0 {
		return &format.Receipt{Version: &shown, New: len(p.added) > 0}, nil
	}
	moved, err := p.b.moveRefs(p.tx, p.r.Package, p.r.Refs, p.now, nil)
	if err != nil {
		return nil, err
	}
	return &format.Receipt{Version: &shown, New: true}, p.emit(v, moved)
}

// readOld reads the version as it is. Of the files that belong to none there may be thousands, so that those alone are read
// which are published: few says so.
func (p *publishing) readOld() (few bool, err error) {
	if p.r.Loose > 0 && p.r.Version.Name == "" && len(p.r.Version.Files) > 0 {
		prefix := p.r.Version.Files[0].Name
		for i := range p.r.Version.Files {
			for !strings.HasPrefix(p.r.Version.Files[i].Name, prefix) {
				prefix = prefix[:len(prefix)-1]
			}
		}
		p.old, err = found(p.tx.HostedSome(p.b.config.Name, p.r.Package, "", strings.ToValidUTF8(prefix, "")))
		if few = p.old == nil || p.old.Deleted.IsZero(); few || err != nil {
			return few, err
		}
	}
	p.old, err = found(p.tx.HostedVersion(p.b.config.Name, p.r.Package, p.r.Version.Name))
	return false, err
}

// again publishes what is there already: of what is named by its bytes the refs are set all the same.
func (p *publishing) again() error {
	if !p.r.ByDigest || len(p.r.Refs) == 0 {
		return nil
	}
	moved, err := p.b.moveRefs(p.tx, p.r.Package, p.r.Refs, p.now, nil)
	if err != nil || len(moved) == 0 {
		return err
	}
	if err := touch(p.tx, p.b.config.Name, p.r.Package, p.now); err != nil {
		return err
	}
	detail, err := details(p.r.Detail, "refs", moved)
	if err != nil {
		return err
	}
	return p.tx.Emit(millpond.Event{Verb: "move", Repository: p.b.config.Name, Key: p.key(), Detail: detail})
}

// found makes "there is none" a nil.
func found[T any](v *T, err error) (*T, error) {
	if millpond.Is(err, millpond.NotFound) {
		return nil, nil
	}
	return v, err
}

func (p *publishing) putPackage() error {
	rec := &catalog.HostedPackage{Repository: p.b.config.Name, Name: p.r.Package, Created: p.now}
	if p.pkg != nil {
		if p.r.Loose > 0 {
			return nil // nobody sees a difference
		}
		rec = p.pkg
	}
	rec.Changed = p.now
	if p.r.Display != "" {
		rec.Display = p.r.Display
	}
	if p.r.Meta != nil {
		rec.Meta = p.r.Meta
	}
	return p.tx.PutHostedPackage(rec)
}

// version is the version as it is to be; added and before tell what of it is new.
func (p *publishing) version() (*catalog.HostedVersion, error) {
	v := &catalog.HostedVersion{Version: p.r.Version, By: p.b.caller.Name, From: p.from}
	v.Files, v.Layer, v.Seen = nil, "", p.now
	if v.Published.IsZero() {
		v.Published = p.now
	}
	volatile := p.b.config.Volatile && p.rights.May(millpond.VerbOverwrite, p.b.config.Name, p.r.Package)
	have := map[string]*catalog.HostedFile{}
	if p.old != nil {
		// Files of no version have no number that could be taken.
		if !p.old.Deleted.IsZero() && !volatile && !p.r.ByDigest && p.old.Name != "" {
			return nil, &millpond.Error{Kind: millpond.Gone, Key: p.key(),
				Why:  fmt.Sprintf("%s of %s was deleted by %s on %s: a number is never taken again", p.old.Name, p.r.Package, p.old.DeletedBy, day(p.old.Deleted)),
				Hint: "publish it under a new number"}
		}
		if p.old.Deleted.IsZero() {
			v.Published, v.Seen, v.By, v.From = p.old.Published, p.old.Seen, p.old.By, p.old.From
			v.Yanked, v.YankedWhy = p.old.Yanked, p.old.YankedWhy
			if p.r.Grows && v.Meta == nil {
				v.Meta = p.old.Meta
			}
		}
		for i := range p.old.HostedFiles {
			f := &p.old.HostedFiles[i]
			if p.old.Deleted.IsZero() || !f.Deleted.IsZero() {
				have[f.Name] = f
			}
		}
	}
	p.before = map[string]string{}
	named := map[string]bool{}
	for i := range p.r.Version.Files {
		f, err := p.file(&p.r.Version.Files[i], have[p.r.Version.Files[i].Name], volatile)
		if err != nil {
			return nil, err
		}
		named[f.Name] = true
		v.HostedFiles = append(v.HostedFiles, *f)
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if named[name] {
			continue
		}
		if f := have[name]; p.r.Grows || !f.Deleted.IsZero() || p.r.Loose > 0 {
			v.HostedFiles = append(v.HostedFiles, *f)
		} else if !volatile {
			return nil, p.conflict(name + " is not among the files now sent")
		} else {
			p.before[name] = f.Blob.String()
			p.added = append(p.added, name)
		}
	}
	slices.SortFunc(v.HostedFiles, func(a, b catalog.HostedFile) int { return strings.Compare(a.Name, b.Name) })
	if p.old != nil && p.old.Deleted.IsZero() && !p.r.Grows && p.r.Loose == 0 && len(p.added) > 0 && !volatile && !p.r.Replaces {
		return nil, p.conflict(p.added[0] + " is not among its files")
	}
	return v, nil
}

// file is one file as it is to be, in place of what is there.
func (p *publishing) file(f *millpond.File, old *catalog.HostedFile, volatile bool) (*catalog.HostedFile, error) {
	out := &catalog.HostedFile{File: *f, By: p.b.caller.Name}
	if p.r.Loose > 0 {
		out.Expires = p.now.Add(p.r.Loose)
	}
	if out.Published.IsZero() {
		out.Published = p.now
	}
	out.Seen, out.URL, out.Vanished, out.Corrupt = p.now, "", false, false
	switch {
	case old == nil:
	case !old.Deleted.IsZero():
		if !volatile && !p.r.ByDigest && p.r.Version.Name != "" {
			return nil, &millpond.Error{Kind: millpond.Gone, Key: millpond.Key{Package: p.r.Package, Version: p.r.Version.Name, File: f.Name},
				Why: fmt.Sprintf("%s was deleted on %s: its name is never taken again", f.Name, day(old.Deleted)), Hint: "publish under a new version"}
		}
	case old.Blob == f.Blob:
		kept := *old
		if p.r.Loose > 0 {
			kept.Expires = out.Expires
		}
		return &kept, nil
	case p.r.Replaces && (p.b.config.Volatile || p.rights.May(millpond.VerbOverwrite, p.b.config.Name, p.r.Package)), volatile:
		p.before[f.Name] = old.Blob.String()
	default:
		return nil, p.conflict(f.Name + " exists with other bytes")
	}
	p.added = append(p.added, f.Name)
	return out, nil
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006") }

func (p *publishing) conflict(what string) error {
	hint := "publish it under a new version"
	if p.b.config.Volatile {
		hint = "the repository is volatile: with the right to overwrite it could be replaced"
	}
	return &millpond.Error{Kind: millpond.Conflict, Key: p.key(), Hint: hint,
		Why: fmt.Sprintf("%s; %s of %s was published by %s on %s", what, p.old.Name, p.r.Package, orPond(p.old.By), day(p.old.Published))}
}

func orPond(name string) string {
	if name == "" {
		return "somebody anonymous"
	}
	return name
}

func (p *publishing) emit(v *catalog.HostedVersion, moved map[string][2]string) error {
	files := map[string]string{}
	for _, f := range v.HostedFiles {
		if slices.Contains(p.added, f.Name) {
			files[f.Name] = f.Blob.String()
		}
	}
	e := millpond.Event{Verb: "publish", Repository: p.b.config.Name, Key: p.key()}
	if len(p.before) > 0 {
		e.Verb = "overwrite"
	}
	if p.verb != "" {
		e.Verb = p.verb
	}
	if len(p.added) == 1 {
		e.Key.File = p.added[0]
	}
	var err error
	e.Detail, err = details(p.r.Detail, "files", files, "before", p.before, "refs", moved, "from", p.from, "claims", p.b.caller.Claims)
	if err != nil {
		return err
	}
	return p.tx.Emit(e)
}

// details add to the JSON object more what is not empty of the pairs.
func details(more json.RawMessage, pairs ...any) (json.RawMessage, error) {
	out := map[string]any{}
	if more != nil {
		if err := json.Unmarshal(more, &out); err != nil {
			return nil, fmt.Errorf("the detail of an event: %w", err)
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		switch v := pairs[i+1].(type) {
		case string:
			if v == "" {
				continue
			}
		case json.RawMessage:
			if len(v) == 0 {
				continue
			}
		case map[string]string:
			if len(v) == 0 {
				continue
			}
		case map[string][2]string:
			if len(v) == 0 {
				continue
			}
		}
		out[pairs[i].(string)] = pairs[i+1]
	}
	if len(out) == 0 {
		return nil, nil
	}
	return json.Marshal(out)
}

// moveRefs sets refs and returns what each was and is. rights, if not nil, are asked for VerbMove where a ref was there.
func (b *bound) moveRefs(tx catalog.Tx, pkg string, refs []millpond.Ref, now time.Time, rights Rights) (map[string][2]string, error) {
	moved := map[string][2]string{}
	for _, ref := range refs {
		old, err := found(tx.HostedRef(b.config.Name, pkg, ref.Name))
		if err != nil {
			return nil, err
		}
		was := ""
		if old != nil {
			was = old.Target
		}
		if was == ref.Target {
			continue
		}
		if old != nil && rights != nil {
			if err := b.allowed(rights, millpond.VerbMove, pkg); err != nil {
				return nil, err
			}
		}
		if ref.Target != "" {
			v, err := found(tx.HostedVersion(b.config.Name, pkg, ref.Target))
			if err != nil {
				return nil, err
			}
			if v == nil || !v.Deleted.IsZero() {
				return nil, &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: pkg, Version: ref.Target},
					Why: fmt.Sprintf("%s cannot point at %s of %s: it is not hosted in %s", ref.Name, ref.Target, pkg, b.config.Name)}
			}
		}
		if err := tx.PutHostedRef(b.config.Name, pkg, &catalog.HostedRef{Name: ref.Name, Target: ref.Target, Moved: now, By: b.caller.Name}); err != nil {
			return nil, err
		}
		moved[ref.Name] = [2]string{was, ref.Target}
	}
	return moved, nil
}
