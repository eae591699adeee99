// Package format is the contract between millpond and the ecosystems it speaks, in both directions: what a format teaches
// millpond (Format, Source) and what millpond gives a format's handler (Repo). It imports only the words.
//
// A format is one folder. It reads its upstreams through a Remote, which fetches, retries, remembers and keeps; it serves
// its clients through a Repo, which finds, judges, verifies and records. So a format holds no retry, no permission check
// and no cache of its own: there is no door to put one behind.
package format

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
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

// An Adopted is an upstream that a client of this machine is set up with.
type Adopted struct {
	URL      string // without credentials
	From     string // where it was found, for people: "npm config get registry"
	Username string
	Password string
	Options  map[string]string // of the repository
	Note     string            // what was dropped or should be known; "" if nothing. An Adopted without URL is only a note
}

// A Source turns one upstream's documents into records. It reads through its Remote, stores nothing, and answers
// Unsupported (embed NoSource) to what its ecosystem has no notion of.
//
// NotFound means that the upstream has said so. Whatever the Source cannot make sense of is BadUpstream.
type Source interface {
	// Package reads the upstream's listing of a package: every version, all the files it knows. Where the document has not
	// changed since the listing was last read it may return Unchanged.
	Package(ctx context.Context, name string) (*millpond.Package, error)
	// Version completes a Partial version.
	Version(ctx context.Context, name, version string) (*millpond.Version, error)
	// File locates a file that no index lists, from its name alone if it can; it should ask nobody. Unsupported sends the
	// reader to the listing, NotFound to the next upstream. It is kept under the Name that it is given here.
	File(ctx context.Context, k millpond.Key) (*millpond.File, error)
	// Ref resolves a mutable name now.
	Ref(ctx context.Context, pkg, name string) (millpond.Ref, error)
	// Document reads a further mutable document of a package, which k.File names in the format's own words. Where it is one of
	// several pages it reads them all, and returns the first; see Document.More.
	Document(ctx context.Context, k millpond.Key) (*Document, error)
	// Changes yields the names changed since a cursor, in the upstream's order; "" lists all.
	Changes(ctx context.Context, since string) iter.Seq2[Change, error]
}

type spelling struct{}

// WithSpelling says how a reader spells the package that it asks for, for ecosystems where one package has several spellings
// and an upstream answers to only one of them. It is no more than a hint: one inquiry answers all who ask at the time.
func WithSpelling(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, spelling{}, name)
}

// Spelling is what WithSpelling said; "" if nothing. A Source is told what the reader said who began the inquiry.
func Spelling(ctx context.Context) string {
	name, _ := ctx.Value(spelling{}).(string)
	return name
}

// Unchanged is what Source.Package returns when Document.Unchanged says that there is nothing new to read.
var Unchanged error = &millpond.Error{Kind: millpond.Internal, Why: "unchanged"}

// A Fetcher is a Source whose bytes are not a plain GET of File.URL.
type Fetcher interface {
	Fetch(ctx context.Context, k millpond.Key, w io.Writer) error
}

// A Verifier is a Source that judges bytes by more than digests. It is asked before the bytes are sealed, and answers
// Corrupt to refuse them.
type Verifier interface {
	Verify(ctx context.Context, k millpond.Key, r io.ReaderAt, size int64) error
}

// A Sniffer is a Source that knows a file's content by its first bytes: a captive portal's page is no archive. It is given
// up to 512 bytes, before anything of the file is served, and answers BadUpstream to refuse them.
type Sniffer interface {
	Sniff(k millpond.Key, head []byte) error
}

// An Asker is a Source whose files are asked for in a way of their own.
type Asker interface {
	Asks(k millpond.Key) Asking
}

// Asking is how a file is asked for.
type Asking struct {
	// Accept is the header; "" is */*. A file that is asked for with one keeps the media type that it came with.
	Accept string
	// Scope is what a token is asked for that the upstream may want; "" is none: see Request.
	Scope string
	// Limit is how large the file may be; 0 is no limit of the format's.
	Limit int64
	// Shared says that other packages of the upstream may have the very same file: where its bytes are held for one of them, by
	// the sha256 that is declared, they are not downloaded again once the upstream has said that this package has it too.
	Shared bool
}

// A Newer is a Source that can tell which of two listings is newer, by their package's records. A listing older than the
// kept one is a lagging copy: it is not taken.
type Newer interface {
	Newer(kept, got *millpond.Package) bool
}

// A Leader is a Format that knows from one file which others are wanted with it. Where Tools.Ahead has fetched the file, it
// fetches those as well, one after the other. Leads need not read r, and not to its end. option is Tools.Option of the
// repository.
type Leader interface {
	Leads(k millpond.Key, r io.Reader, option func(name string) string) []millpond.Key
}

// An Exempter is a Format some of whose files are opened whatever the rules say: what clients read of versions that they
// do not use, and what belongs to no version at all. option is Tools.Option of the repository. It is pure and cheap: it is
// asked each time a file is opened.
type Exempter interface {
	Exempt(k millpond.Key, option func(name string) string) bool
}

// A Claimer is a Format whose names have a claim syntax of their own. Covers reports whether a canonical name falls under
// one claim of the configuration. Without it a claim is a plain pattern.
type Claimer interface {
	Covers(claim, name string) bool
}

// A Grouper is a Format some of whose versions are forms of one: where layers are joined, all versions of a group come from
// the first layer that has any. It is pure and cheap.
type Grouper interface {
	Group(version string) string
}

// A Change is a name that an upstream lists.
type Change struct {
	Name    string // canonical
	Display string // as its owner spells it; "" if that is Name
	Cursor  string // to give to Changes next time; "" if the upstream has none
	Time    time.Time
	// Note is what the format's own list says of the name besides, up to 16 MiB; Names passes it on. "" if it says nothing.
	Note string
}

// A Remote is one upstream as a Source may use it. It adds the credentials, bounds, retries and manners.
type Remote interface {
	// Name is the upstream's name, as configured.
	Name() string
	// URL is the upstream's configured address; its path ends in "/". The caller may change the copy.
	URL() *url.URL
	// Option is a setting of the upstream, else of its repository, else the format's default.
	Option(name string) string
	// Now is the time, for judging freshness.
	Now() time.Time
	// Document reads a document: whole, within its limit, conditionally if an older one is kept. What is read is kept if
	// the Source's answer is taken. NotFound is the upstream's own word (404, 410, 451); everything else that is not a
	// document is BadUpstream or Throttled.
	Document(ctx context.Context, r Request) (*Document, error)
	// Open opens a file of this same upstream as a reader of the pond would: held, or fetched, verified and kept. No
	// rule is asked.
	Open(ctx context.Context, k millpond.Key) (*millpond.Content, error)
	// State returns the small state kept under a name for this upstream, nil if there is none.
	State(ctx context.Context, name string) ([]byte, error)
	// SetState keeps it. Two upstreams never share a state.
	SetState(ctx context.Context, name string, state []byte) error
}

// A Request asks for a document.
type Request struct {
	URL    string // absolute, or relative to the upstream's
	Accept string // "" is */*
	Limit  int64  // of the text, after decompression; 0 is 128 MiB
	Fresh  bool   // ask caches on the way to ask the origin (no-cache)
	Empty  bool   // an empty text is an answer; otherwise it is BadUpstream
	// Every is how far apart requests with one may be sent to this upstream, whoever sends them, for questions that it should
	// not be bothered with. One that would wait for more than two seconds is Throttled, and not sent.
	Every time.Duration
	Head  bool // only the header is asked for, by HEAD: the Document has no text, and nothing is kept
	// Scope is what a token is asked for, where the upstream answers with a challenge that names who gives tokens (RFC 6750,
	// as container registries do). One that grants the scope and is then refused for having too little is NotFound. "" takes
	// no such token.
	Scope string
}

// A Document is a text that an upstream gave. It is read at any offset, also after it was kept. Who receives it closes it.
type Document struct {
	io.ReaderAt
	io.Closer
	Size      int64
	Digest    millpond.Digest // of the text
	Type      string          // Content-Type as sent
	URL       *url.URL        // after redirects
	Modified  time.Time
	Unchanged bool   // the same text as when this question was last answered, by the same reading of it
	Layer     string // whose it is
	Header    http.Header
	// More are what Repo.Document's Source has read after it for the same answer, such as further pages, in that order. They
	// are closed with it.
	More []*Document
}

// Reader returns a reader of the whole text.
func (d *Document) Reader() *io.SectionReader { return io.NewSectionReader(d.ReaderAt, 0, d.Size) }

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
	// Claimed reports whether a canonical name is ours, so that no upstream may hear of it.
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

// NoSource answers Unsupported to everything. Embed it, and write what your ecosystem has.
type NoSource struct{}

func unsupported(what string) error {
	return &millpond.Error{Kind: millpond.Unsupported, Why: "this format has no " + what}
}

// Package is Unsupported.
func (NoSource) Package(context.Context, string) (*millpond.Package, error) {
	return nil, unsupported("package listing")
}

// Version is Unsupported.
func (NoSource) Version(context.Context, string, string) (*millpond.Version, error) {
	return nil, unsupported("version document")
}

// File is Unsupported.
func (NoSource) File(context.Context, millpond.Key) (*millpond.File, error) {
	return nil, unsupported("files outside its listings")
}

// Ref is Unsupported.
func (NoSource) Ref(context.Context, string, string) (millpond.Ref, error) {
	return millpond.Ref{}, unsupported("refs outside its listings")
}

// Document is Unsupported.
func (NoSource) Document(context.Context, millpond.Key) (*Document, error) {
	return nil, unsupported("further documents")
}

// Changes yields Unsupported.
func (NoSource) Changes(context.Context, string) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) { yield(Change{}, unsupported("list of names")) }
}

// A Prober is a Remote that tells what its upstream says of a file without giving its bytes. The pond's Remotes are Probers.
type Prober interface {
	// Head asks for the facts of the file at a URL, absolute or relative to the upstream's. Errors are those of Document.
	Head(ctx context.Context, url string) (*Facts, error)
}

// Facts are what an upstream says of a file.
type Facts struct {
	Size     int64     // -1 if it does not say
	URL      *url.URL  // after redirects
	Tag      string    // its entity tag, as sent; "" if it has none
	Modified time.Time // zero if it does not say
	Type     string    // Content-Type as sent
	Header   http.Header
}

// A Sharer is a Repo with a memory for its handlers, which are many: one for each caller. The pond's Repos are Sharers.
type Sharer interface {
	// Shared returns the value of that name, made by make when it is first asked for. All handlers of the repository whose
	// callers may read the same names share it. It is gone when the repository is set up anew, and may be at any time.
	Shared(name string, make func() any) any
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

// A Looser is a Reader that lists the files of a package which belong to no version. The pond's Repos are Loosers.
type Looser interface {
	// Loose are those whose names begin with prefix and that have not expired, sorted by name. It is for those who may
	// publish the package. No package is NotFound.
	Loose(ctx context.Context, pkg, prefix string) ([]millpond.File, error)
}

// A Walk says where a List begins and ends.
type Walk struct {
	Prefix string // only names that begin with it
	After  string // only names that come after it
}

// A Listed is a name as List tells of it.
type Listed struct {
	Name    string
	Layer   string        // "" is hosted, else the upstream it is held of
	Version string        // the one last published, of those that are not deleted
	File    millpond.File // its first file by name
}
