package debian

import (
	"context"
	"net/url"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// Format is archives of Debian packages.
type Format struct{}

var (
	_ format.Format    = Format{}
	_ millpond.Indexer = Format{}
)

// Info describes the format.
func (Format) Info() format.Info {
	return format.Info{
		Name:   "debian",
		Title:  "Debian packages",
		PURL:   "deb",
		OSV:    "Debian",
		Proxy:  true,
		Fresh:  time.Minute,
		Absent: time.Minute,
		// apt waits; a cold Release brings its indexes with it.
		Slow: 5 * time.Second,
		Options: []format.Option{
			{Name: "verify", Default: "none", Help: "none: the Release is taken as it comes, and clients check its signature; keyring: only what a key of the option keyring has signed is taken"},
			{Name: "keyring", Help: "keys that may sign: in armor, or names of keyring files, one a line"},
			{Name: "archives", Help: "\"*\": below the upstream's address are many archives, which are found by their paths, as PPAs are"},
			{Name: "architectures", Help: "architectures whose Packages are fetched with the first Release of an archive that keeps no older ones, those of a hosted suite that has no package yet, and those of curated suites"},
			{Name: "curated", Help: "suites of the upstreams that are listed anew as the rules leave them, and signed by this repository: names as in dists/, \"./\" and \"folder/\" of flat ones, or \"*\""},
			{Name: "valid", Help: "for how long a Release that is signed here is good, as 7d: it is signed anew when half of that has passed"},
			{Name: "snapshots", Help: "what a Release of our own tells apt 2.7 and later of where its snapshots are: \"https://pond.example/debian/snapshot/@SNAPSHOTID@/\""},
			{Name: "key_type", Default: "ed25519", Help: "ed25519 or rsa4096: what a key that is made from now on is; those that are here stay"},
			{Name: "release_digests", Help: "digests that a Release of our own lists besides SHA256, and by which its indexes are found: SHA512, MD5Sum"},
			{Name: "signing_keys", Default: "1", Help: "numbers of the keys that sign here: \"1 2\" signs with both, while clients learn the second"},
			{Name: "pin_clients", Help: "for how long a client without by-hash is given the indexes of the Release that it was given, as 120s"},
			{Name: "releases", Help: "which release of Debian suites belong to, where their Release does not say it, as advisories count it: \"internal=12 sid=none\"; names as in curated"},
			{Name: "suite", Default: "stable", Help: "the suite that packages are published into, where their publisher names none"},
		},
		SetUp:     setUp,
		Upstreams: adopt,
	}
}

func setUp(base *url.URL) []format.Snippet {
	at := strings.TrimSuffix(base.String(), "/")
	return []format.Snippet{
		{Client: "apt", Text: "curl -o /etc/apt/sources.list.d/millpond.sources '" + at + "/setup.sources?suite=stable'",
			Note: "For what is published here: a deb822 source with the repository's key in it."},
		{Client: "apt, an archive read through", Text: "URIs: " + at, Note: "In place of the archive's address in its .sources file; suites, components and Signed-By stay as they are."},
		{Client: "apt, with a token", Text: "machine " + at + " login TOKEN-NAME password TOKEN", Note: "A line of a file in /etc/apt/auth.conf.d, readable by root only."},
		{Client: "debootstrap", Text: "debootstrap stable ROOT " + at},
		{Client: "publish", Text: "millpond publish PACKAGE.deb --option suite=stable",
			Note: "Any other client puts the file: curl -T PACKAGE.deb -u TOKEN-NAME:TOKEN " + at + "/pool/stable/main/PACKAGE.deb"},
	}
}

// adopt reads what apt of this machine is set up with.
func adopt(ctx context.Context, env format.Machine) ([]format.Adopted, error) {
	out, err := env.Run(ctx, "apt-get", "indextargets", "--format", "$(SITE) $(BASE_URI) $(REPO_URI) $(SIGNED_BY)")
	if err != nil {
		if millpond.Is(err, millpond.NotFound) {
			return nil, nil
		}
		return nil, err
	}
	architectures := ""
	if text, err := env.Run(ctx, "dpkg", "--print-architecture"); err == nil {
		architectures = strings.TrimSpace(text)
	}
	var all []format.Adopted
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		a, ok := format.Adopt(fields[2])
		if !ok {
			continue
		}
		a.From, a.Options = "apt-get indextargets", map[string]string{}
		if seen[a.URL] {
			continue
		}
		seen[a.URL] = true
		if architectures != "" {
			a.Options["architectures"] = architectures
		}
		if len(fields) > 3 && strings.HasPrefix(fields[3], "/") {
			a.Options["verify"], a.Options["keyring"] = "keyring", fields[3]
		}
		all = append(all, a)
	}
	return all, nil
}
