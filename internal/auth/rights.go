package auth

import (
	"slices"
	"sort"
	"strings"

	"millpond"
	"millpond/catalog"
	"millpond/repo"
)

// A Role is a set of verbs that is granted as one.
type Role string

// The roles.
const (
	Reader     Role = "reader"
	Publishing Role = "publisher"
	Maintainer Role = "maintainer"
	Owner      Role = "owner"
	Operator   Role = "operator"
	Auditor    Role = "auditor"
	Edge       Role = "edge"
	Admin      Role = "admin" // owner, operator and auditor
)

// Roles are all roles.
func Roles() []Role {
	return []Role{Reader, Publishing, Maintainer, Owner, Operator, Auditor, Edge, Admin}
}

// Verbs are what a role allows; none for a word that is no role.
func (r Role) Verbs() []millpond.Verb {
	reader := []millpond.Verb{millpond.VerbRead}
	publisher := append(reader, millpond.VerbPublish)
	maintainer := append(publisher, millpond.VerbOverwrite, millpond.VerbMove, millpond.VerbYank, millpond.VerbDelete, millpond.VerbPromote)
	owner := append(maintainer, millpond.VerbGrant, millpond.VerbRule)
	switch r {
	case Reader:
		return reader
	case Publishing:
		return publisher
	case Maintainer:
		return maintainer
	case Owner:
		return owner
	case Operator:
		return []millpond.Verb{millpond.VerbOperate}
	case Auditor:
		return []millpond.Verb{millpond.VerbAudit}
	case Edge:
		return []millpond.Verb{millpond.VerbFollow}
	case Admin:
		return append(owner, millpond.VerbOperate, millpond.VerbAudit)
	}
	return nil
}

// verbSet is a set of verbs as bits.
type verbSet uint32

func setOf(verbs []millpond.Verb) (s verbSet) {
	for _, v := range verbs {
		s |= bit(v)
	}
	return s
}

// bit is that of a verb; 0 for a word that is no verb, so that nobody may do it.
func bit(v millpond.Verb) verbSet {
	for i, known := range verbs {
		if v == known {
			return 1 << i
		}
	}
	return 0
}

var verbs = millpond.Verbs()

// A scope narrows rights: what is empty does not narrow.
type scope struct {
	Verbs        []millpond.Verb `json:"verbs,omitempty"`
	Repositories []string        `json:"repositories,omitempty"`
	Names        []string        `json:"names,omitempty"`
}

// right is one grant as it is asked: a set of names of a repository is what one of repositories and names and all of the
// narrowing scopes cover.
type right struct {
	verbs      verbSet
	repository string
	names      string
	open       bool // granted to anonymous: no scope narrows it
}

// identity is who somebody is, in one snapshot. It is repo.Rights.
type identity struct {
	of     *snapshot
	name   string // of the Actor
	person bool   // a user's own, not a service's nor a job's
	user   *User  // nil of anonymous, setup and jobs
	token  *token // nil without one
	login  *session
	link   *scope  // of the link that the request came by; nil without one
	within []scope // all of them narrow
	rights []right
}

var _ repo.Rights = (*identity)(nil)

// May implements repo.Rights. What is asked of the pond as a whole is asked of all names.
func (i *identity) May(v millpond.Verb, repository, pkg string) bool {
	if repository == "" && pkg == "" {
		pkg = "*"
	}
	b := bit(v)
	for k := range i.rights {
		g := &i.rights[k]
		if g.verbs&b == 0 || !covers(g.repository, repository) || pkg != "" && !covers(g.names, pkg) {
			continue
		}
		if g.open || i.narrowed(v, repository, pkg, g.names) {
			return true
		}
	}
	return false
}

// narrowed reports whether the scopes leave verb for a name; with pkg "" for any name that names covers.
func (i *identity) narrowed(v millpond.Verb, repository, pkg, names string) bool {
	var patterns [][]string
	for k := range i.within {
		s := &i.within[k]
		switch {
		case len(s.Verbs) > 0 && !slices.Contains(s.Verbs, v), len(s.Repositories) > 0 && !covered(s.Repositories, repository):
			return false
		case len(s.Names) == 0:
		case pkg != "" && !covered(s.Names, pkg):
			return false
		case pkg == "":
			patterns = append(patterns, s.Names)
		}
	}
	return pkg != "" || meet(names, patterns)
}

// meet reports whether each of the lists has a pattern that overlaps names. Of several lists it may say so though no one
// name is in all: then the whole is let in, and each name is judged by itself.
func meet(names string, lists [][]string) bool {
	for _, list := range lists {
		if !slices.ContainsFunc(list, func(p string) bool { return overlap(p, names) }) {
			return false
		}
	}
	return true
}

func covered(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, name) })
}

// Scope implements repo.Rights. It is the list of patterns that were granted, and for each scope that narrows them its own
// list: from equal texts the same set is read.
func (i *identity) Scope(v millpond.Verb, repository string) string {
	b := bit(v)
	var granted, open []string
	for k := range i.rights {
		switch g := &i.rights[k]; {
		case g.verbs&b == 0 || !covers(g.repository, repository):
		case g.open:
			open = append(open, g.names)
		case i.narrowed(v, repository, "", g.names):
			granted = append(granted, g.names)
		}
	}
	everybody := listed(open)
	if granted == nil || everybody == "*" {
		return everybody
	}
	out := listed(granted)
	for k := range i.within {
		if len(i.within[k].Names) == 0 {
			continue
		}
		switch more := listed(i.within[k].Names); {
		case more == "*" || more == out:
		case out == "*":
			out = more
		default:
			out += "\n" + more
		}
	}
	if open != nil {
		out += "\t" + everybody
	}
	return out
}

// listed is a set of patterns in one spelling; no pattern has a space in it.
func listed(patterns []string) string {
	if slices.Contains(patterns, "*") {
		return "*"
	}
	patterns = slices.Clone(patterns)
	sort.Strings(patterns)
	return strings.Join(slices.Compact(patterns), " ")
}

// Now implements repo.Rights.
func (i *identity) Now(tx catalog.Tx) (repo.Rights, error) {
	a := i.of.auth
	epoch, err := epochOf(tx)
	if err != nil {
		return nil, err
	}
	now := a.state.Load()
	if now.epoch != epoch {
		if now, err = load(a, tx, now.settings); err != nil {
			return nil, err
		}
	}
	return now.again(i)
}

// holds reports whether all of what patterns cover may be done: for giving it on.
func (i *identity) holds(v millpond.Verb, repository, names string) bool {
	b := bit(v)
	narrowed := false
	for _, s := range i.within {
		narrowed = narrowed || len(s.Verbs) > 0 && !slices.Contains(s.Verbs, v) ||
			len(s.Repositories) > 0 && !covered(s.Repositories, repository) || len(s.Names) > 0 && !covered(s.Names, names)
	}
	return slices.ContainsFunc(i.rights, func(g right) bool {
		return g.verbs&b != 0 && covers(g.repository, repository) && covers(g.names, names) && (g.open || !narrowed)
	})
}

// subject is whether a grant to it is a grant to the identity.
func (i *identity) subject(s string) bool {
	switch {
	case s == "anonymous":
		return true
	case s == "authenticated":
		return i.user != nil
	case i.user == nil:
		return false
	}
	if name, ok := strings.CutPrefix(s, "user:"); ok {
		return name == i.user.Name
	}
	name, ok := strings.CutPrefix(s, "group:")
	return ok && i.user.in(name)
}

// in reports whether a user belongs to a group.
func (u *User) in(group string) bool {
	return slices.Contains(u.Groups, group) || slices.Contains(u.Told, group) && !slices.Contains(u.Barred, group)
}
