package auth

import (
	"testing"
	"time"

	"millpond"
	"millpond/catalog/sql"
	"millpond/format"
)

// TestOnDisk goes through a life on the real catalog: set up, grant, token, restart, revoke, and events that verify.
func TestOnDisk(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)}
	ctx := t.Context()
	open := func() (*rig, *sql.Catalog) {
		on, err := sql.Open(ctx, dir, sql.Options{Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		a, err := New(ctx, Parts{Catalog: on, Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{t: t, Auth: a, clock: c}
		r.must(a.Configure(settings()))
		return r, on
	}
	r, on := open()
	secret, err := r.SetupSecret(ctx)
	r.must(err)
	s, err := r.SetUp(ctx, "192.0.2.7", secret, "root", rootPassword)
	r.must(err)
	r.root = s.Caller
	r.user("ann", "publisher team acme-*")
	made, err := r.as("ann").Accounts.NewToken(ctx, format.Token{Name: "ci"})
	r.must(err)
	ticket, err := r.as("ann").Accounts.BeginLogin(ctx)
	r.must(err)
	r.bearer(made.Secret)
	r.must(r.Flush(ctx))
	r.must(on.Close())

	r, on = open()
	defer on.Close()
	if again, err := r.SetupSecret(ctx); again != "" || err != nil {
		t.Errorf("a pond that was set up offers a setup secret after a restart, %v", err)
	}
	caller := r.bearer(made.Secret)
	if !caller.Rights.May(millpond.VerbPublish, "team", "acme-x") || caller.Rights.May(millpond.VerbPublish, "team", "other") {
		t.Errorf("after a restart ann may publish %q", caller.Rights.Scope(millpond.VerbPublish, "team"))
	}
	list, err := caller.Accounts.Tokens(ctx)
	if err != nil || len(list) != 1 || list[0].Used.IsZero() || list[0].Name != "ci" {
		t.Errorf("after a restart ann has %+v, %v", list, err)
	}
	if _, err := r.identify(with("/-/x", "Cookie: "+CookieName+"="+s.Cookie)); err != nil {
		t.Errorf("a login did not outlive a restart: %v", err)
	}
	c.add(ticketLife)
	_, err = caller.Accounts.PollLogin(ctx, ticket.ID)
	r.kind("a ticket that is too old", err, millpond.NotFound)
	r.must(caller.Accounts.Revoke(ctx, made.Secret))
	_, err = r.identify(with("/x", "Authorization: "+made.Secret))
	r.kind("a revoked token", err, millpond.Unauthenticated)
	broken, n, err := on.Verify(ctx, nil)
	if broken != nil || err != nil || n < 6 {
		t.Errorf("the log of %d events is %+v, %v; want it whole", n, broken, err)
	}
}
