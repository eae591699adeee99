package server

import (
	"context"
	"strings"
	"time"

	"millpond"
	"millpond/format"
	"millpond/internal/auth"
	"millpond/repo"
)

// People keeps who there is and what they may do. It judges the caller's rights itself. *auth.Auth does it.
type People interface {
	Users
	Groups
	Grants
	Tokens
	Logins
	Publishers
}

// Users are people and services.
type Users interface {
	Users(ctx context.Context, c repo.Caller) ([]auth.User, error)
	AddUser(ctx context.Context, c repo.Caller, u auth.User, password string) error
	SetPassword(ctx context.Context, c repo.Caller, name, current, password string) error
	Disable(ctx context.Context, c repo.Caller, name string) error
	Enable(ctx context.Context, c repo.Caller, name string) error
	RemoveUser(ctx context.Context, c repo.Caller, name string) error
}

// Groups are sets of them.
type Groups interface {
	Groups(ctx context.Context, c repo.Caller) ([]auth.Group, error)
	AddGroup(ctx context.Context, c repo.Caller, name, title string) error
	RemoveGroup(ctx context.Context, c repo.Caller, name string) error
	AddMember(ctx context.Context, c repo.Caller, group, name string) error
	RemoveMember(ctx context.Context, c repo.Caller, group, name string) error
}

// Grants give roles.
type Grants interface {
	Grants(ctx context.Context, c repo.Caller) ([]auth.Grant, error)
	AddGrant(ctx context.Context, c repo.Caller, g auth.Grant) (*auth.Grant, error)
	RemoveGrant(ctx context.Context, c repo.Caller, id string) error
}

// Tokens are those of others: what is the caller's own is format.Accounts'.
type Tokens interface {
	TokensFor(ctx context.Context, c repo.Caller, name string) ([]format.Token, error)
	NewTokenFor(ctx context.Context, c repo.Caller, service string, t format.Token) (*format.Token, error)
	RevokeFor(ctx context.Context, c repo.Caller, id string) error
	// Burn ends the token that a secret is, for whoever has it.
	Burn(ctx context.Context, client, secret string) error
}

// The documents of the calls about people.
type (
	// UserDocument is a person or a service.
	UserDocument struct {
		Name     string    `json:"name"`
		Display  string    `json:"display,omitempty"`
		Email    string    `json:"email,omitempty"`
		Service  bool      `json:"service,omitempty"`
		Owner    string    `json:"owner,omitempty"`
		Groups   []string  `json:"groups,omitempty"`
		Disabled bool      `json:"disabled,omitempty"`
		Created  time.Time `json:"created,omitzero"`
		Issuer   string    `json:"issuer,omitempty"`
		Subject  string    `json:"subject,omitempty"`
	}
	// NewUser is a person to be made.
	NewUser struct {
		Name     string `json:"name"`
		Display  string `json:"display,omitempty"`
		Email    string `json:"email,omitempty"`
		Password string `json:"password,omitempty"`
		Issuer   string `json:"issuer,omitempty"` // with subject: who logs in through that provider
		Subject  string `json:"subject,omitempty"`
	}
	// NewService is a service account to be made.
	NewService struct {
		Name    string `json:"name"`
		Display string `json:"display,omitempty"`
	}
	// Passwords change a password: one's own with the current one.
	Passwords struct {
		Current  string `json:"current,omitempty"`
		Password string `json:"password"`
	}
	// GroupDocument is a set of people and services.
	GroupDocument struct {
		Name    string    `json:"name"`
		Title   string    `json:"title,omitempty"`
		Members []string  `json:"members,omitempty"`
		Created time.Time `json:"created,omitzero"`
	}
	// NewGroup is a group to be made.
	NewGroup struct {
		Name  string `json:"name"`
		Title string `json:"title,omitempty"`
	}
	// NewGrant gives a role to a subject for the names of repositories that patterns cover.
	NewGrant struct {
		Subject    string    `json:"subject"` // user:NAME, group:NAME, anonymous or authenticated
		Role       auth.Role `json:"role"`
		Repository string    `json:"repository,omitempty"` // a pattern; empty is all
		Names      string    `json:"names,omitempty"`      // a pattern; empty is all
	}
)

func peopleRoutes() []route {
	return []route{
		op("GET", "/-/api/users", verbSelf, inPond, "The people and services that the caller may see.", (*Server).listUsers),
		op("POST", "/-/api/users", millpond.VerbGrant, inPond, "Makes a person.", (*Server).addUser),
		op("DELETE", "/-/api/users/{user}", millpond.VerbGrant, inPond, "Forgets a person, and what was granted to them.", (*Server).removeUser),
		op("PUT", "/-/api/users/{user}/password", verbSelf, inPond, "Sets a password: one's own with the current one, or somebody's as an administrator.", (*Server).setPassword),
		op("POST", "/-/api/users/{user}/disable", millpond.VerbGrant, inPond, "Ends all that a person can do, tokens and logins too.", (*Server).disable),
		op("POST", "/-/api/users/{user}/enable", millpond.VerbGrant, inPond, "Lets a person log in again.", (*Server).enable),

		op("GET", "/-/api/groups", verbSelf, inPond, "The groups and their members.", (*Server).listGroups),
		op("POST", "/-/api/groups", millpond.VerbGrant, inPond, "Makes a group.", (*Server).addGroup),
		op("DELETE", "/-/api/groups/{group}", millpond.VerbGrant, inPond, "Forgets a group, and what was granted to it.", (*Server).removeGroup),
		op("PUT", "/-/api/groups/{group}/members/{user}", millpond.VerbGrant, inPond, "Puts a user into a group.", (*Server).addMember),
		op("DELETE", "/-/api/groups/{group}/members/{user}", millpond.VerbGrant, inPond, "Takes a user out of a group.", (*Server).removeMember),

		op("GET", "/-/api/services", verbSelf, inPond, "The service accounts that the caller may see.", (*Server).listServices),
		op("POST", "/-/api/services", millpond.VerbGrant, inBody, "Makes a service account.", (*Server).addService),
		op("DELETE", "/-/api/services/{user}", millpond.VerbGrant, inBody, "Forgets a service account, and what was granted to it.", (*Server).removeUser),
		op("GET", "/-/api/services/{user}/tokens", millpond.VerbGrant, inBody, "The tokens of a service account.", (*Server).listTokensOf),
		op("POST", "/-/api/services/{user}/tokens", millpond.VerbGrant, inBody, "Makes a token of a service account.", (*Server).addTokenOf),
		op("GET", "/-/api/users/{user}/tokens", millpond.VerbGrant, inPond, "The tokens of a person.", (*Server).listTokensOf),
		op("DELETE", "/-/api/services/{user}/tokens/{id}", millpond.VerbGrant, inBody, "Ends a token of somebody else's.", (*Server).revokeOther),

		op("GET", "/-/api/grants", verbSelf, inPond, "The grants that the caller may see.", (*Server).listGrants),
		op("POST", "/-/api/grants", millpond.VerbGrant, inBody, "Gives a role: never more than the caller has.", (*Server).addGrant),
		op("DELETE", "/-/api/grants/{id}", millpond.VerbGrant, inBody, "Takes a grant back.", (*Server).removeGrant),
	}
}

// people is who keeps people, or an error where nobody does.
func (s *Server) people() (People, error) {
	if s.parts.People == nil {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "this pond keeps no people"}
	}
	return s.parts.People, nil
}

// tell carries out what gives nothing back.
func (s *Server) tell(f func(p People) error) (nothing, error) {
	p, err := s.people()
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, f(p)
}

func (s *Server) listUsers(c *call, _ nothing) ([]UserDocument, error) {
	return s.users(c, func(*auth.User) bool { return true })
}

// users are those that the caller may see and that are wanted.
func (s *Server) users(c *call, want func(*auth.User) bool) ([]UserDocument, error) {
	p, err := s.people()
	if err != nil {
		return nil, err
	}
	all, err := p.Users(c.r.Context(), c.caller)
	out := []UserDocument{}
	for i := range all {
		u := &all[i]
		if want(u) {
			out = append(out, UserDocument{Name: u.Name, Display: u.Display, Email: u.Email, Service: u.Service, Owner: u.Owner,
				Groups: u.Groups, Disabled: u.Disabled, Created: u.Created, Issuer: u.Issuer, Subject: u.Subject})
		}
	}
	return out, err
}

func (s *Server) addUser(c *call, in NewUser) (nothing, error) {
	u := auth.User{Name: in.Name, Display: in.Display, Email: in.Email, Issuer: in.Issuer, Subject: in.Subject}
	return s.tell(func(p People) error { return p.AddUser(c.r.Context(), c.caller, u, in.Password) })
}

func (s *Server) removeUser(c *call, _ nothing) (nothing, error) {
	return s.tell(func(p People) error { return p.RemoveUser(c.r.Context(), c.caller, c.arg("user")) })
}

func (s *Server) setPassword(c *call, in Passwords) (nothing, error) {
	return s.tell(func(p People) error {
		return p.SetPassword(c.r.Context(), c.caller, c.arg("user"), in.Current, in.Password)
	})
}

func (s *Server) disable(c *call, _ nothing) (nothing, error) {
	return s.tell(func(p People) error { return p.Disable(c.r.Context(), c.caller, c.arg("user")) })
}

func (s *Server) enable(c *call, _ nothing) (nothing, error) {
	return s.tell(func(p People) error { return p.Enable(c.r.Context(), c.caller, c.arg("user")) })
}

func (s *Server) listServices(c *call, _ nothing) ([]UserDocument, error) {
	return s.users(c, func(u *auth.User) bool { return u.Service })
}

func (s *Server) addService(c *call, in NewService) (nothing, error) {
	u := auth.User{Name: in.Name, Display: in.Display, Service: true}
	return s.tell(func(p People) error { return p.AddUser(c.r.Context(), c.caller, u, "") })
}

func (s *Server) listTokensOf(c *call, _ nothing) ([]TokenDocument, error) {
	p, err := s.people()
	if err != nil {
		return nil, err
	}
	return describeTokens(p.TokensFor(c.r.Context(), c.caller, c.arg("user")))
}

func (s *Server) addTokenOf(c *call, in NewToken) (*TokenDocument, error) {
	p, err := s.people()
	if err != nil {
		return nil, err
	}
	t, err := p.NewTokenFor(c.r.Context(), c.caller, c.arg("user"), in.token())
	return (*TokenDocument)(t), err
}

func (s *Server) revokeOther(c *call, _ nothing) (nothing, error) {
	return s.tell(func(p People) error { return p.RevokeFor(c.r.Context(), c.caller, c.arg("id")) })
}

func (s *Server) listGroups(c *call, _ nothing) ([]GroupDocument, error) {
	p, err := s.people()
	if err != nil {
		return nil, err
	}
	all, err := p.Groups(c.r.Context(), c.caller)
	out := make([]GroupDocument, len(all))
	for i, g := range all {
		out[i] = GroupDocument(g)
	}
	return out, err
}

func (s *Server) addGroup(c *call, in NewGroup) (nothing, error) {
	return s.tell(func(p People) error { return p.AddGroup(c.r.Context(), c.caller, in.Name, in.Title) })
}

func (s *Server) removeGroup(c *call, _ nothing) (nothing, error) {
	return s.tell(func(p People) error { return p.RemoveGroup(c.r.Context(), c.caller, c.arg("group")) })
}

func (s *Server) addMember(c *call, _ nothing) (nothing, error) {
	return s.tell(func(p People) error { return p.AddMember(c.r.Context(), c.caller, c.arg("group"), c.arg("user")) })
}

func (s *Server) removeMember(c *call, _ nothing) (nothing, error) {
	return s.tell(func(p People) error { return p.RemoveMember(c.r.Context(), c.caller, c.arg("group"), c.arg("user")) })
}

func (s *Server) listGrants(c *call, _ nothing) ([]auth.Grant, error) {
	p, err := s.people()
	if err != nil {
		return nil, err
	}
	return orEmpty(p.Grants(c.r.Context(), c.caller))
}

func (s *Server) addGrant(c *call, in NewGrant) (*auth.Grant, error) {
	p, err := s.people()
	if err != nil {
		return nil, err
	}
	if in.Repository != "" && !strings.Contains(in.Repository, "*") { // a pattern may be for those to come
		if err := c.enters(in.Repository); err != nil {
			return nil, err
		}
	}
	return p.AddGrant(c.r.Context(), c.caller, auth.Grant{Subject: in.Subject, Role: in.Role, Repository: in.Repository, Names: in.Names})
}

func (s *Server) removeGrant(c *call, _ nothing) (nothing, error) {
	return s.tell(func(p People) error { return p.RemoveGrant(c.r.Context(), c.caller, c.arg("id")) })
}

// TokenDocument is a token; its secret is shown when it is made, and never again.
type TokenDocument struct {
	ID           string          `json:"id,omitempty"`
	Secret       string          `json:"secret,omitempty"`
	S3           string          `json:"s3_secret,omitempty"` // the secret access key, whose id is id
	Name         string          `json:"name,omitempty"`
	Owner        string          `json:"owner,omitempty"`
	Created      time.Time       `json:"created,omitzero"`
	Used         time.Time       `json:"used,omitzero"`
	Expires      time.Time       `json:"expires,omitzero"`
	Verbs        []millpond.Verb `json:"verbs,omitempty"`
	Repositories []string        `json:"repositories,omitempty"`
	Names        []string        `json:"names,omitempty"`
}

// NewToken is a token to be made; what is empty is whatever its owner may.
type NewToken struct {
	Name         string          `json:"name,omitempty"`
	Expires      time.Time       `json:"expires,omitzero"`
	Verbs        []millpond.Verb `json:"verbs,omitempty"`
	Repositories []string        `json:"repositories,omitempty"`
	Names        []string        `json:"names,omitempty"`
}

func (n NewToken) token() format.Token {
	return format.Token{Name: n.Name, Expires: n.Expires, Verbs: n.Verbs, Repositories: n.Repositories, Names: n.Names}
}

func describeTokens(list []format.Token, err error) ([]TokenDocument, error) {
	out := make([]TokenDocument, len(list))
	for i, t := range list {
		out[i] = TokenDocument(t)
	}
	return out, err
}
