package pypi

import (
	"context"
	"net/url"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// Format is the Python ecosystem.
type Format struct{}

// Info describes the format.
func (Format) Info() format.Info {
	return format.Info{
		Name:   "pypi",
		Title:  "Python packages",
		PURL:   "pypi",
		OSV:    "PyPI",
		Roots:  []string{"/packages/"},
		Fresh:  5 * time.Minute,
		Absent: time.Minute,
		Slow:   3 * time.Second,
		Options: []format.Option{{
			Name:    "json",
			Default: "../pypi/",
			Help: "Where an upstream keeps its JSON API, relative to its index; off if it has none. " +
				"Mirrors and dashboards read it, installers do not.",
		}, {
			Name:    "legacy",
			Default: "refuse",
			Help:    "allow takes eggs, installers and old kinds of archives too when they are published.",
		}, {
			Name: optRoots,
			Help: format.RootsHelp,
		}},
		SetUp:     setUp,
		Upstreams: upstreams,
	}
}

// setUp names one index only: with a second one pip answers any failure of the first by taking the second's package.
func setUp(base *url.URL) []format.Snippet {
	index := base.JoinPath("simple/").String()
	pip := format.Snippet{
		Client: "pip",
		Text:   "pip config set global.index-url " + index,
		Note:   "Leave extra-index-url unset: pip takes a package from there whenever this index does not answer.",
	}
	uv := "[[index]]\nurl = \"" + index + "\"\ndefault = true\n"
	poetry := "poetry source add --priority=primary millpond " + index
	if base.Scheme == "http" && !loopback(base.Hostname()) {
		pip.Text += "\npip config set global.trusted-host " + base.Host
		pip.Note += " Over plain http pip keeps no cache of its own unless the host is trusted."
	}
	return []format.Snippet{
		pip,
		{Client: "uv", Text: uv, Note: "Into ~/.config/uv/uv.toml, or with [[tool.uv.index]] into pyproject.toml."},
		{Client: "poetry", Text: poetry, Note: "For each project."},
		{Client: "pdm", Text: "pdm config pypi.url " + index},
	}
}

func loopback(host string) bool {
	return host == "localhost" || strings.HasPrefix(host, "127.") || host == "::1"
}

// upstreams reads pip's configuration, else uv's, else the default that pip or uv names in its help.
func upstreams(ctx context.Context, env format.Machine) ([]format.Adopted, error) {
	m := &machine{Machine: env}
	found, err := m.pipIndex(ctx)
	if err != nil {
		return nil, err
	}
	switch uv := m.uvIndex(); {
	case found.URL == "":
		found = uv
	case uv.URL != "" && strings.TrimSuffix(uv.URL, "/") != strings.TrimSuffix(found.URL, "/"):
		m.notes = append(m.notes, "uv has another index, "+withoutCredentials(uv.URL)+" ("+uv.From+"), which was not taken")
	}
	if found.URL == "" {
		if found, err = m.defaultIndex(ctx); err != nil {
			return nil, err
		}
	}
	if found.URL != "" {
		index, ok := format.Adopt(found.URL)
		if !ok {
			m.notes = append(m.notes, "the index that "+found.From+" names is no http address")
		}
		found.URL, found.Username, found.Password = index.URL, index.Username, index.Password
	}
	found.Note = strings.Join(m.notes, "; ")
	if found.URL == "" && found.Note == "" {
		return nil, nil
	}
	return []format.Adopted{found}, nil
}

func withoutCredentials(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an unreadable address"
	}
	u.User = nil
	return u.String()
}

// A machine asks programs, and notes those that fail.
type machine struct {
	format.Machine
	notes []string
}

// ask is the output of a command; "" if the program is not installed, or fails, which is noted.
func (m *machine) ask(ctx context.Context, name string, args ...string) (string, error) {
	out, err := m.Run(ctx, name, args...)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err == nil:
		return out, nil
	case !millpond.Is(err, millpond.NotFound):
		m.notes = append(m.notes, name+" "+strings.Join(args, " ")+" failed: "+err.Error())
	}
	return "", nil
}

// pipIndex reads pip's configuration: the environment wins, then the command's own section, then the global one.
func (m *machine) pipIndex(ctx context.Context) (found format.Adopted, err error) {
	if address := strings.TrimSpace(m.Getenv("PIP_INDEX_URL")); address != "" {
		found = format.Adopted{URL: address, From: "PIP_INDEX_URL"}
	}
	extra := strings.TrimSpace(m.Getenv("PIP_EXTRA_INDEX_URL")) != ""
	out, err := m.ask(ctx, "pip", "config", "list")
	if err != nil {
		return format.Adopted{}, err
	}
	config := map[string]string{}
	for line := range strings.Lines(out) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			config[key] = strings.Trim(value, `'"`)
		}
	}
	for _, section := range [...]string{":env:.", "install.", "global."} {
		key := section + "index-url"
		if found.URL == "" && config[key] != "" {
			found = format.Adopted{URL: config[key], From: "pip config get " + key}
		}
		extra = extra || config[section+"extra-index-url"] != ""
	}
	if extra {
		m.notes = append(m.notes, "pip also has an extra-index-url, which was not taken: remove it, "+
			"or pip takes packages from there whenever this pond does not answer")
	}
	return found, nil
}

// uvIndex reads uv's environment and its files, the user's before the machine's.
func (m *machine) uvIndex() format.Adopted {
	for _, key := range [...]string{"UV_DEFAULT_INDEX", "UV_INDEX_URL"} {
		if value := strings.TrimSpace(m.Getenv(key)); value != "" {
			if _, address, ok := strings.Cut(value, "="); ok && !strings.Contains(value[:strings.Index(value, "=")], ":") {
				value = address // name=url
			}
			return format.Adopted{URL: value, From: key}
		}
	}
	for _, path := range [...]string{"~/.config/uv/uv.toml", "/etc/uv/uv.toml"} {
		text, err := m.ReadFile(path)
		if err != nil {
			continue // most machines have neither
		}
		if address := uvDefault(string(text)); address != "" {
			return format.Adopted{URL: address, From: path}
		}
	}
	return format.Adopted{}
}

// uvDefault reads the two settings of uv.toml that name the default index: index-url at the top or under [pip], and
// default = true in an [[index]] table.
func uvDefault(text string) string {
	var table, address, old, chosen string
	byDefault := false
	end := func() {
		if table == "[[index]]" && byDefault && chosen == "" {
			chosen = address
		}
		address, byDefault = "", false
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			end()
			table, _, _ = strings.Cut(strings.ReplaceAll(line, " ", ""), "#")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		switch key = strings.TrimSpace(key); {
		case key == "url":
			address = tomlString(value)
		case key == "default":
			byDefault = strings.HasPrefix(strings.TrimSpace(value), "true")
		case key == "index-url" && (table == "" || table == "[pip]"):
			old = tomlString(value)
		}
	}
	end()
	if chosen != "" {
		return chosen
	}
	return old
}

// tomlString is a basic or literal string on one line.
func tomlString(value string) string {
	value = strings.TrimSpace(value)
	if value == "" || value[0] != '"' && value[0] != '\'' {
		return ""
	}
	text, _, _ := strings.Cut(value[1:], value[:1])
	return text
}

// defaultIndex is the index that pip, else uv, documents as its default.
func (m *machine) defaultIndex(ctx context.Context) (format.Adopted, error) {
	help, err := m.ask(ctx, "pip", "download", "--help")
	if err != nil {
		return format.Adopted{}, err
	}
	if address := between(help, "--index-url", "(default", ")"); address != "" {
		return format.Adopted{URL: address, From: "the default in pip download --help"}, nil
	}
	if help, err = m.ask(ctx, "uv", "help", "pip", "install"); err != nil {
		return format.Adopted{}, err
	}
	if address := between(help, "--default-index", "(by default: <", ">)"); address != "" {
		return format.Adopted{URL: address, From: "the default in uv help pip install"}, nil
	}
	return format.Adopted{}, nil
}

// between is what stands between two marks after a third, without blanks: help texts are wrapped.
func between(text, after, from, to string) string {
	_, text, _ = strings.Cut(text, after)
	_, text, _ = strings.Cut(text, from)
	text, _, ok := strings.Cut(text, to)
	if !ok {
		return ""
	}
	return strings.Join(strings.Fields(text), "")
}
