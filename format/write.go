package format

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/url"
	"time"

	"millpond"
)

// Writer changes the hosted layer of a repository. Each call but those of an Upload is one transaction and one event, or
// fails and has changed nothing. What the caller may not do is Denied, or Unauthenticated if the caller is nobody; it is
// judged before anything is looked up. A repository that takes no publishes answers Unsupported.
//
// Names and versions are canonical, as for Reader.
type Writer interface {
	// May reports, as the error that Publish would return, whether the caller may publish something of that name: to be
	// asked before a body is read. Denied also for a name that an upstream has and that is neither hosted nor claimed here.
	May(ctx context.Context, v millpond.Verb, pkg string) error
	// Upload begins a blob that a Release will name. Full if there is no room, TooLarge over the repository's limit. Bytes
	// that nothing names within a day are swept.
	Upload(ctx context.Context, u Uploading) (Upload, error)
	// Resume goes on with an upload that was closed without Commit. NotFound for an unknown one and for anybody else's;
	// Conflict while another request writes to it.
	Resume(ctx context.Context, id string) (Upload, error)
	// Publish makes a release, or more files of one, visible: see Release.
	Publish(ctx context.Context, r Release) (*Receipt, error)
	// Amend changes what the records say of a package: see Amendment. NotFound if nothing of that name is hosted.
	Amend(ctx context.Context, a Amendment) error
	// Move points refs elsewhere; a Target of "" removes one. A ref that is not there yet wants VerbPublish, another one
	// VerbMove. NotFound if a target is not a version that is hosted.
	Move(ctx context.Context, pkg string, refs ...millpond.Ref) error
	// Delete removes a file, a version or a package: see Deletion. Unsupported where the repository does not allow it.
	Delete(ctx context.Context, d Deletion) error
	// Restore brings back what was deleted and is not purged: Gone if it is, Conflict if its name was taken since.
	Restore(ctx context.Context, k millpond.Key) error
	// Hosted is the package as it is hosted, for those who may publish it: no rule hides anything of it, no other layer
	// has a word in it. NotFound if nothing of that name is hosted.
	Hosted(ctx context.Context, name string) (*Hosting, error)
	// Other is another repository of the same format as the same caller uses it; an error as for one that is absent if the
	// caller may not read it. A blob of its files may be named in a Release here.
	Other(ctx context.Context, repository string) (Repo, error)
	// Secret returns the repository's secret of that name, made by make when it is first asked for: a key to sign with. It
	// is kept apart from records and backups, and leaves the process in no answer, log or event.
	Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error)
}

// Uploading says what an upload is for.
type Uploading struct {
	Package    string
	Size       int64    // -1 if it is not known
	Algorithms []string // that Commit will be asked for, besides sha256
	// Kept is how long its bytes can be resumed after they were last closed, give or take a minute; 0 is a day.
	Kept time.Duration
	// Anyone lets all who may publish the package go on with it, not only who began it.
	Anyone bool
	Note   string // what Uploads says of it
}

// An Upload is a blob on its way in. One goroutine uses it.
type Upload interface {
	io.Writer   // Full, TooLarge
	io.ReaderAt // of what was written, until Close, also after Commit
	// ID names the upload for Resume.
	ID() string
	// Package is what it was begun for.
	Package() string
	// Size is how much was written.
	Size() int64
	// Check is Corrupt if what was written so far has not every digest in want. The bytes stay, for more or for Commit.
	Check(ctx context.Context, want ...millpond.Digest) error
	// Commit seals the bytes, durably, and returns their sha256. Corrupt, and nothing is kept, if they have not every
	// digest in want.
	Commit(ctx context.Context, want ...millpond.Digest) (millpond.Digest, error)
	// Discard drops the bytes.
	Discard() error
	// Close ends the use. Without Commit or Discard the bytes are kept for Resume.
	io.Closer
}

// A Resumer is a Writer that lists what is unfinished. The pond's Repos are Resumers.
type Resumer interface {
	// Uploads are the uploads that were closed without Commit and with which the caller may go on, of packages whose names
	// begin with prefix, by name and then by age.
	Uploads(ctx context.Context, prefix string) ([]Unfinished, error)
}

// Unfinished is an upload that may be resumed.
type Unfinished struct {
	ID, Package, Note string
	Begun             time.Time
}

// A Placer is an Upload that also takes bytes ahead of those written so far, each at its own place. What was placed belongs to
// the upload once it is taken; Commit drops what was not. PlaceAt, ReadAt and Flush may be called by many goroutines at once.
// ReadAt reads what was placed as well; where nothing was, it reads zeros. All methods are Unsupported where the store takes
// bytes in order only; the pond's Uploads are Placers.
type Placer interface {
	// PlaceAt keeps p at off, which is not before Size. Full and TooLarge as for Write.
	PlaceAt(p []byte, off int64) error
	// Flush makes durable what was written and placed so far.
	Flush() error
	// Take makes the first size bytes the upload's, which were all written or placed. They stay as they are from then on.
	// Nothing changes where they are the upload's already.
	Take(ctx context.Context, size int64) error
	// Rewind makes the first size bytes all that are the upload's, which were written or taken before: what is behind them
	// counts as placed. After Resume all bytes are the upload's, until it is called.
	Rewind(size int64) error
	// Sum is the sha256 of the bytes that are the upload's: what Commit would return.
	Sum(ctx context.Context) (millpond.Digest, error)
}

// A Release is what Publish makes visible.
//
// A version that is there already with the very same files is published again without any change: the receipt says so. One
// with other files is Conflict, whose words say who published it and when; a number that was deleted is Gone. Where the
// repository is volatile and the caller may overwrite, the new files replace the old.
type Release struct {
	Package string
	Display string // the name as its publisher spells it; "" leaves it
	// Version has its Files' Name, Blob, Size, Digests and what else the format wants to see again. Published is set here
	// if it is zero, Seen and Layer always. Its Name may be "": files that belong to no version.
	Version millpond.Version
	Refs    []millpond.Ref  // to be set in the same transaction, as VerbPublish; a Target of "" removes one
	Meta    json.RawMessage // the format's record of the package; nil leaves it
	// Grows lets the version be there already: its other files stay, and files of the same name must have the same bytes.
	Grows bool
	// Replaces lets files of the same name have other bytes, for documents that are mutable by the format's own rules. It
	// asks for VerbOverwrite unless the repository is volatile.
	Replaces bool
	// ByDigest says that versions and files are named by digests of their bytes, so that a name can never mean anything
	// else: what was deleted may be published again, and publishing what is there already sets the Refs all the same.
	ByDigest bool
	// Loose is how long files that belong to no version are kept unless published again, with neither event nor record of
	// a change; 0 is for ever. Such a file may come again after it was deleted: it has no number that would be taken.
	Loose time.Duration
	// Settle, if not nil, is called in the transaction with the package as it is hosted at that moment (nil if nothing of
	// the name is) and may complete the release or refuse it. It may be called more than once.
	Settle func(now *Hosting, r *Release) error
	// Detail is what the event shall say besides: a JSON object, or nil.
	Detail json.RawMessage
}

// A Receipt says what Publish has done.
type Receipt struct {
	Version *millpond.Version // as it is hosted now
	New     bool              // false if all of it was there already
}

// A Hosting is a package as it is hosted.
type Hosting struct {
	millpond.Package // Parts[0].Meta is the format's record of it
	Display          string
	Merge            string // "hide" or "union": what becomes of other layers' versions
	Changes          int64  // how often it was changed
	Created, Changed time.Time
	Loose            []millpond.File   // files that belong to no version, and have not expired as far as is known
	Deleted          []Deleted         // what is no longer there, and whose names stay taken
	By               map[string]string // version to who published it
}

// A Deleted is a version or file that was deleted.
type Deleted struct {
	Version, File string // File is "" for a whole version
	Time          time.Time
	By, Why       string
}

// An Amendment changes what the records of a package say, and neither its files nor their bytes.
type Amendment struct {
	Package       string
	Version, File string // what it is about, for the event; "" for the package
	Verb          string // of the event: "yank", "deprecate"; "" is "amend"
	Why           string // for the event
	// Edit changes the package as it is hosted at that moment, in the transaction: Parts[0].Meta, Display, and of versions
	// and files Yanked, YankedWhy, Licence, Prerelease and Meta. Other changes are Internal errors. It may be called more
	// than once.
	Edit func(now *Hosting) error
}

// A Deletion removes a package (Version and File ""), a version (File "") or a file. Refs that point at what is removed go
// with it, unless Refs point them elsewhere.
type Deletion struct {
	Key  millpond.Key
	Why  string
	Refs []millpond.Ref // to be set in the same transaction
	// Settle, if it is not nil, is called in the transaction with the package as it then is, of which nothing is removed yet,
	// and may set Refs. An error of it is Delete's, and nothing was removed.
	Settle func(now *Hosting, d *Deletion) error
}

// Accounts are what clients do about themselves inside their own protocol: log in, list tokens, ask who they are.
type Accounts interface {
	// Who is the caller; a Name of "" is anonymous.
	Who() millpond.Actor
	// Login checks a password and makes a token of that person, for what t says: the zero Token is for whatever the person may.
	// Unauthenticated if the two do not fit, Throttled after too many tries, Unsupported where people log in elsewhere (the
	// Hint says where).
	Login(ctx context.Context, name, password string, t Token) (*Token, error)
	// BeginLogin begins a login in a browser.
	BeginLogin(ctx context.Context) (*LoginTicket, error)
	// PollLogin returns the token once the person has logged in; Throttled, whose After says when to ask again, before
	// that; NotFound for a ticket that is unknown, expired or was redeemed.
	PollLogin(ctx context.Context, ticket string) (*Token, error)
	// Tokens lists the caller's tokens, without their secrets. Unauthenticated for anonymous.
	Tokens(ctx context.Context) ([]Token, error)
	// NewToken makes a token of the caller's, never wider nor longer-lived than what the caller came with. Its Secret is
	// shown this once.
	NewToken(ctx context.Context, t Token) (*Token, error)
	// Revoke ends a token of the caller's by its ID or its secret. NotFound if the caller has no such token.
	Revoke(ctx context.Context, token string) error
	// Exchange makes a short token for publishing out of a CI job's identity token, for the packages of this repository
	// that the job's publisher rules name; pkg "" is all of them.
	Exchange(ctx context.Context, identity, pkg string) (*Token, error)
}

// A Token is what a client proves itself with.
type Token struct {
	ID      string
	Secret  string // whole, as a client sends it; only of a new one
	S3      string // the secret access key whose id is ID, for clients that sign as S3's do; only of a new one
	Name    string // what its owner calls it
	Owner   string
	Created time.Time
	Used    time.Time // about when it was last used; zero if never
	Expires time.Time // zero asks for the default
	// What it is for; empty is whatever its owner may.
	Verbs        []millpond.Verb
	Repositories []string // patterns
	Names        []string // patterns of packages
}

// A Linker is a Repo that makes signed links: addresses that carry the caller's right to one thing, for a time. The pond's
// Repos are Linkers.
type Linker interface {
	// SignLink returns the query that makes an address a link. Denied if the caller may not do it, or has no token that the
	// link could end with; Invalid beyond 7 days. It is one event.
	SignLink(ctx context.Context, l Link) (url.Values, error)
}

// A Steward is a Repo whose clients say inside their own protocol who may publish a package that is hosted. What they say are
// the pond's own grants. The pond's Repos are Stewards.
type Steward interface {
	// Owners are who may publish the package, sorted: people and services by their names, groups as "group:NAME". It is for
	// those who may publish it themselves. NotFound if nothing of that name is hosted.
	Owners(ctx context.Context, pkg string) ([]string, error)
	// AddOwner makes somebody an owner of the package alone, and of nothing else; false if they were. Denied unless the
	// caller may grant that; NotFound if there is nobody of that name.
	AddOwner(ctx context.Context, pkg, name string) (bool, error)
	// RemoveOwner takes that back. NotFound for who is no owner; Conflict for who may publish the package by a grant of more
	// than it, which is to be taken back where it was given.
	RemoveOwner(ctx context.Context, pkg, name string) error
}

// A Link is what a link is for.
type Link struct {
	Method  string    // GET, which is HEAD too, or PUT
	Path    string    // below the repository, unescaped, with its first slash
	Package string    // whose right is asked
	Prefix  bool      // everything below Path, which ends in a slash
	Expires time.Time // zero is in an hour
	Version string    // for the handler: which bytes
	Most    int64     // for the handler: how many bytes may be put; 0 is no limit
}

// A LoginTicket is a login in a browser that is under way.
type LoginTicket struct {
	ID      string // for PollLogin
	URL     string // where the person logs in, absolute
	Expires time.Time
	Every   time.Duration // how often to poll
}

// A Welcomer is a Format whose clients log in at the repository itself: who is nobody yet is let in to do it, also where only
// somebody may read. Welcomes reports whether a request, of a path below the repository as it was sent, is one of a login or
// of an exchange of identities. It is pure and cheap. What the request then gets at is its caller's Accounts; everything else
// of the repository is refused as ever.
type Welcomer interface {
	Welcomes(method, escapedPath string) bool
}

// A Blocker is a Format whose record of a hosted package can say that nothing of it may be opened. Blocked returns why, ""
// if all may, of the record that its own Release or Amendment has set. It is pure and cheap.
type Blocker interface {
	Blocked(name string, meta json.RawMessage) string
}

// A Retainer is a Format whose options say what of the hosted goes, by age and by number.
type Retainer interface {
	// Retain yields what is to go, of all packages that are hosted in a repository with these options: a version, or a
	// package as a whole. all yields them in order. It is pure: the time is an argument.
	Retain(now time.Time, option func(name string) string, all iter.Seq2[*Hosting, error]) iter.Seq2[millpond.Key, error]
}

// A Publisher is a Format whose packages can be published from one file, as people hand it to the command line: a wheel, a
// tarball, a module's zip.
type Publisher interface {
	// PublishFile reads the file, checks it as it does what its clients send, and publishes it through r. It returns what
	// was published.
	PublishFile(ctx context.Context, r Repo, f PublishedFile) (*Published, error)
}

// A PublishedFile is a file given to be published.
type PublishedFile struct {
	Name    string            // without folders
	Size    int64             // -1 if not known
	Options map[string]string // the format's own, such as a suite
	Body    io.Reader
}

// Published says what came of it.
type Published struct {
	Key millpond.Key
	New bool // false if it was there already
}

// A Packer is a Publisher that makes such a file out of a folder, or of a version of it that its version control knows.
type Packer interface {
	// Pack writes the file and returns its name. m is the computer where the folder is; version is "" for what the folder
	// itself says.
	Pack(ctx context.Context, m Machine, folder, version string, w io.Writer) (name string, err error)
}
