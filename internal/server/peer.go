package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"millpond"
)

// A peer is who is at the other end of a request, as far as it can be believed.
type peer struct {
	addr    netip.Addr // of the client; invalid if not known
	host    string     // that the client asked for, with its port
	scheme  string     // that the client used
	forward bool       // somebody passed the request on
	door    *door      // that the request came to; nil is the listener that all repositories share
	proxied bool       // the client takes the pond for a proxy, and asks it for a URL of another host
	here    string     // where its connection ends, if the client takes the pond for a proxy
}

// local reports whether the client is a program on this machine, and no front server stands between.
func (p peer) local() bool { return !p.forward && p.addr.IsLoopback() }

// here127 reports whether the client is a program on this machine that asks for a loopback name.
func (p peer) here127() bool { return p.local() && isLoopback(hostname(p.host)) }

// bare reports whether the client speaks plain http to a name that is loopback, which nobody on the way can read.
func (p peer) bare() bool { return p.scheme == "http" && isLoopback(hostname(p.host)) }

// isLoopback reports whether a host, by its name in lower case, is the machine that asks.
func isLoopback(name string) bool {
	addr, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// peer reads who asks into p, whose door is known. X-Forwarded-* counts only from a trusted front server, and of X-Forwarded-For only what the nearest
// hops wrote: everything to the left of the first address that is not trusted could have been sent by anyone.
func (s *Settings) peer(p *peer, r *http.Request) error {
	p.host, p.scheme = r.Host, "http"
	if r.TLS != nil {
		p.scheme = "https"
	}
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		p.addr = ap.Addr().Unmap()
	}
	// A request that came through another program did not come from this machine's own user, trusted or not.
	for _, field := range passedOn {
		p.forward = p.forward || len(r.Header[field]) > 0
	}
	if len(s.Trusted) == 0 || !s.trusts(p.addr) {
		return nil
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusts(p.addr); i-- {
		addr, ok := hop(strings.TrimSpace(hops[i]))
		if !ok {
			break
		}
		p.addr = addr
	}
	if host := nearest(r.Header["X-Forwarded-Host"]); host != "" {
		if strings.ContainsAny(host, "/\\@?# \t") {
			return &millpond.Error{Kind: millpond.Invalid, Why: "X-Forwarded-Host is not a host"}
		}
		p.host = host
	}
	switch scheme := nearest(r.Header["X-Forwarded-Proto"]); scheme {
	case "http", "https":
		p.scheme = scheme
	}
	return nil
}

// passedOn are what front servers add to requests; few add all.
var passedOn = [...]string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-Ip", "X-Forwarded-Host", "X-Forwarded-Proto"} // never changed

// hop reads an address of X-Forwarded-For: some front servers write its port too, and brackets.
func hop(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		with, portErr := netip.ParseAddrPort(text)
		addr, err = with.Addr(), portErr
	}
	return addr.Unmap(), err == nil
}

// nearest is the word of the nearest hop: the last of a list.
func nearest(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	last := fields[len(fields)-1]
	return strings.ToLower(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:]))
}

func (s *Settings) trusts(addr netip.Addr) bool {
	for _, p := range s.Trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// checkHost refuses names that do not belong to a pond that listens on loopback only (DNS rebinding).
func (s *Settings) checkHost(host string, loopback bool) error {
	if !loopback {
		return nil
	}
	name := hostname(host)
	if isLoopback(name) {
		return nil
	}
	if s.PublicURL != nil && name != "" && name == hostname(s.PublicURL.Host) {
		return nil
	}
	return &millpond.Error{Kind: millpond.Invalid, Why: "this pond listens on loopback only, and does not answer to the name " + quote(name),
		Hint: "use 127.0.0.1 or localhost, or set public_url to the name that clients use"}
}

// hostname is the name of a Host, in lower case, without port, brackets and final dot.
func hostname(host string) string {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// isHere reports whether a request comes from a program of this machine that means to ask this machine: a page in a browser here can
// have a name of its own lead to loopback, but it asks by that name. By the name of PublicURL a front server on this machine asks for
// anybody at all, and not every one says that it does; where the canary has come by way of one that asks by a loopback name, nobody is.
func (s *Server) isHere(p peer) bool { return p.here127() && !s.masked.Load() }

// checkLoop refuses a request that this pond itself sent: one of its upstreams is, perhaps by way of others, this pond.
func (s *Server) checkLoop(r *http.Request) error {
	seen := r.Header["Cdn-Loop"]
	if len(seen) == 0 || s.instance[0] == "" {
		return nil
	}
	for _, field := range seen {
		if strings.Contains(field, s.instance[0]) {
			return &millpond.Error{Kind: millpond.BadUpstream, Why: "this request has been through this pond before: one of its upstreams leads back to it",
				Hint: "look at the upstreams on the pond's landing page; one of them is the pond's own address"}
		}
	}
	return nil
}
