package rubygems

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"millpond"
	"millpond/format"
)

// Clients implements format.Configurer.
func (Format) Clients() []string { return []string{"bundler", "gem"} }

// Configure implements format.Configurer. Both clients keep their settings in files of lines.
func (Format) Configure(ctx context.Context, m format.Machine, s format.ClientSetup) ([]format.Rewrite, error) {
	at := strings.TrimSuffix(s.Base.String(), "/") + "/"
	switch s.Client {
	case "bundler":
		one := format.Rewrite{File: "~/.bundle/config", Secret: s.Token != "", Edit: func(text string) (string, error) {
			if text == "" {
				text = "---\n"
			}
			text = editLine(text, "BUNDLE_MIRROR__ALL", at)
			if s.Token != "" {
				text = editLine(text, bundleKey(s.Base.Hostname()), "millpond:"+s.Token)
			}
			return text, nil
		}}
		if m.Getenv("BUNDLE_MIRROR__ALL") != "" {
			one.Note = "BUNDLE_MIRROR__ALL is set in the environment, and wins over this"
		}
		return []format.Rewrite{one}, nil
	case "gem":
		source := *s.Base
		if s.Token != "" {
			source.User = url.UserPassword("millpond", s.Token)
		}
		all := []format.Rewrite{{File: "~/.gemrc", Secret: s.Token != "", Edit: func(text string) (string, error) {
			return editSources(text, strings.TrimSuffix(source.String(), "/")+"/"), nil
		}}}
		if s.Token != "" {
			all = append(all, format.Rewrite{File: "~/.gem/credentials", Secret: true, Edit: func(text string) (string, error) {
				if text == "" {
					text = "---\n"
				}
				return editLine(text, strings.TrimSuffix(at, "/"), s.Token), nil
			}, Note: "gem push --host " + strings.TrimSuffix(at, "/") + " sends it"})
		}
		return all, nil
	}
	return nil, &millpond.Error{Kind: millpond.Unsupported, Why: fmt.Sprintf("%q is not set up here", s.Client), Hint: "bundler and gem are"}
}

// bundleKey is how Bundler writes a setting's name.
func bundleKey(name string) string {
	return "BUNDLE_" + strings.ToUpper(strings.ReplaceAll(strings.ReplaceAll(name, "-", "___"), ".", "__"))
}

// editLine gives a key its line in a text of "key: value" lines.
func editLine(text, key, value string) string {
	line := fmt.Sprintf("%s: %q\n", key, value)
	var out strings.Builder
	done := false
	for old := range strings.Lines(format.WithEnd(text)) {
		if strings.HasPrefix(old, key+": ") {
			if done {
				continue
			}
			old, done = line, true
		}
		out.WriteString(old)
	}
	if !done {
		out.WriteString(line)
	}
	return out.String()
}

// editSources gives a gemrc one source.
func editSources(text, source string) string {
	if text == "" {
		text = "---\n"
	}
	block := ":sources:\n- " + source + "\n"
	var out strings.Builder
	skipping, done := false, false
	for line := range strings.Lines(format.WithEnd(text)) {
		if strings.HasPrefix(line, ":sources:") {
			skipping = true
			if !done {
				out.WriteString(block)
				done = true
			}
			continue
		}
		if skipping && (strings.HasPrefix(line, "-") || strings.HasPrefix(line, " ")) && !strings.HasPrefix(line, "---") {
			continue
		}
		skipping = false
		out.WriteString(line)
	}
	if !done {
		out.WriteString(block)
	}
	return out.String()
}
