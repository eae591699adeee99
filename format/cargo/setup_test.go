package cargo

import (
	"context"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

// A desktop is a machine whose cargo says what a test says, or whose own cargo is asked.
type desktop struct {
	said string // of the shell; "" if cargo is not installed
	home string // CARGO_HOME
}

func (d desktop) Run(ctx context.Context, name string, args ...string) (string, error) {
	switch {
	case d.said == "":
		return "", &millpond.Error{Kind: millpond.NotFound, Why: name + " is not installed", Err: exec.ErrNotFound}
	case d.said == "real":
		out, err := exec.CommandContext(ctx, name, args...).Output()
		return string(out), err
	}
	return d.said, nil
}
func (d desktop) Getenv(key string) string {
	if key == "CARGO_HOME" {
		return d.home
	}
	return ""
}
func (desktop) ReadFile(path string) ([]byte, error) {
	return nil, &millpond.Error{Kind: millpond.NotFound, Why: "no " + path}
}

func TestAdopt(t *testing.T) {
	for name, c := range map[string]struct{ said, url, user, note string }{
		"not installed": {},
		"as cargo says it": {said: "    Updating the index\nerror: download of config.json failed\n\nCaused by:\n  failed to download from `https://upstream.example/index/config.json`\n\nCaused by:\n  [7] Could not connect to server\n",
			url: "https://upstream.example/index/"},
		"credentials":       {said: "failed to download from `http://ann:secret@upstream.example/config.json`", url: "http://upstream.example/", user: "ann:secret"},
		"something else":    {said: "error: no such command: `info`\n", note: "--upstream cargo=URL"},
		"no sparse index":   {said: "    Updating git repository `https://upstream.example/index.git`\n", note: "--upstream cargo=URL"},
		"only a file of it": {said: "failed to parse `config.json` of /home/config.json", note: "--upstream cargo=URL"},
	} {
		got, err := adopt(t.Context(), desktop{said: c.said})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.url == "" && c.note == "" {
			if len(got) != 0 {
				t.Errorf("%s: adopted %+v, want nothing", name, got)
			}
			continue
		}
		if len(got) != 1 || got[0].URL != c.url || strings.Trim(got[0].Username+":"+got[0].Password, ":") != c.user || !strings.Contains(got[0].Note, c.note) {
			t.Errorf("%s: adopted %+v, want %+v", name, got, c)
		}
	}
}

// TestAdoptThisMachine asks the cargo of this machine, which asks nobody.
func TestAdoptThisMachine(t *testing.T) {
	if err := exec.Command("cargo", "--version").Run(); err != nil {
		t.Skipf("cargo does not run here: %v", err)
	}
	got, err := adopt(t.Context(), desktop{said: "real"})
	if err != nil || len(got) != 1 {
		t.Fatalf("adopted %+v, %v, want one upstream", got, err)
	}
	if u, err := url.Parse(got[0].URL); got[0].URL != "" && (err != nil || u.Host == "" || !strings.HasSuffix(u.Path, "/")) {
		t.Errorf("adopted %+v", got[0])
	}
}

func TestConfigure(t *testing.T) {
	base := &url.URL{Scheme: "https", Host: "pond.example", Path: "/cargo/"}
	got, err := Format{}.Configure(t.Context(), desktop{home: "/c"}, format.ClientSetup{Client: "cargo", Base: base, Token: "mp_x"})
	if err != nil || len(got) != 2 || got[0].File != "/c/config.toml" || got[1].File != "/c/credentials.toml" || got[0].Secret || !got[1].Secret {
		t.Fatalf("got %+v, %v; want the settings, and the token in a secret file", got, err)
	}
	before := "[net]\nretry = 3\n\n[source.crates-io]\nreplace-with = \"other\"\n"
	want := `[net]
retry = 3

[source.crates-io]
replace-with = "millpond"

[source.millpond]
registry = "sparse+https://pond.example/cargo/"

[registries.millpond]
index = "sparse+https://pond.example/cargo/"

[registry]
global-credential-providers = ["cargo:token"]
`
	for range 2 {
		if before, err = got[0].Edit(before); before != want || err != nil {
			t.Errorf("the settings are\n%s, %v, want\n%s", before, err, want)
		}
	}
	if text, err := got[1].Edit(""); text != "[registries.millpond]\ntoken = \"mp_x\"\n" || err != nil {
		t.Errorf("the credentials are %q, %v", text, err)
	}
	got, err = Format{}.Configure(t.Context(), desktop{}, format.ClientSetup{Client: "cargo", Base: base})
	if err != nil || len(got) != 1 || got[0].File != "~/.cargo/config.toml" {
		t.Errorf("without a token: %+v, %v", got, err)
	}
	if _, err := (Format{}).Configure(t.Context(), desktop{}, format.ClientSetup{Client: "rustup", Base: base}); !millpond.Is(err, millpond.Unsupported) {
		t.Errorf("rustup: %v, want unsupported", err)
	}
}
