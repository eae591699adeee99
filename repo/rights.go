package repo

import (
	"fmt"

	"millpond"
	"millpond/catalog"
)

// all are the rights of the pond itself, and of a repository that reads another one: whoever may read the first is given
// what it shows.
type all struct{}

// May implements Rights.
func (all) May(millpond.Verb, string, string) bool { return true }

// Scope implements Rights.
func (all) Scope(millpond.Verb, string) string { return "*" }

// Now implements Rights.
func (all) Now(catalog.Tx) (Rights, error) { return all{}, nil }

// everybody are the rights of those whose caller has none of its own: the repository's configuration has them.
type everybody struct{ public bool }

// May implements Rights.
func (e everybody) May(v millpond.Verb, _, _ string) bool { return e.public && v == millpond.VerbRead }

// Scope implements Rights.
func (e everybody) Scope(v millpond.Verb, _ string) string {
	if e.May(v, "", "") {
		return "*"
	}
	return ""
}

// Now implements Rights.
func (e everybody) Now(catalog.Tx) (Rights, error) { return e, nil }

func (b *bound) rights() Rights {
	if b.caller.Rights == nil {
		return everybody{b.config.Public}
	}
	return b.caller.Rights
}

// A Refusal is the cause of an error that says that the caller may not.
type Refusal struct{ Verb millpond.Verb }

// Error names the right that is missing.
func (r *Refusal) Error() string { return "without the right to " + string(r.Verb) }

// allowed is nil if the caller may, by rights, and says else what is missing. It looks nothing up: neither the answer nor
// the time that it takes depends on what exists.
func (b *bound) allowed(rights Rights, v millpond.Verb, pkg string) error {
	if rights.May(v, b.config.Name, pkg) {
		return nil
	}
	k := millpond.Key{Package: pkg}
	if n, ok := rights.(Narrowed); ok && n.Whole().May(v, b.config.Name, pkg) {
		return &millpond.Error{Kind: millpond.Unauthenticated, Key: k, Why: "the token is not for this: to " + string(v) + " here wants another one",
			Hint: "clients ask for it by themselves"}
	}
	if b.caller.Name == "" {
		return &millpond.Error{Kind: millpond.Unauthenticated, Key: k, Err: &Refusal{v}, Why: "this wants a credential: anonymous callers may not " + string(v) + " here",
			Hint: "send a token, as the password of any user name or as a bearer token; millpond login makes one"}
	}
	if !rights.May(millpond.VerbRead, b.config.Name, pkg) {
		return &millpond.Error{Kind: millpond.Denied, Key: k, Err: &Refusal{v}, Why: fmt.Sprintf("no repository %s, or %s may not read it", b.config.Name, b.caller.Name)}
	}
	what := b.config.Name
	if pkg != "" {
		what = pkg + " in " + b.config.Name
	}
	return &millpond.Error{Kind: millpond.Denied, Key: k, Err: &Refusal{v}, Why: fmt.Sprintf("%s may not %s %s", b.caller.Name, v, what),
		Hint: "ask an owner of " + b.config.Name + " for a grant, or use a token that has this right"}
}

// readable is allowed for reading.
func (b *bound) readable(pkg string) error {
	err := b.allowed(b.rights(), millpond.VerbRead, pkg)
	if err != nil && pkg != "" && b.apart(pkg) {
		return b.allowed(b.rights(), millpond.VerbRead, "")
	}
	return err
}
