package auth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

var publicTable = map[netip.Addr]bool{
	netip.MustParseAddr("192.0.2.1"): true, netip.MustParseAddr("2001:db8::1"): true, netip.MustParseAddr("127.0.0.1"): false, netip.MustParseAddr("::1"): false,
	netip.MustParseAddr("0.1.2.3"): false, netip.MustParseAddr("10.0.0.1"): false, netip.MustParseAddr("100.64.0.1"): false, netip.MustParseAddr("169.254.169.254"): false,
	netip.MustParseAddr("::ffff:127.0.0.1"): false, netip.MustParseAddr("64:ff9b::7f00:1"): false, netip.MustParseAddr("240.0.0.1"): false, netip.MustParseAddr("224.0.0.1"): false,
	netip.MustParseAddr("fd00::1"): false, netip.MustParseAddr("fe80::1"): false,
}

func TestTickets(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	r.user("ann", "publisher team *")
	s, err := r.LogIn(ctx, "192.0.2.7", "ann", "canary-password-ann")
	r.must(err)
	none, err := r.identify(with("/x"))
	r.must(err)
	door := r.AccountsFor(none, "team", "npm", nil)
	ticket, err := door.BeginLogin(ctx)
	r.must(err)
	code, _, _ := strings.Cut(ticket.ID, ".")
	if ticket.URL != "https://pond.example/-/login?ticket="+code || strings.Contains(ticket.URL, ticket.ID) {
		t.Errorf("the page %s", ticket.URL)
	}
	_, err = door.PollLogin(ctx, ticket.ID)
	if e, _ := err.(*millpond.Error); e == nil || e.Kind != millpond.Throttled || !e.After.After(r.clock.Now()) {
		t.Errorf("before anybody logged in: %v, want Throttled with a time", err)
	}
	_, err = door.PollLogin(ctx, code+".guess")
	r.kind("poll with the page's code", err, millpond.NotFound)
	r.kind("anonymous approves", r.ApproveTicket(ctx, none, code), millpond.Unauthenticated)
	narrow := r.bearer(r.token(s.Caller, token{Names: []string{"x"}}))
	r.kind("a narrow token approves", r.ApproveTicket(ctx, narrow, code), millpond.Denied)
	if w, err := r.Ticket(ctx, code); err != nil || w.Format != "npm" {
		t.Errorf("the page shows %+v, %v", w, err)
	}
	r.must(r.ApproveTicket(ctx, s.Caller, code))
	r.kind("approve twice", r.ApproveTicket(ctx, r.root, code), millpond.NotFound)
	made, err := door.PollLogin(ctx, ticket.ID)
	r.must(err)
	if c := r.bearer(made.Secret); c.Name != "ann" || !c.Rights.May(millpond.VerbPublish, "team", "x") {
		t.Errorf("the ticket made a token of %+v", c.Actor)
	}
	_, err = door.PollLogin(ctx, ticket.ID)
	r.kind("redeem twice", err, millpond.NotFound)
	late, err := door.BeginLogin(ctx)
	r.must(err)
	r.clock.add(ticketLife)
	_, err = door.PollLogin(ctx, late.ID)
	r.kind("ten minutes later", err, millpond.NotFound)
	var last error
	for range 100 {
		if _, last = door.BeginLogin(ctx); last != nil {
			break
		}
	}
	r.kind("a hundred tickets", last, millpond.Throttled)
}

// TestManyWhoLogInFromOneAddress: a team behind one address, each of whom logs in once, is not slowed down as who only begins is.
func TestManyWhoLogInFromOneAddress(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	none, err := r.identify(with("/x"))
	r.must(err)
	door := r.AccountsFor(none, "team", "npm", nil)
	r.user("ann", "publisher team *")
	s, err := r.LogIn(ctx, "192.0.2.7", "ann", "canary-password-ann")
	r.must(err)
	for i := range 40 {
		ticket, err := door.BeginLogin(ctx)
		if err != nil {
			t.Fatalf("person %d: %v", i+1, err)
		}
		code, _, _ := strings.Cut(ticket.ID, ".")
		r.must(r.ApproveTicket(ctx, s.Caller, code))
		_, err = door.PollLogin(ctx, ticket.ID)
		r.must(err)
	}
}

func TestPasswords(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	for _, p := range []string{"short", "aaaaaaaaaaaaaa", "line\nbreak-123", strings.Repeat("x1", 600)} {
		r.kind("password "+p[:5], r.AddUser(ctx, r.root, User{Name: "bob"}, p), millpond.Invalid)
	}
	for _, n := range []string{"", "Ann", "anonymous", "a b", "-a", "a/b", "pond", "é"} {
		r.kind("name "+n, r.AddUser(ctx, r.root, User{Name: n}, "a-good-password"), millpond.Invalid)
	}
	ann := r.user("ann")
	r.kind("a name that is taken", r.AddUser(ctx, r.root, User{Name: "ann"}, "a-good-password"), millpond.Conflict)
	s, err := r.LogIn(ctx, "192.0.2.7", "ann", "canary-password-ann")
	r.must(err)
	r.kind("change it without the old one", r.SetPassword(ctx, ann, "ann", "guess-guess", "another-password"), millpond.Unauthenticated)
	r.must(r.SetPassword(ctx, ann, "ann", "canary-password-ann", "another-password"))
	_, err = r.identify(with("/-/x", "Cookie: "+CookieName+"="+s.Cookie))
	r.kind("a login from before", err, millpond.Unauthenticated)
	_, err = r.identify(with("/x", basicOf("ann", "canary-password-ann")))
	r.kind("the old password", err, millpond.Unauthenticated)
	_, err = r.identify(with("/x", basicOf("ann", "another-password")))
	r.must(err)
	r.must(r.SetPassword(ctx, r.root, "ann", "", "a-third-password"))
	_, err = r.identify(with("/x", basicOf("ann", "another-password")))
	r.kind("the second password, which was remembered", err, millpond.Unauthenticated)
	off := settings()
	off.Passwords = false
	r.must(r.Configure(off))
	_, err = r.identify(with("/x", basicOf("ann", "a-third-password")))
	r.kind("where passwords are off", err, millpond.Unauthenticated)
	_, err = ann.Accounts.Login(ctx, "ann", "a-third-password", format.Token{})
	r.kind("log in where passwords are off", err, millpond.Unsupported)
}

// TestIllCatalog: what is known goes on while the catalog is gone, until the grace is over; then as for everybody.
func TestIllCatalog(t *testing.T) {
	r := start(t)
	secret := r.token(r.as("root"), token{})
	r.records.ill = errIll
	if err := r.Refresh(t.Context()); err == nil {
		t.Error("an ill catalog was not noticed")
	}
	r.clock.add(23 * time.Hour)
	if c := r.bearer(secret); !c.Rights.May(millpond.VerbPublish, "team", "x") {
		t.Error("within the grace a token is good no more")
	}
	r.clock.add(2 * time.Hour)
	if c := r.bearer(secret); c.Rights.May(millpond.VerbPublish, "team", "x") || !c.Rights.May(millpond.VerbRead, "open", "x") {
		t.Error("after the grace a token is good for more, or less, than what everybody may")
	}
	r.records.ill = nil
	r.must(r.Refresh(t.Context()))
	if c := r.bearer(secret); !c.Rights.May(millpond.VerbPublish, "team", "x") {
		t.Error("a catalog that is back does not help")
	}
}

// TestRun holds that another node's changes are known within two seconds, and uses and counts kept each minute.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{now: time.Now()}
		r := startOn(t, newRecords(c.Now), c)
		r.user("ann")
		node := startOn(t, r.records, c)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			node.Run(ctx)
		}()
		defer func() { end(); <-ended }()
		secret := r.token(r.as("ann"), token{})
		time.Sleep(2*time.Second + time.Millisecond) // of the bubble's clock
		synctest.Wait()
		caller, err := node.identify(with("/x", "Authorization: "+secret))
		r.must(err)
		node.Refused(caller.Actor, millpond.VerbDelete, "team")
		node.Refused(caller.Actor, millpond.VerbDelete, "team")
		time.Sleep(time.Minute)
		synctest.Wait()
		r.records.mu.Lock()
		last := r.records.events[len(r.records.events)-1]
		_, used := r.records.entries[[2]string{kindUsed, caller.Token}]
		r.records.mu.Unlock()
		if want := `{"times":[{"what":"denied delete","actor":"ann","repository":"team","times":2}]}`; last.Verb != "asked" || string(last.Detail) != want {
			t.Errorf("counted %s %s, want %s", last.Verb, last.Detail, want)
		}
		if !used {
			t.Error("when the token was used was not kept")
		}
		third := startOn(t, r.records, c)
		list, err := third.TokensFor(t.Context(), third.as("root"), "ann")
		if err != nil || len(list) != 1 || !list[0].Used.Equal(c.now.Truncate(time.Second)) || list[0].Secret != "" {
			t.Errorf("a node that starts knows %+v, %v", list, err)
		}
	})
}

func TestLocalPath(t *testing.T) {
	for path, want := range map[string]string{"/-/tokens?x=1": "/-/tokens?x=1", "//evil.example": "/-/", "/\\evil": "/-/", "https://evil.example/-/": "/-/", "": "/-/",
		"/-/../pypi": "/-/", "/-/x\r\ny": "/-/", "/npm/": "/-/", "javascript:alert(1)": "/-/"} {
		if got := LocalPath(path); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

// loginPond is a rig whose people log in at a provider that answers with claims; "nonce" in them is the right one.
func loginPond(t *testing.T, claims map[string]any) (*rig, *authority, func(again ...bool) (*Session, error)) {
	a, r := newAuthority(t), start(t)
	r.Auth.http = a.Client()
	s := settings()
	s.Providers = []Provider{{Issuer: a.URL, ClientID: "pond", ClientSecret: "canary-client", GroupsClaim: "groups", Allow: []string{"*@acme.example"}}}
	r.must(r.Configure(s))
	var challenge string
	a.mux.HandleFunc("POST /token", func(w http.ResponseWriter, req *http.Request) {
		if req.FormValue("code") != "code" || req.FormValue("code_verifier") == "" || challenge == "" {
			http.Error(w, `{"error": "invalid_grant"}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": a.sign(t, claims)})
	})
	return r, a, func(again ...bool) (*Session, error) {
		to, err := r.BeginOIDC(t.Context(), "192.0.2.7", OIDCLogin{Issuer: a.URL, Callback: "https://pond.example/-/login/callback", Next: "/-/tokens", Again: len(again) > 0})
		if err != nil {
			return nil, err
		}
		u, err := url.Parse(to.URL)
		r.must(err)
		q := u.Query()
		if challenge = q.Get("code_challenge"); q.Get("code_challenge_method") != "S256" || q.Get("client_id") != "pond" {
			t.Errorf("the browser is sent to %s", to.URL)
		}
		want := []string{"", "43200"}
		if len(again) > 0 {
			want = []string{"login", "600"}
		}
		if got := []string{q.Get("prompt"), q.Get("max_age")}; !slices.Equal(got, want) {
			t.Errorf("the provider is asked for the prompt and the age %q, want %q", got, want)
		}
		if claims["nonce"] == "" {
			claims["nonce"] = q.Get("nonce")
		}
		if _, _, err := r.FinishOIDC(t.Context(), "192.0.2.8", "another-browser", q.Get("state"), "code"); err == nil {
			t.Error("another browser finished the login")
		}
		s, next, err := r.FinishOIDC(t.Context(), "192.0.2.7", to.Cookie, q.Get("state"), "code")
		if err == nil && next != "/-/tokens" {
			t.Errorf("next is %q", next)
		}
		if _, _, again := r.FinishOIDC(t.Context(), "192.0.2.7", to.Cookie, q.Get("state"), "code"); again == nil {
			t.Error("one login was finished twice")
		}
		return s, err
	}
}

func person(a *authority, now time.Time) map[string]any {
	return map[string]any{"iss": "", "aud": "pond", "sub": "s-1", "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(), "nonce": "",
		"preferred_username": "Carl", "email": "carl@acme.example", "email_verified": true, "groups": []string{"dev", "Not A Name"}}
}

// TestProvedAtAProvider: a login at a provider is as fresh as the provider's own proof, whatever it was told.
func TestProvedAtAProvider(t *testing.T) {
	now := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		again   bool
		ago     time.Duration // auth_time; -1 is none
		without bool          // without_auth_time
		want    string
	}{
		{"just proved", false, 0, false, "proved"},
		{"proved in the morning", false, 3 * time.Hour, false, "not proved"},
		{"nothing said", false, -1, false, "not proved"},
		{"nothing said, which is known", false, -1, true, "not proved"},
		{"a proof that is yet to come", false, -time.Hour, false, "not proved"},
		{"asked again, and proved", true, time.Second, false, "proved"},
		{"asked again, and not proved", true, 3 * time.Hour, false, "refused"},
		{"asked again, and nothing said", true, -1, false, "refused"},
		{"asked again, and nothing said, which is known", true, -1, true, "proved"},
		{"asked again, and not proved, though it says nothing otherwise", true, 3 * time.Hour, true, "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := person(nil, now)
			r, a, login := loginPond(t, claims)
			claims["iss"] = a.URL
			if c.ago != -1 {
				claims["auth_time"] = r.clock.Now().Add(-c.ago).Unix()
			}
			s := *r.Auth.state.Load().settings
			s.Providers[0].WithoutAuthTime = c.without
			r.must(r.Configure(s))
			var again []bool
			if c.again {
				again = []bool{true}
			}
			session, err := login(again...)
			got := "not proved"
			if millpond.Is(err, millpond.Unauthenticated) {
				got = "refused"
			} else if r.must(err); r.Proved(session.Caller) {
				got = "proved"
			}
			if got != c.want {
				t.Errorf("got %s, want %s (%v)", got, c.want, err)
			}
		})
	}
}

func TestProvider(t *testing.T) {
	claims := person(nil, time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC))
	r, a, login := loginPond(t, claims)
	claims["iss"] = a.URL
	s, err := login()
	r.must(err)
	if s.Caller.Name != "carl" || !s.Caller.Rights.May(millpond.VerbPublish, "team", "x") {
		t.Errorf("%+v cannot publish as a member of dev", s.Caller.Actor)
	}
	r.user("olga")
	claims["nonce"], claims["preferred_username"] = "", "olga"
	renamed, err := login()
	r.must(err)
	for _, e := range r.records.events[len(r.records.events)-2:] {
		if renamed.Caller.Name != "carl" || e.Actor.Name != "carl" || strings.Contains(string(e.Detail), "olga") {
			t.Errorf("carl, whom the provider calls olga now, is %q, and the log says that %q had %s %s", renamed.Caller.Name, e.Actor.Name, e.Verb, e.Detail)
		}
	}
	r.must(r.AddGroup(t.Context(), r.root, "dev", ""))
	r.must(r.RemoveMember(t.Context(), r.root, "dev", "carl"))
	claims["nonce"] = ""
	s, err = login()
	r.must(err)
	if s.Caller.Rights.May(millpond.VerbPublish, "team", "x") {
		t.Error("a group that was taken away here came back with a login")
	}
	r.must(r.Disable(t.Context(), r.root, "carl"))
	claims["nonce"] = ""
	_, err = login()
	r.kind("somebody disabled", err, millpond.Unauthenticated)
	for name, change := range map[string]map[string]any{
		"another's question":   {"nonce": "other"},
		"another's audience":   {"aud": "other"},
		"another's party":      {"azp": "other"},
		"two audiences":        {"aud": []string{"pond", "other"}},
		"an old answer":        {"exp": claims["iat"].(int64) - 60},
		"another issuer":       {"iss": "https://other.example"},
		"an address elsewhere": {"email": "carl@evil.example"},
		"an address unproved":  {"email_verified": false},
		"a name that is taken": {"sub": "s-2"},
		"a name of the pond's": {"sub": "s-3", "preferred_username": "root"},
	} {
		claims := person(a, r.clock.Now())
		r2, a2, login := loginPond(t, claims)
		claims["iss"] = a2.URL
		r2.user("carl")
		if change["sub"] == nil {
			claims["preferred_username"] = "dora"
		}
		for k, v := range change {
			claims[k] = v
		}
		s, err := login()
		if err == nil || !(millpond.Is(err, millpond.Unauthenticated) || millpond.Is(err, millpond.Denied)) {
			t.Errorf("%s: got %+v, %v; want a refusal", name, s, err)
		}
	}
	a.down.Store(true)
	r.Auth.providers.all = nil
	_, err = login()
	r.kind("a provider that is down", err, millpond.Unready)
	if c := r.bearer(r.token(r.as("root"), token{})); c.Name != "root" {
		t.Errorf("a token while the provider is down is %q's", c.Name)
	}
}

// TestIllProviderIsNobodysFailure: who tries to log in while the provider is ill need not wait once it is well.
func TestIllProviderIsNobodysFailure(t *testing.T) {
	a, r := newAuthority(t), start(t)
	r.Auth.http = a.Client()
	s := settings()
	s.Providers = []Provider{{Issuer: a.URL, ClientID: "pond", Allow: []string{"*"}}}
	r.must(r.Configure(s))
	status := http.StatusServiceUnavailable
	a.mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error": "invalid_grant"}`, status)
	})
	try := func() error {
		to, err := r.BeginOIDC(t.Context(), "192.0.2.7", OIDCLogin{Issuer: a.URL, Callback: "https://pond.example/-/login/callback"})
		if err != nil {
			return err
		}
		u, err := url.Parse(to.URL)
		r.must(err)
		_, _, err = r.FinishOIDC(t.Context(), "192.0.2.7", to.Cookie, u.Query().Get("state"), "code")
		return err
	}
	for range 100 {
		r.kind("its tokens cannot be had", try(), millpond.Unready)
	}
	a.down.Store(true)
	r.Auth.providers.all = nil
	for range 100 {
		r.kind("a provider that is down", try(), millpond.Unready)
	}
	a.down.Store(false)
	status = http.StatusBadRequest
	r.kind("a code that is refused", try(), millpond.Unauthenticated)
	throttled := false
	for range 100 {
		throttled = throttled || millpond.Is(try(), millpond.Throttled)
	}
	if !throttled {
		t.Error("a hundred codes that were refused are no reason to wait")
	}
}

// BenchmarkIdentify is what a token costs a request.
func BenchmarkIdentify(b *testing.B) {
	c := &clock{now: time.Now()}
	a, err := New(b.Context(), Parts{Catalog: newRecords(c.Now), Now: c.Now})
	if err != nil {
		b.Fatal(err)
	}
	secret, err := a.SetupSecret(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	none := repo.Caller{Actor: millpond.Actor{}}
	made, err := a.AccountsFor(none, "", "", nil).Login(b.Context(), "root", secret, format.Token{})
	if err != nil {
		b.Fatal(err)
	}
	for name, header := range map[string]string{"bearer": "Authorization: Bearer " + made.Secret, "basic": basicOf("x", made.Secret)} {
		b.Run(name, func(b *testing.B) {
			req := with("/team/x", header)
			b.ReportAllocs()
			for b.Loop() {
				if c, err := a.Identify(b.Context(), req); err != nil || !c.Rights.May(millpond.VerbRead, "team", "x") {
					b.Fatal(err)
				}
			}
		})
	}
}
