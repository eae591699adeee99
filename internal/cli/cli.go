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

// Exit codes that scripts may rely on.
const (
	ExitOK      = 0
	ExitFailed  = 1 // it did not work; of check: there is damage
	ExitUsage   = 2 // the command line or the configuration is wrong
	ExitNoStore = 10
	ExitLocked  = 11
)

// A Process is what a command has of its surroundings.
type Process struct {
	Args    []string // without the program's name
	Out     io.Writer
	Err     io.Writer
	Version string
	// Signals end (SIGINT, SIGTERM) or reload (SIGHUP) a server; nil waits for none.
	Signals <-chan os.Signal
	// Machine is whose clients are asked for their upstreams; nil is this computer.
	Machine format.Machine
	// Exit ends the process at once, when a second signal asks for it; nil goes on waiting.
	Exit func(code int)
}

// commands are all that millpond can be told.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Serve packages: cache what clients pull, keep what they need."`
	Init    initCommand    `cmd:"" help:"Write a configuration from what the clients of this machine are set up with."`
	Config  configCommands `cmd:"" help:"Look at the configuration."`
	Check   checkCommand   `cmd:"" help:"Look for damage in the data."`
	Why     whyCommand     `cmd:"" help:"Say what becomes of a package or a version, and why."`
	Stats   statsCommand   `cmd:"" help:"Show what a running pond holds, and how its upstreams are."`
	Help    helpCommand    `cmd:"" help:"Explain the command line, or with 'help config' every setting."`
	Version versionCommand `cmd:"" help:"Print the version."`
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
		kong.Bind(&p),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		fmt.Fprintln(p.Err, "millpond:", err)
		return ExitFailed
	}
	parsed, err := parser.Parse(p.Args)
	if err != nil {
		fmt.Fprintf(p.Err, "millpond: %v\nmillpond --help lists the commands\n", err)
		return ExitUsage
	}
	return p.report(parsed.Run())
}

// report prints an error and chooses the exit code.
func (p *Process) report(err error) int {
	if err == nil {
		return ExitOK
	}
	code := ExitFailed
	e, hasCode := errors.AsType[*exit](err)
	if hasCode {
		code = e.code
		if e.err == nil {
			return code
		}
		err = e.err
	}
	fmt.Fprintln(p.Err, "millpond:", err)
	if m, ok := errors.AsType[*millpond.Error](err); ok && m.Hint != "" {
		fmt.Fprintln(p.Err, m.Hint)
	}
	return code
}
