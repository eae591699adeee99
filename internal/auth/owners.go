package auth

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

var _ format.Steward = (*accounts)(nil)

// Owners implements format.Steward. Who may publish everything in all repositories is not named: they own no package.
func (x *accounts) Owners(ctx context.Context, pkg string) ([]string, error) {
	s := x.auth.state.Load()
	var out []string
	add := func(subject string, role Role) {
		if setOf(role.Verbs())&bit(millpond.VerbPublish) == 0 {
			return
		}
		if name, ok := strings.CutPrefix(subject, "user:"); ok {
			if u := s.users[name]; u == nil || u.Disabled {
				return
			}
			subject = name
		}
		out = append(out, subject)
	}
	for _, g := range s.grants {
		if covers(g.Repository, x.repository) && covers(g.Names, pkg) && (g.Repository != "*" || g.Names != "*") {
			add(g.Subject, g.Role)
		}
	}
	for _, r := range s.settings.Repositories {
		if r.Name != x.repository {
			continue
		}
		for role, subjects := range map[Role][]string{Publishing: r.Publish, Maintainer: r.Maintain, Owner: r.Own} {
			for _, subject := range subjects {
				add(subject, role)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// subjectOf is whom a client means by a name.
func subjectOf(name string) string {
	if strings.HasPrefix(name, "group:") {
		return name
	}
	return "user:" + name
}

// of reports whether a grant is one that AddOwner makes: of the package, and of nothing else.
func (g *Grant) of(repository, pkg string) bool {
	return g.Role == Owner && g.Repository == repository && g.Names == pkg
}

// AddOwner implements format.Steward.
func (x *accounts) AddOwner(ctx context.Context, pkg, name string) (bool, error) {
	if strings.Contains(pkg, "*") {
		return false, wrong(millpond.Invalid, fmt.Sprintf("no package is called %q", pkg), "")
	}
	g := Grant{Subject: subjectOf(name), Role: Owner, Repository: x.repository, Names: pkg}
	if !x.who.holds(millpond.VerbGrant, g.Repository, g.Names) {
		return false, denied(x.who, "grant anything in "+g.Repository) // and learns nothing of who owns what
	}
	for _, one := range x.auth.state.Load().grants {
		if one.Subject == g.Subject && one.of(x.repository, pkg) {
			return false, nil
		}
	}
	_, err := x.auth.AddGrant(ctx, x.caller(), g)
	return err == nil, err
}

// RemoveOwner implements format.Steward.
func (x *accounts) RemoveOwner(ctx context.Context, pkg, name string) error {
	subject := subjectOf(name)
	var gone []Grant
	return x.auth.act(ctx, x.caller(), "grant-remove", subject, func() any { return gone }, func(tx catalog.Tx, w *identity) error {
		gone = nil
		if err := w.mayGrant(&Grant{Role: Owner, Repository: x.repository, Names: pkg}); err != nil {
			return err
		}
		var wider *Grant
		for g, err := range every[Grant](tx.EntriesOf(kindGrant, subject), x.auth.now()) {
			if err != nil {
				return err
			}
			switch {
			case g.of(x.repository, pkg):
				gone = append(gone, *g)
			case setOf(g.Role.Verbs())&bit(millpond.VerbPublish) != 0 && covers(g.Repository, x.repository) && covers(g.Names, pkg):
				wider = g
			}
		}
		if wider != nil {
			return wrong(millpond.Conflict, fmt.Sprintf("%s may publish %s as %s of %s in %s", name, pkg, wider.Role, wider.Names, wider.Repository),
				"millpond grant remove "+wider.ID)
		}
		if len(gone) == 0 {
			return wrong(millpond.NotFound, cmp.Or(name, "nobody")+" is no owner of "+pkg, "what the configuration grants is changed there")
		}
		for _, g := range gone {
			if err := tx.DropEntry(kindGrant, g.ID); err != nil {
				return err
			}
		}
		return nil
	})
}
