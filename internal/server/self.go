package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"millpond"
	"millpond/format"
	"millpond/internal/auth"
	"millpond/repo"
)

// Logins begin and end what people prove themselves with.
type Logins interface {
	// LogIn begins a login session in a browser.
	LogIn(ctx context.Context, client, name, password string) (*auth.Session, error)
	LogOut(ctx context.Context, c repo.Caller) error
	// Proved reports whether what the caller came with was proved lately: all but a login session that has lasted is.
	Proved(c repo.Caller) bool
	// SetUp makes the first user.
	SetUp(ctx context.Context, client, secret, name, password string) (*auth.Session, error)
	// Ticket is the login that a client waits for.
	Ticket(ctx context.Context, code string) (*auth.Waiting, error)
	ApproveTicket(ctx context.Context, c repo.Caller, code string) error
	// Passwords and Providers are the ways in which people log in.
	Passwords() bool
	Providers() []string
	BeginOIDC(ctx context.Context, client string, o auth.OIDCLogin) (*auth.Redirect, error)
	FinishOIDC(ctx context.Context, client, cookie, state, code string) (s *auth.Session, next string, err error)
}

// The documents of the calls about the caller.
type (
	// WhoDocument is who the caller is.
	WhoDocument struct {
		Name   string    `json:"name"` // "" is anonymous
		Token  string    `json:"token,omitempty"`
		Client string    `json:"client,omitempty"`
		Groups []string  `json:"groups,omitempty"`
		May    []MayList `json:"may"`
	}
	// MayList is what the caller may do in a repository; "" is the pond as a whole.
	MayList struct {
		Repository string          `json:"repository"`
		Verbs      []millpond.Verb `json:"verbs"`
	}
	// StatusDocument is how the pond is, as far as the caller may know.
	StatusDocument struct {
		Version      string               `json:"version"`
		Instance     string               `json:"instance"`
		Ready        bool                 `json:"ready"`
		Why          string               `json:"why,omitempty"` // it is not ready
		Offline      bool                 `json:"offline"`
		URL          string               `json:"url"`
		Caller       string               `json:"caller"`
		Repositories []RepositoryDocument `json:"repositories"`
	}
	// LoginDocument is who logs in.
	LoginDocument struct {
		Name     string    `json:"name"`
		Password string    `json:"password"`         // or a token, or the setup secret
		Expires  time.Time `json:"expires,omitzero"` // of the token that is made; nothing is in 30 days, and a year is the most
	}
	// SetupDocument makes the first user.
	SetupDocument struct {
		Secret   string `json:"secret"` // printed by the first start
		Name     string `json:"name"`
		Password string `json:"password,omitempty"`

		Expires time.Time `json:"expires,omitzero"` // as of LoginDocument
	}
	// TicketDocument is a login in a browser that is under way.
	TicketDocument struct {
		ID      string    `json:"id"`
		URL     string    `json:"url"`
		Expires time.Time `json:"expires"`
		Every   float64   `json:"every"` // seconds between two polls
	}
	// WaitingDocument is a client that waits for somebody to log in.
	WaitingDocument struct {
		Code    string    `json:"code"`
		Client  string    `json:"client"`
		Format  string    `json:"format,omitempty"`
		Created time.Time `json:"created"`
	}
)

func selfRoutes() []route {
	return []route{
		op("GET", "/-/api/whoami", verbOpen, inPond, "Who the caller is, and what they may do where.", (*Server).whoami),
		op("GET", "/-/api/status", verbOpen, inPond, "How the pond is, as far as the caller may know.", (*Server).status),
		op("POST", "/-/api/login", verbOpen, inPond, "Makes a token of a person who has a password, or the setup secret.", (*Server).login),
		op("POST", "/-/api/setup", verbOpen, inPond, "Makes the first user, an administrator, and a token of theirs.", (*Server).setup),
		op("POST", "/-/api/logout", verbSelf, inPond, "Ends the token or the login session that the caller came with.", (*Server).logout).calmly(),
		op("POST", "/-/api/login/tickets", verbOpen, inPond, "Begins a login in a browser.", (*Server).beginLogin),
		op("GET", "/-/api/login/tickets/{ticket}", verbOpen, inPond, "The token, once the person has logged in; 429 with Retry-After before.", (*Server).pollLogin),
		op("GET", "/-/api/login/waiting/{code}", verbSelf, inPond, "The client that waits for somebody to log in.", (*Server).waiting),
		op("POST", "/-/api/login/waiting/{code}/approve", verbSelf, inPond, "Lets the client that waits have a token of the caller.", (*Server).approve),
		op("GET", "/-/api/tokens", verbSelf, inPond, "The caller's tokens, without their secrets.", (*Server).listTokens),
		op("POST", "/-/api/tokens", verbSelf, inPond, "Makes a token, never wider nor longer-lived than what the caller came with.", (*Server).addToken),
		op("DELETE", "/-/api/tokens/{id}", verbSelf, inPond, "Ends a token of the caller's.", (*Server).revokeToken),
	}
}

// accounts are those of the caller, in no repository.
func (s *Server) accounts(c *call) (format.Accounts, error) {
	if s.parts.Callers == nil {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "this pond keeps no people"}
	}
	return s.parts.Callers.AccountsFor(c.caller, "", "", c.t.base(c.peer)), nil
}

func (s *Server) whoami(c *call, _ nothing) (*WhoDocument, error) {
	d := &WhoDocument{Name: c.caller.Name, Token: c.caller.Token, Client: c.caller.Client, May: []MayList{}}
	for _, m := range c.t.order {
		if mayEnter(&c.caller, &m.config) {
			d.May = append(d.May, MayList{m.name, verbsOf(&c.caller, m)})
		}
	}
	wide := MayList{Verbs: []millpond.Verb{}}
	for _, v := range []millpond.Verb{millpond.VerbGrant, millpond.VerbOperate, millpond.VerbAudit, millpond.VerbFollow} {
		if c.caller.Rights != nil && c.caller.Rights.May(v, pondWide, "") {
			wide.Verbs = append(wide.Verbs, v)
		}
	}
	if len(wide.Verbs) > 0 {
		d.May = append(d.May, wide)
	}
	if s.parts.People == nil || !known(&c.caller) {
		return d, nil
	}
	users, err := s.parts.People.Users(c.r.Context(), c.caller)
	for _, u := range users {
		if u.Name == d.Name {
			d.Groups = u.Groups
		}
	}
	if millpond.Is(err, millpond.Denied) || millpond.Is(err, millpond.Unauthenticated) {
		err = nil // a job or a narrow token sees no people, itself neither
	}
	return d, err
}

// verbsOf are what a caller may do somewhere in a repository.
func verbsOf(c *repo.Caller, m *mount) []millpond.Verb {
	out := []millpond.Verb{}
	for _, v := range millpond.Verbs() {
		if v == millpond.VerbRead && m.config.Public || c.Rights != nil && c.Rights.May(v, m.name, "") {
			out = append(out, v)
		}
	}
	return out
}

func (s *Server) status(c *call, _ nothing) (*StatusDocument, error) {
	d := &StatusDocument{Version: s.parts.Version, Instance: s.instance[0], Ready: true, Offline: c.t.settings.Offline,
		URL: c.t.base(c.peer).String(), Caller: c.caller.Name}
	if why := s.state.Load(); why != nil {
		d.Ready, d.Why = false, *why
	}
	var err error
	d.Repositories, err = s.listRepositories(c, nothing{})
	return d, err
}

func (s *Server) login(c *call, in LoginDocument) (*TokenDocument, error) {
	a, err := s.accounts(c)
	if err != nil {
		return nil, err
	}
	t, err := a.Login(c.r.Context(), in.Name, in.Password, format.Token{Expires: in.Expires})
	return (*TokenDocument)(t), err
}

func (s *Server) setup(c *call, in SetupDocument) (*TokenDocument, error) {
	p, err := s.people()
	if err != nil {
		return nil, err
	}
	if s.parts.Callers == nil {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "this pond keeps no people"}
	}
	session, err := p.SetUp(c.r.Context(), c.caller.Client, in.Secret, in.Name, in.Password)
	if err != nil {
		return nil, err
	}
	who := session.Caller
	who.Client, who.Request = c.caller.Client, c.caller.Request
	t, err := s.parts.Callers.AccountsFor(who, "", "", c.t.base(c.peer)).NewToken(c.r.Context(), format.Token{Name: "setup", Expires: in.Expires})
	return (*TokenDocument)(t), errors.Join(err, p.LogOut(c.r.Context(), who))
}

func (s *Server) logout(c *call, _ nothing) (nothing, error) {
	if c.caller.Token == "" {
		return s.tell(func(p People) error { return p.LogOut(c.r.Context(), c.caller) })
	}
	a, err := s.accounts(c)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, a.Revoke(c.r.Context(), c.caller.Token)
}

func (s *Server) beginLogin(c *call, _ nothing) (*TicketDocument, error) {
	a, err := s.accounts(c)
	if err != nil {
		return nil, err
	}
	t, err := a.BeginLogin(c.r.Context())
	if err != nil {
		return nil, err
	}
	return &TicketDocument{ID: t.ID, URL: t.URL, Expires: t.Expires, Every: t.Every.Seconds()}, nil
}

func (s *Server) pollLogin(c *call, _ nothing) (*TokenDocument, error) {
	if c.r.Method == http.MethodHead {
		return nil, &refusal{status: http.StatusMethodNotAllowed, why: "a token is given once: ask by GET"}
	}
	a, err := s.accounts(c)
	if err != nil {
		return nil, err
	}
	t, err := a.PollLogin(c.r.Context(), c.arg("ticket"))
	return (*TokenDocument)(t), err
}

func (s *Server) waiting(c *call, _ nothing) (*WaitingDocument, error) {
	p, err := s.people()
	if err != nil {
		return nil, err
	}
	w, err := p.Ticket(c.r.Context(), c.arg("code"))
	if err != nil {
		return nil, err
	}
	return &WaitingDocument{Code: w.Code, Client: w.Client, Format: w.Format, Created: w.Created}, nil
}

func (s *Server) approve(c *call, _ nothing) (nothing, error) {
	return s.tell(func(p People) error { return p.ApproveTicket(c.r.Context(), c.caller, c.arg("code")) })
}

func (s *Server) listTokens(c *call, _ nothing) ([]TokenDocument, error) {
	a, err := s.accounts(c)
	if err != nil {
		return nil, err
	}
	return describeTokens(a.Tokens(c.r.Context()))
}

func (s *Server) addToken(c *call, in NewToken) (*TokenDocument, error) {
	a, err := s.accounts(c)
	if err != nil {
		return nil, err
	}
	t, err := a.NewToken(c.r.Context(), in.token())
	return (*TokenDocument)(t), err
}

func (s *Server) revokeToken(c *call, _ nothing) (nothing, error) {
	a, err := s.accounts(c)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, a.Revoke(c.r.Context(), c.arg("id"))
}
