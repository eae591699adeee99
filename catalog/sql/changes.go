package sql

import (
	"context"
	stdsql "database/sql"
	"encoding/json"
	"errors"
	"fmt"
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
	v := &view{records: records{c: c}, ctx: ctx, tx: t}
	v.rows = v.read
	defer func() { v.ended = true }()
	if err := f(v); err != nil || len(v.fresh) == 0 {
		return err
	}
	t.Rollback()
	for _, text := range v.fresh {
		c.changes.statement(context.WithoutCancel(ctx), text) // if it cannot be prepared the next view tries again
	}
	return nil
}

// Update is as catalog.Catalog says. f runs in its caller's goroutine, and must not call the catalog but through its Tx:
// others wait for it. A lock held by another process is waited for 5 s, then the error is Throttled; a full disk is Full;
// after an I/O error or damage all updates are refused until the next start, as Stopped says.
func (c *Catalog) Update(ctx context.Context, by millpond.Actor, f func(catalog.Tx) error) error {
	return c.update(ctx, by, func(u *update) error { return f(u) })
}

func (c *Catalog) update(ctx context.Context, by millpond.Actor, f func(*update) error) error {
	turns := make(chan func())
	return c.changes.writer.do(ctx, func(w *work) error {
		ended := make(chan error, 1)
		turns <- func() {
			err := errors.New("the update did not return")
			u := &update{records: records{c: c}, by: by, work: w}
			u.rows = u.read
			defer func() {
				u.ended = true
				ended <- err
			}()
			err = f(u)
		}
		return <-ended
	}, turns)
}

// records is what views and updates read alike.
type records struct {
	c     *Catalog
	rows  func(text string, args []any, scan func(*stdsql.Rows) error) error
	ended bool
}

var errEnded = errors.New("the transaction has ended; its Tx must not be kept")

// each calls scan for every row of a statement, its errors in words.
func (r *records) each(text string, args []any, scan func(*stdsql.Rows) error) error {
	if r.ended {
		return errEnded
	}
	return r.rows(text, args, scan)
}

// one scans the only row of a statement; false if there is none.
func (r *records) one(text string, args []any, into ...any) (bool, error) {
	found := false
	err := r.each(text, args, func(rows *stdsql.Rows) error {
		found = true
		return rows.Scan(into...)
	})
	return found, err
}

const readSetting = `SELECT value FROM settings WHERE name = ?`

// Setting is as catalog.Tx says.
func (r *records) Setting(name string) (json.RawMessage, error) {
	var value string
	found, err := r.one(readSetting, []any{name}, &value)
	if err != nil || !found {
		return nil, err
	}
	return json.RawMessage(value), nil
}

// A view is a Tx that only reads.
type view struct {
	records
	ctx   context.Context
	tx    *stdsql.Tx
	fresh []string // statements to prepare when the view has ended
}

// read runs a statement of the view. Like file.query it looks at ctx once.
func (v *view) read(text string, args []any, scan func(*stdsql.Rows) error) error {
	if err := v.ctx.Err(); err != nil {
		return err
	}
	ctx := context.WithoutCancel(v.ctx)
	var rows *stdsql.Rows
	var err error
	if s, ok := v.c.changes.statements.Load(text); ok {
		rows, err = v.tx.StmtContext(ctx, s.(*stdsql.Stmt)).QueryContext(ctx, args...)
	} else {
		// To prepare it now takes a second connection: views that have all the others would wait for each other.
		v.fresh = append(v.fresh, text)
		rows, err = v.tx.QueryContext(ctx, text, args...)
	}
	if err != nil {
		return v.c.changes.readFailed(err)
	}
	return v.c.changes.drain(rows, scan)
}

// An update is a Tx that changes.
type update struct {
	records
	by   millpond.Actor
	work *work
}

// read runs a statement of the update.
func (u *update) read(text string, args []any, scan func(*stdsql.Rows) error) error {
	if err := u.work.each(text, args, scan); err != nil {
		return u.c.changes.writeFailed(err)
	}
	return nil
}

// exec runs a statement and returns how many rows it changed, its errors in words.
func (u *update) exec(text string, args ...any) (int64, error) {
	if u.ended {
		return 0, errEnded
	}
	n, err := u.work.exec(text, args...)
	if err != nil {
		return 0, u.c.changes.writeFailed(err)
	}
	return n, nil
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
	if value == nil {
		_, err := u.exec(dropSetting, name)
		return err
	}
	if err := isJSON(value, "the value of "+name); err != nil {
		return err
	}
	_, err := u.exec(writeSetting, name, string(value))
	return err
}

// isJSON is nil for JSON and for nothing, and else Invalid.
func isJSON(m json.RawMessage, what string) error {
	if len(m) == 0 || json.Valid(m) {
		return nil
	}
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%s is not JSON: %.200q", what, m)}
}
