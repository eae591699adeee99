package oci

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format/formattest"
)

// paged lays a list in pages on an upstream, which answers what has not changed in as few words as HTTP allows: a 304 without
// the Link that the page has.
func paged(h *formattest.House, at, kind string, pages ...[]byte) {
	for i, body := range pages {
		here, link := at, ""
		if i > 0 {
			here = fmt.Sprintf("%s/%d", at, i)
		}
		tag := `"` + millpond.SHA256(body).Short() + `"`
		if i < len(pages)-1 {
			link = fmt.Sprintf("<%s/%d>; rel=\"next\"", at, i+1)
		}
		h.Up.Handle(here, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", tag)
			if r.Header.Get("If-None-Match") == tag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("Content-Type", kind)
			if link != "" {
				w.Header().Set("Link", link)
			}
			w.Write(body)
		}))
	}
}

func TestCase08PagesOfUpstreamsReferrers(t *testing.T) {
	subject := millpond.SHA256([]byte("subject")).String()
	list := func(names ...string) []byte {
		all := []any{}
		for _, name := range names {
			all = append(all, describe(typeManifest, []byte(name)))
		}
		return asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": all})
	}
	names := func(t *testing.T, r formattest.Reply) (got []string) {
		for _, d := range descriptors(t, r) {
			for _, name := range []string{"one", "two", "three", "four"} {
				if d.Digest == millpond.SHA256([]byte(name)).String() {
					got = append(got, name)
				}
			}
		}
		slices.Sort(got)
		return got
	}
	for what, at := range map[string]string{"its own list": root + "acme/app/referrers/" + subject, "the tag that stands for it": root + "acme/app/manifests/" + strings.Replace(subject, ":", "-", 1)} {
		t.Run(what, func(t *testing.T) {
			h := house(t)
			get := func() formattest.Reply { return h.Get(root + "acme/app/referrers/" + subject) }
			paged(h, at, typeIndex, list("one"), list("two", "one"), list("three"))
			if got := names(t, get()); !slices.Equal(got, []string{"one", "three", "two"}) {
				t.Fatalf("got %q, want the three of all pages", got)
			}
			paged(h, at, typeIndex, list("one"), list("two", "one"), list("four"))
			h.Pass(time.Hour)
			if got := names(t, get()); !slices.Equal(got, []string{"four", "one", "two"}) {
				t.Errorf("the last page has changed: got %q", got)
			}
			h.Up.Order(at+"/1", "always 404")
			h.Pass(time.Hour)
			if got := names(t, get()); !slices.Equal(got, []string{"four", "one", "two"}) {
				t.Errorf("a page is missing: got %q, want what was there", got)
			}
			h.Up.Order("*", "always 500")
			h.Pass(time.Hour)
			if got := names(t, get()); !slices.Equal(got, []string{"four", "one", "two"}) {
				t.Errorf("the upstream is ill: got %q", got)
			}
		})
	}
}

func TestCase09PagesOfUpstreamsTags(t *testing.T) {
	h := house(t)
	list := func(tags ...string) []byte { return asJSON(object{"name": "acme/app", "tags": tags}) }
	at := root + "acme/app/tags/list"
	paged(h, at, "application/json", list("a", "b"), list("c"))
	if got := tagList(t, h.Get(at)); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Fatalf("got %q", got)
	}
	paged(h, at, "application/json", list("a", "b"), list("d"))
	h.Pass(time.Hour)
	if got := tagList(t, h.Get(at)); !slices.Equal(got, []string{"a", "b", "d"}) {
		t.Errorf("the second page has changed: got %q", got)
	}
}
