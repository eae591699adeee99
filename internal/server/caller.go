package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
	"millpond/internal/auth"
	"millpond/repo"
)

// Callers say who asks. internal/auth's are the pond's.
type Callers interface {
	// Identify reads the credential of a request, if it has one. The address in r.RemoteAddr is the client's. A credential
	// that is not good is Unauthenticated, also where nobody needs one; two, or one in the query, are Invalid.
	Identify(ctx context.Context, r *http.Request) (repo.Caller, error)
	// Refused counts that somebody was refused for want of a right, for the log.
	Refused(by millpond.Actor, v millpond.Verb, repository string)
	// AccountsFor are the caller's accounts inside the protocol of one repository. base is where the client reaches the pond.
	AccountsFor(c repo.Caller, repository, format string, base *url.URL) format.Accounts
}

// enter are the verbs of which a caller needs one to be let into a repository; what it then does the repository judges.
var enter = [...]millpond.Verb{millpond.VerbRead, millpond.VerbPublish, millpond.VerbMove, millpond.VerbYank, millpond.VerbDelete, millpond.VerbPromote}

// mayEnter reports whether a caller may know of a repository.
func mayEnter(c *repo.Caller, config *repo.Config) bool {
	if config.Public {
		return true
	}
	for _, v := range enter {
		if c.Rights != nil && c.Rights.May(v, config.Name, "") {
			return true
		}
	}
	return false
}

// mayRead reports whether a caller may read something of a repository.
func mayRead(c *repo.Caller, config *repo.Config) bool {
	return config.Public || c.Rights != nil && c.Rights.May(millpond.VerbRead, config.Name, "")
}

// identify finds out who asks. A cookie counts for the pond's own pages and calls only.
func (s *Server) identify(x *response, r *http.Request, t *table, own bool) error {
	x.caller = repo.Caller{Actor: millpond.Actor{Client: clientText(x.peer.addr), Request: x.ex.id[0]}}
	if s.parts.Callers == nil {
		return nil
	}
	if len(r.Header["Cookie"]) > 0 {
		if !own {
			r.Header.Del("Cookie")
		} else if !x.peer.bare() {
			dropCookie(r.Header, auth.PlainCookieName)
		}
	}
	if x.peer.proxied {
		// What the client proves itself to the pond with; the other field is meant for the host that it asks for.
		r.Header.Del("Authorization")
		if c := r.Header["Proxy-Authorization"]; len(c) > 0 {
			r.Header["Authorization"] = c
		}
	}
	r.Header.Del("Proxy-Authorization")
	if x.peer.forward && x.peer.addr.IsValid() {
		r.RemoteAddr = netip.AddrPortFrom(x.peer.addr, 0).String()
	}
	asked := r
	switch {
	case own:
		r = t.withoutPrefix(r)
	case x.at != nil && !x.peer.proxied:
		r = x.at.named(r)
	}
	c, err := s.parts.Callers.Identify(r.Context(), r)
	asked.Body = r.Body // which fails at its end if it is not what was signed
	if err != nil && own && !x.json && millpond.Is(err, millpond.Unauthenticated) && len(r.Header["Authorization"]) == 0 && len(r.Header["Cookie"]) > 0 {
		// A browser whose login has ended must still be shown the page where to log in.
		r.Header.Del("Cookie")
		c, err = s.parts.Callers.Identify(r.Context(), r)
	}
	if err != nil {
		return err
	}
	c.Client, c.Request = x.caller.Client, x.caller.Request
	x.caller, x.identified = c, true
	return nil
}

// dropCookie takes a cookie out of a request. That of a login at http://localhost counts there alone: a page of any neighbouring name
// could set one that a browser then sends to the pond's https address too, and have its reader act in a login of its own.
func dropCookie(h http.Header, name string) {
	var kept []string
	for _, line := range h["Cookie"] {
		for one := range strings.SplitSeq(line, ";") {
			if key, _, _ := strings.Cut(one, "="); strings.TrimSpace(key) != name {
				kept = append(kept, strings.TrimSpace(one))
			}
		}
	}
	h.Del("Cookie")
	if len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

// withoutPrefix is the request without the path of public_url, if a front server has left it there: who reads credentials
// tells the pond's own places by their paths.
func (t *table) withoutPrefix(r *http.Request) *http.Request {
	escaped := r.URL.EscapedPath()
	inner := t.inner(r.URL)
	if len(inner) == len(escaped) {
		return r
	}
	out, u := *r, *r.URL
	u.Path = u.Path[len(t.under):] // which needs no escaping
	if u.RawPath != "" {
		u.RawPath = inner
	}
	out.URL = &u
	return &out
}

// named is the request as it would be at the pond's own address: what is signed there names the repository, and is good where
// the repository is the root.
func (at *root) named(r *http.Request) *http.Request {
	out, u := *r, *r.URL
	u.Path = "/" + at.mount.name + u.Path
	if u.RawPath != "" {
		u.RawPath = "/" + at.mount.name + u.RawPath
	}
	out.URL = &u
	return &out
}

// refused counts a request that was refused for want of a right, and one whose credential was not good.
func (s *Server) refused(x *response) {
	if x.err == nil {
		return
	}
	if kind := millpond.KindOf(x.err); kind != millpond.Denied && kind != millpond.Unauthenticated {
		return
	}
	if !x.identified {
		s.metrics.denied.WithLabelValues("credential").Inc() // Identify has counted it for the log
		return
	}
	verb := x.missing
	if one, ok := errors.AsType[*repo.Refusal](x.err); ok {
		verb = one.Verb
	}
	switch verb {
	case "", verbOpen, verbSelf:
		return // a password that is wrong, and the like: who reads them counts them
	case verbStats, verbHere:
		verb = millpond.VerbOperate
	}
	s.metrics.denied.WithLabelValues(string(verb)).Inc()
	if s.parts.Callers != nil {
		s.parts.Callers.Refused(x.caller.Actor, verb, x.repository)
	}
}

func clientText(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

// known reports whether the caller is somebody.
func known(c *repo.Caller) bool { return c.Name != "" }

// refuse is the answer to a caller who may not: anonymous is asked who it is, others are told.
func refuse(c *repo.Caller, what, hint string) error {
	if !known(c) {
		return &refusal{status: http.StatusUnauthorized, kind: millpond.Unauthenticated, challenge: challenge, why: what + " wants a credential"}
	}
	return &millpond.Error{Kind: millpond.Denied, Why: c.Name + " may not: " + what, Hint: hint}
}

// provedLately refuses a login session whose person has not proved for a while who they are, as RFC 9470 says it.
func (s *Server) provedLately(c *call) error {
	if s.parts.People == nil || s.parts.People.Proved(c.caller) {
		return nil
	}
	again := c.t.base(c.peer).JoinPath("-/login").String() + "?again=1"
	return &refusal{status: http.StatusUnauthorized, kind: millpond.Unauthenticated,
		challenge: fmt.Sprintf(`Bearer error="insufficient_user_authentication", max_age=%d`, int(auth.ProofLife/time.Second)),
		why:       fmt.Sprintf("prove again that you are %s, at %s: for this the last proof may be %d minutes old", c.caller.Name, again, int(auth.ProofLife/time.Minute))}
}

// may judges a route's verb before anything is looked up.
func (t *table) may(c *call) error {
	x, verb := c.response, c.route.verb
	rights := func(v millpond.Verb, repository, pkg string) bool {
		return x.caller.Rights != nil && x.caller.Rights.May(v, repository, pkg)
	}
	wants := string(verb) + " at " + c.route.path
	switch verb {
	case verbOpen:
		return nil
	case verbSelf:
		if !known(&x.caller) {
			return refuse(&x.caller, c.route.path, "")
		}
		return nil
	case verbStats:
		if x.server.isHere(x.peer) || rights(millpond.VerbOperate, pondWide, "") || t.readsAll(&x.caller) {
			return nil
		}
		return &millpond.Error{Kind: millpond.Denied, Why: c.route.path + " answers to operators, and to clients on the pond's own machine only", Hint: "run millpond there"}
	case verbHere:
		if x.server.isHere(x.peer) || rights(millpond.VerbOperate, pondWide, "") {
			return nil
		}
		return &millpond.Error{Kind: millpond.Denied, Why: c.route.path + " answers to operators, and to clients on the pond's own machine only", Hint: "run millpond there"}
	}
	switch c.route.scope {
	case inPath:
		m := t.mounts[c.arg("repository")]
		if m == nil || !mayEnter(&x.caller, &m.config) && !rights(verb, m.name, "") {
			return t.unknown(c.arg("repository"), &x.caller)
		}
		pkg := c.arg("package")
		if pkg != "" {
			name, err := m.config.Format.Canon(pkg)
			if err != nil {
				return err
			}
			pkg = name
		}
		if rights(verb, m.name, pkg) || verb == millpond.VerbRead && m.config.Public {
			return nil
		}
		return refuse(&x.caller, string(verb)+" in "+m.name, "an owner of "+m.name+" can grant it")
	case inQuery:
		q := c.r.URL.Query()
		pkg := "*" // all names, unless it is asked for one
		if one := q.Get("package"); one != "" && slices.Contains(c.route.query, "package") {
			pkg = one
		}
		if name := q.Get("repository"); name != "" && rights(verb, name, pkg) {
			return nil
		}
	case inBody:
		if verb == millpond.VerbRead {
			return nil // what the caller may not read is left out of the answer
		}
		for _, m := range t.order {
			if rights(verb, m.name, "") {
				return nil
			}
		}
	}
	if rights(verb, pondWide, "") {
		return nil
	}
	return refuse(&x.caller, wants, "")
}

// readsAll reports whether the caller may read every repository.
func (t *table) readsAll(c *repo.Caller) bool {
	for _, m := range t.order {
		if !mayRead(c, &m.config) {
			return false
		}
	}
	return true
}

// as is the mount's repository as a caller uses it.
func (s *Server) as(as *repo.Caller, p peer, t *table, m *mount) format.Repo {
	c := *as
	if s.parts.Callers != nil {
		c.Accounts = s.parts.Callers.AccountsFor(c, m.name, m.info.Name, t.base(p))
	}
	return m.repository.For(c)
}

// handlerFor answers a request to a mount. Who reads without a credential shares one handler: nothing that it does is written
// down with a name. Who is about to log in has one of their own.
func (s *Server) handlerFor(x *response, r *http.Request, t *table, m *mount, welcome bool) http.Handler {
	if !welcome && !known(&x.caller) && m.config.Public && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		return m.handler
	}
	return m.config.Format.Handler(s.as(&x.caller, x.peer, t, m))
}
