package sql

import (
	"bytes"
	"cmp"
	"context"
	stdsql "database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"millpond"
	"millpond/catalog"
)

const (
	verifyPage = 1000

	readChain = `SELECT epoch, seq, time, actor, token, client, request, verb, repository, layer, package, version, file, detail, hash, salt
	FROM events WHERE seq > ? ORDER BY seq LIMIT 0+?`
)

// Verify is as catalog.Log says. What is wrong with an event comes first, by number; then heads of the epoch that goes on
// now, which show a tail that was cut; last those of epochs that ended, whose tail a restore has left behind.
func (c *Catalog) Verify(ctx context.Context, heads []catalog.Head) (*catalog.Break, int64, error) {
	// Read before the events: more may come, but none of these may be missing.
	own, err := c.Head(ctx)
	if err != nil {
		return nil, 0, err
	}
	v := verifier{own: own, prev: origin(), noted: map[place]catalog.Head{}}
	for _, h := range heads {
		if old, twice := v.noted[place{h.Epoch, h.Seq}]; twice && old.Hash != h.Hash {
			return &catalog.Break{Epoch: h.Epoch, Seq: h.Seq, Why: fmt.Sprintf("two different heads %d were noted, at %s and at %s", h.Seq, when(old.Time), when(h.Time))}, 0, nil
		}
		v.noted[place{h.Epoch, h.Seq}] = h
	}
	var read int64
	for {
		page, err := c.linksAfter(ctx, v.last.Seq)
		if err != nil {
			return nil, read, err
		}
		for i := range page {
			if b := v.next(&page[i]); b != nil {
				return b, read, nil
			}
			read++
		}
		if len(page) < verifyPage {
			break
		}
	}
	if own.Seq == 0 && read > 0 {
		if own, err = c.Head(ctx); err == nil && own.Seq == 0 {
			return &catalog.Break{Epoch: 1, Seq: 1, Why: "the log's own head is gone"}, read, nil
		}
	}
	return v.end(), read, err
}

// A linked is an event with its salt.
type linked struct {
	millpond.Event
	salt []byte
}

func (c *Catalog) linksAfter(ctx context.Context, seq int64) (page []linked, err error) {
	rows, err := c.changes.long(ctx, readChain, seq, verifyPage)
	if err != nil {
		return nil, err
	}
	err = c.changes.drain(rows, func(rows *stdsql.Rows) error {
		var e linked
		err := scanEvent(rows, &e.Event, (*blob)(&e.salt))
		page = append(page, e)
		return err
	})
	return page, err
}

// A place is where an event stands.
type place struct{ epoch, seq int64 }

// A verifier walks the log.
type verifier struct {
	own   catalog.Head // the log's own word on its end, from before the walk
	last  millpond.Event
	prev  []byte
	noted map[place]catalog.Head
	ends  []millpond.Event // the last events of the epochs that ended, and then the first of the next
}

// next looks at the event that follows.
func (v *verifier) next(e *linked) *catalog.Break {
	wrong := func(format string, args ...any) *catalog.Break {
		return &catalog.Break{Epoch: e.Epoch, Seq: e.Seq, Why: fmt.Sprintf(format, args...)}
	}
	switch want := v.last.Seq + 1; {
	case e.Seq == want+1:
		return &catalog.Break{Epoch: v.last.Epoch, Seq: want, Why: fmt.Sprintf("event %d is gone", want)}
	case e.Seq != want:
		return &catalog.Break{Epoch: v.last.Epoch, Seq: want, Why: fmt.Sprintf("events %d to %d are gone", want, e.Seq-1)}
	}
	hash, err := link(v.prev, &e.Event, e.salt)
	if err != nil {
		return wrong("event %d cannot be read: %v", e.Seq, err)
	}
	stored, err := millpond.NewDigest("sha256", hash)
	if err != nil || stored != e.Hash || len(e.salt) != saltSize {
		return wrong("event %d was changed", e.Seq)
	}
	if e.Seq == v.own.Seq && e.Hash != v.own.Hash {
		return wrong("the log's own head is not the hash of event %d", e.Seq)
	}
	switch {
	case e.Seq == 1:
		if e.Epoch != 1 {
			return wrong("the log begins with epoch %d", e.Epoch)
		}
	case e.Epoch > v.last.Epoch && e.Verb == epochVerb:
		v.ends = append(v.ends, v.last, e.Event)
	case e.Epoch != v.last.Epoch:
		return wrong("event %d is of epoch %d, and nothing began it", e.Seq, e.Epoch)
	}
	if h, ok := v.noted[place{e.Epoch, e.Seq}]; ok {
		if h.Hash != e.Hash {
			return wrong("event %d or one before it was changed and the log chained anew: head %d was noted at %s", e.Seq, h.Seq, when(h.Time))
		}
		delete(v.noted, place{e.Epoch, e.Seq})
	}
	v.last, v.prev = e.Event, bytes.Clone(hash)
	return nil
}

// end looks at what should have come.
func (v *verifier) end() *catalog.Break {
	gone := func(after, seq int64, how string) *catalog.Break {
		return &catalog.Break{Epoch: v.last.Epoch, Seq: after + 1, Why: fmt.Sprintf("events after %d are gone: head %d %s", after, seq, how)}
	}
	left := make([]catalog.Head, 0, len(v.noted))
	for _, h := range v.noted {
		left = append(left, h)
	}
	slices.SortFunc(left, func(a, b catalog.Head) int {
		if a.Epoch != b.Epoch {
			return cmp.Compare(b.Epoch, a.Epoch) // the newest first
		}
		return cmp.Compare(b.Seq, a.Seq)
	})
	if len(left) > 0 && left[0].Epoch >= v.last.Epoch {
		return gone(v.last.Seq, left[0].Seq, "was noted at "+when(left[0].Time))
	}
	if v.own.Seq > v.last.Seq {
		return gone(v.last.Seq, v.own.Seq, "is what the log itself says")
	}
	for _, h := range left {
		for i := 0; i < len(v.ends); i += 2 {
			last, first := v.ends[i], v.ends[i+1]
			if last.Epoch != h.Epoch {
				continue
			}
			var detail struct {
				Why string `json:"why"`
			}
			json.Unmarshal(first.Detail, &detail) // the words are a help only
			b := gone(last.Seq, h.Seq, fmt.Sprintf("was noted at %s; epoch %d began after %d with the words %q", when(h.Time), first.Epoch, last.Seq, detail.Why))
			b.Epoch = h.Epoch
			return b
		}
		return &catalog.Break{Epoch: h.Epoch, Seq: h.Seq, Why: fmt.Sprintf("head %d of epoch %d was noted at %s, and this log has no such epoch: it is of another restore, or was taken out", h.Seq, h.Epoch, when(h.Time))}
	}
	return nil
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }
