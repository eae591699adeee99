package pypi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/repo"
)

// A follower is a mirror below the pond: it reads the list of all names, then the pages of those that have a number above its
// cursor, and refuses a page with a lower number than the list has.
type follower struct {
	s      *shelf
	cursor int64
}

func (m *follower) turn() (names []string) {
	t, base := m.s.T, m.s.serve()
	t.Helper()
	root := get(t, base+"/simple/", typeJSON)
	var list struct {
		Projects []struct {
			Name   string `json:"name"`
			Serial int64  `json:"_last-serial"`
		} `json:"projects"`
		Meta struct {
			Serial int64 `json:"_last-serial"`
		} `json:"meta"`
	}
	if err := json.Unmarshal([]byte(root.body), &list); err != nil || root.status != 200 {
		t.Fatalf("the list of names: %s, %v", root, err)
	}
	last := list.Meta.Serial
	if said := root.header.Get(serialHeader); said != strconv.FormatInt(last, 10) || last < m.cursor {
		t.Errorf("the list says %s in its header and %d, after %d", said, last, m.cursor)
	}
	for _, p := range list.Projects {
		if p.Serial > last {
			t.Errorf("%s has %d, and the list %d", p.Name, p.Serial, last)
		}
		page := get(t, base+"/simple/"+p.Name+"/", typeJSON)
		said, _ := strconv.ParseInt(page.header.Get(serialHeader), 10, 64)
		if body := parsePage(t, []byte(page.body)).Meta.Serial; said < p.Serial || body != said {
			t.Errorf("the page of %s says %d in its header and %d, the list %d", p.Name, said, body, p.Serial)
		}
		if api := get(t, base+"/pypi/"+p.Name+"/json", "*/*"); api.status == 200 {
			if said, _ := strconv.ParseInt(api.header.Get(serialHeader), 10, 64); said < p.Serial || !strings.Contains(api.body, fmt.Sprintf(`"last_serial":%d`, said)) {
				t.Errorf("the JSON document of %s says %d in its header, the list %d: %.200s", p.Name, said, p.Serial, api.body)
			}
		}
		if p.Serial > m.cursor {
			names = append(names, p.Name)
		}
	}
	m.cursor = last
	slices.Sort(names)
	return names
}

func (m *follower) wants(what string, want ...string) {
	m.s.T.Helper()
	if got := m.turn(); !slices.Equal(got, want) {
		m.s.T.Errorf("%s: the mirror reads %q, want %q", what, got, want)
	}
	if got := m.turn(); len(got) > 0 {
		m.s.T.Errorf("%s: the mirror reads %q once more, want nothing", what, got)
	}
}

func TestCase37AMirrorFollowsOurSerials(t *testing.T) {
	s := newShelf(t, func(c *repo.Config) { c.Unpublish = true })
	upstream := map[string]int{"beta": 41, "gamma": 900}
	list := func() {
		var projects []string
		for name, serial := range upstream {
			projects = append(projects, fmt.Sprintf(`{"name":%q,"_last-serial":%d}`, name, serial))
		}
		slices.Sort(projects)
		s.Up.Put("/simple/", faulty.Object{Body: []byte(`{"meta":{"api-version":"1.0"},"projects":[` + strings.Join(projects, ",") + `]}`), Type: typeJSON})
	}
	page := func(name string, serial int, releases ...formattest.Release) {
		var entries []map[string]any
		for _, r := range releases {
			s.Up.Put(upstreamFile(name, r), faulty.Object{Body: wheel(name, r)})
			entries = append(entries, pageEntry(name, r))
		}
		upstream[name] = serial
		putPage(s.Up, name, serial, entries, nil)
		list()
	}
	old := formattest.Release{Version: "1.0", Published: s.Now().Add(-1000 * time.Hour)}
	page("beta", 41, old)
	page("gamma", 900, old)
	m := &follower{s: s, cursor: 41}
	m.wants("moved over from the upstream", "gamma")
	if m.cursor != 900 {
		t.Errorf("the mirror is at %d, want the upstream's 900", m.cursor)
	}

	base := s.serve()
	file, body := aWheel("alpha", "1.0", "x")
	source, packed := aSdist("alpha", "1.0")
	publish(t, base, file, "alpha", "1.0", body)
	publish(t, base, source, "alpha", "1.0", packed)
	m.wants("published", "alpha")
	if err := s.repo().Amend(t.Context(), format.Amendment{Package: "alpha", Verb: "yank", Edit: func(now *format.Hosting) error {
		now.Version("1.0").Yanked = true
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	m.wants("yanked", "alpha")
	s.Restart()
	m.wants("after a start")
	if err := s.repo().Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "alpha", Version: "1.0", File: file}}); err != nil {
		t.Fatal(err)
	}
	m.wants("deleted", "alpha")

	// An upstream's next serials lie among those that were given here.
	page("beta", 901, old, formattest.Release{Version: "1.1", Published: s.Now().Add(-time.Hour)})
	s.Pass(time.Hour)
	m.wants("changed upstream, by a number that we have passed", "beta")
	page("gamma", 5000, old, formattest.Release{Version: "1.1", Published: s.Now().Add(-100 * time.Hour)})
	page("beta", 5001, old)
	s.Pass(time.Hour)
	m.wants("two changed upstream", "beta", "gamma")
	if m.cursor != 5001 {
		t.Errorf("the mirror is at %d, want the upstream's 5001", m.cursor)
	}

	c := s.Config("r", s.Up)
	c.Unpublish = true
	formattest.Rules(t, map[string]any{"hold": "10d", "except": []any{"alpha"}})(&c)
	s.Configure(repo.Settings{}, c)
	page("gamma", 6000, old, formattest.Release{Version: "1.2", Published: s.Now()})
	s.Pass(time.Hour)
	m.wants("changed upstream, and held", "gamma")
	s.Pass(5 * 24 * time.Hour)
	m.wants("while it is held")
	s.Restart()
	s.Pass(6 * 24 * time.Hour)
	m.wants("the hold has ended", "gamma")
}
