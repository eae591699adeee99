package npm

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"millpond"
	"millpond/format"
)

// mostSearched is how many names a search looks at among what is held here.
const mostSearched = 20_000

// hostedLike finds what was published here whose name has every word of a search in it.
func (h *handler) hostedLike(ctx context.Context, text string) ([]map[string]json.RawMessage, error) {
	wanted := strings.Fields(strings.ToLower(text))
	found := []map[string]json.RawMessage{}
	if len(wanted) == 0 {
		return found, nil
	}
	looked := 0
	for c, err := range h.held.Names(ctx) {
		if err != nil {
			if millpond.Is(err, millpond.Unsupported) {
				return found, nil
			}
			return nil, err
		}
		if looked++; looked > mostSearched || len(found) >= 250 {
			break
		}
		if !hasAll(strings.ToLower(c.Name), wanted) {
			continue
		}
		p, err := h.held.Package(ctx, c.Name)
		if err != nil || !hosts(p) {
			continue // the rules do not show it, or it is an upstream's, which finds it itself
		}
		if object := foundObject(newView(p)); object != nil {
			found = append(found, object)
		}
	}
	return found, nil
}

func hasAll(name string, words []string) bool {
	for _, word := range words {
		word = strings.TrimPrefix(strings.TrimPrefix(word, "scope:"), "@")
		if !strings.Contains(name, word) {
			return false
		}
	}
	return true
}

// foundObject is a package as a search shows it; nil if there is nothing to show.
func foundObject(v *view) map[string]json.RawMessage {
	one := v.by[v.tag("latest")]
	if one == nil && len(v.shown) > 0 {
		one = v.shown[0]
	}
	if one == nil {
		return nil
	}
	pkg := map[string]json.RawMessage{
		"name": appendQuoted(nil, v.pkg.Name), "version": appendQuoted(nil, one.Name), "date": appendQuoted(nil, writeTime(one.Published)),
		"links": json.RawMessage("{}"), "maintainers": json.RawMessage("[]"), "publisher": json.RawMessage("{}"),
	}
	if format.IsHosted(one.Layer) {
		var about map[string]json.RawMessage
		json.Unmarshal(one.Meta, &about) // what is not there is not shown
		for _, field := range []string{"description", "keywords"} {
			if raw := about[field]; len(raw) > 0 {
				pkg[field] = raw
			}
		}
	}
	text, err := json.Marshal(pkg)
	if err != nil {
		return nil
	}
	return map[string]json.RawMessage{
		"package": text, "searchScore": json.RawMessage("1"),
		"score": json.RawMessage(`{"final":1,"detail":{"quality":1,"popularity":1,"maintenance":1}}`),
	}
}

// count reads a number of a query.
func count(s string, otherwise int) int {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < 1_000_000 {
		return n
	}
	return otherwise
}
