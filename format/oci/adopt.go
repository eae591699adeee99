package oci

import (
	"context"
	"encoding/json"
	"strings"

	"millpond/format"
)

// adopt reads which registries this machine's clients are set up with: a mirror of docker's, and where an image without a
// registry is looked for in containers' registries.conf. A client that names none has no upstream to adopt: there is no
// registry that all images are in.
func adopt(_ context.Context, m format.Machine) ([]format.Adopted, error) {
	var all []format.Adopted
	add := func(text, from string, options map[string]string) {
		if !strings.Contains(text, "://") {
			text = "https://" + text
		}
		a, ok := format.Adopt(text)
		if !ok {
			all = append(all, format.Adopted{From: from, Note: "an address there cannot be read, and was dropped"})
			return
		}
		a.From, a.Options = from, options
		for _, one := range all {
			if one.URL == a.URL {
				return
			}
		}
		all = append(all, a)
	}
	for _, file := range []string{"~/.config/docker/daemon.json", "/etc/docker/daemon.json"} {
		b, err := m.ReadFile(file)
		if err != nil {
			continue // docker is not set up here
		}
		var set struct {
			Mirrors []string `json:"registry-mirrors"`
		}
		if json.Unmarshal(b, &set) != nil {
			all = append(all, format.Adopted{From: file, Note: "it cannot be read"})
			continue
		}
		for _, mirror := range set.Mirrors {
			add(mirror, file+" (registry-mirrors)", map[string]string{optLibrary: "true"})
		}
	}
	for _, file := range []string{"~/.config/containers/registries.conf", "/etc/containers/registries.conf"} {
		b, err := m.ReadFile(file)
		if err != nil {
			continue // podman and its kin are not set up here
		}
		for _, host := range searched(string(b)) {
			add(host, file+" (unqualified-search-registries)", nil)
		}
		break // the user's own replaces the machine's
	}
	return all, nil
}

// searched are the registries in which registries.conf has images looked for whose names begin with none.
func searched(text string) []string {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			return nil // a table: what is at the top comes before it
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.TrimSpace(key) != "unqualified-search-registries" {
			continue
		}
		var hosts []string
		for one := range strings.SplitSeq(strings.Trim(strings.TrimSpace(value), "[]"), ",") {
			if host := strings.Trim(strings.TrimSpace(one), `"'`); host != "" {
				hosts = append(hosts, host)
			}
		}
		return hosts
	}
	return nil
}
