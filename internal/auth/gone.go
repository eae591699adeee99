package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"millpond"
	"millpond/catalog"
)

// knownSetting is where the repositories are kept that there were when the pond was last configured, with their formats.
const knownSetting = "auth-repositories"

// An ending is what ended with a repository: all that named it and no other.
type ending struct {
	Format     string   `json:"format"`
	Grants     []Grant  `json:"grants,omitempty"`
	Publishers []string `json:"publishers,omitempty"` // the names of rules
	Tokens     []string `json:"tokens,omitempty"`     // ids; of those for others too, only this repository was struck out
}

// Reconcile ends what was given for repositories that the configuration no longer has, or has with another format: whoever makes
// a repository under an old name, or renames another to it, must not let in who was let into the old one. Grants, publisher
// rules and scopes of tokens that name it exactly end, with one event for each repository that says which; patterns that
// merely cover its name stay. It is called when a configuration has been taken.
func (a *Auth) Reconcile(ctx context.Context) error {
	now := map[string]string{}
	for _, r := range a.state.Load().settings.Repositories {
		now[r.Name] = r.Format
	}
	var known map[string]string
	read := func(tx catalog.Tx) error {
		known = nil
		raw, err := tx.Setting(knownSetting)
		if err != nil || raw == nil {
			return err
		}
		return json.Unmarshal(raw, &known)
	}
	if err := a.catalog.View(ctx, read); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if now[name] == known[name] {
			continue
		}
		var ended ending
		err := a.change(ctx, millpond.Actor{Name: "pond"}, "repository-gone", name, func() any { return ended }, func(tx catalog.Tx) (err error) {
			ended, err = a.endRepository(tx, name)
			ended.Format = known[name]
			return err
		})
		if err != nil {
			return err
		}
		a.log.WarnContext(ctx, "a repository is no longer there: what was given for it alone has ended, also for one that has its name later",
			"repository", name, "grants", len(ended.Grants), "publishers", len(ended.Publishers), "tokens", len(ended.Tokens))
	}
	if known != nil && maps.Equal(now, known) {
		return nil
	}
	raw, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return a.catalog.Update(ctx, millpond.Actor{Name: "pond"}, func(tx catalog.Tx) error { return tx.SetSetting(knownSetting, raw) })
}

// endRepository drops what names a repository, and no other.
func (a *Auth) endRepository(tx catalog.Tx, name string) (out ending, err error) {
	var drop [][2]string
	for g, err := range every[Grant](tx.Entries(kindGrant, ""), never) {
		if err != nil {
			return out, err
		}
		if g.Repository == name {
			out.Grants = append(out.Grants, *g)
			drop = append(drop, [2]string{kindGrant, g.ID})
		}
	}
	for p, err := range every[PublisherRule](tx.Entries(kindPublisher, ""), never) {
		if err != nil {
			return out, err
		}
		if p.Repository == name {
			out.Publishers = append(out.Publishers, p.Name)
			drop = append(drop, [2]string{kindPublisher, p.ID})
		}
	}
	var narrowed []*catalog.Entry
	for e, err := range tx.Entries(kindToken, "") {
		if err != nil {
			return out, err
		}
		var t token
		if err := json.Unmarshal(e.Value, &t); err != nil {
			return out, fmt.Errorf("read token %s: %w", e.ID, err)
		}
		if !t.strike(name) {
			continue
		}
		out.Tokens = append(out.Tokens, t.ID)
		if t.dead() {
			drop = append(drop, [2]string{kindToken, t.ID})
			continue
		}
		if e.Value, err = json.Marshal(&t); err != nil {
			return out, err
		}
		narrowed = append(narrowed, e)
	}
	for _, e := range narrowed {
		if err := tx.PutEntry(e); err != nil {
			return out, err
		}
	}
	for _, one := range drop {
		if err := tx.DropEntry(one[0], one[1]); err != nil {
			return out, err
		}
	}
	return out, nil
}

// nowhere stands for a repository that was struck out of a scope: nothing has that name, and an empty list would be all.
const nowhere = "-"

// strike takes a repository out of the token's scopes, and reports whether it was in any.
func (t *token) strike(name string) (found bool) {
	lists := []*[]string{&t.Repositories}
	for i := range t.Within {
		lists = append(lists, &t.Within[i].Repositories)
	}
	for _, list := range lists {
		for i, one := range *list {
			if one == name {
				(*list)[i], found = nowhere, true
			}
		}
	}
	return found
}

// dead reports whether one of the token's scopes has nothing left.
func (t *token) dead() bool {
	nothing := func(list []string) bool {
		return len(list) > 0 && !slices.ContainsFunc(list, func(one string) bool { return one != nowhere })
	}
	return nothing(t.Repositories) || slices.ContainsFunc(t.Within, func(s scope) bool { return nothing(s.Repositories) })
}

// orphan leaves the services of a user to nobody: whoever has the name next has not made them.
func orphan(tx catalog.Tx, name string, now time.Time) error {
	var theirs []*User
	for u, err := range every[User](tx.Entries(kindUser, ""), now) {
		if err != nil {
			return err
		}
		if u.Service && u.Owner == name {
			theirs = append(theirs, u)
		}
	}
	for _, u := range theirs {
		u.Owner = ""
		if err := put(tx, kindUser, u.Name, "", never, u); err != nil {
			return err
		}
	}
	return nil
}
