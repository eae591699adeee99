// Package format is the contract between millpond and the ecosystems it speaks, in both directions: what a format teaches
// millpond (Format, Source) and what millpond gives a format's handler (Repo). It imports only the words.
//
// A format is one folder. It reads its upstreams through a Remote, which fetches, retries, remembers and keeps; it serves
// its clients through a Repo, which finds, judges, verifies and records. So a format holds no retry, no permission check
// and no cache of its own: there is no door to put one behind.
package format

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"millpond"
)

// A Format teaches millpond one ecosystem. It keeps no state and starts no goroutines: its zero value is ready for use by
// many goroutines.
type Format interface {
	millpond.Grammar
	// Info describes the format. It returns the same value every time.
	Info() Info
	// Source reads an upstream of this ecosystem. It is made anew for each question asked, so it may keep what one
	// question needs in its fields.
	Source(Remote) Source
	// Handler speaks the client protocol for one repository. Requests arrive with the repository's mount already cut from
	// their URL, so that "/" is the repository's root; URL.EscapedPath is as the client sent it. The URL is absolute only
	// where Info.Proxy says that the handler knows such requests.
	Handler(Repo) http.Handler
}

// Info is all that the rest of the house knows of a format.
type Info struct {
	Name  string // "pypi": the word in configuration
	Title string // "Python packages"
	PURL  string // the package-url type
	OSV   string // what advisories in the OSV format call the ecosystem: see Advised; "" where they do not know it, or mean other names

	// Roots are paths outside "/<repository>/" that the protocol insists on: "/packages/" mounts "/packages/<repository>/…"
	// and the handler sees "/packages/…".
	//
	// Where a repository is the root of a host or a listener of its own, all is below "/" as the client sent it:
	// "/packages/…" has no repository's name in it. PlaceOf says where such a path is.
	Roots []string
	// Proxy says that the handler knows requests in absolute form, "GET http://host/path", which clients send to what they
	// take for a proxy. On a listener of the repository's own those for other hosts arrive with the URL absolute: host in
	// lower case, without the scheme's own port, without user. It is GET or HEAD. The handler answers those that its upstreams
	// or options name, and refuses all others, asking nobody: the pond is no open proxy. Base is still the repository's.
	Proxy bool
	// Audience is the word before ":HOST" that the format's clients have a CI job's identity token made for, to exchange it for
	// one package; "" if they ask for the server's own (Desk.Audience).
	Audience string
	// RootPaths are single addresses at the server's root that the protocol insists on and that belong to no one repository,
	// as "/v2/". The Format is Rooted if it has any.
	RootPaths []string
	// HeldListed says that a version held here stays in the index though its upstream's list does not name it.
	HeldListed bool
	// Moving says that a version which an upstream lists no more was replaced by another and not withdrawn: nobody is told,
	// and what is held of it goes when there is no room.
	Moving bool
	// Bare says that the repository's address without its slash is one that the handler answers, which then has an empty path.
	Bare bool
	// Deletable says that what is hosted may be deleted also where the configuration says nothing of it.
	Deletable bool
	// Tombstones says that what was deleted here is Gone to its readers, with who did it and when, and not NotFound.
	Tombstones bool
	// Main names the file without which a version is of no use, where an index lists no files: a version that lacks it
	// here is not held, whatever else of it is. Nil takes any file for it.
	Main func(version string) string
	// Fresh is how long an index or a ref is served without asking its upstream, and Absent how long an absence is
	// believed. The configuration may change both. While an upstream is ill an absence up to OldAbsence ago is believed.
	Fresh, Absent, OldAbsence time.Duration
	// Doubt is how long an upstream must go on saying that something it knew does not exist until it is believed; nil is ten
	// minutes. option is Tools.Option of the repository.
	Doubt func(option func(name string) string) time.Duration
	// Lasts is how long a ref of that name is served without asking its upstream; 0 is as long as Fresh, and nil is that for all.
	// option is Tools.Option of the repository.
	Lasts func(option func(name string) string, ref string) time.Duration
	// Previous reports whether a ref of an upstream whose target the rules hide is served with the last target before it that
	// they do not hide; nil is never. option is Tools.Option of the repository.
	Previous func(option func(name string) string) bool
	// Slow is how long a reader waits for an upstream when an older answer is kept; zero means 2 s.
	Slow time.Duration
	// Options are the settings a repository of this format has beyond those of every repository.
	Options []Option
	// SetUp returns what a person runs or writes to point a client at the repository, most usual client first.
	SetUp func(base *url.URL) []Snippet
	// Upstreams reads what this machine's own clients are set up with, by running or reading them through env. It returns
	// no upstream, and no error, for a client that is not installed or names none.
	Upstreams func(ctx context.Context, env Machine) ([]Adopted, error)
}

// Advised reports whether an advisory means the format by an ecosystem, as the OSV format names it: "PyPI", or "Debian:12". What
// follows a colon, or the dot of a host's name, says where to, not what.
func (i *Info) Advised(ecosystem string) bool {
	if at := strings.IndexAny(ecosystem, ":."); at >= 0 {
		ecosystem = ecosystem[:at]
	}
	return i.OSV != "" && strings.EqualFold(i.OSV, ecosystem)
}

// A Distributor is a Format of distributions: an advisory may be about one release of them, "Debian:12", and says nothing of the
// others.
type Distributor interface {
	// Ships reports whether a file belongs to a release, by the word after the ecosystem's colon: "12". Where that cannot be told
	// it does; so does a Key without a File. option is Tools.Option of the repository. It is pure and cheap.
	Ships(k millpond.Key, release string, option func(name string) string) bool
}

// An Option is a setting of a format.
type Option struct{ Name, Default, Help string }

// A Snippet is client set-up that can be copied.
type Snippet struct {
	Client string // "pip"
	Text   string // the command or file
	Note   string // what to know about it; "" if nothing
}

// A Machine is the computer whose clients are asked for their upstreams.
type Machine interface {
	// Run returns the standard output of a command, or NotFound, which matches exec.ErrNotFound, if it is not installed. It
	// gives up after a few seconds.
	Run(ctx context.Context, name string, args ...string) (string, error)
	Getenv(key string) string
	ReadFile(path string) ([]byte, error) // "~" is the user's home
}

// Unchanged is what Source.Package returns when Document.Unchanged says that there is nothing new to read.
var Unchanged error = &millpond.Error{Kind: millpond.Internal, Why: "unchanged"}

// Unverified is what a Verifier's error wraps where nothing speaks against bytes, and whoever vouches for them could not be asked.
var Unverified error = &millpond.Error{Kind: millpond.BadUpstream, Why: "unverified"}

// An Exempter is a Format some of whose files are opened whatever the rules say: what clients read of versions that they
// do not use, and what belongs to no version at all. option is Tools.Option of the repository. It is pure and cheap: it is
// asked each time a file is opened. Of a Key that has a Package alone it says whether all below that name belongs to no
// package: then patterns of names, in rules, grants and the Names of upstreams, do not count for it either.
type Exempter interface {
	Exempt(k millpond.Key, option func(name string) string) bool
}

// A Claimer is a Format whose names have a claim syntax of their own. Covers reports whether a canonical name falls under
// one claim of the configuration. Without it a claim is a plain pattern.
type Claimer interface {
	Covers(claim, name string) bool
}

// A Provider is a Format some of whose files are installed by names of their own, as a binary package of a source is. Who publishes
// such a file must be allowed to publish its name too; within a scope, as a suite is one, a name is of one package at a time; and what
// is hosted hides what upstreams have of the name, as Tools.Claimed says.
type Provider interface {
	// Provides is the name by which a published file of a package is installed, canonical, and its scope; "" if by none. It is pure
	// and cheap.
	Provides(pkg string, f *millpond.File) (name, scope string)
}

// A Grouper is a Format some of whose versions are forms of one: where layers are joined, all versions of a group come from
// the first layer that has any. It is pure and cheap.
type Grouper interface {
	Group(version string) string
}

// A Fronter is a Format that answers some requests for the root of the server itself.
type Fronter interface {
	// Front answers a GET of the root, if it is one that the format's clients send, and reports whether it was. names are
	// the repositories of the format that the caller may read.
	Front(w http.ResponseWriter, r *http.Request, names []string) bool
}

// A Refuser is a Format whose clients read refusals in words of their own, also of requests that never come to its handler:
// those with a bad credential above all.
type Refuser interface {
	// Refuse answers such a request for a repository of the format, or for no repository that there is, if its clients sent
	// it, and reports whether they did. It goes by the request alone.
	Refuse(w http.ResponseWriter, r *http.Request, now time.Time, err error) bool
}

// What is wrong with a signed request, for formats whose clients are told by a code. An error wraps them that has its own words.
var (
	ErrSignature = errors.New("the signature does not fit")
	ErrSkew      = errors.New("the date is too far from now")
)

// A Looser is a Reader that lists the files of a package which belong to no version. The pond's Repos are Loosers.
type Looser interface {
	// Loose are those whose names begin with prefix and that have not expired, sorted by name. It is for those who may
	// publish the package. No package is NotFound.
	Loose(ctx context.Context, pkg, prefix string) ([]millpond.File, error)
}
