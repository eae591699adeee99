package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

const withAuth = `
public_url: https://pond.example
read: [authenticated]
auth:
  passwords: off
  link_key: 2
  auth_grace: 2h
  oidc:
    issuer: https://login.example
    client_id: pond
    client_secret: ${LOGIN_SECRET}
    groups_claim: groups
    allow: ["*@acme.example", group:dev]
    without_auth_time: true
  issuers:
    - https://ci.example
    - {issuer: "http://127.0.0.1:9000/x", kind: gitlab}
repositories:
  open: {format: pypi, read: [anonymous]}
  acme:
    format: npm
    publish: [ci, group:dev]
    maintain: user:ann
    own: ["group:owners"]
    volatile: true
    unpublish: true
    claimed_only: true
    max_file: 2GiB
  mirror: {format: golang, hosted: false}
`

func TestAuth(t *testing.T) {
	c := load(t, withAuth, env("LOGIN_SECRET", "hush"))
	want := Auth{Passwords: "off", LinkKey: "2", Grace: 2 * time.Hour,
		OIDC:    []OIDC{{"https://login.example", "pond", "hush", "groups", []string{"*@acme.example", "group:dev"}, true}},
		Issuers: []Issuer{{URL: "https://ci.example"}, {"http://127.0.0.1:9000/x", "gitlab"}}}
	if !reflect.DeepEqual(c.Auth, want) {
		t.Errorf("auth is %+v, want %+v", c.Auth, want)
	}
	all, err := c.Repositories(formats())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"true false false false false 17179869184", "false true true false true 2147483648", "false false false true false 17179869184"} {
		r := all[i]
		if got := fmt.Sprint(r.Public, r.Volatile, r.Unpublish, r.ReadOnly, r.ClaimedOnly, r.MaxFile); got != want {
			t.Errorf("%s: public, volatile, unpublish, read only, claimed only, largest file: %s, want %s", r.Name, got, want)
		}
	}
	r := &c.Repos[1]
	got := fmt.Sprint(c.ReadersOf(r), Subjects(r.Publish), Subjects(r.Maintain), Subjects(r.Own))
	if want := "[authenticated] [user:ci group:dev] [user:ann] [group:owners]"; got != want {
		t.Errorf("subjects of %s: %s, want %s", r.Name, got, want)
	}
	var b strings.Builder
	if err := Write(&b, c); err != nil || strings.Contains(b.String(), "hush") {
		t.Errorf("a secret was written, %v:\n%s", err, b.String())
	}
	again := rewritten(t, c)
	again.Auth.OIDC[0].ClientSecret = "hush"
	if !reflect.DeepEqual(again.Auth, c.Auth) || !reflect.DeepEqual(again.Repos[1].Publish, r.Publish) || again.Repos[2].Hosted {
		t.Errorf("written and read again\n got %+v\nwant %+v\n%s", again.Auth, c.Auth, b.String())
	}
}

func TestAuthDefaults(t *testing.T) {
	c := load(t, "repositories: {a: {format: pypi}}", env())
	if c.Auth.Passwords != "on" || c.Auth.Grace != defaultGrace || !c.Repos[0].Hosted || c.Repos[0].MaxFile != defaultMaxFile {
		t.Errorf("without a word: %+v, %+v", c.Auth, c.Repos[0])
	}
	if got := c.ReadersOf(&c.Repos[0]); fmt.Sprint(got) != "[anonymous]" {
		t.Errorf("on loopback %v may read, want everybody", got)
	}
}

func TestAuthErrors(t *testing.T) {
	const public = "public_url: https://pond.example\n"
	tests := []struct{ name, text, want string }{
		{"a word for passwords", "auth: {passwords: maybe}", `1: auth.passwords: it is on or off, not "maybe"`},
		{"a key for links", "auth: {link_key: a/b}", `auth.link_key: it is a name of up to 32 letters and digits, not "a/b"`},
		{"an unknown key", "auth: {password: on}", `did you mean passwords?`},
		{"a list of words", "auth: {oidc: [{isuer: x}]}", `did you mean issuer?`},
		{"an issuer without https", public + "auth: {issuers: [http://ci.example]}", `2: auth.issuers[0]: "http://ci.example" is no issuer`},
		{"an issuer with a query", public + "auth: {issuers: ['https://ci.example?x=y']}", `is no issuer`},
		{"an issuer of an unknown kind", public + "auth: {issuers: [{issuer: https://ci.example, kind: githob}]}", `auth.issuers[0].kind: unknown word "githob"; did you mean github?`},
		{"an issuer and no public_url", "auth: {issuers: [https://ci.example]}", `public_url, which is not set`},
		{"a provider without a client", public + "auth: {oidc: {issuer: https://login.example}}", `auth.oidc[0].client_id: it is needed`},
		{"a pattern that is none", public + "auth: {oidc: {issuer: https://login.example, client_id: x, allow: ['group:A B']}}", `neither a pattern`},
		{"no grace", "auth: {auth_grace: 0s}", `auth.auth_grace: it must be longer than nothing`},
		{"nobody", "repositories: {a: {format: pypi, publish: ['role:x']}}", `1: repositories.a.publish[0]: "role:x" is nobody`},
		{"anonymous publishes", "repositories: {a: {format: pypi, publish: [anonymous]}}", `repositories.a.publish: anonymous may read, and nothing more`},
		{"no room", "repositories: {a: {format: pypi, max_file: 0}}", `nothing fits into 0 bytes`},
		{"neither true nor false", "repositories: {a: {format: pypi, hosted: maybe}}", `"maybe" is neither true nor false`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(write(t, test.text), env(), formats())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("file\n%s\n got %v\nwant %s", test.text, err, test.want)
			}
		})
	}
}
