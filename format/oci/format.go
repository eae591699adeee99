package oci

import (
	"net/url"
	"strings"
	"time"

	"millpond/format"
)

// Format is container images and artifacts. Its zero value is ready for use.
type Format struct{}

var (
	_ format.Format     = Format{}
	_ format.Rooted     = Format{}
	_ format.Configurer = Format{}
	_ format.Leader     = Format{}
	_ format.Publisher  = Format{}
	_ format.Packer     = Format{}
)

// The settings of a repository.
const (
	optLibrary   = "library"
	optImmutable = "immutable_tags"
	optGone      = "gone"
	optCreated   = "created"
	optNS        = "ns"
	optRoot      = "root"
	optLasts     = "tag_ttl"
	optPrefetch  = "prefetch"
	optHold      = "hold"
)

// forEver is a doubt that does not end.
const forEver = 100 * 365 * 24 * time.Hour

// Info implements format.Format.
func (Format) Info() format.Info {
	return format.Info{
		Name:      "oci",
		Title:     "Container images and artifacts",
		PURL:      "oci",
		Roots:     []string{root},
		Moving:    true,
		RootPaths: []string{root, root + "_catalog", tokenPath},
		Fresh:     time.Minute,
		Absent:    time.Minute,
		Doubt: func(option func(string) string) time.Duration {
			if d, err := time.ParseDuration(option(optGone)); err == nil && d > 0 {
				return d
			}
			return forEver
		},
		Lasts:    lasts,
		Previous: func(option func(string) string) bool { return option(optHold) == "previous" },
		Options: []format.Option{
			{Name: optLasts, Default: "", Help: "how long an upstream's tag is served before it is looked at again, by pattern, the first that fits: \"v*=forever nightly=10s\"; others as fresh says"},
			{Name: optPrefetch, Default: "", Help: "platforms whose layers are fetched as soon as somebody asks for the image: \"linux/amd64 linux/arm64/v8\""},
			{Name: optHold, Default: "", Help: "previous: an upstream's tag whose image the rules hide is served as the last image that it stood for here and that they let pass"},
			{Name: optLibrary, Default: "false", Help: "true: an image name of one component means library/<name>, as clients of some registries expect"},
			{Name: optImmutable, Default: "", Help: "patterns of tags that never move once they are pushed: \"v* release-*\""},
			{Name: optGone, Default: "", Help: "how long an upstream must deny a tag that it had until it is believed: \"24h\"; empty serves what is held for ever"},
			{Name: optCreated, Default: "ignore", Help: "trust: rules on age take an image's own word for when it was made; ignore: they count from when it was first seen here"},
			{Name: optNS, Default: "", Help: "registries that this repository stands for when a client names one (ns=, as containerd does): \"registry.example other.example:5000\""},
			{Name: optRoot, Default: "false", Help: "true: image names that begin with no repository's name are this repository's"},
		},
		SetUp:     setUp,
		Upstreams: adopt,
	}
}

// lasts is how long a tag is served without asking its upstream, by the patterns of the option; 0 if none fits.
func lasts(option func(string) string, tag string) time.Duration {
	for one := range strings.FieldsFuncSeq(option(optLasts), func(c rune) bool { return c == ' ' || c == ',' }) {
		pattern, text, _ := strings.Cut(one, "=")
		if !matches(pattern, tag) {
			continue
		}
		if text == "forever" {
			return forEver
		}
		d, _ := time.ParseDuration(text) // what cannot be read is as if it were not there
		return max(d, 0)
	}
	return 0
}

// Source implements format.Format.
func (Format) Source(r format.Remote) format.Source { return source{remote: r} }

// registryOf is how clients name a repository: host and path, as what an image's name begins with.
func registryOf(base *url.URL) string {
	return base.Host + "/" + strings.Trim(base.Path, "/")
}
