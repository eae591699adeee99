package takedown

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/url"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/repo"
)

// A Purge tells one address of every takedown, so that the caches in front of the pond can be purged. It follows the log of
// changes from where it was when the pond last stopped: no takedown is missed, though one may be told twice, and none waits for
// it. An address that is new is told of all takedowns so far: caches may hold what they had for a year.
type Purge struct {
	URL  *url.URL
	Post func(ctx context.Context, body []byte) error // sends a Notice to URL, and names it in no error

	Catalog Records
	// Places are the paths below which repositories of a format are served; of all repositories for format "".
	Places func(format string) []string
	Log    *slog.Logger
	// Wait is how long it waits after a first failure, and then twice as long each time; 0 is a second.
	Wait time.Duration
}

// Records are what a Purge needs of a catalog.
type Records interface {
	catalog.Log
	Events(ctx context.Context, seq int64) iter.Seq2[millpond.Event, error]
	View(ctx context.Context, f func(catalog.Tx) error) error
	Update(ctx context.Context, by millpond.Actor, f func(catalog.Tx) error) error
}

// A Notice is what is POSTed.
type Notice struct {
	Takedowns []Taken `json:"takedowns"`
}

// A Taken is one takedown as others are told of it.
type Taken struct {
	ID       string      `json:"id"`
	Format   string      `json:"format,omitempty"`
	Package  string      `json:"package,omitempty"`
	Version  string      `json:"version,omitempty"`
	Versions string      `json:"versions,omitempty"`
	Affected []repo.Span `json:"affected,omitempty"`
	Digest   string      `json:"digest,omitempty"`
	Why      string      `json:"why"`
	By       string      `json:"by"`
	Time     time.Time   `json:"time"`
	Paths    []string    `json:"paths"` // below which it was served
}

const (
	atOnce      = 100 // takedowns in one notice
	longestWait = 5 * time.Minute
	patience    = 3 // failures in a row that are an event
)

var byPond = millpond.Actor{Name: "pond"}

// Run tells of takedowns until ctx ends.
func (p *Purge) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := p.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		p.Log.ErrorContext(ctx, "takedowns cannot be followed, for those who purge caches; it is tried again", "purge", p.name(), "error", err)
		sleep(ctx, longestWait)
	}
}

// follow tells of what comes. It returns with an error only.
func (p *Purge) follow(ctx context.Context) error {
	told, err := p.told(ctx)
	if err != nil {
		return err
	}
	for {
		head, err := p.Catalog.Head(ctx)
		if err != nil {
			return err
		}
		notice, last, err := p.next(ctx, told)
		if err != nil {
			return err
		}
		if len(notice.Takedowns) == 0 {
			if err := p.await(ctx, max(told, head.Seq)); err != nil {
				return err
			}
			continue
		}
		if err := p.tell(ctx, notice); err != nil {
			return err
		}
		told = last
		if err := p.keep(ctx, told); err != nil {
			return err
		}
	}
}

// next are the takedowns after an event, as many as one notice holds, and the event of the last.
func (p *Purge) next(ctx context.Context, after int64) (n Notice, last int64, err error) {
	for e, err := range p.Catalog.Find(ctx, catalog.Filter{After: after, Verb: repo.VerbTakedown, Limit: atOnce}) {
		if err != nil {
			return n, 0, err
		}
		var t repo.Takedown
		if err := json.Unmarshal(e.Detail, &t); err != nil {
			return n, 0, fmt.Errorf("event %d: %w", e.Seq, err)
		}
		n.Takedowns = append(n.Takedowns, Taken{ID: t.ID, Format: t.Format, Package: t.Package, Version: t.Version, Versions: t.Versions, Affected: t.Affected,
			Digest: t.Digest.String(), Why: t.Why, By: t.By, Time: t.Time, Paths: p.Places(t.Format)})
		last = e.Seq
	}
	return n, last, nil
}

// await returns when there is a takedown after an event.
func (p *Purge) await(ctx context.Context, after int64) error {
	for e, err := range p.Catalog.Events(ctx, after) {
		if err != nil || e.Verb == repo.VerbTakedown {
			return err
		}
	}
	return ctx.Err()
}

// tell tells the address until it has heard. That it does not is an event, and that it does again.
func (p *Purge) tell(ctx context.Context, n Notice) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	wait := p.Wait
	if wait == 0 {
		wait = time.Second
	}
	for failed := 0; ; wait = min(2*wait, longestWait) {
		err := p.Post(ctx, body)
		if err == nil {
			if failed >= patience {
				p.event(ctx, "purged", map[string]any{"purge": p.name(), "takedowns": len(n.Takedowns), "tries": failed + 1})
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if failed++; failed == patience {
			p.event(ctx, "purge failed", map[string]any{"purge": p.name(), "takedowns": len(n.Takedowns), "first": n.Takedowns[0].ID, "why": err.Error()})
		}
		p.Log.WarnContext(ctx, "who purges caches was not told of a takedown; it is tried again", "purge", p.name(), "tries", failed, "again_in", wait.String(), "error", err)
		sleep(ctx, wait)
	}
}

// name is the address without what may be secret in it.
func (p *Purge) name() string { return p.URL.Scheme + "://" + p.URL.Host + p.URL.EscapedPath() }

// setting is where the last event is kept that the address was told of.
func (p *Purge) setting() string {
	sum := sha256.Sum256([]byte(p.URL.String()))
	return "purge " + hex.EncodeToString(sum[:8])
}

func (p *Purge) told(ctx context.Context) (seq int64, err error) {
	err = p.Catalog.View(ctx, func(tx catalog.Tx) error {
		raw, err := tx.Setting(p.setting())
		if err != nil || raw == nil {
			return err
		}
		return json.Unmarshal(raw, &seq)
	})
	return seq, err
}

func (p *Purge) keep(ctx context.Context, seq int64) error {
	raw, err := json.Marshal(seq)
	if err != nil {
		return err
	}
	// What was told is kept, whatever ends meanwhile.
	return p.Catalog.Update(context.WithoutCancel(ctx), byPond, func(tx catalog.Tx) error { return tx.SetSetting(p.setting(), raw) })
}

func (p *Purge) event(ctx context.Context, verb string, detail map[string]any) {
	raw, err := json.Marshal(detail)
	if err == nil {
		err = p.Catalog.Update(context.WithoutCancel(ctx), byPond, func(tx catalog.Tx) error { return tx.Emit(millpond.Event{Verb: verb, Detail: raw}) })
	}
	if err != nil {
		p.Log.ErrorContext(ctx, "cannot record an event", "verb", verb, "error", err)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
