// Package millpond holds the words that the whole house speaks: keys, records, digests, verdicts and errors.
//
// It imports only the standard library and does nothing: no network, no files, no clock. Every other package says what it
// means in these words, so they are the one vocabulary to learn before reading anything else. docs/terms.md explains them
// in prose.
package millpond

import (
	"context"
	"encoding/json"
	"io"
	"time"
)

// A Key addresses a package, a version or a file in a repository. Version is "" where a protocol names files directly;
// File is "" where a whole version is meant. All three are canonical: what a format's Parse made of a request.
type Key struct{ Package, Version, File string }

// String is the key as people read it: "requests 2.31.0 requests-2.31.0.tar.gz".
func (k Key) String() string {
	s := k.Package
	for _, part := range []string{k.Version, k.File} {
		if part == "" {
			continue
		}
		if s != "" {
			s += " "
		}
		s += part
	}
	return s
}

// A Package is one name and the versions its reader may see, newest first.
type Package struct {
	Name     string
	Parts    []Part    // what each layer that knows the name said of it, first layer first
	Versions []Version // newest first, by the format's Compare
	Refs     []Ref
	Hidden   []Hidden // versions that the rules keep from this reader, for formats that say so
	Blocked  string   // why nothing of this package may be opened; "" if it may

	// Incomplete says that this is not the whole listing but what one question was about: one version, often one file.
	Incomplete bool

	// Stamp changes whenever what the reader may see changes: new records, new rules, or a hold that ran out.
	Stamp string
	// Fresh is until when no upstream will be asked again; zero for a package that is hosted only.
	Fresh time.Time
}

// A Part is one layer's word on a package as a whole.
type Part struct {
	Layer    string          // "" is hosted, else the upstream's name
	Document Digest          // the upstream's document as it was kept; zero if none was
	Meta     json.RawMessage // the format's own record of the package; opaque to everyone else
	// Latest is a time after which none of its versions was published; zero if the upstream does not say.
	Latest time.Time
}

// Version returns the version of that exact name, or nil.
func (p *Package) Version(name string) *Version {
	for i := range p.Versions {
		if p.Versions[i].Name == name {
			return &p.Versions[i]
		}
	}
	return nil
}

// A Version is one immutable release. All its files come from one layer.
type Version struct {
	Name       string
	Layer      string    // "" is hosted, else the upstream's name
	Published  time.Time // zero if the upstream does not say
	Seen       time.Time // when this pond first saw it
	Prerelease bool
	Yanked     bool            // withdrawn: still served, but not to be chosen
	YankedWhy  string          // the words that came with it; "" if there were none
	Partial    bool            // an index named it, nothing has described it yet
	Licence    string          // as its publisher wrote it; "" if not known
	Files      []File          // what can be downloaded
	Meta       json.RawMessage // the format's own record; opaque to everyone else
}

// File returns the file of that exact name, or nil.
func (v *Version) File(name string) *File {
	for i := range v.Files {
		if v.Files[i].Name == name {
			return &v.Files[i]
		}
	}
	return nil
}

// A File is one downloadable part of a version. To catalogue it says nothing about having its bytes.
type File struct {
	Name      string
	In        []string // of a file found by its name alone: the versions known to need it, as any one of which it may be opened; nil if it belongs to none
	Of        string   // the file of this version that it describes or vouches for, as which it is judged; "" if it stands alone
	Platform  string   // "" if it suits all
	Size      int64    // -1 if not known
	Digests   []Digest // as its publisher declared them, strongest first
	Blob      Digest   // the bytes held here; zero until they are
	URL       string   // where its upstream keeps it, absolute; "" if hosted
	Type      string   // media type; "" if its format answers one type for all files
	Published time.Time
	Seen      time.Time // when this pond first saw it; zero means: with its version
	YankedWhy string
	Yanked    bool
	Vanished  bool            // its upstream lists it no more: left out of indexes, still served if held
	Corrupt   bool            // its upstream gave bytes that are not the declared ones, and none are held
	Meta      json.RawMessage // the format's own record; opaque to everyone else
}

// A Ref is a mutable name, within a package, for an immutable thing: tag, branch, suite, dist-tag, @latest.
type Ref struct {
	Name, Target string
	Layer        string    // whose word it is; "" is hosted
	Checked      time.Time // when its layer last said so
}

// A Hidden is a version that the rules keep from a reader, and the words why.
type Hidden struct {
	Version Version
	Why     string
	After   time.Time // when the rule that hides it will stop doing so; zero if never by itself
	Taken   bool      // it was taken down: no index may list it, whatever it lists of hidden versions
}

// Content is open bytes and what a response must say of them. While bytes are still arriving Read blocks for more, and it
// returns io.EOF only after they are verified. Whoever receives a Content closes it.
type Content struct {
	// The bytes. A held blob on disk is an *os.File here, unwrapped, so that a response can leave by sendfile. It is nil
	// if Location is set.
	io.ReadSeekCloser
	Size     int64     // -1 if not known before the end
	Digest   Digest    // of the bytes; while they arrive the strongest declared one, or zero
	Digests  []Digest  // further ones that are known of held bytes: those that were declared. Not to be changed
	Type     string    // media type; "" leaves it to the format
	Encoding string    // Content-Encoding; only derived documents have one
	Modified time.Time // never changes for the same bytes; zero while they are not verified
	Entity   string    // the entity tag that the format gives the bytes, quoted; "" makes one of Digest
	Growing  bool      // bytes are still arriving: the body is an Arriving
	Location string    // the bytes are to be had there, not here: answer with a redirect

	// Damaged, if not nil, is to be told when reading held bytes fails or ends early, so that they are set aside.
	Damaged func(error)
}

// Tag is the strong entity tag of the bytes, quoted; "" while it is not known. Every encoding has bytes of its own, and so
// a tag of its own.
func (c *Content) Tag() string {
	if c.Entity != "" {
		return c.Entity
	}
	if c.Digest.Algorithm() != "sha256" {
		return ""
	}
	return `"` + c.Digest.Hex()[:40] + `"`
}

// Arriving is the body of a Content whose bytes are still on their way.
type Arriving interface {
	io.ReadSeekCloser
	// Arrived is how many bytes from the start can be read without waiting.
	Arrived() int64
	// Await waits until Arrived is at least n or the bytes are complete and verified, and reports whether that came to be
	// before ctx ended.
	Await(ctx context.Context, n int64) bool
}

// An Actor is who asks, and by what: what an event says of whoever made the change.
type Actor struct {
	Name    string // a person, a service, "pond" for what it does by itself; "" is anonymous
	Token   string // the id of the token used; "" if it was none
	Client  string // the network address
	Request string // the id of the request, as the request log has it
	// Claims are what the issuer of a CI job's identity says of the job, a JSON object: every event of a publish carries
	// them. Nil if it is no job.
	Claims json.RawMessage
}

// An Event is one change, as the log tells it. Events and the changes they tell of are one transaction.
type Event struct {
	Epoch int64 // which life of the log: a restore from a backup begins another
	Seq   int64 // 1, 2, 3 … without gaps, in the order of the transactions
	Time  time.Time
	Actor
	Verb       string // publish, yank, delete, corrupt, replaced, vanished, hidden …
	Repository string
	Layer      string // the upstream concerned; "" is hosted
	Key        Key
	Detail     json.RawMessage // more about it, a JSON object; nil if there is nothing more to say
	Hash       Digest          // of the log up to and with this event
}

// A Verb is what a caller does, and may or may not do. Every route and every door of a repository declares one.
type Verb string

// The verbs.
const (
	VerbRead      Verb = "read"      // see and download
	VerbPublish   Verb = "publish"   // bring a new version, file or ref
	VerbOverwrite Verb = "overwrite" // bring other bytes for a version that exists, in a volatile repository
	VerbMove      Verb = "move"      // point a ref that exists elsewhere
	VerbYank      Verb = "yank"      // amend what a record says: withdrawn, deprecated, its owners
	VerbDelete    Verb = "delete"    // remove, and restore
	VerbPromote   Verb = "promote"   // bring into this repository what another one hosts
	VerbGrant     Verb = "grant"     // members, tokens of services, claims, publisher rules
	VerbRule      Verb = "rule"      // policy, waivers, release of a hold
	VerbOperate   Verb = "operate"   // upstreams, sweep, check, takedown; no VerbRead by itself
	VerbAudit     Verb = "audit"     // read all events and verify them
	VerbFollow    Verb = "follow"    // the feed and blobs by digest, for edges
)

// Verbs are all verbs.
func Verbs() []Verb {
	return []Verb{VerbRead, VerbPublish, VerbOverwrite, VerbMove, VerbYank, VerbDelete, VerbPromote, VerbGrant, VerbRule, VerbOperate, VerbAudit, VerbFollow}
}
