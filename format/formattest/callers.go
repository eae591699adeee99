package formattest

import (
	"net/http"
	"slices"
	"strings"

	"millpond"
	"millpond/catalog"
	"millpond/format"
	"millpond/repo"
)

// callerHeader names the caller of a request, as far as a House is concerned; none is anonymous.
const callerHeader = "X-Caller"

// The callers that every House knows besides anonymous, who may read what is public.
const (
	Owner     = "owner"     // may do everything
	Reader    = "reader"    // may read
	Stranger  = "stranger"  // is known, and may do nothing
	Elsewhere = "elsewhere" // may do everything to the package Other, and read
)

func callers(e Ecosystem) map[string]repo.Caller {
	out := map[string]repo.Caller{}
	for name, rights := range map[string]Rights{
		Owner:     {{Verbs: millpond.Verbs()}},
		Reader:    {{Verbs: []millpond.Verb{millpond.VerbRead}}},
		Stranger:  {},
		Elsewhere: {{Verbs: []millpond.Verb{millpond.VerbRead}}, {Verbs: millpond.Verbs(), Names: e.othersNames()}},
	} {
		out[name] = repo.Caller{Actor: millpond.Actor{Name: name, Token: "token-of-" + name, Client: "127.0.0.1"}, Rights: rights}
	}
	return out
}

// othersNames are the names that the package Other is recorded under.
func (e Ecosystem) othersNames() []string {
	names := []string{e.Other}
	for _, r := range e.releases() {
		names = append(names, e.record(e.Other, r).Package)
	}
	return names
}

// Rights are what a caller was granted: the sum of it.
type Rights []Grant

// A Grant is verbs for names; no names are all.
type Grant struct {
	Verbs []millpond.Verb
	Names []string
}

var _ repo.Rights = Rights{}

// May implements repo.Rights.
func (r Rights) May(v millpond.Verb, _, pkg string) bool {
	return slices.ContainsFunc(r, func(g Grant) bool {
		return slices.Contains(g.Verbs, v) && (pkg == "" || len(g.Names) == 0 || slices.Contains(g.Names, pkg))
	})
}

// Scope implements repo.Rights.
func (r Rights) Scope(v millpond.Verb, _ string) string {
	var names []string
	for _, g := range r {
		if !slices.Contains(g.Verbs, v) {
			continue
		}
		if len(g.Names) == 0 {
			return "*"
		}
		names = append(names, g.Names...)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// Now implements repo.Rights: nothing is granted while a test runs.
func (r Rights) Now(catalog.Tx) (repo.Rights, error) { return r, nil }

// A Client sends requests to the repository "r" as one caller.
type Client struct {
	House *House
	Name  string // "" is anonymous
}

// As is a client of that caller: Owner, Reader, Stranger, Elsewhere or "".
func (h *House) As(name string) Client { return Client{h, name} }

// Base is the repository's address, as a client is set up with it; it ends in a slash.
func (c Client) Base() string { return c.House.URL + "/r/" }

// Do sends a request for a path below the repository.
func (c Client) Do(method, path string, header http.Header, body []byte) Reply {
	c.House.T.Helper()
	return c.At(method, "/r"+path, header, body)
}

// At sends a request for a path below the pond, for what a format serves at its Roots.
func (c Client) At(method, path string, header http.Header, body []byte) Reply {
	c.House.T.Helper()
	header = header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if c.Name != "" {
		header.Set(callerHeader, c.Name)
	}
	return c.House.send(method, path, header, body)
}

// Repo is the repository as the caller may use it.
func (c Client) Repo() format.Repo { return c.House.Pond.Repository("r").For(c.House.callers[c.Name]) }

// Log are all events so far, oldest first.
func (h *House) Log() []*millpond.Event {
	h.T.Helper()
	var out []*millpond.Event
	for e, err := range h.Catalog.Find(h.T.Context(), catalog.Filter{}) {
		if err != nil {
			h.T.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// WantLog fails the test unless the events so far have these verbs, oldest first.
func (h *House) WantLog(what string, verbs ...string) {
	h.T.Helper()
	var got []string
	for _, e := range h.Log() {
		got = append(got, e.Verb)
	}
	if !slices.Equal(got, verbs) {
		h.T.Errorf("%s: the events are %q, want %q", what, got, verbs)
	}
}
