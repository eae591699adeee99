package rubygems

import (
	"net/url"
	"strings"
	"time"

	"millpond/format"
)

// Format is Ruby's gems.
type Format struct{}

var (
	_ format.Format     = Format{}
	_ format.Configurer = Format{}
	_ format.Publisher  = Format{}
	_ format.Grouper    = Format{}
	_ format.Sniffer    = source{}
	_ format.Verifier   = source{}
)

const optInfo = "info"

// Info describes the format.
func (Format) Info() format.Info {
	return format.Info{
		Name:   "rubygems",
		Title:  "Ruby gems",
		PURL:   "gem",
		OSV:    "RubyGems",
		Fresh:  time.Minute,
		Absent: time.Minute,
		Slow:   8 * time.Second, // who is not answered falls back to the oldest index, which costs more
		Options: []format.Option{{
			Name: optInfo, Default: "v2",
			Help: "v1 leaves created_at out of the info of what is published here, which older mirrors may not know",
		}},
		SetUp:     setUp,
		Upstreams: adopt,
	}
}

func setUp(base *url.URL) []format.Snippet {
	at := strings.TrimSuffix(base.String(), "/")
	return []format.Snippet{
		{
			Client: "bundler", Text: "bundle config set --global mirror.all " + at,
			Note: "Gemfile and lock file stay as they are. With a token: bundle config set --global " + base.Host + " TOKEN-NAME:TOKEN",
		},
		{
			Client: "gem", Text: ":sources:\n- " + at + "/",
			Note: "Into ~/.gemrc, so that it is the only source: gem sources --add leaves the old one, and gem takes whichever has the higher version.",
		},
		{
			Client: "publish", Text: "gem push NAME-1.0.0.gem --host " + at,
			Note: "gem signin --host " + at + " asks for name and password once; or put a token into GEM_HOST_API_KEY.",
		},
	}
}
