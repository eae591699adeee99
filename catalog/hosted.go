package catalog

import (
	"encoding/json"
	"iter"
	"time"

	"millpond"
)

// Hosted are the records of what was published here. What was deleted stays as a record without being served: its number
// is taken, its name hides the upstreams, and its bytes are named until Purged.
//
// Everything that a method returns is the caller's own.
type Hosted interface {
	// HostedPackage returns the record of a name, or NotFound if nothing was ever published under it.
	HostedPackage(repository, name string) (*HostedPackage, error)
	// PutHostedPackage replaces the record. Its Changes is raised by one, and set in p: it counts what was done to the
	// package.
	PutHostedPackage(p *HostedPackage) error
	// FreeHostedPackage forgets a name and all that belongs to it. Conflict while a version of it is not deleted, or a file
	// that belongs to none; NotFound if there is no such record.
	FreeHostedPackage(repository, name string) error
	// HostedRepositories lists the repositories that anything was ever published in, configured now or not, sorted.
	HostedRepositories() ([]string, error)
	// HostedNames yields the packages of a repository after a name, sorted by name.
	HostedNames(repository, after string) iter.Seq2[*HostedPackage, error]

	// HostedLast yields the first most of those packages of a repository that begin with prefix, come after a name, and have a version that is
	// not deleted, sorted by name: of each the version whose record is the youngest, and of its first file Name, Size, Digests,
	// Blob, Type, Published, Yanked and Meta. The files of no version make no version here.
	HostedLast(repository, prefix, after string, most int) iter.Seq2[*HostedLast, error]

	// HostedVersion returns one version with its files, sorted by name, deleted ones too; NotFound if it never was.
	HostedVersion(repository, pkg, version string) (*HostedVersion, error)
	// HostedVersions yields all versions of a package with their files, sorted by name, deleted ones too.
	HostedVersions(repository, pkg string) iter.Seq2[*HostedVersion, error]
	// PutHostedVersion replaces one version and all its files; the package's record must exist. Where only a few files
	// differ no others are written.
	PutHostedVersion(repository, pkg string, v *HostedVersion) error
	// HostedSome is HostedVersion with those of its files alone whose names begin with prefix: it costs what they are.
	HostedSome(repository, pkg, version, prefix string) (*HostedVersion, error)
	// PutHostedFiles puts files of a version, and leaves its others and what else is told of it, if it is there. It costs what
	// they are.
	PutHostedFiles(repository, pkg string, v *HostedVersion) error
	// DropHostedVersion removes the record of a version as if it had never been. NotFound if it never was.
	DropHostedVersion(repository, pkg, version string) error
	// HostedFile finds a file of a package by its name alone; of several versions' the one published last, those that
	// are deleted, or whose version is, after all others. NotFound.
	HostedFile(repository, pkg, file string) (version string, f *HostedFile, err error)

	// HostedRef returns a ref, or NotFound.
	HostedRef(repository, pkg, name string) (*HostedRef, error)
	// HostedRefs yields the refs of a package whose names begin with prefix and come after a name, sorted by name.
	HostedRefs(repository, pkg, prefix, after string) iter.Seq2[*HostedRef, error]
	// PutHostedRef replaces it; a Target of "" removes it.
	PutHostedRef(repository, pkg string, r *HostedRef) error

	// HostedBlob yields where a blob is named by a file that is not deleted.
	HostedBlob(d millpond.Digest) iter.Seq2[Place, error]
	// HostedTotals are the sums of a repository; "" is all.
	HostedTotals(repository string) (HostedTotals, error)
}

// A Place is a file of a version of a package in a repository.
type Place struct {
	Repository string
	Key        millpond.Key
}

// A HostedPackage is a name that something was published under.
type HostedPackage struct {
	Repository, Name string
	Display          string // as its publisher spells it; "" if that is Name
	Merge            string // "hide" or "union" for this name; "" is the repository's
	Meta             json.RawMessage
	Created, Changed time.Time
	Changes          int64 // raised by each PutHostedPackage
}

// A HostedLast is a package as a directory shows it.
type HostedLast struct {
	Name, Version string
	File          millpond.File
}

// A HostedVersion is a version that was published here. Its Files are empty: HostedFiles are they.
type HostedVersion struct {
	millpond.Version
	By          string // who published it
	From        string // the repository it was promoted from; "" if it was published here
	Display     string // as its publisher spells it; "" if that is Name
	Deleted     time.Time
	DeletedBy   string
	DeletedWhy  string
	HostedFiles []HostedFile
}

// A HostedFile is a file that was published here.
type HostedFile struct {
	millpond.File
	By      string
	Deleted time.Time // of a file deleted by itself
	Purged  bool      // deleted, and its bytes are no longer named
	Expires time.Time // of a file that belongs to no version: until when it is kept; zero is for ever
}

// A HostedRef is a mutable name that was set here.
type HostedRef struct {
	Name, Target string
	Moved        time.Time
	By           string
	Meta         json.RawMessage
}

// HostedTotals count what is hosted and not deleted. Files that belong to no version make no version, but a package.
type HostedTotals struct{ Packages, Versions, Files, Bytes int64 }

// Entries are small records that a room of the house keeps and whose meaning the catalog does not know: users, tokens,
// claims, takedowns.
type Entries interface {
	// Entry returns one record, or NotFound; one that has expired is NotFound.
	Entry(kind, id string) (*Entry, error)
	// EntriesOf yields the records of a kind that have an owner, sorted by ID.
	EntriesOf(kind, owner string) iter.Seq2[*Entry, error]
	// Entries yields the records of a kind whose IDs come after one, sorted by ID.
	Entries(kind, after string) iter.Seq2[*Entry, error]
	// PutEntry replaces the record whole.
	PutEntry(e *Entry) error
	// AddEntry keeps a record that must be new: Conflict if there is one that has not expired.
	AddEntry(e *Entry) error
	// DropEntry removes it; NotFound if there is none.
	DropEntry(kind, id string) error
}

// An Entry is one such record.
type Entry struct {
	Kind, ID string
	Owner    string // whose it is, for EntriesOf; "" is nobody's
	Value    json.RawMessage
	Expires  time.Time // zero is never
}
