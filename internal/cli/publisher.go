package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A publisherDocument says which CI jobs may publish which names.
type publisherDocument struct {
	ID         string            `json:"id,omitempty"`
	Name       string            `json:"name"`
	Issuer     string            `json:"issuer"`
	Claims     map[string]string `json:"claims"`
	Repository string            `json:"repository"`
	Names      []string          `json:"names"`
	Created    time.Time         `json:"created,omitzero"`
	By         string            `json:"by,omitempty"`
}

type publisherCommands struct {
	List   publisherListCommand   `cmd:"" default:"withargs" help:"List publisher rules."`
	Add    publisherAddCommand    `cmd:"" help:"Let CI jobs publish."`
	Remove publisherRemoveCommand `cmd:"" help:"Take a rule back."`
}

type publisherListCommand struct{ api }

// Run lists publisher rules.
func (c *publisherListCommand) Run(ctx context.Context, p *Process) error {
	out := []publisherDocument{}
	if err := c.call(ctx, request{method: "GET", path: []string{"publishers"}}, &out); err != nil {
		return err
	}
	return c.show(p, out, func(row func(...any)) {
		for _, x := range out {
			var claims []string
			for _, name := range slices.Sorted(maps.Keys(x.Claims)) {
				claims = append(claims, fmt.Sprintf("%s=%s", name, x.Claims[name]))
			}
			row(x.ID, x.Name, x.Repository, x.Names, x.Issuer, claims)
		}
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
	in, out := publisherDocument{Name: c.Name, Issuer: c.Issuer, Claims: c.Claim, Repository: c.Repository, Names: c.Names}, publisherDocument{}
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
	if err := c.call(ctx, request{method: "DELETE", path: []string{"publishers", c.ID}}, nil); err != nil {
		return err
	}
	return c.done(p, "removed %s", c.ID)
}
