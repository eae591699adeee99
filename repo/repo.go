// Package repo is the heart of the house: it makes one repository out of a hosted layer, upstreams in order, and rules. It
// asks upstreams through fetch, keeps what they say in the catalog and what they give in the store, judges by policy, and
// gives formats the view of one caller.
package repo

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/catalog"
	"millpond/fetch"
	"millpond/format"
	"millpond/policy"
)

// Parts are what a Pond is made of.
type Parts struct {
	Blobs   blob.Store
	Catalog catalog.Catalog
	Fetch   *fetch.Engine
	Secrets Secrets          // nil refuses whatever wants to sign
	Scratch string           // a folder for what Sources make, made when it is needed; "" refuses whatever wants one
	Log     *slog.Logger     // nil discards
	Now     func() time.Time // nil is time.Now
}

// Secrets keep keys apart from the catalog and its backups.
type Secrets interface {
	// Secret returns the secret of that name, made by make, and kept durably, if there was none.
	Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error)
}

// Settings are those of the pond as a whole. They may change while it runs.
type Settings struct {
	Offline bool // ask no upstream
	// PublicURL is where clients reach the pond; "" believes the Host of a request.
	PublicURL string
	// MaxBytes is how much of what can be fetched again is kept; 0 is no limit but the disk's.
	MaxBytes int64
	// LowFree is the free space below which fills are not kept and eviction starts; 0 is the larger of 5 % and 4 GiB, and a quarter of a
	// smaller disk.
	LowFree int64
}

// Config describes one repository.
type Config struct {
	Name      string
	Format    format.Format
	Upstreams []Upstream
	Claims    []string // patterns of names that are ours
	Union     bool     // merge: union instead of hide
	Fill      []Fill   // first match wins; none means Store
	Policy    *policy.Policy
	Fresh     time.Duration // 0 is the format's
	Absent    time.Duration // 0 is the format's
	Public    bool          // anonymous callers may read
	Options   map[string]string

	Hosts  []string // names of hosts where the repository is the root; for who serves it
	Root   bool     // what clients of a format.Strayer ask of the root of the pond's own host is its; for who serves it
	Listen string   // the address where it is the root, as the server's doors are known by; "" if it has none
	// Tunnels are names of hosts to whose port of https clients are passed through there, unread; for who serves it.
	Tunnels []string

	Volatile  bool  // versions may be overwritten and deleted
	Unpublish bool  // versions may be deleted; their numbers stay taken
	ReadOnly  bool  // nothing can be published here
	MaxFile   int64 // bytes; 0 is 16 GiB

	ClaimedOnly bool // a name that nothing was published under yet is taken only if a claim of the repository covers it
}

// An Upstream is a URL or a sibling.
type Upstream struct {
	fetch.Settings
	Sibling string // name of another repository of the same format; Settings' URL is nil then
	Merge   string // "hide" or "union"; "" is the repository's, and union for a sibling
	// Names are patterns, written as claims are, of the names that it is asked about; none is all.
	Names []string
	// Poll is how often the list of all names is looked through for listings that have changed, ten minutes at least; 0 is never.
	Poll    time.Duration
	Options map[string]string
}

// A Mode says what to do with a file that is not held.
type Mode string

// The modes.
const (
	Store      Mode = "store"       // stream it to the reader and keep it
	Redirect   Mode = "redirect"    // send the reader to the upstream, and fill behind its back
	Pass       Mode = "pass"        // stream it and keep nothing
	CachedOnly Mode = "cached-only" // do not fetch it
)

// A Fill gives a mode to the names that match a pattern; "" and "*" match all.
type Fill struct {
	Pattern string
	Mode    Mode
}

// A Caller is who asks, and what they may do.
type Caller struct {
	millpond.Actor
	// Rights are what the caller may do; nil is what the configuration grants to everybody: to read public repositories.
	Rights Rights
	// Accounts are the caller's own door to tokens and logins; nil answers Unsupported to everything.
	Accounts format.Accounts
}

// Rights say what a caller may do. They are pure and cheap: asked on every request, they answer from memory.
type Rights interface {
	// May reports whether the caller may do verb to a package of a repository. With pkg "" it is asked of the repository as
	// a whole: whether there is any name in it for which the caller may.
	May(v millpond.Verb, repository, pkg string) bool
	// Scope tells apart the sets of names of a repository to which a caller may do verb: equal for two callers only if the
	// sets are. It is "*" if that is all names, and "" if it is none.
	Scope(v millpond.Verb, repository string) string
	// Now are the rights as the catalog knows them within a transaction: what is granted is asked again where it counts.
	Now(tx catalog.Tx) (Rights, error)
}

// Narrowed are Rights that a credential has narrowed which its owner can get wider at once: what is missing of them is asked
// for, and not denied.
type Narrowed interface {
	Rights
	// Whole are the rights without the narrowing.
	Whole() Rights
}

// A Trace is what happened to one request inside the pond. The server begins one, the repository fills it in, and the log,
// the metrics and the Cache-Status header are made of it.
type Trace struct {
	Scheme                             string // that the client used; set by who serves
	Anew                               bool   // the client wants nothing that is a while old; see Anew
	Repository, Package, Version, File string
	Layer                              string
	Result                             string // hit stale revalidated miss coalesced absent blocked unstored derived
	Digest                             string
	Checked                            time.Time     // of a stale answer: when it was last confirmed
	Status                             int           // what the upstream answered, if that is why the answer is stale
	Upstream                           time.Duration // spent waiting for upstreams
	Verdict                            string        // of the rule that decided; "" if none did

	// Budget is asked once, before an upstream is asked for the sake of the request about what is not held; its error is the
	// answer. Nil lets all pass.
	Budget Budget
	spent  bool
	broke  bool // the Budget had nothing left

	// What a file was opened as, while which takedowns stood.
	repo  *Repository
	bytes millpond.Digest
	taken *takedownTable
}

// A Budget bounds how often a client may send the pond to its upstreams.
type Budget interface {
	// Spend counts one request. Throttled if there have been too many.
	Spend() error
}

// spend counts the request as one that wants to know what is not held.
func (t *Trace) spend() error {
	if t.Budget == nil || t.spent {
		return nil
	}
	t.spent = true
	err := t.Budget.Spend()
	t.broke = err != nil
	return err
}

// Withdrawn says why what the request reads must not be read any further: it was taken down since. It costs next to nothing:
// whoever sends bytes asks it for each piece.
func (t *Trace) Withdrawn() error {
	if t.repo == nil {
		return nil
	}
	now := t.repo.pond.down()
	if now == t.taken {
		return nil
	}
	t.taken = now
	k := millpond.Key{Package: t.Package, Version: t.Version, File: t.File}
	if one := t.repo.takenDown(k); one != nil {
		return one.blocked(k)
	}
	if one := t.repo.pond.takenDownBytes(t.bytes); one != nil {
		return one.blocked(k)
	}
	return nil
}

// Anew reports whether a request asks for what is not a while old. It is for Trace.Anew, which who serves sets: then no word
// of an upstream that is older than a few seconds is answered from, if the upstream can be asked. However many want that of
// one thing, the upstream is asked once in ten seconds. max-age=0 is not such a wish: pip sends it with every request.
func Anew(h http.Header) bool {
	for _, field := range h["Cache-Control"] {
		for word := range strings.SplitSeq(field, ",") {
			if strings.EqualFold(strings.TrimSpace(word), "no-cache") {
				return true
			}
		}
	}
	return len(h["Cache-Control"]) == 0 && len(h["Pragma"]) > 0 && strings.EqualFold(strings.TrimSpace(h["Pragma"][0]), "no-cache")
}

// hit notes that held bytes were found. Where a name may come to mean other bytes (format.Info.Moving), what an old word led to
// stays stale.
func (t *Trace) hit(d millpond.Digest, moving bool) {
	if t.Digest = d.String(); !moving || t.Result != "stale" {
		t.Result = "hit"
	}
}

type traceKey struct{}

// WithTrace returns a context whose request is traced into t.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceOf is the trace of ctx, never nil.
func TraceOf(ctx context.Context) *Trace {
	if t, ok := ctx.Value(traceKey{}).(*Trace); ok {
		return t
	}
	return new(Trace)
}
