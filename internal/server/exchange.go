package server

import (
	"context"
	"time"

	"millpond"
	"millpond/format"
)

// ExchangeDocument asks for a short token for publishing in return for a CI job's identity token. The addresses at the server's
// root where clients insist on it are their formats'.
type ExchangeDocument struct {
	Token      string `json:"token"` // the job's identity token
	Repository string `json:"repository"`
	Package    string `json:"package,omitempty"` // empty is all that the job's publisher rules name
}

func exchangeRoutes() []route {
	return []route{
		op("POST", "/-/api/oidc/exchange", verbOpen, inPond, "Exchanges a CI job's identity token for a short token for publishing.", (*Server).exchange),
	}
}

// exchangesOf are the routes of a format whose clients exchange at the root of the host. m is a repository of it.
func exchangesOf(m *mount) (all []route) {
	f, ok := m.config.Format.(format.Exchanger)
	if !ok {
		return nil
	}
	for _, one := range f.Exchanges() {
		all = append(all, route{path: one.Path, methods: one.Methods, verb: verbOpen, about: one.About, plain: true, serve: func(s *Server, c *call) error {
			one.Serve(c.response, c.r, &desk{s, c, m}, c.args)
			return nil
		}})
	}
	return all
}

func (s *Server) exchange(c *call, in ExchangeDocument) (*TokenDocument, error) {
	if s.parts.Callers == nil {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "this pond exchanges no identity tokens"}
	}
	m := c.t.mounts[in.Repository]
	if m == nil || in.Token == "" {
		// What a repository is called is told to nobody before the token is.
		return nil, &millpond.Error{Kind: millpond.Denied, Why: "no publisher rule fits: the job may not publish in " + quote(in.Repository)}
	}
	pkg := in.Package
	if pkg != "" {
		var err error
		if pkg, err = m.config.Format.Canon(pkg); err != nil {
			return nil, err
		}
	}
	t, err := s.parts.Callers.AccountsFor(c.caller, m.name, m.info.Name, c.t.base(c.peer)).Exchange(c.r.Context(), in.Token, pkg)
	return (*TokenDocument)(t), err
}

// A desk is format.Desk for one request.
type desk struct {
	s *Server
	c *call
	m *mount // any of the format
}

// Audience implements format.Desk.
func (d *desk) Audience() string {
	if d.s.parts.People == nil {
		return ""
	}
	return d.s.parts.People.Audience()
}

// Exchange implements format.Desk.
func (d *desk) Exchange(ctx context.Context, identity, pkg string) (*format.Token, error) {
	if d.s.parts.Callers == nil {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "this pond exchanges no identity tokens"}
	}
	if pkg != "" {
		var err error
		if pkg, err = d.m.config.Format.Canon(pkg); err != nil {
			return nil, err
		}
	}
	return d.s.parts.Callers.AccountsFor(d.c.caller, "", d.m.info.Name, d.c.t.base(d.c.peer)).Exchange(ctx, identity, pkg)
}

// Burn implements format.Desk.
func (d *desk) Burn(ctx context.Context, secret string) error {
	if d.s.parts.People == nil {
		return &millpond.Error{Kind: millpond.NotFound, Why: "there is no such token"}
	}
	return d.s.parts.People.Burn(ctx, d.c.caller.Client, secret)
}

// Now implements format.Desk.
func (d *desk) Now() time.Time { return time.Now() }
