package auth

import (
	"slices"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// TestOwners: whom a client makes an owner of a package may do everything with it, and nothing with any other; only who may grant
// that makes one, and what was granted more widely is not taken back by the way.
func TestOwners(t *testing.T) {
	r := start(t)
	r.user("bob")
	r.user("olga") // an owner by the settings
	r.user("eve", "owner secret acme-other", "owner other acme-tools")
	r.user("ann", "publisher secret acme*")
	r.user("amy", "owner secret acme*")
	r.user("off", "publisher secret acme-tools")
	r.must(r.Disable(t.Context(), r.root, "off"))
	r.must(r.AddGroup(t.Context(), r.root, "dev", ""))
	steward := func(c repo.Caller) format.Steward {
		return r.AccountsFor(c, "secret", "npm", nil).(format.Steward)
	}
	owners := func(what string, want ...string) {
		t.Helper()
		got, err := steward(r.root).Owners(t.Context(), "acme-tools")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: the owners are %q, %v, want %q", what, got, err, want)
		}
	}
	owners("at first, with those that the configuration names", "amy", "ann", "olga")
	for _, name := range []string{"ann", "eve", "bob"} {
		_, err := steward(r.as(name)).AddOwner(t.Context(), "acme-tools", "bob")
		r.kind(name+" adds an owner", err, millpond.Denied)
		r.kind(name+" removes one", steward(r.as(name)).RemoveOwner(t.Context(), "acme-tools", "amy"), millpond.Denied)
	}
	narrow := r.bearer(r.token(r.as("amy"), token{Verbs: []millpond.Verb{millpond.VerbPublish}}))
	_, err := steward(narrow).AddOwner(t.Context(), "acme-tools", "bob")
	r.kind("by a token to publish with", err, millpond.Denied)

	for i, want := range []bool{true, false} {
		added, err := steward(r.as("amy")).AddOwner(t.Context(), "acme-tools", "bob")
		if err != nil || added != want {
			t.Errorf("add for the %d. time: %t, %v, want %t", i+1, added, err, want)
		}
	}
	if _, err := steward(r.root).AddOwner(t.Context(), "acme-tools", "group:dev"); err != nil {
		t.Error(err)
	}
	owners("with two more", "amy", "ann", "bob", "group:dev", "olga")
	bob := r.as("bob").Rights
	for _, v := range Owner.Verbs() {
		if !bob.May(v, "secret", "acme-tools") {
			t.Errorf("bob may not %s what he owns", v)
		}
		if bob.May(v, "secret", "acme-tool") || v != millpond.VerbRead && bob.May(v, "open", "acme-tools") {
			t.Errorf("bob may %s what he does not own", v)
		}
	}
	for _, name := range []string{"nobody", "group:none", "anonymous", "", "user:bob", "*"} {
		if _, err := steward(r.root).AddOwner(t.Context(), "acme-tools", name); !millpond.Is(err, millpond.NotFound) && !millpond.Is(err, millpond.Invalid) {
			t.Errorf("add %q: %v, want NotFound or Invalid", name, err)
		}
		if err := steward(r.root).RemoveOwner(t.Context(), "acme-tools", name); !millpond.Is(err, millpond.NotFound) {
			t.Errorf("remove %q: %v, want NotFound", name, err)
		}
	}
	_, err = steward(r.root).AddOwner(t.Context(), "acme*", "bob")
	r.kind("of a pattern", err, millpond.Invalid)

	err = steward(r.root).RemoveOwner(t.Context(), "acme-tools", "ann")
	r.kind("who may by a grant of more", err, millpond.Conflict)
	if !strings.Contains(err.Error(), "publisher of acme*") {
		t.Errorf("the words are %q", err)
	}
	r.must(steward(r.as("bob")).RemoveOwner(t.Context(), "acme-tools", "group:dev"))
	r.must(steward(r.as("amy")).RemoveOwner(t.Context(), "acme-tools", "bob"))
	owners("at the end", "amy", "ann", "olga")
	last := r.records.events[len(r.records.events)-1]
	if last.Verb != "grant-remove" || last.Actor.Name != "amy" || !strings.Contains(string(last.Detail), "acme-tools") {
		t.Errorf("the last event is %s by %s: %s", last.Verb, last.Actor.Name, last.Detail)
	}
	if !r.as("eve").Rights.May(millpond.VerbPublish, "other", "acme-tools") {
		t.Error("a grant in another repository is gone")
	}
}
