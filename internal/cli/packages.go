package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"millpond"
	"millpond/internal/server"
	"millpond/internal/takedown"
)

// A what names something that is hosted.
type what struct {
	Repository string `arg:"" help:"The repository."`
	Package    string `arg:"" help:"The package's name."`
}

// change asks for a change of a package, and says that it was made: words hold a %s for what was changed, "demo 1.0".
func (a *api) change(ctx context.Context, p *Process, w what, verb string, c server.Change, words string) error {
	return w.hosted(a.tell(ctx, p, request{method: "POST", path: []string{"repositories", w.Repository, "packages", w.Package, verb}, in: c},
		words, millpond.Key{Package: w.Package, Version: c.Version, File: c.File}))
}

// hosted adds to an error that there is no such thing what to do about it.
func (w what) hosted(err error) error {
	if e, ok := errors.AsType[*millpond.Error](err); ok && e.Kind == millpond.NotFound && e.Hint == "" {
		e.Hint = fmt.Sprintf("this is for what was published here; 'millpond why %s %s' says where it comes from", w.Repository, w.Package)
	}
	return err
}

type showCommand struct {
	api
	what
}

// Run shows a package as it is hosted.
func (c *showCommand) Run(ctx context.Context, p *Process) error {
	var d server.PackageDocument
	if err := c.call(ctx, request{method: "GET", path: []string{"repositories", c.Repository, "packages", c.Package}}, &d); err != nil {
		return c.hosted(err)
	}
	return c.show(p, d, func(row func(...any)) {
		for _, v := range d.Versions {
			state := ""
			if v.Yanked {
				state = strings.TrimSuffix("yanked: "+v.YankedWhy, ": ")
			}
			row(v.Name, v.Published, v.By, state)
			for _, f := range v.Files {
				row("  "+f.Name, size64(f.Size), f.Digest)
			}
		}
		for _, r := range d.Refs {
			row(r.Name, "is "+r.Target)
		}
		for _, x := range d.Deleted {
			row(millpond.Key{Version: x.Version, File: x.File}, x.Time, x.By, strings.TrimSuffix("deleted: "+x.Why, ": "))
		}
	})
}

type promoteCommand struct {
	api
	From   string   `arg:"" help:"The repository that hosts it."`
	To     string   `arg:"" help:"The repository to bring it into."`
	Items  []string `arg:"" name:"package@version" help:"What to bring; a package alone is all of its versions."`
	DryRun bool     `help:"Say what would come of it, and change nothing."`
	Why    string   `help:"Why, for the log." placeholder:"WORDS"`
}

// Run promotes all of it or nothing.
func (c *promoteCommand) Run(ctx context.Context, p *Process) error {
	in := server.PromotionDocument{From: c.From, To: c.To, DryRun: c.DryRun, Why: c.Why}
	for _, item := range c.Items {
		name, version := splitVersion(item)
		in.Items = append(in.Items, server.KeyDocument{Package: name, Version: version})
	}
	var out server.PromotedDocument
	if err := c.call(ctx, request{method: "POST", path: []string{"promote"}, in: in}, &out); err != nil {
		return err
	}
	return c.show(p, out, func(row func(...any)) {
		for _, item := range out.Items {
			state := "was there already"
			switch {
			case item.New && c.DryRun:
				state = "would be promoted to " + c.To
			case item.New:
				state = "promoted to " + c.To
			}
			row(millpond.Key{Package: item.Package, Version: item.Version, File: item.File}, state)
		}
	})
}

// splitVersion reads "name@version"; the first character of a name may be an @.
func splitVersion(s string) (name, version string) {
	if at := strings.LastIndexByte(s, '@'); at > 0 {
		return s[:at], s[at+1:]
	}
	return s, ""
}

// A release is a command about a version, or one file of it.
type release struct {
	api
	what
	Release string `arg:"" name:"version" help:"The version."`
	File    string `arg:"" optional:"" help:"One file of it."`
}

type yankCommand struct {
	release
	Why string `help:"What those are told who use it." placeholder:"WORDS"`
}

// Run withdraws a version or a file.
func (c *yankCommand) Run(ctx context.Context, p *Process) error {
	return c.change(ctx, p, c.what, "yank", server.Change{Version: c.Release, File: c.File, Why: c.Why}, "yanked %s")
}

type unyankCommand struct {
	release
	Why string `help:"Why, for the log." placeholder:"WORDS"`
}

// Run takes a yank back.
func (c *unyankCommand) Run(ctx context.Context, p *Process) error {
	return c.change(ctx, p, c.what, "unyank", server.Change{Version: c.Release, File: c.File, Why: c.Why}, "took the yank of %s back")
}

type deleteCommand struct {
	api
	what
	Release string `arg:"" optional:"" name:"version" help:"The version; without it the whole package, which wants --all."`
	File    string `arg:"" optional:"" help:"One file of it."`
	All     bool   `help:"Delete the whole package."`
	Why     string `help:"Why, for the log." placeholder:"WORDS"`
}

// Run deletes a file, a version, or, if that was said twice, a package.
func (c *deleteCommand) Run(ctx context.Context, p *Process) error {
	if c.Release == "" && !c.All {
		return &millpond.Error{Kind: millpond.Invalid, Why: "no version was named", Hint: "--all deletes every version of " + c.Package}
	}
	if c.Release != "" && c.All {
		return &millpond.Error{Kind: millpond.Invalid, Why: "--all and a version were named: which is meant?"}
	}
	return c.change(ctx, p, c.what, "delete", server.Change{Version: c.Release, File: c.File, Why: c.Why}, "deleted %s; its name stays taken")
}

type restoreCommand struct {
	api
	what
	Release string `arg:"" optional:"" name:"version" help:"The version; without it the whole package."`
	File    string `arg:"" optional:"" help:"One file of it."`
}

// Run brings back what was deleted.
func (c *restoreCommand) Run(ctx context.Context, p *Process) error {
	return c.change(ctx, p, c.what, "restore", server.Change{Version: c.Release, File: c.File}, "restored %s")
}

type mergeCommand struct {
	api
	what
	How string `arg:"" enum:"hide,union,default" help:"'hide' shows what is hosted only, 'union' an upstream's versions too, 'default' is what the repository says."`
}

// Run says what becomes of other layers' versions.
func (c *mergeCommand) Run(ctx context.Context, p *Process) error {
	in := server.Merge{Merge: strings.TrimSuffix(c.How, "default")}
	return c.hosted(c.tell(ctx, p, request{method: "PUT", path: []string{"repositories", c.Repository, "packages", c.Package, "merge"}, in: in}, "%s in %s: merge %s", c.Package, c.Repository, c.How))
}

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

type repoCommands struct {
	List repoListCommand `cmd:"" default:"withargs" help:"List the repositories."`
	Show repoShowCommand `cmd:"" help:"Show how a repository is set up."`

	Retention repoRetentionCommand `cmd:"" help:"List what its options say is to go at the next sweep. Nothing is changed."`
}

type repoShowCommand struct {
	api
	Name string `arg:"" help:"The repository."`
}

// Run shows the settings of one repository.
func (c *repoShowCommand) Run(ctx context.Context, p *Process) error {
	all, err := c.repositories(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(r server.RepositoryDocument) bool { return r.Name == c.Name })
	if i < 0 {
		return &millpond.Error{Kind: millpond.NotFound, Why: "no repository " + c.Name + ", or you may not know of it", Hint: "'millpond repo' lists those that you may"}
	}
	r := all[i]
	return c.show(p, r, func(row func(...any)) {
		row("name", r.Name)
		row("format", r.Format)
		row("url", r.URL)
		for _, one := range []struct{ key, value string }{{"own place", r.Own}, {"listen", r.Listen}} {
			if one.value != "" {
				row(one.key, one.value)
			}
		}
		for _, u := range r.Upstreams {
			row("upstream", u)
		}
		for _, claim := range r.Claims {
			row("claim", claim)
		}
		for _, rule := range r.Rules {
			row("rule", rule)
		}
		row("merge", r.Merge)
		row("hosted", r.Hosted)
		row("volatile", r.Volatile)
		row("unpublish", r.Unpublish)
		if r.Claimed {
			row("claimed only", r.Claimed)
		}
		if r.MaxFile > 0 {
			row("max file", size64(r.MaxFile))
		}
		row("you may", r.May)
	})
}

type repoListCommand struct{ api }

// Run lists the repositories that the caller may know of.
func (c *repoListCommand) Run(ctx context.Context, p *Process) error {
	all, err := c.repositories(ctx)
	if err != nil {
		return err
	}
	return c.show(p, all, func(row func(...any)) {
		for _, r := range all {
			row(r.Name, r.Format, r.URL, r.May)
		}
	})
}

func (r *remote) repositories(ctx context.Context) ([]server.RepositoryDocument, error) {
	all := []server.RepositoryDocument{}
	return all, r.call(ctx, request{method: "GET", path: []string{"repositories"}}, &all)
}

type claimCommands struct {
	Add    claimAddCommand    `cmd:"" help:"Claim names."`
	List   claimListCommand   `cmd:"" default:"withargs" help:"List claims."`
	Remove claimRemoveCommand `cmd:"" help:"Give a claim up."`
}

type claimAddCommand struct {
	api
	Repository string `arg:"" help:"The repository."`
	Pattern    string `arg:"" help:"The names, such as acme-* or @acme/*."`
	Merge      string `enum:"hide,union," default:"" help:"'union' lets upstreams' versions of these names in, and asks them."`
	Force      bool   `help:"Also if names that it covers were read from an upstream already."`
}

// Run claims names.
func (c *claimAddCommand) Run(ctx context.Context, p *Process) error {
	in := server.ClaimDocument{Repository: c.Repository, Pattern: c.Pattern, Merge: c.Merge, Force: c.Force}
	return c.tell(ctx, p, request{method: "POST", path: []string{"claims"}, in: in}, "%s is claimed for %s: no upstream is asked about it", c.Pattern, c.Repository)
}

type claimListCommand struct{ api }

// Run lists claims.
func (c *claimListCommand) Run(ctx context.Context, p *Process) error {
	return list(ctx, &c.api, p, []string{"claims"}, func(row func(...any), x server.ClaimDocument) {
		by := x.By
		if x.Configured {
			by = "the configuration"
		}
		row(x.Repository, x.Pattern, x.Merge, by, x.Time)
	})
}

type claimRemoveCommand struct {
	api
	Repository string `arg:"" help:"The repository."`
	Pattern    string `arg:"" help:"The claim, as 'claim list' shows it."`
}

// Run gives a claim up.
func (c *claimRemoveCommand) Run(ctx context.Context, p *Process) error {
	return c.tell(ctx, p, request{method: "DELETE", path: []string{"claims"}, query: url.Values{"repository": {c.Repository}, "pattern": {c.Pattern}}}, "%s is no claim of %s any more", c.Pattern, c.Repository)
}
