package golang

import (
	"context"
	"fmt"
	"strings"

	"millpond"
	"millpond/format"
)

// Clients implements format.Configurer.
func (Format) Clients() []string { return []string{"go"} }

// Configure implements format.Configurer. The go command writes its own settings; the token goes to the netrc file, which it
// reads, for https only.
func (Format) Configure(ctx context.Context, m format.Machine, s format.ClientSetup) ([]format.Rewrite, error) {
	if s.Client != "go" {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: fmt.Sprintf("%q is not set up here", s.Client), Hint: "go is"}
	}
	if s.Token != "" && s.Base.Scheme != "https" {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "over plain http the go command sends no token",
			Hint: "serve the pond over https ('tls: local' makes a certificate), or let everybody read this repository and set up go without a token"}
	}
	said, err := m.Run(ctx, "go", "env", "GOENV")
	if err != nil {
		return nil, err
	}
	file := strings.TrimSpace(said)
	if file == "" || file == "off" {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "GOENV is off: the go command keeps no settings", Hint: "unset GOENV"}
	}
	proxy := format.Rewrite{File: file, Run: []string{"go", "env", "-w", "GOPROXY=" + strings.TrimSuffix(s.Base.String(), "/")}}
	for _, key := range []string{"GOPROXY", "GOPRIVATE", "GONOPROXY"} {
		if m.Getenv(key) != "" {
			proxy.Note = key + " is set in the environment, and wins over this"
		}
	}
	if s.CA != "" {
		proxy.Trusts = true
		if proxy.Note != "" {
			proxy.Note += "; "
		}
		proxy.Note += "the go command keeps no setting for whom to trust: add the authority to the machine's, or have SSL_CERT_FILE=" + s.CA + " in its environment"
	}
	all := []format.Rewrite{proxy}
	if s.Token == "" {
		return all, nil
	}
	netrc := "~/.netrc"
	if other := m.Getenv("NETRC"); other != "" {
		netrc = other
	}
	return append(all, format.Rewrite{File: netrc, Secret: true, Edit: func(text string) (string, error) {
		return format.EditNetrc(text, s.Base.Host, "millpond", s.Token), nil
	}}), nil
}
