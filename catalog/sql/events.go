package sql

import (
	"context"
	stdsql "database/sql"
	"iter"
	"time"

	"millpond"
)

const (
	// eventPage is how many events are read at once: no connection is held while a follower thinks about one.
	eventPage = 256
	// pollEvery is how often followers look for events of other processes; those of this one wake them.
	pollEvery = 2 * time.Second

	eventColumns = `SELECT epoch, seq, time, actor, token, client, request, verb, repository, layer, package, version, file, detail, hash FROM events`
	readEvents   = eventColumns + ` WHERE seq > ? ORDER BY seq LIMIT 0+?`
)

// Events is as catalog.Catalog says. It ends without an error when ctx does, and with one when the catalog is closed.
func (c *Catalog) Events(ctx context.Context, seq int64) iter.Seq2[millpond.Event, error] {
	return func(yield func(millpond.Event, error) bool) {
		for {
			news := c.nextNews() // before reading: what comes after the read closes it
			page, err := c.eventsAfter(ctx, seq)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				yield(millpond.Event{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) || ctx.Err() != nil {
					return
				}
				seq = e.Seq
			}
			if len(page) < eventPage && !c.awaitNews(ctx, news) {
				if ctx.Err() == nil {
					yield(millpond.Event{}, closedError())
				}
				return
			}
		}
	}
}

func (c *Catalog) eventsAfter(ctx context.Context, seq int64) ([]millpond.Event, error) {
	var page []millpond.Event
	err := c.changes.each(ctx, readEvents, []any{seq, eventPage}, func(rows *stdsql.Rows) error {
		var e millpond.Event
		err := scanEvent(rows, &e)
		page = append(page, e)
		return err
	})
	return page, err
}

func scanEvent(rows *stdsql.Rows, e *millpond.Event, more ...any) error {
	return rows.Scan(append([]any{&e.Epoch, &e.Seq, (*moment)(&e.Time), &e.Actor.Name, &e.Token, &e.Client, &e.Request,
		&e.Verb, &e.Repository, &e.Layer, &e.Key.Package, &e.Key.Version, &e.Key.File, (*document)(&e.Detail), (*sum256)(&e.Hash)}, more...)...)
}

// announce wakes those who wait for events.
func (c *Catalog) announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.news)
	c.news = make(chan struct{})
}

func (c *Catalog) nextNews() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.news
}

// awaitNews waits until there may be events to read; false if ctx ends or the catalog is closed.
func (c *Catalog) awaitNews(ctx context.Context, news <-chan struct{}) bool {
	poll := time.NewTimer(pollEvery)
	defer poll.Stop()
	select {
	case <-news:
	case <-poll.C:
	case <-ctx.Done():
		return false
	case <-c.closed:
		return false
	}
	return true
}
