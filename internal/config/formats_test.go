package config

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

// words is a format of the tests: names are lower case, ranges begin with "<", ">" or "=".
type words struct {
	name      string
	options   []format.Option
	upstreams func(context.Context, format.Machine) ([]format.Adopted, error)
}

func (w words) Info() format.Info {
	return format.Info{Name: w.name, Title: w.name, Options: w.options, Upstreams: w.upstreams}
}

func (words) Canon(name string) (string, error) { return strings.ToLower(name), nil }
func (words) Compare(a, b string) int           { return strings.Compare(a, b) }

func (words) Match(spec, version string) (bool, error) {
	if strings.HasPrefix(spec, "<") || strings.HasPrefix(spec, ">") || strings.HasPrefix(spec, "=") {
		return version < spec[1:], nil
	}
	return false, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%q is no range", spec)}
}

func (words) Source(format.Remote) format.Source { return nil }
func (words) Handler(format.Repo) http.Handler   { return nil }

// claiming is a format with a claim syntax of its own.
type claiming struct{ words }

// Strays implements format.Strayer: its clients ask the root of the host.
func (claiming) Strays(string) bool { return true }

func (claiming) Covers(claim, name string) bool { return claim == name }

// formats are those that the tests' files speak of.
func formats() []format.Format {
	return []format.Format{
		words{name: "pypi", options: []format.Option{{Name: "json", Default: "../pypi/", Help: "Where the JSON API is."}}},
		words{name: "npm", options: []format.Option{{Name: "scope", Help: "of an upstream: the scopes it is asked about"}, {Name: "lock-file", Default: "rewrite"}}},
		claiming{words{name: "golang"}},
	}
}

// env is an environment of name, value, name, value.
func env(pairs ...string) func(string) (string, bool) {
	m := map[string]string{"HOME": "/home/miller"}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

// write writes a file called pond.yaml into a directory of its own and returns its path.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pond.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load reads a file that is in order.
func load(t testing.TB, text string, env func(string) (string, bool), flags ...Flag) *Config {
	t.Helper()
	c, err := Load(write(t, text), env, formats(), flags...)
	if err != nil {
		t.Fatalf("Load of\n%s\n%v", text, err)
	}
	return c
}
