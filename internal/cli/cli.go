// Package cli is the command line: it reads flags and the environment, opens a pond or talks to one that runs, and prints
// plain words. An error says what happened, why, and what to do.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"millpond"
	"millpond/format"

	"github.com/alecthomas/kong"
)

// A Process is what a command has of its surroundings.
type Process struct {
	Args    []string // without the program's name
	Out     io.Writer
	Err     io.Writer
	Version string
	// Signals end a command; SIGHUP has a server read its configuration again. Nil waits for none.
	Signals <-chan os.Signal
	// Machine is whose clients are asked for their upstreams; nil is this computer.
	Machine format.Machine
	// Exit ends the process at once, when a second signal asks for it; nil goes on waiting.
	Exit func(code int)
	// In is what is typed, or piped: passwords and tokens. Nil is nothing.
	In io.Reader

	json    bool      // print errors as JSON
	sockets *sockets  // that were handed over; nil for none
	manager *manager  // who has started the process and wants to hear of it; nil is nobody
	typed   *typing   // what is typed and not shown
	bare    io.Writer // Err as it came, if it is a terminal: progress is drawn there; else nil
}

// commands are all that millpond can be told.
type commands struct {
	Serve     serveCommand     `cmd:"" group:"pond" help:"Serve packages: cache what clients pull, keep what they need."`
	Init      initCommand      `cmd:"" group:"pond" help:"Write a configuration from what the clients of this machine are set up with."`
	Config    configCommands   `cmd:"" group:"pond" help:"Look at the configuration."`
	Check     checkCommand     `cmd:"" group:"pond" help:"Look for damage in the data."`
	Backup    backupCommands   `cmd:"" group:"pond" help:"Copy the data while the pond serves on, and restore such a copy."`
	Why       whyCommand       `cmd:"" group:"pond" help:"Say what becomes of a package or a version, and why."`
	Stats     statsCommand     `cmd:"" group:"pond" help:"Show what a running pond holds, and how its upstreams are."`
	Alerts    alertsCommand    `cmd:"" group:"pond" help:"Print rules for Prometheus that tell when a pond is unwell."`
	Dashboard dashboardCommand `cmd:"" group:"pond" help:"Print a dashboard of a pond's figures, for Grafana."`
	Status    statusCommand    `cmd:"" group:"pond" help:"Say which pond is meant, whether it is well, and who you are to it."`

	Login   loginCommand   `cmd:"" group:"you" help:"Log in to a pond, and remember it and a token."`
	Logout  logoutCommand  `cmd:"" group:"you" help:"Revoke the token and forget it."`
	Whoami  whoamiCommand  `cmd:"" group:"you" help:"Say who you are to the pond."`
	Token   tokenCommands  `cmd:"" group:"you" help:"Tokens: make, list, revoke, exchange."`
	SetUp   setUpCommand   `cmd:"" name:"set-up" group:"you" help:"Set up a client of this machine to use the pond."`
	UnsetUp unsetUpCommand `cmd:"" name:"unset-up" group:"you" help:"Put a client's configuration back as it was before set-up."`

	Publish  publishCommand   `cmd:"" group:"packages" help:"Publish files, or a folder as its client would pack it."`
	Show     showCommand      `cmd:"" group:"packages" help:"Show a package as it is hosted."`
	Promote  promoteCommand   `cmd:"" group:"packages" help:"Bring versions from one repository into another: all or nothing."`
	Yank     yankCommand      `cmd:"" group:"packages" help:"Withdraw a version or a file: served still, not to be chosen."`
	Unyank   unyankCommand    `cmd:"" group:"packages" help:"Take a yank back."`
	Delete   deleteCommand    `cmd:"" group:"packages" help:"Remove a package, a version or a file."`
	Restore  restoreCommand   `cmd:"" group:"packages" help:"Bring back what was deleted."`
	Merge    mergeCommand     `cmd:"" group:"packages" help:"Say what becomes of an upstream's versions of a name that is hosted."`
	Takedown takedownCommands `cmd:"" group:"packages" help:"Take a package, versions or bytes down, everywhere and at once."`

	WhoRead whoReadCommand `cmd:"" name:"who-read" group:"packages" help:"Say who has read a package, a version or bytes, by the request log."`

	Repo      repoCommands      `cmd:"" group:"team" help:"Repositories, and what you may do there."`
	User      userCommands      `cmd:"" group:"team" help:"People."`
	Group     groupCommands     `cmd:"" group:"team" help:"Groups of people and services."`
	Service   serviceCommands   `cmd:"" group:"team" help:"Services: callers that are no person."`
	Grant     grantCommands     `cmd:"" group:"team" help:"Who may do what, where."`
	Claim     claimCommands     `cmd:"" group:"team" help:"Names that are ours and never asked of an upstream."`
	Publisher publisherCommands `cmd:"" group:"team" help:"CI jobs that may publish without a token."`
	Audit     auditCommand      `cmd:"" group:"team" help:"Show what was changed, by whom, and verify that none of it was altered."`

	Help       helpCommand       `cmd:"" help:"Explain the command line; 'help config' every setting, 'help exit-codes' every exit code."`
	Completion completionCommand `cmd:"" help:"Print the completions of a shell."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

type configCommands struct {
	Check configCheckCommand `cmd:"" help:"Read the configuration as 'serve' would, and say what is wrong with it."`
}

// An exit is an error with an exit code of its own.
type exit struct {
	code int
	err  error // nil if all was said
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// stopped is what kong's exit becomes: parsing ends, and nothing of the process but this package's run.
type stopped struct{ code int }

// Main runs one command and returns its exit code.
func Main(ctx context.Context, p Process) (code int) {
	// What others wrote (package names, the words of upstreams) goes to a terminal only without its control characters.
	p.bare, p.typed = terminal(p.Err), &typing{}
	p.Out, p.Err = &plain{w: p.Out}, &plain{w: p.Err}
	defer func() {
		if cause := recover(); cause != nil {
			s, ok := cause.(stopped)
			if !ok {
				panic(cause)
			}
			code = s.code
		}
	}()
	var c commands
	parser, err := kong.New(&c,
		kong.Name("millpond"),
		kong.Description("One pond for the packages of a team: caches, verifies, and goes on when an upstream does not."),
		kong.Writers(p.Out, p.Err),
		kong.Exit(func(code int) { panic(stopped{code}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.ExplicitGroups([]kong.Group{{Key: "pond", Title: "The pond:"}, {Key: "you", Title: "You and this machine:"},
			{Key: "packages", Title: "Packages that are published here:"}, {Key: "team", Title: "The team:"}}),
		kong.Vars{"pond": defaultURL, "clients": clients(p.formats())},
		kong.Bind(&p),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		fmt.Fprintln(p.Err, "millpond:", err)
		return ExitFailed
	}
	parsed, err := parser.Parse(p.Args)
	if m, ok := errors.AsType[*millpond.Error](err); ok { // of a hook that filled in what was not said
		return p.report(m)
	}
	if err != nil {
		fmt.Fprintf(p.Err, "millpond: %v\nmillpond --help lists the commands\n", err)
		return ExitUsage
	}
	if parsed.Command() == "serve" {
		return p.report(parsed.Run())
	}
	ctx, done := p.heed(ctx)
	defer done()
	parsed.BindTo(ctx, (*context.Context)(nil))
	err = parsed.Run()
	if s, ok := context.Cause(ctx).(signaled); ok && err != nil {
		err = &exit{s.code(), s}
	}
	return p.report(err)
}

// report prints an error and chooses the exit code.
func (p *Process) report(err error) int {
	if err == nil {
		return ExitOK
	}
	code := exitOf(err)
	e, hasCode := errors.AsType[*exit](err)
	if hasCode {
		code = e.code
		if e.err == nil {
			return code
		}
		err = e.err
	}
	m, known := errors.AsType[*millpond.Error](err)
	var names []string
	if r, ok := errors.AsType[*refusal](err); ok {
		names = r.names
	}
	if p.json {
		answer := problem{Error: err.Error(), Kind: millpond.KindOf(err).String(), Names: names}
		if known {
			answer.Hint = m.Hint
		}
		if printJSON(p.Err, answer) == nil {
			return code
		}
	}
	fmt.Fprintln(p.Err, "millpond:", err)
	for _, name := range names {
		fmt.Fprintln(p.Err, "  "+name)
	}
	if known && m.Hint != "" {
		fmt.Fprintln(p.Err, m.Hint)
	}
	return code
}
