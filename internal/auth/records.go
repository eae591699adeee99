package auth

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"millpond"
	"millpond/catalog"
)

// The kinds of Entries that are auth's.
const (
	kindUser      = "user"
	kindGroup     = "group"
	kindToken     = "token"
	kindGrant     = "grant"
	kindPublisher = "publisher"
	kindSession   = "session"
	kindTicket    = "ticket"
	kindOnce      = "once"  // identity tokens that were used
	kindLogin     = "login" // logins at a provider that are under way
	kindSetup     = "setup"
	kindUsed      = "used" // when a token was last used
)

// A User is a person, or a service that no person is.
type User struct {
	Name     string    `json:"name"`
	Display  string    `json:"display,omitempty"`
	Email    string    `json:"email,omitempty"`
	Service  bool      `json:"service,omitempty"`
	Owner    string    `json:"owner,omitempty"` // who made the service
	Groups   []string  `json:"groups,omitempty"`
	Disabled bool      `json:"disabled,omitempty"`
	Created  time.Time `json:"created"`

	// The identity provider's own words: who it is there, and the groups said at the last login, without those that were
	// taken away here.
	Issuer  string   `json:"issuer,omitempty"`
	Subject string   `json:"subject,omitempty"`
	Told    []string `json:"told,omitempty"`
	Barred  []string `json:"barred,omitempty"`

	Hash string `json:"hash,omitempty"` // of the password; "" if there is none. It leaves the package empty
	Born string `json:"born,omitempty"` // random: whoever is made again under an old name is somebody else
}

// A Group is a set of people and services that grants can be made to.
type Group struct {
	Name    string    `json:"name"`
	Title   string    `json:"title,omitempty"`
	Members []string  `json:"members,omitempty"` // filled in for readers; kept with the users
	Created time.Time `json:"created"`
}

// A Grant gives a role to a subject, for the names of repositories that patterns cover. Grants only ever add.
type Grant struct {
	ID         string    `json:"id"`
	Subject    string    `json:"subject"` // "user:name", "group:name", "anonymous" or "authenticated"
	Role       Role      `json:"role"`
	Repository string    `json:"repository"` // a pattern
	Names      string    `json:"names"`      // a pattern
	Created    time.Time `json:"created"`
	By         string    `json:"by,omitempty"`
}

// A token is what is kept of one.
type token struct {
	ID           string          `json:"id"`
	Name         string          `json:"name,omitempty"`
	Owner        string          `json:"owner"` // a user's name; of a minted one "publisher:" and the rule's
	Born         string          `json:"born,omitempty"`
	Hash         string          `json:"hash"`
	Created      time.Time       `json:"created"`
	Expires      time.Time       `json:"expires"`
	Verbs        []millpond.Verb `json:"verbs,omitempty"`
	Repositories []string        `json:"repositories,omitempty"`
	Names        []string        `json:"names,omitempty"`
	Maker        string          `json:"maker,omitempty"`      // the token it was made with
	Within       []scope         `json:"within,omitempty"`     // the scopes of that, and of its maker's
	Publishers   []string        `json:"publishers,omitempty"` // of a minted one: the rules that matched
	Claims       json.RawMessage `json:"claims,omitempty"`     // of a minted one: who the job is

	hash [32]byte
}

// A session is a login in a browser.
type session struct {
	ID      string    `json:"id"` // SHA-256 of the cookie's value
	User    string    `json:"user"`
	Born    string    `json:"born"`
	Created time.Time `json:"created"`
	Proved  time.Time `json:"proved,omitzero"` // when the person last proved who they are; zero if that is not known
}

// put keeps a value as an Entry.
func put(tx catalog.Tx, kind, id, owner string, expires time.Time, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return tx.PutEntry(&catalog.Entry{Kind: kind, ID: id, Owner: owner, Value: raw, Expires: expires})
}

// add is put for what must be new.
func add(tx catalog.Tx, kind, id, owner string, expires time.Time, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return tx.AddEntry(&catalog.Entry{Kind: kind, ID: id, Owner: owner, Value: raw, Expires: expires})
}

// lacking says of a record that is not there what there is instead.
func lacking(err error, kind, id string) error {
	if !millpond.Is(err, millpond.NotFound) {
		return err
	}
	listed := map[string]string{kindUser: "millpond user list", kindGroup: "millpond group list", kindGrant: "millpond grant list", kindPublisher: "millpond publisher list"}
	if listed[kind] == "" {
		return err
	}
	return wrong(millpond.NotFound, "there is no "+kind+" "+id, "'"+listed[kind]+"' shows those that there are")
}

// get reads what put kept.
func get[T any](tx catalog.Tx, kind, id string) (*T, error) {
	e, err := tx.Entry(kind, id)
	if err != nil {
		return nil, lacking(err, kind, id)
	}
	v := new(T)
	if err := json.Unmarshal(e.Value, v); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind, id, err)
	}
	return v, nil
}

// every yields all values of a kind, with their ids.
func every[T any](entries iter.Seq2[*catalog.Entry, error], now time.Time) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for e, err := range entries {
			if err == nil && !e.Expires.IsZero() && !e.Expires.After(now) {
				continue
			}
			v := new(T)
			if err == nil {
				if err = json.Unmarshal(e.Value, v); err != nil {
					err = fmt.Errorf("read %s %s: %w", e.Kind, e.ID, err)
				}
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// dropOwned removes the records of a kind that belong to somebody.
func dropOwned(tx catalog.Tx, kind, owner string) error {
	var ids []string
	for e, err := range tx.EntriesOf(kind, owner) {
		if err != nil {
			return err
		}
		ids = append(ids, e.ID)
	}
	for _, id := range ids {
		if err := absent(tx.DropEntry(kind, id)); err != nil {
			return err
		}
	}
	return nil
}

// digest is a hash as it is kept.
func digest(hash [32]byte) string { return hex.EncodeToString(hash[:]) }

// undigest reads it; nothing fits what cannot be read.
func undigest(text string) (hash [32]byte, ok bool) {
	n, err := hex.Decode(hash[:], []byte(text[:min(len(text), 64)]))
	return hash, err == nil && n == 32 && len(text) == 64
}
