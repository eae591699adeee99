package auth

import (
	"encoding/json"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// TestMintingWider is S28.
func TestMintingWider(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	r.user("ann", "maintainer team acme-*")
	r.user("owen", "owner team *")
	r.user("all", "owner * *")
	ann, owner, all := r.as("ann"), r.as("owen"), r.as("all")
	narrow := r.bearer(r.token(ann, token{Verbs: []millpond.Verb{millpond.VerbRead, millpond.VerbPublish}, Repositories: []string{"team"}, Names: []string{"acme-a*"}, Expires: r.clock.Now().Add(time.Hour)}))
	for name, want := range map[string]format.Token{
		"another verb":       {Verbs: []millpond.Verb{millpond.VerbDelete}},
		"another repository": {Repositories: []string{"*"}},
		"other names":        {Names: []string{"acme-*"}},
		"a longer life":      {Expires: r.clock.Now().Add(2 * time.Hour)},
		"another's":          {Owner: "root"},
	} {
		_, err := narrow.Accounts.NewToken(ctx, want)
		r.kind("a token with "+name, err, millpond.Denied)
	}
	for name, want := range map[string]format.Token{
		"more than a year": {Expires: r.clock.Now().Add(367 * 24 * time.Hour)}, "the past": {Expires: r.clock.Now().Add(-time.Second)},
		"a verb that is none": {Verbs: []millpond.Verb{"admin"}}, "a pattern that is none": {Names: []string{"a b"}},
	} {
		_, err := ann.Accounts.NewToken(ctx, want)
		r.kind("a token with "+name, err, millpond.Invalid)
	}
	_, err := ann.Accounts.NewToken(ctx, format.Token{Verbs: []millpond.Verb{millpond.VerbOperate}})
	r.kind("a token with a verb of nobody's granting", err, millpond.Denied)

	child, err := narrow.Accounts.NewToken(ctx, format.Token{Names: []string{"acme-ab"}})
	r.must(err)
	if !child.Expires.Equal(r.clock.Now().Add(time.Hour)) {
		t.Errorf("a token made with another ends at %v, after its maker", child.Expires)
	}
	grandchild, err := r.bearer(child.Secret).Accounts.NewToken(ctx, format.Token{})
	r.must(err)
	c := r.bearer(grandchild.Secret)
	if c.Rights.May(millpond.VerbPublish, "team", "acme-a") || c.Rights.May(millpond.VerbDelete, "team", "acme-ab") || !c.Rights.May(millpond.VerbPublish, "team", "acme-ab") {
		t.Errorf("a token of a token's token is not as narrow as those: %q", c.Rights.Scope(millpond.VerbPublish, "team"))
	}

	whole, err := ann.Accounts.NewToken(ctx, format.Token{})
	r.must(err)
	roots, err := r.as("root").Accounts.NewToken(ctx, format.Token{})
	r.must(err)
	r.kind("revoke another's token by id", ann.Accounts.Revoke(ctx, roots.ID), millpond.NotFound)
	r.kind("revoke another's token by secret", ann.Accounts.Revoke(ctx, roots.Secret), millpond.NotFound)
	r.kind("revoke by a made-up secret", ann.Accounts.Revoke(ctx, "mp_"+whole.ID+"_x"), millpond.NotFound)
	r.kind("a narrow token revokes its owner's", narrow.Accounts.Revoke(ctx, whole.ID), millpond.NotFound)
	r.kind("revoke an administrator's", r.RevokeFor(ctx, all, roots.ID), millpond.Denied)
	r.must(narrow.Accounts.Revoke(ctx, child.Secret))
	r.must(r.RevokeFor(ctx, r.root, whole.ID))

	escalations := map[string]error{
		"grants herself":                        second(r.AddGrant(ctx, ann, Grant{Subject: "user:ann", Role: Owner, Repository: "team", Names: "acme-*"})),
		"an owner grants beyond the repository": second(r.AddGrant(ctx, owner, Grant{Subject: "user:owen", Role: Owner})),
		"an owner makes an operator":            second(r.AddGrant(ctx, owner, Grant{Subject: "user:owen", Role: Operator, Repository: "team"})),
		"an owner makes an administrator":       second(r.AddGrant(ctx, all, Grant{Subject: "user:all", Role: Admin})),
		"an owner by a pattern":                 second(r.AddGrant(ctx, owner, Grant{Subject: "user:owen", Role: Owner, Repository: "te*"})),
		"resets an administrator's password":    r.SetPassword(ctx, all, "root", "", "a-long-password"),
		"disables an administrator":             r.Disable(ctx, all, "root"),
		"removes an administrator":              r.RemoveUser(ctx, all, "root"),
		"an owner of one makes people":          r.AddUser(ctx, owner, User{Name: "owens-friend"}, "a-long-password"),
		"disables oneself":                      r.Disable(ctx, r.root, "root"),
		"makes a rule":                          second(r.AddPublisher(ctx, ann, PublisherRule{Name: "x"})),
	}
	r.must(r.AddGroup(ctx, r.root, "admins", ""))
	_, err = r.AddGrant(ctx, r.root, Grant{Subject: "group:admins", Role: Admin})
	r.must(err)
	escalations["joins the administrators"] = r.AddMember(ctx, all, "admins", "all")
	r.must(r.AddUser(ctx, owner, User{Name: "bot", Service: true}, ""))
	_, err = r.AddGrant(ctx, r.root, Grant{Subject: "user:bot", Role: Admin})
	r.must(err)
	escalations["takes a token of a service that may more"] = second(r.NewTokenFor(ctx, owner, "bot", format.Token{}))
	escalations["takes a token of a person"] = second(r.NewTokenFor(ctx, r.root, "ann", format.Token{}))
	for what, err := range escalations {
		r.kind(what, err, millpond.Denied)
	}
	anonymous, err := r.identify(with("/x"))
	r.must(err)
	for what, err := range map[string]error{
		"token": second(anonymous.Accounts.NewToken(ctx, format.Token{})), "list": second(anonymous.Accounts.Tokens(ctx)), "revoke": anonymous.Accounts.Revoke(ctx, roots.ID),
		"grant": second(r.AddGrant(ctx, anonymous, Grant{Subject: "anonymous", Role: Reader})), "users": second(r.Users(ctx, anonymous)),
		"forged rights": r.AddGroup(ctx, repo.Caller{Actor: millpond.Actor{Name: "root"}}, "x", ""),
	} {
		if millpond.KindOf(err) != millpond.Unauthenticated && what != "forged rights" || err == nil {
			t.Errorf("anonymous, %s: got %v, want Unauthenticated", what, err)
		}
	}
	if !r.as("root").Rights.May(millpond.VerbOperate, "x", "") {
		t.Error("root was harmed")
	}
}

func second[T any](_ T, err error) error { return err }

// TestEnds is S29 on two nodes: whoever is disabled, or lost a group or token, is so everywhere at the next poll.
func TestEnds(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	r.must(r.AddGroup(ctx, r.root, "dev", ""))
	r.user("ann")
	r.must(r.AddMember(ctx, r.root, "dev", "ann"))
	ann := r.as("ann")
	secret := r.token(ann, token{})
	s, err := r.LogIn(ctx, "192.0.2.7", "ann", "canary-password-ann")
	r.must(err)
	node := startOn(t, r.records, r.clock)
	byToken, byCookie := with("/team/x", "Authorization: "+secret), with("/-/x", "Cookie: "+CookieName+"="+s.Cookie)
	lasting, err := node.identify(byToken)
	r.must(err)
	if !lasting.Rights.May(millpond.VerbPublish, "team", "x") {
		t.Fatal("a member of dev cannot publish on another node")
	}
	r.must(r.RemoveMember(ctx, r.root, "dev", "ann"))
	r.must(node.Refresh(ctx))
	c, err := node.identify(byToken)
	r.must(err)
	if c.Rights.May(millpond.VerbPublish, "team", "x") || c.Rights == lasting.Rights {
		t.Error("a group that was lost counts on another node")
	}
	if c, err = node.Still(lasting); err != nil || c.Rights.May(millpond.VerbPublish, "team", "x") {
		t.Errorf("a group that was lost counts on a connection that lasts: %v", err)
	}
	r.must(r.Disable(ctx, r.root, "ann"))
	r.must(node.Refresh(ctx))
	for _, on := range []*rig{r, node} {
		_, err := on.identify(byToken)
		r.kind("a token of somebody disabled", err, millpond.Unauthenticated)
		_, err = on.identify(byCookie)
		r.kind("a login of somebody disabled", err, millpond.Unauthenticated)
		_, err = on.identify(with("/x", basicOf("ann", "canary-password-ann")))
		r.kind("the password of somebody disabled", err, millpond.Unauthenticated)
		_, err = node.Still(lasting)
		r.kind("a connection of somebody disabled", err, millpond.Unauthenticated)
	}
	r.must(r.Enable(ctx, r.root, "ann"))
	_, err = r.identify(byToken)
	r.kind("an old token after being enabled again", err, millpond.Unauthenticated)
	r.must(r.AddMember(ctx, r.root, "dev", "ann"))
	_, err = r.AddGrant(ctx, r.root, Grant{Subject: "user:ann", Role: Owner, Repository: "secret"})
	r.must(err)
	r.must(r.RemoveUser(ctx, r.root, "ann"))
	r.user("ann")
	if again := r.as("ann"); again.Rights.May(millpond.VerbPublish, "team", "x") || again.Rights.May(millpond.VerbRead, "secret", "x") {
		t.Error("who was made again under an old name has the old one's grants")
	}
	r.must(r.RemoveGroup(ctx, r.root, "dev"))
	r.must(r.AddGroup(ctx, r.root, "dev", ""))
	if g, err := r.Groups(ctx, r.root); err != nil || len(g) != 1 || len(g[0].Members) != 0 {
		t.Errorf("a group that was made again has members: %v, %v", g, err)
	}
}

// TestTokenLife: a token ends by itself, and so does a login session, when it idles and in all.
func TestTokenLife(t *testing.T) {
	r := start(t)
	ann := r.user("ann")
	req := with("/x", "Authorization: "+r.token(ann, token{}))
	r.clock.add(defaultLife - time.Second)
	_, err := r.identify(req)
	r.must(err)
	r.clock.add(time.Second)
	_, err = r.identify(req)
	r.kind("after 30 days", err, millpond.Unauthenticated)
	login := func() (func() error, time.Time) {
		s, err := r.LogIn(t.Context(), "192.0.2.7", "ann", "canary-password-ann")
		r.must(err)
		return func() error {
			_, err := r.identify(with("/-/x", "Cookie: "+CookieName+"="+s.Cookie))
			return err
		}, s.Expires
	}
	idle, _ := login()
	r.clock.add(sessionIdle - time.Second)
	r.must(idle())
	r.clock.add(sessionIdle)
	r.kind("two hours later", idle(), millpond.Unauthenticated)
	busy, end := login()
	for r.clock.Now().Add(time.Hour).Before(end) {
		r.clock.add(time.Hour)
		r.must(busy())
	}
	r.clock.add(time.Hour)
	r.kind("twelve hours later", busy(), millpond.Unauthenticated)

	s, err := r.LogIn(t.Context(), "192.0.2.7", "ann", "canary-password-ann")
	r.must(err)
	r.must(r.LogOut(t.Context(), s.Caller))
	_, err = r.identify(with("/-/x", "Cookie: "+CookieName+"="+s.Cookie))
	r.kind("after logging out", err, millpond.Unauthenticated)
}

// TestSetUp is S30: there is no default password; the secret is good once, for one of many at once, and for an hour.
func TestSetUp(t *testing.T) {
	c := &clock{now: time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)}
	on := newRecords(c.Now)
	a, err := New(t.Context(), Parts{Catalog: on, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Configure(settings()); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, Auth: a, records: on, clock: c}
	for _, p := range []string{"", "admin", "password", "millpond"} {
		_, err := a.LogIn(t.Context(), "192.0.2.1", "admin", p)
		r.kind("password "+p+" before anybody was made", err, millpond.Unauthenticated)
	}
	old, err := a.SetupSecret(t.Context())
	r.must(err)
	secret, err := a.SetupSecret(t.Context())
	r.must(err)
	_, err = a.SetUp(t.Context(), "192.0.2.2", old, "eve", "")
	r.kind("a secret that another start printed", err, millpond.Unauthenticated)
	_, err = a.SetUp(t.Context(), "192.0.2.2", secret+"x", "eve", "")
	r.kind("a secret that is none", err, millpond.Unauthenticated)
	_, err = a.SetUp(t.Context(), "192.0.2.2", secret, "root", "1234567890")
	if err == nil {
		_, err = a.SetUp(t.Context(), "192.0.2.3", secret, "eve", "")
		r.kind("a secret used twice", err, millpond.Unauthenticated)
	} else {
		t.Error(err)
	}
	if s, err := a.SetupSecret(t.Context()); s != "" || err != nil {
		t.Errorf("a pond that is set up offers %q, %v", s, err)
	}

	on = newRecords(c.Now)
	a, err = New(t.Context(), Parts{Catalog: on, Now: c.Now})
	r.must(err)
	r.must(a.Configure(settings()))
	secret, err = a.SetupSecret(t.Context())
	r.must(err)
	var group sync.WaitGroup
	won := make(chan string, 20)
	for i := range 20 {
		group.Go(func() {
			name := "u" + string(rune('a'+i))
			if _, err := a.SetUp(t.Context(), "192.0.2."+name, secret, name, ""); err == nil {
				won <- name
			}
		})
	}
	group.Wait()
	close(won)
	if len(won) != 1 || len(a.state.Load().users) != 1 {
		t.Errorf("%d of twenty at once were set up, and %d users made; want 1", len(won), len(a.state.Load().users))
	}

	on = newRecords(c.Now)
	a, err = New(t.Context(), Parts{Catalog: on, Now: c.Now})
	r.must(err)
	secret, err = a.SetupSecret(t.Context())
	r.must(err)
	c.add(time.Hour)
	_, err = a.SetUp(t.Context(), "192.0.2.2", secret, "late", "")
	r.kind("an hour later", err, millpond.Unauthenticated)
}

// TestLoginWithSetupSecret: a client can be the first user by its own login.
func TestLoginWithSetupSecret(t *testing.T) {
	c := &clock{now: time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)}
	a, err := New(t.Context(), Parts{Catalog: newRecords(c.Now), Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, Auth: a, clock: c}
	secret, err := a.SetupSecret(t.Context())
	r.must(err)
	none, err := a.Identify(t.Context(), with("/x"))
	r.must(err)
	made, err := a.AccountsFor(none, "npm", "npm", nil).Login(t.Context(), "ann", secret, format.Token{})
	r.must(err)
	if who := r.bearer(made.Secret); who.Name != "ann" || !who.Rights.May(millpond.VerbOperate, "x", "") || made.Name != "npm login" {
		t.Errorf("the first login made %+v of %+v", who.Actor, made)
	}
}

// TestLoginForSomething: a token made by a login is for what was asked for, and no more.
func TestLoginForSomething(t *testing.T) {
	r := start(t)
	none, err := r.Identify(t.Context(), with("/x"))
	r.must(err)
	asked := format.Token{Name: "push key", Verbs: []millpond.Verb{millpond.VerbPublish}, Repositories: []string{"gems"}}
	made, err := r.AccountsFor(none, "rubygems", "gems", nil).Login(t.Context(), "root", rootPassword, asked)
	r.must(err)
	who := r.bearer(made.Secret)
	if made.Name != asked.Name || !who.Rights.May(millpond.VerbPublish, "gems", "a") || who.Rights.May(millpond.VerbYank, "gems", "a") || who.Rights.May(millpond.VerbPublish, "wheels", "a") {
		t.Errorf("a login for publishing to gems made %+v", made)
	}
}

// TestGuessing is S31: failures cost time, for an account whatever the address, for an address whatever the account, for
// names that nobody has as for others; and a good token is never kept waiting.
func TestGuessing(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	ann := r.user("ann")
	secret := r.token(ann, token{})
	for _, name := range []string{"ann", "nobody"} {
		throttled := 0
		for i := range 20 {
			_, err := r.LogIn(ctx, "198.51.100."+string(rune('a'+i)), name, "wrong-password")
			if millpond.Is(err, millpond.Throttled) {
				throttled++
			}
		}
		if throttled != 15 {
			t.Errorf("%s: %d of 20 guesses from as many addresses were put off, want 15", name, throttled)
		}
	}
	_, err := r.LogIn(ctx, "198.51.100.9", "ann", "canary-password-ann")
	e, _ := err.(*millpond.Error)
	if e == nil || e.Kind != millpond.Throttled || !e.After.After(r.clock.Now()) {
		t.Errorf("the right password while the account waits: %v, want Throttled with a time", err)
	}
	r.clock.add(time.Hour)
	_, err = r.LogIn(ctx, "198.51.100.9", "ann", "canary-password-ann")
	r.must(err)

	sprayed := 0
	for i := range 60 {
		if _, err := r.LogIn(ctx, "203.0.113.5", "user-"+string(rune('a'+i)), "wrong-password"); millpond.Is(err, millpond.Throttled) {
			sprayed++
		}
	}
	if sprayed != 30 {
		t.Errorf("%d of 60 guesses of one address were put off, want 30", sprayed)
	}
	req := with("/x", "Authorization: "+secret)
	req.RemoteAddr = "203.0.113.5:1"
	if _, err := r.identify(req); err != nil {
		t.Errorf("a good token from an address that guesses: %v", err)
	}
	bad := with("/x", "Authorization: Bearer mp_x_y")
	bad.RemoteAddr = "203.0.113.5:1"
	_, err = r.identify(bad)
	r.kind("a bad token from an address that guesses", err, millpond.Throttled)
}

// TestSameWork is S31 too: an unknown name costs the same hash as a wrong password. A hash is what needs that much memory,
// which can be counted on a busy machine too.
func TestSameWork(t *testing.T) {
	r := start(t)
	r.user("ann")
	for _, name := range []string{"ann", "nobody"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := r.LogIn(t.Context(), "192.0.2.7", name, "wrong-password")
		runtime.ReadMemStats(&after)
		r.kind(name, err, millpond.Unauthenticated)
		if got := after.TotalAlloc - before.TotalAlloc; got < argonMemory<<10 || got > argonMemory<<11 {
			t.Errorf("%s: %d bytes were allocated, want one hash of %d KiB", name, got, argonMemory)
		}
	}
}

// TestCanaries is S33: no secret is in the catalog, in events or in logs.
func TestCanaries(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	ann := r.user("ann", "owner team *")
	r.token(r.as("ann"), token{Name: "one"})
	s, err := r.LogIn(ctx, "192.0.2.7", "ann", "canary-password-ann")
	r.must(err)
	ticket, err := ann.Accounts.BeginLogin(ctx)
	r.must(err)
	code, polled, _ := strings.Cut(ticket.ID, ".")
	r.must(r.ApproveTicket(ctx, s.Caller, code))
	made, err := ann.Accounts.PollLogin(ctx, ticket.ID)
	r.must(err)
	r.LogIn(ctx, "192.0.2.7", "ann", "canary-wrong-password")
	r.identify(with("/x?token=" + made.Secret))
	r.must(r.SetPassword(ctx, r.as("ann"), "ann", "canary-password-ann", "canary-password-new"))
	r.identify(with("/x", "Authorization: "+made.Secret))
	r.must(r.Flush(ctx))
	secrets := append(r.secrets, s.Cookie, polled, made.Secret, made.Secret[len(tokenPrefix)+idLength+1:], "canary")
	kept := r.logged.String()
	for k, e := range r.records.entries {
		kept += k[0] + " " + k[1] + " " + e.Owner + " " + string(e.Value) + "\n"
	}
	for _, e := range r.records.events {
		raw, err := json.Marshal(e)
		r.must(err)
		kept += string(raw) + "\n"
	}
	for _, v := range r.records.settings {
		kept += string(v)
	}
	for _, secret := range secrets {
		if i := strings.Index(kept, secret); i >= 0 {
			t.Errorf("the secret %q stands in …%s…", secret, kept[max(0, i-80):min(len(kept), i+80)])
		}
	}
	if !strings.Contains(kept, made.ID) {
		t.Error("what was looked through does not even hold the token's id")
	}
	for _, e := range r.records.events {
		if strings.Contains(string(e.Detail), "argon2") || strings.Contains(string(e.Detail), `"hash"`) || strings.Contains(string(e.Detail), `"born"`) {
			t.Errorf("an event tells a hash: %s", e.Detail)
		}
	}
}
