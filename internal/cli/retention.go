package cli

import (
	"context"

	"millpond/internal/server"
)

type repoRetentionCommand struct {
	api
	Name string `arg:"" help:"The repository."`
}

// Run lists what is to go.
func (c *repoRetentionCommand) Run(ctx context.Context, p *Process) error {
	var all []server.KeyDocument
	if err := c.call(ctx, request{method: "GET", path: []string{"repositories", c.Name, "retention"}}, &all); err != nil {
		return err
	}
	return c.show(p, all, func(row func(...any)) {
		for _, k := range all {
			row(k.Package, k.Version)
		}
	})
}
