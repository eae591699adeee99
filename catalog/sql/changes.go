package sql

import (
	"context"
	stdsql "database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"millpond"
	"millpond/catalog"
)

// longestView is how long a view may last: while it does, the log cannot begin anew.
const longestView = 30 * time.Second

// View reads a consistent state of the changes. It may last 30 seconds; after that its reads fail.
func (c *Catalog) View(ctx context.Context, f func(catalog.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, longestView)
	defer cancel()
	t, err := c.changes.read.BeginTx(ctx, nil)
	if err != nil {
		return c.changes.readFailed(err)
	}
	defer t.Rollback() // nothing was written
	v := &view{ctx: ctx, c: c, tx: t}
	defer func() { v.ended = true }()
	return f(v)
}

// Update is as catalog.Catalog says. f runs in its caller's goroutine, and must not call the catalog but through its Tx:
// others wait for it. A lock held by another process is waited for 5 s, then the error is Throttled; a full disk is Full;
// after an I/O error or damage all updates are refused until the next start, as Stopped says.
func (c *Catalog) Update(ctx context.Context, actor string, f func(catalog.Tx) error) error {
	turns := make(chan func())
	return c.changes.writer.do(ctx, func(w *work) error {
		ended := make(chan error, 1)
		turns <- func() {
			err := errors.New("the update did not return")
			u := &update{view: view{c: c}, actor: actor, work: w}
			defer func() {
				u.ended = true
				ended <- err
			}()
			err = f(u)
		}
		return <-ended
	}, turns)
}

// A view is a Tx that only reads.
type view struct {
	ctx   context.Context
	c     *Catalog
	tx    *stdsql.Tx
	ended bool
}

var errEnded = errors.New("the transaction has ended; its Tx must not be kept")

// Emit is an error.
func (v *view) Emit(millpond.Event) error {
	return errors.New("a view changes nothing: emit an event in an update")
}

// SetSetting is an error.
func (v *view) SetSetting(name string, _ json.RawMessage) error {
	return fmt.Errorf("a view changes nothing: set %s in an update", name)
}

const readSetting = `SELECT value FROM settings WHERE name = ?`

// Setting is as catalog.Tx says.
func (v *view) Setting(name string) (json.RawMessage, error) {
	if v.ended {
		return nil, errEnded
	}
	s, err := v.c.changes.statement(v.ctx, readSetting)
	if err != nil {
		return nil, v.c.changes.readFailed(err)
	}
	var value string
	err = v.tx.StmtContext(v.ctx, s).QueryRowContext(v.ctx, name).Scan(&value)
	if errors.Is(err, stdsql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, v.c.changes.readFailed(err)
	}
	return json.RawMessage(value), nil
}

// An update is a Tx that changes.
type update struct {
	view
	actor string
	work  *work
}

const insertEvent = `INSERT INTO events (time, actor, verb, repository, layer, package, version, file, detail)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`

// Emit is as catalog.Tx says; Invalid if Detail is not JSON.
func (u *update) Emit(e millpond.Event) error {
	if u.ended {
		return errEnded
	}
	if len(e.Detail) > 0 && !json.Valid(e.Detail) {
		return &millpond.Error{Kind: millpond.Invalid, Key: e.Key, Why: fmt.Sprintf("the detail of a %s event is not JSON: %q", e.Verb, e.Detail)}
	}
	_, err := u.work.exec(insertEvent, millis(u.c.now()), u.actor, e.Verb, e.Repository, e.Layer,
		e.Key.Package, e.Key.Version, e.Key.File, nullJSON(e.Detail))
	if err != nil {
		return u.c.changes.writeFailed(err)
	}
	return nil
}

// Setting is as catalog.Tx says.
func (u *update) Setting(name string) (json.RawMessage, error) {
	if u.ended {
		return nil, errEnded
	}
	var value string
	found, err := u.work.one(readSetting, []any{name}, &value)
	if err != nil {
		return nil, u.c.changes.writeFailed(err)
	}
	if !found {
		return nil, nil
	}
	return json.RawMessage(value), nil
}

const (
	dropSetting  = `DELETE FROM settings WHERE name = ?`
	writeSetting = `INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
)

// SetSetting is as catalog.Tx says; Invalid if the value is not JSON.
func (u *update) SetSetting(name string, value json.RawMessage) error {
	if u.ended {
		return errEnded
	}
	var err error
	switch {
	case value == nil:
		_, err = u.work.exec(dropSetting, name)
	case !json.Valid(value):
		return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("the value of %s is not JSON: %q", name, value)}
	default:
		_, err = u.work.exec(writeSetting, name, string(value))
	}
	if err != nil {
		return u.c.changes.writeFailed(err)
	}
	return nil
}

const (
	// eventPage is how many events are read at once: no connection is held while a follower thinks about one.
	eventPage = 256
	// pollEvery is how often followers look for events of other processes; those of this one wake them.
	pollEvery = 2 * time.Second

	readEvents = `SELECT seq, time, actor, verb, repository, layer, package, version, file, detail
	FROM events WHERE seq > ? ORDER BY seq LIMIT ?`
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
		err := rows.Scan(&e.Seq, (*moment)(&e.Time), &e.Actor, &e.Verb, &e.Repository, &e.Layer,
			&e.Key.Package, &e.Key.Version, &e.Key.File, (*document)(&e.Detail))
		page = append(page, e)
		return err
	})
	return page, err
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
