package rubygems

import (
	"context"
	"fmt"
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
			if a, ok := format.Adopt(strings.TrimSpace(line)); ok {
				a.From = "gem sources"
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
		if a, ok := format.Adopt(value); ok {
			a.From = "bundle config " + key
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
