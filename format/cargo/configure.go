package cargo

import (
	"context"
	"fmt"

	"millpond"
	"millpond/format"
)

// Clients implements format.Configurer.
func (Format) Clients() []string { return []string{"cargo"} }

// Configure implements format.Configurer. cargo has no command for its settings: both files are edited.
func (Format) Configure(_ context.Context, m format.Machine, s format.ClientSetup) ([]format.Rewrite, error) {
	if s.Client != "cargo" {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: fmt.Sprintf("%q is not set up here", s.Client), Hint: "cargo is"}
	}
	home := "~/.cargo"
	if other := m.Getenv("CARGO_HOME"); other != "" {
		home = other
	}
	at := "sparse+" + s.Base.String()
	settings := format.Rewrite{File: home + "/config.toml", Edit: func(text string) (string, error) {
		text = format.EditKey(text, "source.crates-io", "replace-with", `replace-with = "`+alias+`"`)
		text = format.EditKey(text, "source."+alias, "registry", `registry = "`+at+`"`)
		text = format.EditKey(text, "registries."+alias, "index", `index = "`+at+`"`)
		if s.Token != "" {
			text = format.EditKey(text, "registry", "global-credential-providers", `global-credential-providers = ["cargo:token"]`)
		}
		return text, nil
	}}
	if s.Base.Scheme != "https" {
		settings.Note = "over plain http cargo asks for one crate at a time; over https it asks for all at once"
	}
	if s.Token == "" {
		return []format.Rewrite{settings}, nil
	}
	return []format.Rewrite{settings, {File: home + "/credentials.toml", Secret: true, Edit: func(text string) (string, error) {
		return format.EditKey(text, "registries."+alias, "token", `token = "`+s.Token+`"`), nil
	}}}, nil
}
