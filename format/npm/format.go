package npm

import (
	"net/url"
	"time"

	"millpond/format"
)

// Format is npm. Its zero value is ready for use.
type Format struct{}

var _ format.Format = Format{}

// The settings of a repository.
const (
	optLimit    = "packument_limit"
	optLockfile = "lockfile"
	optScope    = "scope"
	optManifest = "manifest"
)

// Info implements format.Format.
func (Format) Info() format.Info {
	return format.Info{
		Name:     "npm",
		Title:    "npm packages",
		PURL:     "npm",
		OSV:      "npm",
		Audience: "npm",
		Fresh:    5 * time.Minute,
		Absent:   time.Minute,
		Options: []format.Option{
			{Name: optLimit, Default: "256", Help: "largest packument that is taken from an upstream, in MiB of text; at least 128"},
			{Name: optLockfile, Default: "rewrite", Help: "rewrite: addresses of files name this pond; keep: they stay the upstream's, and only npm comes back here"},
			{Name: optScope, Default: "", Help: "of an upstream: the scopes it is asked about (\"@acme @tools\"), or is not asked about (\"!@acme\"); empty asks it about every name"},
			{Name: optManifest, Default: "refuse", Help: "refuse or warn: what becomes of a publish whose manifest is not that of its tarball"},
			{Name: optRoots, Help: format.RootsHelp},
		},
		SetUp:     setUp,
		Upstreams: upstreams,
	}
}

// Source implements format.Format.
func (Format) Source(r format.Remote) format.Source { return source{remote: r} }

func setUp(base *url.URL) []format.Snippet {
	at := base.String()
	yarn := "npmRegistryServer: \"" + at + "\"\n"
	if base.Scheme == "http" {
		yarn += "unsafeHttpWhitelist:\n  - \"" + base.Hostname() + "\"\n"
	}
	return []format.Snippet{
		{Client: "npm", Text: "npm config set registry " + at},
		{Client: "pnpm", Text: "pnpm config set registry " + at},
		{Client: "yarn 4", Text: yarn, Note: ".yarnrc.yml of the project, or of your home"},
		{Client: "yarn 1", Text: "yarn config set registry " + at, Note: "addresses in an existing yarn.lock are used as they are: install once with --registry " + at},
		{Client: "bun", Text: "[install]\nregistry = \"" + at + "\"\n", Note: "bunfig.toml of the project, or ~/.bunfig.toml"},
	}
}
