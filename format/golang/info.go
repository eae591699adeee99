package golang

import (
	"net/url"
	"strings"
	"time"

	"millpond/format"
)

// Format is Go modules.
type Format struct{}

var (
	_ format.Format   = Format{}
	_ format.Exempter = Format{}
	_ format.Claimer  = Format{}
	_ format.Verifier = source{}
	_ format.Sniffer  = source{}
	_ format.Preparer = source{}
)

// Info describes the format.
func (Format) Info() format.Info {
	return format.Info{
		Name:       "golang",
		Title:      "Go modules",
		PURL:       "golang",
		OSV:        "Go",
		HeldListed: true,
		// The go.mod is read of versions too that nobody uses.
		Main:   func(version string) string { return version + ".zip" },
		Fresh:  time.Minute,
		Absent: time.Minute,
		// While an upstream is ill an old absence is still the answer: `go get` asks for every prefix of a path, and would
		// fail on one that was never a module.
		OldAbsence: 30 * 24 * time.Hour,
		Lasts:      lasts,
		Options: []format.Option{
			{Name: "sumdb", Help: "checksum databases as GOSUMDB names them, a verifier key and perhaps a URL, one a line: relayed to clients, and the first one verifies what is kept"},
			{Name: "verify", Default: "available", Help: "available: keep what the database cannot be asked about; required: refuse it; off: do not ask"},
			{Name: "sumdb_accept", Help: "the alarm of a checksum database that an operator has looked into"},
			{Name: "no_sum", Help: "patterns of modules that no database hears of, as in GONOSUMDB"},
			{Name: "mod", Default: "serve", Help: "serve: give the go.mod of a version that the rules keep back, which go mod tidy reads of versions it does not use; refuse: do not"},
			{Name: "ahead", Default: "off", Help: "mod or all: with an .info fetch the .mod, or the .mod and the .zip, before they are asked for"},
			{Name: "vcs", Help: "of an upstream: patterns of modules, as in GOPRIVATE, that are built from git with the go command; the upstream's URL is their git server, and it is asked about nothing else"},
			{Name: "vcs_hosts", Help: "with vcs: further hosts that go and git may ask, and where a host is if not at https://host/: host or host=https://address, with spaces between them"},
			{Name: "index", Help: "URL of the upstream's index, for listing all its names"},
		},
		SetUp:     setUp,
		Upstreams: adopt,
	}
}

// lasts is how long a query is not asked again: which version a commit is hardly ever changes, and where a branch points does.
func lasts(_ func(string) string, query string) time.Duration {
	if len(query) == 40 && strings.Trim(query, "0123456789abcdef") == "" {
		return 24 * time.Hour
	}
	return 0
}

func setUp(base *url.URL) []format.Snippet {
	at := strings.TrimSuffix(base.String(), "/")
	proxy := format.Snippet{
		Client: "go",
		Text:   "go env -w GOPROXY=" + at,
		Note:   "Without \",direct\": what the pond does not give must not be asked of whatever host a module path names.",
	}
	login := format.Snippet{
		Client: "go, with a token",
		Text:   "machine " + base.Host + " login TOKEN-NAME password TOKEN",
		Note:   "A line of ~/.netrc.",
	}
	if base.Scheme != "https" {
		proxy.Note += " Over plain http the go command sends no credentials, so the repository must be readable by all."
		login.Note += " The go command sends it over https only."
	}
	private := format.Snippet{
		Client: "go, private modules",
		Text:   "go env -w GONOSUMDB=git.acme.example GONOPROXY=none",
		Note:   "With your own prefix. Not GOPRIVATE alone: it makes the go command go around the pond.",
	}
	publish := format.Snippet{
		Client: "publish",
		Text:   "millpond publish golang --tag v1.2.3",
		Note:   "In the module's folder, of a tag that git knows. Any other client puts the module's zip: curl -T module.zip -u TOKEN-NAME:TOKEN " + at + "/upload",
	}
	return []format.Snippet{proxy, private, login, publish}
}
