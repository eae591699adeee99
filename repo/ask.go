package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

const (
	// patience is how long a reader waits for an upstream when nothing older is kept: pip gives up after 15 s.
	patience = 12 * time.Second
	// slow is how long a reader waits when something older is kept.
	slow = 2 * time.Second
	// doubt is how long an upstream must go on saying that a name it knew does not exist, until it is believed.
	doubt = 10 * time.Minute
	// pause is how long an ill upstream is not asked the same question again while something older is kept.
	pause = 5 * time.Second
	// leap is how far a clock may be set back without anybody taking note.
	leap = time.Minute
)

// An inquiry is one question to one upstream, and how to read the answer.
type inquiry struct {
	catalog.Question
	fresh time.Duration // how long the answer needs no asking
	// read asks the upstream and returns the record to keep. It may return format.Unchanged where kept is not nil.
	read func(ctx context.Context, s *session, kept *catalog.Answer) ([]byte, error)
	// accepted is told after a new answer was kept, and returns the package's generation that begins then; nil if nobody
	// cares.
	accepted func() uint64
}

func (q *inquiry) accept() uint64 {
	if q.accepted == nil {
		return 0
	}
	return q.accepted()
}

// A reply is an answer and how good it is.
type reply struct {
	*catalog.Answer
	stale error  // why it is not fresh; nil if it is
	bump  uint64 // the package's generation that began when the answer came in; 0 if it was kept
}

// flights coalesces inquiries: one per question is under way, whoever asks meanwhile waits for it.
type flights struct {
	replace [64]replacing

	mu      sync.Mutex // guards the rest; never held across I/O
	running map[catalog.Question]*flight
	ended   map[catalog.Question]time.Time // when questions were last answered: who looked before that looks again
	failed  map[catalog.Question]failure   // recent failures of questions that an older answer is kept for
}

type flight struct {
	done   chan struct{}
	answer *catalog.Answer
	bump   uint64 // what inquiry.accepted returned
	err    error
}

type failure struct {
	err       error
	at, until time.Time
}

// ask answers an inquiry: from the kept answer while it is fresh, else from the upstream, else from the kept answer again.
// An absence is a NotFound error. Offline and held ask nobody.
func (l *upstream) ask(ctx context.Context, q inquiry, asking bool) (*reply, error) {
	q.Layer = l.id
	now := l.pond.now()
	kept, err := l.pond.catalog.Answer(ctx, q.Question)
	if err != nil && !millpond.Is(err, millpond.NotFound) {
		return nil, err
	}
	if kept != nil && stands(now, kept.Checked, kept.Fresh) && !(asking && l.wantsAnew(ctx, q.Question, kept, now)) {
		return l.reply(ctx, q, kept, doubted(kept))
	}
	if !asking {
		if kept != nil {
			return l.reply(ctx, q, kept, l.offline(q.Question))
		}
		return nil, l.offline(q.Question)
	}
	if f, ok := l.recent(q.Question, now); ok && kept != nil {
		return l.fallBack(ctx, q, kept, f)
	}
	if kept == nil {
		if err := TraceOf(ctx).spend(); err != nil {
			return nil, err
		}
	}
	f := l.begin(ctx, q, kept)
	wait := patience
	if kept != nil && !kept.Absent {
		wait = l.slow()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	began := time.Now()
	defer func() { TraceOf(ctx).Upstream += time.Since(began) }()
	select {
	case <-f.done:
		if f.err == nil {
			TraceOf(ctx).Result = "miss"
			if kept != nil {
				TraceOf(ctx).Result = "revalidated"
			}
			r, err := l.reply(ctx, q, f.answer, doubted(f.answer))
			if err == nil {
				r.bump = f.bump
			}
			return r, err
		}
		return l.fallBack(ctx, q, kept, f.err)
	case <-timer.C:
		return l.fallBack(ctx, q, kept, &millpond.Error{
			Kind: millpond.BadUpstream,
			Why:  fmt.Sprintf("%s has not answered for %s; the question goes on", l.name, wait),
		})
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

const (
	// young is how old a word may be that a client gets who wants nothing old.
	young = 5 * time.Second
	// seldom is how often an upstream is asked the same for the sake of such clients.
	seldom = 10 * time.Second
)

// wantsAnew reports whether a word is to be asked for again though it is fresh: its reader wants that, and nobody has had it
// asked a moment ago.
func (l *upstream) wantsAnew(ctx context.Context, q catalog.Question, kept *catalog.Answer, now time.Time) bool {
	if !TraceOf(ctx).Anew || now.Sub(kept.Checked) <= young {
		return false
	}
	return l.anew.once(q.Kind+"\x00"+q.Package+"\x00"+q.Name, now, seldom)
}

// stands reports whether a word that was given at one time and is good until another is good now. A word from the future was
// given by a clock that was wrong, and is not believed.
func stands(now, given, until time.Time) bool {
	return now.Before(until) && !given.After(now.Add(leap))
}

// reply turns a kept answer into what the asker gets.
func (l *upstream) reply(ctx context.Context, q inquiry, a *catalog.Answer, stale error) (*reply, error) {
	t := TraceOf(ctx)
	if t.Layer == "" {
		t.Layer = l.name
	}
	if stale != nil {
		t.Result, t.Checked = "stale", a.Checked
	}
	if a.Absent {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: q.Package}, Why: a.Why}
	}
	return &reply{Answer: a, stale: stale}, nil
}

// fallBack is what a failed inquiry comes to: the kept answer, marked stale, or the failure.
func (l *upstream) fallBack(ctx context.Context, q inquiry, kept *catalog.Answer, err error) (*reply, error) {
	if kept == nil {
		return nil, err
	}
	// An old absence stands in only as long as the format says that its clients need it.
	if kept.Absent && l.pond.now().Sub(kept.Checked) > l.format.Info().OldAbsence {
		return nil, err
	}
	return l.reply(ctx, q, kept, err)
}

// doubted is why an answer is served though its upstream denies it; nil if it does not.
func doubted(a *catalog.Answer) error {
	if a.Doubt.IsZero() {
		return nil
	}
	return &millpond.Error{Kind: millpond.BadUpstream, Why: "its upstream says since a moment ago that there is no such thing"}
}

func (l *upstream) offline(q catalog.Question) error {
	what := q.Package
	if what == "" {
		what = q.Kind
	}
	return &millpond.Error{
		Kind: millpond.Offline, Key: millpond.Key{Package: q.Package},
		Why:  fmt.Sprintf("%s is not held here, and %s is not asked: the pond is offline", what, l.name),
		Hint: "ask again when it is online, or fetch it there first",
	}
}

// recent returns the failure of the same question a moment ago.
func (l *upstream) recent(q catalog.Question, now time.Time) (error, bool) {
	l.flights.mu.Lock()
	defer l.flights.mu.Unlock()
	f, ok := l.flights.failed[q]
	if ok && !stands(now, f.at, f.until) {
		delete(l.flights.failed, q)
		return nil, false
	}
	return f.err, ok
}

// begin starts the inquiry, or joins the one under way. The inquiry belongs to the pond and goes on when ctx ends.
func (l *upstream) begin(ctx context.Context, q inquiry, kept *catalog.Answer) *flight {
	l.flights.mu.Lock()
	defer l.flights.mu.Unlock()
	if f := l.flights.running[q.Question]; f != nil {
		return f
	}
	f := &flight{done: make(chan struct{})}
	if l.flights.running == nil {
		l.flights.running = map[catalog.Question]*flight{}
		l.flights.failed = map[catalog.Question]failure{}
	}
	l.flights.running[q.Question] = f
	ended, since := l.flights.ended[q.Question]
	since = since && (kept == nil || ended.After(kept.Checked))
	// The inquiry outlives its first asker; Pond.Close ends it.
	spelled := format.Spelling(ctx)
	started := l.pond.goes(func(ctx context.Context) {
		if spelled != "" {
			ctx = format.WithSpelling(ctx, spelled)
		}
		if since {
			f.answer = l.answeredSince(ctx, q, kept)
		}
		if f.answer == nil {
			f.answer, f.bump, f.err = l.guarded(ctx, q, kept)
		}
		l.flights.mu.Lock()
		delete(l.flights.running, q.Question)
		if f.err == nil {
			if l.flights.ended == nil || len(l.flights.ended) > 10_000 {
				l.flights.ended = map[catalog.Question]time.Time{}
			}
			l.flights.ended[q.Question] = f.answer.Checked
		}
		if f.err != nil && kept != nil {
			if len(l.flights.failed) > 10_000 {
				clear(l.flights.failed)
			}
			now := l.pond.now()
			l.flights.failed[q.Question] = failure{f.err, now, now.Add(pauseOf(f.err, now))}
		} else {
			delete(l.flights.failed, q.Question)
		}
		l.flights.mu.Unlock()
		close(f.done)
	})
	if !started {
		delete(l.flights.running, q.Question)
		f.err = errClosing
		close(f.done)
	}
	return f
}

// pauseOf is how long a question is not asked again that has failed: a format may say when, of an upstream whose answers do not
// fit together, but not for long.
func pauseOf(err error, now time.Time) time.Duration {
	e, ok := errors.AsType[*millpond.Error](err)
	if !ok || e.Kind != millpond.BadUpstream || e.After.IsZero() {
		return pause
	}
	return min(max(e.After.Sub(now), pause), time.Minute)
}

// answeredSince is an answer that was kept after the asker had looked, by a flight that has just ended; nil if there is none.
func (l *upstream) answeredSince(ctx context.Context, q inquiry, kept *catalog.Answer) *catalog.Answer {
	a, err := l.pond.catalog.Answer(ctx, q.Question)
	if err != nil || !stands(l.pond.now(), a.Checked, a.Fresh) || kept != nil && !a.Checked.After(kept.Checked) {
		return nil
	}
	return a
}

// guarded is inquire, whatever a format does on an answer that it did not expect.
func (l *upstream) guarded(ctx context.Context, q inquiry, kept *catalog.Answer) (a *catalog.Answer, bump uint64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &millpond.Error{Kind: millpond.Internal, Key: millpond.Key{Package: q.Package},
				Why: "reading an answer of " + l.name + " panicked", Err: fmt.Errorf("%v\n%s", p, debug.Stack())}
			l.pond.log.ErrorContext(ctx, "reading an answer panicked", "repository", l.repo.config.Name, "upstream", l.name,
				"kind", q.Kind, "package", q.Package, "error", err)
		}
	}()
	return l.inquire(ctx, q, kept)
}

// inquire asks the upstream and records what it said.
func (l *upstream) inquire(ctx context.Context, q inquiry, kept *catalog.Answer) (*catalog.Answer, uint64, error) {
	s := l.session(ctx)
	defer s.close()
	if kept != nil && !kept.Absent {
		s.kept = kept.Documents
	} else {
		s.kept = nil
	}
	var present *catalog.Answer
	if kept != nil && !kept.Absent {
		present = kept
	}
	record, err := q.read(ctx, s, present)
	now := l.pond.now()
	switch {
	case errors.Is(err, format.Unchanged) && present != nil:
		a := *present
		a.Checked, a.Fresh, a.Doubt = now, now.Add(s.freshFor(q)), time.Time{}
		if docs, ok := s.retagged(a.Documents); ok {
			a.Documents = docs
			return &a, 0, l.spare(ctx, q, l.replace(ctx, &a, present))
		}
		return &a, 0, l.spare(ctx, q, l.pond.catalog.Confirm(ctx, q.Question, a.Checked, a.Fresh))
	case err == nil:
		a := &catalog.Answer{Question: q.Question, Record: record, Checked: now, Fresh: now.Add(s.freshFor(q)), Changed: now}
		if a.Documents, err = s.keep(ctx); err != nil {
			return nil, 0, err
		}
		if present != nil && bytes.Equal(present.Record, a.Record) && sameTexts(present.Documents, a.Documents) {
			a.Changed = present.Changed
		}
		if err := l.spare(ctx, q, l.replace(ctx, a, present)); err != nil {
			return nil, 0, err
		}
		return a, q.accept(), nil
	case millpond.Is(err, millpond.NotFound) || millpond.Is(err, millpond.Gone):
		return l.absent(ctx, q, present, err)
	}
	return nil, 0, err
}

// spare is Pond.spare for an answer: it is given to its readers though it cannot be kept.
func (l *upstream) spare(ctx context.Context, q inquiry, err error) error {
	return l.pond.spare(ctx, "the answer of "+l.name+" on "+q.Kind+" "+q.Package, err)
}

func sameTexts(a, b []catalog.Document) bool {
	return slices.EqualFunc(a, b, func(x, y catalog.Document) bool { return x.Text == y.Text })
}

// doubt is how long the upstream must say that what it knew is gone, until it is believed.
func (l *upstream) doubt() time.Duration {
	if of := l.format.Info().Doubt; of != nil {
		return of(l.repo.option)
	}
	return doubt
}

// absent records an upstream's word that there is no such thing. What it had before is believed to be gone only when it has
// said so for a while: a sudden 404 is more often an upstream's bad day.
func (l *upstream) absent(ctx context.Context, q inquiry, present *catalog.Answer, said error) (*catalog.Answer, uint64, error) {
	now := l.pond.now()
	if present != nil {
		a := *present
		if a.Doubt.IsZero() {
			a.Doubt = now
		}
		if now.Sub(a.Doubt) < l.doubt() {
			a.Fresh = now.Add(time.Minute)
			return &a, 0, l.spare(ctx, q, l.replace(ctx, &a, present))
		}
		if err := l.keepAll(ctx, q.Package); err != nil {
			return nil, 0, err
		}
		if err := l.depart(ctx, present); err != nil {
			return nil, 0, err
		}
		l.pond.event(ctx, millpond.Event{
			Verb: "vanished", Repository: l.repo.config.Name, Layer: l.name, Key: millpond.Key{Package: q.Package, Version: q.Name},
		})
	}
	why, _ := format.Words(said)
	a := &catalog.Answer{Question: q.Question, Absent: true, Why: why, Checked: now, Fresh: now.Add(l.repo.absent()), Changed: now}
	if err := l.spare(ctx, q, l.replace(ctx, a, nil)); err != nil {
		return nil, 0, err
	}
	return a, q.accept(), nil
}
