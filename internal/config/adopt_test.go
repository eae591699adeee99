package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millpond/format"
)

var today = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// finding is a format whose clients are set up with certain upstreams.
func finding(name string, err error, found ...format.Adopted) format.Format {
	return words{name: name, upstreams: func(context.Context, format.Machine) ([]format.Adopted, error) { return found, err }}
}

// adopting is a pond that was told nothing but where it listens, and keeps its data in dir.
func adopting(t *testing.T, dir, listen string, formats []format.Format, flags ...Flag) *Config {
	t.Helper()
	flags = append(flags, Flag{"--data", "data", dir}, Flag{"--listen", "listen", listen}, Flag{"--set", "read", "anonymous"})
	c, err := Load("", env(), formats, flags...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// upstreamsOf are the upstreams of a configuration, "pypi https://… user:password option=value".
func upstreamsOf(c *Config) string {
	var all []string
	for _, r := range c.Repos {
		for _, u := range r.Upstreams {
			line := r.Name + " " + u.URL
			if u.Username+u.Password != "" {
				line += " " + u.Username + ":" + u.Password
			}
			for k, v := range u.Options {
				line += " " + k + "=" + v
			}
			all = append(all, line)
		}
		for k, v := range r.Options {
			all = append(all, r.Name+" "+k+"="+v)
		}
	}
	return strings.Join(all, "\n")
}

func said(adoptions []Adoption) string {
	var all []string
	for _, a := range adoptions {
		all = append(all, a.String())
	}
	return strings.Join(all, "\n")
}

func TestAdopt(t *testing.T) {
	up := func(address string) format.Adopted { return format.Adopted{URL: address, From: "client config"} }
	secret := format.Adopted{URL: "https://upstream.example/simple", Username: "ci", Password: "hush", From: "client config"}
	inURL := up("https://ci:hush@upstream.example/")
	with := func(a format.Adopted, k, v string) format.Adopted { a.Options = map[string]string{k: v}; return a }
	tests := []struct {
		name   string
		listen string
		format format.Format
		want   string
		words  string
	}{
		{"one", "127.0.0.1:8080", finding("pypi", nil, up("https://upstream.example/simple/")), "pypi https://upstream.example/simple/",
			"pypi: https://upstream.example/simple/ (client config)"},
		{"none", "127.0.0.1:8080", finding("pypi", nil), "", ""},
		{"only a note", "127.0.0.1:8080", finding("pypi", nil, format.Adopted{From: "client", Note: "it asks nobody"}), "", "pypi: client: it asks nobody"},
		{"in order, each once", "127.0.0.1:8080", finding("pypi", nil, up("https://b.example/"), up("https://a.example/"), up("https://b.example/")),
			"pypi https://b.example/\npypi https://a.example/",
			"pypi: https://b.example/ (client config)\npypi: https://a.example/ (client config)"},
		{"a password, for this machine alone", "127.0.0.1:8080", finding("pypi", nil, secret), "pypi https://upstream.example/simple/ ci:hush",
			"pypi: https://upstream.example/simple with the password of ci (client config)"},
		{"a password, for others too", "0.0.0.0:8080", finding("pypi", nil, secret), "pypi https://upstream.example/simple/",
			"pypi: https://upstream.example/simple (client config): its password was left out, since others than this machine can reach the pond"},
		{"a password in a URL", "localhost:8080", finding("pypi", nil, inURL), "pypi https://upstream.example/ ci:hush",
			"pypi: https://upstream.example/ with the password of ci (client config)"},
		{"a password in a URL, for others too", ":8080", finding("pypi", nil, inURL), "pypi https://upstream.example/",
			"pypi: https://upstream.example/ (client config): its password was left out, since others than this machine can reach the pond"},
		{"this very pond", "127.0.0.1:8080", finding("pypi", nil, up("http://localhost:8080/pypi/simple/")), "",
			"pypi: http://localhost:8080/pypi/simple/ (client config): not adopted: this client is set up with this very pond; say where it reads from: --upstream pypi=URL"},
		{"this very pond, listening everywhere", "0.0.0.0:8080", finding("pypi", nil, up("http://127.0.0.1:8080/pypi/simple/")), "",
			"pypi: http://127.0.0.1:8080/pypi/simple/ (client config): not adopted: this client is set up with this very pond; say where it reads from: --upstream pypi=URL"},
		{"another pond of this machine", "127.0.0.1:8080", finding("pypi", nil, up("http://127.0.0.1:8081/pypi/simple/")), "pypi http://127.0.0.1:8081/pypi/simple/",
			"pypi: http://127.0.0.1:8081/pypi/simple/ (client config)"},
		{"another scheme", "127.0.0.1:8080", finding("pypi", nil, up("ftp://upstream.example/")), "",
			"pypi: ftp://upstream.example/ (client config): not adopted: the pond reads http, https and files"},
		{"no URL", "127.0.0.1:8080", finding("pypi", nil, up("https://u:p@[broken/")), "", "pypi: client config: not adopted: it is not a URL"},
		{"a query", "127.0.0.1:8080", finding("pypi", nil, up("https://upstream.example/?a=b")), "",
			"pypi: https://upstream.example/?a=b (client config): not adopted: it has more than a path"},
		{"a failure", "127.0.0.1:8080", finding("pypi", errors.New("pip is\nbroken")), "", "pypi: not adopted: pip is broken"},
		{"options alike are the repository's", "127.0.0.1:8080", finding("golang", nil, with(up("https://a.example/"), "sumdb", "x"), with(up("https://b.example/"), "sumdb", "x")),
			"golang https://a.example/\ngolang https://b.example/\ngolang sumdb=x",
			"golang: https://a.example/ (client config)\ngolang: https://b.example/ (client config)"},
		{"options that differ are the upstream's", "127.0.0.1:8080", finding("npm", nil, with(up("https://a.example/"), "scope", "@a"), up("https://b.example/")),
			"npm https://a.example/ scope=@a\nnpm https://b.example/",
			"npm: https://a.example/ (client config)\nnpm: https://b.example/ (client config)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			formats := []format.Format{test.format}
			c := adopting(t, t.TempDir(), test.listen, formats)
			got := said(c.Adopt(t.Context(), Machine(8*time.Second), formats, today))
			if got != test.words {
				t.Errorf("said\n%s\nwant\n%s", got, test.words)
			}
			if got := upstreamsOf(c); got != test.want {
				t.Errorf("upstreams\n%s\nwant\n%s", got, test.want)
			}
			if strings.Contains(got, "hush") {
				t.Errorf("a password was said: %s", got)
			}
			if _, err := c.Repositories(formats); err != nil {
				t.Errorf("what was adopted cannot be used: %v", err)
			}
			kept, err := os.ReadFile(filepath.Join(c.Data, memoryFile))
			if test.want == "" && errors.Is(err, os.ErrNotExist) {
				err = nil // nothing was said that could be kept
			}
			if strings.Contains(string(kept), "hush") || strings.Contains(string(kept), `"url"`) != (test.want != "") || err != nil {
				t.Errorf("kept for later: %s, %v", kept, err)
			}
		})
	}
}

// TestAdoptOnlyWhatNobodyNamed holds that a file, or a flag, always wins.
func TestAdoptOnlyWhatNobodyNamed(t *testing.T) {
	formats := []format.Format{finding("pypi", nil, format.Adopted{URL: "https://found.example/", From: "x"}),
		finding("npm", nil, format.Adopted{URL: "https://found.example/", From: "x"}), finding("golang", nil, format.Adopted{URL: "https://found.example/", From: "x"})}
	c := adopting(t, t.TempDir(), "127.0.0.1:8080", formats,
		Flag{"--upstream", "upstream", "pypi=https://named.example/"}, Flag{"--upstream", "upstream", "npm=none"})
	c.Adopt(t.Context(), Machine(8*time.Second), formats, today)
	if got, want := upstreamsOf(c), "pypi https://named.example/\ngolang https://found.example/"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	file, err := Load(write(t, "repositories: {pypi: {format: pypi}}"), env(), formats)
	if err != nil {
		t.Fatal(err)
	}
	if got := file.Adopt(t.Context(), Machine(8*time.Second), formats, today); got != nil || upstreamsOf(file) != "" {
		t.Errorf("a file that names no upstream was given %s", upstreamsOf(file))
	}
}

// TestAdoptRemembers plays what everybody does: start the pond, set up the client with it, and start the pond again.
func TestAdoptRemembers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	start := func(formats ...format.Format) (*Config, string) {
		c := adopting(t, dir, "127.0.0.1:8080", formats)
		return c, said(c.Adopt(t.Context(), Machine(8*time.Second), formats, today))
	}
	upstream := format.Adopted{URL: "https://upstream.example/simple/", From: "pip", Username: "ci", Password: "hush", Options: map[string]string{"json": "off"}}
	start(finding("pypi", nil, upstream), finding("npm", nil, format.Adopted{URL: "https://upstream.example/npm/", From: "npm"}))
	if info, err := os.Stat(filepath.Join(dir, memoryFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kept as %v, %v", info, err)
	}
	itself := finding("pypi", nil, format.Adopted{URL: "http://127.0.0.1:8080/pypi/simple/", From: "pip"})
	c, words := start(itself, finding("npm", nil))
	if got, want := upstreamsOf(c), "pypi https://upstream.example/simple/\npypi json=off"; got != want {
		t.Errorf("with a client that is set up with the pond: got\n%s\nwant\n%s", got, want)
	}
	if want := "pypi: https://upstream.example/simple/ (pip): as adopted on 2026-06-15"; !strings.Contains(words, want) {
		t.Errorf("said\n%s\nwant a line\n%s", words, want)
	}
	c, _ = start(itself, finding("npm", errors.New("npm gave no answer")))
	if got, want := upstreamsOf(c), "pypi https://upstream.example/simple/\npypi json=off\nnpm https://upstream.example/npm/"; got != want {
		t.Errorf("with a client that gives no answer: got\n%s\nwant\n%s", got, want)
	}
	start(finding("pypi", nil, format.Adopted{URL: "https://other.example/", From: "pip"}), finding("npm", nil))
	c, _ = start(itself, finding("npm", errors.New("npm gave no answer")))
	if got, want := upstreamsOf(c), "pypi https://other.example/\nnpm https://upstream.example/npm/"; got != want {
		t.Errorf("after another adoption: got\n%s\nwant\n%s", got, want)
	}
	if err := os.WriteFile(filepath.Join(dir, memoryFile), []byte(`{"formats":{"pypi":[{"url":"http://127.0.0.1:8080/x/`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, words = start(itself)
	if upstreamsOf(c) != "" || !strings.Contains(words, "cannot be read") {
		t.Errorf("a torn file: upstreams %s, said\n%s", upstreamsOf(c), words)
	}
}

// TestRecall plays later starts: what was adopted is taken without a question, where that does.
func TestRecall(t *testing.T) {
	dir := t.TempDir()
	found := map[string][]format.Adopted{
		"pypi": {{URL: "https://upstream.example/simple/", From: "pip", Note: "uv has another", Options: map[string]string{"json": "off"}}},
	}
	var failing error
	formats := func(names ...string) (all []format.Format) {
		for _, name := range names {
			all = append(all, finding(name, failing, found[name]...))
		}
		return all
	}
	adopt := func(names ...string) (*Config, []Adoption) {
		c := adopting(t, dir, "127.0.0.1:8080", formats(names...))
		return c, c.Adopt(t.Context(), Machine(8*time.Second), formats(names...), today)
	}
	recall := func(what string, want bool, names ...string) (*Config, []Adoption) {
		t.Helper()
		c := adopting(t, dir, "127.0.0.1:8080", formats(names...))
		all, ok := c.Recall(formats(names...))
		if ok != want || !ok && (all != nil || upstreamsOf(c) != "") {
			t.Errorf("%s: recalled %t, want %t; upstreams %q", what, ok, want, upstreamsOf(c))
		}
		return c, all
	}
	recall("a first start", false, "pypi", "npm")
	asked, first := adopt("pypi", "npm")
	c, again := recall("a second start", true, "pypi", "npm")
	if got, want := upstreamsOf(c), upstreamsOf(asked); got != want || got == "" {
		t.Errorf("recalled %q, want %q", got, want)
	}
	if got, want := said(again), "pypi: https://upstream.example/simple/ (pip): uv has another; as adopted on 2026-06-15"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if !SameAdoptions(first, again) {
		t.Errorf("%s\nand\n%s\nare not the same", said(first), said(again))
	}
	recall("a new format", false, "pypi", "npm", "golang")

	found["npm"] = []format.Adopted{{URL: "https://upstream.example/npm/", From: "npm"}}
	if _, now := adopt("pypi", "npm"); SameAdoptions(again, now) {
		t.Errorf("%s\nand\n%s\nare the same", said(again), said(now))
	}
	if c, _ := recall("after npm was installed", true, "pypi", "npm"); !strings.Contains(upstreamsOf(c), "npm https://upstream.example/npm/") {
		t.Errorf("recalled %q, want npm's too", upstreamsOf(c))
	}
	found["npm"][0].Username, found["npm"][0].Password = "ci", "hush"
	adopt("pypi", "npm")
	recall("with a password", false, "pypi", "npm")
	delete(found, "npm")
	failing = errors.New("no answer")
	dir = t.TempDir()
	adopt("pypi", "npm")
	recall("after clients that gave no answer", false, "pypi", "npm")
	failing = nil
	adopt("pypi", "npm")
	c = adopting(t, dir, "127.0.0.1:8080", formats("pypi", "npm"), Flag{"--upstream", "upstream", "pypi=https://named.example/"})
	if _, ok := c.Recall(formats("pypi", "npm")); !ok || upstreamsOf(c) != "pypi https://named.example/" {
		t.Errorf("with an upstream that was named: recalled %t, %q", ok, upstreamsOf(c))
	}
}

func TestAdoptDoesNotNeedToRemember(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	formats := []format.Format{finding("pypi", nil, format.Adopted{URL: "https://upstream.example/", From: "pip"})}
	c := adopting(t, dir, "127.0.0.1:8080", formats)
	words := said(c.Adopt(t.Context(), Machine(8*time.Second), formats, today))
	if upstreamsOf(c) != "pypi https://upstream.example/" || !strings.Contains(words, "they cannot be remembered") {
		t.Errorf("upstreams %s, said\n%s", upstreamsOf(c), words)
	}
}
