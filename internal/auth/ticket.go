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

// How long a login in a browser may take, and how often a client asks whether it is done.
const (
	ticketLife  = 10 * time.Minute
	ticketEvery = 2 * time.Second
)

// A ticket is a login in a browser that a client waits for. Its public code stands in the page's address; the client polls
// with a secret that nothing shows.
type ticket struct {
	Code    string    `json:"code"`
	Hash    string    `json:"hash"`
	Client  string    `json:"client"` // the address of who waits, for the page
	Format  string    `json:"format,omitempty"`
	Created time.Time `json:"created"`
	By      string    `json:"by,omitempty"` // who logged in
	Born    string    `json:"born,omitempty"`
	Until   time.Time `json:"until,omitzero"` // the end of the token it was approved with, which the new one does not outlive
}

// page is the address of a page of the pond.
func (x *accounts) page(path string) string {
	base := x.auth.state.Load().settings.PublicURL
	if x.base != nil && base == "" {
		base = x.base.String()
	}
	return strings.TrimRight(base, "/") + "/-/" + path
}

// BeginLogin implements format.Accounts. It is Throttled for an address that begins many.
func (x *accounts) BeginLogin(ctx context.Context) (*format.LoginTicket, error) {
	a := x.auth
	if err := a.tickets.try(x.actor.Client); err != nil {
		return nil, err
	}
	secret := random(secretChars, base62)
	hash := sha256.Sum256([]byte(secret))
	t := ticket{Code: random(20, lower), Hash: digest(hash), Client: x.actor.Client, Format: x.format, Created: a.now().UTC()}
	end := t.Created.Add(ticketLife)
	// A ticket is no change of what anybody may do: it has no event.
	err := a.catalog.Update(ctx, x.actor, func(tx catalog.Tx) error { return add(tx, kindTicket, t.Code, "", end, t) })
	if err != nil {
		return nil, err
	}
	return &format.LoginTicket{ID: t.Code + "." + secret, URL: x.page("login?ticket=" + t.Code), Expires: end, Every: ticketEvery}, nil
}

var errTicket = wrong(millpond.NotFound, "there is no such login: it was done, or took more than ten minutes", "begin again")

// ticket reads a ticket that is still good.
func (a *Auth) ticket(tx catalog.Tx, code string) (*ticket, error) {
	t, err := get[ticket](tx, kindTicket, code)
	if millpond.Is(err, millpond.NotFound) || err == nil && !a.now().Before(t.Created.Add(ticketLife)) {
		return nil, errTicket
	}
	return t, err
}

// PollLogin implements format.Accounts.
func (x *accounts) PollLogin(ctx context.Context, id string) (*format.Token, error) {
	a := x.auth
	code, secret, _ := strings.Cut(id, ".")
	var t *ticket
	look := func(tx catalog.Tx) (err error) {
		if t, err = a.ticket(tx, code); err != nil {
			return err
		}
		if hash, ok := undigest(t.Hash); !ok || !fits(secret, hash) {
			return errTicket
		}
		return nil
	}
	if err := a.catalog.View(ctx, look); err != nil {
		return nil, err
	}
	if t.By == "" {
		return nil, &millpond.Error{Kind: millpond.Throttled, Why: "nobody has logged in yet", After: a.now().Add(ticketEvery)}
	}
	i := a.state.Load().byUser(t.By)
	if i == nil || i.user.Born != t.Born {
		return nil, errTicket
	}
	kept := &token{ID: random(idLength, lower), Name: strings.TrimSpace(t.Format + " login"), Owner: i.name, Born: t.Born, Created: a.now().UTC().Truncate(time.Millisecond)}
	var err error
	if kept.Expires, err = life(kept.Created, never, t.Until); err != nil {
		return nil, err
	}
	whole, hash := newSecret(kept.ID)
	kept.Hash = digest(hash)
	actor := millpond.Actor{Name: i.name, Client: x.actor.Client, Request: x.actor.Request}
	err = a.change(ctx, actor, "token-add", kept.ID, func() any { return a.shown(kept) }, func(tx catalog.Tx) error {
		if err := look(tx); err != nil {
			return err
		}
		if u, err := get[User](tx, kindUser, i.name); err != nil || u.Disabled || u.Born != t.Born {
			return errTicket
		}
		if err := tx.DropEntry(kindTicket, code); err != nil {
			return errTicket // somebody else was faster
		}
		return put(tx, kindToken, kept.ID, kept.Owner, kept.Expires, kept)
	})
	if err != nil {
		return nil, err
	}
	a.tickets.forgive(t.Client)
	out := a.shown(kept)
	out.Secret = whole
	return &out, nil
}

// A Waiting is a client that waits for somebody to log in, as the page shows it.
type Waiting struct {
	Code, Client, Format string
	Created              time.Time
}

// Ticket is the login that a page is about. NotFound if it is done or too old.
func (a *Auth) Ticket(ctx context.Context, code string) (*Waiting, error) {
	var w *Waiting
	err := a.catalog.View(ctx, func(tx catalog.Tx) error {
		t, err := a.ticket(tx, code)
		if err != nil {
			return err
		}
		if t.By != "" {
			return errTicket
		}
		w = &Waiting{t.Code, t.Client, t.Format, t.Created}
		return nil
	})
	return w, err
}

// ApproveTicket lets the client that waits have a token of the caller, who is a person with rights that nothing narrows:
// from a login session, or with a whole token.
func (a *Auth) ApproveTicket(ctx context.Context, c repo.Caller, code string) error {
	i, err := a.state.Load().again(a.who(c))
	if err != nil {
		return err
	}
	if !i.person || len(i.within) > 0 {
		return a.refused(c.Actor)
	}
	return a.catalog.Update(ctx, c.Actor, func(tx catalog.Tx) error {
		t, err := a.ticket(tx, code)
		if err != nil {
			return err
		}
		if t.By != "" {
			return errTicket
		}
		t.By, t.Born = i.name, i.user.Born
		if i.token != nil {
			t.Until = i.token.Expires
		}
		if err := put(tx, kindTicket, code, i.name, t.Created.Add(ticketLife), t); err != nil { // from here on it ends with what else is theirs
			return err
		}
		return tx.Emit(millpond.Event{Verb: "login-approved"})
	})
}
