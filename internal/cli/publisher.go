package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"millpond/internal/server"
)

type publisherCommands struct {
	List   publisherListCommand   `cmd:"" default:"withargs" help:"List publisher rules."`
	Add    publisherAddCommand    `cmd:"" help:"Let CI jobs publish."`
	Remove publisherRemoveCommand `cmd:"" help:"Take a rule back."`
}

type publisherListCommand struct{ api }

// Run lists publisher rules.
func (c *publisherListCommand) Run(ctx context.Context, p *Process) error {
	return list(ctx, &c.api, p, []string{"publishers"}, func(row func(...any), x server.PublisherDocument) {
		var claims []string
		for _, name := range slices.Sorted(maps.Keys(x.Claims)) {
			claims = append(claims, fmt.Sprintf("%s=%s", name, x.Claims[name]))
		}
		row(x.ID, x.Name, x.Repository, x.Names, x.Issuer, claims)
	})
}

type publisherAddCommand struct {
	api
	Name       string            `arg:"" help:"What the log calls the job."`
	Repository string            `arg:"" help:"The repository."`
	Names      []string          `arg:"" help:"Patterns of the packages."`
	Issuer     string            `required:"" help:"Who issues the job's identity tokens." placeholder:"URL"`
	Claim      map[string]string `required:"" help:"A claim that they must have, exactly; ids, not names: names can be registered again." placeholder:"NAME=VALUE"`
}

// Run lets jobs publish.
func (c *publisherAddCommand) Run(ctx context.Context, p *Process) error {
	in, out := server.PublisherDocument{Name: c.Name, Issuer: c.Issuer, Claims: c.Claim, Repository: c.Repository, Names: c.Names}, server.PublisherDocument{}
	if err := c.call(ctx, request{method: "POST", path: []string{"publishers"}, in: in}, &out); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.Out, out)
	}
	return c.done(p, "added %s (%s)", out.Name, out.ID)
}

type publisherRemoveCommand struct {
	api
	ID string `arg:"" help:"Its id, as 'publisher list' shows it."`
}

// Run takes a rule back.
func (c *publisherRemoveCommand) Run(ctx context.Context, p *Process) error {
	return c.tell(ctx, p, request{method: "DELETE", path: []string{"publishers", c.ID}}, "removed %s", c.ID)
}
