package cargo

import (
	"net/url"
	"time"

	"millpond/format"
)

// Format is Rust crates.
type Format struct{}

var (
	_ format.Format     = Format{}
	_ format.Claimer    = Format{}
	_ format.Configurer = Format{}
	_ format.Welcomer   = Format{}
	_ format.Publisher  = Format{}
	_ format.Sniffer    = source{}
)

// Info describes the format.
func (Format) Info() format.Info {
	return format.Info{
		Name:  "cargo",
		Title: "Rust crates",
		PURL:  "cargo",
		OSV:   "crates.io",
		// A release train fails on an index that is ten minutes old.
		Fresh:  5 * time.Minute,
		Absent: time.Minute,
		Options: []format.Option{
			{Name: "blocked", Default: "yanked", Help: "yanked: a version that the rules keep back is shown as yanked, so that cargo prints why it is refused; drop: it is left out of the index"},
			{Name: "dates", Default: "index", Help: "index: versions were published when the index says; api: the upstream's web API is asked where the index says nothing, once a second at most"},
			{Name: "largest", Default: "10", Help: "MiB that a published .crate may have"},
		},
		SetUp:     setUp,
		Upstreams: adopt,
	}
}

// alias is what the set-up calls the repository.
const alias = "millpond"

func setUp(base *url.URL) []format.Snippet {
	at := "sparse+" + base.String()
	read := format.Snippet{
		Client: "cargo",
		Text:   "[source.crates-io]\nreplace-with = \"" + alias + "\"\n\n[source." + alias + "]\nregistry = \"" + at + "\"\n",
		Note:   "In ~/.cargo/config.toml. Lock files stay as they are.",
	}
	if base.Scheme != "https" {
		read.Note += " Over plain http cargo asks for one crate at a time: with TLS ('tls: local' makes a certificate) it asks for all at once."
	} else {
		read.Note += " If the pond is its own authority, add: [http] cainfo = \"/path/of/ca.pem\", which is at /-/ca.pem of the pond."
	}
	return []format.Snippet{read, {
		Client: "publish",
		Text:   "[registries." + alias + "]\nindex = \"" + at + "\"\n",
		Note:   "In ~/.cargo/config.toml; then: cargo login --registry " + alias + ", and cargo publish --registry " + alias + ". Elsewhere a crate of this registry is a dependency with registry = \"" + alias + "\".",
	}, {
		Client: "cargo, where reading wants a token",
		Text:   "[registry]\nglobal-credential-providers = [\"cargo:token\"]\n",
		Note:   "Besides, in ~/.cargo/config.toml: without a provider cargo sends no token when it reads. It needs cargo 1.74.",
	}}
}
