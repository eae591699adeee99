package sql

import (
	"context"
	stdsql "database/sql"
	"encoding/json"
	"fmt"
	"iter"

	"millpond"
	"millpond/catalog"
)

const holdingColumns = `SELECT package, version, file, blob, size, sha256, digests, type, url, modified, keep, detail FROM holdings`

const readHolding = holdingColumns + ` WHERE layer = ? AND package = ? AND version = ? AND file = ?`

// Holding is as catalog.Holdings says. Times are whole milliseconds in UTC.
func (c *Catalog) Holding(ctx context.Context, layer string, k millpond.Key) (*catalog.Holding, error) {
	var h *catalog.Holding
	err := c.cache.each(ctx, readHolding, []any{layer, k.Package, k.Version, k.File}, func(rows *stdsql.Rows) (err error) {
		h, err = scanHolding(layer, rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("no bytes of %s from %s were ever held", k, layer)}
	}
	return h, nil
}

const readHolder = holdingColumns + ` WHERE blob = ? AND layer = ? LIMIT 1`

// Holder is as catalog.Holdings says.
func (c *Catalog) Holder(ctx context.Context, layer string, d millpond.Digest) (*catalog.Holding, error) {
	var h *catalog.Holding
	err := c.cache.each(ctx, readHolder, []any{d.String(), layer}, func(rows *stdsql.Rows) (err error) {
		h, err = scanHolding(layer, rows)
		return err
	})
	if err == nil && (h == nil || d.IsZero()) {
		return nil, &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("no file of %s has %s", layer, d)}
	}
	return h, err
}

const readHolders = `SELECT layer, package, version, file FROM holdings WHERE blob = ? ORDER BY layer, package, version, file`

// Holders is as catalog.Holdings says. The loop may call the catalog.
func (c *Catalog) Holders(ctx context.Context, d millpond.Digest) iter.Seq2[*catalog.Holding, error] {
	return func(yield func(*catalog.Holding, error) bool) {
		if d.IsZero() {
			return
		}
		var all []*catalog.Holding
		err := c.cache.each(ctx, readHolders, []any{d.String()}, func(rows *stdsql.Rows) error {
			h := &catalog.Holding{}
			all = append(all, h)
			return rows.Scan(&h.Layer, &h.Key.Package, &h.Key.Version, &h.Key.File)
		})
		if err != nil {
			yield(nil, err)
			return
		}
		for _, h := range all {
			whole, err := c.Holding(ctx, h.Layer, h.Key)
			if millpond.Is(err, millpond.NotFound) {
				continue // forgotten meanwhile
			}
			if !yield(whole, err) || err != nil {
				return
			}
		}
	}
}

func scanHolding(layer string, rows *stdsql.Rows) (*catalog.Holding, error) {
	h := &catalog.Holding{Layer: layer}
	err := rows.Scan(&h.Key.Package, &h.Key.Version, &h.Key.File, (*digest)(&h.Blob), &h.Size, (*digest)(&h.SHA256),
		(*digests)(&h.Digests), &h.Type, &h.URL, (*moment)(&h.Modified), &h.Keep, (*document)(&h.Detail))
	return h, err
}

// A page of holdings begins at a key, or after it: page is read to its end before any of it is yielded.
const (
	holdingPage = 256

	heldOfAllFrom  = holdingColumns + ` WHERE layer = ? AND (package, version, file) >= (?, ?, ?) ORDER BY package, version, file LIMIT 0+?`
	heldOfAllAfter = holdingColumns + ` WHERE layer = ? AND (package, version, file) > (?, ?, ?) ORDER BY package, version, file LIMIT 0+?`
	heldBeyond     = holdingColumns + ` WHERE layer = ? AND package > ? ORDER BY package, version, file LIMIT 0+?`
	heldOfOneFrom  = holdingColumns + ` WHERE layer = ? AND package = ? AND (version, file) >= (?, ?) ORDER BY version, file LIMIT 0+?`
	heldOfOneAfter = holdingColumns + ` WHERE layer = ? AND package = ? AND (version, file) > (?, ?) ORDER BY version, file LIMIT 0+?`
)

// Held is as catalog.Holdings says; records whose bytes were evicted are yielded too. The loop may call the catalog.
func (c *Catalog) Held(ctx context.Context, layer, pkg string) iter.Seq2[*catalog.Holding, error] {
	return func(yield func(*catalog.Holding, error) bool) {
		text, after := heldOfAllFrom, heldOfAllAfter
		if pkg != "" {
			text, after = heldOfOneFrom, heldOfOneAfter
		}
		last := millpond.Key{Package: pkg}
		for {
			page := make([]*catalog.Holding, 0, holdingPage)
			args := []any{layer, last.Package, last.Version, last.File, holdingPage}
			err := c.cache.each(ctx, text, args, func(rows *stdsql.Rows) error {
				h, err := scanHolding(layer, rows)
				page = append(page, h)
				return err
			})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, h := range page {
				if !yield(h, nil) {
					return
				}
			}
			if len(page) < holdingPage {
				return
			}
			text, last = after, page[len(page)-1].Key
		}
	}
}

// HeldAfter is as catalog.Holdings says; records whose bytes were evicted are yielded too. The loop may call the catalog.
func (c *Catalog) HeldAfter(ctx context.Context, layer, after string) iter.Seq2[*catalog.Holding, error] {
	return func(yield func(*catalog.Holding, error) bool) {
		pages(holdingPage, func(last *catalog.Holding, first bool) (page []*catalog.Holding, err error) {
			text, args := heldBeyond, []any{layer, after, holdingPage}
			if !first {
				text, args = heldOfAllAfter, []any{layer, last.Key.Package, last.Key.Version, last.Key.File, holdingPage}
			}
			err = c.cache.each(ctx, text, args, func(rows *stdsql.Rows) error {
				h, err := scanHolding(layer, rows)
				page = append(page, h)
				return err
			})
			return page, err
		}, yield)
	}
}

const (
	findHolding   = `SELECT id, blob, size FROM holdings WHERE layer = ? AND package = ? AND version = ? AND file = ?`
	changeHolding = `UPDATE holdings SET blob = ?, size = ?, sha256 = ?, digests = ?, type = ?, url = ?, modified = ?, keep = ?, detail = ? WHERE id = ?`
	insertHolding = `INSERT INTO holdings (blob, size, sha256, digests, type, url, modified, keep, detail, layer, package, version, file)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertHeld = `INSERT INTO held (blob, size, used) VALUES (?, ?, ?) ON CONFLICT (blob) DO NOTHING RETURNING size`
	dropUnheld = `DELETE FROM held WHERE blob = ? AND NOT EXISTS (SELECT 1 FROM holdings WHERE blob = held.blob) RETURNING size`
)

// PutHolding is as catalog.Holdings says.
func (c *Catalog) PutHolding(ctx context.Context, h *catalog.Holding) error {
	return c.cache.keep(ctx, func(w *work) error {
		var id, size int64
		var old millpond.Digest
		k := []any{h.Layer, h.Key.Package, h.Key.Version, h.Key.File}
		found, err := w.one(findHolding, k, &id, (*digest)(&old), &size)
		if err != nil {
			return err
		}
		columns := []any{nullDigest(h.Blob), h.Size, nullDigest(h.SHA256), digestList(h.Digests), h.Type, h.URL,
			millis(h.Modified), number(h.Keep), nullJSON(h.Detail)}
		used := h.Modified
		if found {
			_, err = w.exec(changeHolding, append(columns, id)...)
			if now := c.now(); old.IsZero() && now.After(used) {
				used = now // fetched again: not the oldest of all
			}
		} else {
			_, err = w.exec(insertHolding, append(columns, k...)...)
			w.add(sumHoldings, h.Layer, 1)
		}
		if err != nil {
			return err
		}
		if !old.IsZero() {
			w.add(sumBytes, h.Layer, -size)
		}
		if !h.Blob.IsZero() {
			w.add(sumBytes, h.Layer, h.Size)
		}
		if old == h.Blob {
			return nil
		}
		if !old.IsZero() {
			if err := w.take(dropUnheld, sumHeldBytes, -1, old.String()); err != nil {
				return err
			}
		}
		if h.Blob.IsZero() {
			return nil
		}
		return w.take(insertHeld, sumHeldBytes, 1, h.Blob.String(), h.Size, millis(used))
	})
}

const noteHolding = `UPDATE holdings SET detail = ? WHERE layer = ? AND package = ? AND version = ? AND file = ? AND sha256 = ? RETURNING id`

// NoteHolding is as catalog.Holdings says.
func (c *Catalog) NoteHolding(ctx context.Context, layer string, k millpond.Key, sha256 millpond.Digest, detail json.RawMessage) error {
	return c.cache.keep(ctx, func(w *work) error {
		var id int64
		found, err := w.one(noteHolding, []any{nullJSON(detail), layer, k.Package, k.Version, k.File, nullDigest(sha256)}, &id)
		if err == nil && !found {
			err = &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s has no bytes with that digest for %s", layer, k)}
		}
		return err
	})
}

// take runs a statement that returns sizes, and adds them to a sum without a layer, sign times.
func (w *work) take(text, what string, sign int64, args ...any) error {
	return w.each(text, args, func(rows *stdsql.Rows) error {
		var size int64
		err := rows.Scan(&size)
		w.add(what, "", sign*size)
		return err
	})
}

const (
	loseHoldings  = `UPDATE holdings SET blob = NULL WHERE blob = ? RETURNING layer, size`
	loseHeld      = `DELETE FROM held WHERE blob = ? RETURNING size`
	loseDerived   = `DELETE FROM derived WHERE blob = ? RETURNING size`
	loseDocuments = `DELETE FROM documents WHERE blob = ? RETURNING answer`
	numbersLeft   = `SELECT n FROM documents WHERE answer = ? ORDER BY n`
	renumber      = `UPDATE documents SET n = ? WHERE answer = ? AND n = ?`
)

// LoseBlob is as catalog.Holdings says. An answer whose document it was keeps its record and loses that document, so that
// its next refresh is unconditional.
func (c *Catalog) LoseBlob(ctx context.Context, d millpond.Digest) error {
	if d.IsZero() {
		return nil
	}
	return c.cache.keep(ctx, func(w *work) error {
		err := w.each(loseHoldings, []any{d.String()}, func(rows *stdsql.Rows) error {
			var layer string
			var size int64
			err := rows.Scan(&layer, &size)
			w.add(sumBytes, layer, -size)
			return err
		})
		if err != nil {
			return err
		}
		if err := w.take(loseHeld, sumHeldBytes, -1, d.String()); err != nil {
			return err
		}
		err = w.each(loseDerived, []any{d.String()}, func(rows *stdsql.Rows) error {
			var size int64
			err := rows.Scan(&size)
			w.add(sumDerived, "", -1)
			w.add(sumDerivedBytes, "", -size)
			return err
		})
		if err != nil {
			return err
		}
		return w.loseDocuments(d)
	})
}

// loseDocuments drops the documents kept as d, and closes the gaps that leaves.
func (w *work) loseDocuments(d millpond.Digest) error {
	answers := map[int64]bool{}
	err := w.each(loseDocuments, []any{d.String()}, func(rows *stdsql.Rows) error {
		var answer int64
		err := rows.Scan(&answer)
		answers[answer] = true
		return err
	})
	for answer := range answers {
		var left []int64
		err = w.each(numbersLeft, []any{answer}, func(rows *stdsql.Rows) error {
			var n int64
			err := rows.Scan(&n)
			left = append(left, n)
			return err
		})
		for i, n := range left {
			if err == nil && int64(i) != n {
				_, err = w.exec(renumber, i, answer, n)
			}
		}
		if err != nil {
			return err
		}
	}
	return err
}

const readLayers = `SELECT layer, SUM(CASE WHEN what = '` + sumBytes + `' THEN n ELSE 0 END)
FROM sums WHERE layer <> '' GROUP BY layer HAVING SUM(CASE WHEN what <> '` + sumBytes + `' THEN n ELSE 0 END) > 0`

// Layers is as catalog.Holdings says. A blob that two layers hold counts for both.
func (c *Catalog) Layers(ctx context.Context) (map[string]int64, error) {
	layers := map[string]int64{}
	err := c.cache.each(ctx, readLayers, nil, func(rows *stdsql.Rows) error {
		var layer string
		var n int64
		err := rows.Scan(&layer, &n)
		layers[layer] = n
		return err
	})
	return layers, err
}

const (
	heldOfVersion = `SELECT package, version, file, blob, size, sha256, digests, type, url, modified, keep, detail FROM holdings
	WHERE layer = ? AND package = ? AND version = ?`
	dropHolding = `DELETE FROM holdings WHERE layer = ? AND package = ? AND version = ? AND file = ?`
)

// DropHoldings is as catalog.Holdings says.
func (c *Catalog) DropHoldings(ctx context.Context, layer, pkg, version string) error {
	return c.cache.keep(ctx, func(w *work) error {
		var all []*catalog.Holding
		err := w.each(heldOfVersion, []any{layer, pkg, version}, func(rows *stdsql.Rows) error {
			h, err := scanHolding(layer, rows)
			all = append(all, h)
			return err
		})
		if err != nil {
			return err
		}
		for _, h := range all {
			if _, err := w.exec(dropHolding, layer, pkg, version, h.Key.File); err != nil {
				return err
			}
			w.add(sumHoldings, layer, -1)
			if h.Blob.IsZero() {
				continue
			}
			w.add(sumBytes, layer, -h.Size)
			if err := w.take(dropUnheld, sumHeldBytes, -1, h.Blob.String()); err != nil {
				return err
			}
		}
		return nil
	})
}
