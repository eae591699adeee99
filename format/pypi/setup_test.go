package pypi

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

// A computer is a Machine made of texts.
type computer struct {
	out   map[string]string // by command line
	env   map[string]string
	files map[string]string
}

func (c computer) Run(_ context.Context, name string, args ...string) (string, error) {
	line := strings.Join(append([]string{name}, args...), " ")
	out, ok := c.out[line]
	switch {
	case !ok:
		return "", &millpond.Error{Kind: millpond.NotFound, Why: name + " is not installed"}
	case out == "fails":
		return "", errors.New("exit status 1")
	}
	return out, nil
}
func (c computer) Getenv(key string) string { return c.env[key] }
func (c computer) ReadFile(path string) ([]byte, error) {
	if text, ok := c.files[path]; ok {
		return []byte(text), nil
	}
	return nil, fs.ErrNotExist
}

const pipHelp = `
Package Index Options:
  -i, --index-url <url>       Base URL of the Python Package Index (default
                              https://upstream.example/simple). This should point
                              to a repository compliant with PEP 503
`

const uvHelp = `
      --default-index <DEFAULT_INDEX>
          The default package index (by default: <https://upstream.example/simple>).
`

func TestUpstreams(t *testing.T) {
	for _, c := range []struct {
		name string
		computer
		want, from, user, note string
	}{
		{name: "nothing installed"},
		{name: "pip's documented default", computer: computer{out: map[string]string{"pip config list": "global.cert='/x'\n", "pip download --help": pipHelp}},
			want: "https://upstream.example/simple/", from: "pip download --help"},
		{name: "uv's documented default", computer: computer{out: map[string]string{"uv help pip install": uvHelp}},
			want: "https://upstream.example/simple/", from: "uv help"},
		{name: "global setting", computer: computer{out: map[string]string{
			"pip config list": "global.index-url='https://a.upstream.example/simple'\n", "pip download --help": pipHelp}},
			want: "https://a.upstream.example/simple/", from: "pip config get global.index-url"},
		{name: "the command's own section wins", computer: computer{out: map[string]string{
			"pip config list": "global.index-url='https://a.upstream.example/'\ninstall.index-url='https://b.upstream.example/'\n"}},
			want: "https://b.upstream.example/", from: "install.index-url"},
		{name: "the environment wins", computer: computer{env: map[string]string{"PIP_INDEX_URL": "https://e.upstream.example/s"},
			out: map[string]string{"pip config list": "install.index-url='https://b.upstream.example/'\n"}},
			want: "https://e.upstream.example/s/", from: "PIP_INDEX_URL"},
		{name: "credentials are apart", computer: computer{out: map[string]string{"pip config list": "global.index-url='https://ci:secret@upstream.example/s/'\n"}},
			want: "https://upstream.example/s/", from: "pip", user: "ci secret"},
		{name: "extra index", computer: computer{out: map[string]string{
			"pip config list": "global.extra-index-url='https://a/'\nglobal.index-url='https://upstream.example/s/'\n"}},
			want: "https://upstream.example/s/", from: "pip", note: "extra-index-url"},
		{name: "extra index in the environment, without any other", computer: computer{env: map[string]string{"PIP_EXTRA_INDEX_URL": "https://a/"}}, note: "extra-index-url"},
		{name: "uv's environment", computer: computer{env: map[string]string{"UV_DEFAULT_INDEX": "main=https://u.upstream.example/s"}},
			want: "https://u.upstream.example/s/", from: "UV_DEFAULT_INDEX"},
		{name: "uv's file", computer: computer{files: map[string]string{"~/.config/uv/uv.toml": "index-url = 'https://old.upstream.example/'\n" +
			"[[index]]\nurl = \"https://one.upstream.example/\"\n[[ index ]] # x\nname = \"two\"\nurl = \"https://two.upstream.example/\"\ndefault = true\n[pip]\n"}},
			want: "https://two.upstream.example/", from: "uv.toml"},
		{name: "uv's old setting", computer: computer{files: map[string]string{"/etc/uv/uv.toml": "[pip]\nindex-url = \"https://old.upstream.example/\"\n"}},
			want: "https://old.upstream.example/", from: "uv.toml"},
		{name: "uv has another than pip", computer: computer{env: map[string]string{"UV_INDEX_URL": "https://u:pw@u.upstream.example/"},
			out: map[string]string{"pip config list": "global.index-url='https://a.upstream.example/'\n"}},
			want: "https://a.upstream.example/", from: "pip", note: "https://u.upstream.example/"},
		{name: "a directory", computer: computer{env: map[string]string{"PIP_INDEX_URL": "/srv/wheels"}}, from: "PIP_INDEX_URL", note: "no http address"},
		{name: "pip is broken", computer: computer{out: map[string]string{"pip config list": "fails", "pip download --help": "fails", "uv help pip install": uvHelp}},
			want: "https://upstream.example/simple/", from: "uv help", note: "pip config list failed"},
	} {
		got, err := Format{}.Info().Upstreams(t.Context(), c.computer)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.want == "" && c.note == "" {
			if len(got) != 0 {
				t.Errorf("%s: %+v, want nothing", c.name, got)
			}
			continue
		}
		if len(got) != 1 || got[0].URL != c.want || !strings.Contains(got[0].From, c.from) || strings.TrimSpace(got[0].Username+" "+got[0].Password) != c.user ||
			!strings.Contains(got[0].Note, c.note) || c.note == "" && got[0].Note != "" || strings.Contains(got[0].Note, "pw") {
			t.Errorf("%s: %+v; want %s from %s, user %q, note with %q", c.name, got, c.want, c.from, c.user, c.note)
		}
	}
}

func TestSetUpNamesOneIndex(t *testing.T) {
	for base, more := range map[string]string{
		"https://pond.example/pypi/":  "",
		"http://127.0.0.1:8080/pypi/": "",
		"http://pond.example/pypi/":   "pip config set global.trusted-host pond.example",
	} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		var clients []string
		for _, s := range (Format{}).Info().SetUp(u) {
			clients = append(clients, s.Client)
			if !strings.Contains(s.Text, base+"simple/") || strings.Contains(s.Text, "extra-index") {
				t.Errorf("%s at %s: %q, want %ssimple/ as the only index", s.Client, base, s.Text, base)
			}
			if s.Client == "pip" && strings.Contains(s.Text, "trusted-host") != (more != "") || !strings.Contains(s.Text, more) && s.Client == "pip" {
				t.Errorf("pip at %s: %q, want %q in it", base, s.Text, more)
			}
		}
		if got := strings.Join(clients, " "); got != "pip uv poetry pdm" {
			t.Errorf("clients %q", got)
		}
	}
}

var _ format.Machine = computer{}
