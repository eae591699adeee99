package rubygems

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	pageSize = 30   // of answers to a query
	mostHits = 3000 // that are brought in order
)

// getSearch answers which gems have the query in their names, out of the log of names: what rules and claims hide no search
// finds, and nobody is asked.
func (h handler) getSearch(w http.ResponseWriter, r *http.Request) error {
	if _, err := h.log.current(r.Context(), h.repo); err != nil {
		return err
	}
	q := r.URL.Query()
	want := strings.ToLower(q.Get("query"))
	page, err := strconv.Atoi(q.Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	page = min(page, mostHits) // there is nothing behind that
	var hits []told
	for _, one := range h.log.all() {
		if want != "" && strings.Contains(strings.ToLower(one.name), want) && len(hits) < mostHits {
			hits = append(hits, one)
		}
	}
	rank := func(name string) int {
		switch name = strings.ToLower(name); {
		case name == want:
			return 0
		case strings.HasPrefix(name, want):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(hits, func(a, b told) int { return cmp.Compare(rank(a.name), rank(b.name)) })
	hits = hits[min(len(hits), (page-1)*pageSize):]
	out := []described{}
	for _, one := range hits[:min(len(hits), pageSize)] {
		said, _, _ := strings.Cut(one.said, " ")
		newest := ""
		for v := range strings.SplitSeq(said, ",") {
			if newest == "" || isPrerelease(newest) && !isPrerelease(v) || isPrerelease(newest) == isPrerelease(v) && (Format{}).Compare(v, newest) > 0 {
				newest = v
			}
		}
		number, platform := split(newest)
		out = append(out, described{
			Name: one.name, Version: number, Platform: platform, Prerelease: isPrerelease(newest), Licences: []string{},
			GemURI: h.repo.Base(r).JoinPath(Path{Kind: Gem, File: one.name + "-" + newest}.String()).String(),
		})
	}
	return h.json(w, r, out)
}
