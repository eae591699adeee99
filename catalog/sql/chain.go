package sql

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	stdsql "database/sql"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"millpond"
	"millpond/catalog"
)

// saltSize is the length of the random salt in an event's body: nobody can guess a body from its hash.
const saltSize = 16

// body is the canonical JSON of an event: these names in this order, no white space, no escapes but those that JSON needs,
// the time in milliseconds, the detail as the text that it was, the salt in base64.
func body(e *millpond.Event, salt []byte) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Epoch      int64  `json:"epoch"`
		Seq        int64  `json:"seq"`
		Time       int64  `json:"time"`
		Actor      string `json:"actor"`
		Token      string `json:"token"`
		Client     string `json:"client"`
		Request    string `json:"request"`
		Verb       string `json:"verb"`
		Repository string `json:"repository"`
		Layer      string `json:"layer"`
		Package    string `json:"package"`
		Version    string `json:"version"`
		File       string `json:"file"`
		Detail     string `json:"detail"`
		Salt       []byte `json:"salt"`
	}{
		e.Epoch, e.Seq, millis(e.Time), e.Actor.Name, e.Token, e.Client, e.Request, e.Verb, e.Repository, e.Layer,
		e.Key.Package, e.Key.Version, e.Key.File, string(e.Detail), salt,
	})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// link is the hash of the log up to and with an event: SHA-256 of the hash before it and of SHA-256 of its body.
func link(prev []byte, e *millpond.Event, salt []byte) ([]byte, error) {
	text, err := body(e, salt)
	if err != nil {
		return nil, err
	}
	inner := sha256.Sum256(text)
	h := sha256.New()
	h.Write(prev)
	h.Write(inner[:])
	return h.Sum(nil), nil
}

// Chain is as catalog.Log says.
func (c *Catalog) Chain(ctx context.Context, after int64) iter.Seq2[*catalog.Link, error] {
	return func(yield func(*catalog.Link, error) bool) {
		for {
			page, err := c.linksAfter(ctx, after)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page {
				e := &page[i]
				text, err := body(&e.Event, e.salt)
				if err != nil {
					yield(nil, err)
					return
				}
				if !yield(&catalog.Link{Event: e.Event, Body: text}, nil) {
					return
				}
				after = e.Seq
			}
			if len(page) < verifyPage {
				return
			}
		}
	}
}

// origin is the hash before the first event.
func origin() []byte { return make([]byte, sha256.Size) }

const (
	readHead  = `SELECT epoch, seq, hash, time FROM head WHERE id = 1`
	writeHead = `INSERT INTO head (id, epoch, seq, hash, time) VALUES (1, ?, ?, ?, ?)
	ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, hash = excluded.hash, time = excluded.time`
	insertEvent = `INSERT INTO events (epoch, seq, time, actor, token, client, request, verb, repository, layer, package, version, file,
		detail, salt, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

// Emit is as catalog.Tx says; Invalid if Detail is not JSON. Text that is not UTF-8 is made so. An event with the verb epochVerb
// begins an epoch.
func (u *update) Emit(e millpond.Event) error {
	if err := isJSON(e.Detail, "the detail of a "+e.Verb+" event"); err != nil {
		return err
	}
	e.Epoch, e.Seq = 1, 0
	prev := origin()
	var before moment
	found, err := u.one(readHead, nil, &e.Epoch, &e.Seq, (*blob)(&prev), &before)
	if err != nil {
		return err
	}
	e.Seq++
	e.Time, e.Actor = u.c.now(), u.by
	if found && e.Verb == epochVerb {
		// Not the next number: what was restored twice from one backup is two logs, and no reader may take them for one.
		e.Epoch = max(e.Epoch+1, millis(e.Time))
	}
	for _, s := range []*string{&e.Actor.Name, &e.Token, &e.Client, &e.Request, &e.Verb, &e.Repository, &e.Layer,
		&e.Key.Package, &e.Key.Version, &e.Key.File} {
		*s = strings.ToValidUTF8(*s, "\uFFFD")
	}
	e.Detail = json.RawMessage(strings.ToValidUTF8(string(e.Detail), "\uFFFD"))
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails
	hash, err := link(prev, &e, salt)
	if err != nil {
		return fmt.Errorf("chain event %d: %w", e.Seq, err)
	}
	_, err = u.exec(insertEvent, e.Epoch, e.Seq, millis(e.Time), e.Actor.Name, e.Token, e.Client, e.Request, e.Verb, e.Repository, e.Layer,
		e.Key.Package, e.Key.Version, e.Key.File, nullJSON(e.Detail), salt, hash)
	if err == nil {
		_, err = u.exec(writeHead, e.Epoch, e.Seq, hash, millis(e.Time))
	}
	return err
}

// Head is as catalog.Log says.
func (c *Catalog) Head(ctx context.Context) (catalog.Head, error) {
	var h catalog.Head
	err := c.changes.each(ctx, readHead, nil, func(rows *stdsql.Rows) error {
		return rows.Scan(&h.Epoch, &h.Seq, (*sum256)(&h.Hash), (*moment)(&h.Time))
	})
	return h, err
}

// epochVerb is the verb of an epoch's first event; the first epoch has none.
const epochVerb = "epoch"

// Begin is as catalog.Log says. An epoch begun before anything happened is the first.
func (c *Catalog) Begin(ctx context.Context, by millpond.Actor, why string) error {
	return c.update(ctx, by, func(u *update) error {
		var last struct {
			Epoch int64           `json:"epoch"`
			Seq   int64           `json:"seq"`
			Hash  millpond.Digest `json:"hash"`
		}
		if _, err := u.one(`SELECT epoch, seq, hash FROM head WHERE id = 1`, nil, &last.Epoch, &last.Seq, (*sum256)(&last.Hash)); err != nil {
			return err
		}
		detail, err := json.Marshal(map[string]any{"why": why, "last": last})
		if err != nil {
			return err
		}
		return u.Emit(millpond.Event{Verb: epochVerb, Detail: detail})
	})
}

const (
	unchained = `SELECT epoch, seq, time, actor, token, client, request, verb, repository, layer, package, version, file, detail, hash
	FROM events WHERE seq > ? ORDER BY seq LIMIT 1000`
	chainEvent = `UPDATE events SET salt = ?, hash = ? WHERE seq = ?`
)

// chainAll chains the events that a program before the chain has left, as a step of the migration.
func chainAll(ctx context.Context, tx *stdsql.Tx) error {
	prev, salt := origin(), make([]byte, saltSize)
	change, err := tx.PrepareContext(ctx, chainEvent)
	if err != nil {
		return err
	}
	defer change.Close()
	var last millpond.Event
	for {
		page, err := eventsIn(ctx, tx, last.Seq)
		if err != nil {
			return err
		}
		for i := range page {
			rand.Read(salt) // never fails
			if prev, err = link(prev, &page[i], salt); err != nil {
				return err
			}
			if _, err := change.ExecContext(ctx, salt, prev, page[i].Seq); err != nil {
				return err
			}
		}
		if len(page) == 0 {
			break
		}
		last = page[len(page)-1]
	}
	if last.Seq > 0 {
		if _, err := tx.ExecContext(ctx, writeHead, last.Epoch, last.Seq, prev, millis(last.Time)); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, "PRAGMA user_version = 3")
	return err
}

func eventsIn(ctx context.Context, tx *stdsql.Tx, after int64) (page []millpond.Event, err error) {
	rows, err := tx.QueryContext(ctx, unchained, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e millpond.Event
		if err := scanEvent(rows, &e); err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	return page, rows.Err()
}
