package golang

import (
	goversion "go/version"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"millpond"
)

// Canon checks a module path. It never changes one: case matters.
func (Format) Canon(name string) (string, error) {
	if err := module.CheckPath(name); err != nil {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: err.Error(), Hint: "a module path reads like git.example/team/module"}
	}
	return name, nil
}

// Compare orders versions as semver does, which puts pseudo-versions of one base in the order of their time. Toolchains are
// ordered as Go releases are. What is no version at all is older than all that is.
func (Format) Compare(a, b string) int {
	// All toolchains together have one place among the other versions, or the order would run in circles.
	va, isa := toolchain(a)
	vb, isb := toolchain(b)
	c := 0
	switch {
	case isa && isb:
		c = goversion.Compare(va, vb)
	case isa:
		if c = semver.Compare(toolchains, b); c == 0 {
			c = -1
		}
	case isb:
		if c = semver.Compare(a, toolchains); c == 0 {
			c = 1
		}
	}
	if c == 0 {
		c = semver.Compare(a, b)
	}
	if c != 0 {
		return c
	}
	return strings.Compare(a, b) // v2.0.0 and v2.0.0+incompatible
}

const toolchains = "v0.0.1-go1"

// toolchain returns the Go release that a version of golang.org/toolchain carries: "go1.26.8" for
// v0.0.1-go1.26.8.linux-amd64.
func toolchain(version string) (string, bool) {
	release, ok := strings.CutPrefix(version, "v0.0.1-")
	if !ok || !strings.HasPrefix(release, "go1") {
		return "", false
	}
	i := strings.LastIndexByte(release, '.')
	if i > 0 && strings.Contains(release[i:], "-") {
		release = release[:i]
	}
	return release, goversion.IsValid(release)
}

// isPrerelease reports whether a version was called one by its author: a pseudo-version is only spelled like one, and so is
// a toolchain.
func isPrerelease(version string) bool {
	if release, ok := toolchain(version); ok {
		return strings.Contains(release, "rc") || strings.Contains(release, "beta")
	}
	return semver.Prerelease(version) != "" && !module.IsPseudoVersion(version)
}

// Match reads the queries of the go command: v1.2.3 is that version; v1 and v1.2 are all that begin so; <, <=, > and >=
// compare. Several, with spaces or commas between them, must all hold. Any version lies within latest, upgrade and patch,
// which leave a choice to the go command, and within "" and "*".
func (f Format) Match(spec, version string) (bool, error) {
	all := true
	for one := range strings.FieldsFuncSeq(spec, func(r rune) bool { return r == ' ' || r == ',' }) {
		ok, err := f.matchOne(one, version)
		if err != nil {
			return false, err
		}
		all = all && ok
	}
	return all, nil
}

func (f Format) matchOne(spec, version string) (bool, error) {
	switch spec {
	case "*", "latest", "upgrade", "patch":
		return true, nil
	}
	bound := strings.TrimLeft(spec, "<>=")
	op := spec[:len(spec)-len(bound)]
	if !semver.IsValid(bound) {
		return false, &millpond.Error{
			Kind: millpond.Invalid,
			Why:  "\"" + spec + "\" is not a version query of Go",
			Hint: "v1.2.3, v1.2, v1, >=v1.2.3 or <v2.0.0",
		}
	}
	c := f.Compare(version, bound)
	if semver.Compare(version, bound) == 0 {
		c = 0 // a bound says nothing of +incompatible, and v1 means v1.0.0
	}
	switch op {
	case "<":
		return c < 0, nil
	case "<=":
		return c <= 0, nil
	case ">":
		return c > 0, nil
	case ">=":
		return c >= 0, nil
	case "", "=":
		if op == "" && isPrefix(bound) {
			return version == bound || strings.HasPrefix(version, bound+"."), nil
		}
		return version == bound, nil
	}
	return false, &millpond.Error{Kind: millpond.Invalid, Why: "\"" + op + "\" is not a comparison of Go: <, <=, > and >= are"}
}

// isPrefix reports whether a valid version is v1 or v1.2.
func isPrefix(v string) bool {
	return strings.Count(v, ".") < 2 && semver.Prerelease(v) == "" && semver.Build(v) == ""
}

// Covers reads claims as GOPRIVATE does: git.acme.example and git.acme.example/* cover every path below, and the bare
// prefix, which the go command asks for too while it looks for the module that a package is in.
func (Format) Covers(claim, name string) bool {
	claim = strings.TrimSuffix(strings.TrimSuffix(claim, "/"), "/*")
	if claim == "*" {
		return true
	}
	return module.MatchPrefixPatterns(claim, name)
}

// Exempt says which files no rule judges: those of checksum databases, and go.mod files unless the option mod is refuse.
func (Format) Exempt(k millpond.Key, option func(string) string) bool {
	if strings.HasPrefix(k.Package, sumPackage) {
		return true
	}
	return strings.HasSuffix(k.File, ".mod") && option("mod") != "refuse"
}
