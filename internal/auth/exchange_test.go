package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"millpond"
	"millpond/format"
)

// authority is an issuer that a test serves, with the key that it signs with.
type authority struct {
	*httptest.Server
	key   *rsa.PrivateKey
	id    string
	asked atomic.Int64 // for its keys
	down  atomic.Bool
	names string            // whom it says it is, if not itself
	keys  []jose.JSONWebKey // besides
	mux   *http.ServeMux
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, id: "k1", mux: http.NewServeMux()}
	a.mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		issuer := a.URL
		if a.names != "" {
			issuer = a.names
		}
		json.NewEncoder(w).Encode(map[string]any{"issuer": issuer, "jwks_uri": a.URL + "/keys", "authorization_endpoint": a.URL + "/authorize",
			"token_endpoint": a.URL + "/token", "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	a.mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{{Key: a.key.Public(), KeyID: a.id, Algorithm: "RS256", Use: "sig"}}, a.keys...)})
	})
	a.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.down.Load() {
			panic(http.ErrAbortHandler)
		}
		a.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

// sign makes a token of claims, with any algorithm, key and header.
func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, header map[string]any, claims map[string]any) string {
	t.Helper()
	o := &jose.SignerOptions{}
	for k, v := range header {
		o.WithHeader(jose.HeaderKey(k), v)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(raw)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (a *authority) sign(t *testing.T, claims map[string]any) string {
	return sign(t, jose.RS256, a.key, map[string]any{"kid": a.id}, claims)
}

// job are the claims of the job that the rule of trusting means, changed by pairs of a name and a value; nil removes.
func (a *authority) job(r *rig, id string, changes ...any) map[string]any {
	now := r.clock.Now().Unix()
	c := map[string]any{
		"iss": a.URL, "aud": "millpond:pond.example", "iat": now, "nbf": now, "exp": now + 300, "jti": id, "sub": "repo:acme/widget:environment:release",
		"repository": "acme/widget", "repository_id": "17", "repository_owner_id": "4", "workflow_ref": "acme/widget/.github/workflows/release.yml@refs/tags/v1",
		"ref": "refs/tags/v1", "event_name": "push", "environment": "release",
	}
	for i := 0; i+1 < len(changes); i += 2 {
		if c[changes[i].(string)] = changes[i+1]; changes[i+1] == nil {
			delete(c, changes[i].(string))
		}
	}
	return c
}

// trusting is a rig that trusts an issuer, with a rule for acme-* in team, and the door of that repository.
func trusting(t *testing.T) (*rig, *authority, format.Accounts) {
	t.Helper()
	a, r := newAuthority(t), start(t)
	r.Auth.http = a.Client()
	s := settings()
	s.Issuers = []Issuer{{URL: a.URL, Kind: "github"}}
	r.must(r.Configure(s))
	_, err := r.AddPublisher(t.Context(), r.root, PublisherRule{Name: "widget", Issuer: a.URL, Repository: "team", Names: []string{"acme-*"}, Claims: map[string]string{
		"repository_id": "17", "repository_owner_id": "4", "workflow_path": ".github/workflows/release.yml", "environment": "release"}})
	r.must(err)
	none, err := r.identify(with("/x"))
	r.must(err)
	return r, a, r.AccountsFor(none, "team", "npm", nil)
}

func TestExchange(t *testing.T) {
	r, a, door := trusting(t)
	made, err := door.Exchange(t.Context(), a.sign(t, a.job(r, "1")), "")
	r.must(err)
	c := r.bearer(made.Secret)
	for _, q := range []struct {
		verb            millpond.Verb
		repository, pkg string
		want            bool
	}{
		{millpond.VerbPublish, "team", "acme-x", true}, {millpond.VerbPublish, "team", "other", false}, {millpond.VerbPublish, "secret", "acme-x", false},
		{millpond.VerbRead, "team", "acme-x", false}, {millpond.VerbMove, "team", "acme-x", false}, {millpond.VerbRead, "open", "x", true},
	} {
		if got := c.Rights.May(q.verb, q.repository, q.pkg); got != q.want {
			t.Errorf("a job may %s %s in %s: %t, want %t", q.verb, q.pkg, q.repository, got, q.want)
		}
	}
	if c.Name != "publisher:widget" || c.Token != made.ID || made.Expires.Sub(made.Created) != mintedLife {
		t.Errorf("a job's token: %+v, %+v", c.Actor, made)
	}
	last := r.records.events[len(r.records.events)-1]
	if last.Verb != "token-mint" || !strings.Contains(string(last.Detail), `"repository_id":"17"`) || last.Actor.Token != made.ID {
		t.Errorf("the event of minting is %+v %s", last, last.Detail)
	}
	_, err = c.Accounts.NewToken(t.Context(), format.Token{})
	r.kind("a job makes a token", err, millpond.Denied)
	r.clock.add(mintedLife)
	_, err = r.identify(with("/x", "Authorization: "+made.Secret))
	r.kind("fifteen minutes later", err, millpond.Unauthenticated)

	made, err = door.Exchange(t.Context(), a.sign(t, a.job(r, "2")), "acme-x")
	r.must(err)
	if c := r.bearer(made.Secret); c.Rights.May(millpond.VerbPublish, "team", "acme-y") || !c.Rights.May(millpond.VerbPublish, "team", "acme-x") {
		t.Error("a token for one package is good for another, or not for its own")
	}
	r.must(r.Burn(t.Context(), "192.0.2.7", made.Secret))
	_, err = r.identify(with("/x", "Authorization: "+made.Secret))
	r.kind("burned", err, millpond.Unauthenticated)
	r.kind("burn again", r.Burn(t.Context(), "192.0.2.7", made.Secret), millpond.NotFound)

	made, err = door.Exchange(t.Context(), a.sign(t, a.job(r, "3")), "")
	r.must(err)
	rules, err := r.Publishers(t.Context(), r.root)
	r.must(err)
	r.must(r.RemovePublisher(t.Context(), r.root, rules[0].ID))
	_, err = r.identify(with("/x", "Authorization: "+made.Secret))
	r.kind("after its rule was removed", err, millpond.Unauthenticated)
}

// TestForged is S34.
func TestForged(t *testing.T) {
	r, a, door := trusting(t)
	other := newAuthority(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r.must(err)
	kid := map[string]any{"kid": a.id}
	now := r.clock.Now().Unix()
	jwk := jose.JSONWebKey{Key: other.key.Public(), KeyID: "mine", Algorithm: "RS256"}
	good := a.sign(t, a.job(r, "good"))
	parts := strings.Split(good, ".")
	tests := []struct {
		name, token, pkg string
		want             millpond.Kind
	}{
		{"alg none", "eyJhbGciOiJub25lIn0." + parts[1] + ".", "", millpond.Unauthenticated},
		{"no signature", parts[0] + "." + parts[1] + ".", "", millpond.Unauthenticated},
		{"another's signature", sign(t, jose.RS256, other.key, kid, a.job(r, "a")), "", millpond.Unauthenticated},
		{"the public key as a secret", sign(t, jose.HS256, a.key.PublicKey.N.Bytes(), kid, a.job(r, "b")), "", millpond.Unauthenticated},
		{"another algorithm of the right key", sign(t, jose.PS256, a.key, kid, a.job(r, "c")), "", millpond.Unauthenticated},
		{"a key of another kind", sign(t, jose.ES256, ec, kid, a.job(r, "d")), "", millpond.Unauthenticated},
		{"a key of its own in the header", sign(t, jose.RS256, other.key, map[string]any{"jwk": jwk, "kid": "mine"}, a.job(r, "e")), "", millpond.Unauthenticated},
		{"a key set of its own", sign(t, jose.RS256, other.key, map[string]any{"jku": other.URL + "/keys", "kid": a.id}, a.job(r, "f")), "", millpond.Unauthenticated},
		{"an issuer that nobody named", other.sign(t, other.job(r, "g")), "", millpond.Unauthenticated},
		{"the issuer with a slash", a.sign(t, a.job(r, "h", "iss", a.URL+"/")), "", millpond.Unauthenticated},
		{"claims exchanged", parts[0] + "." + strings.Split(a.sign(t, a.job(r, "i", "repository_id", "18")), ".")[1] + "." + parts[2], "", millpond.Unauthenticated},
		{"another pond's audience", a.sign(t, a.job(r, "j", "aud", "millpond:other.example")), "", millpond.Unauthenticated},
		{"a word for all ponds", a.sign(t, a.job(r, "k", "aud", "millpond")), "", millpond.Unauthenticated},
		{"two audiences", a.sign(t, a.job(r, "l", "aud", []string{"millpond:pond.example", "millpond:other.example"})), "", millpond.Unauthenticated},
		{"no audience", a.sign(t, a.job(r, "m", "aud", nil)), "", millpond.Unauthenticated},
		{"npm's audience for all packages", a.sign(t, a.job(r, "n", "aud", "npm:pond.example")), "", millpond.Unauthenticated},
		{"npm's audience for a host of nobody's", a.sign(t, a.job(r, "n2", "aud", "npm:other.example")), "widget", millpond.Unauthenticated},
		{"expired", a.sign(t, a.job(r, "o", "exp", now-31)), "", millpond.Unauthenticated},
		{"not yet", a.sign(t, a.job(r, "p", "nbf", now+31)), "", millpond.Unauthenticated},
		{"issued in the future", a.sign(t, a.job(r, "q", "iat", now+31)), "", millpond.Unauthenticated},
		{"issued two hours ago", a.sign(t, a.job(r, "r", "iat", now-7200, "nbf", now-7200)), "", millpond.Unauthenticated},
		{"without an end", a.sign(t, a.job(r, "s", "exp", nil)), "", millpond.Unauthenticated},
		{"without a beginning", a.sign(t, a.job(r, "t", "iat", nil)), "", millpond.Unauthenticated},
		{"an end in words", a.sign(t, a.job(r, "u", "exp", "tomorrow")), "", millpond.Unauthenticated},
		{"huge", strings.Repeat("a", 20000), "", millpond.Unauthenticated},
		{"nothing", "", "", millpond.Unauthenticated},

		{"the same name with a new owner", a.sign(t, a.job(r, "A", "repository_owner_id", "5")), "", millpond.Denied},
		{"a fork", a.sign(t, a.job(r, "B", "repository_id", "99", "repository", "eve/widget", "workflow_ref", "eve/widget/.github/workflows/release.yml@refs/tags/v1")), "", millpond.Denied},
		{"another workflow", a.sign(t, a.job(r, "C", "workflow_ref", "acme/widget/.github/workflows/test.yml@refs/tags/v1")), "", millpond.Denied},
		{"a workflow of another repository", a.sign(t, a.job(r, "D", "workflow_ref", "eve/x/.github/workflows/release.yml@refs/tags/v1")), "", millpond.Denied},
		{"another environment", a.sign(t, a.job(r, "E", "environment", "test")), "", millpond.Denied},
		{"no environment", a.sign(t, a.job(r, "F", "environment", nil)), "", millpond.Denied},
		{"a pull request", a.sign(t, a.job(r, "G", "event_name", "pull_request")), "", millpond.Denied},
		{"a pull request's target", a.sign(t, a.job(r, "H", "event_name", "pull_request_target")), "", millpond.Denied},
		{"an id as a list", a.sign(t, a.job(r, "I", "repository_id", []string{"17"})), "", millpond.Denied},
		{"a package of no rule", a.sign(t, a.job(r, "J")), "other", millpond.Denied},
		{"a pattern for a package", a.sign(t, a.job(r, "K")), "acme-*", millpond.Invalid},

		{"good", good, "", 0},
		{"good, within the leeway", a.sign(t, a.job(r, "L", "exp", now-29, "nbf", now+29)), "", 0},
		{"good, the id as a number", a.sign(t, a.job(r, "M", "repository_id", 17)), "", 0},
	}
	for _, test := range tests {
		r.addresses.clear("192.0.2.7")
		made, err := door.Exchange(t.Context(), test.token, test.pkg)
		switch {
		case test.want == 0 && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != 0 && !millpond.Is(err, test.want):
			t.Errorf("%s: got %+v, %v; want %v", test.name, made, err, test.want)
		}
	}
	if n := other.asked.Load(); n != 0 {
		t.Errorf("an issuer that nobody named was asked %d times", n)
	}
	twice := claimsTwice(t, a)
	_, err = door.Exchange(t.Context(), twice, "")
	r.kind("a claim that stands there twice", err, millpond.Unauthenticated)
}

// claimsTwice is a signed token that says its repository_id twice.
func claimsTwice(t *testing.T, a *authority) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: a.key}, (&jose.SignerOptions{}).WithHeader("kid", a.id))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign([]byte(`{"iss":"` + a.URL + `","repository_id":"99","repository_id":"17"}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestOnce is S35: an identity token is good once, also within its leeway, also a hundred times at once, also without an
// id; and npm's once for each package.
func TestOnce(t *testing.T) {
	r, a, door := trusting(t)
	ctx := t.Context()
	text := a.sign(t, a.job(r, "once"))
	_, err := door.Exchange(ctx, text, "")
	r.must(err)
	_, err = door.Exchange(ctx, text, "acme-x")
	r.kind("again", err, millpond.Unauthenticated)
	_, err = door.Exchange(ctx, a.sign(t, a.job(r, "once", "sub", "other")), "")
	r.kind("another token of that id", err, millpond.Unauthenticated)
	r.clock.add(5*time.Minute + 29*time.Second)
	_, err = door.Exchange(ctx, text, "")
	r.kind("again in the leeway", err, millpond.Unauthenticated)

	bare := a.sign(t, a.job(r, "", "jti", nil))
	_, err = door.Exchange(ctx, bare, "")
	r.must(err)
	_, err = door.Exchange(ctx, bare, "")
	r.kind("one without an id again", err, millpond.Unauthenticated)

	text = a.sign(t, a.job(r, "many"))
	var group sync.WaitGroup
	var won atomic.Int64
	for i := range 100 {
		group.Go(func() {
			who := *door.(*accounts)
			who.actor.Client = "198.51.100." + string(rune('a'+i))
			if _, err := who.Exchange(ctx, text, ""); err == nil {
				won.Add(1)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of a hundred at once were served, want 1", won.Load())
	}

	text = a.sign(t, a.job(r, "npm", "aud", "npm:pond.example"))
	for _, pkg := range []string{"acme-a", "acme-b"} {
		_, err = door.Exchange(ctx, text, pkg)
		r.must(err)
		_, err = door.Exchange(ctx, text, pkg)
		r.kind(pkg+" again", err, millpond.Unauthenticated)
	}
}

// TestRoots: a route that names no repository mints for those of the format only.
func TestRoots(t *testing.T) {
	r, a, _ := trusting(t)
	none, err := r.identify(with("/x"))
	r.must(err)
	_, err = r.AccountsFor(none, "", "pypi", nil).Exchange(t.Context(), a.sign(t, a.job(r, "1")), "")
	r.kind("of another format", err, millpond.Denied)
	_, err = r.AccountsFor(none, "", "npm", nil).Exchange(t.Context(), a.sign(t, a.job(r, "2")), "")
	r.must(err)
	_, err = r.AccountsFor(none, "secret", "npm", nil).Exchange(t.Context(), a.sign(t, a.job(r, "3")), "")
	r.kind("of another repository", err, millpond.Denied)
	if got := r.Audience(); got != "millpond:pond.example" {
		t.Errorf("audience %q", got)
	}
	s := *r.state.Load().settings
	s.Repositories = slices.Clone(s.Repositories)
	s.Repositories[0].Hosts, s.Repositories[1].Hosts = []string{"pip.example"}, []string{"npm.example"}
	r.must(r.Configure(s))
	_, err = r.AccountsFor(none, "", "npm", nil).Exchange(t.Context(), a.sign(t, a.job(r, "6", "aud", "npm:pip.example")), "acme-a")
	r.kind("for the host of another format", err, millpond.Unauthenticated)
	_, err = r.AccountsFor(none, "", "npm", nil).Exchange(t.Context(), a.sign(t, a.job(r, "5", "aud", "npm:npm.example")), "acme-a")
	r.must(err)
	s = settings()
	r.must(r.Configure(s))
	_, err = r.AccountsFor(none, "", "npm", nil).Exchange(t.Context(), a.sign(t, a.job(r, "4")), "")
	r.kind("where no issuer is trusted", err, millpond.Unsupported)
}

// TestKeys: an unknown key id asks the issuer again once in five minutes, and an ill issuer's known keys go on.
func TestKeys(t *testing.T) {
	r, a, door := trusting(t)
	ctx := t.Context()
	_, err := door.Exchange(ctx, a.sign(t, a.job(r, "1")), "")
	r.must(err)
	for i := range 10 {
		_, err := door.Exchange(ctx, sign(t, jose.RS256, a.key, map[string]any{"kid": "k" + string(rune('a'+i))}, a.job(r, "x")), "")
		r.kind("an unknown key", err, millpond.Unauthenticated)
	}
	if n := a.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times in one moment, want 1", n)
	}
	r.clock.add(keysAgain)
	fresh, err := rsa.GenerateKey(rand.Reader, 2048)
	r.must(err)
	old := a.key
	a.key, a.id = fresh, "k2"
	_, err = door.Exchange(ctx, a.sign(t, a.job(r, "2")), "")
	r.must(err)
	_, err = door.Exchange(ctx, sign(t, jose.RS256, old, map[string]any{"kid": "k1"}, a.job(r, "3")), "")
	r.kind("a key that is no more", err, millpond.Unauthenticated)
	a.down.Store(true)
	r.clock.add(keysStale + time.Second)
	_, err = door.Exchange(ctx, a.sign(t, a.job(r, "4")), "")
	r.must(err)
}

// TestIllIssuer is F54: while the issuer is down nothing can be exchanged, and everything else goes on.
func TestIllIssuer(t *testing.T) {
	r, a, door := trusting(t)
	ann := r.user("ann", "publisher team *")
	secret := r.token(ann, token{})
	a.down.Store(true)
	_, err := door.Exchange(t.Context(), a.sign(t, a.job(r, "1")), "")
	r.kind("an issuer that is down", err, millpond.Unready)
	if c := r.bearer(secret); !c.Rights.May(millpond.VerbPublish, "team", "x") {
		t.Error("a token is not good while the issuer is down")
	}
	a.down.Store(false)
	r.clock.add(10 * time.Second)
	_, err = door.Exchange(t.Context(), a.sign(t, a.job(r, "1")), "")
	r.must(err)

	// Whoever tries meanwhile is not taken for one who guesses: the address is that of many jobs.
	a.down.Store(true)
	r.Auth.issuers.all = nil
	for i := range 40 {
		_, err := door.Exchange(t.Context(), a.sign(t, a.job(r, fmt.Sprint("down ", i))), "")
		r.kind("an issuer that is down for long", err, millpond.Unready)
	}
	a.down.Store(false)
	r.clock.add(10 * time.Second)
	_, err = door.Exchange(t.Context(), a.sign(t, a.job(r, "up")), "")
	r.must(err)

	a.names = "https://other.example"
	r.Auth.issuers.all = nil
	_, err = door.Exchange(t.Context(), a.sign(t, a.job(r, "2")), "")
	r.kind("an issuer that says it is another", err, millpond.Unready)
}

func TestPublisherRules(t *testing.T) {
	r, a, _ := trusting(t)
	good := PublisherRule{Name: "gadget", Issuer: a.URL, Repository: "team", Names: []string{"acme-*"}, Claims: map[string]string{
		"repository_id": "17", "repository_owner_id": "4", "workflow_path": "x.yml"}}
	for name, change := range map[string]func(p *PublisherRule){
		"names instead of ids": func(p *PublisherRule) { delete(p.Claims, "repository_id"); p.Claims["repository"] = "acme/widget" },
		"no workflow":          func(p *PublisherRule) { delete(p.Claims, "workflow_path") },
		"another issuer":       func(p *PublisherRule) { p.Issuer = "https://other.example" },
		"no names":             func(p *PublisherRule) { p.Names = nil },
		"no repository":        func(p *PublisherRule) { p.Repository = "*" },
		"the audience":         func(p *PublisherRule) { p.Claims["aud"] = "x" },
		"an empty claim":       func(p *PublisherRule) { p.Claims["ref"] = "" },
	} {
		p := good
		p.Claims = maps.Clone(good.Claims)
		change(&p)
		_, err := r.AddPublisher(t.Context(), r.root, p)
		r.kind("a rule with "+name, err, millpond.Invalid)
	}
	owner := r.user("owen", "owner team acme-a*")
	_, err := r.AddPublisher(t.Context(), r.as(owner.Name), good)
	r.kind("a rule for more names than one's own", err, millpond.Denied)
	good.Names = []string{"acme-ab"}
	_, err = r.AddPublisher(t.Context(), r.as(owner.Name), good)
	r.must(err)
	if rules, err := r.Publishers(t.Context(), r.as(owner.Name)); err != nil || len(rules) != 2 {
		t.Errorf("rules of team: %v, %v", rules, err)
	}
}

func TestPublic(t *testing.T) {
	for address, want := range publicTable {
		if got := public(address); got != want {
			t.Errorf("%v is public: %t, want %t", address, got, want)
		}
	}
}

// TestRespelt is S35 too: a token without an id is good once, however its signature is spelt. Of ES256 each has a twin that is as
// good, which anybody can work out.
func TestRespelt(t *testing.T) {
	r, a, door := trusting(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r.must(err)
	a.keys = []jose.JSONWebKey{{Key: key.Public(), KeyID: "e", Algorithm: "ES256", Use: "sig"}}
	text := sign(t, jose.ES256, key, map[string]any{"kid": "e"}, a.job(r, "", "jti", nil))
	dot := strings.LastIndexByte(text, '.') + 1
	sum, err := base64.RawURLEncoding.DecodeString(text[dot:])
	r.must(err)
	s := new(big.Int).SetBytes(sum[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(sum[32:])
	_, err = door.Exchange(t.Context(), text, "")
	r.must(err)
	_, err = door.Exchange(t.Context(), text[:dot]+base64.RawURLEncoding.EncodeToString(sum), "")
	r.kind("the twin of a used signature", err, millpond.Unauthenticated)
	if err == nil || !strings.Contains(err.Error(), "used before") {
		t.Errorf("the twin of a used signature: got %v, want that it was used before", err)
	}
}
