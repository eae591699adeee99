package cli

import (
	"context"
	"net/url"
	"strings"
	"time"

	"millpond"
)

// The pond's documents about packages.
type (
	repositoryDocument struct {
		Name   string   `json:"name"`
		Format string   `json:"format"`
		URL    string   `json:"url"`
		Own    string   `json:"own,omitempty"`
		May    []string `json:"may"`
		Hosted bool     `json:"hosted"`
		Claims []string `json:"claims,omitempty"`
		Merge  string   `json:"merge"`
	}
	packageDocument struct {
		Repository string            `json:"repository"`
		Name       string            `json:"name"`
		Display    string            `json:"display,omitempty"`
		Merge      string            `json:"merge,omitempty"`
		Changes    int64             `json:"changes"`
		Created    time.Time         `json:"created,omitzero"`
		Changed    time.Time         `json:"changed,omitzero"`
		Versions   []versionDocument `json:"versions"`
		Refs       []refDocument     `json:"refs,omitempty"`
		Deleted    []deletedDocument `json:"deleted,omitempty"`
	}
	versionDocument struct {
		Name      string         `json:"name"`
		By        string         `json:"by,omitempty"`
		Published time.Time      `json:"published,omitzero"`
		Yanked    bool           `json:"yanked,omitempty"`
		YankedWhy string         `json:"yanked_why,omitempty"`
		Licence   string         `json:"licence,omitempty"`
		Files     []fileDocument `json:"files"`
	}
	fileDocument struct {
		Name   string `json:"name"`
		Size   int64  `json:"size"`
		Digest string `json:"digest,omitempty"`
		Yanked bool   `json:"yanked,omitempty"`
	}
	refDocument struct {
		Name   string `json:"name"`
		Target string `json:"target"`
	}
	deletedDocument struct {
		Version string    `json:"version"`
		File    string    `json:"file,omitempty"`
		Time    time.Time `json:"time"`
		By      string    `json:"by,omitempty"`
		Why     string    `json:"why,omitempty"`
	}
	keyDocument struct {
		Package string `json:"package"`
		Version string `json:"version,omitempty"`
		File    string `json:"file,omitempty"`
	}
	changeDocument struct {
		Version string `json:"version,omitempty"`
		File    string `json:"file,omitempty"`
		Why     string `json:"why,omitempty"`
	}
)

// A what names something that is hosted.
type what struct {
	Repository string `arg:"" help:"The repository."`
	Package    string `arg:"" help:"The package's name."`
}

// change asks for a change of a package.
func (a *api) change(ctx context.Context, w what, verb string, c changeDocument) error {
	return a.call(ctx, request{method: "POST", path: []string{"repositories", w.Repository, "packages", w.Package, verb}, in: c}, nil)
}

// words of a change: "demo 1.0".
func (w what) words(version, file string) string {
	return millpond.Key{Package: w.Package, Version: version, File: file}.String()
}

type showCommand struct {
	api
	what
}

// Run shows a package as it is hosted.
func (c *showCommand) Run(ctx context.Context, p *Process) error {
	var d packageDocument
	if err := c.call(ctx, request{method: "GET", path: []string{"repositories", c.Repository, "packages", c.Package}}, &d); err != nil {
		return err
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
}

// Run promotes all of it or nothing.
func (c *promoteCommand) Run(ctx context.Context, p *Process) error {
	in := struct {
		From   string        `json:"from"`
		To     string        `json:"to"`
		Items  []keyDocument `json:"items"`
		DryRun bool          `json:"dry_run,omitempty"`
	}{From: c.From, To: c.To, DryRun: c.DryRun}
	for _, item := range c.Items {
		name, version := splitVersion(item)
		in.Items = append(in.Items, keyDocument{Package: name, Version: version})
	}
	var out promotedDocument
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
			row(millpond.Key{Package: item.Key.Package, Version: item.Key.Version, File: item.Key.File}, state)
		}
	})
}

// A promotedDocument says what came of a promotion.
type promotedDocument struct {
	Items []struct {
		Key keyDocument `json:"key"`
		New bool        `json:"new"`
	} `json:"items"`
}

// splitVersion reads "name@version"; the first character of a name may be an @.
func splitVersion(s string) (name, version string) {
	if at := strings.LastIndexByte(s, '@'); at > 0 {
		return s[:at], s[at+1:]
	}
	return s, ""
}

type yankCommand struct {
	api
	what
	Release string `arg:"" name:"version" help:"The version."`
	File    string `arg:"" optional:"" help:"One file of it."`
	Why     string `help:"What those are told who use it." placeholder:"WORDS"`
}

// Run withdraws a version or a file.
func (c *yankCommand) Run(ctx context.Context, p *Process) error {
	if err := c.change(ctx, c.what, "yank", changeDocument{c.Release, c.File, c.Why}); err != nil {
		return err
	}
	return c.done(p, "yanked %s", c.words(c.Release, c.File))
}

type unyankCommand struct {
	api
	what
	Release string `arg:"" name:"version" help:"The version."`
	File    string `arg:"" optional:"" help:"One file of it."`
	Why     string `help:"Why, for the log." placeholder:"WORDS"`
}

// Run takes a yank back.
func (c *unyankCommand) Run(ctx context.Context, p *Process) error {
	if err := c.change(ctx, c.what, "unyank", changeDocument{c.Release, c.File, c.Why}); err != nil {
		return err
	}
	return c.done(p, "took the yank of %s back", c.words(c.Release, c.File))
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
	if err := c.change(ctx, c.what, "delete", changeDocument{c.Release, c.File, c.Why}); err != nil {
		return err
	}
	return c.done(p, "deleted %s; its name stays taken", c.words(c.Release, c.File))
}

type restoreCommand struct {
	api
	what
	Release string `arg:"" optional:"" name:"version" help:"The version; without it the whole package."`
	File    string `arg:"" optional:"" help:"One file of it."`
}

// Run brings back what was deleted.
func (c *restoreCommand) Run(ctx context.Context, p *Process) error {
	if err := c.change(ctx, c.what, "restore", changeDocument{Version: c.Release, File: c.File}); err != nil {
		return err
	}
	return c.done(p, "restored %s", c.words(c.Release, c.File))
}

type mergeCommand struct {
	api
	what
	How string `arg:"" enum:"hide,union,default" help:"'hide' shows what is hosted only, 'union' an upstream's versions too, 'default' is what the repository says."`
}

// Run says what becomes of other layers' versions.
func (c *mergeCommand) Run(ctx context.Context, p *Process) error {
	in := struct {
		Merge string `json:"merge"`
	}{strings.TrimSuffix(c.How, "default")}
	if err := c.call(ctx, request{method: "PUT", path: []string{"repositories", c.Repository, "packages", c.Package, "merge"}, in: in}, nil); err != nil {
		return err
	}
	return c.done(p, "%s in %s: merge %s", c.Package, c.Repository, c.How)
}

type takedownCommands struct {
	Add  takedownAddCommand  `cmd:"" default:"withargs" help:"Take something down."`
	List takedownListCommand `cmd:"" help:"What is taken down."`
	Lift takedownLiftCommand `cmd:"" help:"Lift a takedown."`
}

type takedownDocument struct {
	ID       string    `json:"id,omitempty"`
	Format   string    `json:"format,omitempty"`
	Package  string    `json:"package,omitempty"`
	Versions string    `json:"versions,omitempty"`
	PURL     string    `json:"purl,omitempty"`
	Digest   string    `json:"digest,omitempty"`
	Why      string    `json:"why"`
	By       string    `json:"by,omitempty"`
	Time     time.Time `json:"time,omitzero"`
}

// words say what is taken down.
func (t *takedownDocument) words() string {
	if t.Package == "" {
		return t.Digest
	}
	s := t.Format + " " + t.Package
	if t.Versions != "" {
		s += " " + t.Versions
	}
	return strings.TrimSpace(s + " " + t.Digest)
}

type takedownAddCommand struct {
	api
	What     string `arg:"" name:"purl-or-digest" help:"A package-url (pkg:pypi/demo@1.0), or the digest of bytes (sha256:…)."`
	Versions string `help:"A range in the format's own words, of a package-url without a version." placeholder:"RANGE"`
	Why      string `required:"" help:"What those are told who ask for it." placeholder:"WORDS"`
}

// Run takes a package, versions of it, or bytes down.
func (c *takedownAddCommand) Run(ctx context.Context, p *Process) error {
	in := takedownDocument{Versions: c.Versions, Why: c.Why}
	if strings.HasPrefix(c.What, "pkg:") {
		in.PURL = c.What
	} else {
		in.Digest = c.What
	}
	var out takedownDocument
	if err := c.call(ctx, request{method: "POST", path: []string{"takedowns"}, in: in}, &out); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.Out, out)
	}
	return c.done(p, "took down %s (%s)", out.words(), out.ID)
}

type takedownListCommand struct{ api }

// Run lists takedowns.
func (c *takedownListCommand) Run(ctx context.Context, p *Process) error {
	out := []takedownDocument{}
	if err := c.call(ctx, request{method: "GET", path: []string{"takedowns"}}, &out); err != nil {
		return err
	}
	return c.show(p, out, func(row func(...any)) {
		for _, t := range out {
			row(t.ID, t.words(), t.Time, t.By, t.Why)
		}
	})
}

type takedownLiftCommand struct {
	api
	ID  string `arg:"" help:"Its id, as 'takedown list' shows it."`
	Why string `help:"Why, for the log." placeholder:"WORDS"`
}

// Run lifts a takedown.
func (c *takedownLiftCommand) Run(ctx context.Context, p *Process) error {
	if err := c.call(ctx, request{method: "DELETE", path: []string{"takedowns", c.ID}, query: url.Values{"why": {c.Why}}}, nil); err != nil {
		return err
	}
	return c.done(p, "lifted %s", c.ID)
}

type repoCommands struct {
	List repoListCommand `cmd:"" default:"withargs" help:"List the repositories."`
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

func (r *remote) repositories(ctx context.Context) ([]repositoryDocument, error) {
	all := []repositoryDocument{}
	return all, r.call(ctx, request{method: "GET", path: []string{"repositories"}}, &all)
}

type claimCommands struct {
	Add    claimAddCommand    `cmd:"" help:"Claim names."`
	List   claimListCommand   `cmd:"" default:"withargs" help:"List claims."`
	Remove claimRemoveCommand `cmd:"" help:"Give a claim up."`
}

type claimDocument struct {
	Repository string    `json:"repository"`
	Pattern    string    `json:"pattern"`
	Merge      string    `json:"merge,omitempty"`
	Force      bool      `json:"force,omitempty"`
	Configured bool      `json:"configured,omitempty"`
	By         string    `json:"by,omitempty"`
	Time       time.Time `json:"time,omitzero"`
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
	in := claimDocument{Repository: c.Repository, Pattern: c.Pattern, Merge: c.Merge, Force: c.Force}
	if err := c.call(ctx, request{method: "POST", path: []string{"claims"}, in: in}, nil); err != nil {
		return err
	}
	return c.done(p, "%s is claimed for %s: no upstream is asked about it", c.Pattern, c.Repository)
}

type claimListCommand struct{ api }

// Run lists claims.
func (c *claimListCommand) Run(ctx context.Context, p *Process) error {
	out := []claimDocument{}
	if err := c.call(ctx, request{method: "GET", path: []string{"claims"}}, &out); err != nil {
		return err
	}
	return c.show(p, out, func(row func(...any)) {
		for _, x := range out {
			by := x.By
			if x.Configured {
				by = "the configuration"
			}
			row(x.Repository, x.Pattern, x.Merge, by, x.Time)
		}
	})
}

type claimRemoveCommand struct {
	api
	Repository string `arg:"" help:"The repository."`
	Pattern    string `arg:"" help:"The claim, as 'claim list' shows it."`
}

// Run gives a claim up.
func (c *claimRemoveCommand) Run(ctx context.Context, p *Process) error {
	if err := c.call(ctx, request{method: "DELETE", path: []string{"claims"}, query: url.Values{"repository": {c.Repository}, "pattern": {c.Pattern}}}, nil); err != nil {
		return err
	}
	return c.done(p, "%s is no claim of %s any more", c.Pattern, c.Repository)
}
