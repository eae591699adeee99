package oci

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"millpond"
)

// Leads says which files are wanted with a manifest: its blobs, or of an index the manifests for the platforms that the
// repository prefetches.
func (Format) Leads(k millpond.Key, r io.Reader, option func(string) string) []millpond.Key {
	platforms := strings.FieldsFunc(option(optPrefetch), func(c rune) bool { return c == ' ' || c == ',' })
	if k.Version == "" || len(platforms) == 0 {
		return nil
	}
	b, err := readManifest(r)
	if err != nil {
		return nil // who reads it hears what is wrong with it
	}
	m, err := readKept(b)
	if err != nil {
		return nil
	}
	var led []millpond.Key
	for _, d := range m.Manifests {
		if _, err := parseDigest(d.Digest); err == nil && isFor(d.Platform, platforms) {
			led = append(led, millpond.Key{Package: k.Package, Version: d.Digest, File: d.Digest})
		}
	}
	for _, d := range m.needs() {
		if _, err := parseDigest(d.Digest); err == nil && !d.foreign() {
			led = append(led, millpond.Key{Package: k.Package, File: d.Digest})
		}
	}
	return led
}

// isFor reports whether what an index says of a manifest's platform is one of those that are named "linux/amd64", or
// "linux/arm64/v8"; without a variant any of them is meant.
func isFor(platform json.RawMessage, names []string) bool {
	var p struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	}
	if len(platform) == 0 || json.Unmarshal(platform, &p) != nil {
		return false
	}
	plain := p.OS + "/" + p.Architecture
	return slices.Contains(names, plain) || slices.Contains(names, plain+"/"+p.Variant)
}
