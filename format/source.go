package format

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"millpond"
)

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

// A Fetcher is a Source whose bytes are not a plain GET of File.URL.
type Fetcher interface {
	Fetch(ctx context.Context, k millpond.Key, w io.Writer) error
}

// A Verifier is a Source that judges bytes by more than digests. It is asked before the bytes are sealed, and answers
// Corrupt to refuse them. With an error that is Unverified they are kept, and it is asked about them again later: then too
// Corrupt refuses them, and they are dropped.
type Verifier interface {
	Verify(ctx context.Context, k millpond.Key, r io.ReaderAt, size int64) error
}

// A Prover is a Verifier that has worked out digests on its way. It is asked after its Verify found the bytes right: what it
// says is kept with them, and is in the Content of who opens them later.
type Prover interface {
	Proved() []millpond.Digest
}

// A Sniffer is a Source that knows a file's content by its first bytes: a captive portal's page is no archive. It is given
// up to 512 bytes, before anything of the file is served, and answers BadUpstream to refuse them.
type Sniffer interface {
	Sniff(k millpond.Key, head []byte) error
}

// A Hearer is a Source that is told what the header of an answer says which brings a file's bytes, before they are read: it
// may declare digests that Verify compares. Of a download that begins anew the last header counts.
type Hearer interface {
	Hear(k millpond.Key, header http.Header)
}

// A Preparer is a Source whose Verify asks for more than the file, and may as well ask for it while the file comes.
type Preparer interface {
	// Prepare asks for what Verify will want of a file whose download begins, and returns when it is held or cannot be had.
	// Verify of the same Source runs beside it, or after it, or never: of the Remote it uses Open, Option and the states alone.
	Prepare(ctx context.Context, k millpond.Key)
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

// A Change is a name that an upstream lists.
type Change struct {
	Name    string // canonical
	Display string // as its owner spells it; "" if that is Name
	Cursor  string // to give to Changes next time; "" if the upstream has none
	Time    time.Time
	// Layer is whose list it stands in, as Names tells: as Version.Layer has it. Cursors of two layers mean nothing to each other.
	Layer string
	// Below are, where Names has brought lists together, the cursors of the same name in further layers that join those above.
	Below []Cursor
	// Note is what the format's own list says of the name besides, up to 16 MiB; Names passes it on. "" if it says nothing.
	Note string
}

// A Cursor is that of a Change, and whose it is.
type Cursor struct{ Layer, Cursor string }

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
	// Before is the text that this one would take the place of; nil if none is kept, or it is Unchanged. A Source that finds
	// it to be the newer of the two answers Unchanged.
	Before *Document
	// More are what Repo.Document's Source has read after it for the same answer, such as further pages, in that order. They
	// are closed with it.
	More []*Document
}

// Reader returns a reader of the whole text.
func (d *Document) Reader() *io.SectionReader { return io.NewSectionReader(d.ReaderAt, 0, d.Size) }

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

// A Fresher is a Remote that can be told how long its upstream's word is good, where the upstream itself says so. The pond's
// Remotes are Freshers.
type Fresher interface {
	// Fresh says that what is being read need not be asked for again for so long. It counts where the repository's operator
	// has not said how long.
	Fresh(d time.Duration)
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
