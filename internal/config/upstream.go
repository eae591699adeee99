package config

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"millpond/repo"
)

// names are what the upstreams of a repository are called: as configured, else by their hosts, and where two share a host
// by their paths too. So none changes its name because another comes or goes beside it on another host.
func (b *builder) names(path string, upstreams []Upstream) []string {
	hosts := map[string]int{}
	for i := range upstreams {
		host, _ := hostAndPath(&upstreams[i])
		hosts[host]++
	}
	names, seen := make([]string, len(upstreams)), map[string]bool{}
	for i := range upstreams {
		u := &upstreams[i]
		name := cmp.Or(u.Name, u.Repository)
		if name == "" {
			host, place := hostAndPath(u)
			if name = host; host == "" || hosts[host] > 1 {
				name += place
			}
		}
		name = strings.Trim(strings.ToLower(strings.ReplaceAll(name, "/", "-")), "-")
		if name != "" && seen[name] {
			b.wrong(fmt.Sprintf("%s.upstreams[%d]", path, i), "two upstreams would be called %s; give each a name", name)
		}
		names[i], seen[name] = name, true
	}
	return names
}

// hostAndPath are those of an upstream's URL; both "" if it has none that can be read.
func hostAndPath(u *Upstream) (host, path string) {
	parsed, err := url.Parse(u.URL)
	if err != nil {
		return "", ""
	}
	return parsed.Host, strings.TrimRight(parsed.Path, "/")
}

func (b *builder) upstream(path string, u *Upstream, name string, r *Repository) repo.Upstream {
	out := repo.Upstream{Sibling: u.Repository, Merge: u.Merge, Names: u.Names, Poll: u.Poll, Options: u.Options}
	out.Name = name
	b.word(path+".merge", u.Merge, "hide", "union")
	switch {
	case u.URL != "" && u.Repository != "":
		b.wrong(path, "it is either a url or a repository")
	case u.Repository != "":
		i := slices.IndexFunc(b.c.Repos, func(other Repository) bool { return other.Name == u.Repository })
		switch {
		case i < 0:
			var known []string
			for _, other := range b.c.Repos {
				known = append(known, other.Name)
			}
			b.wrong(path, "there is no repository %q%s", u.Repository, didYouMean(u.Repository, known))
		case b.c.Repos[i].Format != r.Format:
			b.wrong(path, "%s speaks %s, not %s", u.Repository, b.c.Repos[i].Format, r.Format)
		}
		return out
	case u.URL == "":
		b.wrong(path, "it names no url and no repository")
		return out
	}
	s := &out.Settings
	s.URL = b.address(path, u.URL, "http", "https", "file")
	s.Username, s.Password, s.Token, s.Netrc = u.Username, u.Password, u.Token, u.Netrc
	s.Region, s.Session = u.Region, u.SessionToken
	if s.URL != nil && s.URL.User != nil {
		if u.Username == "" && u.Password == "" {
			s.Username = s.URL.User.Username()
			s.Password, _ = s.URL.User.Password()
		}
		s.URL.User = nil
	}
	ways := 0
	for _, used := range []bool{s.Username != "" || s.Password != "", s.Token != "", s.Netrc} {
		if used {
			ways++
		}
	}
	if ways > 1 {
		b.wrong(path, "one of username with password, token, and netrc can be used")
	}
	if s.Region != "" && ((s.Username == "") != (s.Password == "") || s.Token != "" || s.Netrc) {
		b.wrong(path+".region", "requests are signed with username and password, the id and the secret of an access key; without both the key is this machine's")
	}
	if s.Session != "" && (s.Region == "" || s.Username == "") {
		b.wrong(path+".session_token", "it goes with region, username and password")
	}
	if strings.ContainsAny(s.Region, "/ \r\n,") {
		b.wrong(path+".region", "%q is none", s.Region)
	}
	if len(u.Headers) > 0 {
		s.Header = http.Header{}
		for name, value := range u.Headers {
			if !fieldName(name) || strings.ContainsAny(value, "\r\n\x00") {
				b.wrong(path+".headers", "%q is not a header that can be sent", name)
				continue
			}
			s.Header.Set(name, value)
		}
	}
	for i, origin := range u.Also {
		o, err := url.Parse(origin)
		if origin != "*" && (err != nil || o.Scheme != "http" && o.Scheme != "https" || o.Host == "" || strings.Trim(o.Path, "/") != "") {
			b.wrong(fmt.Sprintf("%s.also[%d]", path, i), "%q is not an origin like https://files.example", origin)
			continue
		}
		s.Also = append(s.Also, strings.TrimSuffix(origin, "/"))
	}
	for i, origin := range u.AuthRealms {
		o, err := url.Parse(origin)
		if err != nil || o.Scheme != "http" && o.Scheme != "https" || o.Host == "" || strings.Trim(o.Path, "/") != "" {
			b.wrong(fmt.Sprintf("%s.auth_realms[%d]", path, i), "%q is not an origin like https://auth.example", origin)
			continue
		}
		s.Realms = append(s.Realms, strings.TrimSuffix(origin, "/"))
	}
	for i, text := range u.AllowAddresses {
		p, err := prefixOf(text)
		if err != nil {
			b.wrong(fmt.Sprintf("%s.allow_addresses[%d]", path, i), "%v", err)
			continue
		}
		s.AllowAddresses = append(s.AllowAddresses, p.String())
	}
	if u.CA != "" {
		pem, err := os.ReadFile(u.CA)
		if err != nil {
			b.wrong(path+".ca", "%v", err)
		} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			b.wrong(path+".ca", "%s holds no certificate", u.CA)
		}
		s.CA = pem
	}
	if u.Proxy != "" {
		s.Proxy = b.address(path+".proxy", u.Proxy, "http", "https", "socks5")
	}
	s.Insecure, s.Connections, s.Rate, s.Contact = u.Insecure, u.Connections, u.Rate, u.Contact
	s.Idle, s.MinRate, s.FirstByte = u.Idle, int64(u.MinRate), u.FirstByte
	if strings.ContainsFunc(u.Contact, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		b.wrong(path+".contact", "it must be one line")
	}
	return out
}

// address reads a URL. What is complained about is shown without its credentials.
func (b *builder) address(path, text string, schemes ...string) *url.URL {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		b.wrong(path, "it is not a URL: %v", notURL(text, errors.Unwrap(err)))
		return nil
	case !slices.Contains(schemes, u.Scheme):
		b.wrong(path, "%q is not a URL that begins with %s://", u.Redacted(), strings.Join(schemes, ":// or "))
		return nil
	case u.Host == "" && u.Scheme != "file":
		b.wrong(path, "%q names no host", u.Redacted())
		return nil
	case u.RawQuery != "" || u.Fragment != "":
		b.wrong(path, "%q has more than a path: a query or a fragment cannot be kept", u.Redacted())
		return nil
	}
	if !strings.HasSuffix(u.Path, "/") {
		u = u.JoinPath("/")
	}
	if b.c.self(u) {
		b.wrong(path, "%s: %v", u.Redacted(), errSelf)
	}
	return u
}

var errEscape = errors.New(`before the @ only letters, digits and -._~ stand for themselves: write %25 for %, %2F for /, %3F for ?, %23 for #`)

// notURL is why a text is no URL, without what could be a part of a password: one with a slash in it is taken for host and port.
func notURL(text string, err error) error {
	_, rest, _ := strings.Cut(text, "://")
	end := strings.IndexAny(rest+"/", "/?#")
	inPassword := strings.Contains(rest[end:], "@") && !strings.Contains(rest[:end], "@")
	if _, escape := errors.AsType[url.EscapeError](err); inPassword || escape && strings.Contains(rest, "@") {
		return errEscape
	}
	return err
}

// fieldName reports whether a header may be called that.
func fieldName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// rings complains about repositories that read through to themselves by way of siblings.
func (b *builder) rings() {
	next := map[string][]string{}
	for i := range b.c.Repos {
		for _, u := range b.c.Repos[i].Upstreams {
			if u.Repository != "" {
				next[b.c.Repos[i].Name] = append(next[b.c.Repos[i].Name], u.Repository)
			}
		}
	}
	const open, done = 1, 2
	state := map[string]int{}
	var visit func(name string, way []string)
	visit = func(name string, way []string) {
		way = append(way, name)
		switch state[name] {
		case open:
			b.wrong("repositories."+name+".upstreams", "it reads through to itself: %s", strings.Join(way[slices.Index(way, name):], ", "))
			return
		case done:
			return
		}
		state[name] = open
		for _, other := range next[name] {
			visit(other, way)
		}
		state[name] = done
	}
	for i := range b.c.Repos {
		visit(b.c.Repos[i].Name, nil)
	}
}
