package format

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"millpond"
)

// A Rooted is a Format whose protocol has addresses at the root of a server that belong to no one repository: Info.RootPaths.
type Rooted interface {
	// AtRoot answers what comes to them, and what comes to a place below one of Info.Roots that names no repository which the
	// caller may know of. URL.EscapedPath is as the client sent it, from the server's root on.
	AtRoot(Lobby) http.Handler
	// Refused answers a request for one of these places, or for a repository below one of Info.Roots, that was refused before
	// it came to a handler: one with a bad credential above all. root is the server's root as the client knows it.
	Refused(w http.ResponseWriter, r *http.Request, root *url.URL, now time.Time, err error)
}

// A Lobby is all repositories of one format as one caller may use them.
type Lobby interface {
	// Repos are those that the caller may know of, in the order of the configuration.
	Repos() []Repo
	// Taken reports whether a repository of the format is called that, also one that the caller may not know of: a name that
	// begins with it means nothing else.
	Taken(name string) bool
	// Private reports whether there is one that anonymous callers may not read.
	Private() bool
	// Root is the server's root as this client knows it: absolute, its path ends in "/".
	Root(r *http.Request) *url.URL
	// Who is the caller; a Name of "" is anonymous.
	Who() millpond.Actor
	// As is the lobby of whoever a name and a secret prove, which a client sent in a body: Unauthenticated if they prove
	// nobody.
	As(ctx context.Context, name, secret string) (Lobby, error)
	// Pass makes a short token of the caller's that is good for these scopes and nothing more, of what the caller may do now;
	// what the caller may not do is left out. It is kept nowhere: it ends with the caller's own credential, and after a few
	// minutes. granted are the scopes without what was left out, in their order.
	Pass(ctx context.Context, scopes []Scope) (t *Token, granted []Scope, err error)
	// Now is the time.
	Now() time.Time
}

// A Scope is verbs for the packages of one name in one repository.
type Scope struct {
	Repository string // "" is all of the format
	Name       string // canonical; "" is all
	Verbs      []millpond.Verb
}
