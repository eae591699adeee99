package pypi

import (
	"net/url"
	"strings"
	"testing"

	"millpond/format"
)

const pipDebug = "env:\nglobal:\n  /etc/pip.conf, exists: True\n    global.cert: /x\nsite:\n  /venv/pip.conf, exists: False\nuser:\n  /home/ann/.pip/pip.conf, exists: False\n  /home/ann/.config/pip/pip.conf, exists: True\n    global.timeout: 7\n"

func TestConfigure(t *testing.T) {
	m := computer{out: map[string]string{"pip config debug": pipDebug, "poetry --version": "2"}}
	for _, c := range []struct {
		name, client, base string
		token, ca          string
		before             string
		want               []string // "file: the command", or "file= the text"
	}{
		{name: "pip", client: "pip", base: "https://pond.example/py/",
			want: []string{"/home/ann/.config/pip/pip.conf: pip config --user set global.index-url https://pond.example/py/simple/"}},
		{name: "pip over plain http, with a token", client: "pip", base: "http://pond.example:81/py/", token: "mp_x",
			want: []string{"/home/ann/.config/pip/pip.conf: pip config --user set global.index-url http://pond.example:81/py/simple/",
				"/home/ann/.config/pip/pip.conf: pip config --user set global.trusted-host pond.example:81",
				"~/.netrc= machine pond.example login __token__ password mp_x\n"}},
		{name: "uv anew", client: "uv", base: "https://pond.example/py/",
			want: []string{"~/.config/uv/uv.toml= publish-url = \"https://pond.example/py/legacy/\"\n\n[[index]]\nname = \"millpond\"\nurl = \"https://pond.example/py/simple/\"\ndefault = true\n"}},
		{name: "uv with a default", client: "uv", base: "https://pond.example/py/",
			before: "index-url = \"https://old.example/\"\n[[index]]\nurl = \"https://a.example/\"\n\n[[index]]\nname = \"b\"\ndefault = true\nurl = \"https://b.example/\" # b\n[pip]\nurl = 1\n",
			want:   []string{"~/.config/uv/uv.toml= publish-url = \"https://pond.example/py/legacy/\"\n[[index]]\nurl = \"https://a.example/\"\n\n[[index]]\nname = \"b\"\ndefault = true\nurl = \"https://pond.example/py/simple/\"\n[pip]\nurl = 1\n"}},
		{name: "poetry", client: "poetry", base: "https://pond.example/py/", token: "mp_x",
			want: []string{"~/.config/pypoetry/config.toml: poetry config repositories.millpond https://pond.example/py/legacy/",
				"~/.config/pypoetry/auth.toml= [http-basic.millpond]\nusername = \"__token__\"\npassword = \"mp_x\"\n"}},
		{name: "twine anew", client: "twine", base: "https://pond.example/py/", token: "mp_x",
			want: []string{"~/.pypirc= [distutils]\nindex-servers =\n    millpond\n\n[millpond]\nrepository = https://pond.example/py/legacy/\nusername = __token__\npassword = mp_x\n"}},
		{name: "twine with others", client: "twine", base: "https://pond.example/py/",
			before: "[distutils]\nindex-servers =\n  own\n  more\n\n[own]\nrepository = https://own.example/\n",
			want:   []string{"~/.pypirc= [distutils]\nindex-servers =\n    own\n    more\n    millpond\n\n[own]\nrepository = https://own.example/\n\n[millpond]\nrepository = https://pond.example/py/legacy/\nusername = __token__\n"}},
		{name: "pip and an authority", client: "pip", base: "https://pond.example/py/", ca: "/ca.pem",
			want: []string{"/home/ann/.config/pip/pip.conf: pip config --user set global.index-url https://pond.example/py/simple/",
				"/home/ann/.config/pip/pip.conf: pip config --user set global.cert /ca.pem"}},
		{name: "poetry and an authority", client: "poetry", base: "https://pond.example/py/", ca: "/ca.pem",
			want: []string{"~/.config/pypoetry/config.toml: poetry config repositories.millpond https://pond.example/py/legacy/",
				"~/.config/pypoetry/auth.toml: poetry config certificates.millpond.cert /ca.pem"}},
		{name: "twine and an authority", client: "twine", base: "https://pond.example/py/", ca: "/ca.pem",
			want: []string{"~/.pypirc= [distutils]\nindex-servers =\n    millpond\n\n[millpond]\nrepository = https://pond.example/py/legacy/\nusername = __token__\nca_cert = /ca.pem\n"}},
	} {
		base, err := url.Parse(c.base)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Format{}.Configure(t.Context(), m, format.ClientSetup{Client: c.client, Base: base, Token: c.token, CA: c.ca})
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
			if c.token != "" && (strings.Contains(strings.Join(r.Run, " "), c.token) || strings.Contains(text, c.token) != r.Secret) {
				t.Errorf("%s: the token is shown to others by %q (secret: %t)", c.name, text, r.Secret)
			}
		}
	}
	uv, err := Format{}.Configure(t.Context(), m, format.ClientSetup{Client: "uv", Base: &url.URL{Scheme: "https", Host: "pond.example", Path: "/"}, CA: "/ca.pem"})
	if err != nil || !uv[0].Trusts || !strings.Contains(uv[0].Note, "SSL_CERT_FILE=/ca.pem") {
		t.Errorf("uv and an authority: %+v, %v, want it told how", uv, err)
	}
	if _, err := (Format{}).Configure(t.Context(), computer{}, format.ClientSetup{Client: "pip", Base: &url.URL{}}); err == nil {
		t.Error("pip is set up where it is not installed")
	}
}

var _ format.Configurer = Format{}
