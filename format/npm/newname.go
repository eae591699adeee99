package npm

import (
	"fmt"
	"slices"
	"strings"

	"millpond"
)

// publishable is nil for a name that npm's rules allow a new package: what was allowed once can be read, and no more.
func publishable(name string) error {
	why := ""
	base := name
	if _, b, scoped := strings.Cut(name, "/"); scoped {
		base = b
	}
	switch {
	case !validName(name):
		why = "it is no npm name"
	case len(name) > 214:
		why = "it is longer than 214 characters"
	case name != strings.ToLower(name):
		why = "it has capital letters"
	case strings.ContainsAny(name, "~'!()*"):
		why = "it has one of the characters ~'!()*"
	case strings.HasPrefix(name, "-"), strings.HasPrefix(base, "_"):
		why = "it begins with a hyphen or an underscore"
	case slices.Contains(coreModules[:], name):
		why = "it is a module of node itself"
	}
	if why == "" {
		return nil
	}
	return &millpond.Error{Kind: millpond.Invalid, Key: millpond.Key{Package: name}, Why: fmt.Sprintf("%.300q cannot be the name of a new package: %s", name, why)}
}

// coreModules can be required without being installed: a package of such a name never would be.
var coreModules = [...]string{ // never changed
	"assert", "async_hooks", "buffer", "child_process", "cluster", "console", "constants", "crypto", "dgram",
	"diagnostics_channel", "dns", "domain", "events", "fs", "http", "http2", "https", "inspector", "module", "net", "os",
	"path", "perf_hooks", "process", "punycode", "querystring", "readline", "repl", "stream", "string_decoder", "sys",
	"timers", "tls", "trace_events", "tty", "url", "util", "v8", "vm", "wasi", "worker_threads", "zlib",
}

// newVersion is nil for a version that can be published: strict semver.
func newVersion(version string) error {
	if _, ok := parseVersion(version); !ok || version[0] < '0' || version[0] > '9' {
		return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.300q is no semantic version", version)}
	}
	return nil
}

// newTag is nil for a name that a dist-tag can have: one that reads as a range would never be looked up.
func newTag(tag string) error {
	if _, isRange := parseRange(tag, false); isRange || !plainFile(tag) || len(tag) > 214 || strings.TrimSpace(tag) != tag {
		return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.300q cannot be a dist-tag", tag), Hint: "a tag is a word that is no version and no range"}
	}
	return nil
}
