package config

import "time"

// A Config is what a pond was told: the configuration file, the environment over it, and flags over both. The comments of
// its fields are their documentation, which Help prints.
//
// In the tags, key is the name in the file, of the kind that type says where the Go type does not, and default is what
// stands where nothing is said.
type Config struct {
	// Where the pond listens, host and port. An address that others can reach needs read to say who may read.
	Listen string `key:"listen" type:"address" default:"127.0.0.1:8080"`
	// The directory that everything is kept in. It is made if need be.
	Data string `key:"data" type:"directory" default:"$XDG_DATA_HOME/millpond, else ~/.local/share/millpond"`
	// Where clients reach the pond, if not at the address they name in their requests.
	PublicURL string `key:"public_url" type:"URL"`
	// Ask no upstream: serve what is held, and say so of the rest.
	Offline bool `key:"offline" default:"false"`
	// Certificate and key, or local for an authority of the pond's own, which clients are told to trust. Without it the
	// pond speaks plain HTTP.
	TLS TLS `key:"tls" type:"local, or a mapping"`
	// Address prefixes of the proxies in front whose X-Forwarded headers are believed.
	TrustedProxies []string `key:"trusted_proxies" type:"list of address prefixes"`
	// How long the pond goes on answering after it was told to stop and says at /-/readyz that it is not ready, so that a
	// front server can look elsewhere.
	Notice time.Duration `key:"notice" default:"0s"`
	// Who may read where a repository does not say: anonymous is everybody, authenticated is everybody who is known, and
	// user:NAME and group:NAME are who they say. Where the pond listens on loopback only, anonymous is the default.
	Read []string `key:"read" type:"list of names" default:"[anonymous] on loopback"`
	// How people and machines prove who they are.
	Auth Auth `key:"auth" type:"mapping"`
	// Feeds of advisories in the OSV format: what they name is taken down at once, and lifted if they take it back. A
	// directory of .json files, or the URL of a .zip or .json file, each.
	Advisories []Feed `key:"advisories" type:"list of URLs or mappings"`
	// Who is told of each takedown by a POST of JSON: something that purges the caches in front of the pond. It is tried until
	// it answers 2xx.
	Purge []Receiver `key:"purge" type:"list of URLs or mappings"`
	// How long caches in front may keep what never changes (s-maxage); 0 is for good. Where none of them is purged, 60s has a
	// takedown reach their readers within a minute.
	SharedMaxAge time.Duration `key:"shared_max_age" default:"0s"`
	// Where the signed heads of the log of changes are sent, once a minute if there is a new one, so that who can change the
	// log here cannot cut its end unnoticed: file:///path, "syslog:", syslog://HOST:PORT, syslog+tcp://HOST:PORT, https://….
	Heads []Receiver `key:"heads" type:"list of URLs or mappings"`
	// What the pond may use.
	Limits Limits `key:"limits" type:"mapping"`
	// What the pond writes about itself, to standard error.
	Log Log `key:"log" type:"mapping"`
	// Serve figures for Prometheus at /-/metrics.
	Metrics bool `key:"metrics" default:"true"`
	// The repositories by name, in the order in which they are shown. A name is lower-case letters, digits, ".", "_" and
	// "-". Without this key there is one repository for each format, named after it, with the upstreams that this
	// machine's own clients are set up with.
	Repos []Repository `key:"repositories" type:"mapping"`

	// Adopting says that the repositories are not the file's, so that Adopt looks for their upstreams.
	Adopting bool `key:"-"`

	file  string            // "" if there is none
	lines map[string]int    // of the keys in it, by path
	over  map[string]string // what spoke over the file, by key: "--listen"
}

// TLS says how the pond proves who it is.
type TLS struct {
	// The certificate chain, PEM. It is read again on SIGHUP.
	Cert string `key:"cert" type:"file"`
	// Its private key, PEM.
	Key string `key:"key" type:"file"`

	Local bool `key:"-"` // tls: local
}

// Auth says how people and machines prove who they are.
type Auth struct {
	// on: people may log in with passwords of the pond's own. off: at a provider only, and with tokens.
	Passwords string `key:"passwords" type:"word" default:"on"`
	// Names the key that signed links are made with, in letters and digits. Another name makes another key, and all links that
	// were made before are void.
	LinkKey string `key:"link_key" type:"word" default:"1"`
	// Where people log in with OpenID Connect.
	OIDC []OIDC `key:"oidc" type:"list of mappings"`
	// Whose identity tokens CI jobs can exchange for a token to publish with, where a publisher rule means them. A
	// public_url is needed: its host is in the audience that the tokens must be made for.
	Issuers []Issuer `key:"issuers" type:"list of URLs or mappings"`
	// How long who was known to be allowed something is believed to be, while the catalog cannot be asked.
	Grace time.Duration `key:"auth_grace" default:"24h"`
}

// OIDC is a provider where people log in.
type OIDC struct {
	// Its address, exactly as it says it of itself: https://login.example.
	Issuer string `key:"issuer" type:"URL"`
	// What it knows the pond by. The address to send people back to is /-/login/callback at public_url.
	ClientID     string `key:"client_id" type:"text"`
	ClientSecret string `key:"client_secret" type:"secret"`
	// The claim that lists a person's groups; nothing reads none.
	GroupsClaim string `key:"groups_claim" type:"text"`
	// Who is let in: patterns of e-mail addresses, *@acme.example, and group:NAME. None is everybody whom it lets in.
	Allow []string `key:"allow" type:"list of patterns"`
	// It does not say when it asked for a proof (auth_time). That it sends somebody back whom it was told to ask again
	// (prompt=login) is then taken for a proof.
	WithoutAuthTime bool `key:"without_auth_time" default:"false"`
}

// An Issuer is one who says which CI job is which.
type Issuer struct {
	// Its address, exactly as its tokens say it.
	URL string `key:"issuer" type:"URL"`
	// github or gitlab, for the claims that their rules must name. Others must name sub and one more.
	Kind string `key:"kind" type:"word"`
}

// A Feed is one of advisories.
type Feed struct {
	// Where it is: a directory, or a URL.
	At string `key:"at" type:"directory or URL"`
	// What it is called in the log of changes, after the word "feed"; else its host or directory.
	Name string `key:"name" type:"text"`
	// Patterns of the ids that count; nothing is MAL-*, which are packages made to do harm.
	IDs []string `key:"ids" type:"list of patterns"`
	// How often it is looked at; nothing is 5m.
	Every time.Duration `key:"every"`
	// Bearer authentication.
	Token string `key:"token" type:"secret"`
}

// A Receiver is told something.
type Receiver struct {
	// Its address.
	URL string `key:"url" type:"URL"`
	// Bearer authentication.
	Token string `key:"token" type:"secret"`
}

// Limits are what the pond may use.
type Limits struct {
	// How much of what can be fetched again is kept; 0 is no limit but the disk's.
	MaxBytes Size `key:"max_bytes" default:"0"`
	// Free space below which nothing more is kept and what was used least is given up; 0 is 5 % of the disk, at least 4 GiB, but no
	// more than a quarter.
	LowFree Size `key:"low_free" default:"0"`
	// Downloads at once, of all upstreams.
	Downloads int `key:"downloads" default:"256"`
	// Readers that wait for a download to begin, before more are sent away.
	Waiting int `key:"waiting" default:"1024"`
	// Requests of one client in ten minutes for what is not held, before it is told to wait; 0 is no limit. This machine has none.
	Misses int `key:"misses" default:"20000"`
}

// Log is what the pond writes about itself.
type Log struct {
	// json or text.
	Format string `key:"format" type:"word" default:"json"`
	// debug, info, warn or error.
	Level string `key:"level" type:"word" default:"info"`
	// A line for each request.
	Access bool `key:"access" default:"true"`
}

// A Repository is one repository, as its configuration has it.
type Repository struct {
	Name string `key:"-"`

	// What it speaks: the name of a format.
	Format string `key:"format" type:"word"`
	// Where it reads through to, in order: a URL each, or a mapping. None makes a repository that only hosts.
	Upstreams []Upstream `key:"upstreams" type:"list"`
	// Patterns of names that are ours: no upstream hears of them. acme-*, @acme/*, com.acme.*, git.acme.example/*.
	Claims []string `key:"claims" type:"list of patterns"`
	// hide: the first layer that has a name hides the others, so that nobody can add versions to it. union: each version
	// comes from the first layer that has it.
	Merge string `key:"merge" type:"word" default:"hide"`
	// What to do with a file that is not held. store keeps it, redirect sends the reader to the upstream and fetches it
	// behind their back, pass keeps nothing, cached-only does not fetch. One word, or a mapping of patterns to words of
	// which the first that matches counts.
	Fill []Fill `key:"fill" type:"word, or a mapping of patterns" default:"store"`
	// Who may read: anonymous is everybody, authenticated everybody who is known; user:NAME, group:NAME.
	Read []string `key:"read" type:"list of names" default:"as for the pond"`
	// Who may read and publish new versions.
	Publish []string `key:"publish" type:"list of names"`
	// Who may also move refs, yank, overwrite where that is allowed, delete and promote.
	Maintain []string `key:"maintain" type:"list of names"`
	// Who may also say who may what here, and change claims and rules.
	Own []string `key:"own" type:"list of names"`
	// Packages can be published here.
	Hosted bool `key:"hosted" default:"true"`
	// Versions that were published may be overwritten and deleted, as snapshots are.
	Volatile bool `key:"volatile" default:"false"`
	// Versions that were published may be deleted. Their numbers stay taken.
	Unpublish bool `key:"unpublish" default:"false"`
	// A name that is new here can be published only if a claim covers it. Else any name can that no upstream is known to
	// have; none of them is asked.
	ClaimedOnly bool `key:"claimed_only" default:"false"`
	// The largest file that can be published.
	MaxFile Size `key:"max_file" default:"16GiB"`
	// What may be read. See "rules" below.
	Rules []map[string]any `key:"rules" type:"list of rules"`
	// How long an index is served before its upstream is asked again.
	Fresh time.Duration `key:"fresh" default:"the format's, often 1m"`
	// How long an upstream is believed that there is no such package.
	Absent time.Duration `key:"absent" default:"the format's, often 1m"`

	// Names of hosts where this repository is the root, beside its place at public_url, which is needed then: requests that
	// name such a host are for it alone. What is in front of the pond must let these names through.
	Host []string `key:"host" type:"list of host names"`
	// What clients that drop a registry's path ask of the root of the pond's own address is of this repository: npm's files, as
	// some versions of npm do with lock files of the public default. One repository at most.
	Root bool `key:"root"`
	// An address where this repository is the root, host and port, beside its place at the pond's own address. With
	// http:// before it plain HTTP is spoken there, also where the pond has TLS. Formats that know how answer there as a
	// proxy, for what their upstreams have.
	Listen string `key:"listen" type:"address"`
	// Names of hosts to which clients that take listen for a proxy are passed through, at port 443: by CONNECT. What goes
	// through is neither verified nor judged nor kept, so leave it empty if you can.
	Tunnels []string `key:"tunnels" type:"list of host names"`

	// Options are the format's own settings, which stand beside the keys above.
	Options map[string]string `key:"-"`
	told    bool              // a flag or a variable has named the upstreams
}

// An Upstream is where a repository reads through to.
type Upstream struct {
	// Its address: http, https, or file where the format can read folders.
	URL string `key:"url" type:"URL"`
	// Another repository of this pond and of the same format, instead of a URL.
	Repository string `key:"repository" type:"name"`
	// What it is called in messages and records. What was kept from an upstream is known by this name.
	Name string `key:"name" type:"word" default:"its host"`
	// Patterns of the names that it is asked about, written as claims are; it hears of no others. Empty is all.
	Names []string `key:"names" type:"list of patterns"`
	// How often its list of all names is looked through, so that what has changed is asked for again though it is fresh: together
	// with a long fresh it spares one question for each package. 0 is never, and less than 10m is 10m.
	Poll time.Duration `key:"poll" default:"0s"`
	// As for the repository, but for this upstream alone.
	Merge string `key:"merge" type:"word" default:"the repository's, and union for a sibling"`
	// Basic authentication, sent to the URL's own origin only.
	Username string `key:"username" type:"text"`
	Password string `key:"password" type:"secret"`
	// Bearer authentication, instead.
	Token string `key:"token" type:"secret"`
	// The region of a bucket: requests are signed as S3 wants it, with an access key's id as username and its secret as password.
	// Without both the key is that of the environment (AWS_ACCESS_KEY_ID) or of the role of the cluster, the container or the
	// machine, as AWS's own clients find it.
	Region string `key:"region" type:"word"`
	// The session token of an access key that is lent for a time.
	SessionToken string `key:"session_token" type:"secret"`
	// Take name and password from the netrc file of the pond's user, instead.
	Netrc bool `key:"netrc" default:"false"`
	// Further headers, sent to the URL's own origin only.
	Headers map[string]string `key:"headers" type:"mapping of secrets"`
	// Further origins that its files may come from, https://files.example; empty is every public https address.
	Also []string `key:"also" type:"list of origins"`
	// Further origins whose token service is given the name and password, https://auth.example; others are asked without.
	AuthRealms []string `key:"auth_realms" type:"list of origins"`
	// Address prefixes that other hosts than the URL's own may have, though they are not public.
	AllowAddresses []string `key:"allow_addresses" type:"list of address prefixes"`
	// A file of certificates, PEM, to trust instead of the system's.
	CA string `key:"ca" type:"file"`
	// The proxy to leave by, instead of what the environment says.
	Proxy string `key:"proxy" type:"URL"`
	// Do not verify certificates. It is said in the log at each start.
	Insecure bool `key:"insecure" default:"false"`
	// Connections at once.
	Connections int `key:"connections" default:"64"`
	// Requests a second; 0 is no limit.
	Rate float64 `key:"rate" default:"0"`
	// Added to the User-Agent, for the upstream's operators.
	Contact string `key:"contact" type:"text"`
	// The longest silence in the middle of a file.
	Idle time.Duration `key:"idle" default:"30s"`
	// The slowest that a file may come, in bytes a second over a minute.
	MinRate Size `key:"min_rate" default:"1KiB"`
	// The longest wait for an answer to begin.
	FirstByte time.Duration `key:"first_byte" default:"10s"`

	// Options are the format's own settings, which stand beside the keys above.
	Options map[string]string `key:"-"`
	// From says where an adopted upstream was found; "" for what was configured.
	From string `key:"-"`
}

// A Fill gives a mode to the names that a pattern covers; "*" covers all.
type Fill struct{ Pattern, Mode string }

// Size is a number of bytes: "10GiB" in the file.
type Size int64
