package cli

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"millpond"
	"millpond/internal/server"
	"millpond/internal/takedown"
)

type takedownCommands struct {
	Add  takedownAddCommand  `cmd:"" default:"withargs" help:"Take something down."`
	List takedownListCommand `cmd:"" help:"What is taken down."`
	Lift takedownLiftCommand `cmd:"" help:"Lift a takedown."`
}

// takedownWords say what is taken down.
func takedownWords(t *server.TakedownDocument) string {
	if t.Package == "" {
		return t.Digest
	}
	s := t.Format + " " + t.Package
	if v := t.Version + t.Versions; v != "" {
		s += " " + v
	}
	var spans []string
	for _, a := range t.Affected {
		spans = append(spans, a.String())
	}
	if len(spans) > 0 {
		s += " " + strings.Join(spans, ", ")
	}
	return strings.TrimSpace(s + " " + t.Digest)
}

type takedownAddCommand struct {
	api
	What     string `arg:"" name:"purl-digest-or-advisory" help:"A package-url (pkg:pypi/demo@1.0), the digest of bytes (sha256:…), or a file with an advisory in the OSV format (MAL-1.json)."`
	Versions string `help:"A range in the format's own words, of a package-url without a version." placeholder:"RANGE"`
	Why      string `help:"What those are told who ask for it; an advisory says it itself." placeholder:"WORDS"`
}

// Run takes a package, versions of it, or bytes down.
func (c *takedownAddCommand) Run(ctx context.Context, p *Process) error {
	if strings.HasSuffix(c.What, ".json") && c.Versions == "" {
		return c.advised(ctx, p)
	}
	if c.Why == "" {
		return &exit{ExitUsage, &millpond.Error{Kind: millpond.Invalid, Why: "it must be said why", Hint: "--why 'it steals keys': those are told who ask for it"}}
	}
	in := server.TakedownDocument{Versions: c.Versions, Why: c.Why}
	if strings.HasPrefix(c.What, "pkg:") {
		in.PURL = c.What
	} else {
		in.Digest = c.What
	}
	var out server.TakedownDocument
	if err := c.call(ctx, request{method: "POST", path: []string{"takedowns"}, in: in}, &out); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.Out, out)
	}
	return c.done(p, "took down %s (%s)", takedownWords(&out), out.ID)
}

// advised takes down what an advisory names.
func (c *takedownAddCommand) advised(ctx context.Context, p *Process) error {
	text, err := os.ReadFile(c.What)
	if err != nil {
		return err
	}
	advice, err := takedown.Parse(text)
	if err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: c.What + " cannot be read as an advisory in the OSV format", Err: err}
	}
	if advice.Withdrawn || len(advice.Affected) == 0 {
		return &millpond.Error{Kind: millpond.Invalid, Why: advice.ID + " was withdrawn, or names no package"}
	}
	all := []server.TakedownDocument{}
	for _, of := range advice.Affected {
		in := server.TakedownDocument{Format: of.Ecosystem, Package: of.Package, Affected: of.Spans, Why: advice.Why}
		if c.Why != "" {
			in.Why = advice.ID + ": " + c.Why
		}
		var out server.TakedownDocument
		if err := c.call(ctx, request{method: "POST", path: []string{"takedowns"}, in: in}, &out); err != nil {
			return fmt.Errorf("%s of %s: %w", of.Package, advice.ID, err)
		}
		all = append(all, out)
	}
	return c.show(p, all, func(row func(...any)) {
		for i := range all {
			row(fmt.Sprintf("took down %s (%s)", takedownWords(&all[i]), all[i].ID))
		}
	})
}

type takedownListCommand struct{ api }

// Run lists takedowns.
func (c *takedownListCommand) Run(ctx context.Context, p *Process) error {
	return list(ctx, &c.api, p, []string{"takedowns"}, func(row func(...any), t server.TakedownDocument) {
		row(t.ID, takedownWords(&t), t.Time, t.By, t.Why)
	})
}

type takedownLiftCommand struct {
	api
	ID  string `arg:"" help:"Its id, as 'takedown list' shows it."`
	Why string `help:"Why, for the log." placeholder:"WORDS"`
}

// Run lifts a takedown.
func (c *takedownLiftCommand) Run(ctx context.Context, p *Process) error {
	return c.tell(ctx, p, request{method: "DELETE", path: []string{"takedowns", c.ID}, query: url.Values{"why": {c.Why}}}, "lifted %s", c.ID)
}
