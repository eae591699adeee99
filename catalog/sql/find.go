package sql

import (
	"context"
	stdsql "database/sql"
	"iter"
	"math"
	"strings"

	"millpond"
	"millpond/catalog"
)

// spanOf are the numbers of the events of a time; the index of the times answers it.
const spanOf = `SELECT COALESCE(MIN(seq), 0), COALESCE(MAX(seq), 0) FROM events WHERE time >= ? AND time < ?`

// Find is as catalog.Log says. Since is within, Until is not. The loop may call the catalog; what happens meanwhile is
// yielded too if it matches and comes later in the order asked for.
func (c *Catalog) Find(ctx context.Context, f catalog.Filter) iter.Seq2[*millpond.Event, error] {
	return func(yield func(*millpond.Event, error) bool) {
		after, before := max(f.After, 0), int64(math.MaxInt64)
		if f.Before > 0 {
			before = f.Before
		}
		if !f.Since.IsZero() || !f.Until.IsZero() {
			since, until := int64(math.MinInt64), int64(math.MaxInt64)
			if !f.Since.IsZero() {
				since = ceilMillis(f.Since)
			}
			if !f.Until.IsZero() {
				until = ceilMillis(f.Until)
			}
			var first, last int64
			err := c.changes.each(ctx, spanOf, []any{since, until}, func(rows *stdsql.Rows) error { return rows.Scan(&first, &last) })
			if err != nil {
				yield(nil, err)
				return
			}
			if last == 0 {
				return
			}
			after, before = max(after, first-1), min(before, last+1)
			c.find(ctx, f, after, before, []string{"time >= ?", "time < ?"}, []any{since, until}, yield)
			return
		}
		c.find(ctx, f, after, before, nil, nil, yield)
	}
}

// query is the statement that reads a page of what matches, and its arguments but for the two numbers that it lies between and
// the size of the page. Of the columns that are asked for, the index of the one that most likely has the fewest events is
// used; all indexes give events in the order of their numbers, and hold what else is likely to be asked for beside them.
func query(f catalog.Filter, where []string, args []any) (string, []any) {
	for i := range where {
		where[i] = byNoIndex + where[i]
	}
	use := ""
	for _, cond := range []struct{ column, value string }{
		{"package", f.Package}, {"version", f.Version}, {"actor", f.Actor}, {"verb", f.Verb}, {"repository", f.Repository},
	} {
		if cond.value == "" {
			continue
		}
		if use == "" {
			use = cond.column
			where = append(where, cond.column+" = ?")
			if use == "version" {
				where = append(where, "version <> ''") // as its index says
			}
		} else {
			where = append(where, byNoIndex+cond.column+" = ?")
		}
		args = append(args, cond.value)
	}
	where = append(where, "seq > ?", "seq < ?")
	order := "seq"
	if f.Newest {
		order = "seq DESC"
	}
	return eventColumns + " WHERE " + strings.Join(where, " AND ") + " ORDER BY " + order + " LIMIT 0+?", args
}

// find yields what matches between two numbers, page by page.
func (c *Catalog) find(ctx context.Context, f catalog.Filter, after, before int64, where []string, args []any, yield func(*millpond.Event, error) bool) {
	text, args := query(f, where, args)
	left := f.Limit
	for {
		size := eventPage
		if f.Limit > 0 {
			size = min(size, left)
		}
		var page []*millpond.Event
		err := ctx.Err()
		if err == nil {
			var rows *stdsql.Rows
			// It ends with ctx: a search for what is rare may read much.
			rows, err = c.changes.long(ctx, text, append(args[:len(args):len(args)], after, before, size)...)
			if err == nil {
				err = c.changes.drain(rows, func(rows *stdsql.Rows) error {
					e := &millpond.Event{}
					err := scanEvent(rows, e)
					page = append(page, e)
					return err
				})
			}
		}
		if err != nil {
			yield(nil, err)
			return
		}
		for _, e := range page {
			if !yield(e, nil) {
				return
			}
		}
		left -= len(page)
		if len(page) < size || f.Limit > 0 && left == 0 {
			return
		}
		if last := page[len(page)-1].Seq; f.Newest {
			before = last
		} else {
			after = last
		}
	}
}
