package debian

import (
	"context"
	"fmt"
	"strings"

	"millpond"
	"millpond/format"
)

var _ format.Configurer = Format{}

// Clients implements format.Configurer.
func (Format) Clients() []string { return []string{"apt"} }

// Configure implements format.Configurer: a deb822 source as the repository itself prints it, with its key in it, and the token in
// a file that only its owner reads.
func (Format) Configure(ctx context.Context, m format.Machine, s format.ClientSetup) ([]format.Rewrite, error) {
	if s.Client != "apt" {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: fmt.Sprintf("%q is not set up here", s.Client), Hint: "apt is"}
	}
	folders, err := aptFolders(ctx, m)
	if err != nil {
		return nil, err
	}
	source, err := s.Read(ctx, "setup.sources")
	if err != nil {
		return nil, fmt.Errorf("read the source of the repository: %w", err)
	}
	if !strings.HasPrefix(string(source), "Types: ") {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: s.Base.String() + " does not say how apt reads it"}
	}
	all := []format.Rewrite{{File: folders["SOURCES"] + "millpond.sources", Edit: func(string) (string, error) { return string(source), nil },
		Note: "of another suite: " + s.Base.String() + "setup.sources?suite=NAME; apt reads it with apt-get update"}}
	if s.Token != "" {
		line := "machine " + strings.TrimSuffix(s.Base.String(), "/") + " login token password " + s.Token + "\n"
		all = append(all, format.Rewrite{File: folders["AUTH"] + "millpond.conf", Secret: true, Edit: func(string) (string, error) { return line, nil }})
	}
	return all, nil
}

// aptFolders are where apt reads its sources and its credentials, each with a slash at its end.
func aptFolders(ctx context.Context, m format.Machine) (map[string]string, error) {
	text, err := m.Run(ctx, "apt-config", "shell", "SOURCES", "Dir::Etc::sourceparts/d", "AUTH", "Dir::Etc::netrcparts/d")
	if err != nil {
		return nil, fmt.Errorf("ask apt for its folders: %w", err)
	}
	out := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if value = strings.Trim(value, "'"); strings.HasPrefix(value, "/") && !strings.Contains(value, "'") {
			out[name] = strings.TrimSuffix(value, "/") + "/"
		}
	}
	if out["SOURCES"] == "" || out["AUTH"] == "" {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "apt does not say where it keeps its sources"}
	}
	return out, nil
}
