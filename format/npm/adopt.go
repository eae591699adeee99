package npm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"millpond/format"
)

// upstreams asks npm itself where it reads from: its settings come from the command line, the environment and four files,
// and only it knows them all, and its own default.
func upstreams(ctx context.Context, env format.Machine) ([]format.Adopted, error) {
	const (
		get  = "npm config get registry"
		list = "npm config list --json" // a scope's registry is an upstream of its own, and npm asks no other about the scope
	)
	var registry, out string
	run := func(into *string, command string) func() error {
		return func() (err error) {
			words := strings.Fields(command)
			if *into, err = env.Run(ctx, words[0], words[1:]...); err != nil {
				return fmt.Errorf("%s: %w", command, err)
			}
			return nil
		}
	}
	var asking errgroup.Group // npm takes half a second to say anything
	asking.Go(run(&registry, get))
	asking.Go(run(&out, list))
	err := asking.Wait()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []format.Adopted
	var settings map[string]any
	if err := json.Unmarshal([]byte(out), &settings); err != nil {
		return nil, fmt.Errorf("%s: %w", list, err)
	}
	var scopes []string
	for key, value := range settings {
		_, named := value.(string)
		if scope, ok := strings.CutSuffix(key, ":registry"); ok && named && strings.HasPrefix(scope, "@") {
			scopes = append(scopes, scope)
		}
	}
	slices.Sort(scopes)
	for _, scope := range scopes {
		if a, ok := format.Adopt(settings[scope+":registry"].(string)); ok {
			a.From = list + " (" + scope + ":registry)"
			a.Options = map[string]string{optScope: scope}
			found = append(found, a)
		}
	}
	if a, ok := format.Adopt(strings.TrimSpace(registry)); ok {
		a.From = get
		if len(scopes) > 0 {
			a.Options = map[string]string{optScope: "!" + strings.Join(scopes, " !")}
		}
		found = append(found, a)
	}
	npmrc, _ := env.ReadFile("~/.npmrc") // without it there are no tokens to speak of
	for i := range found {
		if tokenFor(string(npmrc), found[i].URL) {
			found[i].Note = "npm sends a token there, which is not taken over: set token or username and password of this upstream if it wants one"
		}
	}
	return found, nil
}

// tokenFor reports whether an npmrc has a credential for an address: "//host/path/:_authToken=…".
func tokenFor(npmrc, at string) bool {
	_, rest, _ := strings.Cut(at, ":")
	for line := range strings.Lines(npmrc) {
		key, _, _ := strings.Cut(strings.TrimSpace(line), "=")
		prefix, word, ok := cutLast(strings.TrimSpace(key), ":")
		if ok && strings.HasPrefix(prefix, "//") && (word == "_authToken" || word == "_auth" || word == "_password") &&
			strings.HasPrefix(rest, strings.TrimSuffix(prefix, "/")+"/") {
			return true
		}
	}
	return false
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
