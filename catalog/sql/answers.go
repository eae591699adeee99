package sql

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"iter"
	"time"

	"millpond"
	"millpond/catalog"
)

// The record stands in the first row only, so that an answer with several documents does not bring it several times.
const readAnswer = `SELECT a.absent, a.why, a.checked, a.fresh, a.changed, a.doubt,
	CASE WHEN d.n > 0 THEN NULL ELSE (SELECT record FROM records WHERE answer = a.id) END,
	d.n, d.url, d.accept, d.final, d.etag, d.modified, d.type, d.text, d.blob, d.size
FROM answers a LEFT JOIN documents d ON d.answer = a.id
WHERE a.layer = ? AND a.package = ? AND a.kind = ? AND a.name = ?
ORDER BY d.n`

// Answer is as catalog.Answers says. Times are whole milliseconds in UTC.
func (c *Catalog) Answer(ctx context.Context, q catalog.Question) (*catalog.Answer, error) {
	var a *catalog.Answer
	err := c.cache.each(ctx, readAnswer, key(q), func(rows *stdsql.Rows) error {
		var first catalog.Answer
		var d catalog.Document
		var n, size stdsql.NullInt64
		var url, accept, final, etag, modified, mime stdsql.NullString
		err := rows.Scan(&first.Absent, &first.Why, (*moment)(&first.Checked), (*moment)(&first.Fresh),
			(*moment)(&first.Changed), (*moment)(&first.Doubt), (*blob)(&first.Record),
			&n, &url, &accept, &final, &etag, &modified, &mime, (*digest)(&d.Text), (*digest)(&d.Blob), &size)
		if err != nil {
			return err
		}
		if a == nil {
			first.Question = q
			a = &first
		}
		if n.Valid {
			d.URL, d.Accept, d.Final, d.ETag, d.Modified, d.Type, d.Size =
				url.String, accept.String, final.String, etag.String, modified.String, mime.String, size.Int64
			a.Documents = append(a.Documents, d)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, noAnswer(q)
	}
	return a, nil
}

// key are a question's columns, in the order of their index.
func key(q catalog.Question) []any { return []any{q.Layer, q.Package, q.Kind, q.Name} }

func noAnswer(q catalog.Question) error {
	return &millpond.Error{
		Kind: millpond.NotFound, Key: millpond.Key{Package: q.Package, Version: q.Name},
		Why: fmt.Sprintf("nothing is recorded of %s about the %s %q %q", q.Layer, q.Kind, q.Package, q.Name),
	}
}

const (
	findAnswer   = `SELECT id FROM answers WHERE layer = ? AND package = ? AND kind = ? AND name = ?`
	changeAnswer = `UPDATE answers SET absent = ?, why = ?, checked = ?, fresh = ?, changed = ?, doubt = ? WHERE id = ?`
	insertAnswer = `INSERT INTO answers (layer, package, kind, name, absent, why, checked, fresh, changed, doubt)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`
	writeRecord   = `INSERT INTO records (answer, record) VALUES (?, ?) ON CONFLICT (answer) DO UPDATE SET record = excluded.record`
	dropRecord    = `DELETE FROM records WHERE answer = ?`
	dropDocuments = `DELETE FROM documents WHERE answer = ?`
	writeDocument = `INSERT INTO documents (answer, n, url, accept, final, etag, modified, type, text, blob, size)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

// PutAnswer is as catalog.Answers says. An absence with a record is Invalid.
func (c *Catalog) PutAnswer(ctx context.Context, a *catalog.Answer) error {
	if a.Absent && a.Record != nil {
		return &millpond.Error{
			Kind: millpond.Invalid, Key: millpond.Key{Package: a.Package, Version: a.Name},
			Why: fmt.Sprintf("an answer of %s about %q cannot be absent and have a record", a.Layer, a.Package),
		}
	}
	return c.cache.keep(ctx, func(w *work) error {
		var id int64
		found, err := w.one(findAnswer, key(a.Question), &id)
		if err != nil {
			return err
		}
		state := []any{number(a.Absent), a.Why, millis(a.Checked), millis(a.Fresh), millis(a.Changed), millis(a.Doubt)}
		if found {
			if _, err := w.exec(changeAnswer, append(state, id)...); err != nil {
				return err
			}
			if _, err := w.exec(dropDocuments, id); err != nil {
				return err
			}
		} else {
			if _, err := w.one(insertAnswer, append(key(a.Question), state...), &id); err != nil {
				return err
			}
			w.add(sumAnswers, a.Layer, 1)
		}
		switch {
		case len(a.Record) > 0:
			_, err = w.exec(writeRecord, id, a.Record)
		case found:
			_, err = w.exec(dropRecord, id)
		}
		if err != nil {
			return err
		}
		for n, d := range a.Documents {
			_, err := w.exec(writeDocument, id, n, d.URL, d.Accept, d.Final, d.ETag, d.Modified, d.Type,
				nullDigest(d.Text), nullDigest(d.Blob), d.Size)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

const confirmAnswer = `UPDATE answers SET checked = ?, fresh = ?, doubt = 0 WHERE layer = ? AND package = ? AND kind = ? AND name = ?`

// Confirm is as catalog.Answers says; NotFound if there is no answer.
func (c *Catalog) Confirm(ctx context.Context, q catalog.Question, checked, fresh time.Time) error {
	return c.cache.keep(ctx, func(w *work) error {
		n, err := w.exec(confirmAnswer, append([]any{millis(checked), millis(fresh)}, key(q)...)...)
		if err == nil && n == 0 {
			err = noAnswer(q)
		}
		return err
	})
}

// dropAtOnce is how many rows one turn of a long removal takes: others write in between.
const dropAtOnce = 500

const (
	dropOfLayer   = `DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE layer = ? LIMIT 0+?)`
	dropOfPackage = `DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE layer = ? AND package = ? LIMIT 0+?)`
)

// DropAnswers is as catalog.Answers says. A large layer goes in steps; an error leaves some of them done.
func (c *Catalog) DropAnswers(ctx context.Context, layer, pkg string) error {
	text, args := dropOfLayer, []any{layer, dropAtOnce}
	if pkg != "" {
		text, args = dropOfPackage, []any{layer, pkg, dropAtOnce}
	}
	for {
		var n int64
		err := c.cache.keep(ctx, func(w *work) (err error) {
			n, err = w.exec(text, args...)
			w.add(sumAnswers, layer, -n)
			return err
		})
		if err != nil || n < dropAtOnce {
			return err
		}
	}
}

const (
	// By the index, from where the page before ended: whatever else a layer has is passed over once.
	oldAbsences = `SELECT id, package, kind, name FROM answers WHERE layer = ? AND (package, kind, name) > (?, ?, ?) AND absent = 1 AND checked < ?
	ORDER BY package, kind, name LIMIT 0+?`
	dropAbsence = `DELETE FROM answers WHERE id = ? AND absent = 1 AND checked < ?`
)

// DropAbsences is as catalog.Answers says. It goes in steps: others write in between.
func (c *Catalog) DropAbsences(ctx context.Context, layer string, before time.Time) (dropped int64, err error) {
	for last := (catalog.Question{}); ; {
		var ids []int64
		args := []any{layer, last.Package, last.Kind, last.Name, millis(before), dropAtOnce}
		err := c.cache.each(ctx, oldAbsences, args, func(rows *stdsql.Rows) error {
			var id int64
			err := rows.Scan(&id, &last.Package, &last.Kind, &last.Name)
			ids = append(ids, id)
			return err
		})
		if err != nil || len(ids) == 0 {
			return dropped, err
		}
		var n int64
		err = c.cache.keep(ctx, func(w *work) error {
			n = 0
			for _, id := range ids {
				one, err := w.exec(dropAbsence, id, millis(before))
				if err != nil {
					return err
				}
				n += one
			}
			w.add(sumAnswers, layer, -n)
			return nil
		})
		if err != nil {
			return dropped, err
		}
		dropped += n
	}
}

const answered = `SELECT DISTINCT package FROM answers WHERE layer = ? AND kind = ? AND absent = 0 ORDER BY package`

// Answered is as catalog.Answers says.
func (c *Catalog) Answered(ctx context.Context, layer, kind string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var names []string
		err := c.cache.each(ctx, answered, []any{layer, kind}, func(rows *stdsql.Rows) error {
			var name string
			err := rows.Scan(&name)
			names = append(names, name)
			return err
		})
		if err != nil {
			yield("", err)
			return
		}
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}
