package oci

import (
	"slices"
	"strings"

	"millpond"
)

// Canon checks an image's name. It never changes one: that a short name means library/<name> is a setting of a repository,
// which the handler applies.
func (Format) Canon(name string) (string, error) {
	if !isName(name) {
		return "", badName(name)
	}
	return name, nil
}

// Compare orders manifests by their digests: nothing in one says what it comes after.
func (Format) Compare(a, b string) int { return strings.Compare(a, b) }

// Match reports whether a manifest's digest is one of those that spec lists, with spaces between them; "" and "*" are any.
func (Format) Match(spec, version string) (bool, error) {
	all := strings.Fields(spec)
	if len(all) == 0 {
		return true, nil
	}
	for _, one := range all {
		if one == "*" {
			return true, nil
		}
		if _, err := parseDigest(one); err != nil {
			return false, &millpond.Error{Kind: millpond.Invalid, Why: "\"" + one + "\" is no digest of a manifest", Hint: "sha256:9f86…, or * for any"}
		}
	}
	return slices.Contains(all, version), nil
}

// Covers reads a claim as a name, a name with /* behind it, which covers all below it and itself, or * for all names; other
// stars stand for anything but a slash.
func (Format) Covers(claim, name string) bool {
	if claim == "*" {
		return true
	}
	if under, ok := strings.CutSuffix(claim, "/*"); ok && !strings.Contains(under, "*") {
		return name == under || strings.HasPrefix(name, under+"/")
	}
	return matches(claim, name)
}

// matches reports whether a name is what a pattern says, in which * is any text without a slash.
func matches(pattern, name string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, before)
	if !ok {
		return false
	}
	for i := 0; ; i++ {
		if matches(after, rest[i:]) {
			return true
		}
		if i == len(rest) || rest[i] == '/' {
			return false
		}
	}
}
