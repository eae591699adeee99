package auth

import (
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

// TestApprovedLoginEnds: a login that was approved in a browser, and whose client has not fetched its token yet, ends with the login
// sessions: whoever has got hold of a browser keeps nothing.
func TestApprovedLoginEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(r *rig)
	}{
		{"disabled, and enabled again", func(r *rig) {
			r.must(r.Disable(r.t.Context(), r.root, "ann"))
			r.must(r.Enable(r.t.Context(), r.root, "ann"))
		}},
		{"a new password", func(r *rig) {
			r.must(r.SetPassword(r.t.Context(), r.as("ann"), "ann", "canary-password-ann", "canary-password-new"))
		}},
		{"made again", func(r *rig) {
			r.must(r.RemoveUser(r.t.Context(), r.root, "ann"))
			r.user("ann")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t)
			ctx := t.Context()
			r.user("ann")
			r.user("bob")
			none, err := r.identify(with("/x"))
			r.must(err)
			door := r.AccountsFor(none, "team", "npm", nil)
			var ids []string
			for _, name := range []string{"ann", "bob"} {
				ticket, err := door.BeginLogin(ctx)
				r.must(err)
				code, _, _ := strings.Cut(ticket.ID, ".")
				s, err := r.LogIn(ctx, "192.0.2.7", name, "canary-password-"+name)
				r.must(err)
				r.must(r.ApproveTicket(ctx, s.Caller, code))
				ids = append(ids, ticket.ID)
			}
			tt.end(r)
			_, err = door.PollLogin(ctx, ids[0])
			r.kind("the login that was approved before", err, millpond.NotFound)
			_, err = door.PollLogin(ctx, ids[1])
			r.must(err) // another's goes on
		})
	}
}

// TestServicesOfWhoIsGone: who is made again under an old name has not made the old one's services, and sees and ends nothing of
// them.
func TestServicesOfWhoIsGone(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	const rights = "owner team acme-*"
	r.user("ann", rights)
	r.user("bob", rights)
	for _, name := range []string{"ann", "bob"} {
		r.must(r.AddUser(ctx, r.as(name), User{Name: "builds-of-" + name, Service: true}, ""))
		_, err := r.NewTokenFor(ctx, r.as(name), "builds-of-"+name, format.Token{Name: "ci"})
		r.must(err)
	}
	r.must(r.RemoveUser(ctx, r.root, "ann"))
	ann := r.user("ann", rights)
	_, err := r.TokensFor(ctx, ann, "builds-of-ann")
	r.kind("the tokens of the old one's service", err, millpond.Denied)
	_, err = r.NewTokenFor(ctx, ann, "builds-of-ann", format.Token{Name: "mine"})
	r.kind("a new token of it", err, millpond.Denied)
	r.kind("to disable it", r.Disable(ctx, ann, "builds-of-ann"), millpond.Denied)
	r.kind("to remove it", r.RemoveUser(ctx, ann, "builds-of-ann"), millpond.Denied)
	if all, err := r.TokensFor(ctx, r.root, "builds-of-ann"); err != nil || len(all) != 1 {
		t.Errorf("the service itself: tokens %v, %v; want the one it had", all, err)
	}
	_, err = r.NewTokenFor(ctx, r.as("bob"), "builds-of-bob", format.Token{Name: "another"})
	r.must(err)
}
