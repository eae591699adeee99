// Package catalog keeps the records: what upstreams said and when, which bytes are held for which name, what was changed
// and by whom. It does not know what the records mean to an ecosystem, and it holds no bytes of packages.
//
// A catalog has two halves. Changes (publish, takedown, an alarm) are durable when they are acknowledged, and each comes
// with its event in one transaction: View, Update, Events. Bookkeeping of what was read from upstreams can be read again
// if a power cut loses the last moments: Answers, Holdings, Derivations, Uses. Bookkeeping never queues behind changes.
package catalog

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"millpond"
)

// A Catalog keeps the records of one pond. All its methods may be called by many goroutines.
type Catalog interface {
	// View reads a consistent state.
	View(ctx context.Context, f func(Tx) error) error
	// Update commits f's changes and the events they imply in one transaction, durably before it returns; if f fails
	// nothing is changed. f may be run more than once and must not keep what it was given.
	Update(ctx context.Context, by millpond.Actor, f func(Tx) error) error
	// Events yields what happened after seq, oldest first, and then waits for more until ctx ends.
	Events(ctx context.Context, seq int64) iter.Seq2[millpond.Event, error]

	Log
	Answers
	Holdings
	Derivations
	Uses

	// Check looks for damage in the catalog itself and returns what it found in words; nil is sound.
	Check(ctx context.Context) ([]string, error)
	Close() error
}

// A Tx is a transaction.
type Tx interface {
	// Emit adds an event. Epoch, Seq, Time, Actor and Hash are filled in by the catalog.
	Emit(e millpond.Event) error
	// Setting is a value that belongs to the pond, such as its instance's id; nil if there is none.
	Setting(name string) (json.RawMessage, error)
	// SetSetting keeps it; nil removes it.
	SetSetting(name string, value json.RawMessage) error

	Entries
	Hosted
}

// A Question is what an upstream can be asked. Layer is the repository's name, a slash, and the upstream's name.
type Question struct {
	Layer   string
	Kind    string // package, version, ref, document, names, state, absence, departed
	Package string
	Name    string // of the version, ref or document; "" for a package
}

// An Answer is what an upstream last said to a Question. Record is the house's own encoding of it.
type Answer struct {
	Question
	Absent    bool   // it said that there is no such thing
	Why       string // of an absence: its words
	Record    []byte // of what there is
	Documents []Document
	Checked   time.Time // when the upstream last confirmed it
	Fresh     time.Time // until when it need not be asked again
	Changed   time.Time // when what it says last changed
	// Doubt is when an upstream that had answered first said that there is no such thing; zero while it does not. The old
	// answer stands until that has lasted.
	Doubt time.Time
}

// A Document is a text as an upstream gave it, kept as a blob, with what a conditional request needs.
type Document struct {
	URL      string // as asked
	Accept   string
	Final    string // after redirects
	ETag     string
	Modified string // Last-Modified as sent
	Type     string
	Text     millpond.Digest // of the text
	Blob     millpond.Digest // of the kept form
	Size     int64           // of the text
}

// Answers keep what upstreams said.
type Answers interface {
	// Answer returns the answer, or NotFound.
	Answer(ctx context.Context, q Question) (*Answer, error)
	// PutAnswer replaces the answer whole. Invalid if it is Absent and has a Record.
	PutAnswer(ctx context.Context, a *Answer) error
	// Confirm moves Checked and Fresh of an answer that has not changed, and clears Doubt. NotFound if there is none.
	Confirm(ctx context.Context, q Question, checked, fresh time.Time) error
	// Answered yields the packages about which a layer has answered a kind of question, absences left out, each once.
	Answered(ctx context.Context, layer, kind string) iter.Seq2[string, error]
	// DropAnswers forgets the answers of a layer; with pkg not empty those of that package only.
	DropAnswers(ctx context.Context, layer, pkg string) error
	// DropAbsences forgets of a layer that there is no such thing, where that was last said before a time; it returns how
	// often it was.
	DropAbsences(ctx context.Context, layer string, before time.Time) (int64, error)
}

// A Holding says which bytes are, or were, held for a file of an upstream. The record outlives the bytes: an evicted file
// has no Blob, but whoever fetches it again must bring the same digests.
type Holding struct {
	Layer    string
	Key      millpond.Key
	Blob     millpond.Digest // zero if the bytes were evicted
	Size     int64
	SHA256   millpond.Digest   // of the bytes first seen; never changes
	Digests  []millpond.Digest // all that are known of these bytes
	Type     string
	URL      string
	Modified time.Time // when the bytes were first sealed; never changes
	Keep     bool      // never to be evicted: the upstream has it no more, or somebody pinned it
	Detail   json.RawMessage
}

// Holdings keep which files' bytes are here.
type Holdings interface {
	// Holding returns the record of a file, or NotFound.
	Holding(ctx context.Context, layer string, k millpond.Key) (*Holding, error)
	// Holder returns one of the files of a layer for which a blob is held, or NotFound.
	Holder(ctx context.Context, layer string, d millpond.Digest) (*Holding, error)
	// Holders yields the files of all layers for which a blob is held.
	Holders(ctx context.Context, d millpond.Digest) iter.Seq2[*Holding, error]
	// Held yields the holdings of one package (all packages, if pkg is ""), by version and file.
	Held(ctx context.Context, layer, pkg string) iter.Seq2[*Holding, error]
	// HeldAfter yields the holdings of a layer whose packages come after a name, by package, version and file.
	HeldAfter(ctx context.Context, layer, after string) iter.Seq2[*Holding, error]
	// PutHolding replaces the record whole.
	PutHolding(ctx context.Context, h *Holding) error
	// NoteHolding replaces the Detail of a record, and nothing else of it, if the bytes are still those: NotFound otherwise.
	NoteHolding(ctx context.Context, layer string, k millpond.Key, sha256 millpond.Digest, detail json.RawMessage) error
	// DropHoldings forgets the records of a version's files.
	DropHoldings(ctx context.Context, layer, pkg, version string) error
	// LoseBlob clears Blob from every holding of d, and forgets what was derived or kept under it: its bytes are gone or
	// damaged.
	LoseBlob(ctx context.Context, d millpond.Digest) error
	// Layers lists the layers of which anything is recorded, with the bytes they hold.
	Layers(ctx context.Context) (map[string]int64, error)
}

// A Derived is a document that was computed from records.
type Derived struct {
	Repository, Name, Stamp, Encoding string
	Type                              string
	Blob                              millpond.Digest
	Size                              int64
	Modified                          time.Time     // when the stamp's first form was derived
	Keep                              int           // how many others of the name's family stay, latest first; not recorded
	Linger                            time.Duration // for how long another one stays after the next was derived; not recorded
}

// Derivations keep computed documents. They can be lost at any time.
type Derivations interface {
	// Derived returns one encoding of a document, or NotFound.
	Derived(ctx context.Context, repository, name, stamp, encoding string) (*Derived, error)
	// PutDerived keeps it and drops what was derived under the same name from another stamp. Names that are the same up to a
	// NUL are a family, of which the latest Keep stay besides, and those that have had a successor for no longer than Linger.
	PutDerived(ctx context.Context, d *Derived) error
	// Family lists what is kept of a family, latest first, and of one moment the greater name first: Name is without what
	// they have in common, the NUL included.
	Family(ctx context.Context, repository, name string) ([]Derived, error)
}

// A Use is when a blob was last read.
type Use struct {
	Blob millpond.Digest
	Size int64
	At   time.Time
}

// Uses keep when blobs were last read, for eviction, and which of them are named at all, for the sweep.
type Uses interface {
	// Used notes many uses at once. It is called once a minute, not once a read.
	Used(ctx context.Context, uses []Use) error
	// Oldest yields the blobs that may be evicted, least recently used first: those that a holding without Keep names and
	// that neither a hosted record nor a holding with Keep names.
	Oldest(ctx context.Context) iter.Seq2[Use, error]
	// Named reports which of the digests some record names.
	Named(ctx context.Context, ds []millpond.Digest) (map[millpond.Digest]bool, error)
	// Totals are the sums that stats and metrics show.
	Totals(ctx context.Context) (Totals, error)
}

// Totals count records.
type Totals struct {
	Answers, Holdings, Derived, Events int64
	HeldBytes, DerivedBytes            int64
}
