package repo

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// leastPoll is how often an upstream's list of all names is read at most: it is tens of megabytes.
const leastPoll = 10 * time.Minute

// polled is what is remembered of the list that was looked through last. What has changed is asked for again after two polls:
// caches on the way may have had an old page for the first.
type polled struct {
	List   string    `json:"list"`   // its id
	Cursor string    `json:"cursor"` // of the last change in it; "" if the upstream numbers nothing
	Before string    `json:"before"` // the cursor before that
	At     time.Time `json:"at"`
}

// Poll reads the lists of all names of those upstreams that are configured for it, if they are due, and makes the kept listings
// stale that have changed since: each is asked for again when somebody wants it. It returns how many those are.
func (p *Pond) Poll(ctx context.Context) (int, error) {
	stale := 0
	if p.settings().Offline {
		return 0, nil
	}
	var errs []error
	for _, r := range p.Repositories() {
		for _, one := range r.layers {
			if l, ok := one.(*upstream); ok && l.poll > 0 {
				n, err := l.look(ctx)
				errs = append(errs, err)
				stale += n
			}
		}
	}
	return stale, errors.Join(errs...)
}

// look is Poll of one upstream.
func (l *upstream) look(ctx context.Context) (int, error) {
	r, err := l.list(ctx, true)
	if err != nil || r.stale != nil {
		return 0, err
	}
	s := l.session(ctx)
	defer s.close()
	var last polled
	text, err := s.State(ctx, "poll")
	if err != nil {
		return 0, err
	}
	if len(text) > 0 && json.Unmarshal(text, &last) != nil {
		last = polled{} // of another release: all that is kept is asked for again
	}
	now := polled{List: listID(r.Answer), Cursor: last.Cursor, Before: last.Cursor, At: l.pond.now()}
	if now.List == last.List && (last.Before == last.Cursor || !now.At.After(last.At.Add(leastPoll-time.Second))) {
		return 0, nil
	}
	known := map[string]bool{}
	for name, err := range l.pond.catalog.Answered(ctx, l.id, "package") {
		if err != nil {
			return 0, err
		}
		known[name] = true
	}
	stale := 0
	s.local, s.kept = true, r.Documents
	for c, err := range l.format.Source(s).Changes(ctx, last.Before) {
		if err != nil {
			return stale, err
		}
		if c.Cursor == "" {
			continue // of a name that has no number nobody can tell that it has changed
		}
		now.Cursor = c.Cursor
		if !known[c.Name] {
			continue
		}
		if err := l.expire(ctx, c.Name); err != nil {
			return stale, err
		}
		l.pond.forgetViewsIn(l.repo, c.Name)
		stale++
	}
	if text, err = json.Marshal(now); err != nil {
		return stale, err
	}
	return stale, s.SetState(ctx, "poll", text)
}

// polling runs Poll and Reverify unless they run already.
func (p *Pond) polling() {
	if !p.polls.CompareAndSwap(false, true) {
		return
	}
	if !p.goes(func(ctx context.Context) {
		defer p.polls.Store(false)
		if _, err := p.Poll(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "the list of an upstream's names could not be looked through; it is tried again", "error", err)
		}
		if _, err := p.Reverify(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "what is kept unverified could not be asked about; it is tried again", "error", err)
		}
	}) {
		p.polls.Store(false)
	}
}
