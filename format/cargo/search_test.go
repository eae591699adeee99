package cargo

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestSearchShowsNothingBlocked: what an upstream finds is shown by the newest of its versions that the reader sees, and not at
// all if its name is blocked, or every version of it is hidden; and an index is read only where it must be.
func TestSearchShowsNothingBlocked(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rules func(*repo.Config)
		want  map[string]string // max_version by crate
	}{
		{"no rules", func(*repo.Config) {}, map[string]string{"fine": "2.0.0", "barred": "2.0.0", "half-downed": "1.0.0", "young": "2.0.0", "newborn": "2.0.0"}},
		{"a block", formattest.Rules(t, map[string]any{"block": []any{"barred"}}),
			map[string]string{"fine": "2.0.0", "half-downed": "1.0.0", "young": "2.0.0", "newborn": "2.0.0"}},
		{"an allowance", formattest.Rules(t, map[string]any{"allow": []any{"fine", "downed", "half-downed", "all-downed"}}),
			map[string]string{"fine": "2.0.0", "half-downed": "1.0.0"}},
		{"a hold", formattest.Rules(t, map[string]any{"hold": "7d"}),
			map[string]string{"fine": "2.0.0", "barred": "2.0.0", "half-downed": "1.0.0", "young": "1.0.0"}},
	} {
		h := formattest.New(t, ecosystem, tt.rules)
		old, young := formattest.Epoch().AddDate(-1, 0, 0), formattest.Epoch().Add(-time.Hour)
		var crates []string
		for _, one := range []string{"barred", "downed", "half-downed", "all-downed", "young", "newborn", "fine"} {
			crates = append(crates, fmt.Sprintf(`{"name":%q,"max_version":"2.0.0","description":"x"}`, one))
			releases := []formattest.Release{{Version: "1.0.0", Published: old}, {Version: "2.0.0", Published: old}}
			if one == "young" || one == "newborn" {
				releases[1].Published = young
			}
			if one == "newborn" {
				releases = releases[1:]
			}
			putCrate(h.Up, one, releases...)
		}
		h.Up.Put("/api/v1/crates", faulty.Object{Type: typeJSON, Body: fmt.Appendf(nil, `{"crates":[%s],"meta":{"total":7}}`, strings.Join(crates, ","))})
		master := repo.Caller{Actor: millpond.Actor{Name: "owner"}, Rights: formattest.Rights{{Verbs: millpond.Verbs()}}}
		for _, down := range []repo.Takedown{{Package: "downed"}, {Package: "half_downed", Version: "2.0.0"},
			{Package: "all_downed", Version: "1.0.0"}, {Package: "all_downed", Version: "2.0.0"}} {
			down.Format, down.Why = "cargo", "malware"
			if _, err := h.Pond.TakeDown(t.Context(), master, down); err != nil {
				t.Fatal(err)
			}
		}
		var found foundAll
		if err := json.Unmarshal(h.Good(tt.name, h.Get("/api/v1/crates?q=x"), nil).Body, &found); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, one := range found.Crates {
			got[one.Name] = one.MaxVersion
		}
		if !maps.Equal(got, tt.want) || found.Meta.Total != len(tt.want) {
			t.Errorf("%s: the search finds %v, %d in all; want %v", tt.name, got, found.Meta.Total, tt.want)
		}
		if n := h.Up.Count("", root+folder("fine")+"fine"); (n == 0) != (tt.name == "no rules") {
			t.Errorf("%s: the index of a crate that nothing is known against was read %d times", tt.name, n)
		}
	}
}

// TestSearchForWhatIsBelow: no upstream hears of a crate that is hosted in a repository below, whoever asks for it: also one who
// may not know of it.
func TestSearchForWhatIsBelow(t *testing.T) {
	h := formattest.New(t, ecosystem)
	h.Published("publish", ecosystem.Publish(h.As(formattest.Owner), "hidden-one", formattest.Release{Version: "1.0.0"}))
	outer := h.Config("outer", h.Up)
	outer.Upstreams = append(outer.Upstreams, repo.Upstream{Sibling: "r"})
	h.Configure(repo.Settings{}, h.Config("r"), outer)
	putConfig(h.Up)
	h.Up.Put("/api/v1/crates", faulty.Object{Type: typeJSON, Body: []byte(`{"crates":[],"meta":{"total":0}}`)})
	h.Caller = repo.Caller{Actor: millpond.Actor{Name: "narrow"}, Rights: formattest.Rights{{Verbs: []millpond.Verb{millpond.VerbRead}, Names: []string{"fine"}}}}
	h.Good("ours", h.Do("GET", "/outer/api/v1/crates?q=hidden_one", nil), nil)
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("the upstream heard of a name that is hosted below: %v", h.Up.Requests(""))
	}
	h.Good("another", h.Do("GET", "/outer/api/v1/crates?q=another", nil), nil)
	if n := h.Up.Count("", "/api/v1/crates"); n != 1 {
		t.Errorf("the upstream was asked about another name %d times, want once", n)
	}
}
