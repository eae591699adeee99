package cargo

import (
	"fmt"
	"strings"
	"testing"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestSearchShowsNothingBlocked: what an upstream finds is not shown if its name is blocked or it was taken down, whatever else is
// known of it.
func TestSearchShowsNothingBlocked(t *testing.T) {
	for name, rules := range map[string]func(*repo.Config){
		"no rules":     func(*repo.Config) {},
		"a block":      formattest.Rules(t, map[string]any{"block": []any{"barred"}}),
		"an allowance": formattest.Rules(t, map[string]any{"allow": []any{"fine", "downed", "half-downed"}}),
	} {
		h := formattest.New(t, ecosystem, rules)
		var crates []string
		for _, one := range []string{"barred", "downed", "half-downed", "fine"} {
			crates = append(crates, fmt.Sprintf(`{"name":%q,"max_version":"2.0.0","description":"x"}`, one))
		}
		putConfig(h.Up)
		h.Up.Put("/api/v1/crates", faulty.Object{Type: typeJSON, Body: fmt.Appendf(nil, `{"crates":[%s],"meta":{"total":4}}`, strings.Join(crates, ","))})
		master := repo.Caller{Actor: millpond.Actor{Name: "owner"}, Rights: formattest.Rights{{Verbs: millpond.Verbs()}}}
		for _, down := range []repo.Takedown{{Package: "downed"}, {Package: "half_downed", Version: "2.0.0"}} {
			down.Format, down.Why = "cargo", "malware"
			if _, err := h.Pond.TakeDown(t.Context(), master, down); err != nil {
				t.Fatal(err)
			}
		}
		body := string(h.Good(name, h.Get("/api/v1/crates?q=x"), nil).Body)
		for crate, want := range map[string]bool{"fine": true, "downed": false, "barred": name == "no rules", "half-downed": name != "no rules"} {
			if got := strings.Contains(body, `"name":"`+crate+`"`); got != want {
				t.Errorf("%s: %s is shown: %t, want %t; got %s", name, crate, got, want, body)
			}
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
