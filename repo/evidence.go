package repo

import (
	"context"
	"strings"

	"millpond"
)

// isEvidence reports whether a takedown names a file of a repository, or bytes by one of these digests: they stay then. Of a
// repository that is not configured nobody knows the format: there it is enough that a package of that name is taken down in any.
func (p *Pond) isEvidence(repository string, k millpond.Key, ds ...millpond.Digest) bool {
	table := p.down()
	if len(table.all) == 0 && table.unknown == nil {
		return false
	}
	if p.takenDownBytes(ds...) != nil {
		return true
	}
	if r := p.Repository(repository); r != nil {
		return r.takenDown(k) != nil
	}
	for format := range table.formats {
		if len(table.named[takedownName{format, k.Package}]) > 0 {
			return true
		}
	}
	return false
}

// holdsEvidence reports whether that is true of bytes that upstreams' files are held by.
func (p *Pond) holdsEvidence(ctx context.Context, d millpond.Digest) (bool, error) {
	if table := p.down(); len(table.all) == 0 && table.unknown == nil {
		return false, nil
	}
	if p.takenDownBytes(d) != nil {
		return true, nil
	}
	for h, err := range p.catalog.Holders(ctx, d) {
		if err != nil {
			return false, err
		}
		repository, _, _ := strings.Cut(h.Layer, "/")
		if p.isEvidence(repository, h.Key, h.Digests...) {
			return true, nil
		}
	}
	return false, nil
}
