// Package config reads what a pond is told: one strict file, the environment over it, flags over both. It knows formats
// only as values of format.Format, and says all that is wrong at once, each with its line.
//
// Adopt finds out what this machine's own clients are set up with, for a pond that is told nothing. Write renders a
// configuration as a file, and Help prints every key with its meaning; both read the comments of the Config type, so there
// is one place to write them.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"millpond/format"
)

// A Flag is a setting that the command line gives.
type Flag struct {
	Name  string // as the person wrote it, for messages: "--listen"
	Key   string // as the file spells it, "." between levels: "limits.max_bytes"; or "upstream"
	Value string // for upstream FORMAT=URL, or FORMAT=none
}

// Load reads the file at path, what MILLPOND_* variables say over it, and flags over both. With path "" the file is the one
// that MILLPOND_CONFIG names, and if it names none there is no file: one repository for each format, whose upstreams are
// left to Adopt. env is os.LookupEnv or its like.
//
// The error joins everything that is wrong, in words "file:line: …". The Config with it is nil.
func Load(path string, env func(string) (string, bool), formats []format.Format, flags ...Flag) (*Config, error) {
	c := &Config{lines: map[string]int{}, over: map[string]string{}}
	defaults(reflect.ValueOf(c).Elem())
	if path == "" {
		path, _ = env("MILLPOND_CONFIG")
	}
	var errs []error
	if path != "" {
		text, err := readFile(path)
		if err != nil {
			return nil, err
		}
		errs = c.read(path, text, env, formats)
	}
	if c.Repos == nil {
		c.Adopting = true
		for _, f := range formats {
			one := newRepository(f.Info().Name, f.Info().Name)
			if _, ok := f.(format.Strayer); ok && !slices.ContainsFunc(c.Repos, func(r Repository) bool { return r.Root }) {
				one.Root = true
			}
			c.Repos = append(c.Repos, one)
		}
	}
	errs = append(errs, c.variables(env, formats)...)
	for _, f := range flags {
		if err := c.say(f.Key, f.Value, f.Name, formats); err != nil {
			errs = append(errs, &problem{where: f.Name, why: err.Error()})
		}
	}
	c.complete(env)
	errs = append(errs, c.check(formats)...)
	if len(errs) > 0 {
		return nil, errors.Join(ordered(errs)...)
	}
	return c, nil
}

// ordered sorts problems by their lines, those outside the file last, and drops repetitions.
func ordered(errs []error) []error {
	line := func(err error) int {
		if p, ok := errors.AsType[*problem](err); ok && p.line > 0 {
			return p.line
		}
		return 1 << 30
	}
	slices.SortStableFunc(errs, func(a, b error) int { return cmp.Compare(line(a), line(b)) })
	return slices.CompactFunc(errs, func(a, b error) bool { return a.Error() == b.Error() })
}

// defaults sets what stands where nothing is said, where one word can say it.
func defaults(v reflect.Value) {
	for i := range v.NumField() {
		f, tag := v.Field(i), v.Type().Field(i).Tag
		switch {
		case tag.Get("key") == "data" || f.Kind() == reflect.Slice || !f.CanSet():
		case f.Kind() == reflect.Struct:
			defaults(f)
		case tag.Get("default") != "":
			if err := set(f, tag.Get("default")); err != nil {
				panic(fmt.Sprintf("the default of %s: %v", tag.Get("key"), err)) // a test would have shown it
			}
		}
	}
}

// readFile reads a configuration file, which is small.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no %s; \"millpond init\" writes a first one", path)
		}
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is no configuration: it is larger than %d bytes", path, maxFile)
	}
	return text, nil
}

// read takes in the text of a file.
func (c *Config) read(path string, text []byte, env func(string) (string, bool), formats []format.Format) []error {
	c.file = path
	d := decoder{file: path, env: env, lines: c.lines, options: map[string][]string{}}
	for _, f := range formats {
		info := f.Info()
		d.options[info.Name] = nil
		for _, o := range info.Options {
			d.options[info.Name] = append(d.options[info.Name], o.Name)
		}
	}
	var document yaml.Node
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	if err := yaml.Load(text, &document); err != nil {
		if strings.Contains(err.Error(), "no documents in stream") { // nothing but comments
			return nil
		}
		return []error{syntax(path, err)}
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return []error{&problem{path, 1, "a mapping is needed here"}}
	}
	if root := d.enter(document.Content[0], ""); root != nil && !empty(root) {
		d.structure(root, reflect.ValueOf(c).Elem(), "", nil, nil)
	}
	return d.errs
}

var position = regexp.MustCompile(`\bL(\d+)\.C\d+(?:-L?\d*\.?C?\d+)?: `)

// syntax is an error of the YAML reader in the form of all others.
func syntax(path string, err error) error {
	text := err.Error()
	if strings.Contains(text, "found multiple") {
		return &problem{path, 0, "it holds several documents; one is read"}
	}
	if m := position.FindStringSubmatchIndex(text); m != nil {
		line, _ := strconv.Atoi(text[m[2]:m[3]])
		return &problem{path, line, text[m[1]:]}
	}
	return &problem{path, 0, text}
}

// complete fills in what depends on the machine, and makes paths of the file relative to it.
func (c *Config) complete(env func(string) (string, bool)) {
	home, _ := env("HOME")
	if home == "" { // as under a service manager or cron
		if who, err := user.Current(); err == nil {
			home = who.HomeDir
		}
	}
	if c.Data == "" {
		c.Data = filepath.Join(home, ".local", "share", "millpond")
		if xdg, ok := env("XDG_DATA_HOME"); ok && filepath.IsAbs(xdg) {
			c.Data = filepath.Join(xdg, "millpond")
		}
	}
	c.Data = c.path("data", c.Data, home)
	c.TLS.Cert = c.path("tls.cert", c.TLS.Cert, home)
	c.TLS.Key = c.path("tls.key", c.TLS.Key, home)
	for i := range c.Advisories {
		if f := &c.Advisories[i]; !strings.Contains(f.At, "://") {
			f.At = c.path(fmt.Sprintf("advisories[%d]", i), f.At, home)
		}
	}
	for i := range c.Repos {
		for k := range c.Repos[i].Upstreams {
			u := &c.Repos[i].Upstreams[k]
			u.CA = c.path(fmt.Sprintf("repositories.%s.upstreams[%d].ca", c.Repos[i].Name, k), u.CA, home)
		}
	}
	if c.Read == nil && loopback(c.Listen) {
		c.Read = []string{"anonymous"}
	}
	if c.PublicURL != "" && !strings.HasSuffix(c.PublicURL, "/") {
		c.PublicURL += "/"
	}
}

// path is a path of the file: "~" is the home, and what is relative is so to the file.
func (c *Config) path(key, path, home string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && home != "" {
		return filepath.Join(home, rest)
	}
	if _, inFile := c.lines[key]; !inFile || c.over[key] != "" || path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.file), path)
}
