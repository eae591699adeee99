package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"

	"millpond"
	"millpond/repo"
)

// Identify says who sent a request and what they may do. Its Rights are the same value for the same credential until
// something about rights changes, so that they can be a key. Accounts are those of no repository: see AccountsFor.
//
// Unauthenticated for a credential that is not good, Invalid for two, Throttled after too many bad ones.
func (a *Auth) Identify(ctx context.Context, r *http.Request) (repo.Caller, error) {
	p, err := Credential(r)
	if err != nil {
		return repo.Caller{}, err
	}
	s := a.state.Load()
	if p.Kind == Identity {
		// npm sends a job's identity token where another client sends what it proves itself with.
		if r.Method != http.MethodPost || !strings.Contains(r.URL.Path, "/oidc/") {
			return repo.Caller{}, wrong(millpond.Unauthenticated, "an identity token is no credential", "exchange it for a token first")
		}
		p = Proof{}
	}
	var i *identity
	client := a.client(r)
	switch p.Kind {
	case Nothing:
		i = s.anonymous
	case Token:
		i, err = a.byToken(s, p.Secret, client)
	case Signature:
		i, err = a.bySignature(ctx, s, r, client)
	case Linked:
		i, err = a.byLink(ctx, s, r, client)
	case Cookie:
		i, err = a.byCookie(s, p.Secret)
	case Password:
		i, err = a.byPassword(ctx, s, p.User, p.Secret, client)
	}
	if err != nil {
		a.counts.add("refused", "", "")
		return repo.Caller{}, err
	}
	if i != s.anonymous && a.stale() {
		// What cannot be confirmed any more is honoured no further than for everybody.
		return a.caller(s.anonymous, client), nil
	}
	return a.caller(i, client), nil
}

// stale reports whether the records are older than they may be trusted.
func (a *Auth) stale() bool {
	grace := a.state.Load().settings.Grace
	if grace == 0 {
		grace = 24 * time.Hour
	}
	return a.now().Sub(time.Unix(0, a.confirmed.Load())) > grace
}

// caller is an identity as the house sees it.
func (a *Auth) caller(i *identity, client string) repo.Caller {
	c := repo.Caller{Actor: millpond.Actor{Name: i.name, Client: client}, Rights: i}
	if i.token != nil {
		c.Actor.Token, c.Actor.Claims = i.token.ID, i.token.Claims
	}
	c.Accounts = &accounts{auth: a, who: i, actor: c.Actor}
	return c
}

// byToken checks a token. A good one is never throttled; of bad ones an address may send a few.
func (a *Auth) byToken(s *snapshot, secret, client string) (*identity, error) {
	now := a.now()
	id := tokenID(secret)
	t := s.tokens[id]
	var hash [32]byte
	if t != nil {
		hash = t.hash
	}
	if good := fits(secret, hash); good && t != nil {
		i, why := s.byToken(id, now)
		if i != nil {
			raise(a.lastUse(id), now.Unix())
			return i, nil
		}
		return nil, wrong(millpond.Unauthenticated, why, "log in again, or make a new token")
	}
	if err := a.addresses.try(client); err != nil {
		return nil, err
	}
	why := "the token is not known here, or was revoked"
	if id == "" {
		why = "that is no token: mistyped, or cut short"
	}
	return nil, wrong(millpond.Unauthenticated, why, "log in again, or make a new token")
}

func (a *Auth) byCookie(s *snapshot, value string) (*identity, error) {
	hash := sha256.Sum256([]byte(value))
	now := a.now()
	id := digest(hash)
	i := s.bySession(id, now)
	if i == nil {
		return nil, wrong(millpond.Unauthenticated, "the login has ended", "log in again")
	}
	raise(a.lastUse(id), now.Unix())
	return i, nil
}

// counts sums up what is no change but shall be known: logins and refusals. They become one event a minute.
type counts struct {
	mu  sync.Mutex // guards the map
	all map[counted]int
}

type counted struct{ What, Actor, Repository string }

// Refused counts a refusal, for the log: who, what they wanted to do, and where.
func (a *Auth) Refused(by millpond.Actor, v millpond.Verb, repository string) {
	a.counts.add("denied "+string(v), by.Name, repository)
}

func (c *counts) add(what, actor, repository string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[counted]int{}
	}
	key := counted{what, actor, repository}
	if len(c.all) >= 500 { // nobody fills the log
		key = counted{What: what}
	}
	c.all[key]++
}

// A Tally is a line of the event that counts logins and refusals.
type Tally struct {
	What       string `json:"what"` // "login", "refused", "denied publish"
	Actor      string `json:"actor,omitempty"`
	Repository string `json:"repository,omitempty"`
	Times      int    `json:"times"`
}

// take returns the sums as an event's detail, nil if there are none, and begins anew.
func (c *counts) take() json.RawMessage {
	c.mu.Lock()
	all := c.all
	c.all = nil
	c.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	var list []Tally
	for k, n := range all {
		list = append(list, Tally{k.What, k.Actor, k.Repository, n})
	}
	sort.Slice(list, func(i, k int) bool {
		a, b := list[i], list[k]
		return a.What+"\x00"+a.Actor+"\x00"+a.Repository < b.What+"\x00"+b.Actor+"\x00"+b.Repository
	})
	raw, err := json.Marshal(map[string]any{"times": list})
	if err != nil {
		return nil
	}
	return raw
}

// giveBack adds up again what could not be kept.
func (c *counts) giveBack(raw json.RawMessage) {
	var said struct {
		Times []Tally `json:"times"`
	}
	if raw == nil || json.Unmarshal(raw, &said) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[counted]int{}
	}
	for _, t := range said.Times {
		c.all[counted{t.What, t.Actor, t.Repository}] += t.Times
	}
}
