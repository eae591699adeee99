package auth

import (
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/catalog"
)

// A snapshot is all records of one epoch, decoded, with the configuration that stands. It does not change.
type snapshot struct {
	auth       *Auth
	settings   *Settings
	epoch      int64
	users      map[string]*User
	groups     map[string]*Group
	grants     []*Grant
	tokens     map[string]*token
	publishers map[string]*PublisherRule
	sessions   map[string]*session
	nobody     bool // there is no user: the setup secret may make one

	known     *sync.Map // of what a caller came with to its *identity
	anonymous *identity
}

// load reads a snapshot in a transaction.
func load(a *Auth, tx catalog.Tx, s *Settings) (*snapshot, error) {
	out := &snapshot{
		auth: a, settings: s, users: map[string]*User{}, groups: map[string]*Group{}, tokens: map[string]*token{},
		publishers: map[string]*PublisherRule{}, sessions: map[string]*session{},
	}
	var err error
	if out.epoch, err = epochOf(tx); err != nil {
		return nil, err
	}
	now := a.now()
	for u, err := range every[User](tx.Entries(kindUser, ""), now) {
		if err != nil {
			return nil, err
		}
		out.users[u.Name] = u
	}
	for g, err := range every[Group](tx.Entries(kindGroup, ""), now) {
		if err != nil {
			return nil, err
		}
		out.groups[g.Name] = g
	}
	for g, err := range every[Grant](tx.Entries(kindGrant, ""), now) {
		if err != nil {
			return nil, err
		}
		out.grants = append(out.grants, g)
	}
	for p, err := range every[PublisherRule](tx.Entries(kindPublisher, ""), now) {
		if err != nil {
			return nil, err
		}
		out.publishers[p.ID] = p
	}
	for s, err := range every[session](tx.Entries(kindSession, ""), now) {
		if err != nil {
			return nil, err
		}
		out.sessions[s.ID] = s
	}
	for t, err := range every[token](tx.Entries(kindToken, ""), now) {
		if err != nil {
			return nil, err
		}
		var ok bool
		if t.hash, ok = undigest(t.Hash); ok {
			out.tokens[t.ID] = t
		}
	}
	for used, err := range tx.Entries(kindUsed, "") {
		if err != nil {
			return nil, err
		}
		var at int64
		if json.Unmarshal(used.Value, &at) == nil && (out.tokens[used.ID] != nil || out.sessions[used.ID] != nil) {
			raise(a.lastUse(used.ID), at)
		}
	}
	out.nobody = len(out.users) == 0
	return out.fresh(), nil
}

// raise sets a clock hand that goes forward only.
func raise(hand *atomic.Int64, at int64) {
	for old := hand.Load(); old < at && !hand.CompareAndSwap(old, at); old = hand.Load() {
	}
}

// fresh is the snapshot without what was worked out of other settings.
func (s *snapshot) fresh() *snapshot {
	s.known = new(sync.Map)
	s.anonymous = s.identify(&identity{})
	return s
}

// identify completes an identity with its rights.
func (s *snapshot) identify(i *identity) *identity {
	i.of = s
	for _, r := range s.settings.Repositories {
		for _, list := range []struct {
			role     Role
			subjects []string
		}{{Reader, r.Read}, {Publishing, r.Publish}, {Maintainer, r.Maintain}, {Owner, r.Own}} {
			for _, subject := range list.subjects {
				if i.subject(subject) {
					i.rights = append(i.rights, right{setOf(list.role.Verbs()), r.Name, "*", subject == "anonymous"})
				}
			}
		}
	}
	for _, g := range s.grants {
		if i.subject(g.Subject) {
			i.rights = append(i.rights, right{setOf(g.Role.Verbs()), g.Repository, g.Names, g.Subject == "anonymous"})
		}
	}
	if i.token != nil {
		for _, id := range i.token.Publishers {
			if p := s.publishers[id]; p != nil {
				for _, names := range p.Names {
					i.rights = append(i.rights, right{setOf([]millpond.Verb{millpond.VerbPublish}), p.Repository, names, false})
				}
			}
		}
		i.within = append(i.within, scope{i.token.Verbs, i.token.Repositories, i.token.Names})
		i.within = append(i.within, i.token.Within...)
	}
	i.within = slices.DeleteFunc(i.within, func(s scope) bool { return len(s.Verbs)+len(s.Repositories)+len(s.Names) == 0 })
	return i
}

// byUser is the identity of a user without token or session.
func (s *snapshot) byUser(name string) *identity {
	u := s.users[name]
	if u == nil || u.Disabled {
		return nil
	}
	return s.remember("u"+name, &identity{name: name, person: !u.Service, user: u})
}

func (s *snapshot) remember(key string, i *identity) *identity {
	if known, ok := s.known.Load(key); ok {
		return known.(*identity)
	}
	known, _ := s.known.LoadOrStore(key, s.identify(i))
	return known.(*identity)
}

// byToken is the identity that a token stands for; nil if it is not good at that time, and why.
func (s *snapshot) byToken(id string, now time.Time) (i *identity, why string) {
	t := s.tokens[id]
	if t == nil {
		return nil, "the token is not known here, or was revoked"
	}
	if !t.Expires.After(now) || s.auth.dead(id) {
		s.auth.bury(kindToken, id, t.Owner)
		return nil, "the token expired on " + t.Expires.UTC().Format(time.DateTime)
	}
	if known, ok := s.known.Load("t" + id); ok {
		return known.(*identity), ""
	}
	if t.Publishers != nil {
		if !slices.ContainsFunc(t.Publishers, func(id string) bool { return s.publishers[id] != nil }) {
			return nil, "the publisher rules that the token was made by are gone"
		}
		return s.remember("t"+id, &identity{name: t.Owner, token: t}), ""
	}
	u := s.users[t.Owner]
	switch {
	case u == nil || u.Born != t.Born:
		return nil, "the token's owner is gone"
	case u.Disabled:
		return nil, t.Owner + " is disabled"
	}
	return s.remember("t"+id, &identity{name: u.Name, person: !u.Service, user: u, token: t}), ""
}

// The life of a login session.
const (
	sessionIdle = 2 * time.Hour
	sessionLife = 12 * time.Hour
)

// ended reports whether a login session is too old, or was not used for too long.
func (l *session) ended(a *Auth, now time.Time) bool {
	used := time.Unix(a.lastUse(l.ID).Load(), 0)
	if used.Before(l.Created) {
		used = l.Created
	}
	return !now.Before(l.Created.Add(sessionLife)) || !now.Before(used.Add(sessionIdle))
}

// bySession is the identity of a login session; nil if it is not good at that time.
func (s *snapshot) bySession(id string, now time.Time) *identity {
	l := s.sessions[id]
	if l == nil {
		return nil
	}
	if l.ended(s.auth, now) || s.auth.dead(id) {
		s.auth.bury(kindSession, id, l.User)
		return nil
	}
	u := s.users[l.User]
	if u == nil || u.Disabled || u.Born != l.Born {
		return nil
	}
	return s.remember("s"+id, &identity{name: u.Name, person: !u.Service, user: u, login: l})
}

// again is an identity of an older snapshot as it is in this one. Unauthenticated if it is no longer good.
func (s *snapshot) again(i *identity) (*identity, error) {
	now := s.auth.now()
	var found *identity
	why := i.name + " is disabled or gone"
	switch {
	case i.token != nil:
		found, why = s.byToken(i.token.ID, now)
	case i.login != nil:
		if found = s.bySession(i.login.ID, now); found == nil {
			why = "the login has ended"
		}
	case i.user != nil:
		if found = s.byUser(i.user.Name); found != nil && found.user.Born != i.user.Born {
			found = nil
		}
	default:
		return s.anonymous, nil
	}
	if found == nil {
		return nil, wrong(millpond.Unauthenticated, why, "log in again")
	}
	if i.link != nil {
		return found.linked(i.link), nil
	}
	return found, nil
}
