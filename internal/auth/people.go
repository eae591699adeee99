package auth

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"millpond"
	"millpond/catalog"
	"millpond/repo"
)

// who is the identity behind a caller; anonymous for a caller that this Auth did not make.
func (a *Auth) who(c repo.Caller) *identity {
	if i, ok := c.Rights.(*identity); ok && i.of.auth == a {
		return i
	}
	return a.state.Load().anonymous
}

// act is a change that a caller makes, judged by their rights as they are in the transaction.
func (a *Auth) act(ctx context.Context, c repo.Caller, verb, about string, detail func() any, f func(tx catalog.Tx, w *identity) error) error {
	if a.who(c).user == nil {
		return a.refused(c.Actor)
	}
	return a.change(ctx, c.Actor, verb, about, detail, func(tx catalog.Tx) error {
		now, err := a.who(c).Now(tx)
		if err != nil {
			return err
		}
		return f(tx, now.(*identity))
	})
}

func (a *Auth) refused(by millpond.Actor) error {
	if by.Name == "" {
		return wrong(millpond.Unauthenticated, "anonymous may not do that", "log in")
	}
	return wrong(millpond.Denied, by.Name+" may not do that", "")
}

func denied(w *identity, what string) error {
	return wrong(millpond.Denied, w.name+" may not "+what, "ask an owner")
}

// everywhere reports whether the identity may grant in all repositories: who may see and change people.
func (i *identity) everywhere() bool { return i.holds(millpond.VerbGrant, "*", "*") }

// anywhere reports whether it may grant something.
func (i *identity) anywhere() bool {
	return slices.ContainsFunc(i.rights, func(g right) bool { return i.holds(millpond.VerbGrant, g.repository, g.names) })
}

// outranks reports whether the identity holds all that certain subjects are granted, so that becoming them, or making
// somebody one of them, gives nothing new.
func (i *identity) outranks(isSubject func(string) bool) bool {
	s := i.of
	for _, g := range s.grants {
		if isSubject(g.Subject) && !i.holdsAll(g.Role.Verbs(), g.Repository, g.Names) {
			return false
		}
	}
	for _, r := range s.settings.Repositories {
		for role, subjects := range map[Role][]string{Reader: r.Read, Publishing: r.Publish, Maintainer: r.Maintain, Owner: r.Own} {
			if slices.ContainsFunc(subjects, isSubject) && !i.holdsAll(role.Verbs(), r.Name, "*") {
				return false
			}
		}
	}
	return true
}

func (i *identity) holdsAll(verbs []millpond.Verb, repository, names string) bool {
	return !slices.ContainsFunc(verbs, func(v millpond.Verb) bool { return !i.holds(v, repository, names) })
}

// over reports whether the identity may act on a user as that user: reset a password, make a service's token.
func (i *identity) over(u *User) bool {
	as := &identity{user: u}
	return i.outranks(func(subject string) bool {
		return subject != "anonymous" && subject != "authenticated" && as.subject(subject)
	})
}

// checkName is Invalid for what nobody and no group can be called.
func checkName(name string) error {
	ok := name != "" && len(name) <= 64
	for i := range len(name) {
		c := name[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || i > 0 && strings.IndexByte("._-@+", c) >= 0)
	}
	switch name {
	case "anonymous", "authenticated", "pond", "setup", "publisher":
		ok = false
	}
	if !ok {
		return wrong(millpond.Invalid, fmt.Sprintf("nobody can be called %q", name), "lower-case letters and digits, then also . _ - @ +; some words are taken")
	}
	return nil
}

// seen is a user as others may see it.
func seen(u *User) User {
	out := *u
	out.Hash, out.Born = "", ""
	out.Groups = slices.DeleteFunc(append(slices.Clone(u.Groups), u.Told...), func(g string) bool { return !u.in(g) })
	slices.Sort(out.Groups)
	out.Groups = slices.Compact(out.Groups)
	return out
}

// Users are people and services, sorted by name: all for who may grant everywhere, services too for who may grant
// somewhere, and oneself for everybody else.
func (a *Auth) Users(ctx context.Context, c repo.Caller) ([]User, error) {
	w := a.who(c)
	if w.user == nil {
		return nil, a.refused(c.Actor)
	}
	all, some := w.everywhere(), w.anywhere()
	var out []User
	for _, u := range a.state.Load().users {
		if all || some && u.Service || u.Name == w.name {
			out = append(out, seen(u))
		}
	}
	slices.SortFunc(out, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// AddUser makes a person, or a service if u says so: its Name, Display and Email count. A person with a password can log in
// with it; one without can through a provider that says their Issuer and Subject, or by nothing.
func (a *Auth) AddUser(ctx context.Context, c repo.Caller, u User, password string) error {
	hash := ""
	if password != "" {
		if err := checkNewPassword(u.Name, password); err != nil {
			return err
		}
		if u.Service {
			return wrong(millpond.Invalid, "a service has tokens and no password", "")
		}
		hash = hashPassword(password)
	}
	kept := User{Name: u.Name, Display: u.Display, Email: u.Email, Service: u.Service, Issuer: u.Issuer, Subject: u.Subject, Created: a.now().UTC(), Born: random(16, lower), Hash: hash}
	return a.act(ctx, c, "user-add", u.Name, func() any { return seen(&kept) }, func(tx catalog.Tx, w *identity) error {
		if err := checkName(u.Name); err != nil {
			return err
		}
		if !w.everywhere() && !(u.Service && w.anywhere()) {
			return denied(w, "make users")
		}
		if u.Service {
			kept.Owner = w.name
		}
		return taken(add(tx, kindUser, kept.Name, "", never, &kept), kept.Name)
	})
}

// taken says a Conflict in words.
func taken(err error, name string) error {
	if millpond.Is(err, millpond.Conflict) {
		return wrong(millpond.Conflict, "there is already one called "+name, "people, services and groups have names of their own: choose another")
	}
	return err
}

// editUser changes one user in a transaction.
func (a *Auth) editUser(ctx context.Context, c repo.Caller, verb, name string, detail func() any, f func(tx catalog.Tx, w *identity, u *User) error) error {
	return a.act(ctx, c, verb, name, detail, func(tx catalog.Tx, w *identity) error {
		// Who may not know the users learns nothing from the answer.
		if !w.everywhere() && w.name != name && !w.anywhere() {
			return denied(w, "change other users")
		}
		u, err := get[User](tx, kindUser, name)
		if err != nil {
			if millpond.Is(err, millpond.NotFound) {
				return wrong(millpond.NotFound, "there is nobody called "+name, "'millpond user list' shows who there is")
			}
			return err
		}
		if err := f(tx, w, u); err != nil {
			return err
		}
		return put(tx, kindUser, name, "", never, u)
	})
}

// SetPassword gives a person a new password and ends their login sessions and the logins that wait for a token: one's own with the
// current one, or somebody else's for who may grant everywhere and holds all that person does.
func (a *Auth) SetPassword(ctx context.Context, c repo.Caller, name, current, password string) error {
	if err := checkNewPassword(name, password); err != nil {
		return err
	}
	own := a.who(c).name == name
	if own {
		if u := a.who(c).user; u == nil || u.Hash != "" || !a.who(c).everywhere() {
			if i, err := a.byPassword(ctx, a.state.Load(), name, current, c.Client); err != nil || i == nil {
				return err
			}
		}
	}
	hash := hashPassword(password)
	return a.editUser(ctx, c, "user-password", name, nil, func(tx catalog.Tx, w *identity, u *User) error {
		switch {
		case u.Service:
			return wrong(millpond.Invalid, "a service has tokens and no password", "")
		case len(w.within) > 0:
			return wrong(millpond.Denied, "a narrowed token changes no password", "log in")
		case !own && (!w.everywhere() || !w.over(u)):
			return denied(w, "set the password of "+name)
		}
		u.Hash = hash
		return endLogins(tx, name)
	})
}

// Disable ends all that a person or service can do: tokens and login sessions are gone, and stay so after Enable.
func (a *Auth) Disable(ctx context.Context, c repo.Caller, name string) error {
	return a.editUser(ctx, c, "user-disable", name, nil, func(tx catalog.Tx, w *identity, u *User) error {
		if err := w.mayEnd(u); err != nil {
			return err
		}
		u.Disabled = true
		return a.end(tx, name)
	})
}

// Enable lets a person or service log in again.
func (a *Auth) Enable(ctx context.Context, c repo.Caller, name string) error {
	return a.editUser(ctx, c, "user-enable", name, nil, func(tx catalog.Tx, w *identity, u *User) error {
		if err := w.mayEnd(u); err != nil {
			return err
		}
		u.Disabled = false
		return nil
	})
}

// RemoveUser forgets a person or service, and what was granted to it: who has the name next gets nothing of it. The services that a
// person has made stay, and are nobody's.
func (a *Auth) RemoveUser(ctx context.Context, c repo.Caller, name string) error {
	return a.act(ctx, c, "user-remove", name, nil, func(tx catalog.Tx, w *identity) error {
		if !w.everywhere() && !w.anywhere() {
			return denied(w, "remove users")
		}
		u, err := get[User](tx, kindUser, name)
		if err != nil {
			return err
		}
		if err := w.mayEnd(u); err != nil {
			return err
		}
		if err := cmp.Or(a.end(tx, name), orphan(tx, name, a.now())); err != nil {
			return err
		}
		if err := dropOwned(tx, kindGrant, "user:"+name); err != nil {
			return err
		}
		return tx.DropEntry(kindUser, name)
	})
}

func (i *identity) mayEnd(u *User) error {
	switch {
	case u.Name == i.name:
		return wrong(millpond.Denied, "nobody disables or removes themselves", "ask another owner")
	case u.Service && u.Owner == i.name && i.anywhere():
	case !i.everywhere():
		return denied(i, "change other users")
	}
	if !i.over(u) {
		return denied(i, "change "+u.Name+", who may do more")
	}
	return nil
}

// end drops what a user proves itself with.
func (a *Auth) end(tx catalog.Tx, name string) error {
	return cmp.Or(dropOwned(tx, kindToken, name), endLogins(tx, name))
}

// endLogins drops a user's login sessions, and the logins that wait for their token.
func endLogins(tx catalog.Tx, name string) error {
	return cmp.Or(dropOwned(tx, kindSession, name), dropOwned(tx, kindTicket, name))
}

// Groups are the groups with their members, sorted by name.
func (a *Auth) Groups(ctx context.Context, c repo.Caller) ([]Group, error) {
	w := a.who(c)
	if w.user == nil {
		return nil, a.refused(c.Actor)
	}
	s, all := a.state.Load(), w.anywhere()
	var out []Group
	for _, name := range slices.Sorted(maps.Keys(s.groups)) {
		g := *s.groups[name]
		for _, u := range s.users {
			if u.in(name) {
				g.Members = append(g.Members, u.Name)
			}
		}
		slices.Sort(g.Members)
		if all || slices.Contains(g.Members, w.name) {
			out = append(out, g)
		}
	}
	return out, nil
}

// AddGroup makes a group.
func (a *Auth) AddGroup(ctx context.Context, c repo.Caller, name, title string) error {
	g := &Group{Name: name, Title: title, Created: a.now().UTC()}
	return a.act(ctx, c, "group-add", name, nil, func(tx catalog.Tx, w *identity) error {
		if err := checkName(name); err != nil {
			return err
		}
		if !w.everywhere() {
			return denied(w, "make groups")
		}
		return taken(add(tx, kindGroup, name, "", never, g), name)
	})
}

// RemoveGroup forgets a group, who was in it, and what was granted to it.
func (a *Auth) RemoveGroup(ctx context.Context, c repo.Caller, name string) error {
	return a.act(ctx, c, "group-remove", name, nil, func(tx catalog.Tx, w *identity) error {
		if !w.everywhere() {
			return denied(w, "remove groups")
		}
		var users []*User
		for u, err := range every[User](tx.Entries(kindUser, ""), a.now()) {
			if err != nil {
				return err
			}
			users = append(users, u)
		}
		for _, u := range users {
			if !u.in(name) {
				continue
			}
			u.leave(name)
			if err := put(tx, kindUser, u.Name, "", never, u); err != nil {
				return err
			}
		}
		if err := dropOwned(tx, kindGrant, "group:"+name); err != nil {
			return err
		}
		return lacking(tx.DropEntry(kindGroup, name), kindGroup, name)
	})
}

// leave takes a user out of a group, also out of one that the identity provider goes on to name.
func (u *User) leave(group string) {
	u.Groups = slices.DeleteFunc(u.Groups, func(g string) bool { return g == group })
	if slices.Contains(u.Told, group) && !slices.Contains(u.Barred, group) {
		u.Barred = append(u.Barred, group)
	}
}

// AddMember puts a user into a group: for who may grant everywhere and holds all that the group does.
func (a *Auth) AddMember(ctx context.Context, c repo.Caller, group, name string) error {
	return a.editUser(ctx, c, "group-join", name, func() any { return group }, func(tx catalog.Tx, w *identity, u *User) error {
		if _, err := tx.Entry(kindGroup, group); err != nil {
			return lacking(err, kindGroup, group)
		}
		if !w.everywhere() || !w.outranks(func(subject string) bool { return subject == "group:"+group }) {
			return denied(w, "add to "+group)
		}
		u.Barred = slices.DeleteFunc(u.Barred, func(g string) bool { return g == group })
		if !u.in(group) {
			u.Groups = append(u.Groups, group)
		}
		return nil
	})
}

// RemoveMember takes a user out of a group at once, whatever an identity provider says of it.
func (a *Auth) RemoveMember(ctx context.Context, c repo.Caller, group, name string) error {
	return a.editUser(ctx, c, "group-leave", name, func() any { return group }, func(tx catalog.Tx, w *identity, u *User) error {
		if !w.everywhere() {
			return denied(w, "take members out of "+group)
		}
		if _, err := tx.Entry(kindGroup, group); err != nil && !u.in(group) { // a provider may name groups that are not made here
			return lacking(err, kindGroup, group)
		}
		u.leave(group)
		return nil
	})
}
