package golang

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/url"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"millpond"
	"millpond/format"
)

// Changes reads the index of the upstream, if the option index says where it is: a name for each version that became known
// there. The cursor is a time.
func (s source) Changes(ctx context.Context, since string) iter.Seq2[format.Change, error] {
	where := s.remote.Option("index")
	if where == "" {
		return s.NoSource.Changes(ctx, since)
	}
	return func(yield func(format.Change, error) bool) {
		seen := map[feedLine]bool{} // lines of the time at which the last page ended: the next one begins with them
		for {
			page, err := s.readFeed(ctx, where, since)
			if err != nil {
				yield(format.Change{}, err)
				return
			}
			fresh := 0
			for _, line := range page {
				if seen[line] {
					continue
				}
				if line.Timestamp != since {
					clear(seen)
				}
				seen[line], since = true, line.Timestamp
				fresh++
				t, err := time.Parse(time.RFC3339Nano, line.Timestamp)
				if err != nil || module.CheckPath(line.Path) != nil || !semver.IsValid(line.Version) {
					continue
				}
				if !yield(format.Change{Name: line.Path, Cursor: line.Timestamp, Time: t}, nil) {
					return
				}
			}
			if len(page) < feedPage || fresh == 0 {
				return
			}
		}
	}
}

func (s source) readFeed(ctx context.Context, where, since string) ([]feedLine, error) {
	u, err := url.Parse(where)
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the option index is no URL", Err: err}
	}
	q := u.Query()
	q.Set("limit", fmt.Sprint(feedPage))
	if since != "" {
		q.Set("since", since)
	}
	u.RawQuery = q.Encode()
	doc, err := s.remote.Document(ctx, format.Request{URL: u.String()})
	if err != nil {
		return nil, fmt.Errorf("read the index since %q: %w", since, err)
	}
	defer doc.Close()
	var page []feedLine
	for d := json.NewDecoder(doc.Reader()); ; {
		var line feedLine
		switch err := d.Decode(&line); err {
		case nil:
			page = append(page, line)
		case io.EOF:
			return page, nil
		default:
			return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "the upstream's index cannot be read", Err: err}
		}
	}
}
