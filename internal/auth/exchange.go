package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// What an identity token must be: signed by one of these, used within this time, by clocks that differ no more than this.
var identityAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}

const (
	identityLeeway = 30 * time.Second
	identityAge    = 2 * time.Hour
	identityLimit  = 16 << 10
)

// Audience is what identity tokens that are exchanged here must be made for; "" without a PublicURL: no word of a request
// can stand for it.
func (a *Auth) Audience() string { return a.audience("millpond") }

func (a *Auth) audience(scheme string) string {
	u, err := url.Parse(a.state.Load().settings.PublicURL)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	return scheme + ":" + u.Hostname()
}

// forOnePackage reports whether an audience is one that the clients of a format have identity tokens made for, naming a package
// each time: the format's word, and a host that is ours.
func (a *Auth) forOnePackage(audience string) bool {
	word, host, ok := strings.Cut(audience, ":")
	return ok && word != "" && slices.ContainsFunc(a.state.Load().settings.Repositories, func(r Repository) bool {
		return r.Audience == word && (audience == a.audience(word) || slices.Contains(r.Hosts, host))
	})
}

// An identityToken is one whose signature and times are good.
type identityToken struct {
	issuer    string
	audiences []string
	expires   time.Time
	id        string // jti, or the hash of what was signed
	claims    map[string]any
}

func forged(why string) error {
	return wrong(millpond.Unauthenticated, "the identity token is refused: "+why, "")
}

// verify checks an identity token's signature with the keys of its issuer, which must be one that the operator named, and
// its times.
func (a *Auth) verify(ctx context.Context, text string) (*identityToken, error) {
	if len(text) > identityLimit {
		return nil, forged("it is too large")
	}
	signed, err := jose.ParseSignedCompact(text, identityAlgorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return nil, forged("it is no token signed with RS256, ES256 or EdDSA")
	}
	claims, err := claimsOf(signed.UnsafePayloadWithoutVerification())
	if err != nil {
		return nil, forged("its claims cannot be read")
	}
	issuer, _ := claims["iss"].(string)
	if !slices.ContainsFunc(a.state.Load().settings.Issuers, func(i Issuer) bool { return i.URL == issuer }) {
		return nil, forged("its issuer is not trusted here")
	}
	// jwk, jku and x5u of its header are not looked at: the key is one of the issuer's own.
	keys, err := a.issuers.keys(ctx, issuer, signed.Signatures[0].Header.KeyID)
	if err != nil {
		return nil, err
	}
	payload := []byte(nil)
	for _, k := range keys {
		if k.Algorithm != "" && k.Algorithm != signed.Signatures[0].Header.Algorithm || k.Use != "" && k.Use != "sig" {
			continue
		}
		if payload, err = signed.Verify(k.Key); err == nil {
			break
		}
		payload = nil
	}
	if payload == nil {
		return nil, forged("its signature is not its issuer's")
	}
	if claims, err = claimsOf(payload); err != nil || claims["iss"] != issuer {
		return nil, forged("its claims cannot be read")
	}
	t := &identityToken{issuer: issuer, claims: claims}
	return t, t.check(payload, a.now())
}

// claimsOf reads claims with numbers as they stand there. A claim that stands there twice is refused.
func claimsOf(payload []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var claims map[string]any
	if err := d.Decode(&claims); err != nil {
		return nil, err
	}
	d = json.NewDecoder(bytes.NewReader(payload))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for seen := map[string]bool{}; d.More(); {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok || seen[name] {
			return nil, fmt.Errorf("the claim %q stands there twice", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
	}
	return claims, nil
}

// check reads the times, audiences and id.
func (t *identityToken) check(payload []byte, now time.Time) error {
	at := func(name string) (time.Time, bool) {
		n, ok := t.claims[name].(json.Number)
		f, err := n.Float64()
		return time.Unix(int64(f), 0), ok && err == nil && f > 0 && f < 1e11
	}
	expires, ok := at("exp")
	issued, ok2 := at("iat")
	before, ok3 := at("nbf")
	_, hasBefore := t.claims["nbf"]
	switch {
	case !ok || !ok2 || hasBefore && !ok3:
		return forged("it does not say when it is good")
	case !now.Before(expires.Add(identityLeeway)):
		return forged("it has expired")
	case issued.After(now.Add(identityLeeway)) || hasBefore && before.After(now.Add(identityLeeway)):
		return forged("it is not good yet")
	case !now.Before(issued.Add(identityAge)):
		return forged("it is older than two hours")
	}
	t.expires = expires
	switch aud := t.claims["aud"].(type) {
	case string:
		t.audiences = []string{aud}
	case []any:
		for _, one := range aud {
			s, ok := one.(string)
			if !ok {
				return forged("its audience cannot be read")
			}
			t.audiences = append(t.audiences, s)
		}
	}
	if id, _ := t.claims["jti"].(string); id != "" {
		t.id = "jti " + id
	} else {
		// Of the claims and not of the text: anybody can spell a signature in another way that is as good.
		hash := sha256.Sum256(payload)
		t.id = "hash " + digest(hash)
	}
	return nil
}

// Exchange implements format.Accounts. An identity token for "millpond:HOST" is good once; one for a format's own word names
// a package each time, and is good once for each.
func (x *accounts) Exchange(ctx context.Context, identity, pkg string) (*format.Token, error) {
	a := x.auth
	if a.Audience() == "" || len(a.state.Load().settings.Issuers) == 0 {
		return nil, wrong(millpond.Unsupported, "identity tokens are not exchanged here", "an operator sets public_url and auth.issuers")
	}
	if err := a.addresses.try(x.actor.Client); err != nil {
		return nil, err
	}
	t, err := a.verify(ctx, identity)
	if err != nil {
		if !millpond.Is(err, millpond.Unauthenticated) {
			a.addresses.forgive(x.actor.Client) // its issuer is ill, and not the token
		}
		return nil, err
	}
	once := t.issuer + "\x00" + t.id
	switch {
	case len(t.audiences) == 1 && t.audiences[0] == a.Audience():
	case len(t.audiences) == 1 && a.forOnePackage(t.audiences[0]) && pkg != "":
		once += "\x00" + pkg
	default:
		return nil, forged("it was made for somebody else: its audience must be " + a.Audience())
	}
	hash := sha256.Sum256([]byte(once))
	kept := &token{ID: random(idLength, lower), Created: a.now().UTC().Truncate(time.Millisecond), Verbs: []millpond.Verb{millpond.VerbPublish}}
	kept.Expires = kept.Created.Add(mintedLife)
	if kept.Claims, err = json.Marshal(t.claims); err != nil {
		return nil, err
	}
	secret, secretHash := newSecret(kept.ID)
	kept.Hash = digest(secretHash)
	if pkg != "" {
		if checkPattern(pkg) != nil || !plain(pkg) {
			return nil, wrong(millpond.Invalid, fmt.Sprintf("%q is no package", pkg), "")
		}
		kept.Names = []string{pkg}
	}
	actor := millpond.Actor{Client: x.actor.Client, Request: x.actor.Request, Token: kept.ID}
	rules := x.rules(a.state.Load(), t, pkg)
	if len(rules) > 0 {
		actor.Name = "publisher:" + rules[0].Name
	}
	kept.Owner = actor.Name
	detail := func() any {
		return map[string]any{"token": a.shown(kept), "rules": kept.Publishers, "claims": kept.Claims}
	}
	err = a.change(ctx, actor, "token-mint", kept.ID, detail, func(tx catalog.Tx) error {
		now := a.state.Load()
		if epoch, err := epochOf(tx); err != nil {
			return err
		} else if epoch != now.epoch {
			if now, err = load(a, tx, now.settings); err != nil {
				return err
			}
		}
		kept.Publishers = nil
		for _, p := range x.rules(now, t, pkg) {
			kept.Publishers = append(kept.Publishers, p.ID)
		}
		if kept.Publishers == nil || len(rules) == 0 {
			return wrong(millpond.Denied, "no publisher rule means this job", "an owner of the repository adds one")
		}
		if err := add(tx, kindOnce, digest(hash), "", t.expires.Add(identityLeeway+5*time.Minute), true); err != nil {
			if millpond.Is(err, millpond.Conflict) {
				return forged("it was used before")
			}
			return err
		}
		return put(tx, kindToken, kept.ID, kept.Owner, kept.Expires, kept)
	})
	if err != nil {
		return nil, err
	}
	a.addresses.forgive(x.actor.Client)
	out := a.shown(kept)
	out.Secret = secret
	return &out, nil
}

// plain reports whether a name is no pattern.
func plain(name string) bool { return !bytes.ContainsRune([]byte(name), '*') }

// rules are those that mean a job, of the repository or of all of the format, sorted by id.
func (x *accounts) rules(s *snapshot, t *identityToken, pkg string) []*PublisherRule {
	var out []*PublisherRule
	for _, p := range s.publishers {
		here := p.Repository == x.repository
		if x.repository == "" {
			here = slices.ContainsFunc(s.settings.Repositories, func(r Repository) bool {
				return r.Name == p.Repository && (x.format == "" || r.Format == x.format)
			})
		}
		trusted := slices.ContainsFunc(s.settings.Issuers, func(i Issuer) bool { return i.URL == p.Issuer })
		if here && trusted && p.matches(t.issuer, t.claims) && (pkg == "" || covered(p.Names, pkg)) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *PublisherRule) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	return out
}
