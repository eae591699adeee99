package raw

import (
	"context"
	"net/http"
	"strings"

	"millpond"
	"millpond/format"
)

// remove deletes a path with its history, which can be restored for a week, if the condition holds.
func (h handler) remove(ctx context.Context, name, why string, cond condition) error {
	if err := h.repo.May(ctx, millpond.VerbDelete, name); err != nil {
		return err
	}
	rules, err := rulesOf("overwrite", h.repo.Option("overwrite"), "allow", "deny")
	if err != nil {
		return err
	}
	if rules.of(name) == "deny" {
		return &millpond.Error{Kind: millpond.Conflict, Key: millpond.Key{Package: name}, Why: name + " is never deleted: a file here never changes",
			Hint: "an operator can take it down"}
	}
	d := format.Deletion{Key: millpond.Key{Package: name}, Why: why}
	if cond != (condition{}) {
		d.Settle = func(now *format.Hosting, _ *format.Deletion) error {
			c, err := newest(name, now)
			if err != nil {
				return err
			}
			return cond.check(c)
		}
	}
	err = h.repo.Delete(ctx, d)
	if millpond.Is(err, millpond.NotFound) && cond.match != "" {
		return cond.check(nil)
	}
	return err
}

func (h handler) deleteFile(w http.ResponseWriter, r *http.Request, p Path) error {
	if err := h.remove(r.Context(), p.Name, "DELETE", conditionOf(r.Header)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteDir deletes all that is below a directory, each with an event of its own.
func (h handler) deleteDir(w http.ResponseWriter, r *http.Request, p Path) error {
	if r.URL.Query().Get("recursive") != "1" {
		return &millpond.Error{Kind: millpond.Conflict, Why: "a directory is deleted only with all that is in it", Hint: "ask for that with ?recursive=1"}
	}
	if err := h.repo.May(r.Context(), millpond.VerbDelete, p.Name); err != nil {
		return err
	}
	after, found := "", false
	for {
		var names []string
		err := h.list(r.Context(), format.Walk{Prefix: p.Name, After: after}, func(one format.Listed) bool {
			if after = one.Name; one.Layer == "" {
				names = append(names, one.Name)
			}
			return len(names) < mostListed
		})
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := h.remove(r.Context(), name, "DELETE of "+strings.TrimSuffix(p.Name, "/"), condition{}); err != nil && !millpond.Is(err, millpond.NotFound) {
				return err
			}
			found = true
		}
		if len(names) < mostListed {
			break
		}
	}
	if !found {
		return &millpond.Error{Kind: millpond.NotFound, Why: "nothing is hosted below " + p.Name}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
