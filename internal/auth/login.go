package auth

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
	"millpond/repo"
)

// A Session is a login in a browser.
type Session struct {
	Caller  repo.Caller
	Cookie  string // the value; nothing of it is kept but a hash
	Expires time.Time
}

// LogIn checks a person's password, or the setup secret, and begins a login session, always a new one. Unauthenticated if
// they do not fit; Throttled after too many tries.
func (a *Auth) LogIn(ctx context.Context, client, name, password string) (*Session, error) {
	i, err := a.person(ctx, client, name, password)
	if err != nil {
		a.counts.add("refused", "", "")
		return nil, err
	}
	return a.begin(ctx, i, client, a.now())
}

// ProofLife is for how long after its proof a login session may do what an unlocked browser should not.
const ProofLife = 10 * time.Minute

// Proved reports whether what a caller came with was proved a moment ago, as every request with a token is: a login session
// was if its person gave a password, or their provider said that it asked for a proof, within ProofLife.
func (a *Auth) Proved(c repo.Caller) bool {
	i := a.who(c)
	if i.login == nil {
		return true
	}
	since := a.now().Sub(i.login.Proved)
	return since >= -skew && since <= ProofLife
}

// skew is how far a provider's clock may be ahead.
const skew = 30 * time.Second

// person is who a name and a password, a token of theirs, or the setup secret stand for.
func (a *Auth) person(ctx context.Context, client, name, password string) (*identity, error) {
	name = strings.ToLower(name)
	switch id := tokenID(password); {
	case id == setupID:
		return a.setUp(ctx, client, name, password)
	case id != "":
		i, err := a.byToken(a.state.Load(), password, client)
		if err == nil && i.name != name {
			err = errPassword
		}
		return i, err
	}
	return a.byPassword(ctx, a.state.Load(), name, password, client)
}

// begin begins a session of somebody who has proved who they are, at that time; zero if that is not known.
func (a *Auth) begin(ctx context.Context, i *identity, client string, proved time.Time) (*Session, error) {
	if i.token != nil || i.user == nil {
		return nil, wrong(millpond.Denied, "a token begins no login", "log in with a password or at the identity provider")
	}
	value := random(secretChars, base62)
	hash := sha256.Sum256([]byte(value))
	l := &session{ID: digest(hash), User: i.name, Born: i.user.Born, Created: a.now().UTC(), Proved: proved.UTC()}
	end := l.Created.Add(sessionLife)
	err := a.change(ctx, millpond.Actor{Name: i.name, Client: client}, "login", i.name, nil, func(tx catalog.Tx) error {
		u, err := get[User](tx, kindUser, i.name)
		if err != nil || u.Disabled || u.Born != i.user.Born {
			return wrong(millpond.Unauthenticated, i.name+" is disabled or gone", "")
		}
		return put(tx, kindSession, l.ID, l.User, end, l)
	})
	if err != nil {
		return nil, err
	}
	now := a.state.Load().bySession(l.ID, a.now())
	if now == nil {
		return nil, wrong(millpond.Unready, "the login cannot be kept now", "try again")
	}
	return &Session{Caller: a.caller(now, client), Cookie: value, Expires: end}, nil
}

// LogOut ends the login session that a caller came with.
func (a *Auth) LogOut(ctx context.Context, c repo.Caller) error {
	i := a.who(c)
	if i.login == nil {
		return nil
	}
	return a.change(ctx, c.Actor, "logout", i.name, nil, func(tx catalog.Tx) error { return absent(tx.DropEntry(kindSession, i.login.ID)) })
}

// Still is the caller as they are now, for connections that last: Unauthenticated once what they came with has ended.
func (a *Auth) Still(c repo.Caller) (repo.Caller, error) {
	i, err := a.state.Load().again(a.who(c))
	if err != nil {
		return repo.Caller{}, err
	}
	c.Rights = i
	return c, nil
}

// The setup secret.
const (
	setupID   = "setup"
	setupLife = time.Hour
)

type setup struct {
	Hash    string    `json:"hash"`
	Expires time.Time `json:"expires"`
}

// SetupSecret makes the secret with which the first user can be made, once and within an hour: as the password of any
// name, that becomes an administrator's. A secret made before is good no more. It is "" if there is a user already.
func (a *Auth) SetupSecret(ctx context.Context) (string, error) {
	if !a.state.Load().nobody {
		return "", nil
	}
	secret, hash := newSecret(setupID)
	s := setup{Hash: digest(hash), Expires: a.now().Add(setupLife).UTC()}
	err := a.change(ctx, millpond.Actor{Name: "pond"}, "setup-offered", "", nil, func(tx catalog.Tx) error {
		if err := nobodyYet(tx); err != nil {
			return err
		}
		return put(tx, kindSetup, setupID, "", s.Expires, s)
	})
	if millpond.Is(err, millpond.Gone) {
		return "", nil
	}
	return secret, err
}

var errSetUp = wrong(millpond.Gone, "the pond is set up already", "log in as one of its users")

// nobodyYet is Gone if there is a user.
func nobodyYet(tx catalog.Tx) error {
	for _, err := range tx.Entries(kindUser, "") {
		if err != nil {
			return err
		}
		return errSetUp
	}
	return nil
}

// SetUp makes the first user, an administrator, whose password may be "" for one who will use tokens or a provider, and
// begins a login session. Unauthenticated for a wrong or used secret.
func (a *Auth) SetUp(ctx context.Context, client, secret, name, password string) (*Session, error) {
	if password != "" {
		if err := checkNewPassword(name, password); err != nil {
			return nil, err
		}
	}
	i, err := a.setUpAs(ctx, client, name, secret, password)
	if err != nil {
		return nil, err
	}
	return a.begin(ctx, i, client, a.now())
}

func (a *Auth) setUp(ctx context.Context, client, name, secret string) (*identity, error) {
	return a.setUpAs(ctx, client, name, secret, "")
}

func (a *Auth) setUpAs(ctx context.Context, client, name, secret, password string) (*identity, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := a.addresses.try(client); err != nil {
		return nil, err
	}
	u := &User{Name: name, Created: a.now().UTC(), Born: random(16, lower)}
	if password != "" {
		u.Hash = hashPassword(password)
	}
	g := &Grant{ID: random(idLength, lower), Subject: "user:" + name, Role: Admin, Repository: "*", Names: "*", Created: u.Created, By: setupID}
	err := a.change(ctx, millpond.Actor{Name: setupID, Client: client}, "setup", name, nil, func(tx catalog.Tx) error {
		s, err := get[setup](tx, kindSetup, setupID)
		if err != nil && !millpond.Is(err, millpond.NotFound) {
			return err
		}
		var hash [32]byte
		if s != nil {
			hash, _ = undigest(s.Hash)
		}
		if !fits(secret, hash) || s == nil || !s.Expires.After(a.now()) {
			return wrong(millpond.Unauthenticated, "the setup secret is not good: it is used once, within an hour of the start that printed it", "start the pond again")
		}
		if err := nobodyYet(tx); err != nil {
			return err
		}
		if err := tx.DropEntry(kindSetup, setupID); err != nil {
			return err
		}
		if err := add(tx, kindUser, name, "", never, u); err != nil {
			return err
		}
		return put(tx, kindGrant, g.ID, g.Subject, never, g)
	})
	if err != nil {
		return nil, err
	}
	a.addresses.forgive(client)
	if i := a.state.Load().byUser(name); i != nil {
		return i, nil
	}
	return nil, wrong(millpond.Unready, "the new user cannot be read back now", "log in again")
}

// Login implements format.Accounts.
func (x *accounts) Login(ctx context.Context, name, password string, t format.Token) (*format.Token, error) {
	a := x.auth
	if tokenID(password) == "" && !a.state.Load().settings.Passwords {
		return nil, wrong(millpond.Unsupported, "people do not log in with passwords here", "log in at "+x.page("login")+", or give a token as the password")
	}
	i, err := a.person(ctx, x.actor.Client, name, password)
	if err != nil {
		a.counts.add("refused", "", "")
		return nil, err
	}
	actor := millpond.Actor{Name: i.name, Client: x.actor.Client, Request: x.actor.Request}
	if i.token != nil {
		actor.Token = i.token.ID
	}
	if t.Name == "" {
		t.Name = strings.TrimSpace(x.format + " login")
	}
	return a.newToken(ctx, repo.Caller{Actor: actor, Rights: i}, i.name, t)
}
