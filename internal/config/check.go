package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"millpond/format"

	"millpond/policy"
)

// at is the problem of a setting: in the line where it stands, or what it stands in, or with who said it.
func (c *Config) at(path, why string, args ...any) error {
	why = fmt.Sprintf(why, args...)
	for p := path; p != ""; {
		if from := c.over[p]; from != "" {
			return &problem{where: from, why: why}
		}
		if line := c.lines[p]; line > 0 {
			return &problem{c.file, line, path + ": " + why}
		}
		i := max(strings.LastIndexByte(p, '.'), strings.LastIndexByte(p, '['))
		p = p[:max(i, 0)]
	}
	if c.file != "" {
		return &problem{c.file, 0, path + ": " + why}
	}
	return &problem{where: path, why: why}
}

// Problem is what a caller finds wrong with a setting, in the form of all others: "file:line: path: words".
func (c *Config) Problem(path string, err error) error { return c.at(path, "%v", err) }

// check is everything wrong with settings that could be read.
func (c *Config) check(formats []format.Format) []error {
	var errs []error
	wrong := func(path, why string, args ...any) { errs = append(errs, c.at(path, why, args...)) }
	if why := badAddress(c.Listen); why != "" {
		wrong("listen", "%s", why)
	}
	if !filepath.IsAbs(c.Data) && c.over["data"] == "" && c.lines["data"] == 0 {
		wrong("data", "nobody says where: this user has no home; name a directory with --data or MILLPOND_DATA")
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			wrong("public_url", "an address like https://pond.example/ is needed")
		} else if u.EscapedPath() != u.Path {
			wrong("public_url", "its path has characters that need escaping")
		}
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		wrong("tls", "cert and key belong together")
	}
	if c.TLS.Local && c.TLS.Cert != "" {
		wrong("tls", "it is either local or a certificate")
	}
	for _, path := range []struct{ key, path string }{{"tls.cert", c.TLS.Cert}, {"tls.key", c.TLS.Key}} {
		if path.path == "" {
			continue
		}
		if _, err := os.Stat(path.path); err != nil {
			wrong(path.key, "%v", err)
		}
	}
	if c.Notice < 0 || c.Notice > time.Hour {
		wrong("notice", "it is between 0s and 1h, not %s", policy.FormatDuration(c.Notice))
	}
	errs = append(errs, c.checkOutward()...)
	for i, p := range c.TrustedProxies {
		if _, err := prefixOf(p); err != nil {
			wrong(fmt.Sprintf("trusted_proxies[%d]", i), "%v", err)
		}
	}
	if !slices.Contains([]string{"json", "text"}, c.Log.Format) {
		wrong("log.format", "it is json or text, not %q", c.Log.Format)
	}
	if levels := []string{"debug", "info", "warn", "error"}; !slices.Contains(levels, c.Log.Level) {
		wrong("log.level", "it is one of %s, not %q", strings.Join(levels, ", "), c.Log.Level)
	}
	for _, n := range []struct {
		key string
		n   int
	}{{"limits.downloads", c.Limits.Downloads}, {"limits.waiting", c.Limits.Waiting}} {
		if n.n < 1 {
			wrong(n.key, "at least 1 is needed")
		}
	}
	if c.Limits.Misses < 0 {
		wrong("limits.misses", "it is a number of requests; 0 is no limit")
	}
	errs = append(errs, c.checkAuth()...)
	_, repoErrs := c.build(formats)
	return append(errs, repoErrs...)
}

// badAddress says why an address is none to listen on; "" if it is one.
func badAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Sprintf("%q is not an address: write 127.0.0.1:8080, or :8080 for all addresses of this machine", address)
	}
	if strings.ContainsAny(host, " /") {
		return fmt.Sprintf("%q is not an address: no host is called %q; write host and port alone, such as 127.0.0.1:8080", address, host)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Sprintf("%q is not an address: a port is a number up to 65535, not %q", address, port)
	}
	return ""
}

// prefixOf reads an address prefix; an address alone is one of its own.
func prefixOf(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is not an address prefix like 10.0.0.0/8", s)
	}
	return p.Masked(), nil
}

// Proxies are the TrustedProxies, read.
func (c *Config) Proxies() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range c.TrustedProxies {
		if p, err := prefixOf(s); err == nil { // Load has refused all others
			all = append(all, p)
		}
	}
	return all
}

// Loopback reports whether only this machine can reach the pond.
func (c *Config) Loopback() bool { return loopback(c.Listen) }

func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && loopbackHost(host)
}

func loopbackHost(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// self reports whether a URL is this pond, as far as can be told without asking: its own listeners, its public address, or a
// host of a repository's own.
func (c *Config) self(u *url.URL) bool {
	if public, err := url.Parse(c.PublicURL); err == nil && c.PublicURL != "" &&
		strings.EqualFold(public.Hostname(), u.Hostname()) && portOf(public) == portOf(u) && strings.HasPrefix(u.Path+"/", public.Path) {
		return true
	}
	for i := range c.Repos {
		r := &c.Repos[i]
		if slices.ContainsFunc(r.Host, func(host string) bool { return strings.EqualFold(host, u.Hostname()) }) ||
			r.Listen != "" && listensAt(strings.TrimPrefix(r.Listen, "http://"), u) {
			return true
		}
	}
	return listensAt(c.Listen, u)
}

// listensAt reports whether a URL leads to a listener of this machine's.
func listensAt(listen string, u *url.URL) bool {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port == "0" || portOf(u) != port {
		return false
	}
	asked := u.Hostname()
	if strings.EqualFold(asked, host) {
		return true
	}
	addr, _ := netip.ParseAddr(host)
	everywhere := host == "" || addr.IsUnspecified()
	if loopbackHost(asked) {
		return everywhere || loopbackHost(host)
	}
	if !everywhere {
		return false
	}
	if name, err := os.Hostname(); err == nil && strings.EqualFold(name, asked) {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	want, err := netip.ParseAddr(asked)
	return err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == want.Unmap()
	})
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// each calls f for every error that err joins.
func each(err error, f func(error)) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			each(one, f)
		}
		return
	}
	f(err)
}

var errSelf = errors.New("that is this pond itself; an upstream is somewhere else, or another repository: {repository: name}")

// Warnings are what is allowed and should be known at each start, in words.
func (c *Config) Warnings() []string {
	var all []string
	for i := range c.Repos {
		r := &c.Repos[i]
		for k := range r.Upstreams {
			u := &r.Upstreams[k]
			parsed, err := url.Parse(u.URL)
			if err != nil || u.URL == "" {
				continue
			}
			who := fmt.Sprintf("repository %s: upstream %s", r.Name, redacted(u.URL))
			if u.Insecure {
				all = append(all, who+": its certificate is not verified (insecure)")
			}
			secret := u.Username+u.Password+u.Token != "" || u.Netrc || len(u.Headers) > 0 || parsed.User != nil
			if secret && parsed.Scheme == "http" && !loopbackHost(parsed.Hostname()) {
				all = append(all, who+": credentials go to it unencrypted")
			}
		}
	}
	return all
}
