package repo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// A Span is some versions of a package: one, or those from From on that come before Before and not after Through. Each
// bound that is "" is none. With a Release they are those of that release of a distribution alone.
type Span struct {
	Release string `json:"release,omitempty"` // "12" of "Debian:12": see format.Distributor
	Version string `json:"version,omitempty"`
	From    string `json:"from,omitempty"`
	Before  string `json:"before,omitempty"`
	Through string `json:"through,omitempty"`
}

func (s Span) holds(r *Repository, k millpond.Key) bool {
	if d, ok := r.config.Format.(format.Distributor); ok && s.Release != "" && !d.Ships(k, s.Release, r.option) {
		return false
	}
	g, version := millpond.Grammar(r.config.Format), k.Version
	if s.Version != "" {
		return s.Version == version || g.Compare(s.Version, version) == 0
	}
	return (s.From == "" || g.Compare(s.From, version) <= 0) && (s.Before == "" || g.Compare(version, s.Before) < 0) &&
		(s.Through == "" || g.Compare(version, s.Through) <= 0)
}

// String is the span for people.
func (s Span) String() string {
	var words []string
	if s.Version != "" {
		words = append(words, s.Version)
	}
	for _, b := range []struct{ word, at string }{{"from", s.From}, {"before", s.Before}, {"up to", s.Through}} {
		if b.at != "" {
			words = append(words, b.word+" "+b.at)
		}
	}
	said := cmp.Or(strings.Join(words, " "), "all")
	if s.Release != "" {
		said += " of release " + s.Release
	}
	return said
}

// whole reports whether it is every version.
func (s Span) whole() bool { return s == Span{} }

// Released are the spans of an advisory as they count for a format: where it knows releases of distributions, of that alone which
// the ecosystem names. No spans are every version, as in an AdviceOf.
func Released(f format.Format, ecosystem string, spans []Span) []Span {
	_, release, _ := strings.Cut(ecosystem, ":")
	if _, ok := f.(format.Distributor); !ok || release == "" {
		return spans
	}
	if len(spans) == 0 {
		spans = []Span{{}}
	}
	spans = slices.Clone(spans)
	for i := range spans {
		spans[i].Release = release
	}
	return spans
}

// An Advice is one record of a feed of advisories.
type Advice struct {
	ID        string // of the record: "MAL-2026-1"
	Why       string // in the words that clients are told
	Withdrawn bool   // the feed takes it back
	Affected  []AdviceOf
}

// An AdviceOf is what an Advice says of one package. No Spans are every version.
type AdviceOf struct {
	Ecosystem, Package string // the first as OSV has it: see format.Info.Advised
	Spans              []Span
}

// Advised says what came of a feed's records.
type Advised struct{ Taken, Lifted, Unread int }

// advised are the entries that say what a feed's records were last taken to say, whatever became of their takedowns.
const advised = "advised"

// adviceAtOnce is how many takedowns are one transaction.
const adviceAtOnce = 200

// adviceShown is how long readers go on seeing what was, at most, while a feed has very many records to take.
const adviceShown = 10 * time.Second

// TakeAdvice takes down what a feed's records name, with the feed as the actor, and lifts what it takes back. Records of
// formats that no repository has are passed over, and those that name no package are counted as not read. What was lifted by
// hand stays lifted until the record says something else. An error of the records ends it; what was taken stands.
//
// It is the pond's own work: who configures a feed has the operator's word for it.
func (p *Pond) TakeAdvice(ctx context.Context, feed string, records iter.Seq2[*Advice, error]) (out Advised, err error) {
	var steps []step
	var unseen bool
	looked := time.Now()
	take := func() error {
		taken, lifted, err := p.takeSteps(ctx, feed, steps)
		out.Taken, out.Lifted, unseen, steps = out.Taken+taken, out.Lifted+lifted, unseen || taken+lifted > 0, steps[:0]
		// All takedowns are read again each time, which takes a second where there are hundreds of thousands.
		if unseen && (err != nil || time.Since(looked) > adviceShown) {
			err = firstError(err, p.showTakedowns(ctx))
			unseen, looked = false, time.Now()
		}
		return err
	}
	for a, bad := range records {
		if bad != nil {
			err = bad
			break
		}
		more, unread := p.steps(feed, a)
		steps = append(steps, more...)
		out.Unread += unread
		if len(steps) >= adviceAtOnce {
			if err = take(); err != nil {
				break
			}
		}
	}
	if err == nil {
		err = take()
	}
	if unseen {
		err = firstError(err, p.showTakedowns(ctx))
	}
	return out, err
}

// takeSteps carries out those steps that are not done, in one transaction.
func (p *Pond) takeSteps(ctx context.Context, feed string, steps []step) (taken, lifted int, err error) {
	var due []step
	if err := p.catalog.View(ctx, func(tx catalog.Tx) (err error) {
		due, err = undone(tx, steps)
		return err
	}); err != nil || len(due) == 0 {
		return 0, 0, err
	}
	err = p.catalog.Update(ctx, millpond.Actor{Name: feed}, func(tx catalog.Tx) error {
		taken, lifted = 0, 0
		due, err := undone(tx, steps)
		if err != nil {
			return err
		}
		for i := range due {
			did, err := due[i].do(tx)
			if err != nil {
				return err
			}
			if did && due[i].withdrawn {
				lifted++
			} else if did {
				taken++
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	return taken, lifted, nil
}

// A step is what a record asks for of one package in one format.
type step struct {
	takedown  Takedown
	withdrawn bool
	says      string // tells apart what records say
}

// steps are what a record asks for.
func (p *Pond) steps(feed string, a *Advice) (steps []step, unread int) {
	now := p.now().Truncate(time.Second)
	for _, of := range a.Affected {
		var in *Repository
		for _, r := range p.Repositories() {
			if r.info.Advised(of.Ecosystem) {
				in = r
				break
			}
		}
		if in == nil {
			continue
		}
		name, err := in.config.Format.Canon(of.Package)
		if err != nil || a.ID == "" {
			unread++
			continue
		}
		t := Takedown{Format: in.info.Name, Package: name, Why: cmp.Or(a.Why, a.ID), By: feed, Time: now, Advisory: a.ID}
		if spans := Released(in.config.Format, of.Ecosystem, of.Spans); !slices.ContainsFunc(spans, Span.whole) {
			t.Affected = spans
		}
		// Several parts of a record may be about one package: they are one takedown.
		if i := slices.IndexFunc(steps, func(s step) bool { return s.takedown.Format == t.Format && s.takedown.Package == name }); i >= 0 {
			one := &steps[i].takedown
			if len(one.Affected) == 0 || len(t.Affected) == 0 {
				one.Affected = nil
			} else {
				one.Affected = append(slices.Clone(one.Affected), t.Affected...)
			}
			continue
		}
		t.ID = "a" + short(feed, a.ID, t.Format, name)
		steps = append(steps, step{takedown: t, withdrawn: a.Withdrawn})
	}
	for i := range steps {
		s := &steps[i]
		said, _ := json.Marshal(s.takedown.Affected) // plain fields
		s.says = short(string(said))
		if s.withdrawn {
			s.says = "withdrawn"
		}
	}
	return steps, unread
}

// short is a name made of others.
func short(parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%q\n", part)
	}
	return hex.EncodeToString(sum.Sum(nil)[:10])
}

// undone are the steps whose record says something else than it did.
func undone(tx catalog.Tx, steps []step) (due []step, err error) {
	for _, s := range steps {
		e, err := tx.Entry(advised, s.takedown.ID)
		if millpond.Is(err, millpond.NotFound) {
			if !s.withdrawn {
				due = append(due, s)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		var says string
		if err := json.Unmarshal(e.Value, &says); err != nil {
			return nil, err
		}
		if says != s.says {
			due = append(due, s)
		}
	}
	return due, nil
}

// do carries a step out, with its event, and reports whether there was anything to do.
func (s *step) do(tx catalog.Tx) (bool, error) {
	says, err := json.Marshal(s.says)
	if err != nil {
		return false, err
	}
	if err := tx.PutEntry(&catalog.Entry{Kind: advised, ID: s.takedown.ID, Value: says}); err != nil {
		return false, err
	}
	if s.withdrawn {
		if _, err := tx.Entry(takedowns, s.takedown.ID); err != nil {
			if millpond.Is(err, millpond.NotFound) {
				return false, nil // somebody has lifted it
			}
			return false, err
		}
		return true, dropTakedown(tx, &s.takedown, s.takedown.Advisory+" was withdrawn")
	}
	value, err := json.Marshal(&s.takedown)
	if err != nil {
		return false, err
	}
	if err := tx.PutEntry(&catalog.Entry{Kind: takedowns, ID: s.takedown.ID, Value: value}); err != nil {
		return false, err
	}
	return true, tx.Emit(millpond.Event{Verb: VerbTakedown, Key: millpond.Key{Package: s.takedown.Package}, Detail: value})
}
