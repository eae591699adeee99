package server

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// A root is a place where a repository is the root: a host, by its name, or a listener.
type root struct {
	mount *mount
	// base is the address of a host; nil for a listener, whose clients call it what they like.
	base *url.URL
}

// checkRoots reports what is wrong with the hosts and listeners of repositories.
func checkRoots(public *url.URL, repositories []repo.Config) error {
	hosts, doors := map[string]string{}, map[string]string{}
	stray := ""
	for _, c := range repositories {
		if c.Root {
			if _, ok := c.Format.(format.Strayer); !ok {
				return invalid("repository %s cannot have the root: clients of %s ask nothing of the root of a host", c.Name, c.Format.Info().Title)
			}
			if stray != "" {
				return invalid("the repositories %s and %s cannot both have the root", stray, c.Name)
			}
			stray = c.Name
		}
		for _, host := range c.Hosts {
			switch {
			case public == nil:
				return invalid("repository %s has a host of its own, %s: the pond needs a public_url, so that the two can be told apart", c.Name, host)
			case host == "" || host != hostname(host):
				return invalid("repository %s cannot have the host %q: a name in lower case is needed, without a port", c.Name, host)
			case host == hostname(public.Host):
				return invalid("repository %s cannot have the host %s: that is the pond's own", c.Name, host)
			case hosts[host] != "":
				return invalid("the repositories %s and %s cannot both have the host %s", hosts[host], c.Name, host)
			}
			hosts[host] = c.Name
		}
		if c.Listen == "" {
			continue
		}
		if other := doors[c.Listen]; other != "" {
			return invalid("the repositories %s and %s cannot both listen on %s", other, c.Name, c.Listen)
		}
		doors[c.Listen] = c.Name
	}
	return nil
}

// addRoots notes where a mount is the root.
func (t *table) addRoots(m *mount) {
	for _, host := range m.config.Hosts {
		base := &url.URL{Scheme: t.settings.PublicURL.Scheme, Host: host, Path: "/"} // checkRoots has seen that there is one
		if port := t.settings.PublicURL.Port(); port != "" {
			base.Host = net.JoinHostPort(host, port)
		}
		t.hosts[host] = &root{mount: m, base: base}
	}
	if m.config.Listen != "" {
		t.doors[m.config.Listen] = &root{mount: m}
	}
}

// SplitListen reads the address of a repository's own listener as the configuration has it: "host:port", or
// "http://host:port" for one that speaks plain http though the pond has TLS.
func SplitListen(text string) (address string, plain bool) { return strings.CutPrefix(text, "http://") }

// own is where a mount is the root, as a client that is told of it can reach it; nil if that is nowhere. A listener that is
// less safe than the pond's is for those who ask for it.
func (t *table) own(m *mount, p peer) *url.URL {
	if hosts := m.config.Hosts; len(hosts) > 0 {
		u := *t.hosts[hosts[0]].base
		return &u
	}
	address, plain := SplitListen(m.config.Listen)
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "0" || plain && t.settings.TLS {
		return nil
	}
	u := &url.URL{Scheme: "http", Path: "/"}
	if t.settings.TLS {
		u.Scheme = "https"
	}
	switch addr, err := netip.ParseAddr(host); {
	case host == "" || err == nil && addr.IsUnspecified():
		host = hostname(t.base(p).Host)
	case (err == nil && addr.IsLoopback() || host == "localhost") && !p.local():
		return nil
	}
	u.Host = net.JoinHostPort(host, port)
	return u
}

// at is where a client is best pointed to for a mount: its own place if it has one, else below the pond's.
func (t *table) at(m *mount, p peer) *url.URL {
	if u := t.own(m, p); u != nil {
		return u
	}
	return t.base(p).JoinPath(m.name + "/")
}

// address is what the repository's own place is called, for a client that came there.
func (at *root) address(p peer) *url.URL {
	switch {
	case p.proxied: // the client has named another host; how it calls this one is not known
		u := &url.URL{Scheme: p.scheme, Host: p.here, Path: "/"}
		if hosts := at.mount.config.Hosts; len(hosts) > 0 {
			u.Host = net.JoinHostPort(hosts[0], p.door.port)
		}
		return u
	case at.base != nil:
		return at.base
	}
	return &url.URL{Scheme: p.scheme, Host: p.host, Path: "/"}
}

// place finds out whether a request came to where a repository is the root, and refuses hosts that are not the pond's.
func (t *table) place(x *response, r *http.Request) error {
	p := &x.peer
	if err := t.asked(p, r); err != nil {
		return err
	}
	if p.door == nil {
		if len(t.hosts) > 0 {
			if x.at = t.hosts[hostname(p.host)]; x.at != nil {
				return nil
			}
		}
		return t.settings.checkHost(p.host, t.settings.Loopback)
	}
	if x.at = t.doors[p.door.address]; x.at == nil {
		return &millpond.Error{Kind: millpond.Unready, Why: "no repository listens here any more", Hint: "the pond's configuration has changed"}
	}
	m := x.at.mount
	if m.info.Proxy && r.URL.Host != "" {
		p.here = localAddress(r)
		to := authority(r.URL)
		if !t.isHere(m, p, to) {
			return p.proxy(r, to)
		}
	}
	if slices.Contains(m.config.Hosts, hostname(p.host)) {
		return nil
	}
	return t.settings.checkHost(p.host, p.door.loopback)
}

// asked refuses the host of a request though a front server says that another was asked for: a page that leads a name of its own to
// loopback can say that too.
func (t *table) asked(p *peer, r *http.Request) error {
	switch {
	case r.Host == p.host, t.hosts[hostname(r.Host)] != nil:
		return nil
	case p.door != nil:
		return t.settings.checkHost(r.Host, p.door.loopback)
	}
	return t.settings.checkHost(r.Host, t.settings.Loopback)
}

// proxy notes that a client takes the pond for a proxy. Such a client asks for files, and nothing else.
func (p *peer) proxy(r *http.Request, to string) error {
	p.proxied = true
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &refusal{status: http.StatusMethodNotAllowed, why: "other hosts are asked by GET and HEAD only"}
	}
	if r.URL.Opaque != "" || to == "" {
		return &millpond.Error{Kind: millpond.Invalid, Why: "that is no address of another host"}
	}
	r.URL.Host, r.URL.User, p.host = to, nil, to
	r.URL.Scheme = strings.ToLower(r.URL.Scheme)
	if r.URL.Path == "" {
		r.URL.Path = "/"
	}
	for _, field := range []string{"Proxy-Connection", "Cookie"} {
		r.Header.Del(field)
	}
	return nil
}

// authority is the one spelling of a URL's host and port: lower case, without the port that the scheme has anyway.
func authority(u *url.URL) string {
	name, port := hostname(u.Host), u.Port()
	if port == map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)] {
		port = ""
	}
	if port != "" {
		return net.JoinHostPort(name, port)
	}
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

// isHere reports whether an authority is one of this pond's own.
func (t *table) isHere(m *mount, p *peer, to string) bool {
	u := &url.URL{Scheme: p.scheme, Host: to}
	name, port := u.Hostname(), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[p.scheme]
	}
	if slices.Contains(m.config.Hosts, name) || to == p.here {
		return true
	}
	if public := t.settings.PublicURL; public != nil && authority(public) == to {
		return true
	}
	addr := net.ParseIP(name)
	return (name == "localhost" || addr != nil && addr.IsLoopback()) && (port == p.door.port || port == t.settings.Port)
}

// localAddress is where a request's connection ends here.
func localAddress(r *http.Request) string {
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return at.String()
	}
	return ""
}

// noTunnel refuses CONNECT.
func (t *table) noTunnel(p peer) error {
	e := &millpond.Error{Kind: millpond.Unsupported, Why: "TLS is not tunnelled: nobody could verify what goes through, or keep it"}
	if p.door == nil {
		e.Hint = "name the pond itself where the client wants its repository's address"
	} else {
		e.Hint = "ask for http://, and the pond reads from its upstream over https; or name the pond itself where the client wants its repository's address"
	}
	return e
}

// target finds what a request is for.
func (t *table) target(x *response, r *http.Request) (target, error) {
	if x.at == nil {
		return t.resolve(r.Method, r.URL, &x.caller)
	}
	escaped := r.URL.EscapedPath()
	if !x.peer.proxied && (strings.HasPrefix(escaped, "/-/") || strings.HasPrefix(escaped, "/_/")) {
		for _, routes := range [][]route{t.atRoots, t.exchanges[x.at.mount.info.Name]} {
			if of, args := find(routes, escaped); len(of) > 0 {
				return target{routes: of, args: args}, nil
			}
		}
		if m := t.lobbies[escaped]; m != nil && m.info.Name == x.at.mount.info.Name {
			return target{lobby: m, path: r.URL.Path, rawPath: r.URL.RawPath}, nil
		}
	}
	if escaped == "" || escaped[0] != '/' {
		return target{}, &millpond.Error{Kind: millpond.Invalid, Why: quote(escaped) + " is not a path of this pond"}
	}
	to := target{mount: x.at.mount, path: r.URL.Path, rawPath: r.URL.RawPath}
	if err := t.enter(&to, r.Method, &x.caller); err != nil {
		return target{mount: x.at.mount}, err
	}
	return to, nil
}
