package golang

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/module"

	"millpond"
	"millpond/format"
)

// A gitSource makes the files of modules from the repositories of a git server, by the go command.
type gitSource struct {
	source
	patterns string // the option vcs
}

var (
	_ format.Insider = Format{}
	_ format.Fetcher = gitSource{}
)

// Ours says that an upstream which builds from git is asked about claimed names too: it knows no others than the option names.
func (Format) Ours(option func(string) string) bool { return option("vcs") != "" }

// query is what a branch, a tag or a hash may look like. It never begins with what could be an option.
var query = regexp.MustCompile(`^[0-9A-Za-z._][0-9A-Za-z._-]{0,127}$`)

// covers is NotFound for a module that is not built here. It asks nobody.
func (s gitSource) covers(path, version string) error {
	host, _, _ := strings.Cut(path, "/")
	switch {
	case module.CheckPath(path) != nil || !module.MatchPrefixPatterns(strings.Join(words(s.patterns), ","), path):
		return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("%s is none of the modules that %s builds", path, s.remote.Name())}
	case isAddress(host):
		return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("%s begins with an address: a module is not built from there", path)}
	case version != "" && !isCanonical(path, version) && !query.MatchString(version):
		return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("%.100q is no version, branch or hash", version)}
	}
	return nil
}

// A found is what the go command prints of a module.
type found struct {
	Version  string
	Versions []string
	Zip      string
	Sum      string
	Origin   struct{ Hash string }
	Error    any // a string, or {"Err": string}
}

// ask runs go on a module and reads what it prints.
func (s gitSource) ask(ctx context.Context, name string, args ...string) (*found, *ran, error) {
	shop, ok := s.remote.(format.Workshop)
	if !ok {
		return nil, nil, &millpond.Error{Kind: millpond.Unready, Why: "nothing can be built here"}
	}
	at, err := readHosts(s.patterns, s.remote.Option("vcs_hosts"), s.remote.URL())
	if err != nil {
		return nil, nil, err
	}
	r, err := (&runner{shop: shop, hosts: at}).run(ctx, append(args, name)...)
	if err != nil {
		return nil, nil, fmt.Errorf("build %s: %w", name, err)
	}
	var f found
	if err := json.Unmarshal(r.out, &f); err != nil {
		return nil, nil, s.judge(name, r, r.said)
	}
	switch e := f.Error.(type) {
	case nil:
		return &f, r, nil
	case string:
		return nil, nil, s.judge(name, r, e)
	case map[string]any:
		said, _ := e["Err"].(string)
		return nil, nil, s.judge(name, r, said)
	}
	return nil, nil, s.judge(name, r, r.said)
}

// absences are the words by which the go command and git say that there is no such thing. They count only where everything
// that was asked was answered.
var absences = []string{
	"unknown revision", "no matching versions", "404 Not Found", "410 Gone", "no go-import meta tags", "' not found", "at revision ",
	"post-v1 module path", "must match major version", "pseudo-version", "should be v", "invalid version control suffix", "no protocol found",
}

// judge turns what the go command said into the error that it means. A server that is ill is never an absence.
func (s gitSource) judge(name string, r *ran, said string) error {
	said = strings.TrimSpace(said)
	switch {
	case r.cause != nil:
		e, ok := errors.AsType[*millpond.Error](r.cause)
		if !ok {
			return fmt.Errorf("build %s: %w", name, r.cause)
		}
		return &millpond.Error{Kind: e.Kind, Why: name + " cannot be built: " + e.Why, Hint: e.Hint, After: e.After, Err: fmt.Errorf("%w; go said: %s", e, said)}
	case strings.Contains(said, "GOVCS disallows"):
		return &millpond.Error{Kind: millpond.Blocked, Why: name + " is not kept in git, and modules are built from git alone", Err: errors.New(said)}
	}
	for _, words := range absences {
		if strings.Contains(said, words) {
			return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("%s has no %s", s.remote.Name(), name), Err: errors.New(said)}
		}
	}
	lines := strings.Split(said, "\n") // git's own words are the last of them
	return &millpond.Error{Kind: millpond.BadUpstream, Why: fmt.Sprintf("%s cannot be built: %.300s", name, strings.TrimSpace(lines[len(lines)-1])), Err: errors.New(said)}
}

// Package lists the tags that are versions.
func (s gitSource) Package(ctx context.Context, name string) (*millpond.Package, error) {
	if err := s.covers(name, ""); err != nil {
		return nil, err
	}
	f, _, err := s.ask(ctx, name, "list", "-m", "-e", "-json", "-retracted", "-versions")
	if err != nil {
		return nil, err
	}
	versions, err := readList(name, strings.NewReader(strings.Join(f.Versions, "\n")))
	return &millpond.Package{Name: name, Versions: versions}, err
}

// File makes the name of a file. It asks nobody.
func (s gitSource) File(ctx context.Context, k millpond.Key) (*millpond.File, error) {
	if err := s.covers(k.Package, k.Version); err != nil {
		return nil, err
	}
	return s.source.File(ctx, k)
}

// Version is that of a source, by the .info that is made here.
func (s gitSource) Version(ctx context.Context, name, version string) (*millpond.Version, error) {
	if err := s.covers(name, version); err != nil {
		return nil, err
	}
	return s.source.Version(ctx, name, version)
}

// Ref resolves a branch, a tag or a hash.
func (s gitSource) Ref(ctx context.Context, pkg, name string) (millpond.Ref, error) {
	if err := s.covers(pkg, name); err != nil {
		return millpond.Ref{}, err
	}
	f, _, err := s.ask(ctx, pkg+"@"+name, "list", "-m", "-e", "-json")
	if err != nil {
		return millpond.Ref{}, err
	}
	if !isCanonical(pkg, f.Version) {
		return millpond.Ref{}, &millpond.Error{Kind: millpond.BadUpstream, Why: fmt.Sprintf("go resolved %s@%s to %.100q, which is no version of it", pkg, name, f.Version)}
	}
	return millpond.Ref{Name: name, Target: f.Version, Checked: s.remote.Now()}, nil
}

// Document has none: no checksum database is read through git.
func (s gitSource) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	return s.NoSource.Document(ctx, k)
}

// Changes lists nothing.
func (s gitSource) Changes(ctx context.Context, since string) iter.Seq2[format.Change, error] {
	return s.NoSource.Changes(ctx, since)
}

// Fetch makes one file. An .info or a .mod is made without the zip.
func (s gitSource) Fetch(ctx context.Context, k millpond.Key, w io.Writer) error {
	if err := s.covers(k.Package, k.Version); err != nil {
		return err
	}
	if !isCanonical(k.Package, k.Version) {
		return noFile(k)
	}
	args, limit := []string{"list", "-m", "-e", "-json"}, int64(modLimit)
	zip := strings.HasSuffix(k.File, ".zip")
	if zip {
		args, limit = []string{"mod", "download", "-json"}, zipLimit
	}
	f, r, err := s.ask(ctx, k.Package+"@"+k.Version, args...)
	if err != nil {
		return err
	}
	path, err := module.EscapePath(k.Package)
	if err != nil {
		return noFile(k)
	}
	version, err := module.EscapeVersion(k.Version)
	if err != nil {
		return noFile(k)
	}
	if zip { // go has unpacked it as well
		if err := os.RemoveAll(filepath.Join(r.cache, filepath.FromSlash(path)+"@"+version)); err != nil {
			return err
		}
	}
	if f.Version != k.Version {
		return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s is version %s", k, f.Version)}
	}
	if err := s.first(ctx, k, "commit", f.Origin.Hash); err != nil {
		return err
	}
	if err := s.first(ctx, k, "hash", f.Sum); err != nil {
		return err
	}
	made, err := os.Open(filepath.Join(r.cache, "cache", "download", filepath.FromSlash(path), "@v", version+strings.TrimPrefix(k.File, k.Version)))
	if err != nil {
		return fmt.Errorf("read what go made of %s: %w", k, err)
	}
	defer made.Close()
	n, err := io.Copy(w, io.LimitReader(made, limit+1))
	if err == nil && n > limit {
		err = &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: fmt.Sprintf("%s has more than %d bytes", k.File, limit)}
	}
	return err
}

// first refuses a version that was something else when a file of it was first made here: what is first made is the version
// for ever.
func (s gitSource) first(ctx context.Context, k millpond.Key, what, is string) error {
	if is == "" {
		return nil
	}
	name := strings.Join([]string{"vcs", what, k.Package, k.Version}, "/")
	was, err := s.remote.State(ctx, name)
	if err != nil || string(was) == is {
		return err
	}
	if len(was) == 0 {
		return s.remote.SetState(ctx, name, []byte(is))
	}
	return corrupt(k, fmt.Sprintf("%s %s had the %s %s when it was first built, and has %s now: its tag was moved", k.Package, k.Version, what, was, is))
}
