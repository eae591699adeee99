package oci

import (
	"context"
	"net/url"
	"strings"

	"millpond/format"
)

// next is the address of the page after one that was read at an address; "" if it is the last. An upstream that says of a
// page that it has not changed need not name the next one again: what it named is noted.
func (s source) next(ctx context.Context, at string, doc *format.Document) (string, error) {
	name, next := "next "+at, nextPage(at, doc.Header.Values("Link"))
	noted, err := s.remote.State(ctx, name)
	switch {
	case err != nil:
		return "", err
	case next == "" && doc.Unchanged:
		return string(noted), nil
	case next == string(noted):
		return next, nil
	}
	return next, s.remote.SetState(ctx, name, []byte(next))
}

// nextPage is the address of the next page that Link headers name, on the same origin; "" if there is none.
func nextPage(at string, links []string) string {
	from, err := url.Parse(at)
	if err != nil {
		return ""
	}
	for _, text := range links {
		for one := range strings.SplitSeq(text, ",") {
			target, rest, ok := strings.Cut(one, ">")
			target, is := strings.CutPrefix(strings.TrimSpace(target), "<")
			if !ok || !is || !strings.Contains(strings.ReplaceAll(rest, `"`, ""), "rel=next") {
				continue
			}
			to, err := from.Parse(target)
			if err != nil || to.Scheme != from.Scheme || to.Host != from.Host || to.String() == at {
				return ""
			}
			return to.String()
		}
	}
	return ""
}
