package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"millpond"
	"millpond/catalog"
)

// A Provider is where people log in with OpenID Connect.
type Provider struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	GroupsClaim  string // the claim that lists a person's groups; "" reads none
	// Who is let in: patterns of verified e-mail addresses, or group:NAME as the provider says it. None is everybody whom
	// the provider lets in.
	Allow []string
	// WithoutAuthTime says that the provider does not tell when it asked for a proof: that it was told to ask again, and sent
	// the browser back, is then taken for one.
	WithoutAuthTime bool
}

// providers keep what the providers' discovery documents say.
type providers struct {
	auth *Auth
	mu   sync.Mutex // guards all; never held across I/O
	all  map[string]*oidc.Provider
}

func (p *providers) get(ctx context.Context, issuer string) (*oidc.Provider, error) {
	p.mu.Lock()
	known := p.all[issuer]
	p.mu.Unlock()
	if known != nil {
		return known, nil
	}
	// The provider's key set lives on with this context, so it must not end with the request.
	found, err := oidc.NewProvider(context.WithoutCancel(ctx), issuer)
	if err != nil {
		return nil, p.ill(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]*oidc.Provider{}
	}
	p.all[issuer] = found
	return found, nil
}

// ill is what is said of a provider that does not answer.
func (p *providers) ill(err error) error {
	return &millpond.Error{Kind: millpond.Unready, Why: "the identity provider does not answer", Hint: "tokens go on working; try again", After: p.auth.now().Add(10 * time.Second), Err: err}
}

// A login is one at a provider that is under way.
type login struct {
	Issuer   string    `json:"issuer"`
	Callback string    `json:"callback"`
	Next     string    `json:"next"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Browser  string    `json:"browser"`        // hash of the cookie
	Again    time.Time `json:"again,omitzero"` // when the person was to prove anew who they are; zero if any proof will do
	Expires  time.Time `json:"expires"`
}

// A Redirect sends a browser to a provider.
type Redirect struct {
	URL    string
	Cookie string // to be set, HttpOnly and SameSite=Lax, and given to FinishOIDC: another browser cannot finish the login
}

const loginLife = 10 * time.Minute

// Providers are the issuers where people can log in.
func (a *Auth) Providers() []string {
	var out []string
	for _, p := range a.state.Load().settings.Providers {
		out = append(out, p.Issuer)
	}
	return out
}

// Passwords reports whether people can log in with passwords.
func (a *Auth) Passwords() bool { return a.state.Load().settings.Passwords }

func (s *snapshot) provider(issuer string) (Provider, error) {
	for _, p := range s.settings.Providers {
		if p.Issuer == issuer {
			return p, nil
		}
	}
	return Provider{}, wrong(millpond.NotFound, "nobody logs in there", "")
}

// oidcContext gives the libraries auth's own client.
func (a *Auth) oidcContext(ctx context.Context, issuer string) context.Context {
	origin, err := url.Parse(issuer)
	if err != nil {
		origin = &url.URL{}
	}
	return oidc.ClientContext(ctx, a.clientFor(origin))
}

// An OIDCLogin is what BeginOIDC begins.
type OIDCLogin struct {
	Issuer   string
	Callback string // the address of the page that calls FinishOIDC
	Next     string // the page of the pond to go to afterwards
	Again    bool   // the provider shall ask for a proof, though it knows the browser
}

// BeginOIDC begins a login at a provider. Unready if the provider does not answer.
func (a *Auth) BeginOIDC(ctx context.Context, client string, o OIDCLogin) (*Redirect, error) {
	issuer, callback := o.Issuer, o.Callback
	p, err := a.state.Load().provider(issuer)
	if err != nil {
		return nil, err
	}
	if err := a.tickets.try(client); err != nil {
		return nil, err
	}
	provider, err := a.providers.get(a.oidcContext(ctx, issuer), issuer)
	if err != nil {
		a.tickets.forgive(client)
		return nil, err
	}
	state, cookie := random(secretChars, base62), random(secretChars, base62)
	stateHash, cookieHash := sha256.Sum256([]byte(state)), sha256.Sum256([]byte(cookie))
	l := login{Issuer: issuer, Callback: callback, Next: LocalPath(o.Next), Nonce: random(secretChars, base62),
		Verifier: oauth2.GenerateVerifier(), Browser: digest(cookieHash), Expires: a.now().Add(loginLife).UTC()}
	options := []oauth2.AuthCodeOption{oidc.Nonce(l.Nonce), oauth2.S256ChallengeOption(l.Verifier)}
	oldest := sessionLife // with it the provider says when it asked
	if o.Again {
		l.Again, oldest = a.now().UTC(), ProofLife
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
	}
	options = append(options, oauth2.SetAuthURLParam("max_age", strconv.Itoa(int(oldest/time.Second))))
	err = a.catalog.Update(ctx, millpond.Actor{Client: client}, func(tx catalog.Tx) error {
		return add(tx, kindLogin, digest(stateHash), "", l.Expires, l)
	})
	if err != nil {
		return nil, err
	}
	to := p.config(provider, callback).AuthCodeURL(state, options...)
	return &Redirect{URL: to, Cookie: cookie}, nil
}

func (p Provider) config(provider *oidc.Provider, callback string) *oauth2.Config {
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: provider.Endpoint(), RedirectURL: callback,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email"}}
}

// LocalPath is a path of the pond's own pages; "/-/" for whatever is not one.
func LocalPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(path, "/-/") ||
		strings.ContainsAny(path, "\\\r\n\t") || strings.Contains(u.Path, "/../") || strings.HasPrefix(u.Path, "//") {
		return "/-/"
	}
	return path
}

// FinishOIDC ends a login at a provider: cookie is what BeginOIDC gave, state and code are what the provider sent the
// browser back with. A person who was never here is made a user, with nothing granted but what is to authenticated and to
// the groups that the provider names.
func (a *Auth) FinishOIDC(ctx context.Context, client, cookie, state, code string) (s *Session, next string, err error) {
	if err := a.addresses.try(client); err != nil {
		return nil, "", err
	}
	l, err := a.takeLogin(ctx, client, cookie, state)
	if err != nil {
		return nil, "", err
	}
	p, err := a.state.Load().provider(l.Issuer)
	if err != nil {
		return nil, "", err
	}
	ctx = a.oidcContext(ctx, l.Issuer)
	provider, answer, err := a.redeem(ctx, p, l, code)
	if err != nil {
		if millpond.Is(err, millpond.Unready) {
			a.addresses.forgive(client) // the provider is ill, and not the code
			a.tickets.forgive(client)
		}
		return nil, "", err
	}
	raw, _ := answer.Extra("id_token").(string)
	checked, err := provider.Verifier(&oidc.Config{ClientID: p.ClientID, Now: a.now, SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256, oidc.EdDSA}}).Verify(ctx, raw)
	if err != nil {
		return nil, "", &millpond.Error{Kind: millpond.Unauthenticated, Why: "the identity provider's answer is refused", Hint: "log in again", Err: err}
	}
	var claims map[string]any
	if err := checked.Claims(&claims); err != nil {
		return nil, "", err
	}
	if azp, ok := claims["azp"]; checked.Nonce != l.Nonce || ok && azp != p.ClientID || len(checked.Audience) > 1 && !ok {
		return nil, "", wrong(millpond.Unauthenticated, "the identity provider's answer is to another question", "log in again")
	}
	proved, err := l.proved(p, claims)
	if err != nil {
		return nil, "", err
	}
	i, err := a.arrive(ctx, client, p, checked.Subject, claims)
	if err != nil {
		return nil, "", err
	}
	a.addresses.forgive(client)
	a.tickets.forgive(client)
	s, err = a.begin(ctx, i, client, proved)
	return s, l.Next, err
}

// redeem has the provider give its tokens for a code. Unready if it does not answer, or is ill; Unauthenticated if it refuses.
func (a *Auth) redeem(ctx context.Context, p Provider, l *login, code string) (*oidc.Provider, *oauth2.Token, error) {
	provider, err := a.providers.get(ctx, l.Issuer)
	if err != nil {
		return nil, nil, err
	}
	answer, err := p.config(provider, l.Callback).Exchange(ctx, code, oauth2.VerifierOption(l.Verifier))
	var refusal *oauth2.RetrieveError
	switch {
	case err == nil:
		return provider, answer, nil
	case errors.As(err, &refusal) && refusal.Response.StatusCode < http.StatusInternalServerError:
		return nil, nil, &millpond.Error{Kind: millpond.Unauthenticated, Why: "the identity provider did not confirm the login", Hint: "log in again", Err: scrubbed(err)}
	}
	return nil, nil, a.providers.ill(scrubbed(err))
}

// proved is when the provider asked for a proof; zero if that is not known. It refuses one that is too old for who was to prove
// anew who they are.
func (l *login) proved(p Provider, claims map[string]any) (time.Time, error) {
	seconds, told := claims["auth_time"].(float64)
	at := time.Unix(int64(seconds), 0)
	switch {
	case l.Again.IsZero() && !told:
		return time.Time{}, nil
	case l.Again.IsZero():
		return at, nil
	case !told && p.WithoutAuthTime:
		return l.Again, nil
	case !told:
		return time.Time{}, wrong(millpond.Unauthenticated, "the identity provider does not say when it asked for the proof (auth_time)",
			"its operator can have it say so; or set without_auth_time of the provider, if it is sure to ask when it is told to")
	case at.Before(l.Again.Add(-ProofLife)):
		return time.Time{}, wrong(millpond.Unauthenticated, "the identity provider was told to ask for a proof, and did not", "log out there, and log in again")
	}
	return at, nil
}

// scrubbed is an error of the provider without the body that it sent.
func scrubbed(err error) error {
	if e, ok := err.(*oauth2.RetrieveError); ok {
		return fmt.Errorf("the provider answered %s: %s", e.Response.Status, e.ErrorCode)
	}
	return err
}

// takeLogin finds the login that a state names, and ends it.
func (a *Auth) takeLogin(ctx context.Context, client, cookie, state string) (*login, error) {
	stateHash, id := sha256.Sum256([]byte(state)), ""
	id = digest(stateHash)
	var l *login
	err := a.catalog.Update(ctx, millpond.Actor{Client: client}, func(tx catalog.Tx) (err error) {
		if l, err = get[login](tx, kindLogin, id); err != nil {
			return err
		}
		hash, _ := undigest(l.Browser)
		if !fits(cookie, hash) || !a.now().Before(l.Expires) {
			return &millpond.Error{Kind: millpond.NotFound}
		}
		return tx.DropEntry(kindLogin, id)
	})
	if millpond.Is(err, millpond.NotFound) {
		err = wrong(millpond.Unauthenticated, "this login was not begun in this browser, is done, or took too long", "log in again")
	}
	return l, err
}

// arrive is the user of a provider's subject, with the groups that it names now.
func (a *Auth) arrive(ctx context.Context, client string, p Provider, subject string, claims map[string]any) (*identity, error) {
	text := func(name string) string { s, _ := claims[name].(string); return s }
	email := text("email")
	if verified, ok := claims["email_verified"].(bool); !ok || !verified {
		email = ""
	}
	var groups []string
	if list, ok := claims[p.GroupsClaim].([]any); ok && p.GroupsClaim != "" {
		for _, g := range list {
			if s, ok := g.(string); ok && checkName(strings.ToLower(s)) == nil && len(groups) < 200 {
				groups = append(groups, strings.ToLower(s))
			}
		}
	}
	allowed := len(p.Allow) == 0 || slices.ContainsFunc(p.Allow, func(w string) bool {
		group, ok := strings.CutPrefix(w, "group:")
		return ok && slices.Contains(groups, group) || !ok && email != "" && covers(strings.ToLower(w), strings.ToLower(email))
	})
	if !allowed {
		return nil, wrong(millpond.Denied, "this pond does not let that person in", "ask an operator")
	}
	name := strings.ToLower(text("preferred_username"))
	if checkName(name) != nil {
		name, _, _ = strings.Cut(strings.ToLower(email), "@")
	}
	for _, u := range a.state.Load().users {
		if u.Issuer == p.Issuer && u.Subject == subject {
			name = u.Name // the event is theirs, whatever they are called there now
		}
	}
	err := a.change(ctx, millpond.Actor{Name: name, Client: client}, "user-arrive", name, nil, func(tx catalog.Tx) error {
		var found, named *User
		for u, err := range every[User](tx.Entries(kindUser, ""), a.now()) {
			if err != nil {
				return err
			}
			if u.Issuer == p.Issuer && u.Subject == subject {
				found = u
			}
			if u.Name == name {
				named = u
			}
		}
		switch {
		case found != nil && found.Disabled:
			return wrong(millpond.Unauthenticated, found.Name+" is disabled", "")
		case found != nil:
			name = found.Name
		case checkName(name) != nil:
			return wrong(millpond.Denied, "the provider gives no name that can be used here", "ask an owner to make a user for it")
		case named != nil:
			return wrong(millpond.Denied, "the name "+name+" is somebody else's here", "ask an owner")
		default:
			found = &User{Name: name, Issuer: p.Issuer, Subject: subject, Created: a.now().UTC(), Born: random(16, lower)}
		}
		found.Display, found.Email, found.Told = text("name"), email, groups
		return put(tx, kindUser, name, "", never, found)
	})
	if err != nil {
		return nil, err
	}
	if i := a.state.Load().byUser(name); i != nil {
		return i, nil
	}
	return nil, wrong(millpond.Unready, "the login cannot be kept now", "try again")
}
