package sql

import (
	stdsql "database/sql"
	"fmt"
	"iter"

	"millpond"
	"millpond/catalog"
)

const (
	alive        = ` AND (expires = 0 OR expires > ?)`
	entryColumns = `SELECT kind, id, owner, value, expires FROM entries`
	readEntry    = entryColumns + ` WHERE kind = ? AND id = ?` + alive
	entriesFrom  = entryColumns + ` WHERE kind = ? AND id >= ?` + alive + ` ORDER BY id LIMIT 0+?`
	entriesAfter = entryColumns + ` WHERE kind = ? AND id > ?` + alive + ` ORDER BY id LIMIT 0+?`
	ownedFrom    = entryColumns + ` WHERE kind = ? AND owner = ? AND id >= ?` + alive + ` ORDER BY id LIMIT 0+?`
	ownedAfter   = entryColumns + ` WHERE kind = ? AND owner = ? AND id > ?` + alive + ` ORDER BY id LIMIT 0+?`
	dropEntry    = `DELETE FROM entries WHERE kind = ? AND id = ?` + alive
	writeEntry   = `INSERT INTO entries (kind, id, owner, value, expires) VALUES (?, ?, ?, ?, ?)
	ON CONFLICT (kind, id) DO UPDATE SET owner = excluded.owner, value = excluded.value, expires = excluded.expires`

	// expireAtOnce is how many expired records a write that brings one which will expire takes away.
	expireAtOnce  = 8
	expireEntries = `DELETE FROM entries WHERE (kind, id) IN
	(SELECT kind, id FROM entries WHERE expires > 0 AND expires <= ? ORDER BY expires LIMIT 0+?)`
)

func scanEntry(rows *stdsql.Rows) (*catalog.Entry, error) {
	e := &catalog.Entry{}
	err := rows.Scan(&e.Kind, &e.ID, &e.Owner, (*document)(&e.Value), (*moment)(&e.Expires))
	return e, err
}

// nowMillis is the time at which records expire.
func (r *records) nowMillis() int64 { return millis(r.c.now()) }

// Entry is as catalog.Entries says. Times are whole milliseconds in UTC.
func (r *records) Entry(kind, id string) (e *catalog.Entry, err error) {
	err = r.each(readEntry, []any{kind, id, r.nowMillis()}, func(rows *stdsql.Rows) (err error) {
		e, err = scanEntry(rows)
		return err
	})
	if err == nil && e == nil {
		err = noEntry(kind, id)
	}
	return e, err
}

func noEntry(kind, id string) error {
	return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("there is no %s %q", kind, id)}
}

// Entries is as catalog.Entries says, without those that have expired; after "" are all.
func (r *records) Entries(kind, after string) iter.Seq2[*catalog.Entry, error] {
	return r.entries(entriesFrom, entriesAfter, after, kind)
}

// EntriesOf is as catalog.Entries says, without those that have expired; the owner "" has those that are nobody's.
func (r *records) EntriesOf(kind, owner string) iter.Seq2[*catalog.Entry, error] {
	return r.entries(ownedFrom, ownedAfter, "", kind, owner)
}

func (r *records) entries(textFrom, textAfter, after string, args ...any) iter.Seq2[*catalog.Entry, error] {
	return func(yield func(*catalog.Entry, error) bool) {
		now := r.nowMillis()
		pages(recordPage, func(last *catalog.Entry, first bool) (page []*catalog.Entry, err error) {
			text, from := textAfter, after
			if first && after == "" {
				text = textFrom
			}
			if !first {
				from = last.ID
			}
			err = r.each(text, append(args[:len(args):len(args)], from, now, recordPage), func(rows *stdsql.Rows) error {
				e, err := scanEntry(rows)
				page = append(page, e)
				return err
			})
			return page, err
		}, yield)
	}
}

// PutEntry is as catalog.Entries says; Invalid if Value is not JSON.
func (u *update) PutEntry(e *catalog.Entry) error {
	if err := isJSON(e.Value, fmt.Sprintf("the value of the %s %q", e.Kind, e.ID)); err != nil {
		return err
	}
	if !e.Expires.IsZero() {
		if _, err := u.exec(expireEntries, u.nowMillis(), expireAtOnce); err != nil {
			return err
		}
	}
	_, err := u.exec(writeEntry, e.Kind, e.ID, e.Owner, nullJSON(e.Value), millis(e.Expires))
	return err
}

// AddEntry is as catalog.Entries says; Invalid if Value is not JSON.
func (u *update) AddEntry(e *catalog.Entry) error {
	_, err := u.Entry(e.Kind, e.ID)
	switch {
	case err == nil:
		return &millpond.Error{Kind: millpond.Conflict, Why: fmt.Sprintf("there is a %s %q already", e.Kind, e.ID)}
	case !millpond.Is(err, millpond.NotFound):
		return err
	}
	return u.PutEntry(e)
}

// DropEntry is as catalog.Entries says; one that has expired is none.
func (u *update) DropEntry(kind, id string) error {
	n, err := u.exec(dropEntry, kind, id, u.nowMillis())
	if err == nil && n == 0 {
		err = noEntry(kind, id)
	}
	return err
}
