package auth

import (
	"strings"
	"testing"

	"millpond"
)

// TestS29NoOldGrantLivesOn: who was let into a repository is not let into another that has its name later, however that came:
// removed and made again, renamed onto it, or made anew with another format; while patterns, other repositories and a
// configuration that is only read again change nothing.
func TestS29NoOldGrantLivesOn(t *testing.T) {
	r := start(t)
	r.must(r.Reconcile(t.Context()))
	r.user("ann", "publisher team *", "publisher open *", "reader te* acme-*")
	only := r.token(r.as("ann"), token{Repositories: []string{"team"}})
	both := r.token(r.as("ann"), token{Repositories: []string{"team", "open"}})
	inside := r.token(r.bearer(both), token{Repositories: []string{"team"}})
	may := func(what string, team, open bool) {
		t.Helper()
		ann := r.as("ann").Rights
		if got := ann.May(millpond.VerbPublish, "team", "x"); got != team {
			t.Errorf("%s: ann may publish in team: %t, want %t", what, got, team)
		}
		if !ann.May(millpond.VerbPublish, "open", "x") {
			t.Errorf("%s: ann may not publish in open", what)
		}
		if !ann.May(millpond.VerbRead, "team", "acme-x") {
			t.Errorf("%s: a pattern no longer covers team", what)
		}
		if got := r.bearer(both).Rights.May(millpond.VerbPublish, "open", "x"); got != open {
			t.Errorf("%s: the token for both may publish in open: %t, want %t", what, got, open)
		}
	}
	gone := func() (n int, last string) {
		for _, e := range r.records.events {
			if e.Verb == "repository-gone" {
				n, last = n+1, e.Actor.Name+" "+string(e.Detail)
			}
		}
		return n, last
	}
	configure := func(change func(s *Settings)) {
		t.Helper()
		s := settings()
		change(&s)
		r.must(r.Configure(s))
		r.must(r.Reconcile(t.Context()))
	}
	configure(func(*Settings) {})
	may("read again", true, true)
	if n, _ := gone(); n != 0 {
		t.Errorf("%d events of nothing", n)
	}

	configure(func(s *Settings) { s.Repositories[1].Name = "other" })
	n, last := gone()
	for _, want := range []string{"pond ", `"about":"team"`, `"format":"npm"`, `"subject":"user:ann"`, `"role":"publisher"`, strings.Split(only, "_")[1], strings.Split(both, "_")[1]} {
		if !strings.Contains(last, want) {
			t.Errorf("the event has no %s: %s", want, last)
		}
	}
	if n != 1 || strings.Contains(last, "acme-") {
		t.Errorf("%d events, the last %s; want one, without what ended not", n, last)
	}
	configure(func(*Settings) {})
	may("made again", false, true)
	for _, secret := range []string{only, inside} {
		_, err := r.identify(with("/team/x", "Authorization: "+secret))
		r.kind("a token for what is gone", err, millpond.Unauthenticated)
	}
	// Who is let in anew does not bring the old token's scope back.
	_, err := r.AddGrant(t.Context(), r.root, Grant{Subject: "user:ann", Role: Publishing, Repository: "team"})
	r.must(err)
	may("granted anew", true, true)
	if r.bearer(both).Rights.May(millpond.VerbPublish, "team", "x") {
		t.Error("a token that was made for the old team publishes in the new one")
	}

	configure(func(s *Settings) { s.Repositories[1].Format = "pypi" })
	may("of another format", false, true)
	if n, _ := gone(); n != 3 { // team, other and team
		t.Errorf("%d events, want 3", n)
	}
	node := startOn(t, r.records, r.clock) // what was known outlives the process
	r.must(node.Reconcile(t.Context()))
	if n, _ := gone(); n != 4 {
		t.Errorf("a restart with the old format: %d events, want 4", n)
	}
}
