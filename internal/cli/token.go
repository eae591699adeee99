package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millpond"
	"millpond/internal/server"
	"millpond/policy"
)

type tokenCommands struct {
	List     tokenListCommand     `cmd:"" default:"withargs" help:"List your tokens."`
	Add      tokenAddCommand      `cmd:"" help:"Make a token."`
	Revoke   tokenRevokeCommand   `cmd:"" help:"End a token."`
	Exchange tokenExchangeCommand `cmd:"" help:"Exchange a CI job's identity token for a short token to publish with."`
}

type tokenListCommand struct{ api }

// Run lists the caller's tokens.
func (c *tokenListCommand) Run(ctx context.Context, p *Process) error {
	return c.listTokens(ctx, p, "tokens")
}

func (a *api) listTokens(ctx context.Context, p *Process, path ...string) error {
	return list(ctx, a, p, path, func(row func(...any), t server.TokenDocument) {
		used := "never used"
		if !t.Used.IsZero() {
			used = "used " + when(t.Used)
		}
		row(t.ID, t.Name, "until "+when(t.Expires), used, t.Verbs, t.Repositories, t.Names)
	})
}

// A tokenWish is what a new token shall be for.
type tokenWish struct {
	api
	Name       string          `help:"What you call it." placeholder:"WORDS"`
	For        lifetime        `help:"How long it is good, such as 7d or 720h; 30 days if nothing is said, a year at most." placeholder:"TIME"`
	Verb       []millpond.Verb `help:"What it is for: read, publish, yank …; all that you may, if nothing is said." placeholder:"VERB"`
	Repository []string        `help:"Patterns of repositories; all if nothing is said." placeholder:"PATTERN"`
	Package    []string        `help:"Patterns of packages; all if nothing is said." placeholder:"PATTERN"`
	S3         bool            `name:"s3" help:"Print it as an access key id and a secret access key, for aws, s3cmd and rclone."`
}

// A lifetime is how long a token is good; 0 leaves that to the pond.
type lifetime time.Duration

// UnmarshalText reads one as the configuration spells durations.
func (l *lifetime) UnmarshalText(text []byte) error {
	d, err := policy.ParseDuration(string(text))
	if err == nil && d <= 0 {
		err = errors.New("it is a time to come, such as 7d or 720h")
	}
	*l = lifetime(d)
	return err
}

// end is when a token ends that is made now; zero if the pond is to say.
func (l lifetime) end() time.Time {
	if l == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(l)).UTC().Truncate(time.Second)
}

// make makes the token and prints its secret, and nothing else, to standard output.
func (w *tokenWish) make(ctx context.Context, p *Process, path ...string) error {
	in := server.NewToken{Name: w.Name, Verbs: w.Verb, Repositories: w.Repository, Names: w.Package, Expires: w.For.end()}
	var out server.TokenDocument
	if err := w.call(ctx, request{method: "POST", path: path, in: in}, &out); err != nil {
		return err
	}
	if w.S3 && !w.JSON {
		if out.S3 == "" {
			return &millpond.Error{Kind: millpond.Unsupported, Why: "this pond takes nothing that is signed"}
		}
		out.Secret = "AWS_ACCESS_KEY_ID=" + out.ID + "\nAWS_SECRET_ACCESS_KEY=" + out.S3
	}
	return w.printToken(p, &out)
}

func (o *output) printToken(p *Process, t *server.TokenDocument) error {
	if o.JSON {
		return printJSON(p.Out, t)
	}
	if _, err := fmt.Fprintln(p.Out, t.Secret); err != nil {
		return err
	}
	fmt.Fprintf(p.Err, "token %s of %s, good until %s; it is shown this once\n", t.ID, t.Owner, when(t.Expires))
	return nil
}

type tokenAddCommand struct{ tokenWish }

// Run makes a token and prints it, this once.
func (c *tokenAddCommand) Run(ctx context.Context, p *Process) error {
	return c.make(ctx, p, "tokens")
}

type tokenRevokeCommand struct {
	api
	ID string `arg:"" help:"Its id, as 'token list' shows it."`
}

// Run ends a token.
func (c *tokenRevokeCommand) Run(ctx context.Context, p *Process) error {
	return c.tell(ctx, p, request{method: "DELETE", path: []string{"tokens", c.ID}}, "revoked %s", c.ID)
}

type tokenExchangeCommand struct {
	api
	Repository string `arg:"" help:"The repository to publish to."`
	Package    string `arg:"" optional:"" help:"The package; all that the job's rules name, if nothing is said."`
	Identity   string `env:"MILLPOND_ID_TOKEN" help:"The identity token; else it is read from what is piped in." placeholder:"TOKEN"`
}

// Run exchanges an identity token, and sends no other along.
func (c *tokenExchangeCommand) Run(ctx context.Context, p *Process) error {
	in := server.ExchangeDocument{Token: c.Identity, Repository: c.Repository, Package: c.Package}
	if in.Token == "" {
		var err error
		if in.Token, err = p.secret("identity token"); err != nil {
			return err
		}
	}
	c.Token = ""
	var out server.TokenDocument
	if err := c.call(ctx, request{method: "POST", path: []string{"oidc", "exchange"}, in: in}, &out); err != nil {
		return err
	}
	return c.printToken(p, &out)
}
