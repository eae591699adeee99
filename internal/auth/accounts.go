package auth

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
	"millpond/repo"
)

// accounts is a caller's own door to tokens and logins, bound to a repository, or for "" to all of its format.
type accounts struct {
	auth       *Auth
	who        *identity
	actor      millpond.Actor
	repository string
	format     string
	base       *url.URL // of the pond; nil is Settings.PublicURL
}

var _ format.Accounts = (*accounts)(nil)

// AccountsFor is the caller's door to tokens and logins as a handler of a repository uses it. With repository "" it is that
// of a route which names none: what it exchanges is good in all repositories of the format. base is where clients reach the
// pond, for the addresses of pages.
func (a *Auth) AccountsFor(c repo.Caller, repository, formatName string, base *url.URL) format.Accounts {
	return &accounts{auth: a, who: a.who(c), actor: c.Actor, repository: repository, format: formatName, base: base}
}

// Who implements format.Accounts.
func (x *accounts) Who() millpond.Actor { return x.actor }

func (x *accounts) caller() repo.Caller {
	return repo.Caller{Actor: x.actor, Rights: x.who, Accounts: x}
}

// maxTokens is how many good tokens one user may have.
const maxTokens = 1000

// Tokens implements format.Accounts.
func (x *accounts) Tokens(ctx context.Context) ([]format.Token, error) {
	if x.who.user == nil {
		return nil, x.auth.refused(x.actor)
	}
	return x.auth.tokensOf(x.who.name), nil
}

func (a *Auth) tokensOf(owner string) []format.Token {
	s, now := a.state.Load(), a.now()
	out := []format.Token{}
	for id, t := range s.tokens {
		if i, _ := s.byToken(id, now); i != nil && t.Owner == owner {
			out = append(out, a.shown(t))
		}
	}
	slices.SortFunc(out, func(x, y format.Token) int {
		return 2*x.Created.Compare(y.Created) + strings.Compare(x.ID, y.ID)
	})
	return out
}

// shown is a token as its owner sees it.
func (a *Auth) shown(t *token) format.Token {
	out := format.Token{ID: t.ID, Name: t.Name, Owner: t.Owner, Created: t.Created, Expires: t.Expires,
		Verbs: slices.Clone(t.Verbs), Repositories: slices.Clone(t.Repositories), Names: slices.Clone(t.Names)}
	if at := a.lastUse(t.ID).Load(); at != 0 {
		out.Used = time.Unix(at, 0).UTC()
	}
	return out
}

// NewToken implements format.Accounts.
func (x *accounts) NewToken(ctx context.Context, t format.Token) (*format.Token, error) {
	if t.Owner != "" && t.Owner != x.who.name {
		return nil, wrong(millpond.Denied, "nobody makes tokens of "+t.Owner+" here", "")
	}
	return x.auth.newToken(ctx, x.caller(), x.who.name, t)
}

// NewTokenFor makes a token of a service: for who made it, or may grant everywhere, and holds all that the service does.
func (a *Auth) NewTokenFor(ctx context.Context, c repo.Caller, service string, t format.Token) (*format.Token, error) {
	return a.newToken(ctx, c, service, t)
}

// TokensFor lists the tokens of a user for who may grant everywhere, or made the service.
func (a *Auth) TokensFor(ctx context.Context, c repo.Caller, name string) ([]format.Token, error) {
	w, u := a.who(c), a.state.Load().users[name]
	if w.user == nil {
		return nil, a.refused(c.Actor)
	}
	if w.name != name && !w.everywhere() && (u == nil || !u.Service || u.Owner != w.name) {
		return nil, denied(w, "see tokens of "+name)
	}
	return a.tokensOf(name), nil
}

// newToken makes a token of owner, never wider than its maker.
func (a *Auth) newToken(ctx context.Context, c repo.Caller, owner string, t format.Token) (*format.Token, error) {
	kept := &token{ID: random(idLength, lower), Name: t.Name, Owner: owner, Created: a.now().UTC().Truncate(time.Millisecond),
		Verbs: t.Verbs, Repositories: t.Repositories, Names: t.Names}
	secret, hash := newSecret(kept.ID)
	kept.Hash = digest(hash)
	if len(t.Name) > 200 || strings.ContainsFunc(t.Name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return nil, wrong(millpond.Invalid, "the token's name is no short line of text", "")
	}
	err := a.act(ctx, c, "token-add", kept.ID, func() any { return a.shown(kept) }, func(tx catalog.Tx, w *identity) error {
		var most time.Time
		if w.token != nil {
			most = w.token.Expires
			kept.Maker = w.token.ID
		}
		u := w.user
		if owner != w.name {
			var err error
			u, err = get[User](tx, kindUser, owner)
			switch {
			case err != nil && !millpond.Is(err, millpond.NotFound):
				return err
			case err != nil || !u.Service || !w.everywhere() && u.Owner != w.name || !w.over(u):
				return denied(w, "make tokens of "+owner)
			case u.Disabled:
				return wrong(millpond.Conflict, owner+" is disabled", "")
			}
		}
		var err error
		if kept.Expires, err = life(kept.Created, t.Expires, most); err != nil {
			return err
		}
		if err := w.mayMake(t); err != nil {
			return err
		}
		kept.Within, kept.Born = w.within, u.Born
		n := 0
		for _, err := range tx.EntriesOf(kindToken, owner) {
			if err != nil {
				return err
			}
			if n++; n >= maxTokens {
				return wrong(millpond.Conflict, owner+" has too many tokens", "revoke some")
			}
		}
		return put(tx, kindToken, kept.ID, owner, kept.Expires, kept)
	})
	if err != nil {
		return nil, err
	}
	out := a.shown(kept)
	out.Secret = secret
	if a.signing.secrets != nil {
		if out.S3, err = a.s3Secret(ctx, kept.ID); err != nil {
			return nil, err
		}
	}
	return &out, nil
}

// mayMake is Denied for a token that is wider than what its maker came with, and Invalid for what is none.
func (i *identity) mayMake(t format.Token) error {
	if len(t.Repositories) > 50 || len(t.Names) > 1000 || len(t.Verbs) > 50 {
		return wrong(millpond.Invalid, "the token has too many patterns", "")
	}
	for _, p := range append(slices.Clone(t.Repositories), t.Names...) {
		if err := checkPattern(p); err != nil {
			return err
		}
	}
	wider := func(list, all []string) bool {
		return len(all) > 0 && slices.ContainsFunc(list, func(p string) bool { return !covered(all, p) })
	}
	for _, v := range t.Verbs {
		if bit(v) == 0 {
			return wrong(millpond.Invalid, fmt.Sprintf("there is no verb %q", v), "")
		}
		if !slices.ContainsFunc(i.rights, func(g right) bool { return g.verbs&bit(v) != 0 }) {
			return denied(i, string(v)+" anything")
		}
	}
	for _, s := range i.within {
		if wider(t.Repositories, s.Repositories) || wider(t.Names, s.Names) ||
			len(s.Verbs) > 0 && slices.ContainsFunc(t.Verbs, func(v millpond.Verb) bool { return !slices.Contains(s.Verbs, v) }) {
			return denied(i, "make a token that is wider than the one it is made with")
		}
	}
	return nil
}

// Revoke implements format.Accounts. A token that is narrowed ends itself and those made with it only.
func (x *accounts) Revoke(ctx context.Context, given string) error {
	a := x.auth
	id := given
	if named := tokenID(given); named != "" {
		id = named
	}
	s := a.state.Load()
	t := s.tokens[id]
	own := x.who.token != nil && x.who.token.ID == id
	switch {
	case x.who.name == "":
		return a.refused(x.actor)
	case t == nil || id != given && !fits(given, t.hash) || t.Owner != x.who.name,
		len(x.who.within) > 0 && !own && t.Maker != x.who.token.ID:
		return wrong(millpond.NotFound, "there is no such token of "+x.who.name, "'millpond token list' shows their ids")
	}
	return a.revoke(ctx, x.actor, id)
}

func (a *Auth) revoke(ctx context.Context, by millpond.Actor, id string) error {
	return a.change(ctx, by, "token-revoke", id, nil, func(tx catalog.Tx) error {
		if err := tx.DropEntry(kindToken, id); err != nil {
			return err
		}
		return absent(tx.DropEntry(kindUsed, id))
	})
}

// RevokeFor ends a token of somebody else: for who may grant everywhere and holds all that its owner does, or made the
// service.
func (a *Auth) RevokeFor(ctx context.Context, c repo.Caller, id string) error {
	return a.act(ctx, c, "token-revoke", id, nil, func(tx catalog.Tx, w *identity) error {
		t, err := get[token](tx, kindToken, id)
		if err != nil && !millpond.Is(err, millpond.NotFound) {
			return err
		}
		var owner *User
		if t != nil {
			owner = w.of.users[t.Owner]
		}
		made := owner != nil && owner.Service && owner.Owner == w.name && w.over(owner)
		switch {
		case t != nil && (made || w.everywhere() && (owner == nil || w.over(owner))):
			return tx.DropEntry(kindToken, id)
		case w.everywhere() && t == nil:
			return wrong(millpond.NotFound, "there is no such token", "'millpond token list' and 'millpond service tokens NAME' show their ids")
		}
		return denied(w, "revoke that token")
	})
}

// Burn ends the token that a secret is, for whoever has it. NotFound if it is none.
func (a *Auth) Burn(ctx context.Context, client, secret string) error {
	if err := a.addresses.try(client); err != nil {
		return err
	}
	id := tokenID(secret)
	t := a.state.Load().tokens[id]
	if t == nil || !fits(secret, t.hash) {
		return wrong(millpond.NotFound, "there is no such token", "'millpond token list' and 'millpond service tokens NAME' show their ids")
	}
	a.addresses.forgive(client)
	return a.revoke(ctx, millpond.Actor{Name: t.Owner, Token: id, Client: client}, id)
}
