package format

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"millpond"
)

// Repo is one repository as one caller may use it: what the caller may not do, it answers Denied. A handler therefore
// holds no permission checks, and cannot forget one.
type Repo interface {
	Reader
	Writer
	Accounts
	Tools
}

// Reader reads a repository: hosted layer, then upstreams in order, then the rules.
//
// A name is NotFound only when every layer has said so. Names are canonical.
//
// What a client's Cache-Control wants is the repository's to see to: with no-cache what is read rests on words of upstreams
// that are a few seconds old at most, where they can be asked. A handler does nothing for it.
type Reader interface {
	// Package is the view of one package.
	Package(ctx context.Context, name string) (*millpond.Package, error)
	// Stamp is the Stamp and Fresh of that view, without building it where it is known. Stamp(ctx, "") is of Names.
	Stamp(ctx context.Context, name string) (stamp string, fresh time.Time, err error)
	// Refresh reads a package's listing again where upstreams may be asked about it, though it is fresh: for clients that
	// insist, or expect something else than is listed. It does so at most every ten seconds a package, and an upstream that
	// is ill is no error: then all is as it was.
	Refresh(ctx context.Context, name string) error
	// Open opens a file: held, or on its way. Rules are judged here. Version may be empty where File is unique in the
	// package. The caller closes it.
	Open(ctx context.Context, k millpond.Key) (*millpond.Content, error)
	// Stat is Open without the bytes: of what is not held it tells what the records say, with the body nil.
	Stat(ctx context.Context, k millpond.Key) (*millpond.Content, error)
	// Ref resolves a mutable name that no listing gives.
	Ref(ctx context.Context, pkg, name string) (millpond.Ref, error)
	// Document reads a further document of a package from the first layer that has it; see Source.Document. Rules on k's
	// version are judged.
	Document(ctx context.Context, k millpond.Key) (*Document, error)
	// Kept opens the document that a Part names. It is to be had for as long as that part is in a view, and a day more.
	Kept(ctx context.Context, p millpond.Part) (*Document, error)
	// Names yields the names a reader may see, sorted, each once. It asks an upstream for its list only if it is called.
	Names(ctx context.Context) iter.Seq2[Change, error]
	// Records yields what is hosted, here and in the repositories below, under longer names that begin with prefix and that a
	// reader may see: sorted within each repository. It asks nobody, and makes no view: for documents about many packages.
	Records(ctx context.Context, prefix string) iter.Seq2[Record, error]
	// Held is the same repository seen without its upstreams: only what is held here, nobody asked.
	Held() Repo
}

// A Record is what is hosted under one name, apart from its versions.
type Record struct {
	Name, Display string
	Meta          json.RawMessage // the format's own record of the package
	Changed       time.Time
}

// Tools are what a protocol needs beyond records and bytes.
type Tools interface {
	// Derive returns the document of that name and stamp in one encoding, written by write if it was not yet. It is
	// written once, whoever asks meanwhile waits. A document derived from another stamp of the same name is forgotten.
	Derive(ctx context.Context, d Derivation, write func(io.Writer) error) (*millpond.Content, error)
	// Relay sends a question upstream and returns the answer, which is not kept. The URL is relative to the upstream's,
	// and the layers are asked in order until one does not say NotFound. The caller closes the body.
	Relay(ctx context.Context, r Question) (*http.Response, error)
	// Claimed reports whether a canonical name is ours, so that no upstream may hear of it: a claim covers it, or what is
	// hosted under it here, or in a repository that this one reads through, hides what upstreams have. Whoever may not read
	// it is told the same.
	Claimed(name string) bool
	// Ruled reports whether there are rules that could have a word in what this repository shows.
	Ruled() bool
	// Ahead starts fetching files that a client is likely to ask for next. It never blocks, and may do nothing.
	Ahead(ctx context.Context, keys ...millpond.Key)
	// Seldom reports true for a word at most once in a period, whoever asks: for what clients are told, but not each time.
	// It is forgotten when the pond stops, and when very many words are remembered.
	Seldom(word string, every time.Duration) bool
	// Option is a setting of the repository, else the format's default.
	Option(name string) string
	// Base is the repository's address as this client knows it: absolute, its path ends in "/".
	Base(r *http.Request) *url.URL
	// Root is the address of the server's root as this client knows it; where the repository is the root, it is Base. See
	// PlaceOf for the format's Roots.
	Root(r *http.Request) *url.URL
	// Name is the repository's name.
	Name() string
	// Now is the time.
	Now() time.Time
	// Public reports whether anonymous callers may read, so that shared caches may keep answers.
	Public() bool
}

// A Derivation names a document that is computed from records.
type Derivation struct {
	Name     string // within the repository: "simple/requests.json"
	Stamp    string // of the view it is computed from
	Type     string // Content-Type
	Encoding string // "", "gzip" or "zstd"
	// Have is an If-None-Match: the document may be given without its body if it is what the asker has.
	Have string
	// Keep is how many documents of the same name, derived from other stamps, stay: for readers who began with one of them.
	// What has a Keep outlives a stop of the pond.
	Keep int
	// Linger is for how long one of them stays in any case after the next was derived. It wants a Keep.
	Linger time.Duration
}

// A Question is a request to be relayed.
type Question struct {
	Method, URL string
	Type        string // Content-Type of Body
	Accept      string
	Body        []byte
	Limit       int64 // of the answer; 0 is 16 MiB
}

// A LastKnower is a Reader that tells what a package was when it was last looked at. The pond's Repos are LastKnowers.
type LastKnower interface {
	// LastKnown is Package as Open finds files in it: however old, and upstreams are asked only where nothing was ever known.
	// Nothing is noted of the request.
	LastKnown(ctx context.Context, name string) (*millpond.Package, error)
}

// A Sharer is a Repo with a memory for its handlers, which are many: one for each caller. The pond's Repos are Sharers.
type Sharer interface {
	// Shared returns the value of that name, made by make when it is first asked for. All handlers of the repository whose
	// callers may read the same names share it. It is gone when the repository is set up anew, and may be at any time.
	Shared(name string, make func() any) any
}

// An Asider is a Repo that is asked about several things at once for one request. The pond's Repos are Asiders.
type Asider interface {
	// Aside is ctx for one of several goroutines: what it is about is not noted of the request. It is made before they begin.
	Aside(ctx context.Context) context.Context
}

// An Observer is a Repo for handlers that keep a text about all names up to date. The pond's Repos are Observers.
type Observer interface {
	// Changed tells which names of what is hosted, here and in the repositories below, have changed since it gave a mark,
	// and the mark to give next; "" begins. ok is false if it cannot tell: then all of them may have. A name is told after
	// its change is made, perhaps twice.
	Changed(mark string) (names []string, next string, ok bool)
	// Below is Stamp(ctx, "") without what is hosted here: it stands while only such names change as Changed tells.
	Below(ctx context.Context) (stamp string, err error)
	// Recall returns what was last remembered under a name, also before the pond was started anew; nil if there is nothing.
	// It may be lost at any time. Nothing is remembered for callers who may not read all names.
	Recall(ctx context.Context, name string) ([]byte, error)
	// Remember keeps a text of up to 1 MiB. That there is no room is no error.
	Remember(ctx context.Context, name string, text []byte) error
}

// A Historian is a Repo that tells which forms of a document are kept. The pond's Repos are Historians.
type Historian interface {
	// Forms are those of a document that was derived with a Keep, latest first, and of one moment the greater stamp first.
	// They may be lost at any time, as everything derived: newest first or not.
	Forms(ctx context.Context, name string) ([]Form, error)
	// Readership is a word that all callers have in common who may read the same names: for names of documents that are
	// made of many packages. It is "all" for those who may read everything.
	Readership() string
}

// A Form is a document as it was derived from one stamp.
type Form struct {
	Stamp string
	Made  time.Time
}

// A Judger is a Repo that says what its rules and takedowns make of a file that no record lists: for indexes that are made
// of an upstream's own. The pond's Repos are Judgers.
type Judger interface {
	// Judge is the error with which opening the file would be refused, by what its key and record say; nil if by nothing.
	// The answer is good until a time, if that is not zero, and for as long as Judging is the same. It asks nobody and looks
	// nothing up: a rule that needs more than that refuses.
	Judge(k millpond.Key, f *millpond.File) (until time.Time, err error)
	// Judging changes when rules, takedowns, claims or the caller's rights do.
	Judging() string
	// ByRelease reports whether some takedown of a package is about one release of a distribution: then the Key of a file must tell
	// what Distributor.Ships goes by.
	ByRelease(pkg string) bool
}

// A Lister is a Reader that yields names in order from any of them on, without a list of them all. The pond's Repos are
// Listers.
type Lister interface {
	// List yields the names that the caller may see of what is hosted, and of what is held of upstreams, in byte order, each
	// once. It asks nobody, and judges by name alone.
	List(ctx context.Context, w Walk) iter.Seq2[Listed, error]
}

// A Gatherer is a Reader that asks every layer for the same document. The pond's Repos are Gatherers.
type Gatherer interface {
	// Documents is Document of each upstream, in order, those of repositories below too: with an error where that one has none,
	// or cannot be asked. The caller closes each.
	Documents(ctx context.Context, k millpond.Key) iter.Seq2[*Document, error]
}

// A Walk says where a List begins and ends.
type Walk struct {
	Prefix string // only names that begin with it
	After  string // only names that come after it
	Few    bool   // one or two are wanted, most likely
}

// A Listed is a name as List tells of it.
type Listed struct {
	Name    string
	Layer   string        // "" is hosted, else the upstream it is held of
	Version string        // the one last published, of those that are not deleted
	File    millpond.File // its first file by name: Name, Size, Digests, Blob, Type, Published, Yanked and Meta; not to be changed
}

// IsHosted reports whether a layer, as a Part or a Version has it, is one that was published to: ours, or that of a repository
// which this one reads through to, whose layers end in a slash. Any other is an upstream's.
func IsHosted(layer string) bool { return layer == "" || strings.HasSuffix(layer, "/") }
