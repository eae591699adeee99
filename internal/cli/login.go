package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"millpond"
	"millpond/internal/server"
)

type loginCommand struct {
	api
	Pond      *url.URL `arg:"" optional:"" help:"The pond, such as https://pond.example/."`
	User      string   `help:"Log in with a password, instead of in a browser. It is asked for, or read from what is piped in." placeholder:"NAME"`
	WithToken bool     `help:"Remember a token that you have: it is asked for, or read from what is piped in."`
	For       lifetime `help:"With --user: how long the token that is remembered is good; 30 days if nothing is said, a year at most. What is made with it ends no later." placeholder:"DURATION"`
	Setup     bool     `help:"Make the first user of a new pond, --user, with the secret that it printed when it started, then a password."`
}

// AfterApply takes the pond that was named before the one that is remembered.
func (c *loginCommand) AfterApply(p *Process) error {
	if c.Pond != nil {
		c.URL = c.Pond
	}
	return c.api.AfterApply(p)
}

// Run logs in, and remembers the pond and a token of its own.
func (c *loginCommand) Run(ctx context.Context, p *Process) (err error) {
	given := c.Token
	c.Token = "" // whoever logs in is nobody yet
	var t server.TokenDocument
	switch {
	case c.For != 0 && (c.User == "" || c.WithToken):
		err = &millpond.Error{Kind: millpond.Invalid, Why: "--for is for who logs in with a password", Hint: "add --user NAME"}
	case c.Setup:
		err = c.first(ctx, p, &t)
	case c.WithToken:
		t, err = c.known(ctx, p)
	case c.User != "":
		var password string
		if password, err = p.secret("password of " + c.User); err == nil {
			err = c.call(ctx, request{method: "POST", path: []string{"login"}, in: server.LoginDocument{Name: c.User, Password: password, Expires: c.For.end()}}, &t)
		}
	default:
		err = c.browser(ctx, p, &t)
	}
	if err != nil {
		return err
	}
	f := loginFile{}
	l, err := f.read()
	if err != nil {
		return err
	}
	ca := c.CA
	if ca != "" {
		if ca, err = filepath.Abs(ca); err != nil {
			return err
		}
	}
	old := l.Ponds[c.URL.String()]
	l.Current, l.Ponds[c.URL.String()] = c.URL.String(), login{Name: t.Owner, ID: t.ID, Token: t.Secret, CA: ca, Expires: t.Expires}
	if err := f.write(l); err != nil {
		return err
	}
	if old.Token != "" && old.Token == given && old.Token != t.Secret { // the one that this replaces
		c.Token = old.Token
		if err := c.call(ctx, request{method: "POST", path: []string{"logout"}}, nil); err != nil && !millpond.Is(err, millpond.Unauthenticated) {
			fmt.Fprintln(p.Err, "millpond: the token that this one replaces could not be ended:", err)
		}
	}
	if c.JSON {
		t.Secret = ""
		return printJSON(p.Out, t)
	}
	words := fmt.Sprintf("logged in to %s as %s", c.URL.Redacted(), t.Owner)
	if !t.Expires.IsZero() {
		words += ", until " + when(t.Expires)
	}
	return c.done(p, "%s", words)
}

// first makes the first user of a new pond.
func (c *loginCommand) first(ctx context.Context, p *Process, t *server.TokenDocument) error {
	if c.User == "" {
		return &millpond.Error{Kind: millpond.Invalid, Why: "--setup makes a user: what are they called?", Hint: "add --user NAME"}
	}
	secret, err := p.secret("setup secret")
	if err != nil {
		return err
	}
	password, err := p.newSecret("new password of " + c.User)
	if err != nil {
		return err
	}
	return c.call(ctx, request{method: "POST", path: []string{"setup"}, in: server.SetupDocument{Secret: secret, Name: c.User, Password: password, Expires: c.For.end()}}, t)
}

// known asks the pond whose the token is, before it is remembered.
func (c *loginCommand) known(ctx context.Context, p *Process) (server.TokenDocument, error) {
	secret, err := p.secret("token")
	if err != nil {
		return server.TokenDocument{}, err
	}
	c.Token = strings.TrimSpace(secret)
	who, err := c.who(ctx)
	if err != nil {
		return server.TokenDocument{}, err
	}
	return server.TokenDocument{ID: who.Token, Secret: c.Token, Owner: who.Name}, nil
}

// browser shows where the person logs in, and waits until they have.
func (c *loginCommand) browser(ctx context.Context, p *Process, t *server.TokenDocument) error {
	var ticket server.TicketDocument
	if err := c.call(ctx, request{method: "POST", path: []string{"login", "tickets"}}, &ticket); err != nil {
		return err
	}
	fmt.Fprintf(p.Err, "open this page and log in there:\n\n  %s\n\nwaiting until %s\n", ticket.URL, when(ticket.Expires))
	every := max(time.Duration(ticket.Every*float64(time.Second)), 200*time.Millisecond)
	for {
		err := c.call(ctx, request{method: "GET", path: []string{"login", "tickets", ticket.ID}}, t)
		if !millpond.Is(err, millpond.Throttled) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(every):
		}
	}
}

type logoutCommand struct{ api }

// Run ends the token and forgets it. One that the pond does not know any more is forgotten all the same.
func (c *logoutCommand) Run(ctx context.Context, p *Process) error {
	f := loginFile{}
	l, err := f.read()
	if err != nil {
		return err
	}
	known, ok := l.Ponds[c.URL.String()]
	if !ok {
		return &millpond.Error{Kind: millpond.NotFound, Why: "you are not logged in to " + c.URL.Redacted()}
	}
	c.Token = known.Token
	failed := c.call(ctx, request{method: "POST", path: []string{"logout"}}, nil)
	if millpond.Is(failed, millpond.Unauthenticated) {
		failed = nil
	}
	delete(l.Ponds, c.URL.String())
	if l.Current == c.URL.String() {
		l.Current = ""
	}
	if err := f.write(l); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("the token %s is forgotten here, but the pond could not end it: %w", known.ID, failed)
	}
	return c.done(p, "logged out of %s", c.URL.Redacted())
}

type whoamiCommand struct{ api }

// Run says who the caller is.
func (c *whoamiCommand) Run(ctx context.Context, p *Process) error {
	d, err := c.who(ctx)
	if err != nil {
		return err
	}
	return c.show(p, d, func(row func(...any)) {
		row(cmp.Or(d.Name, "anonymous"))
		if d.Token != "" {
			row("token", d.Token)
		}
		if len(d.Groups) > 0 {
			row("groups", d.Groups)
		}
		for _, m := range d.May {
			row(cmp.Or(m.Repository, "the pond"), m.Verbs)
		}
	})
}

func (r *remote) who(ctx context.Context) (*server.WhoDocument, error) {
	d := &server.WhoDocument{}
	return d, r.call(ctx, request{method: "GET", path: []string{"whoami"}}, d)
}

type statusCommand struct{ api }

// Run says which pond is meant, how it is, and who the caller is to it. It fails if the pond is not ready.
func (c *statusCommand) Run(ctx context.Context, p *Process) error {
	var d server.StatusDocument
	if err := c.call(ctx, request{method: "GET", path: []string{"status"}}, &d); err != nil {
		return err
	}
	err := c.show(p, d, func(row func(...any)) {
		state := "ready"
		if !d.Ready {
			state = "not ready: " + d.Why
		}
		if d.Offline {
			state += "; offline"
		}
		row("pond", c.URL.Redacted()+", version "+d.Version)
		row("state", state)
		row("you are", cmp.Or(d.Caller, "anonymous"))
		for _, r := range d.Repositories {
			row("repository", r.Name+" ("+r.Format+"): "+verbs(r.May))
		}
	})
	if err == nil && !d.Ready {
		return &exit{code: ExitFailed}
	}
	return err
}
