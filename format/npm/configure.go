package npm

import (
	"context"
	"fmt"
	"strings"

	"millpond"
	"millpond/format"
)

// Clients implements format.Configurer.
func (Format) Clients() []string { return []string{"npm", "pnpm", "yarn", "bun"} }

// Configure implements format.Configurer.
func (Format) Configure(ctx context.Context, m format.Machine, s format.ClientSetup) ([]format.Rewrite, error) {
	at := s.Base.String()
	switch s.Client {
	case "npm":
		said, err := m.Run(ctx, "npm", "config", "get", "userconfig")
		if err != nil {
			return nil, err
		}
		file := strings.TrimSpace(said)
		all := []format.Rewrite{{File: file, Run: []string{"npm", "config", "set", "registry=" + at, "--location=user"}, Note: overridden(m)}}
		if s.CA != "" {
			all = append(all, format.Rewrite{File: file, Trusts: true, Run: []string{"npm", "config", "set", "cafile=" + s.CA, "--location=user"}})
		}
		return append(all, npmToken(file, s)...), nil
	case "pnpm":
		// Every pnpm reads these two from the npmrc file; where 'pnpm config set' writes to differs from one to the next.
		file := "~/.npmrc"
		if other := m.Getenv("NPM_CONFIG_USERCONFIG"); other != "" {
			file = other
		}
		registry := format.Rewrite{File: file, Trusts: true, Note: overridden(m), Edit: func(text string) (string, error) {
			if s.CA != "" {
				text = format.EditKey(text, "", "cafile", "cafile="+s.CA)
			}
			return format.EditKey(text, "", "registry", "registry="+at), nil
		}}
		return append([]format.Rewrite{registry}, npmToken(file, s)...), nil
	case "yarn":
		return configureYarn(ctx, m, s)
	case "bun":
		return []format.Rewrite{{File: "~/.bunfig.toml", Trusts: true, Secret: s.Token != "", Note: overridden(m), Edit: func(text string) (string, error) {
			line := fmt.Sprintf("registry = %q", at)
			if s.Token != "" {
				line = fmt.Sprintf("registry = { url = %q, token = %q }", at, s.Token)
			}
			text = format.EditKey(text, "install", "registry", line)
			if s.CA != "" {
				text = format.EditKey(text, "install", "cafile", fmt.Sprintf("cafile = %q", s.CA))
			}
			return text, nil
		}}}, nil
	}
	return nil, &millpond.Error{Kind: millpond.Unsupported, Why: fmt.Sprintf("%q is not set up here", s.Client), Hint: strings.Join(Format{}.Clients(), ", ") + " are"}
}

// overridden says so if the environment has another registry.
func overridden(m format.Machine) string {
	for _, key := range []string{"npm_config_registry", "NPM_CONFIG_REGISTRY"} {
		if m.Getenv(key) != "" {
			return key + " is set in the environment, and wins over this"
		}
	}
	return ""
}

// npmToken is the line of an npmrc file that gives a registry its token. It is written here and not by npm: a command line
// can be read by others.
func npmToken(file string, s format.ClientSetup) []format.Rewrite {
	if s.Token == "" {
		return nil
	}
	key := "//" + s.Base.Host + s.Base.EscapedPath() + ":_authToken"
	return []format.Rewrite{{File: file, Secret: true, Edit: func(text string) (string, error) {
		return format.EditKey(text, "", key, key+"="+s.Token), nil
	}}}
}

// configureYarn sets up yarn 2 and later, or yarn 1 if that is what is installed.
func configureYarn(ctx context.Context, m format.Machine, s format.ClientSetup) ([]format.Rewrite, error) {
	at := s.Base.String()
	version, err := m.Run(ctx, "yarn", "--version")
	if err != nil && !millpond.Is(err, millpond.NotFound) {
		return nil, err // one that is not installed may come with a project
	}
	if strings.HasPrefix(version, "1.") {
		all := []format.Rewrite{{File: "~/.yarnrc", Run: []string{"yarn", "config", "set", "registry", at},
			Note: "addresses in an existing yarn.lock are used as they are: install once with --registry " + at}}
		if s.CA != "" {
			all = append(all, format.Rewrite{File: "~/.yarnrc", Trusts: true, Run: []string{"yarn", "config", "set", "cafile", s.CA}})
		}
		return append(all, npmToken("~/.npmrc", s)...), nil
	}
	return []format.Rewrite{{File: "~/.yarnrc.yml", Trusts: true, Secret: s.Token != "", Edit: func(text string) (string, error) {
		text = format.EditKey(text, "", "npmRegistryServer", fmt.Sprintf("npmRegistryServer: %q", at))
		if s.CA != "" {
			text = format.EditKey(text, "", "httpsCaFilePath", fmt.Sprintf("httpsCaFilePath: %q", s.CA))
		}
		if s.Token != "" {
			text = format.EditKey(text, "", "npmAuthToken", fmt.Sprintf("npmAuthToken: %q", s.Token))
			text = format.EditKey(text, "", "npmAlwaysAuth", "npmAlwaysAuth: true")
		}
		if s.Base.Scheme == "http" {
			text = allowPlain(text, s.Base.Hostname())
		}
		return text, nil
	}}}, nil
}

// allowPlain lets yarn use plain http with a host.
func allowPlain(text, host string) string {
	const key = "unsafeHttpWhitelist:"
	entry := fmt.Sprintf("  - %q\n", host)
	if strings.Contains(text, "\n"+key) || strings.HasPrefix(text, key) {
		if strings.Contains(text, entry) {
			return text
		}
		return strings.Replace(text, key+"\n", key+"\n"+entry, 1)
	}
	return format.WithEnd(text) + key + "\n" + entry
}
