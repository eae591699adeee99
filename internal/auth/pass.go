package auth

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
	"millpond/repo"
)

const (
	passPrefix = "mpp_"
	// passLife is how long a pass is good; passLeeway how far clocks of two nodes may differ.
	passLife   = 5 * time.Minute
	passLeeway = 30 * time.Second
)

// A pass is what a short token says: on whose credential it rests, until when, and for what. It is signed with the pond's own
// key, by the one way that there is to sign it, and kept nowhere. It ends with that credential.
type pass struct {
	Token   string      `json:"t,omitempty"` // the id of a token,
	Session string      `json:"s,omitempty"` // or of a login session,
	User    string      `json:"u,omitempty"` // or a user who has shown a password; none is anonymous
	Born    string      `json:"b,omitempty"` // of the user
	Expires int64       `json:"e"`
	Scopes  []passScope `json:"g,omitempty"`
}

type passScope struct {
	Repository string          `json:"r,omitempty"`
	Name       string          `json:"n,omitempty"`
	Verbs      []millpond.Verb `json:"v"`
}

func (p *passScope) covers(v millpond.Verb, repository, pkg string) bool {
	return slices.Contains(p.Verbs, v) && (p.Repository == "" || p.Repository == repository) && (p.Name == "" || pkg == "" || p.Name == pkg)
}

// signer is the key that passes are signed with. Where keys have no place it lives as long as the process.
func (a *Auth) signer(ctx context.Context) ([]byte, error) {
	key, err := a.signing.keyFor(ctx, "pass")
	if !millpond.Is(err, millpond.Unsupported) {
		return key, err
	}
	return a.passKey(), nil
}

// Pass makes a short token for scopes, of what the caller may do of them now. A pass makes no other: Denied.
func (a *Auth) Pass(ctx context.Context, c repo.Caller, scopes []format.Scope) (*format.Token, []format.Scope, error) {
	if _, narrowed := c.Rights.(*passed); narrowed {
		return nil, nil, wrong(millpond.Denied, "a short token makes no other", "come with what it was made with")
	}
	w := a.who(c)
	p := pass{Expires: a.now().Add(passLife).Unix()}
	switch {
	case w.token != nil:
		p.Token = w.token.ID
	case w.login != nil:
		p.Session = w.login.ID
	case w.user != nil:
		p.User, p.Born = w.user.Name, w.user.Born
	}
	var granted []format.Scope
	for _, s := range scopes {
		one := format.Scope{Repository: s.Repository, Name: s.Name}
		for _, v := range s.Verbs {
			if s.Repository == "" || w.May(v, s.Repository, s.Name) {
				one.Verbs = append(one.Verbs, v)
			}
		}
		if len(one.Verbs) > 0 {
			granted = append(granted, one)
			p.Scopes = append(p.Scopes, passScope(one))
		}
	}
	key, err := a.signer(ctx)
	if err != nil {
		return nil, nil, err
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, nil, err
	}
	text := passPrefix + base64.RawURLEncoding.EncodeToString(raw)
	secret := text + "." + base64.RawURLEncoding.EncodeToString(mac(key, text))
	return &format.Token{Secret: secret, Owner: w.name, Created: a.now(), Expires: time.Unix(p.Expires, 0)}, granted, nil
}

// byPass is the caller that a pass stands for.
func (a *Auth) byPass(s *snapshot, secret, client string) (repo.Caller, error) {
	bad := func(why string) (repo.Caller, error) {
		return repo.Caller{}, wrong(millpond.Unauthenticated, why, "clients ask for a new one by themselves")
	}
	// It is asked for once, and then in memory.
	key, err := a.signer(context.Background())
	if err != nil {
		return repo.Caller{}, err
	}
	text, sum, ok := strings.Cut(secret, ".")
	got, err := base64.RawURLEncoding.Strict().DecodeString(sum)
	if !ok || err != nil || !hmac.Equal(got, mac(key, text)) {
		if err := a.addresses.try(client); err != nil {
			return repo.Caller{}, err
		}
		return bad("the short token was not made here")
	}
	var p pass
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, passPrefix))
	if err != nil || json.Unmarshal(raw, &p) != nil {
		return bad("the short token cannot be read")
	}
	now := a.now()
	if end := time.Unix(p.Expires, 0); !now.Before(end) || end.After(now.Add(passLife+passLeeway)) {
		return bad("the short token has ended")
	}
	i := s.anonymous
	switch {
	case p.Token != "":
		var why string
		if i, why = s.byToken(p.Token, now); i == nil {
			return bad(why)
		}
	case p.Session != "":
		if i = s.bySession(p.Session, now); i == nil {
			return bad("the login has ended")
		}
	case p.User != "":
		if i = s.byUser(p.User); i == nil || i.user.Born != p.Born {
			return bad(p.User + " is disabled or gone")
		}
	}
	if i != s.anonymous && a.stale() {
		i = s.anonymous
	}
	c := a.caller(i, client)
	c.Rights = &passed{i, p.Scopes}
	c.Accounts = &accounts{auth: a, who: s.anonymous, actor: c.Actor}
	return c, nil
}

// passed are the rights of an identity, narrowed by a pass. What everybody may do it may too.
type passed struct {
	*identity
	scopes []passScope
}

var _ repo.Narrowed = (*passed)(nil)

// Whole implements repo.Narrowed.
func (p *passed) Whole() repo.Rights { return p.identity }

// May implements repo.Rights.
func (p *passed) May(v millpond.Verb, repository, pkg string) bool {
	if !p.identity.May(v, repository, pkg) {
		return false
	}
	if slices.ContainsFunc(p.scopes, func(s passScope) bool { return s.covers(v, repository, pkg) }) {
		return true
	}
	return p.of.anonymous.May(v, repository, pkg)
}

// Scope implements repo.Rights.
func (p *passed) Scope(v millpond.Verb, repository string) string {
	whole, everybody := p.identity.Scope(v, repository), p.of.anonymous.Scope(v, repository)
	var names []string
	for i := range p.scopes {
		if p.scopes[i].covers(v, repository, "") {
			if p.scopes[i].Name == "" {
				return whole
			}
			names = append(names, p.scopes[i].Name)
		}
	}
	if len(names) == 0 || everybody == "*" || whole == "" {
		return everybody
	}
	sort.Strings(names)
	return whole + "\x00" + strings.Join(names, " ") + "\x00" + everybody
}

// Now implements repo.Rights.
func (p *passed) Now(tx catalog.Tx) (repo.Rights, error) {
	now, err := p.identity.Now(tx)
	if err != nil {
		return nil, err
	}
	return &passed{now.(*identity), p.scopes}, nil
}
