// Package auth says who asks and what they may do: people, services, tokens, grants, login sessions, and the CI jobs of
// trusted issuers.
//
// It keeps its records as the catalog's Entries. Every change of them, its event, and the authorisation epoch (a Setting
// that the change raises by one) are one transaction. Requests are answered from memory: a snapshot of all records, which
// is replaced when the epoch has moved, at once for a change made in this process and within 2 s for another's. No secret
// is kept: of tokens and cookies their SHA-256, of passwords an argon2id hash.
package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/catalog"
)

// Catalog is what auth needs of a catalog.Catalog.
type Catalog interface {
	View(ctx context.Context, f func(catalog.Tx) error) error
	Update(ctx context.Context, by millpond.Actor, f func(catalog.Tx) error) error
}

// Parts are what an Auth is made of.
type Parts struct {
	Catalog Catalog
	Log     *slog.Logger     // nil discards
	Now     func() time.Time // nil is time.Now
	// Client is the address of who sent a request, as far as it can be believed; nil takes the connection's.
	Client func(*http.Request) string
	// HTTP talks to identity providers and issuers; nil is a client of auth's own. It is asked for addresses that the
	// operator named, and for the key sets that those name.
	HTTP *http.Client
	// Secrets keep the keys that S3's secret access keys and links are made of, and that passes are signed with; without them
	// nothing that is signed is taken, and passes live no longer than the process.
	Secrets Secrets
}

// Settings are what the configuration says. They may change while the Auth runs.
type Settings struct {
	PublicURL    string // where clients reach the pond; its host makes the audiences of identity tokens
	Passwords    bool   // people may log in with passwords
	Providers    []Provider
	Issuers      []Issuer
	LinkKey      string        // names the key that links are signed with; links of another are void; "" is "1"
	Grace        time.Duration // how long records that cannot be confirmed are honoured; 0 is 24 h
	Repositories []Repository
}

// A Repository is what the configuration says about who may do what in one. Subjects are "anonymous", "authenticated",
// "user:name" (also of services) and "group:name".
type Repository struct {
	Name, Format string
	Hosts        []string // where it is the root
	// Audience is the word before ":HOST" that clients of the format have identity tokens made for, for one package each time;
	// "" where they do not. HOST is that of PublicURL, or one of Hosts.
	Audience                     string
	Read, Publish, Maintain, Own []string
}

// An Auth is the identities and rights of one pond. New makes one; all its methods may be called by many goroutines.
type Auth struct {
	catalog Catalog
	log     *slog.Logger
	now     func() time.Time
	client  func(*http.Request) string
	http    *http.Client

	state     atomic.Pointer[snapshot]
	confirmed atomic.Int64 // when the catalog last said that state is its own, in unix nanoseconds

	loading sync.Mutex // one load at a time; held across a View
	uses    sync.Map   // id of a token or session to *atomic.Int64: when it was last used, in unix seconds
	flushed sync.Map   // what of uses is in the catalog
	buried  sync.Map   // tokens and sessions that have expired, by id: grave

	passwords passwords
	accounts  limiter
	addresses limiter
	tickets   limiter
	issuers   issuers
	providers providers
	counts    counts
	signing   signing
	passKey   func() []byte // of passes, where keys have no place
}

// New returns an Auth that knows the records of the catalog, and nothing of a configuration yet.
func New(ctx context.Context, p Parts) (*Auth, error) {
	a := &Auth{catalog: p.Catalog, log: p.Log, now: p.Now, client: p.Client, http: p.HTTP}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.client == nil {
		a.client = func(r *http.Request) string {
			host, _, err := net.SplitHostPort(r.RemoteAddr)
			if err != nil {
				return r.RemoteAddr
			}
			return host
		}
	}
	a.signing.secrets = p.Secrets
	a.passKey = sync.OnceValue(func() []byte { return []byte(random(43, base62)) })
	a.passwords.init()
	a.accounts = limiter{now: a.now, free: 5, first: 2 * time.Second, most: 15 * time.Minute, forget: time.Hour}
	a.addresses = limiter{now: a.now, free: 30, first: 2 * time.Second, most: 5 * time.Minute, forget: time.Hour}
	a.tickets = limiter{now: a.now, free: 30, first: 2 * time.Second, most: time.Minute, forget: 10 * time.Minute}
	a.issuers.auth, a.providers.auth = a, a
	a.state.Store(&snapshot{auth: a, settings: &Settings{}, epoch: -1})
	return a, a.Refresh(ctx)
}

// Configure replaces what the configuration says. Invalid, and nothing is changed, if it cannot be.
func (a *Auth) Configure(s Settings) error {
	if err := s.Check(); err != nil {
		return err
	}
	a.loading.Lock()
	defer a.loading.Unlock()
	next := *a.state.Load()
	next.settings = &s
	a.state.Store(next.fresh())
	return nil
}

// Run keeps the snapshot up with other nodes and the catalog with what was used here, until ctx ends.
func (a *Auth) Run(ctx context.Context) {
	poll, flush := time.NewTicker(2*time.Second), time.NewTicker(time.Minute)
	defer poll.Stop()
	defer flush.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			// The last uses are worth a moment after the end.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if err := a.Flush(last); err != nil {
				a.log.WarnContext(ctx, "cannot keep when tokens were last used", "error", err)
			}
			return
		case <-poll.C:
			err = a.Refresh(ctx)
		case <-flush.C:
			err = a.Flush(ctx)
		}
		if err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "the catalog cannot be asked who may do what; what was known goes on", "error", err)
		}
	}
}

// Refresh takes in what other nodes have changed.
func (a *Auth) Refresh(ctx context.Context) error {
	a.loading.Lock()
	defer a.loading.Unlock()
	err := a.catalog.View(ctx, func(tx catalog.Tx) error {
		old := a.state.Load()
		epoch, err := epochOf(tx)
		if err != nil || epoch == old.epoch {
			return err
		}
		next, err := load(a, tx, old.settings)
		if err != nil {
			return err
		}
		a.became(next)
		return nil
	})
	if err == nil {
		a.confirmed.Store(a.now().UnixNano())
	}
	return err
}

const epochSetting = "auth-epoch"

// epochOf is the authorisation epoch: how often records of auth were changed.
func epochOf(tx catalog.Tx) (int64, error) {
	raw, err := tx.Setting(epochSetting)
	if err != nil || raw == nil {
		return 0, err
	}
	var n int64
	return n, json.Unmarshal(raw, &n)
}

// change makes a change of records: f's, the event, and a new epoch, in one transaction; this process knows it before
// change returns.
func (a *Auth) change(ctx context.Context, by millpond.Actor, verb, about string, detail func() any, f func(catalog.Tx) error) error {
	err := a.catalog.Update(ctx, by, func(tx catalog.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		epoch, err := epochOf(tx)
		if err != nil {
			return err
		}
		raw, _ := json.Marshal(epoch + 1) // a number
		if err := tx.SetSetting(epochSetting, raw); err != nil {
			return err
		}
		said := map[string]any{"about": about}
		if detail != nil {
			said["is"] = detail()
		}
		told, err := json.Marshal(said)
		if err != nil {
			return err
		}
		return tx.Emit(millpond.Event{Verb: verb, Detail: told})
	})
	if err != nil {
		return err
	}
	// The change is made: that it cannot be read back now is told by the next poll.
	if err := a.Refresh(context.WithoutCancel(ctx)); err != nil {
		a.log.WarnContext(ctx, "a change of rights is not yet known here", "error", err)
	}
	return nil
}

// A grave is a token or a login session that has expired, for ever.
type grave struct {
	kind, id, owner string
	kept            bool // in the catalog
}

// bury says of a token or session that it has expired, whatever the clock will say. It lasts when Flush has kept it.
func (a *Auth) bury(kind, id, owner string) { a.buried.LoadOrStore(id, grave{kind, id, owner, false}) }

// dead reports whether it was buried.
func (a *Auth) dead(id string) bool {
	_, is := a.buried.Load(id)
	return is
}

// buryAll buries what of the snapshot has expired.
func (s *snapshot) buryAll(now time.Time) {
	for id, t := range s.tokens {
		if !t.Expires.After(now) {
			s.auth.bury(kindToken, id, t.Owner)
		}
	}
	for id, l := range s.sessions {
		if !now.Before(l.Created.Add(sessionLife)) { // of one that was only long idle another node may know that it was used
			s.auth.bury(kindSession, id, l.User)
		}
	}
}

// became lets a snapshot count from now on. What expired in the one before is not among it, and is not forgotten.
func (a *Auth) became(next *snapshot) {
	if before := a.state.Load(); before != nil {
		before.buryAll(a.now())
	}
	a.state.Store(next)
}

// Flush keeps in the catalog when tokens and sessions were last used, which have expired, and how often who was refused.
func (a *Auth) Flush(ctx context.Context) error {
	type use struct {
		id string
		at int64
	}
	var all []use
	a.uses.Range(func(id, at any) bool {
		u := use{id.(string), at.(*atomic.Int64).Load()}
		if kept, ok := a.flushed.Load(u.id); u.at != 0 && (!ok || kept != u.at) {
			all = append(all, u)
		}
		return true
	})
	a.state.Load().buryAll(a.now())
	var graves []grave
	a.buried.Range(func(_, g any) bool {
		if g := g.(grave); !g.kept {
			graves = append(graves, g)
		}
		return true
	})
	counted := a.counts.take()
	if len(all) == 0 && len(graves) == 0 && counted == nil {
		return nil
	}
	err := a.catalog.Update(ctx, millpond.Actor{Name: "pond"}, func(tx catalog.Tx) error {
		for _, u := range all {
			raw, _ := json.Marshal(u.at) // a number
			e := &catalog.Entry{Kind: kindUsed, ID: u.id, Value: raw, Expires: time.Unix(u.at, 0).Add(maxLife)}
			if err := tx.PutEntry(e); err != nil {
				return err
			}
		}
		for _, g := range graves {
			// A clock that is set back does not bring it back, and a later write takes it away.
			if err := tx.PutEntry(&catalog.Entry{Kind: g.kind, ID: g.id, Owner: g.owner, Value: json.RawMessage("null"), Expires: time.Unix(1, 0)}); err != nil {
				return err
			}
		}
		if counted == nil {
			return nil
		}
		return tx.Emit(millpond.Event{Verb: "asked", Detail: counted})
	})
	if err != nil {
		a.counts.giveBack(counted)
		return err
	}
	for _, u := range all {
		a.flushed.Store(u.id, u.at)
	}
	for _, g := range graves {
		g.kept = true
		a.buried.Store(g.id, g)
	}
	return nil
}

// lastUse is the clock hand of a token or session.
func (a *Auth) lastUse(id string) *atomic.Int64 {
	if v, ok := a.uses.Load(id); ok {
		return v.(*atomic.Int64)
	}
	v, _ := a.uses.LoadOrStore(id, new(atomic.Int64))
	return v.(*atomic.Int64)
}

// random is text of n random characters of an alphabet, without bias.
func random(n int, alphabet string) string {
	out, raw := make([]byte, 0, n), make([]byte, 2*n)
	limit := 256 - 256%len(alphabet)
	for {
		rand.Read(raw) // never fails
		for _, b := range raw {
			if int(b) >= limit {
				continue
			}
			if out = append(out, alphabet[int(b)%len(alphabet)]); len(out) == n {
				return string(out)
			}
		}
	}
}

func wrong(k millpond.Kind, why, hint string) error {
	return &millpond.Error{Kind: k, Why: why, Hint: hint}
}

// because gives an error of wrong a cause that a format knows.
func because(err, cause error) error {
	if e, ok := errors.AsType[*millpond.Error](err); ok {
		e.Err = cause
	}
	return err
}

// absent turns NotFound into no error: what shall not be is not.
func absent(err error) error {
	if millpond.Is(err, millpond.NotFound) || err == nil {
		return nil
	}
	return err
}
