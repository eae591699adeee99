package pypi

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestRootPoll: with a long fresh and a poll, an upstream is asked about what has changed, and about nothing else.
func TestRootPoll(t *testing.T) {
	h := formattest.New(t, ecosystem())
	serials := map[string]int{"alpha": 3, "beta": 5, "gamma": 4}
	lay := func(name string, serial int, releases ...formattest.Release) {
		var entries []map[string]any
		for _, r := range releases {
			h.Up.Put(upstreamFile(name, r), faulty.Object{Body: wheel(name, r)})
			entries = append(entries, pageEntry(name, r))
		}
		putPage(h.Up, name, serial, entries, nil)
		serials[name] = serial
		var projects []string
		for name, serial := range serials {
			projects = append(projects, fmt.Sprintf(`{"name":%q,"_last-serial":%d}`, name, serial))
		}
		slices.Sort(projects)
		h.Up.Put("/simple/", faulty.Object{Body: []byte(`{"meta":{"api-version":"1.0"},"projects":[` + strings.Join(projects, ",") + `]}`), Type: typeJSON})
	}
	for _, name := range []string{"alpha", "beta"} {
		lay(name, serials[name], old)
	}
	configure := func(poll time.Duration) {
		c := h.Config("r", h.Up)
		c.Fresh, c.Upstreams[0].Poll = 24*time.Hour, poll
		h.Configure(repo.Settings{}, c)
	}
	poll := func(what string, want int) {
		t.Helper()
		if n, err := h.Pond.Poll(t.Context()); err != nil || n != want {
			t.Errorf("%s: Poll = %d, %v, want %d", what, n, err, want)
		}
	}
	pages := func(what, version string, alpha, beta int) {
		t.Helper()
		h.Shows(what, h.Good(what, h.Index("alpha"), nil), version, true)
		h.Good(what, h.Index("beta"), nil)
		h.Up.Want(t, alphas, alpha)
		h.Up.Want(t, "/simple/beta/", beta)
	}

	configure(0)
	pages("cold", old.Version, 1, 1)
	poll("not configured", 0)
	h.Up.Want(t, "/simple/", 0)

	configure(15 * time.Minute)
	poll("the first, which knows of nothing before", 2)
	pages("after the first", old.Version, 2, 2)
	lay("alpha", 9, old, recent)
	h.Pass(9 * time.Minute)
	poll("too early", 0)
	h.Up.Want(t, "/simple/", 1)
	pages("too early", old.Version, 2, 2)
	h.Pass(7 * time.Minute)
	poll("alpha has changed, and what the first poll saw is looked at once more", 2)
	pages("alpha has changed", recent.Version, 3, 3)
	h.Pass(16 * time.Minute)
	poll("nothing has changed since", 1) // alpha once more: a cache may have had its old page
	pages("nothing has changed since", recent.Version, 4, 3)
	h.Pass(16 * time.Minute)
	poll("and again", 0)
	pages("and again", recent.Version, 4, 3)

	lay("beta", 10, old, newest)
	h.Restart()
	h.Pass(16 * time.Minute)
	poll("it goes on after a start", 1)
	pages("after a start", recent.Version, 4, 4)

	h.Up.Order("/simple/", "always 500")
	h.Pass(16 * time.Minute)
	poll("an ill upstream changes nothing", 0)
	pages("an ill upstream", recent.Version, 4, 4)
	h.Configure(repo.Settings{Offline: true}, h.Config("r", h.Up))
	h.Up.Forget()
	poll("offline", 0)
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("offline: %d requests", n)
	}
}

// An upstream whose list has no serials tells nothing: its pages are asked for when they are no longer fresh, as ever.
func TestRootPollWithoutSerials(t *testing.T) {
	h := house(t)
	h.Up.Put("/simple/", faulty.Object{Body: []byte(`<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.0"></head><body><a href="alpha/">alpha</a></body></html>`), Type: "text/html"})
	c := h.Config("r", h.Up)
	c.Fresh, c.Upstreams[0].Poll = 24*time.Hour, 15*time.Minute
	h.Configure(repo.Settings{}, c)
	h.Good("page", h.Index("alpha"), nil)
	for range 3 {
		if n, err := h.Pond.Poll(t.Context()); err != nil || n != 0 {
			t.Errorf("Poll = %d, %v, want 0", n, err)
		}
		h.Pass(16 * time.Minute)
		h.Good("page", h.Index("alpha"), nil)
	}
	h.Up.Want(t, alphas, 1)
}
