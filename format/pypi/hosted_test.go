package pypi

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"millpond"
	"millpond/catalog"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/repo"
)

// A shelf is a repository that is published to, at the root of a server of its own, with the upstream of a House.
type shelf struct {
	*formattest.House
	verbs  []millpond.Verb // that its caller has; empty is all
	nobody atomic.Bool     // the caller is anonymous
}

func newShelf(t testing.TB, changes ...func(*repo.Config)) *shelf {
	t.Helper()
	return &shelf{House: formattest.New(t, ecosystem(), changes...)}
}

// rights are a list of verbs, for all names.
type rights []millpond.Verb

func (r rights) May(v millpond.Verb, _, _ string) bool { return len(r) == 0 || slices.Contains(r, v) }

func (r rights) Scope(v millpond.Verb, _ string) string {
	if r.May(v, "", "") {
		return "*"
	}
	return ""
}

func (r rights) Now(catalog.Tx) (repo.Rights, error) { return r, nil }

// repo is the repository as its caller uses it now.
func (s *shelf) repo() format.Repo {
	c := repo.Caller{Actor: millpond.Actor{Name: "ci"}, Rights: rights(s.verbs)}
	if s.nobody.Load() {
		c = repo.Caller{}
	}
	return s.Pond.Repository("r").For(c)
}

// serve starts a server of the repository's.
func (s *shelf) serve() string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Format{}.Handler(s.repo()).ServeHTTP(w, r.WithContext(repo.WithTrace(r.Context(), &repo.Trace{})))
	}))
	s.T.Cleanup(server.Close)
	return server.URL
}

// hosted is a project as it is hosted; nil if it is not.
func (s *shelf) hosted(name string) *format.Hosting {
	s.T.Helper()
	caller := repo.Caller{Actor: millpond.Actor{Name: "test"}, Rights: rights(nil)}
	h, err := s.Pond.Repository("r").For(caller).Hosted(s.T.Context(), name)
	if err != nil && !millpond.Is(err, millpond.NotFound) {
		s.T.Fatal(err)
	}
	return h
}

// wantEvents fails the test unless these are the verbs of all events.
func (s *shelf) wantEvents(what string, verbs ...string) {
	s.T.Helper()
	if got := s.Events(); !slices.Equal(got, verbs) {
		s.T.Errorf("%s: events %q, want %q", what, got, verbs)
	}
}

// wantNothing fails the test if anything was published.
func (s *shelf) wantNothing() {
	s.T.Helper()
	s.wantEvents("after a refusal")
	if h := s.hosted("alpha"); h != nil {
		s.T.Errorf("%+v is hosted, want nothing", h)
	}
}
