package debian

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/format"
)

// The Releases of a suite that is made here are a chain: each has a later date than the one before, whatever it says, for apt
// takes what has an older date for nothing new. The last ones are kept with all their indexes, so that who has read an older
// one goes on to the indexes that belong to it, and snapshot/<time>/ gives them by their dates.

const (
	keptForms = 24              // of Releases and buckets, besides the newest
	lingerFor = 5 * time.Minute // all that were the newest so lately stay as well
	mostAhead = 5 * time.Second // by how much a date may run ahead of the clock: apt takes ten
	lookAgain = time.Hour       // after which the verdicts of rules are asked for again, whatever has changed
)

// kept is the derivation of a document whose older forms stay.
func kept(name, stamp, kind string) format.Derivation {
	return format.Derivation{Name: name, Stamp: stamp, Type: kind, Keep: keptForms, Linger: lingerFor}
}

// errLost says that a form that was made before is not kept any more.
var errLost = &millpond.Error{Kind: millpond.NotFound, Why: "this form of the index is not kept any more", Hint: "update again"}

// A chain is what the handlers of a suite remember together.
type chain struct {
	turn   chan struct{} // has room for one: whoever makes the next Release
	latest atomic.Pointer[link]
}

// A link is the newest Release, and what it is known to be made of.
type link struct {
	*madeRelease
	inputs string
	until  time.Time
}

func (l *link) good(inputs string, now time.Time) bool {
	return l != nil && l.inputs == inputs && (l.until.IsZero() || now.Before(l.until))
}

func (h handler) chain(suite string) *chain {
	fresh := func() any { return &chain{turn: make(chan struct{}, 1)} }
	if s, ok := h.repo.(format.Sharer); ok {
		return s.Shared("made/"+suite, fresh).(*chain)
	}
	return fresh().(*chain)
}

// chainName is the name of a suite's Releases among derived documents: callers who may read different packages have suites
// of their own.
func (h handler) chainName(suite string) string {
	name := "made/" + suite
	if p, ok := h.repo.(format.Historian); ok {
		name += "@" + p.Readership()
	}
	return name
}

// forms are the Releases of a suite that are kept, newest first.
func (h handler) forms(ctx context.Context, suite string) ([]format.Form, error) {
	historian, ok := h.repo.(format.Historian)
	if !ok {
		return nil, nil
	}
	forms, err := historian.Forms(ctx, h.chainName(suite))
	slices.SortFunc(forms, func(a, b format.Form) int { return strings.Compare(b.Stamp, a.Stamp) }) // which begin with their dates
	return forms, err
}

// form reads one of them.
func (h handler) form(ctx context.Context, suite, stamp string) (*madeRelease, error) {
	c, err := h.repo.Derive(ctx, kept(h.chainName(suite), stamp, "application/json"), func(io.Writer) error { return errLost })
	if err != nil {
		return nil, err
	}
	b, err := readAll(c, 64<<20)
	if err != nil {
		return nil, err
	}
	m := &madeRelease{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("read a Release of %s that was made here: %w", suite, err)
	}
	return m, nil
}

// newest is the newest Release of a suite that is kept; nil if there is none.
func (h handler) newest(ctx context.Context, suite string) (*madeRelease, error) {
	forms, err := h.forms(ctx, suite)
	if err != nil {
		return nil, err
	}
	for _, f := range forms {
		m, err := h.form(ctx, suite, f.Stamp)
		if err == nil || !errors.Is(err, error(errLost)) {
			return m, err
		}
	}
	return nil, nil
}

// makeAt is the Release of a suite as it is now, or as it was then.
func (h handler) makeAt(ctx context.Context, pkg *millpond.Package, at time.Time) (*madeRelease, error) {
	m, err := h.make(ctx, pkg)
	if err != nil || at.IsZero() || !m.Date.After(at) {
		return m, err
	}
	return h.then(ctx, pkg.Name, at)
}

// then is the newest Release of a suite that is not later than a time.
func (h handler) then(ctx context.Context, suite string, at time.Time) (*madeRelease, error) {
	forms, err := h.forms(ctx, suite)
	if err != nil {
		return nil, err
	}
	for _, f := range forms {
		day, _, _ := strings.Cut(f.Stamp, "-")
		if date, err := time.Parse(snapshotTime, day); err != nil || date.After(at) {
			continue
		}
		m, err := h.form(ctx, suite, f.Stamp)
		if err == nil || !errors.Is(err, error(errLost)) {
			return m, err
		}
	}
	return nil, &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: suite}, Why: "no snapshot of " + suite + " is kept that is not later than " + date(at)}
}

// inputs stand for all that the Release of a suite is made of.
func (h handler) inputs(ctx context.Context, pkg *millpond.Package, seal *seal) (string, error) {
	names, _, err := h.repo.Stamp(ctx, "")
	if err != nil {
		return "", err
	}
	return hashOf(pkg.Stamp, names, h.judging(), seal.word, h.repo.Option("architectures")), nil
}

// make is the Release of a suite as it is now. One reader makes it, and those who come meanwhile wait.
func (h handler) make(ctx context.Context, pkg *millpond.Package) (*madeRelease, error) {
	seal, err := h.seal(ctx)
	if err != nil {
		return nil, err
	}
	inputs, err := h.inputs(ctx, pkg, seal)
	if err != nil {
		return nil, err
	}
	c := h.chain(pkg.Name)
	if l := c.latest.Load(); l.good(inputs, h.repo.Now()) {
		return l.madeRelease, nil
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.turn }()
	ctx = context.WithoutCancel(ctx) // it is made for all who wait, also when this reader leaves
	last, err := h.newest(ctx, pkg.Name)
	if err != nil {
		return nil, err
	}
	for waited := false; ; waited = true {
		// Others may have had their turn before: what it is made of is looked at now, so that no Release takes back the one before.
		if pkg, err = h.pkg(ctx, pkg.Name); err != nil {
			return nil, err
		}
		if inputs, err = h.inputs(ctx, pkg, seal); err != nil {
			return nil, err
		}
		if l := c.latest.Load(); l.good(inputs, h.repo.Now()) {
			return l.madeRelease, nil
		}
		if waited || last == nil {
			break
		}
		// Of Releases that follow each other within a second the dates run ahead of the clock, but not far. Who comes meanwhile
		// waits too, and has the same.
		wait := last.Date.Add(time.Second).Sub(h.repo.Now()) - mostAhead
		if wait <= 0 {
			break
		}
		time.Sleep(min(wait, time.Second))
	}
	m, err := h.next(ctx, pkg, last, seal)
	switch {
	case err == nil:
		c.latest.Store(&link{m, inputs, m.Until})
		return m, nil
	case last == nil:
		return nil, err
	}
	switch millpond.KindOf(err) {
	case millpond.BadUpstream, millpond.Offline, millpond.Corrupt, millpond.Throttled, millpond.NotFound, millpond.Unready:
		return last, nil // an index of the upstream or a key cannot be had: readers have the Release before, whole
	}
	return nil, err
}

// next makes the Release that comes after the last one, or returns that if nothing is different.
func (h handler) next(ctx context.Context, pkg *millpond.Package, last *madeRelease, seal *seal) (*madeRelease, error) {
	now := h.repo.Now().UTC()
	m := &madeRelease{Date: now.Truncate(time.Second), Seal: seal.word}
	if last != nil && !m.Date.After(last.Date) {
		m.Date = last.Date.Add(time.Second)
	}
	rec, err := recordOf(pkg)
	if err != nil {
		return nil, err
	}
	keys, err := keysOf(ctx, h.repo, expected(rec, last))
	if err != nil {
		return nil, err
	}
	m.Keys = keys.prints
	if rec.Snapshot != "" {
		err = h.again(ctx, pkg.Name, rec.Snapshot, last, m)
	} else {
		err = h.assemble(ctx, pkg, last, m)
	}
	if err != nil {
		return nil, err
	}
	if again := now.Add(lookAgain); h.repo.Ruled() && (m.Until.IsZero() || m.Until.After(again)) {
		m.Until = again
	}
	if last != nil && m.same(last) {
		same := *last
		same.Until = m.Until
		return &same, nil
	}
	m.Release = m.text(seal.valid)
	in, detached, err := keys.sign([]byte(m.Release), m.Date)
	if err != nil {
		return nil, err
	}
	m.InRelease, m.Detached = string(in), string(detached)
	stamp := m.Date.Format(snapshotTime) + "-" + millpond.SHA256(in).Short()
	c, err := h.repo.Derive(ctx, kept(h.chainName(pkg.Name), stamp, "application/json"), func(w io.Writer) error { return json.NewEncoder(w).Encode(m) })
	if err != nil {
		return nil, err
	}
	return m, c.Close()
}

// settle has what a bucket is now kept: as what it was in the Release before, if it is the same.
func (h handler) settle(ctx context.Context, b *bucket, last, m *madeRelease) (*millpond.Content, error) {
	body, err := h.bucketBody(ctx, b)
	if err != nil {
		return nil, err
	}
	ref := bucketRef{Name: "kept/" + b.name, Stamp: body.Digest.Hex()[:32] + "." + strconv.FormatInt(m.Date.Unix(), 10)}
	if last != nil {
		for _, old := range last.Buckets {
			if content, _, _ := strings.Cut(old.Stamp, "."); old.Name == ref.Name && content == body.Digest.Hex()[:32] {
				ref = old
			}
		}
	}
	c, err := h.repo.Derive(ctx, kept(ref.Name, ref.Stamp, typeAny), func(w io.Writer) error {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return err
		}
		_, err := io.Copy(w, body)
		return err
	})
	if err != nil {
		body.Close()
		return nil, err
	}
	m.Buckets = append(m.Buckets, ref)
	return body, c.Close()
}

// again makes a Release of what an older one listed: apt goes back only to what has a later date.
func (h handler) again(ctx context.Context, suite, to string, last, m *madeRelease) error {
	m.Pinned = to
	from := last
	if last == nil || last.Pinned != to {
		at, err := time.Parse(snapshotTime, to)
		if err != nil {
			return err
		}
		if from, err = h.then(ctx, suite, at); err != nil {
			return err
		}
	}
	m.Fields, m.Files, m.Buckets = from.Fields, from.Files, from.Buckets
	return nil
}

// judging stands for the rules.
func (h handler) judging() string {
	if j, ok := h.repo.(format.Judger); ok {
		return j.Judging()
	}
	return ""
}
