package golang

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"millpond"
)

// getIndex answers with the versions that are held here and this reader may see, in the order in which they became known.
func (h handler) getIndex(w http.ResponseWriter, r *http.Request) error {
	since, limit, err := indexQuery(r.URL)
	if err != nil {
		return err
	}
	lines, err := h.indexLines(r.Context())
	if err != nil {
		return err
	}
	from := sort.Search(len(lines), func(i int) bool { return !lines[i].Timestamp.Before(since) })
	lines = lines[from:]
	head(w, typeInfo, maxAge)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	out := json.NewEncoder(w)
	for _, line := range lines[:min(limit, len(lines))] {
		if out.Encode(line) != nil {
			return nil // the client has left
		}
	}
	return nil
}

func indexQuery(u *url.URL) (since time.Time, limit int, err error) {
	q := u.Query()
	if s := q.Get("since"); s != "" {
		if since, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return since, 0, &millpond.Error{Kind: millpond.Invalid, Why: "since is no time as RFC 3339 writes it"}
		}
	}
	limit = feedPage
	if s := q.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 {
			return since, 0, &millpond.Error{Kind: millpond.Invalid, Why: "limit is no number from 1 to 2000"}
		}
	}
	return since, min(limit, feedPage), nil
}

// An indexLine is a line of our own index.
type indexLine struct {
	Path, Version string
	Timestamp     time.Time
}

// indexLines are all lines, oldest first. No two have one time, so that a reader who goes on from the time of the last line
// of a page always gets further.
func (h handler) indexLines(ctx context.Context) ([]indexLine, error) {
	held := h.repo.Held() // no upstream is asked what it has of each name
	var lines []indexLine
	for name, err := range held.Names(ctx) {
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(name.Name, sumPackage) {
			continue
		}
		p, err := held.Package(ctx, name.Name)
		switch {
		case err == nil:
		case millpond.Is(err, millpond.NotFound), millpond.Is(err, millpond.Blocked), millpond.Is(err, millpond.Offline), millpond.Is(err, millpond.Gone):
			continue // an upstream's name of which nothing is held, one that this reader may not see, or of which all was deleted
		default:
			return nil, err
		}
		for i := range p.Versions {
			if v := &p.Versions[i]; !v.Seen.IsZero() && !v.Yanked {
				lines = append(lines, indexLine{p.Name, v.Name, v.Seen.UTC()})
			}
		}
	}
	slices.SortFunc(lines, func(a, b indexLine) int {
		if c := a.Timestamp.Compare(b.Timestamp); c != 0 {
			return c
		}
		return strings.Compare(a.Path+"@"+a.Version, b.Path+"@"+b.Version)
	})
	for i := 1; i < len(lines); i++ {
		if !lines[i].Timestamp.After(lines[i-1].Timestamp) {
			lines[i].Timestamp = lines[i-1].Timestamp.Add(time.Nanosecond)
		}
	}
	return lines, nil
}

// feedPage is how many lines of an index are asked for, or given, at once.
const feedPage = 2000

// A feedLine is a line of an upstream's index.
type feedLine struct{ Path, Version, Timestamp string }
