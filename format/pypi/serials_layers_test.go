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

// counted lays projects with serials on an upstream.
type counted struct {
	up      *faulty.Server
	serials map[string]int
}

func (c counted) lay(name string, serial int, releases ...formattest.Release) {
	var entries []map[string]any
	for _, r := range releases {
		c.up.Put(upstreamFile(name, r), faulty.Object{Body: wheel(name, r)})
		entries = append(entries, pageEntry(name, r))
	}
	c.serials[name] = serial
	putPage(c.up, name, serial, entries, nil)
	var projects []string
	for name, serial := range c.serials {
		projects = append(projects, fmt.Sprintf(`{"name":%q,"_last-serial":%d}`, name, serial))
	}
	slices.Sort(projects)
	c.up.Put("/simple/", faulty.Object{Body: []byte(`{"meta":{"api-version":"1.0"},"projects":[` + strings.Join(projects, ",") + `]}`), Type: typeJSON})
}

// TestCase37TwoUpstreamsThatCount: serials of two upstreams mean nothing to each other. A mirror below reads what changes in
// either, once, though the one has counted to far more than the other.
func TestCase37TwoUpstreamsThatCount(t *testing.T) {
	s := newShelf(t)
	far, near := counted{s.Up, map[string]int{}}, counted{faulty.New(t), map[string]int{}}
	old := formattest.Release{Version: "1.0", Published: s.Now().Add(-1000 * time.Hour)}
	more := formattest.Release{Version: "1.1", Published: s.Now().Add(-100 * time.Hour)}
	far.lay("beta", 900, old)
	far.lay("both", 850, old)
	near.lay("delta", 50, old)
	near.lay("both", 40, more)
	configure := func(union bool) {
		c := s.Config("r", far.up, near.up)
		c.Union = union
		s.Configure(repo.Settings{}, c)
	}
	configure(false)
	m := &follower{s: s, cursor: 900}
	m.wants("moved over from the upstream that has counted far", "delta") // which that one never had
	near.lay("delta", 51, old, more)
	s.Pass(time.Hour)
	m.wants("a change of the other", "delta")
	near.lay("both", 52, more, old)
	s.Pass(time.Hour)
	m.wants("a change of what is hidden")
	far.lay("beta", 901, old, more)
	s.Pass(time.Hour)
	m.wants("a change of the first", "beta")
	s.Restart()
	m.wants("after a start")
	near.lay("delta", 53, more)
	far.lay("both", 902, old, more)
	s.Pass(time.Hour)
	m.wants("a change of each", "both", "delta")

	s = newShelf(t)
	far.up, m.s, m.cursor = s.Up, s, 0
	far.serials = map[string]int{}
	far.lay("both", 850, old)
	configure(true)
	if got := m.turn(); len(got) != 2 {
		t.Errorf("brought together: the mirror reads %q, want both names", got)
	}
	near.lay("both", 54, more, formattest.Release{Version: "1.2", Published: s.Now().Add(-10 * time.Hour)})
	s.Pass(time.Hour)
	m.wants("brought together, a change of the lower", "both")
	far.lay("both", 851, old, formattest.Release{Version: "1.3", Published: s.Now().Add(-10 * time.Hour)})
	s.Pass(time.Hour)
	m.wants("brought together, a change of the upper", "both")
}
