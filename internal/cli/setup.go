package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
	"millpond/internal/server"
)

type setUpCommand struct {
	api
	Client     string `arg:"" help:"The client: ${clients}."`
	Repository string `short:"r" help:"What it shall use; the first of its kind, if nothing is said." placeholder:"NAME"`
	WithToken  bool   `help:"Make a token for this client on this machine, and write that down too: needed to publish, and to read what not everybody may."`
	Print      bool   `help:"Print what would be changed, and change nothing."`
	Undo       bool   `help:"Put everything back as it was, as unset-up does."`
	Force      bool   `help:"With --undo: also if it was changed since."`
}

// Run sets up a client, or takes that back.
func (c *setUpCommand) Run(ctx context.Context, p *Process) error {
	f := c.format(p)
	if f == nil {
		return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("nobody here knows how to set up %q", c.Client), Hint: "it can be: " + clients(p.formats())}
	}
	if c.Undo {
		return undo(ctx, p, &c.api, c.Client, c.Force)
	}
	base, repository, err := c.base(ctx, f)
	if err != nil {
		return err
	}
	s := format.ClientSetup{Client: c.Client, Base: base, Read: func(ctx context.Context, path string) ([]byte, error) {
		return c.read(ctx, base.JoinPath(path))
	}}
	if base.Scheme == "https" && c.CA != "" {
		if s.CA, err = filepath.Abs(c.CA); err != nil {
			return err
		}
	}
	if c.WithToken {
		s.Token = "TOKEN" // the plan is made before the token is: it may fail
	}
	configurer := f.(format.Configurer)
	plan, err := configurer.Configure(ctx, p.machine(toSet), s)
	if err != nil {
		return err
	}
	if c.Print {
		return c.print(p, plan)
	}
	record := setUpRecord{Pond: c.URL.String(), Repository: repository}
	if err := record.check(c.Client); err != nil {
		return err
	}
	if c.WithToken {
		host, _ := os.Hostname() // without it the name says less
		in := map[string]any{"name": strings.TrimSuffix(c.Client+" on "+host, " on "), "repositories": []string{repository}}
		var t server.TokenDocument
		if err := c.call(ctx, request{method: "POST", path: []string{"tokens"}, in: in}, &t); err != nil {
			return err
		}
		s.Token, record.Token = t.Secret, t.ID
		if plan, err = configurer.Configure(ctx, p.machine(toSet), s); err != nil {
			return err
		}
	}
	if err := record.carryOut(ctx, p.machine(toSet), c.Client, plan); err != nil {
		if record.Token != "" {
			err = fmt.Errorf("%w (the token %s was made for nothing: 'millpond token revoke %s')", err, record.Token, record.Token)
		}
		return err
	}
	trusts := s.CA == ""
	for _, r := range plan {
		trusts = trusts || r.Trusts
		if r.Note != "" {
			fmt.Fprintln(p.Err, "note:", r.Note)
		}
	}
	if !trusts {
		fmt.Fprintf(p.Err, "note: %s must trust the authority in %s too: add it to those of the machine\n", c.Client, s.CA)
	}
	return c.done(p, "%s uses %s; 'millpond unset-up %s' puts back what was there", c.Client, base, c.Client)
}

// mostRead bounds what is read of a repository to set a client up.
const mostRead = 1 << 20

// read reads a small document of a repository.
func (c *setUpCommand) read(ctx context.Context, at *url.URL) ([]byte, error) {
	resp, err := c.send(ctx, request{method: "GET", at: at, accept: "*/*"})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, mostRead+1))
	if err == nil && len(b) > mostRead {
		err = &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("%s is longer than %d bytes", at.Redacted(), mostRead)}
	}
	return b, err
}

// format is the one that knows the client.
func (c *setUpCommand) format(p *Process) format.Format {
	for _, f := range p.formats() {
		if one, ok := f.(format.Configurer); ok && slices.Contains(one.Clients(), c.Client) {
			return f
		}
	}
	return nil
}

// clients are all that can be set up, for people.
func clients(formats []format.Format) string {
	var all []string
	for _, f := range formats {
		if one, ok := f.(format.Configurer); ok {
			all = append(all, one.Clients()...)
		}
	}
	return strings.Join(all, ", ")
}

// base is the address of the repository that the client shall use.
func (c *setUpCommand) base(ctx context.Context, f format.Format) (*url.URL, string, error) {
	all, err := c.repositories(ctx)
	if err != nil {
		return nil, "", err
	}
	for _, r := range all {
		if r.Format != f.Info().Name || c.Repository != "" && c.Repository != r.Name {
			continue
		}
		if own, err := url.Parse(r.Own); err == nil && r.Own != "" {
			return own, r.Name, nil
		}
		// As it is reached from here, which is what the client of this machine needs.
		return c.URL.JoinPath(r.Name + "/"), r.Name, nil
	}
	return nil, "", &millpond.Error{Kind: millpond.NotFound, Why: "no repository " + cmp.Or(c.Repository, "for "+c.Client) + " at " + c.URL.Redacted() + ", or you may not read it",
		Hint: "'millpond repo' lists those that you may"}
}

// print shows what would be changed, and no secret.
func (c *setUpCommand) print(p *Process, plan []format.Rewrite) error {
	type change struct {
		File string   `json:"file"`
		Run  []string `json:"run,omitempty"`
		Adds []string `json:"adds,omitempty"`
		Note string   `json:"note,omitempty"`
	}
	out := []change{}
	edited := map[string]string{}
	for _, r := range plan {
		one := change{File: r.File, Run: r.Run, Note: r.Note}
		if r.Edit != nil {
			before, known := edited[r.File]
			if !known {
				text, err := readText(r.File)
				if err != nil {
					return err
				}
				before = text
			}
			after, err := r.Edit(before)
			if err != nil {
				return err
			}
			one.Adds, edited[r.File] = added(before, after), after
		}
		out = append(out, one)
	}
	if c.JSON {
		return printJSON(p.Out, out)
	}
	for _, one := range out {
		if one.Run != nil {
			fmt.Fprintf(p.Out, "# changes %s\n%s\n", one.File, strings.Join(one.Run, " "))
		} else {
			fmt.Fprintf(p.Out, "# into %s\n%s\n", one.File, strings.Join(one.Adds, "\n"))
		}
		if one.Note != "" {
			fmt.Fprintf(p.Out, "# note: %s\n", one.Note)
		}
	}
	return nil
}

// added are the lines that a text has and another had not.
func added(before, after string) []string {
	had := map[string]int{}
	for line := range strings.Lines(format.WithEnd(before)) {
		had[line]++
	}
	var out []string
	for line := range strings.Lines(format.WithEnd(after)) {
		if had[line]--; had[line] < 0 && strings.TrimSpace(line) != "" {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	return out
}

type unsetUpCommand struct {
	api
	Client string `arg:"" help:"The client, as it was named to set-up."`
	Force  bool   `help:"Also if its configuration was changed since: what was changed is lost."`
}

// Run puts a client's configuration back as it was.
func (c *unsetUpCommand) Run(ctx context.Context, p *Process) error {
	return undo(ctx, p, &c.api, c.Client, c.Force)
}

func undo(ctx context.Context, p *Process, a *api, client string, force bool) error {
	record, err := putBack(client, force)
	if err != nil {
		return err
	}
	if record.Token != "" && record.Pond == a.URL.String() {
		err := a.call(ctx, request{method: "DELETE", path: []string{"tokens", record.Token}}, nil)
		if err != nil && !millpond.Is(err, millpond.NotFound) {
			fmt.Fprintf(p.Err, "millpond: the token %s that it used could not be ended: %v\n", record.Token, err)
		}
	} else if record.Token != "" {
		fmt.Fprintf(p.Err, "the token %s that it used is of %s: 'millpond token revoke %s --url %s'\n", record.Token, record.Pond, record.Token, record.Pond)
	}
	return a.done(p, "%s is set up as it was before", client)
}
