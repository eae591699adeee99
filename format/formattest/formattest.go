// Package formattest is the suite that every format passes: one table of behaviours, driven over HTTP against the format's
// handler on a real repository, with an upstream on loopback that misbehaves on order and a clock that the test moves.
//
// A format describes its ecosystem in an Ecosystem; where a behaviour cannot hold for it, it says so with the reason, and
// the suite prints it.
package formattest

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format"
)

// An Ecosystem is what the suite must know to drive one format.
type Ecosystem struct {
	Format format.Format
	// Root is the path of the upstream's URL on its server; it begins and ends with a slash.
	Root string
	// Options are set on every repository of the suite.
	Options map[string]string
	// Put lays a package with these releases on an upstream, in place of what was there of it. Documents have entity tags.
	Put func(up *faulty.Server, pkg string, releases ...Release)
	// Bytes are those of a release's main file, as Put lays them.
	Bytes func(pkg string, r Release) []byte
	// UpstreamIndex and UpstreamFile are the paths, on the upstream, of what a package's index and a release's main file are
	// read from.
	UpstreamIndex func(pkg string) string
	UpstreamFile  func(pkg string, r Release) string
	// Index and File are the paths below the repository of the same; Header is sent with requests of the index.
	Index  func(pkg string) string
	File   func(pkg string, r Release) string
	Header http.Header
	// Lists reports whether an index names a version.
	Lists func(index []byte, version string) bool
	// Links are the addresses of files that an index gives, resolved against where it was read; nil if its clients make
	// them up themselves.
	Links func(index []byte, from *url.URL) []string

	// Publish sends what the ecosystem's client sends to publish a release, as one caller, and returns the last answer, or the
	// first that is no success. The release's main file has then Bytes. Nil skips the rows about publishing.
	Publish func(c Client, pkg string, r Release) Reply
	// Writes are all other requests by which a client changes something of a release that was published: each sends its own
	// and returns the answer.
	Writes map[string]func(c Client, pkg string, r Release) Reply
	// Withdrawn reports whether an index shows that a version is yanked; nil if its index leaves such a version out.
	Withdrawn func(index []byte, version string) bool

	// Package and Other are names that packages of the ecosystem can have; empty is "alpha" and "beta".
	Package, Other string
	// Claim is a claim that covers Package and not Other; "" is Package.
	Claim string
	// Versions are three, oldest first; empty is 1.0.0, 1.1.0, 2.0.0.
	Versions [3]string
	// Spellings are other paths below the repository that mean Package's index: each is answered, or redirected to it.
	Spellings []string
	// Unlisted says that a file is found by its name, without the index: absent files are not looked for there.
	Unlisted bool
	// Heads says that a file is asked for by HEAD before it is fetched: requests are counted by GET then.
	Heads bool
	// Elsewhere says why the rows about reading through are not run: another run of the suite has them. "" runs them.
	Elsewhere string
	// Record is how a release is recorded, where that is not the package and the version that it is called by.
	Record func(pkg string, r Release) millpond.Key
	// Published says whether the index tells when a release was published.
	Published bool

	// Except are rows that cannot hold, with the reason.
	Except map[string]string
}

// A Release is one version of a package, with one main file.
type Release struct {
	Version   string
	Published time.Time
	Variant   int  // releases that differ in it have other bytes
	Refused   bool // its main file is one that publishing refuses for what is in it; of formats that are Inspectors only
}

// defaults fills in what an ecosystem left empty.
func (e *Ecosystem) defaults() {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&e.Package, "alpha")
	set(&e.Other, "beta")
	set(&e.Claim, e.Package)
	for i, v := range [3]string{"1.0.0", "1.1.0", "2.0.0"} {
		set(&e.Versions[i], v)
	}
}

// record is how a release is recorded.
func (e Ecosystem) record(pkg string, r Release) millpond.Key {
	if e.Record != nil {
		return e.Record(pkg, r)
	}
	return millpond.Key{Package: pkg, Version: r.Version}
}

// fetched fails the test unless a path was asked for its bytes exactly n times.
func (h *House) fetched(path string, n int) {
	h.T.Helper()
	if !h.e.Heads {
		h.Up.Want(h.T, path, n)
		return
	}
	if got := h.asked(path); got != n {
		h.T.Errorf("upstream was asked %d times for the bytes of %q, want %d", got, path, n)
	}
}

// asked is how often a path was asked for its bytes.
func (h *House) asked(path string) int {
	if h.e.Heads {
		return h.Up.Count(http.MethodGet, path)
	}
	return h.Up.Count("", path)
}

// Run drives the suite.
func Run(t *testing.T, e Ecosystem) {
	t.Helper()
	e.defaults()
	for _, row := range rows {
		if e.Elsewhere != "" {
			t.Logf("%s: not in this run: %s", row.name, e.Elsewhere)
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			if why, ok := e.Except[row.name]; ok {
				t.Skipf("%s cannot hold for %s: %s", row.name, e.Format.Info().Name, why)
			}
			row.run(t, e)
		})
	}
	for _, row := range publishing {
		t.Run(row.name, func(t *testing.T) {
			if why, ok := e.Except[row.name]; ok {
				t.Skipf("%s cannot hold for %s: %s", row.name, e.Format.Info().Name, why)
			}
			if e.Publish == nil {
				t.Skipf("%s: nothing can be published to %s in this suite: its Ecosystem has no Publish", row.name, e.Format.Info().Name)
			}
			row.run(t, e)
		})
	}
}

var rows = []struct {
	name string
	run  func(*testing.T, Ecosystem)
}{
	{"cold, then warm with the upstream dead", coldThenDead},
	{"one upstream request for many readers", herd},
	{"a body cut anywhere is resumed", cutAnywhere},
	{"wrong bytes never end cleanly and are not kept", wrongBytes},
	{"a page instead of a file or an index", pageInstead},
	{"stale on failure, fresh on recovery", staleThenFresh},
	{"nothing held and an ill upstream", nothingHeld},
	{"refused credentials are no absence", refusedCredentials},
	{"absence is remembered, and forgotten in time", absence},
	{"a sudden absence is doubted", suddenAbsence},
	{"a held back version is hidden and refused", holdHides},
	{"a hold runs out by itself", holdEnds},
	{"a blocked name is refused on every route", blockedName},
	{"every spelling is one package", spellings},
	{"reads make no events", noEvents},
	{"what publishing would refuse is served and flagged", flagged},
	{"other bytes under a known name", replaced},
	{"a version that vanishes upstream", vanished},
	{"a claimed name reaches no upstream", claimed},
	{"layers hide, and do not mix", layersHide},
	{"layers unite by version", layersUnite},
	{"a sibling reads through", siblings},
	{"GET and HEAD agree, tags and ranges hold", headers},
	{"encodings have bytes and tags of their own", encodings},
	{"any base URL, and behind a prefix", baseURL},
	{"offline shows and serves what is held", offline},
	{"fill modes", fillModes},
	{"junk paths ask nobody", junkPaths},
	{"a lost blob is fetched again", lostBlob},
}

// publishing are the rows about what is hosted.
var publishing = []struct {
	name string
	run  func(*testing.T, Ecosystem)
}{
	{"what is published is served, in the very next index", publishThenRead},
	{"the same bytes again, and others never", publishTwice},
	{"fifty publish at once and one wins", publishAtOnce},
	{"who has no grant writes nothing", withoutGrant},
	{"an upstream's name wants a claim", upstreamsName},
	{"a yank is shown, and the file still served", yanked},
	{"one event for each change, and none for reads", oneEventEach},
	{"what is hosted hides the upstream", hostedHides},
	{"what is hosted below hides the upstream", hostedBelow},
	{"a publish asks no upstream, and claimed_only wants a claim for every new name", coldNames},
	{"what is hosted joins the upstream, and nothing is mixed", hostedJoins},
	{"a deleted name stays hidden", deletedHides},
	{"what is published under a claim asks no upstream", publishClaimed},
	{"a restart keeps what was published", restartKeeps},
	{"a write that fails leaves all or nothing", failedWrites},
}
