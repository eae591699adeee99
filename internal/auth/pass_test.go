package auth

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

func scopeOf(repository, name string, verbs ...millpond.Verb) format.Scope {
	return format.Scope{Repository: repository, Name: name, Verbs: verbs}
}

func (r *rig) pass(c repo.Caller, scopes ...format.Scope) string {
	r.t.Helper()
	t, _, err := r.Pass(r.t.Context(), c, scopes)
	r.must(err)
	return t.Secret
}

func TestCase17PassNarrows(t *testing.T) {
	r := start(t)
	ann := r.user("ann", "maintainer team *", "reader secret acme/*")
	secret := r.token(ann, token{Name: "t"})
	all := r.bearer(secret)
	c := r.bearer(r.pass(all, scopeOf("team", "app", millpond.VerbRead, millpond.VerbPublish, millpond.VerbGrant)))
	for what, one := range map[string]struct {
		verb       millpond.Verb
		repository string
		pkg        string
		want       bool
	}{
		"what it is for":          {millpond.VerbRead, "team", "app", true},
		"to push":                 {millpond.VerbPublish, "team", "app", true},
		"another verb":            {millpond.VerbDelete, "team", "app", false},
		"a verb that ann has not": {millpond.VerbGrant, "team", "app", false},
		"another name":            {millpond.VerbRead, "team", "app-evil", false},
		"a name below":            {millpond.VerbRead, "team", "app/x", false},
		"another case":            {millpond.VerbRead, "team", "App", false},
		"another repository":      {millpond.VerbRead, "secret", "acme/x", false},
		"what everybody may":      {millpond.VerbRead, "open", "requests", true},
		"the repository":          {millpond.VerbRead, "team", "", true},
	} {
		if got := c.Rights.May(one.verb, one.repository, one.pkg); got != one.want {
			t.Errorf("%s: got %v, want %v", what, got, one.want)
		}
	}
	if !c.Rights.(repo.Narrowed).Whole().May(millpond.VerbDelete, "team", "app") {
		t.Error("ann's own rights are not known behind the pass")
	}
	_, granted, err := r.Pass(t.Context(), all, []format.Scope{
		scopeOf("secret", "acme/x", millpond.VerbRead, millpond.VerbPublish), scopeOf("secret", "other", millpond.VerbRead), scopeOf("none", "x", millpond.VerbRead)})
	r.must(err)
	if len(granted) != 1 || granted[0].Name != "acme/x" || !slices.Equal(granted[0].Verbs, []millpond.Verb{millpond.VerbRead}) {
		t.Errorf("granted is %v, want reading acme/x alone", granted)
	}
	_, _, err = r.Pass(t.Context(), c, []format.Scope{scopeOf("team", "other", millpond.VerbRead)})
	r.kind("a pass of a pass", err, millpond.Denied)
	if _, err := c.Accounts.NewToken(t.Context(), format.Token{Name: "wider"}); err == nil {
		t.Error("a pass made a token")
	}
	nobody := r.bearer(r.pass(repo.Caller{}, scopeOf("team", "app", millpond.VerbRead), scopeOf("open", "x", millpond.VerbRead)))
	if nobody.Name != "" || nobody.Rights.May(millpond.VerbRead, "team", "app") || !nobody.Rights.May(millpond.VerbRead, "open", "x") {
		t.Errorf("a pass of nobody's is %+v", nobody.Actor)
	}
	if a, b := c.Rights.Scope(millpond.VerbRead, "team"), all.Rights.Scope(millpond.VerbRead, "team"); a == b || a == "" || a == "*" {
		t.Errorf("its scope is %q, and the token's %q", a, b)
	}
}

func TestCase17PassEnds(t *testing.T) {
	r := start(t)
	ann := r.user("ann", "maintainer team *")
	secret := r.token(ann, token{Name: "t"})
	all := r.bearer(secret)
	mine := r.pass(all, scopeOf("team", "app", millpond.VerbRead))
	byPassword := r.pass(ann, scopeOf("team", "app", millpond.VerbRead))
	bad := func(what, secret string) {
		t.Helper()
		_, err := r.identify(with("/", "Authorization", "Bearer "+secret))
		r.kind(what, err, millpond.Unauthenticated)
	}
	r.bearer(mine)
	text, sum, _ := strings.Cut(mine, ".")
	wide, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, passPrefix))
	forged := passPrefix + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(wide), `"app"`, `"any"`, 1)))
	bad("another body", forged+"."+sum)
	bad("no signature", text+".")
	bad("no signature at all", text)
	bad("alg none, as some tokens have it", passPrefix+"eyJhbGciOiJub25lIn0.")
	bad("another key", text+"."+base64.RawURLEncoding.EncodeToString(mac([]byte("another"), text)))
	bad("another pond's", func() string { return start(t).pass(repo.Caller{}, scopeOf("open", "x", millpond.VerbRead)) }())
	r.must(all.Accounts.Revoke(t.Context(), all.Token))
	bad("its token was revoked", mine)
	r.bearer(byPassword)
	r.clock.add(passLife)
	bad("ended", byPassword)
	again := r.pass(r.as("ann"), scopeOf("team", "app", millpond.VerbRead))
	r.must(r.Disable(t.Context(), r.root, "ann"))
	bad("its owner is disabled", again)
}
