package raw

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"millpond"
	"millpond/format"
)

// list walks names.
func (h handler) list(ctx context.Context, walk format.Walk, each func(format.Listed) bool) error {
	lister, ok := h.repo.(format.Lister)
	if !ok {
		return &millpond.Error{Kind: millpond.Unsupported, Why: h.repo.Name() + " lists nothing"}
	}
	for one, err := range lister.List(ctx, walk) {
		if err != nil {
			return err
		}
		if !each(one) {
			return nil
		}
	}
	return nil
}

// elsewhere answers for a path that is no file: it may be a directory whose slash was forgotten, or lie below an alias.
func (h handler) elsewhere(w http.ResponseWriter, r *http.Request, p Path, absent error) error {
	isDir := false
	err := h.list(r.Context(), format.Walk{Prefix: p.Name + "/", Few: true}, func(format.Listed) bool { isDir = true; return false })
	if err != nil {
		return absent
	}
	if isDir {
		w.Header().Set("Location", "./"+escape(base(p.Name))+"/") // or "http:x" would be another host
		w.Header()["Cache-Control"] = noCache
		w.WriteHeader(http.StatusMovedPermanently)
		return nil
	}
	for dir := p.Name; ; {
		i := strings.LastIndexByte(dir, '/')
		if i < 0 {
			return absent
		}
		dir = dir[:i]
		alias := ""
		err := h.list(r.Context(), format.Walk{Prefix: dir, After: before(dir), Few: true}, func(one format.Listed) bool {
			if one.Name == dir {
				if rec, err := readRecord(one.File.Meta); err == nil {
					alias = rec.Alias
				}
			}
			return false
		})
		if err != nil {
			return absent
		}
		if alias != "" {
			return h.follow(w, dir, p.Name[len(dir)+1:], alias)
		}
	}
}

// before is a name after which the next is that one.
func before(name string) string {
	if name == "" {
		return ""
	}
	return name[:len(name)-1]
}

// follow sends the reader to what an alias means.
func (h handler) follow(w http.ResponseWriter, name, below, alias string) error {
	to, err := resolve(name, alias)
	if err != nil {
		return err
	}
	if below != "" {
		to = strings.TrimSuffix(to, "/") + "/" + below
	}
	// Relative, so that it holds wherever the pond is reached: as many steps up as the asked path has segments before its last.
	asked := name
	if below != "" {
		asked += "/" + below
	}
	w.Header().Set("Location", cmp.Or(strings.Repeat("../", strings.Count(asked, "/")), "./")+escape(to))
	w.Header()["Cache-Control"] = []string{"no-store"}
	w.WriteHeader(http.StatusFound)
	return nil
}
