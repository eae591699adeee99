package rubygems

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"millpond"
	"millpond/format"
)

// adopt asks the installed gem for its sources, and Bundler for its mirrors.
func adopt(ctx context.Context, env format.Machine) ([]format.Adopted, error) {
	var all []format.Adopted
	out, err := env.Run(ctx, "gem", "sources", "--list")
	switch {
	case millpond.Is(err, millpond.NotFound):
	case err != nil:
		return nil, fmt.Errorf("ask gem for its sources: %w", err)
	default:
		for line := range strings.Lines(out) {
			if a, ok := adopted(strings.TrimSpace(line), "gem sources"); ok {
				all = append(all, a)
			}
		}
	}
	out, err = env.Run(ctx, "bundle", "config", "list", "--parseable")
	if err != nil {
		return all, nil // who has no Bundler has no mirrors
	}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if !strings.HasPrefix(key, "mirror.") || strings.HasSuffix(key, ".fallback_timeout") {
			continue
		}
		if a, ok := adopted(value, "bundle config "+key); ok {
			known := false
			for _, one := range all {
				known = known || one.URL == a.URL
			}
			if !known {
				a.Note = "Bundler's mirror comes before the sources of gem"
				all = append([]format.Adopted{a}, all...)
			}
		}
	}
	return all, nil
}

// adopted reads an address; false if it is none.
func adopted(at, from string) (format.Adopted, bool) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return format.Adopted{}, false
	}
	a := format.Adopted{From: from}
	if u.User != nil {
		a.Username = u.User.Username()
		a.Password, _ = u.User.Password()
		u.User = nil
	}
	u.RawQuery, u.Fragment = "", ""
	a.URL = strings.TrimSuffix(u.String(), "/") + "/"
	return a, true
}
