package auth

import (
	"testing"

	"millpond"
	"millpond/format"
)

func shownForTest(t token) format.Token {
	return format.Token{Name: t.Name, Expires: t.Expires, Verbs: t.Verbs, Repositories: t.Repositories, Names: t.Names}
}

// TestSpellings is S24: one decision for every spelling of a credential.
func TestSpellings(t *testing.T) {
	r := start(t)
	ann := r.user("ann", "publisher team *")
	good := r.token(ann, token{Names: []string{"acme-*"}})
	revoked := r.token(ann, token{})
	r.must(ann.Accounts.Revoke(t.Context(), revoked))
	s, err := r.LogIn(t.Context(), "192.0.2.7", "ann", "canary-password-ann")
	r.must(err)
	tests := []struct {
		name    string
		target  string
		headers []string
		want    millpond.Kind // Internal: identified
		who     string
	}{
		{"nothing", "/team/x", nil, 0, ""},
		{"basic, any user", "/team/x", []string{basicOf("whoever", good)}, 0, "ann"},
		{"basic, empty user", "/team/x", []string{basicOf("", good)}, 0, "ann"},
		{"basic, __token__", "/team/x", []string{basicOf("__token__", good)}, 0, "ann"},
		{"basic, token as user", "/team/x", []string{basicOf(good, "")}, 0, "ann"},
		{"basic, own password", "/team/x", []string{basicOf("ann", "canary-password-ann")}, 0, "ann"},
		{"basic, own password, odd case of the name", "/team/x", []string{basicOf("ANN", "canary-password-ann")}, 0, "ann"},
		{"bearer", "/team/x", []string{"Authorization: Bearer " + good}, 0, "ann"},
		{"bearer, odd case and spaces", "/team/x", []string{"Authorization: bEaReR   " + good + " "}, 0, "ann"},
		{"bare", "/team/x", []string{"Authorization: " + good}, 0, "ann"},
		{"cookie under /-/", "/-/api", []string{"Cookie: " + CookieName + "=" + s.Cookie}, 0, "ann"},
		{"cookie over plain http under /-/", "/-/api", []string{"Cookie: a=b; " + PlainCookieName + "=" + s.Cookie}, 0, "ann"},
		{"cookie elsewhere is none", "/team/x", []string{"Cookie: " + CookieName + "=" + s.Cookie}, 0, ""},
		{"another's cookie is none", "/-/api", []string{"Cookie: theme=dark"}, 0, ""},

		{"two headers", "/team/x", []string{"Authorization: " + good, "Authorization: " + good}, millpond.Invalid, ""},
		{"header and cookie", "/-/api", []string{"Authorization: " + good, "Cookie: " + CookieName + "=" + s.Cookie}, millpond.Invalid, ""},
		{"two cookies", "/-/api", []string{"Cookie: " + CookieName + "=" + s.Cookie + "; " + PlainCookieName + "=" + s.Cookie}, millpond.Invalid, ""},
		{"two tokens in one", "/team/x", []string{basicOf(good, revoked)}, millpond.Invalid, ""},
		{"query", "/team/x?token=" + good, nil, millpond.Invalid, ""},
		{"query of any name", "/team/x?q=1&x=" + good, nil, millpond.Invalid, ""},
		{"query that is for one", "/team/x?access_token=abc", nil, millpond.Invalid, ""},
		{"query beside a good one", "/team/x?apikey=abc", []string{"Authorization: " + good}, millpond.Invalid, ""},
		{"query that looks a little like one", "/team/x?q=mp_something", []string{"Authorization: " + good}, 0, "ann"},

		{"revoked", "/open/x", []string{"Authorization: Bearer " + revoked}, millpond.Unauthenticated, ""},
		{"revoked, as a password", "/open/x", []string{basicOf("ann", revoked)}, millpond.Unauthenticated, ""},
		{"cut short", "/open/x", []string{"Authorization: Bearer " + good[:len(good)-1]}, millpond.Unauthenticated, ""},
		{"one letter off", "/open/x", []string{"Authorization: Bearer " + good[:20] + "~" + good[21:]}, millpond.Unauthenticated, ""},
		{"bare word", "/open/x", []string{"Authorization: hello"}, millpond.Unauthenticated, ""},
		{"empty", "/open/x", []string{"Authorization: "}, millpond.Unauthenticated, ""},
		{"empty bearer", "/open/x", []string{"Authorization: Bearer "}, millpond.Unauthenticated, ""},
		{"another scheme", "/open/x", []string{"Authorization: Digest " + good}, millpond.Unauthenticated, ""},
		{"basic that is not base64", "/open/x", []string{"Authorization: Basic ///:"}, millpond.Unauthenticated, ""},
		{"basic without a colon", "/open/x", []string{"Authorization: Basic YWJj"}, millpond.Unauthenticated, ""},
		{"basic with a line break", "/open/x", []string{basicOf("ann\n", good)}, millpond.Unauthenticated, ""},
		{"no password", "/open/x", []string{basicOf("ann", "")}, millpond.Unauthenticated, ""},
		{"wrong password", "/open/x", []string{basicOf("ann", "canary-password-bob")}, millpond.Unauthenticated, ""},
		{"unknown user", "/open/x", []string{basicOf("nobody", "canary-password-ann")}, millpond.Unauthenticated, ""},
		{"wrong cookie", "/-/api", []string{"Cookie: " + CookieName + "=x" + s.Cookie}, millpond.Unauthenticated, ""},
		{"an identity token", "/open/x", []string{"Authorization: Bearer eyJhbGciOiJub25lIn0.eyJ9.x"}, millpond.Unauthenticated, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := r.identify(with(test.target, test.headers...))
			switch {
			case test.want != 0:
				if !millpond.Is(err, test.want) {
					t.Errorf("%v: got %v (%q), want %v", test.headers, err, c.Name, test.want)
				}
			case err != nil || c.Name != test.who:
				t.Errorf("%v: got %q, %v; want %q", test.headers, c.Name, err, test.who)
			}
		})
	}
}

// TestScopeIsOneDecision is S24 too: the scope of a token counts however it was sent.
func TestScopeIsOneDecision(t *testing.T) {
	r := start(t)
	secret := r.token(r.user("ann", "maintainer team *"), token{Verbs: []millpond.Verb{millpond.VerbPublish}, Names: []string{"acme-*"}, Repositories: []string{"te*"}})
	for _, h := range []string{basicOf("x", secret), basicOf(secret, ""), "Authorization: bearer " + secret, "Authorization: " + secret} {
		c, err := r.identify(with("/team/x", h))
		r.must(err)
		for _, q := range []struct {
			verb            millpond.Verb
			repository, pkg string
			want            bool
		}{
			{millpond.VerbPublish, "team", "acme-x", true}, {millpond.VerbPublish, "team", "", true}, {millpond.VerbPublish, "team", "other", false},
			{millpond.VerbDelete, "team", "acme-x", false}, {millpond.VerbPublish, "secret", "acme-x", false},
			{millpond.VerbRead, "open", "anything", true}, {millpond.VerbRead, "team", "acme-x", false}, {"", "team", "acme-x", false},
		} {
			if got := c.Rights.May(q.verb, q.repository, q.pkg); got != q.want {
				t.Errorf("%s: may %s %q in %s: %t, want %t", h[:24], q.verb, q.pkg, q.repository, got, q.want)
			}
		}
	}
}
