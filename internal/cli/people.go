package cli

import (
	"context"
	"strings"

	"millpond/internal/auth"
	"millpond/internal/server"
)

type userCommands struct {
	List     userListCommand     `cmd:"" default:"withargs" help:"List people and services."`
	Add      userAddCommand      `cmd:"" help:"Add a person."`
	Remove   userRemoveCommand   `cmd:"" help:"Forget a person, and what was granted to them."`
	Disable  userDisableCommand  `cmd:"" help:"End all that somebody can do, tokens and logins too."`
	Enable   userEnableCommand   `cmd:"" help:"Let somebody log in again."`
	Password userPasswordCommand `cmd:"" help:"Set a password, yours or, as an owner of the pond, somebody's."`
}

type userListCommand struct{ api }

// Run lists people and services.
func (c *userListCommand) Run(ctx context.Context, p *Process) error {
	return c.listUsers(ctx, p, "users")
}

func (a *api) listUsers(ctx context.Context, p *Process, path string) error {
	return list(ctx, a, p, []string{path}, func(row func(...any), u server.UserDocument) {
		kind := "person"
		if u.Service {
			kind = strings.TrimSuffix("service of "+u.Owner, " of ")
		}
		if u.Disabled {
			kind += ", disabled"
		}
		row(u.Name, kind, u.Display, u.Email, u.Groups)
	})
}

type userAddCommand struct {
	api
	Name     string `arg:"" help:"What they are called here."`
	Display  string `help:"What others see." placeholder:"WORDS"`
	Email    string `help:"Their address." placeholder:"ADDRESS"`
	Password bool   `help:"Ask for a password, or read it from what is piped in."`
	Issuer   string `help:"Of the identity provider through which they log in." placeholder:"URL"`
	Subject  string `help:"Who they are to that provider." placeholder:"ID"`
}

// Run adds a person.
func (c *userAddCommand) Run(ctx context.Context, p *Process) error {
	in := server.NewUser{Name: c.Name, Display: c.Display, Email: c.Email, Issuer: c.Issuer, Subject: c.Subject}
	if c.Password {
		var err error
		if in.Password, err = p.newSecret("password of " + c.Name); err != nil {
			return err
		}
	}
	return c.tell(ctx, p, request{method: "POST", path: []string{"users"}, in: in}, "added %s; what they may do says 'millpond grant add'", c.Name)
}

// somebody is a command about one person or service.
type somebody struct {
	api
	Name string `arg:"" help:"Who."`
}

type userRemoveCommand struct{ somebody }

// Run forgets somebody.
func (c *userRemoveCommand) Run(ctx context.Context, p *Process) error {
	return c.tell(ctx, p, request{method: "DELETE", path: []string{"users", c.Name}}, "removed %s", c.Name)
}

type userDisableCommand struct{ somebody }

// Run ends all that somebody can do.
func (c *userDisableCommand) Run(ctx context.Context, p *Process) error {
	return c.tell(ctx, p, request{method: "POST", path: []string{"users", c.Name, "disable"}}, "disabled %s: their tokens and logins have ended", c.Name)
}

type userEnableCommand struct{ somebody }

// Run lets somebody log in again.
func (c *userEnableCommand) Run(ctx context.Context, p *Process) error {
	return c.tell(ctx, p, request{method: "POST", path: []string{"users", c.Name, "enable"}}, "enabled %s", c.Name)
}

type userPasswordCommand struct {
	api
	Name string `arg:"" optional:"" help:"Whose; yours if nobody is named."`
}

// Run sets a password. What is piped in are lines: of one's own first the current one, then the new one.
func (c *userPasswordCommand) Run(ctx context.Context, p *Process) error {
	var me server.WhoDocument
	if err := c.call(ctx, request{method: "GET", path: []string{"whoami"}}, &me); err != nil {
		return err
	}
	in := server.Passwords{}
	var err error
	if c.Name == "" || c.Name == me.Name {
		c.Name = me.Name
		if in.Current, err = p.secret("current password"); err != nil {
			return err
		}
	}
	if in.Password, err = p.newSecret("new password of " + c.Name); err != nil {
		return err
	}
	return c.tell(ctx, p, request{method: "PUT", path: []string{"users", c.Name, "password"}, in: in}, "the password of %s is set", c.Name)
}

type groupCommands struct {
	List   groupListCommand   `cmd:"" default:"withargs" help:"List groups and their members."`
	Add    groupAddCommand    `cmd:"" help:"Make a group, or put people into one."`
	Remove groupRemoveCommand `cmd:"" help:"Take people out of a group, or forget it whole."`
}

type groupListCommand struct{ api }

// Run lists groups.
func (c *groupListCommand) Run(ctx context.Context, p *Process) error {
	return list(ctx, &c.api, p, []string{"groups"}, func(row func(...any), g server.GroupDocument) {
		row(g.Name, g.Title, g.Members)
	})
}

type groupAddCommand struct {
	api
	Name    string   `arg:"" help:"The group."`
	Members []string `arg:"" optional:"" help:"Who shall be in it; none makes the group."`
	Title   string   `help:"What others see, of a new group." placeholder:"WORDS"`
}

// Run makes a group, or puts people into one.
func (c *groupAddCommand) Run(ctx context.Context, p *Process) error {
	if len(c.Members) == 0 {
		return c.tell(ctx, p, request{method: "POST", path: []string{"groups"}, in: server.NewGroup{Name: c.Name, Title: c.Title}}, "made the group %s", c.Name)
	}
	for _, m := range c.Members {
		if err := c.call(ctx, request{method: "PUT", path: []string{"groups", c.Name, "members", m}}, nil); err != nil {
			return err
		}
	}
	return c.done(p, "put into %s: %s", c.Name, strings.Join(c.Members, ", "))
}

type groupRemoveCommand struct {
	api
	Name    string   `arg:"" help:"The group."`
	Members []string `arg:"" optional:"" help:"Who shall leave it; none forgets the group whole."`
}

// Run takes people out of a group, or forgets it.
func (c *groupRemoveCommand) Run(ctx context.Context, p *Process) error {
	if len(c.Members) == 0 {
		return c.tell(ctx, p, request{method: "DELETE", path: []string{"groups", c.Name}}, "removed the group %s", c.Name)
	}
	for _, m := range c.Members {
		if err := c.call(ctx, request{method: "DELETE", path: []string{"groups", c.Name, "members", m}}, nil); err != nil {
			return err
		}
	}
	return c.done(p, "taken out of %s: %s", c.Name, strings.Join(c.Members, ", "))
}

type serviceCommands struct {
	List   serviceListCommand   `cmd:"" default:"withargs" help:"List services."`
	Add    serviceAddCommand    `cmd:"" help:"Add a service."`
	Token  serviceTokenCommand  `cmd:"" help:"Make a token of a service's."`
	Tokens serviceTokensCommand `cmd:"" help:"List the tokens of a service."`
	Revoke serviceRevokeCommand `cmd:"" help:"End a token of a service's."`
	Remove serviceRemoveCommand `cmd:"" help:"Forget a service, its tokens and what was granted to it."`
}

type serviceListCommand struct{ api }

// Run lists services.
func (c *serviceListCommand) Run(ctx context.Context, p *Process) error {
	return c.listUsers(ctx, p, "services")
}

type serviceAddCommand struct {
	api
	Name    string `arg:"" help:"What it is called."`
	Display string `help:"What others see." placeholder:"WORDS"`
}

// Run adds a service.
func (c *serviceAddCommand) Run(ctx context.Context, p *Process) error {
	return c.tell(ctx, p, request{method: "POST", path: []string{"services"}, in: server.NewService{Name: c.Name, Display: c.Display}}, "added %s; next 'millpond grant add user:%s …' and 'millpond service token %s'", c.Name, c.Name, c.Name)
}

type serviceTokenCommand struct {
	Service string `arg:"" help:"The service."`
	tokenWish
}

// Run makes a token of a service's and prints it, this once.
func (c *serviceTokenCommand) Run(ctx context.Context, p *Process) error {
	return c.make(ctx, p, "services", c.Service, "tokens")
}

type serviceTokensCommand struct{ somebody }

// Run lists a service's tokens.
func (c *serviceTokensCommand) Run(ctx context.Context, p *Process) error {
	return c.listTokens(ctx, p, "services", c.Name, "tokens")
}

type serviceRevokeCommand struct {
	api
	Service string `arg:"" help:"The service."`
	ID      string `arg:"" help:"The token's id, as 'service tokens' shows it."`
}

// Run ends a service's token.
func (c *serviceRevokeCommand) Run(ctx context.Context, p *Process) error {
	return c.tell(ctx, p, request{method: "DELETE", path: []string{"services", c.Service, "tokens", c.ID}}, "revoked %s", c.ID)
}

type serviceRemoveCommand struct{ somebody }

// Run forgets a service.
func (c *serviceRemoveCommand) Run(ctx context.Context, p *Process) error {
	return c.tell(ctx, p, request{method: "DELETE", path: []string{"services", c.Name}}, "removed %s", c.Name)
}

type grantCommands struct {
	List   grantListCommand   `cmd:"" default:"withargs" help:"List grants."`
	Add    grantAddCommand    `cmd:"" help:"Give a role."`
	Remove grantRemoveCommand `cmd:"" help:"Take a grant back."`
}

type grantListCommand struct{ api }

// Run lists grants.
func (c *grantListCommand) Run(ctx context.Context, p *Process) error {
	return list(ctx, &c.api, p, []string{"grants"}, func(row func(...any), g auth.Grant) {
		row(g.ID, g.Subject, g.Role, g.Repository, g.Names, g.By)
	})
}

type grantAddCommand struct {
	api
	Subject    string `arg:"" help:"user:NAME, group:NAME, authenticated or anonymous."`
	Role       string `arg:"" help:"reader, publisher, maintainer, owner, operator, auditor or admin."`
	Repository string `arg:"" optional:"" help:"A pattern of repositories; all if none is named."`
	Names      string `arg:"" optional:"" help:"A pattern of packages; all if none is named."`
}

// Run gives a role.
func (c *grantAddCommand) Run(ctx context.Context, p *Process) error {
	in, out := server.NewGrant{Subject: c.Subject, Role: auth.Role(c.Role), Repository: c.Repository, Names: c.Names}, auth.Grant{}
	if err := c.call(ctx, request{method: "POST", path: []string{"grants"}, in: in}, &out); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.Out, out)
	}
	return c.done(p, "%s is %s (%s)", out.Subject, out.Role, out.ID)
}

type grantRemoveCommand struct {
	api
	ID string `arg:"" help:"Its id, as 'grant list' shows it."`
}

// Run takes a grant back.
func (c *grantRemoveCommand) Run(ctx context.Context, p *Process) error {
	return c.tell(ctx, p, request{method: "DELETE", path: []string{"grants", c.ID}}, "took %s back", c.ID)
}
