// Package takedown is what goes on around takedowns: feeds of advisories that ask for them, and the caches in front of the
// pond that are told of them. The takedowns themselves are the pond's (repo.Takedown).
package takedown

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"millpond/repo"
)

// A record is what is read of an advisory in the OSV format.
type record struct {
	ID        string     `json:"id"`
	Summary   string     `json:"summary"`
	Details   string     `json:"details"`
	Withdrawn *time.Time `json:"withdrawn"`
	Affected  []struct {
		Package struct {
			Ecosystem string `json:"ecosystem"`
			Name      string `json:"name"`
		} `json:"package"`
		Versions []string `json:"versions"`
		Ranges   []struct {
			Type   string  `json:"type"`
			Events []bound `json:"events"`
		} `json:"ranges"`
	} `json:"affected"`
}

// A bound begins or ends a range: one of its fields is set.
type bound struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
}

// Parse reads one advisory.
func Parse(text []byte) (*repo.Advice, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, err
	}
	return r.advice()
}

// mostWords is how much of an advisory's words clients are told.
const mostWords = 200

func (r *record) advice() (*repo.Advice, error) {
	if r.ID == "" || len(r.ID) > 200 {
		return nil, errors.New("it has no id: it is no advisory in the OSV format")
	}
	a := &repo.Advice{ID: r.ID, Withdrawn: r.Withdrawn != nil, Why: r.ID}
	words, _, _ := strings.Cut(strings.TrimSpace(r.Details), "\n")
	if r.Summary != "" {
		words = r.Summary
	}
	if words = strings.Join(strings.Fields(words), " "); words != "" {
		if cut := []rune(words); len(cut) > mostWords {
			words = string(cut[:mostWords]) + "…"
		}
		a.Why += ": " + words
	}
	for _, one := range r.Affected {
		of := repo.AdviceOf{Ecosystem: one.Package.Ecosystem, Package: one.Package.Name}
		if of.Package == "" {
			continue // it is about a repository of sources
		}
		for _, version := range one.Versions {
			if version != "" {
				of.Spans = append(of.Spans, repo.Span{Version: version})
			}
		}
		commits := 0
		for _, r := range one.Ranges {
			if r.Type == "GIT" {
				commits++
				continue
			}
			spans, err := spansOf(r.Events)
			if err != nil {
				return nil, err
			}
			of.Spans = append(of.Spans, spans...)
		}
		if len(of.Spans) == 0 && commits > 0 {
			continue // of which version those commits are is not said
		}
		a.Affected = append(a.Affected, of)
	}
	return a, nil
}

// spansOf are the ranges that events begin and end, in their order; two may stand the wrong way round.
func spansOf(events []bound) (spans []repo.Span, err error) {
	if len(events) == 2 && events[1].Introduced != "" && events[0].Introduced == "" {
		events = []bound{events[1], events[0]}
	}
	open := false
	for _, e := range events {
		switch {
		case e.Introduced != "" && !open:
			s := repo.Span{From: e.Introduced}
			if s.From == "0" { // before every version
				s.From = ""
			}
			spans, open = append(spans, s), true
		case (e.Fixed != "" || e.LastAffected != "") && open:
			last := &spans[len(spans)-1]
			last.Before, last.Through, open = e.Fixed, e.LastAffected, false
		case e == bound{}: // a limit, which is of commits only
		default:
			return nil, fmt.Errorf("its range %+v cannot be read", events)
		}
	}
	if len(spans) == 0 {
		return nil, errors.New("a range of it begins nowhere")
	}
	return spans, nil
}

// wanted reports whether an id fits one of the patterns.
func wanted(id string, patterns []string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, id); ok && err == nil {
			return true
		}
	}
	return false
}
