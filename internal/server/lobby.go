package server

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/fetch"
	"millpond/format"
	"millpond/repo"
)

// Passes make short tokens that are kept nowhere, for formats whose clients want them.
type Passes interface {
	// Pass makes a token of the caller's that is good for these scopes and nothing more. granted are those of them that the
	// caller has some right to.
	Pass(ctx context.Context, c repo.Caller, scopes []format.Scope) (t *format.Token, granted []format.Scope, err error)
}

// A lobby is format.Lobby for the caller of one request.
type lobby struct {
	s      *Server
	x      *response
	t      *table
	r      *http.Request
	format string
	caller repo.Caller
}

// Repos implements format.Lobby.
func (l *lobby) Repos() []format.Repo {
	var all []format.Repo
	for _, m := range l.t.order {
		if m.info.Name == l.format && (l.x.at == nil || l.x.at.mount.name == m.name) && mayEnter(&l.caller, &m.config) {
			all = append(all, l.s.as(&l.caller, l.x.peer, l.t, m))
		}
	}
	return all
}

// Taken implements format.Lobby.
func (l *lobby) Taken(name string) bool {
	m := l.t.mounts[name]
	if l.x.at != nil { // where one repository is the root, no other has a place
		return false
	}
	return m != nil && m.info.Name == l.format
}

// Private implements format.Lobby.
func (l *lobby) Private() bool {
	return slices.ContainsFunc(l.t.order, func(m *mount) bool { return m.info.Name == l.format && !m.config.Public })
}

// Root implements format.Lobby.
func (l *lobby) Root(*http.Request) *url.URL { return l.x.rootAddress(l.t) }

// rootAddress is the root of where a request came: the pond's, or that of a repository which has a place of its own.
func (x *response) rootAddress(t *table) *url.URL {
	if x.at != nil {
		return x.at.address(x.peer)
	}
	return t.base(x.peer)
}

// Who implements format.Lobby.
func (l *lobby) Who() millpond.Actor { return l.caller.Actor }

// Now implements format.Lobby.
func (l *lobby) Now() time.Time { return time.Now() }

// As implements format.Lobby.
func (l *lobby) As(ctx context.Context, name, secret string) (format.Lobby, error) {
	if l.s.parts.Callers == nil {
		return nil, &millpond.Error{Kind: millpond.Unauthenticated, Why: "this pond keeps no people"}
	}
	asking := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: http.Header{}, RemoteAddr: l.r.RemoteAddr}
	asking.SetBasicAuth(name, secret)
	c, err := l.s.parts.Callers.Identify(ctx, asking)
	if err != nil {
		return nil, err
	}
	c.Client, c.Request = l.caller.Client, l.caller.Request
	other := *l
	other.caller = c
	return &other, nil
}

// Pass implements format.Lobby.
func (l *lobby) Pass(ctx context.Context, scopes []format.Scope) (*format.Token, []format.Scope, error) {
	if p, ok := l.s.parts.Callers.(Passes); ok {
		return p.Pass(ctx, l.caller, scopes)
	}
	if l.s.parts.Callers == nil { // nobody is known, and no credential is read
		return &format.Token{Secret: "anonymous", Created: time.Now(), Expires: time.Now().Add(5 * time.Minute)}, scopes, nil
	}
	return nil, nil, &millpond.Error{Kind: millpond.Unsupported, Why: "this pond gives no short tokens"}
}

// rootedAt is the format, and a repository's mount of it, that wants a path at the server's root for itself; nil if none does.
// Its own repositories' places below its Roots are such paths too.
func (t *table) rootedAt(u *url.URL) *mount {
	if len(t.lobbies) == 0 {
		return nil
	}
	path := t.inner(u)
	if m := t.lobbies[path]; m != nil {
		return m
	}
	for _, root := range t.roots {
		if strings.HasPrefix(path, root) {
			return t.lobbies[root]
		}
	}
	return nil
}

// addLobby notes the places at the root that a format wants.
func (t *table) addLobby(m *mount) {
	if _, ok := m.config.Format.(format.Rooted); !ok {
		return
	}
	for _, path := range slices.Concat(m.info.RootPaths, m.info.Roots) {
		if t.lobbies[path] == nil {
			t.lobbies[path] = m
		}
	}
}

// serveLobby answers what belongs to no one repository of a format.
func (s *Server) serveLobby(x *response, r *http.Request, t *table, to target) error {
	m, ex := to.lobby, x.ex
	x.route = m.info.RootPaths[0]
	x.Header()["Content-Security-Policy"] = cspBytes
	ctx := repo.WithTrace(r.Context(), &ex.trace)
	if passed := r.Header["Cdn-Loop"]; len(passed) > 0 {
		ctx = fetch.WithVia(ctx, passed)
	}
	inner := r.WithContext(ctx)
	ex.url = *r.URL
	ex.url.Path, ex.url.RawPath = to.path, to.rawPath
	ex.url.Scheme, ex.url.Host = x.peer.scheme, x.peer.host
	inner.Host, inner.URL = x.peer.host, &ex.url
	most := t.settings.MaxBody
	for _, one := range t.order {
		if one.info.Name == m.info.Name {
			most = max(most, t.mostOf(&x.caller, one))
		}
	}
	s.limitBody(x, inner, most)
	l := &lobby{s: s, x: x, t: t, r: r, format: m.info.Name, caller: x.caller}
	m.config.Format.(format.Rooted).AtRoot(l).ServeHTTP(x, inner)
	return nil
}

// refuseRooted answers an error as the format does whose place was asked for; false if it is none's.
func (s *Server) refuseRooted(x *response, r *http.Request, err error) bool {
	t := s.table.Load()
	m := t.rootedAt(r.URL)
	if m == nil || x.at != nil && x.at.mount.info.Name != m.info.Name {
		return false
	}
	m.config.Format.(format.Rooted).Refused(x, r, x.rootAddress(t), time.Now(), plain(err))
	return true
}
