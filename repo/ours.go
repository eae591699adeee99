package repo

import (
	"context"
	"fmt"

	"millpond"
)

// ours refuses to begin hosting a name that an upstream is known to have, that another repository claims, or that nobody
// claims where only claimed names are taken.
func (b *bound) ours(ctx context.Context, pkg string) error {
	k := millpond.Key{Package: pkg}
	if c := b.claimOf(pkg); c != nil {
		if c.repository == b.config.Name {
			return nil
		}
		return &millpond.Error{Kind: millpond.Denied, Key: k, Why: fmt.Sprintf("%s is claimed by %s (%s)", pkg, c.repository, c.text), Hint: "publish it there"}
	}
	if _, ever, err := b.hosts(ctx, pkg); err != nil || ever {
		return err
	}
	hint := fmt.Sprintf("to publish your own under that name an owner claims it first: millpond claim add %s %s", b.config.Name, pkg)
	if b.config.ClaimedOnly {
		return &millpond.Error{Kind: millpond.Denied, Key: k, Hint: hint,
			Why: fmt.Sprintf("%s is a new name that no claim covers, and %s takes none (claimed_only)", pkg, b.config.Name)}
	}
	up, err := b.knownTo(ctx, pkg)
	if up == nil || err != nil {
		return err
	}
	return &millpond.Error{Kind: millpond.Denied, Key: k, Why: fmt.Sprintf("%s is a name of %s, which %s reads through to", pkg, up.name, b.config.Name), Hint: hint}
}

// knownTo is an upstream, of this repository or of one it reads through, that has a name by all that is kept: its listing,
// bytes of it, or the list of all its names. No upstream is asked: the first that would hear of a name of ours would be they
// who must not. nil if none is known to have it.
func (r *Repository) knownTo(ctx context.Context, pkg string) (*upstream, error) {
	for _, l := range r.layers {
		switch l := l.(type) {
		case *sibling:
			if up, err := l.repo.knownTo(ctx, pkg); up != nil || err != nil {
				return up, err
			}
		case *upstream:
			if known, err := l.known(ctx, pkg); err != nil {
				return nil, err
			} else if known {
				return l, nil
			}
		}
	}
	return nil, nil
}

func (l *upstream) known(ctx context.Context, pkg string) (bool, error) {
	if _, err := l.listing(ctx, pkg, false); err == nil {
		return true, nil
	}
	// Of some formats files are read without the listing ever being asked for.
	if held, err := l.holdings(ctx, pkg); err != nil || len(held) > 0 {
		return err == nil, err
	}
	list, err := l.names(ctx, false)
	if err != nil {
		return false, nil // none is kept
	}
	for c, err := range list.each {
		if err != nil {
			return false, ctx.Err() // a list that is lost is not kept
		}
		if c.Name == pkg {
			return true, nil
		}
	}
	return false, nil
}
