package auth

import (
	"slices"
	"strings"
	"testing"
	"testing/quick"

	"millpond"
	"millpond/catalog"
	"millpond/repo"
)

func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"acme", "acme", true}, {"acme", "acme-evil", false}, {"acme-*", "acme-x", true}, {"acme-*", "acme", false}, {"*", "", true},
		{"@acme/*", "@acme/x", true}, {"@acme/*", "@acme-evil/x", false}, {"*-x", "a-x", true}, {"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false},
		{"ab*ba", "aba", false}, {"*a*a", "a", false}, {"", "", true}, {"acme-*", "acme-*", true}, {"acme-*", "*", false}, {"acme-*", "acme-x-*", true},
		{"a*", "b*", false}, {"**", "x", true},
	} {
		if got := covers(test.pattern, test.name); got != test.want {
			t.Errorf("%q covers %q: %t, want %t", test.pattern, test.name, got, test.want)
		}
	}
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"acme-*", "*-x", true}, {"a*", "b*", false}, {"a", "a", true}, {"a", "b", false}, {"a*c", "ab*", true}, {"a*c", "*b", false},
		{"*", "x", true}, {"", "*", true}, {"", "a", false}, {"a**", "a", true}, {"*ab*", "ba", false}, {"x*y", "xy", true}, {"ab", "a", false},
	} {
		if got, back := overlap(test.a, test.b), overlap(test.b, test.a); got != test.want || back != test.want {
			t.Errorf("%q overlaps %q: %t and back %t, want %t", test.a, test.b, got, back, test.want)
		}
	}
}

// TestOverlapHolds compares overlap and covers with each other: what both cover, they overlap in.
func TestOverlapHolds(t *testing.T) {
	letters := func(seed []byte, alphabet string) string {
		var b strings.Builder
		for _, c := range seed[:min(len(seed), 6)] {
			b.WriteByte(alphabet[int(c)%len(alphabet)])
		}
		return b.String()
	}
	holds := func(a, b, name []byte) bool {
		p, q, n := letters(a, "ab*"), letters(b, "ab*"), letters(name, "ab")
		if covers(p, n) && covers(q, n) && !overlap(p, q) {
			t.Logf("%q is covered by %q and %q, which do not overlap", n, p, q)
			return false
		}
		if covers(p, q) && covers(q, n) && !covers(p, n) {
			t.Logf("%q covers %q, which covers %q", p, q, n)
			return false
		}
		return true
	}
	if err := quick.Check(holds, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
}

// TestRoles is S26: each verb is its own, and a role has those of the table and no other.
func TestRoles(t *testing.T) {
	table := map[Role]string{
		Reader:     "read",
		Publishing: "read publish",
		Maintainer: "read publish overwrite move yank delete promote",
		Owner:      "read publish overwrite move yank delete promote grant rule",
		Operator:   "operate",
		Auditor:    "audit",
		Edge:       "follow",
		Admin:      "read publish overwrite move yank delete promote grant rule operate audit",
	}
	r := start(t)
	for _, role := range Roles() {
		c := r.user("u-"+string(role), "reader open x")
		_, err := r.AddGrant(t.Context(), r.root, Grant{Subject: "user:" + c.Name, Role: role, Repository: "secret", Names: "acme-*"})
		if role == Edge {
			r.kind("an administrator who is no edge grants it", err, millpond.Denied)
			continue
		}
		r.must(err)
		c = r.as(c.Name)
		for _, v := range append(millpond.Verbs(), "", "admin") {
			want := slices.Contains(strings.Fields(table[role]), string(v))
			if got := c.Rights.May(v, "secret", "acme-x"); got != want {
				t.Errorf("%s may %s: %t, want %t", role, v, got, want)
			}
			if c.Rights.May(v, "secret", "other") || c.Rights.May(v, "secret2", "acme-x") {
				t.Errorf("%s may %s beyond its names or its repository", role, v)
			}
		}
	}
	if verbs := Role("root").Verbs(); verbs != nil {
		t.Errorf("a word that is no role allows %v", verbs)
	}
}

func TestConfiguredRights(t *testing.T) {
	r := start(t)
	r.must(r.AddGroup(t.Context(), r.root, "dev", ""))
	r.user("bob")
	olga := r.user("olga")
	r.must(r.AddMember(t.Context(), r.root, "dev", "bob"))
	bob := r.as("bob")
	none, err := r.identify(with("/x"))
	r.must(err)
	for _, q := range []struct {
		who        repo.Caller
		verb       millpond.Verb
		repository string
		want       bool
	}{
		{none, millpond.VerbRead, "open", true}, {none, millpond.VerbRead, "team", false}, {none, millpond.VerbPublish, "open", false},
		{bob, millpond.VerbRead, "team", true}, {bob, millpond.VerbPublish, "team", true}, {bob, millpond.VerbMove, "team", false},
		{bob, millpond.VerbRead, "secret", false}, {olga, millpond.VerbGrant, "secret", true}, {olga, millpond.VerbPublish, "team", false},
		{olga, millpond.VerbOperate, "secret", false},
	} {
		if got := q.who.Rights.May(q.verb, q.repository, "x"); got != q.want {
			t.Errorf("%q may %s in %s: %t, want %t", q.who.Name, q.verb, q.repository, got, q.want)
		}
	}
	for _, s := range []Settings{
		{Repositories: []Repository{{Name: "a", Publish: []string{"anonymous"}}}}, {Repositories: []Repository{{Name: "a", Read: []string{"role:x"}}}},
		{Issuers: []Issuer{{URL: "http://ci.example"}}}, {Providers: []Provider{{Issuer: "https://login.example"}}},
	} {
		r.kind("a configuration that cannot be", r.Configure(s), millpond.Invalid)
	}
	if !r.as("bob").Rights.May(millpond.VerbPublish, "team", "x") {
		t.Error("a configuration that was refused took effect")
	}
}

// TestScope holds that scopes tell sets of names apart, and are the same for the same grants.
func TestScope(t *testing.T) {
	r := start(t)
	r.user("ann", "publisher team *")
	r.user("bob", "publisher team acme-*", "publisher team b")
	r.user("eve", "publisher team b", "publisher team acme-*")
	ann, bob, eve := r.as("ann"), r.as("bob"), r.as("eve")
	narrow := r.bearer(r.token(ann, token{Names: []string{"acme-*", "b"}}))
	narrower := r.bearer(r.token(bob, token{Names: []string{"acme-x"}}))
	scopes := map[string]string{}
	for name, c := range map[string]repo.Caller{"ann": ann, "bob": bob, "narrower": narrower} {
		s := c.Rights.Scope(millpond.VerbPublish, "team")
		if other, dup := scopes[s]; dup || s == "" {
			t.Errorf("%s and %s have one scope %q", name, other, s)
		}
		scopes[s] = name
	}
	if s := ann.Rights.Scope(millpond.VerbPublish, "team"); s != "*" {
		t.Errorf("all names are %q, want *", s)
	}
	if a, b := bob.Rights.Scope(millpond.VerbPublish, "team"), eve.Rights.Scope(millpond.VerbPublish, "team"); a != b {
		t.Errorf("the same grants in another order: %q and %q", a, b)
	}
	if a, b := bob.Rights.Scope(millpond.VerbPublish, "team"), narrow.Rights.Scope(millpond.VerbPublish, "team"); a != b {
		t.Errorf("the same names by a token's scope: %q and %q", a, b)
	}
	if s := bob.Rights.Scope(millpond.VerbDelete, "team"); s != "" {
		t.Errorf("no name is %q", s)
	}
	if s := narrower.Rights.Scope(millpond.VerbRead, "open"); s != "*" {
		t.Errorf("what everybody may read is %q to a narrow token, want *", s)
	}
	if none := r.bearer(r.token(bob, token{Names: []string{"zzz"}})); none.Rights.Scope(millpond.VerbPublish, "team") != "" || none.Rights.May(millpond.VerbPublish, "team", "") {
		t.Error("a token for names that its owner may not publish has a scope")
	}
}

// TestNow holds that rights are asked again in a transaction, with what this process does not know yet.
func TestNow(t *testing.T) {
	r := start(t)
	r.user("ann", "publisher secret *")
	ann := r.as("ann")
	tok := r.bearer(r.token(ann, token{}))
	other := startOn(t, r.records, r.clock)
	var grants []Grant
	grants, err := other.Grants(t.Context(), other.as("root"))
	r.must(err)
	for _, g := range grants {
		if g.Subject == "user:ann" {
			r.must(other.RemoveGrant(t.Context(), other.as("root"), g.ID))
		}
	}
	again := func(c repo.Caller) (rights repo.Rights, err error) {
		err2 := r.records.View(t.Context(), func(tx catalog.Tx) error { rights, err = c.Rights.Now(tx); return nil })
		r.must(err2)
		return rights, err
	}
	if !tok.Rights.May(millpond.VerbPublish, "secret", "x") {
		t.Fatal("the snapshot changed by itself")
	}
	for _, c := range []repo.Caller{ann, tok} {
		if rights, err := again(c); err != nil || rights.May(millpond.VerbPublish, "secret", "x") {
			t.Errorf("%v: a grant that another node took back counts in a transaction (%v)", c.Actor, err)
		}
	}
	r.must(other.Disable(t.Context(), other.as("root"), "ann"))
	for _, c := range []repo.Caller{ann, tok} {
		_, err := again(c)
		r.kind("somebody whom another node disabled", err, millpond.Unauthenticated)
	}
	if rights, err := again(r.root); err != nil || !rights.May(millpond.VerbOperate, "x", "") {
		t.Errorf("root is no administrator any more: %v", err)
	}
}

// TestPondWide: what is asked of the pond as a whole is not for who may only do it to some names.
func TestPondWide(t *testing.T) {
	r := start(t)
	whole := r.bearer(r.token(r.root, token{}))
	narrow := r.bearer(r.token(r.root, token{Names: []string{"acme-*"}}))
	some := r.user("some", "operator * acme-*", "auditor * acme-*")
	for _, v := range []millpond.Verb{millpond.VerbOperate, millpond.VerbAudit} {
		if !whole.Rights.May(v, "", "") {
			t.Errorf("an administrator's token may not %s", v)
		}
		for what, c := range map[string]repo.Caller{"a token for some names": narrow, "a grant for some names": some} {
			if c.Rights.May(v, "", "") {
				t.Errorf("%s lets its holder %s all of the pond", what, v)
			}
			if !c.Rights.May(v, "team", "acme-x") {
				t.Errorf("%s is good for none of them", what)
			}
		}
	}
}
