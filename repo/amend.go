package repo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// Hosted implements format.Writer.
func (b *bound) Hosted(ctx context.Context, name string) (*format.Hosting, error) {
	if err := b.allowed(b.rights(), millpond.VerbPublish, name); err != nil {
		return nil, err
	}
	var h *format.Hosting
	err := b.pond.catalog.View(ctx, func(tx catalog.Tx) (err error) {
		h, err = hosting(tx, b.config.Name, name)
		return err
	})
	return h, b.orNotHosted(err, name)
}

func (b *bound) orNotHosted(err error, name string) error {
	if e, ok := errors.AsType[*millpond.Error](err); ok && e.Kind == millpond.NotFound && e.Why == "" || millpond.Is(err, millpond.NotFound) && !ok {
		return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name}, Why: fmt.Sprintf("%s hosts no %s", b.config.Name, name)}
	}
	return err
}

// again raises the package's count of changes.
func touch(tx catalog.Tx, repository, pkg string, now time.Time) error {
	p, err := tx.HostedPackage(repository, pkg)
	if err != nil {
		return err
	}
	p.Changed = now
	return tx.PutHostedPackage(p)
}

// Amend implements format.Writer.
func (b *bound) Amend(ctx context.Context, a format.Amendment) error {
	if err := b.May(ctx, millpond.VerbYank, a.Package); err != nil {
		return err
	}
	err := b.change(ctx, millpond.VerbYank, a.Package, func(tx catalog.Tx, _ Rights) error {
		was, err := hosting(tx, b.config.Name, a.Package)
		if err != nil {
			return err
		}
		now, err := hosting(tx, b.config.Name, a.Package) // Edit's own
		if err != nil {
			return err
		}
		if err := a.Edit(now); err != nil {
			return err
		}
		return b.amend(tx, a, was, now)
	})
	return b.orNotHosted(err, a.Package)
}

func (b *bound) amend(tx catalog.Tx, a format.Amendment, was, now *format.Hosting) error {
	if len(was.Versions) != len(now.Versions) || len(now.Parts) != 1 || !reflect.DeepEqual(was.Refs, now.Refs) {
		return fmt.Errorf("an amendment of %s changed more than what its records say", a.Package)
	}
	changed := false
	for i := range now.Versions {
		if reflect.DeepEqual(was.Versions[i], now.Versions[i]) {
			continue
		}
		if err := b.amendVersion(tx, a.Package, &was.Versions[i], &now.Versions[i]); err != nil {
			return err
		}
		changed = true
	}
	if !changed && was.Display == now.Display && slices.Equal(was.Parts[0].Meta, now.Parts[0].Meta) {
		return nil
	}
	p, err := tx.HostedPackage(b.config.Name, a.Package)
	if err != nil {
		return err
	}
	p.Display, p.Meta, p.Changed = now.Display, now.Parts[0].Meta, b.pond.now()
	if err := tx.PutHostedPackage(p); err != nil {
		return err
	}
	verb := a.Verb
	if verb == "" {
		verb = "amend"
	}
	detail, err := details(nil, "why", a.Why)
	if err != nil {
		return err
	}
	return tx.Emit(millpond.Event{Verb: verb, Repository: b.config.Name, Key: millpond.Key{Package: a.Package, Version: a.Version, File: a.File}, Detail: detail})
}

// amendVersion takes over what an amendment may change of a version, and refuses everything else.
func (b *bound) amendVersion(tx catalog.Tx, pkg string, was, now *millpond.Version) error {
	bare := func(v *millpond.Version) millpond.Version {
		out := *v
		out.Yanked, out.YankedWhy, out.Licence, out.Prerelease, out.Meta, out.Files = false, "", "", false, nil, nil
		for _, f := range v.Files {
			f.Yanked, f.YankedWhy, f.Meta = false, "", nil
			out.Files = append(out.Files, f)
		}
		return out
	}
	if !reflect.DeepEqual(bare(was), bare(now)) {
		return fmt.Errorf("an amendment of %s %s changed its name, its files or their bytes", pkg, was.Name)
	}
	v, err := tx.HostedVersion(b.config.Name, pkg, was.Name)
	if err != nil {
		return err
	}
	v.Yanked, v.YankedWhy, v.Licence, v.Prerelease, v.Meta = now.Yanked, now.YankedWhy, now.Licence, now.Prerelease, now.Meta
	for i := range v.HostedFiles {
		f := &v.HostedFiles[i]
		if one := now.File(f.Name); one != nil && f.Deleted.IsZero() {
			f.Yanked, f.YankedWhy, f.Meta = one.Yanked, one.YankedWhy, one.Meta
		}
	}
	return tx.PutHostedVersion(b.config.Name, pkg, v)
}

// Move implements format.Writer.
func (b *bound) Move(ctx context.Context, pkg string, refs ...millpond.Ref) error {
	if err := b.May(ctx, millpond.VerbPublish, pkg); err != nil {
		return err
	}
	err := b.change(ctx, millpond.VerbPublish, pkg, func(tx catalog.Tx, rights Rights) error {
		if _, err := tx.HostedPackage(b.config.Name, pkg); err != nil {
			return err
		}
		now := b.pond.now().Truncate(time.Millisecond)
		moved, err := b.moveRefs(tx, pkg, refs, now, rights)
		if err != nil || len(moved) == 0 {
			return err
		}
		if err := touch(tx, b.config.Name, pkg, now); err != nil {
			return err
		}
		detail, err := details(nil, "refs", moved)
		if err != nil {
			return err
		}
		return tx.Emit(millpond.Event{Verb: "move", Repository: b.config.Name, Key: millpond.Key{Package: pkg}, Detail: detail})
	})
	return b.orNotHosted(err, pkg)
}

// mayDelete says whether anything can be deleted here at all.
func (b *bound) mayDelete(ctx context.Context, pkg string) error {
	if err := b.May(ctx, millpond.VerbDelete, pkg); err != nil {
		return err
	}
	if !b.config.Volatile && !b.config.Unpublish && !b.info.Deletable {
		return &millpond.Error{Kind: millpond.Unsupported, Key: millpond.Key{Package: pkg}, Why: "what was published in " + b.config.Name + " is not deleted: builds rely on it",
			Hint: "yank or deprecate it, or take it down if it is dangerous; unpublish: true in the repository's configuration allows deletion"}
	}
	return nil
}

// Delete implements format.Writer.
func (b *bound) Delete(ctx context.Context, d format.Deletion) error {
	if err := b.mayDelete(ctx, d.Key.Package); err != nil {
		return err
	}
	err := b.change(ctx, millpond.VerbDelete, d.Key.Package, func(tx catalog.Tx, _ Rights) error {
		return b.deleteIn(tx, d, b.pond.now().Truncate(time.Millisecond))
	})
	return b.orNotHosted(err, d.Key.Package)
}

func (b *bound) deleteIn(tx catalog.Tx, d format.Deletion, now time.Time) error {
	k := d.Key
	if d.Settle != nil {
		now, err := hosting(tx, b.config.Name, k.Package)
		if err != nil {
			return err
		}
		if err := d.Settle(now, &d); err != nil {
			return err
		}
	}
	var versions []*catalog.HostedVersion
	if k.Version != "" || k.File != "" {
		v, err := tx.HostedVersion(b.config.Name, k.Package, k.Version)
		if err != nil {
			return b.orNotHosted(err, k.Package+" "+k.Version)
		}
		versions = append(versions, v)
	} else {
		for v, err := range tx.HostedVersions(b.config.Name, k.Package) {
			if err != nil {
				return err
			}
			versions = append(versions, v)
		}
	}
	files, gone := map[string]string{}, map[string]bool{}
	for _, v := range versions {
		if !v.Deleted.IsZero() {
			continue
		}
		left := 0
		for i := range v.HostedFiles {
			f := &v.HostedFiles[i]
			if !f.Deleted.IsZero() {
				continue
			}
			if k.File == "" || f.Name == k.File || f.Of == k.File {
				files[f.Name] = f.Blob.String()
				if k.File != "" {
					f.Deleted = now
				}
				continue
			}
			left++
		}
		if k.File != "" && files[k.File] == "" {
			return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s hosts no %s", b.config.Name, k)}
		}
		if k.File == "" || left == 0 {
			v.Deleted, v.DeletedBy, v.DeletedWhy = now, b.caller.Name, d.Why
			gone[v.Name] = true
		}
		if err := tx.PutHostedVersion(b.config.Name, k.Package, v); err != nil {
			return err
		}
	}
	if len(files) == 0 && len(gone) == 0 {
		return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s hosts no %s", b.config.Name, k)}
	}
	refs := slices.Clone(d.Refs)
	for ref, err := range tx.HostedRefs(b.config.Name, k.Package, "", "") {
		if err != nil {
			return err
		}
		if gone[ref.Target] && !slices.ContainsFunc(refs, func(r millpond.Ref) bool { return r.Name == ref.Name }) {
			refs = append(refs, millpond.Ref{Name: ref.Name})
		}
	}
	moved, err := b.moveRefs(tx, k.Package, refs, now, nil)
	if err != nil {
		return err
	}
	if err := touch(tx, b.config.Name, k.Package, now); err != nil {
		return err
	}
	detail, err := details(nil, "files", files, "refs", moved, "why", d.Why)
	if err != nil {
		return err
	}
	return tx.Emit(millpond.Event{Verb: "delete", Repository: b.config.Name, Key: k, Detail: detail})
}

// Restore implements format.Writer.
func (b *bound) Restore(ctx context.Context, k millpond.Key) error {
	if err := b.mayDelete(ctx, k.Package); err != nil {
		return err
	}
	err := b.change(ctx, millpond.VerbDelete, k.Package, func(tx catalog.Tx, _ Rights) error {
		restored, lost := 0, error(nil)
		for v, err := range tx.HostedVersions(b.config.Name, k.Package) {
			if err != nil {
				return err
			}
			if k.Version != "" && v.Name != k.Version {
				continue
			}
			n, err := restore(v, k)
			if k.Version == "" && millpond.Is(err, millpond.Gone) {
				lost = err // which is no reason to leave the others deleted
				continue
			}
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			restored += n
			var files []millpond.File
			for i := range v.HostedFiles {
				if v.HostedFiles[i].Deleted.IsZero() {
					files = append(files, v.HostedFiles[i].File)
				}
			}
			if err := b.provide(tx, millpond.Key{Package: k.Package, Version: v.Name}, files); err != nil {
				return err
			}
			if err := tx.PutHostedVersion(b.config.Name, k.Package, v); err != nil {
				return err
			}
		}
		if restored == 0 && lost != nil {
			return lost
		}
		if restored == 0 {
			return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("nothing of %s is deleted in %s", k, b.config.Name)}
		}
		if err := touch(tx, b.config.Name, k.Package, b.pond.now()); err != nil {
			return err
		}
		return tx.Emit(millpond.Event{Verb: "restore", Repository: b.config.Name, Key: k})
	})
	return b.orNotHosted(err, k.Package)
}

// restore brings back a version, or one file of it, in its record, and returns how much it was. A file that was deleted before
// its version, and whose bytes are gone, stays deleted.
func restore(v *catalog.HostedVersion, k millpond.Key) (int, error) {
	n, lost := 0, error(nil)
	for i := range v.HostedFiles {
		f := &v.HostedFiles[i]
		wanted := k.File == "" && (!v.Deleted.IsZero() || !f.Deleted.IsZero()) || f.Name == k.File && !later(f.Deleted, v.Deleted).IsZero()
		if !wanted {
			continue
		}
		if f.Purged {
			lost = &millpond.Error{Kind: millpond.Gone, Key: k, Why: fmt.Sprintf("%s was deleted on %s, and its bytes are gone", f.Name, day(later(f.Deleted, v.Deleted))),
				Hint: "what was deleted can be restored for a week"}
			if k.File != "" || f.Deleted.IsZero() {
				return 0, lost
			}
			continue
		}
		f.Deleted = time.Time{}
		n++
	}
	if n == 0 {
		return 0, lost
	}
	if !v.Deleted.IsZero() {
		if k.File != "" { // the other files stay deleted
			for i := range v.HostedFiles {
				if f := &v.HostedFiles[i]; f.Name != k.File && f.Deleted.IsZero() {
					f.Deleted = v.Deleted
				}
			}
		}
		v.Deleted, v.DeletedBy, v.DeletedWhy = time.Time{}, "", ""
	}
	return n, nil
}

// Other implements format.Writer.
func (b *bound) Other(_ context.Context, repository string) (format.Repo, error) {
	r := b.pond.Repository(repository)
	absent := &millpond.Error{Kind: millpond.Denied, Why: fmt.Sprintf("no repository %s, or %s may not read it", repository, orPond(b.caller.Name))}
	if r == nil || r.info.Name != b.info.Name {
		return nil, absent
	}
	other := &bound{Repository: r, caller: b.caller, Accounts: b.Accounts}
	if other.readable("") != nil {
		return nil, absent
	}
	return other, nil
}

// Secret implements format.Writer.
func (b *bound) Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	if b.pond.secrets == nil {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "this pond has no place for keys, and signs nothing"}
	}
	return b.pond.secrets.Secret(ctx, b.config.Name+"/"+name, make)
}

// noAccounts answer Unsupported to everything: the pond was given no identities.
type noAccounts struct{ actor millpond.Actor }

var errNoAccounts = &millpond.Error{Kind: millpond.Unsupported, Why: "this pond keeps no accounts"}

// Who implements format.Accounts.
func (n noAccounts) Who() millpond.Actor { return n.actor }

// Login implements format.Accounts.
func (noAccounts) Login(context.Context, string, string, format.Token) (*format.Token, error) {
	return nil, errNoAccounts
}

// BeginLogin implements format.Accounts.
func (noAccounts) BeginLogin(context.Context) (*format.LoginTicket, error) {
	return nil, errNoAccounts
}

// PollLogin implements format.Accounts.
func (noAccounts) PollLogin(context.Context, string) (*format.Token, error) {
	return nil, errNoAccounts
}

// Tokens implements format.Accounts.
func (noAccounts) Tokens(context.Context) ([]format.Token, error) { return nil, errNoAccounts }

// NewToken implements format.Accounts.
func (noAccounts) NewToken(context.Context, format.Token) (*format.Token, error) {
	return nil, errNoAccounts
}

// Revoke implements format.Accounts.
func (noAccounts) Revoke(context.Context, string) error { return errNoAccounts }

// Exchange implements format.Accounts.
func (noAccounts) Exchange(context.Context, string, string) (*format.Token, error) {
	return nil, errNoAccounts
}
