package cli

import (
	"context"
	"errors"
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

	"github.com/schollz/progressbar/v3"
)

type publishCommand struct {
	api
	Paths      []string          `arg:"" name:"file-or-folder" help:"Files as their clients make them; or a folder, packed as its client would."`
	Repository string            `short:"r" env:"MILLPOND_REPOSITORY" help:"Where to; can be left out if there is only one that fits." placeholder:"NAME"`
	Release    string            `name:"version" help:"Of a folder: the version, as its version control knows it." placeholder:"VERSION"`
	Tag        string            `help:"A name to point at what is published, where the format has such." placeholder:"TAG"`
	Option     map[string]string `help:"An option of the format's own." placeholder:"NAME=VALUE"`
}

// Run publishes one file after the other. What was published before one is refused stays published: doing it again is safe.
func (c *publishCommand) Run(ctx context.Context, p *Process) error {
	to, f, err := c.target(ctx, p)
	if err != nil {
		return err
	}
	done := []server.PublishedDocument{}
	for _, path := range c.Paths {
		one, err := c.publishPath(ctx, p, to, f, path)
		if err != nil {
			if len(done) > 0 && c.JSON {
				err = errors.Join(err, printJSON(p.Out, done))
			}
			return err
		}
		done = append(done, *one)
		if !c.JSON {
			state := "published"
			if !one.New {
				state = "was there already, with the same bytes:"
			}
			fmt.Fprintf(p.Out, "%s %s in %s\n", state, millpond.Key{Package: one.Package, Version: one.Version, File: one.File}, one.Repository)
		}
	}
	if c.JSON {
		return printJSON(p.Out, done)
	}
	return nil
}

// target is the repository to publish to, and its format if this build knows it.
func (c *publishCommand) target(ctx context.Context, p *Process) (string, format.Format, error) {
	all, err := c.repositories(ctx)
	if err != nil {
		return "", nil, err
	}
	var fit []server.RepositoryDocument
	for _, r := range all {
		if c.Repository == r.Name || c.Repository == "" && r.Hosted && slices.Contains(r.May, millpond.VerbPublish) {
			fit = append(fit, r)
		}
	}
	var names []string
	for _, r := range fit {
		names = append(names, r.Name)
	}
	switch {
	case len(fit) == 1:
		for _, f := range p.formats() {
			if f.Info().Name == fit[0].Format {
				return fit[0].Name, f, nil
			}
		}
		return fit[0].Name, nil, nil
	case c.Repository != "":
		return c.Repository, nil, nil // the pond says what is wrong with it
	case len(fit) == 0 && c.Token == "":
		return "", nil, &millpond.Error{Kind: millpond.Unauthenticated, Why: "nobody is logged in, and nobody may publish to " + c.URL.Redacted() + " without", Hint: "millpond login " + c.URL.Redacted()}
	case len(fit) == 0:
		return "", nil, &millpond.Error{Kind: millpond.Denied, Why: "there is no repository at " + c.URL.Redacted() + " that you may publish to", Hint: "'millpond whoami' shows what you may do"}
	}
	return "", nil, &millpond.Error{Kind: millpond.Invalid, Why: "there are several repositories that you may publish to: " + strings.Join(names, ", "), Hint: "name one with --repository"}
}

func (c *publishCommand) publishPath(ctx context.Context, p *Process, to string, f format.Format, path string) (*server.PublishedDocument, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if c.Release != "" {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: "--version is for folders: " + path + " is a file, whose version stands in it"}
		}
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return c.publishFile(ctx, p, to, filepath.Base(path), file, info.Size())
	}
	packer, ok := f.(format.Packer)
	if !ok {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: path + " is a folder, and " + to + " takes files", Hint: "build the package with its own tools, then publish the file that they make"}
	}
	folder, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	packed, err := os.CreateTemp("", "millpond-pack-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(packed.Name())
	defer packed.Close()
	name, err := packer.Pack(ctx, p.machine(toPack), folder, c.Release, packed)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", path, err)
	}
	size, err := packed.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return c.publishFile(ctx, p, to, name, packed, size)
}

func (c *publishCommand) publishFile(ctx context.Context, p *Process, to, name string, file io.Reader, size int64) (*server.PublishedDocument, error) {
	options := url.Values{}
	for key, value := range c.Option {
		options.Set(key, value)
	}
	if c.Tag != "" {
		options.Set("tag", c.Tag)
	}
	body := file
	if p.bare != nil && !c.JSON {
		bar := progressbar.NewOptions64(size, progressbar.OptionSetWriter(p.bare), progressbar.OptionSetDescription(shown(name)),
			progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish())
		defer bar.Close()
		body = io.TeeReader(file, bar)
	}
	var out server.PublishedDocument
	err := c.call(ctx, request{method: "POST", path: []string{"repositories", to, "publish", name}, query: options, body: body, size: size}, &out)
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", name, err)
	}
	return &out, nil
}

// shown is a text as the plain writer shows it, for what does not go through one.
func shown(s string) string {
	var b strings.Builder
	(&plain{w: &b}).Write([]byte(s)) // a strings.Builder takes all
	return b.String()
}
