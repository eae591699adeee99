package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"millpond"
	"millpond/internal/config"
	"millpond/repo"

	"github.com/alecthomas/kong"
)

type initCommand struct {
	settings
	output
	Output string `short:"o" default:"millpond.yaml" help:"The file to write; - prints it." placeholder:"FILE"`
}

// Run asks this machine's clients where they read from, and writes that down as a configuration. It overwrites nothing.
func (c *initCommand) Run(ctx context.Context, p *Process) error {
	formats := p.formats()
	found, err := c.load(formats)
	if err != nil {
		return &exit{ExitUsage, err}
	}
	for _, a := range found.Adopt(ctx, p.machine(toTell), formats, time.Now()) {
		fmt.Fprintln(p.Err, a)
	}
	var text bytes.Buffer
	if err := config.Write(&text, found); err != nil {
		return err
	}
	if c.Output == "-" {
		if c.JSON {
			return printJSON(p.Out, initReport{Text: text.String()})
		}
		_, err := p.Out.Write(text.Bytes())
		return err
	}
	f, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &millpond.Error{Kind: millpond.Conflict, Why: c.Output + " is there already, and was left as it is", Hint: "name another file with --output, or print it with --output -"}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text.Bytes())
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", c.Output, err)
	}
	if c.JSON {
		return printJSON(p.Out, initReport{File: c.Output, Text: text.String()})
	}
	fmt.Fprintf(p.Out, "wrote %s\nlook at it, then: millpond serve --config %s\n", c.Output, c.Output)
	return nil
}

// An initReport is what 'init' says to programs.
type initReport struct {
	File string `json:"file,omitempty"` // that was written
	Text string `json:"text"`
}

type configCheckCommand struct {
	settings
	output
	File string `arg:"" optional:"" help:"The file; else the one that --config or MILLPOND_CONFIG names."`
}

// Run reads the configuration as serve would.
func (c *configCheckCommand) Run(p *Process) error {
	if c.File != "" {
		c.settings.Config = c.File
	}
	found, err := c.load(p.formats())
	plan := &plan{}
	if err == nil {
		err = c.fill(plan, found, p.formats())
	}
	if err == nil { // what else a start would refuse
		err = cmp.Or(repo.CheckConfigs(plan.pond, plan.repositories), plan.auth.Check())
	}
	if err != nil {
		if c.JSON { // each on its own, as they were found
			out := configReport{File: cmp.Or(c.settings.Config, os.Getenv("MILLPOND_CONFIG")), Problems: strings.Split(err.Error(), "\n")}
			return cmp.Or(printJSON(p.Out, out), error(&exit{code: ExitUsage}))
		}
		return &exit{ExitUsage, err}
	}
	names := make([]string, len(plan.repositories))
	for i, r := range plan.repositories {
		names[i] = r.Name
	}
	if c.JSON {
		return printJSON(p.Out, configReport{OK: true, File: plan.file, Listen: plan.listen, Data: plan.data, Repositories: names})
	}
	what := plan.file
	if what == "" {
		what = "no file: what the flags and the environment say"
	}
	fmt.Fprintf(p.Out, "%s: sound; listens on %s, repositories %s\n", what, plan.listen, strings.Join(names, ", "))
	return nil
}

// A configReport is what 'config check' says to programs.
type configReport struct {
	OK           bool     `json:"ok"`
	File         string   `json:"file,omitempty"`
	Problems     []string `json:"problems,omitempty"` // "file:line: words"
	Listen       string   `json:"listen,omitempty"`
	Data         string   `json:"data,omitempty"`
	Repositories []string `json:"repositories,omitempty"`
}

type helpCommand struct {
	Topic string `arg:"" optional:"" enum:"config,exit-codes," default:"" help:"'config' explains every setting, 'exit-codes' every exit code."`
}

// Run explains.
func (c *helpCommand) Run(p *Process, k *kong.Context) error {
	if c.Topic == "config" {
		return config.Help(p.Out, p.formats())
	}
	if c.Topic == "exit-codes" {
		return exitCodes(p.Out)
	}
	top, err := kong.Trace(k.Kong, nil)
	if err != nil {
		return err
	}
	return top.PrintUsage(false)
}
