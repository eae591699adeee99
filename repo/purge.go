package repo

import (
	"context"
	"slices"
	"time"

	"millpond"
	"millpond/catalog"
)

// eachHosted calls f for every version that is hosted, or was and is deleted, in every repository that anything is hosted in.
func (p *Pond) eachHosted(ctx context.Context, f func(repository, pkg string, v *catalog.HostedVersion) error) error {
	var repositories []string // those too that are not configured, or not yet
	if err := p.catalog.View(ctx, func(tx catalog.Tx) (err error) {
		repositories, err = tx.HostedRepositories()
		return err
	}); err != nil {
		return err
	}
	for _, repository := range repositories {
		var names []string
		err := p.catalog.View(ctx, func(tx catalog.Tx) error {
			for one, err := range tx.HostedNames(repository, "") {
				if err != nil {
					return err
				}
				names = append(names, one.Name)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, name := range names {
			var versions []*catalog.HostedVersion
			err := p.catalog.View(ctx, func(tx catalog.Tx) error {
				versions = nil
				for v, err := range tx.HostedVersions(repository, name) {
					if err != nil {
						return err
					}
					versions = append(versions, v)
				}
				return nil
			})
			if err != nil {
				return err
			}
			for _, v := range versions {
				if err := f(repository, name, v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// purge lets go of the bytes of what was deleted longer ago than it can be restored, and of files that belong to no version
// and have expired. What a takedown names stays: it is evidence.
func (p *Pond) purge(ctx context.Context, now time.Time) error {
	return p.eachHosted(ctx, func(repository, pkg string, v *catalog.HostedVersion) error {
		if !p.purgeable(repository, pkg, v, now) {
			return nil
		}
		freed := false
		err := p.catalog.Update(ctx, byPond, func(tx catalog.Tx) error {
			freed = false
			v, err := tx.HostedVersion(repository, pkg, v.Name) // as it is now: it may have been restored
			if err != nil || !p.purgeable(repository, pkg, v, now) {
				return err
			}
			kept := v.HostedFiles[:0]
			for _, f := range v.HostedFiles {
				if !f.Expires.IsZero() && f.Expires.Before(now) {
					continue
				}
				if p.letGo(repository, pkg, v, &f, now) {
					f.Purged = true
				}
				kept = append(kept, f)
			}
			v.HostedFiles = kept
			if err := tx.PutHostedVersion(repository, pkg, v); err != nil || v.Name != "" || len(kept) > 0 {
				return err
			}
			freed, err = freeUnfinished(tx, repository, pkg)
			return err
		})
		if freed {
			p.forgetHosted(repository, pkg)
		}
		return err
	})
}

// freeUnfinished forgets a name of which nothing is here any more and nothing was ever finished: it has no reason to hide what
// upstreams have of it.
func freeUnfinished(tx catalog.Tx, repository, pkg string) (bool, error) {
	record, err := tx.HostedPackage(repository, pkg)
	if err != nil || record.Merge != "" {
		return false, err // an owner has had a word in it
	}
	for v, err := range tx.HostedVersions(repository, pkg) {
		if err != nil || v.Name != "" || !v.Deleted.IsZero() || len(v.HostedFiles) > 0 {
			return false, err
		}
	}
	for _, err := range tx.HostedRefs(repository, pkg, "", "") {
		return false, err
	}
	return true, tx.FreeHostedPackage(repository, pkg)
}

// purgeable reports whether bytes of a version can be let go.
func (p *Pond) purgeable(repository, pkg string, v *catalog.HostedVersion, now time.Time) bool {
	for i := range v.HostedFiles {
		f := &v.HostedFiles[i]
		if !f.Expires.IsZero() && f.Expires.Before(now) {
			return true
		}
		if !f.Purged && p.letGo(repository, pkg, v, f, now) {
			return true
		}
	}
	return false
}

// letGo reports whether a file was deleted longer ago than it can be restored, and no takedown names it.
func (p *Pond) letGo(repository, pkg string, v *catalog.HostedVersion, f *catalog.HostedFile, now time.Time) bool {
	d := later(f.Deleted, v.Deleted)
	return !d.IsZero() && d.Before(now.Add(-restorable)) &&
		!p.isEvidence(repository, millpond.Key{Package: pkg, Version: v.Name, File: f.Name}, append(slices.Clone(f.Digests), f.Blob)...)
}

// checkHosted looks at every file that was published here. Damage of these is told with the names of all that need the
// bytes, and repaired by nobody but their publisher or a backup.
func (p *Pond) checkHosted(ctx context.Context, o CheckOptions, r *Report, seen map[millpond.Digest]bool) error {
	return p.eachHosted(ctx, func(repository, pkg string, v *catalog.HostedVersion) error {
		for i := range v.HostedFiles {
			f := &v.HostedFiles[i]
			if f.Purged || f.Blob.IsZero() {
				continue
			}
			if seen[f.Blob] {
				continue
			}
			seen[f.Blob] = true
			what, err := p.checkBlob(ctx, o, r, f.Blob, f.Size)
			if err != nil {
				return err
			}
			if what == "" {
				continue
			}
			k := millpond.Key{Package: pkg, Version: v.Name, File: f.Name}
			if needed, err := p.needed(ctx, repository, k, f.Blob); err != nil || !needed {
				delete(seen, f.Blob)
				if err != nil {
					return err
				}
				continue // it was let go of since the record was read
			}
			d := Damage{What: what, Digest: f.Blob, Names: []string{repository + " " + k.String()}, Hosted: true, rotten: what == rotten,
				Mending: "restore its bytes from a backup, or have them published again"}
			if err := p.found(ctx, o, r, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// needed reports whether a file that is hosted needs a blob, now.
func (p *Pond) needed(ctx context.Context, repository string, k millpond.Key, d millpond.Digest) (needed bool, err error) {
	err = p.catalog.View(ctx, func(tx catalog.Tx) error {
		v, err := tx.HostedVersion(repository, k.Package, k.Version)
		if err != nil {
			return others(err)
		}
		for i := range v.HostedFiles {
			f := &v.HostedFiles[i]
			needed = needed || f.Name == k.File && f.Blob == d && !f.Purged
		}
		return nil
	})
	return needed, err
}
