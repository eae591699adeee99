package pypi

import (
	"context"
	"errors"
	"net/url"
	"os/exec"
	"strings"
	"time"

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
		Roots:  []string{"/packages/"},
		Fresh:  5 * time.Minute,
		Absent: time.Minute,
		Slow:   3 * time.Second,
		Options: []format.Option{{
			Name:    "json",
			Default: "../pypi/",
			Help: "Where an upstream keeps its JSON API, relative to its index; off if it has none. " +
				"Mirrors and dashboards read it, installers do not.",
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
	pip, notes, err := pipIndex(ctx, env)
	if err != nil {
		return nil, err
	}
	uv := uvIndex(env)
	var found format.Adopted
	switch {
	case pip.URL != "":
		found = pip
		if uv.URL != "" && strings.TrimSuffix(uv.URL, "/") != strings.TrimSuffix(pip.URL, "/") {
			notes = append(notes, "uv has another index, "+withoutCredentials(uv.URL)+" ("+uv.From+"), which was not taken")
		}
	case uv.URL != "":
		found = uv
	default:
		if found, err = defaultIndex(ctx, env); err != nil {
			return nil, err
		}
	}
	note := strings.Join(notes, "; ")
	if found.URL == "" {
		if note != "" {
			return []format.Adopted{{From: "pip", Note: note}}, nil
		}
		return nil, nil
	}
	u, err := url.Parse(found.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		notes = append(notes, "the index that "+found.From+" names is no http address")
		return []format.Adopted{{From: found.From, Note: strings.Join(notes, "; ")}}, nil
	}
	if u.User != nil {
		found.Username = u.User.Username()
		found.Password, _ = u.User.Password()
		u.User = nil
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
		u.RawPath = ""
	}
	u.Fragment, u.RawQuery = "", ""
	found.URL, found.Note = u.String(), note
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

// run is Machine.Run; a program that is not installed, or that fails, has nothing to say.
func run(ctx context.Context, env format.Machine, name string, args ...string) (string, error) {
	out, err := env.Run(ctx, name, args...)
	if _, failed := errors.AsType[*exec.ExitError](err); failed || errors.Is(err, exec.ErrNotFound) {
		return "", nil
	}
	return out, err
}

// pipIndex reads pip's configuration: the environment wins, then the command's own section, then the global one.
func pipIndex(ctx context.Context, env format.Machine) (found format.Adopted, notes []string, err error) {
	if address := strings.TrimSpace(env.Getenv("PIP_INDEX_URL")); address != "" {
		found = format.Adopted{URL: address, From: "PIP_INDEX_URL"}
	}
	extra := strings.TrimSpace(env.Getenv("PIP_EXTRA_INDEX_URL")) != ""
	out, err := run(ctx, env, "pip", "config", "list")
	if err != nil {
		return format.Adopted{}, nil, err
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
		notes = append(notes, "pip also has an extra-index-url, which was not taken: remove it, "+
			"or pip takes packages from there whenever this pond does not answer")
	}
	return found, notes, nil
}

// uvIndex reads uv's environment and its files, the user's before the machine's.
func uvIndex(env format.Machine) format.Adopted {
	for _, key := range [...]string{"UV_DEFAULT_INDEX", "UV_INDEX_URL"} {
		if value := strings.TrimSpace(env.Getenv(key)); value != "" {
			if _, address, ok := strings.Cut(value, "="); ok && !strings.Contains(value[:strings.Index(value, "=")], ":") {
				value = address // name=url
			}
			return format.Adopted{URL: value, From: key}
		}
	}
	for _, path := range [...]string{"~/.config/uv/uv.toml", "/etc/uv/uv.toml"} {
		text, err := env.ReadFile(path)
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
func defaultIndex(ctx context.Context, env format.Machine) (format.Adopted, error) {
	help, err := run(ctx, env, "pip", "download", "--help")
	if err != nil {
		return format.Adopted{}, err
	}
	if address := between(help, "--index-url", "(default", ")"); address != "" {
		return format.Adopted{URL: address, From: "the default in pip download --help"}, nil
	}
	if help, err = run(ctx, env, "uv", "help", "pip", "install"); err != nil {
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
