package fetch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// A guard dials for one upstream. It judges the address that a name resolved to at the moment of the connection, so that a
// name that changes its mind between question and connection gains nothing.
//
// It must not lead to its Upstream: connections outlive the handle that made them.
type guard struct {
	own     string                           // host:port of the configured origin, which may be private
	named   map[string]bool                  // host:port of further origins that the operator named
	allow   []netip.Prefix                   // that other hosts may resolve to though they are not public
	proxy   func(*url.URL) (*url.URL, error) // which proxy a URL goes through; nil result is none
	proxies map[string]bool                  // host:port of the proxies, dialled as configured
	dialer  net.Dialer
}

func newGuard(s Settings, connect time.Duration) (*guard, error) {
	g := &guard{own: hostPort(s.URL), named: map[string]bool{}, proxies: map[string]bool{}}
	g.dialer = net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}
	for _, text := range s.AllowAddresses {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not an address prefix", text)
		}
		g.allow = append(g.allow, p.Masked())
	}
	for _, text := range s.Realms {
		if at, err := url.Parse(text); err == nil {
			g.named[hostPort(at)] = true
		}
	}
	if s.Proxy != nil {
		if s.Proxy.Host == "" {
			return nil, fmt.Errorf("the proxy %q has no host", s.Proxy.Redacted())
		}
		proxy := *s.Proxy
		g.proxy = func(*url.URL) (*url.URL, error) { return &proxy, nil }
		g.proxies[hostPort(&proxy)] = true
		return g, nil
	}
	env := httpproxy.FromEnvironment()
	g.proxy = env.ProxyFunc()
	for _, text := range []string{env.HTTPProxy, env.HTTPSProxy} {
		if text != "" && !strings.Contains(text, "://") {
			text = "http://" + text
		}
		if u, err := url.Parse(text); err == nil && u.Host != "" {
			g.proxies[hostPort(u)] = true
		}
	}
	return g, nil
}

// proxyOf is http.Transport's Proxy.
func (g *guard) proxyOf(r *http.Request) (*url.URL, error) { return g.proxy(r.URL) }

// DialContext connects to an address that its name may have.
func (g *guard) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d := g.dialer
	if !g.proxies[addr] {
		own := addr == g.own || g.named[addr]
		d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return &forbidden{addr: resolved, why: "which is no address"}
			}
			return g.judge(ap.Addr(), own)
		}
	}
	return d.DialContext(ctx, network, addr)
}

// check judges what can be judged of a URL that will not be dialled by us but by a proxy, and refuses the spellings of
// addresses that only some resolvers read as such.
func (g *guard) check(u *url.URL) error {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	own := hostPort(u) == g.own || g.named[hostPort(u)]
	if a, err := netip.ParseAddr(host); err == nil {
		return g.judge(a, own)
	}
	if own {
		return nil
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		if g.permits(netip.AddrFrom4([4]byte{127, 0, 0, 1})) {
			return nil
		}
		return &forbidden{addr: host, why: "which is this machine"}
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last != "" && strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return &forbidden{addr: host, why: "which is an odd spelling of an address"}
	}
	return nil
}

// A forbidden is an address that an upstream may not lead to.
type forbidden struct{ addr, why string }

func (f *forbidden) Error() string { return f.addr + ", " + f.why }

// judge reports whether an address may be connected to; own says that the operator named its host.
func (g *guard) judge(a netip.Addr, own bool) error {
	a = a.WithZone("").Unmap()
	if why := never(a); why != "" {
		return &forbidden{a.String(), why}
	}
	if own || g.permits(a) || public(a) {
		return nil
	}
	return &forbidden{a.String(), "which is not a public address"}
}

func (g *guard) permits(a netip.Addr) bool {
	for _, p := range g.allow {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// never says why nobody may name this address, or "".
func never(a netip.Addr) string {
	for _, m := range metadata {
		if a == m {
			return "where a cloud keeps its secrets"
		}
	}
	switch {
	case a.IsLinkLocalUnicast():
		return "which is a link-local address"
	case a.IsMulticast():
		return "which is a multicast address"
	case a.IsUnspecified() || a.Is4() && a.As4()[0] == 0:
		return "which is no host's address"
	case a.Is4() && a.As4()[0] >= 240:
		return "which is a reserved address"
	}
	if in, ok := embedded(a); ok {
		return never(in)
	}
	return ""
}

// public reports whether an address is one of the open internet's.
func public(a netip.Addr) bool {
	special := special4
	if a.Is6() {
		if !global6.Contains(a) {
			return false
		}
		special = special6
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return !isatap(a)
}

// embedded is the IPv4 address that an IPv6 address leads to.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return netip.Addr{}, false
	}
	b := a.As16()
	at := func(i int) (netip.Addr, bool) { return netip.AddrFrom4([4]byte(b[i : i+4])), true }
	switch {
	case nat64.Contains(a), nat64Local.Contains(a), isatap(a):
		return at(12)
	case compat.Contains(a) && !a.IsLoopback():
		return at(12)
	case sixToFour.Contains(a):
		return at(2)
	case teredo.Contains(a): // the client's address is written inverted
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), true
	}
	return netip.Addr{}, false
}

// isatap reports an interface identifier that is an IPv4 address (RFC 5214).
func isatap(a netip.Addr) bool {
	if !a.Is6() {
		return false
	}
	b := a.As16()
	return b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// The address tables; never changed.
var (
	metadata = []netip.Addr{
		netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("100.100.100.200"),
		netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("192.0.0.192"), netip.MustParseAddr("fd00:ec2::254"),
		netip.MustParseAddr("fd20:ce::254"),
	}
	global6    = netip.MustParsePrefix("2000::/3")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	compat     = netip.MustParsePrefix("::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
	// The ranges for documentation (192.0.2.0/24 and its kin) are not among them: nothing of a network's own answers there,
	// and name servers of closed networks give them to hosts that a gateway stands in for.
	special4 = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4")
	special6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)

func prefixes(texts ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		ps[i] = netip.MustParsePrefix(text)
	}
	return ps
}

// hostPort is the address of a URL's host, lower-case and with its port.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		switch strings.ToLower(u.Scheme) {
		case "https":
			port = "443"
		case "socks5", "socks5h":
			port = "1080"
		default:
			port = "80"
		}
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
