package format

import (
	"context"
	"net/http"
	"time"
)

// An Exchanger is a Format whose clients exchange a CI job's identity token for one to publish with at addresses of their own at
// the root of the server, since their protocol names no repository there. Repo's Accounts do it where one is named.
type Exchanger interface {
	// Exchanges are those addresses. They are there as soon as the server has a repository of the format.
	Exchanges() []Exchange
}

// An Exchange is one of an Exchanger's addresses.
type Exchange struct {
	Methods string // "GET HEAD"
	Path    string // segments from the root on, of which "{name}" is any one
	About   string // what it does, in one line
	// Serve answers a request, errors too. args stand for the {names} of the path, unescaped, in their order.
	Serve func(w http.ResponseWriter, r *http.Request, d Desk, args []string)
}

// A Desk exchanges tokens for all repositories of one format. Whoever asks is nobody: what they hold is in the request.
type Desk interface {
	// Audience is what identity tokens must be made for; "" if the server does not know its own name, and takes none. It is
	// never made of what a request calls the server: a token for another one could be replayed here.
	Audience() string
	// Exchange is as Accounts.Exchange says. pkg is a name as a client spells it; "" is all that the job's rules name.
	Exchange(ctx context.Context, identity, pkg string) (*Token, error)
	// Burn ends the token with that secret; NotFound if there is none.
	Burn(ctx context.Context, secret string) error
	// Now is the time.
	Now() time.Time
}
