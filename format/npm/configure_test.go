package npm

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

// A desktop is a machine whose clients say what a test says.
type desktop map[string]string

func (d desktop) Run(_ context.Context, name string, args ...string) (string, error) {
	if said, ok := d[strings.Join(append([]string{name}, args...), " ")]; ok {
		return said, nil
	}
	return "", &millpond.Error{Kind: millpond.NotFound, Why: name + " is not installed"}
}
func (d desktop) Getenv(key string) string { return d["$"+key] }
func (desktop) ReadFile(path string) ([]byte, error) {
	return nil, &millpond.Error{Kind: millpond.NotFound, Why: "no " + path}
}

func TestConfigure(t *testing.T) {
	npm := desktop{"npm config get userconfig": "/home/ann/.npmrc\n"}
	for _, c := range []struct {
		name, client, base, token, ca string
		m                             desktop
		before                        string
		want                          []string // "file: the command", or "file= the text"
	}{
		{name: "npm", client: "npm", base: "https://pond.example/npm/", token: "mp_x", m: npm, before: "fund=false\n",
			want: []string{"/home/ann/.npmrc: npm config set registry=https://pond.example/npm/ --location=user",
				"/home/ann/.npmrc= fund=false\n//pond.example/npm/:_authToken=mp_x\n"}},
		{name: "pnpm", client: "pnpm", base: "http://127.0.0.1:81/npm/", before: "registry = https://old.example/\n",
			want: []string{"~/.npmrc= registry=http://127.0.0.1:81/npm/\n"}},
		{name: "yarn", client: "yarn", base: "http://127.0.0.1:81/npm/", token: "mp_x", m: desktop{"yarn --version": "4.18.0\n"},
			want: []string{"~/.yarnrc.yml= npmRegistryServer: \"http://127.0.0.1:81/npm/\"\nnpmAuthToken: \"mp_x\"\nnpmAlwaysAuth: true\nunsafeHttpWhitelist:\n  - \"127.0.0.1\"\n"}},
		{name: "yarn that is not installed", client: "yarn", base: "https://pond.example/npm/", before: "nodeLinker: node-modules\n",
			want: []string{"~/.yarnrc.yml= nodeLinker: node-modules\nnpmRegistryServer: \"https://pond.example/npm/\"\n"}},
		{name: "yarn 1", client: "yarn", base: "https://pond.example/npm/", token: "mp_x", m: desktop{"yarn --version": "1.22.22\n"},
			want: []string{"~/.yarnrc: yarn config set registry https://pond.example/npm/", "~/.npmrc= //pond.example/npm/:_authToken=mp_x\n"}},
		{name: "bun", client: "bun", base: "https://pond.example/npm/", token: "mp_x", before: "telemetry = false\n[install]\nregistry = \"https://old.example/\"\n",
			want: []string{"~/.bunfig.toml= telemetry = false\n[install]\nregistry = { url = \"https://pond.example/npm/\", token = \"mp_x\" }\n"}},
		{name: "npm and an authority", client: "npm", base: "https://pond.example/npm/", ca: "/ca.pem", m: npm,
			want: []string{"/home/ann/.npmrc: npm config set registry=https://pond.example/npm/ --location=user", "/home/ann/.npmrc: npm config set cafile=/ca.pem --location=user"}},
		{name: "pnpm and an authority", client: "pnpm", base: "https://pond.example/npm/", ca: "/ca.pem",
			want: []string{"~/.npmrc= cafile=/ca.pem\nregistry=https://pond.example/npm/\n"}},
		{name: "yarn and an authority", client: "yarn", base: "https://pond.example/npm/", ca: "/ca.pem",
			want: []string{"~/.yarnrc.yml= npmRegistryServer: \"https://pond.example/npm/\"\nhttpsCaFilePath: \"/ca.pem\"\n"}},
		{name: "yarn 1 and an authority", client: "yarn", base: "https://pond.example/npm/", ca: "/ca.pem", m: desktop{"yarn --version": "1.22.22\n"},
			want: []string{"~/.yarnrc: yarn config set registry https://pond.example/npm/", "~/.yarnrc: yarn config set cafile /ca.pem"}},
		{name: "bun and an authority", client: "bun", base: "https://pond.example/npm/", ca: "/ca.pem",
			want: []string{"~/.bunfig.toml= [install]\nregistry = \"https://pond.example/npm/\"\ncafile = \"/ca.pem\"\n"}},
	} {
		base, err := url.Parse(c.base)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Format{}.Configure(t.Context(), c.m, format.ClientSetup{Client: c.client, Base: base, Token: c.token, CA: c.ca})
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%s: %+v, %v; want %q", c.name, got, err, c.want)
			continue
		}
		for i, r := range got {
			text := r.File + ": " + strings.Join(r.Run, " ")
			if r.Edit != nil {
				after, err := r.Edit(c.before)
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
				if again, _ := r.Edit(after); again != after {
					t.Errorf("%s: done twice\n%s\nwant\n%s", c.name, again, after)
				}
				text = r.File + "= " + after
			}
			if text != c.want[i] {
				t.Errorf("%s: got\n%s\nwant\n%s", c.name, text, c.want[i])
			}
			if c.token != "" && strings.Contains(text, c.token) != r.Secret {
				t.Errorf("%s: %q holds the token, and is not said to", c.name, text)
			}
		}
	}
	if _, err := (Format{}).Configure(t.Context(), desktop{}, format.ClientSetup{Client: "npm", Base: &url.URL{}}); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("npm where it is not installed: %v, want NotFound", err)
	}
}

var _ format.Configurer = Format{}
