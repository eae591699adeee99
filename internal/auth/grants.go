package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/repo"
)

var never time.Time

// Grants are the grants of the catalog that a caller may see: those of repositories that they may grant in, and their own.
// What the configuration grants is not among them.
func (a *Auth) Grants(ctx context.Context, c repo.Caller) ([]Grant, error) {
	w := a.who(c)
	if w.user == nil {
		return nil, a.refused(c.Actor)
	}
	var out []Grant
	for _, g := range a.state.Load().grants {
		if w.holds(millpond.VerbGrant, g.Repository, g.Names) || w.subject(g.Subject) {
			out = append(out, *g)
		}
	}
	return out, nil
}

// AddGrant gives a role: its Subject, Role, Repository and Names count, of which the last two are "*" if empty. Denied for
// more than the caller may do and grant there.
func (a *Auth) AddGrant(ctx context.Context, c repo.Caller, g Grant) (*Grant, error) {
	g.ID, g.Created, g.By = random(idLength, lower), a.now().UTC(), c.Name
	if g.Repository == "" {
		g.Repository = "*"
	}
	if g.Names == "" {
		g.Names = "*"
	}
	err := a.act(ctx, c, "grant-add", g.Subject, func() any { return g }, func(tx catalog.Tx, w *identity) error {
		if g.Role.Verbs() == nil {
			return wrong(millpond.Invalid, fmt.Sprintf("there is no role %q", g.Role), "reader, publisher, maintainer, owner, operator, auditor or admin")
		}
		for _, p := range []string{g.Repository, g.Names} {
			if err := checkPattern(p); err != nil {
				return err
			}
		}
		if err := w.mayGrant(&g); err != nil {
			return err
		}
		if err := checkSubject(g.Subject); err != nil {
			return err
		}
		if kind, name, ok := strings.Cut(g.Subject, ":"); ok {
			if _, err := tx.Entry(kind, name); err != nil {
				return lacking(err, kind, name)
			}
		}
		if (g.Subject == "anonymous" || g.Subject == "authenticated") && g.Role != Reader {
			return wrong(millpond.Invalid, g.Subject+" can be granted to read, and nothing more", "")
		}
		return put(tx, kindGrant, g.ID, g.Subject, never, &g)
	})
	if err != nil {
		return nil, err
	}
	return &g, nil
}

// mayGrant is Denied for a grant of more than one has.
func (i *identity) mayGrant(g *Grant) error {
	if !i.holds(millpond.VerbGrant, g.Repository, g.Names) {
		return denied(i, "grant anything in "+g.Repository)
	}
	if !i.holdsAll(g.Role.Verbs(), g.Repository, g.Names) {
		return denied(i, "grant "+string(g.Role)+", which is more than their own")
	}
	return nil
}

// RemoveGrant takes a grant back.
func (a *Auth) RemoveGrant(ctx context.Context, c repo.Caller, id string) error {
	var old Grant
	return a.act(ctx, c, "grant-remove", id, func() any { return old }, func(tx catalog.Tx, w *identity) error {
		if !w.anywhere() {
			return denied(w, "take grants back")
		}
		g, err := get[Grant](tx, kindGrant, id)
		if err != nil {
			return err
		}
		if err := w.mayGrant(g); err != nil {
			return err
		}
		old = *g
		return tx.DropEntry(kindGrant, id)
	})
}

// checkSubject is Invalid for what nothing can be granted to.
func checkSubject(s string) error {
	if s == "anonymous" || s == "authenticated" {
		return nil
	}
	kind, name, _ := strings.Cut(s, ":")
	if kind != "user" && kind != "group" || checkName(name) != nil {
		return wrong(millpond.Invalid, fmt.Sprintf("nothing can be granted to %q", s), "anonymous, authenticated, user:NAME or group:NAME")
	}
	return nil
}

// Check is Invalid for a configuration that cannot be.
func (s *Settings) Check() error {
	for _, r := range s.Repositories {
		for _, list := range [][]string{r.Read, r.Publish, r.Maintain, r.Own} {
			for _, subject := range list {
				if err := checkSubject(subject); err != nil {
					return err
				}
			}
		}
		for _, list := range [][]string{r.Publish, r.Maintain, r.Own} {
			if slices.Contains(list, "anonymous") {
				return wrong(millpond.Invalid, r.Name+": anonymous may read, and nothing more", "")
			}
		}
	}
	for _, p := range s.Providers {
		if err := checkIssuer(p.Issuer); err != nil {
			return err
		}
		if p.ClientID == "" {
			return wrong(millpond.Invalid, "the provider "+p.Issuer+" has no client_id", "")
		}
	}
	for _, i := range s.Issuers {
		if err := checkIssuer(i.URL); err != nil {
			return err
		}
	}
	return nil
}
