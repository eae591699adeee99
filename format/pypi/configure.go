package pypi

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"millpond"
	"millpond/format"
)

// tokenUser is the user name that goes with a token; any would do, this is the one that people know.
const tokenUser = "__token__"

// Clients implements format.Configurer.
func (Format) Clients() []string { return []string{"pip", "uv", "poetry", "twine"} }

// Configure implements format.Configurer.
func (Format) Configure(ctx context.Context, m format.Machine, s format.ClientSetup) ([]format.Rewrite, error) {
	switch s.Client {
	case "pip":
		return configurePip(ctx, m, s)
	case "uv":
		return configureUV(m, s), nil
	case "poetry":
		return configurePoetry(ctx, m, s)
	case "twine":
		return []format.Rewrite{{File: "~/.pypirc", Trusts: true, Secret: s.Token != "", Edit: func(text string) (string, error) { return editPypirc(text, s), nil },
			Note: "twine upload -r millpond dist/*"}}, nil
	}
	return nil, &millpond.Error{Kind: millpond.Unsupported, Why: fmt.Sprintf("%q is not set up here", s.Client), Hint: strings.Join(Format{}.Clients(), ", ") + " are"}
}

// configurePip lets pip write its own file. The token goes to the netrc file, which pip reads: in the address it would be
// shown by every command that shows the address.
func configurePip(ctx context.Context, m format.Machine, s format.ClientSetup) ([]format.Rewrite, error) {
	said, err := m.Run(ctx, "pip", "config", "debug")
	if err != nil {
		return nil, err
	}
	file := pipUserFile(said)
	if file == "" {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "pip config debug names no file of the user's"}
	}
	index := format.Rewrite{File: file, Run: []string{"pip", "config", "--user", "set", "global.index-url", s.Base.JoinPath("simple/").String()}}
	if other := m.Getenv("PIP_INDEX_URL"); other != "" {
		index.Note = "PIP_INDEX_URL is set in the environment, and wins over this"
	} else if strings.Contains(said, "extra-index-url") || m.Getenv("PIP_EXTRA_INDEX_URL") != "" {
		index.Note = "pip has an extra-index-url too: it takes packages from there whenever this index does not answer"
	}
	all := []format.Rewrite{index}
	if s.Base.Scheme == "http" && !loopback(s.Base.Hostname()) {
		all = append(all, format.Rewrite{File: file, Run: []string{"pip", "config", "--user", "set", "global.trusted-host", s.Base.Host}})
	}
	if s.CA != "" {
		cert := format.Rewrite{File: file, Trusts: true, Run: []string{"pip", "config", "--user", "set", "global.cert", s.CA}}
		if m.Getenv("PIP_CERT") != "" {
			cert.Note = "PIP_CERT is set in the environment, and wins over this"
		}
		all = append(all, cert)
	}
	return append(all, netrc(m, s)...), nil
}

// pipUserFile is the last file under "user:" of what pip config debug says: the one that it writes.
func pipUserFile(said string) (file string) {
	within := false
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, " ") {
			within = strings.TrimSpace(line) == "user:"
			continue
		}
		if path, _, ok := strings.Cut(strings.TrimSpace(line), ", exists:"); ok && within {
			file = path
		}
	}
	return file
}

// netrc gives the pond's host its token. pip and uv look for the host without its port.
func netrc(m format.Machine, s format.ClientSetup) []format.Rewrite {
	if s.Token == "" {
		return nil
	}
	file := "~/.netrc"
	if other := m.Getenv("NETRC"); other != "" {
		file = other
	}
	return []format.Rewrite{{File: file, Secret: true, Edit: func(text string) (string, error) {
		return format.EditNetrc(text, s.Base.Hostname(), tokenUser, s.Token), nil
	}}}
}

func configureUV(m format.Machine, s format.ClientSetup) []format.Rewrite {
	file := "~/.config/uv/uv.toml"
	if dir := m.Getenv("XDG_CONFIG_HOME"); dir != "" {
		file = dir + "/uv/uv.toml"
	}
	edit := func(text string) (string, error) {
		text = format.EditKey(text, "", "publish-url", fmt.Sprintf("publish-url = %q", s.Base.JoinPath("legacy/")))
		return editUVIndex(text, s.Base.JoinPath("simple/")), nil
	}
	one := format.Rewrite{File: file, Edit: edit}
	if s.CA != "" {
		one.Trusts, one.Note = true, "uv keeps no setting for whom to trust: it needs SSL_CERT_FILE="+s.CA+" in its environment"
	}
	for _, key := range []string{"UV_DEFAULT_INDEX", "UV_INDEX_URL"} {
		if m.Getenv(key) != "" {
			one.Note = key + " is set in the environment, and wins over this"
		}
	}
	return append([]format.Rewrite{one}, netrc(m, s)...)
}

// editUVIndex makes an index the default one: in place of the address of the one that is, else as one more.
func editUVIndex(text string, index *url.URL) string {
	if format.KeyIn(text, "", "index-url") != "" {
		text = format.EditKey(text, "", "index-url", "")
	}
	var out []string
	at, address, done := -1, -1, false // the lines of the table that is open, and of its url
	byDefault := false
	end := func() {
		if at >= 0 && byDefault && !done {
			line := fmt.Sprintf("url = %q\n", index)
			if address >= 0 {
				out[address] = line
			} else {
				out = append(out[:at+1], append([]string{line}, out[at+1:]...)...)
			}
			done = true
		}
		at, address, byDefault = -1, -1, false
	}
	for line := range strings.Lines(text) {
		plain := strings.TrimSpace(line)
		if strings.HasPrefix(plain, "[") {
			end()
			if head, _, _ := strings.Cut(strings.ReplaceAll(plain, " ", ""), "#"); head == "[[index]]" {
				at = len(out)
			}
		} else if key, value, ok := strings.Cut(plain, "="); ok && at >= 0 {
			switch strings.TrimSpace(key) {
			case "url":
				address = len(out)
			case "default":
				byDefault = strings.HasPrefix(strings.TrimSpace(value), "true")
			}
		}
		out = append(out, line)
	}
	end()
	text = strings.Join(out, "")
	if done {
		return text
	}
	if text = format.WithEnd(text); text != "" {
		text += "\n"
	}
	return text + fmt.Sprintf("[[index]]\nname = \"millpond\"\nurl = %q\ndefault = true\n", index)
}

// configurePoetry sets up publishing: which index a project reads from stands in the project.
func configurePoetry(ctx context.Context, m format.Machine, s format.ClientSetup) ([]format.Rewrite, error) {
	dir := m.Getenv("POETRY_CONFIG_DIR")
	if dir == "" {
		if dir = "~/.config/pypoetry"; m.Getenv("XDG_CONFIG_HOME") != "" {
			dir = m.Getenv("XDG_CONFIG_HOME") + "/pypoetry"
		}
	}
	if _, err := m.Run(ctx, "poetry", "--version"); err != nil {
		return nil, err
	}
	all := []format.Rewrite{{File: dir + "/config.toml", Run: []string{"poetry", "config", "repositories.millpond", s.Base.JoinPath("legacy/").String()},
		Note: "poetry publish -r millpond. To read from it, in each project: poetry source add --priority=primary millpond " + s.Base.JoinPath("simple/").String()}}
	if s.CA != "" {
		all = append(all, format.Rewrite{File: dir + "/auth.toml", Trusts: true, Run: []string{"poetry", "config", "certificates.millpond.cert", s.CA}})
	}
	if s.Token == "" {
		return all, nil
	}
	return append(all, format.Rewrite{File: dir + "/auth.toml", Secret: true, Edit: func(text string) (string, error) {
		const section = "http-basic.millpond"
		text = format.EditKey(text, section, "username", fmt.Sprintf("username = %q", tokenUser))
		return format.EditKey(text, section, "password", fmt.Sprintf("password = %q", s.Token)), nil
	}}), nil
}

// editPypirc adds a server called millpond.
func editPypirc(text string, s format.ClientSetup) string {
	servers := strings.Fields(strings.ReplaceAll(pypircServers(text), ",", " "))
	listed := false
	for _, name := range servers {
		listed = listed || name == "millpond"
	}
	if !listed {
		text = setServers(text, append(servers, "millpond"))
	}
	text = format.EditKey(text, "millpond", "repository", "repository = "+s.Base.JoinPath("legacy/").String())
	text = format.EditKey(text, "millpond", "username", "username = "+tokenUser)
	if s.CA != "" {
		text = format.EditKey(text, "millpond", "ca_cert", "ca_cert = "+s.CA)
	}
	if s.Token != "" {
		text = format.EditKey(text, "millpond", "password", "password = "+s.Token)
	}
	return text
}

// pypircServers is the value of index-servers, which goes on over the indented lines that follow it.
func pypircServers(text string) string {
	var b strings.Builder
	within := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "index-servers"):
			within = true
			_, line, _ = strings.Cut(line, "=")
			b.WriteString(line)
		case within && strings.TrimSpace(line) != "" && strings.ContainsAny(line[:1], " \t"):
			b.WriteString(" " + line)
		default:
			within = false
		}
	}
	return b.String()
}

// setServers replaces index-servers with all of its lines.
func setServers(text string, servers []string) string {
	var out strings.Builder
	within := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "index-servers"):
			within = true
			out.WriteString("index-servers = \n")
		case within && strings.TrimSpace(line) != "" && strings.ContainsAny(line[:1], " \t"):
		default:
			within = false
			out.WriteString(line)
		}
	}
	list := "index-servers =\n    " + strings.Join(servers, "\n    ")
	return format.EditKey(out.String(), "distutils", "index-servers", list)
}
